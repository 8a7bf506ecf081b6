"""QEMU's qtest socket: what a CPU would read and write, without a CPU."""

import socket

from .child import Deadline, PATIENCE_SECONDS
from .readable import readable


class QtestError(Exception):
    """QEMU refused a command, or is gone."""


class Qtest:
    """Listens at `path`; QEMU connects to it. One thread uses it."""

    def __init__(self, path):
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._connection = None
        self._buffer = b""

    def accept(self, pidfd, seconds=PATIENCE_SECONDS):
        """Waits for QEMU, or for its end."""
        ready = readable([self._listener, pidfd], seconds)
        if self._listener not in ready:
            raise QtestError("QEMU ended before it connected" if ready else "QEMU did not connect")
        self._connection, _ = self._listener.accept()

    def read32(self, address):
        return int(self._command(f"readl {address:#x}"), 16)

    def write32(self, address, value):
        self._command(f"writel {address:#x} {value:#x}")

    def _command(self, line, seconds=PATIENCE_SECONDS):
        self._connection.sendall(f"{line}\n".encode())
        word, _, rest = self._line(Deadline(seconds)).partition(" ")
        if word != "OK":
            raise QtestError(f"{line}: {word} {rest}")
        return rest

    def _line(self, deadline):
        while b"\n" not in self._buffer:
            ready = readable([self._connection], deadline.left())
            if not ready:
                raise TimeoutError(f"QEMU's qtest: no answer in {deadline.seconds} s")
            data = self._connection.recv(4096)
            if not data:
                raise QtestError("QEMU is gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode().strip()

    def close(self):
        for end in (self._connection, self._listener):
            if end:
                end.close()
