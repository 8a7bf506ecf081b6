"""A raw image in memory, behind an NBD server of ours that holds a write up, or kills a process at it: by
what was done until then, and not by the time that has passed."""

import itertools
import os
import signal
import socket
import struct
import threading

from .child import PATIENCE_SECONDS

_GREETING = struct.Struct(">QQH")
_OPTION = struct.Struct(">QII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_MAGIC, _OPTION_MAGIC, _OPTION_REPLY_MAGIC = 0x4e42444d41474943, 0x49484156454f5054, 0x3e889045565a9
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE_NO_ZEROES = 3
_OPTION_ABORT, _OPTION_GO = 2, 7
_ACKNOWLEDGED, _INFO, _NOT_SUPPORTED = 1, 3, 0x80000001
_FLAGS = 1 | 4 | 8 | 256  # They are said; flush, FUA, and several connections see the same.
_READ, _WRITE, _FLUSH = 0, 1, 3


class MemoryDisk:
    """Serves when it is made, until close(). `written`: where each write was to begin, in their order, since
    something was last to happen at one."""

    _numbers = itertools.count()

    def __init__(self, workspace, content):
        self.content = bytearray(content)
        self.written = []
        path = workspace.file(f"disk{next(self._numbers)}.sock")
        self.uri = f"nbd+unix:///?socket={path}"
        self._lock = threading.Lock()
        self._number = 0
        self._deed = None
        self._goes_on = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for each in (self._listener, *self._connections):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It was closed by its other end.
            each.close()

    def kill_at(self, number, pid, writes=True):
        """SIGKILL for this process, at that write from now on, 1 being the next; 0: at none. If it is the one
        that `writes`, every other of these writes is not done."""
        def kill():
            os.kill(pid, signal.SIGKILL)
            return not writes

        self._at(number, kill)

    def hold_at(self, number):
        """That write from now on, and what comes by the same connection, until go_on()."""
        self._goes_on.clear()
        self._at(number, lambda: self._goes_on.wait(PATIENCE_SECONDS))

    def go_on(self):
        self._goes_on.set()

    def _at(self, number, deed):
        with self._lock:
            self.written.clear()
            self._number, self._deed = number, deed

    def has_happened(self):
        """What was to happen at a write; it will not any more."""
        with self._lock:
            happened = self._deed is None
            self._deed = None
        return happened

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                if self._agree(connection):
                    while self._answer(connection):
                        pass
        except OSError:
            pass  # Who has died hangs up in the middle of anything.

    def _agree(self, connection):
        """The handshake."""
        connection.sendall(_GREETING.pack(_MAGIC, _OPTION_MAGIC, _FIXED_NEWSTYLE_NO_ZEROES))
        _receive(connection, 4)
        while True:
            _, option, length = _OPTION.unpack(_receive(connection, _OPTION.size))
            _receive(connection, length)
            if option == _OPTION_GO:
                export = struct.pack(">HQH", 0, len(self.content), _FLAGS)
                connection.sendall(_option_reply(option, _INFO, export) + _option_reply(option, _ACKNOWLEDGED))
                return True
            connection.sendall(_option_reply(
                option, _ACKNOWLEDGED if option == _OPTION_ABORT else _NOT_SUPPORTED))
            if option == _OPTION_ABORT:
                return False

    def _answer(self, connection):
        """One request; False: it was the last."""
        magic, _, kind, cookie, offset, length = _REQUEST.unpack(_receive(connection, _REQUEST.size))
        if magic != _REQUEST_MAGIC or kind not in (_READ, _WRITE, _FLUSH):
            return False  # It disconnects.
        data = b""
        if kind == _WRITE and not self._write(offset, _receive(connection, length)):
            return False
        if kind == _READ:
            with self._lock:
                data = bytes(self.content[offset:offset + length])
        connection.sendall(_REPLY.pack(_REPLY_MAGIC, 0, cookie) + data)
        return True

    def _write(self, offset, data):
        """False: who has asked for it is dead."""
        deed = None
        with self._lock:
            self.written.append(offset)
            if len(self.written) == self._number:
                deed, self._deed = self._deed, None
        is_answered = deed is None or deed()
        if is_answered or self._number % 2 == 0:
            with self._lock:
                self.content[offset:offset + len(data)] = data
        return is_answered


def _option_reply(option, kind, data=b""):
    return _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def _receive(connection, size_bytes):
    received = b""
    while len(received) < size_bytes:
        more = connection.recv(size_bytes - len(received))
        if not more:
            raise ConnectionError("it has hung up")
        received += more
    return received
