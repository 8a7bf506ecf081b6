"""What a guest sends, through a unix socket that is always drained."""

import re
import socket
import threading
import time

from .child import Deadline, PATIENCE_SECONDS


class StreamClosed(Exception):
    """The other end is gone, and what was waited for will not come."""


class Stream:
    """Listens at `path`; QEMU connects to it. A thread reads everything into memory and into a log
    from the first byte on: QEMU's guest stalls when nobody reads its serial port."""

    def __init__(self, path, log):
        self.path = path
        self._log = open(log, "ab", buffering=0)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._connection = None
        self._bytes = bytearray()
        self._arrivals = []  # (moment, bytes until then)
        self._cursor = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self):
        connection = None
        try:
            connection, _ = self._listener.accept()
            with self._changed:
                self._connection = connection
                self._changed.notify_all()
            while data := connection.recv(65536):
                self._log.write(data)
                with self._changed:
                    self._bytes += data
                    self._arrivals.append((time.monotonic(), len(self._bytes)))
                    self._changed.notify_all()
        except OSError:
            pass  # Reset by a killed QEMU, or closed by close(): the end either way.
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def connected(self):
        with self._changed:
            return self._connection is not None

    def send(self, data, seconds=PATIENCE_SECONDS):
        with self._changed:
            self._changed.wait_for(lambda: self._connection or self._ended, seconds)
            connection = self._connection
        if connection is None:
            raise StreamClosed(f"{self.path}: nobody connected")
        connection.sendall(data)

    def expect(self, pattern, seconds=PATIENCE_SECONDS):
        """Waits for the pattern behind what earlier calls matched; returns the match."""
        deadline = Deadline(seconds)
        with self._changed:
            while not (found := re.search(pattern, bytes(self._bytes[self._cursor:]))):
                tail = bytes(self._bytes[-300:]).decode(errors="replace")
                if self._ended:
                    raise StreamClosed(f"waited for {pattern!r}, the stream ended with: {tail}")
                if deadline.passed():
                    raise TimeoutError(f"no {pattern!r} in {seconds} s; the last was: {tail}")
                self._changed.wait(deadline.left())
            self._cursor += found.end()
            return found

    def content(self, start=0):
        with self._changed:
            return bytes(self._bytes[start:])

    def content_at(self, moment):
        """What had come by then, by time.monotonic()."""
        with self._changed:
            sizes = [size for arrival, size in self._arrivals if arrival <= moment]
            return bytes(self._bytes[:sizes[-1]]) if sizes else b""

    def size(self):
        with self._changed:
            return len(self._bytes)

    def wait_until(self, predicate, start=0, seconds=PATIENCE_SECONDS):
        """Calls predicate(content from start on) whenever there is more, until it returns something
        that is true; returns that."""
        deadline = Deadline(seconds)
        with self._changed:
            while not (result := predicate(bytes(self._bytes[start:]))):
                if self._ended:
                    raise StreamClosed(f"{self.path}: ended before what was waited for")
                if deadline.passed():
                    raise TimeoutError(f"{self.path}: not what was waited for in {seconds} s: "
                                       + bytes(self._bytes[-300:]).decode(errors="replace"))
                self._changed.wait(deadline.left())
            return result

    def wait_end(self, seconds=PATIENCE_SECONDS):
        """Everything that was sent before the sender went away; the record of a killed guest."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, seconds):
                raise TimeoutError(f"{self.path} is still open after {seconds} s")
            return bytes(self._bytes)

    def close(self):
        for end in (self._connection, self._listener):
            try:
                if end:
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(10)
        for end in (self._connection, self._listener):
            if end:
                end.close()
        self._log.close()
