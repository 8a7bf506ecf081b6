"""QEMU's machine protocol, as far as the tests need it."""

import json
import socket

from .child import Deadline, PATIENCE_SECONDS
from .readable import readable


class QmpError(Exception):
    """QEMU refused a command, or is gone."""


class Qmp:
    """Listens at `path`; QEMU connects to it. One thread uses it, and nothing is read in between."""

    def __init__(self, path):
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._connection = None
        self._buffer = b""
        self._events = []

    def accept(self, pidfd, seconds=PATIENCE_SECONDS):
        """Waits for QEMU, or for its end."""
        ready = readable([self._listener, pidfd], seconds)
        if self._listener not in ready:
            raise QmpError("QEMU ended before it connected" if ready else "QEMU did not connect")
        self._connection, _ = self._listener.accept()
        self._message(Deadline(seconds))  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command, seconds=300, **arguments):
        request = {"execute": command, "arguments": arguments}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        deadline = Deadline(seconds)
        while True:
            message = self._message(deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            self._events.append(message)

    def monitor(self, line, seconds=300):
        """A command of the human monitor that prints nothing when it works."""
        said = self.execute("human-monitor-command", seconds, **{"command-line": line}).strip()
        if said:
            raise QmpError(f"{line}: {said}")

    def wait_event(self, name, seconds=PATIENCE_SECONDS):
        deadline = Deadline(seconds)
        while True:
            for position, event in enumerate(self._events):
                if event["event"] == name:
                    return self._events.pop(position)
            self._events.append(self._message(deadline))

    def _message(self, deadline):
        while b"\n" not in self._buffer:
            ready = readable([self._connection], deadline.left())
            if not ready:
                raise TimeoutError(f"QEMU's monitor: no answer in {deadline.seconds} s")
            data = self._connection.recv(65536)
            if not data:
                raise QmpError("QEMU is gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def close(self):
        for end in (self._connection, self._listener):
            if end:
                end.close()
