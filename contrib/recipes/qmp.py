"""QEMU's machine protocol (QMP) on a unix socket, as far as the recipes need it.

qemu-system and qemu-storage-daemon speak the same. Nothing but Python's own library is used.
"""

import json
import socket
import time


class QmpError(Exception):
    """A command was refused, a job failed, or the other end is gone. One that hangs is a TimeoutError."""


class Qmp:
    """A connection. Every answer and every event has to come within `seconds`."""

    def __init__(self, path, seconds=120):
        self.path = str(path)
        self._seconds = seconds
        self._buffer = b""
        self._events = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            try:
                self._socket.connect(self.path)
            except OSError as error:
                raise QmpError(f"QMP socket {self.path}: {error.strerror}") from error
            self._deadline = time.monotonic() + seconds
            self._message()  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def execute(self, command, **arguments):
        """Names of arguments are written with _ for -. Returns what the command returns."""
        request = {"execute": command,
                   "arguments": {name.replace("_", "-"): value
                                 for name, value in arguments.items()}}
        self._deadline = time.monotonic() + self._seconds
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._message()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{self.path}: {command}: {message['error']['desc']}")
            self._events.append(message)

    def monitor(self, line):
        """A command of the human monitor that prints nothing when it works."""
        said = self.execute("human-monitor-command", command_line=line).strip()
        if said:
            raise QmpError(f"{self.path}: {line}: {said}")

    def wait_event(self, *names):
        """The first event of one of these names that nobody has taken."""
        self._deadline = time.monotonic() + self._seconds
        while True:
            for position, event in enumerate(self._events):
                if event["event"] in names:
                    return self._events.pop(position)
            self._events.append(self._message())

    def quit(self):
        """Ends QEMU; returns when it has closed the connection."""
        try:
            self.execute("quit")
            while True:
                self._events.append(self._message())
        except QmpError:
            pass

    def wait_job(self, job, name):
        """Waits for this event of a block job; a job that ends before, or fails, is an error."""
        while True:
            event = self.wait_event("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED", name)
            data = event["data"]
            if data["device"] != job:
                continue
            if "error" in data or event["event"] != name:
                raise QmpError(f"{self.path}: job {job}: {data.get('error', event['event'])}")
            return

    def wait_job_end(self, job):
        """Waits until it has done all of its work."""
        self.wait_job(job, "BLOCK_JOB_COMPLETED")

    def _message(self):
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise TimeoutError(f"{self.path}: silent for {self._seconds} s") from None
            except ConnectionResetError:
                data = b""
            if not data:
                raise QmpError(f"{self.path}: QEMU is gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)
