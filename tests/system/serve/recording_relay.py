"""A socket in front of another one that keeps all that goes through it."""

import select
import socket
import threading


class RecordingRelay:
    """Takes one connection after the other, until close()."""

    def __init__(self, path, target):
        self.recorded = b""
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # It was closed.
                return
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(str(self._target))
                self._relay(near, far)

    def _relay(self, near, far):
        other = {near: far, far: near}
        while True:
            for ready in select.select(list(other), [], [])[0]:
                content = ready.recv(65536)
                if not content:
                    return
                self.recorded += content
                other[ready].sendall(content)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
