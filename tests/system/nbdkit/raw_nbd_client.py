"""An NBD client that hides nothing: it may send anything, and need not read what it is answered."""

import socket
import struct

from . import nbd_wire


class ServerClosed(Exception):
    """The server has ended the connection."""


class RawNbdClient:
    """Connected when it is made, and with an export (bytes) ready for requests. Every wait has a
    deadline: TimeoutError."""

    def __init__(self, path, export=None, seconds=30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.size = None
        self._cookie = 0
        try:
            self.socket.connect(str(path))
            if export is not None:
                self._negotiate(export)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Without a word."""
        self.socket.close()

    def disconnect(self):
        """As the protocol wants it; what was written is durable when the server has closed."""
        self.socket.sendall(nbd_wire.request(nbd_wire.DISCONNECT))
        self.read_to_end()
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, length):
        data = bytearray()
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ServerClosed(f"after {len(data)} of {length} bytes")
            data += part
        return bytes(data)

    def read_to_end(self):
        """Takes what comes until the server closes."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass

    def _negotiate(self, export):
        greeting = self.receive(18)
        if not greeting.startswith(nbd_wire.GREETING):
            raise ServerClosed(f"it greets with {greeting}")
        self.send(nbd_wire.client_flags() + nbd_wire.export_option(nbd_wire.OPT_GO, export))
        while True:
            _, _, kind, length = struct.unpack(">QIII", self.receive(20))
            data = self.receive(length)
            if kind & nbd_wire.REP_ERROR:
                raise ServerClosed(data.decode(errors="replace"))
            if kind == nbd_wire.REP_ACK:
                return
            if kind == nbd_wire.REP_INFO and data[:2] == struct.pack(">H", nbd_wire.INFO_EXPORT):
                self.size = struct.unpack(">Q", data[2:10])[0]

    def call(self, command, offset=0, length=0, payload=b"", flags=0):
        """One request, and its answer: (error number, data)."""
        self._cookie += 1
        self.send(nbd_wire.request(command, offset, length, payload, flags, self._cookie))
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        if magic != nbd_wire.REPLY_MAGIC or cookie != self._cookie:
            raise ServerClosed(f"a reply with magic {magic:#x} to request {cookie}")
        return error, self.receive(length) if command == nbd_wire.READ and error == 0 else b""

    def _must(self, *arguments, **options):
        error, data = self.call(*arguments, **options)
        if error != 0:
            raise OSError(error, f"request {arguments[0]} was answered with an error")
        return data

    def write(self, offset, data, fua=False):
        self._must(nbd_wire.WRITE, offset, len(data), data, nbd_wire.FUA if fua else 0)

    def zero(self, offset, length):
        self._must(nbd_wire.WRITE_ZEROES, offset, length)

    def read(self, offset, length):
        return self._must(nbd_wire.READ, offset, length)

    def read_all(self):
        return self.read(0, self.size)

    def flush(self):
        self._must(nbd_wire.FLUSH)
