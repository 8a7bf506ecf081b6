"""Conversations that no honest client would have, each made of a seed."""

import random
import select
import socket

from harness.child import Deadline

from . import nbd_wire

LENGTHS = (0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, 540671, 540672, 540673, (32 << 20) - 1,
           32 << 20, (32 << 20) + 1, 64 << 20, (64 << 20) + 1, 1 << 31, (1 << 32) - 512,
           (1 << 32) - 1)
OFFSETS = (0, 1, 512, 4095, 4096, 65536, 540160, 540671, 540672, 540673, 1 << 31, (1 << 32) - 1,
           1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 540672, (1 << 64) - 1)
NAMES = (b"", b"nobody", b"hostile\0", b"\0", b"frozen/", b"\xff\xfe", b"n" * 255, b"n" * 4096,
         b"n" * 4097, b"%s%n", b"../../etc/passwd")
PAYLOAD_BYTES_MAX = 1 << 20


class NbdFuzzer:
    """Mostly right, so that it gets far, with something wrong now and then. It asks for the given
    exports, and for names that nobody has."""

    def __init__(self, seed, exports):
        self._random = random.Random(seed)
        self._exports = exports

    def run(self, path, seconds=30):
        """Has the conversation. Returns the connection if it is left open, else None. A server that
        does not end a connection whose client has ended it: TimeoutError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(str(path))
        reads = self._random.random() < 0.8
        ending = self._random.choices(("say all and wait", "close", "leave open"), (6, 2, 2))[0]
        try:
            self._send(connection, self._conversation(), reads, Deadline(seconds))
            if ending == "leave open":
                return connection
            if ending == "say all and wait" and reads:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # It had enough of it.
        connection.close()
        return None

    def _send(self, connection, data, reads, deadline):
        """All of it; without reading as much as the server takes."""
        rest = memoryview(data)
        connection.setblocking(False)
        while rest:
            readable, writable, _ = select.select([connection] if reads else [], [connection], [],
                                                  deadline.left() if reads else 0)
            if not readable and not writable:
                if not reads:
                    break
                raise TimeoutError("the server neither takes requests nor answers")
            if readable and not connection.recv(1 << 16):
                break
            if writable:
                rest = rest[connection.send(rest):]
        connection.settimeout(deadline.seconds)

    def _conversation(self):
        parts = [self._client_flags()]
        parts += [self._option() for _ in range(self._random.randrange(4))]
        if self._random.random() < 0.9:
            parts.append(self._entry())
        parts += [self._request() for _ in range(self._random.randrange(12))]
        if self._random.random() < 0.2:
            self._damage(parts)
        return b"".join(parts)

    def _damage(self, parts):
        at = self._random.randrange(len(parts))
        part = bytearray(parts[at])
        where = self._random.randrange(len(part) + 1)
        match self._random.randrange(3):
            case 0:
                part[where:] = b""
            case 1:
                part[where:where] = self._random.randbytes(self._random.randrange(1, 64))
            case 2:
                part[where:where + 8] = self._random.randbytes(len(part[where:where + 8]))
        parts[at] = bytes(part)

    def _client_flags(self):
        if self._random.random() < 0.9:
            return nbd_wire.client_flags()
        return nbd_wire.client_flags(self._random.choice((0, 1, 2, self._random.getrandbits(32))))

    def _name(self):
        return self._random.choice(self._exports if self._random.random() < 0.8 else NAMES)

    def _wrong(self, right, chance=0.05):
        """What a length says of itself: None if the truth."""
        if self._random.random() >= chance:
            return None
        return self._random.choice((0, right + 1, max(0, right - 1), 65536, (1 << 32) - 1))

    def _option(self):
        number = self._random.choice((
            nbd_wire.OPT_LIST, nbd_wire.OPT_INFO, nbd_wire.OPT_STRUCTURED_REPLY,
            nbd_wire.OPT_STRUCTURED_REPLY, nbd_wire.OPT_LIST_META_CONTEXT,
            nbd_wire.OPT_SET_META_CONTEXT, nbd_wire.OPT_STARTTLS, nbd_wire.OPT_ABORT, 0, 4, 11,
            self._random.getrandbits(32)))
        if number == nbd_wire.OPT_INFO:
            name = self._name()
            return nbd_wire.export_option(number, name, self._wrong(len(name)))
        if number in (nbd_wire.OPT_LIST_META_CONTEXT, nbd_wire.OPT_SET_META_CONTEXT):
            data = self._meta_context()
        elif self._random.random() < 0.2:
            data = self._random.randbytes(self._random.choice((1, 3, 4, 64, 4096, 70000)))
        else:
            data = b""
        magic = nbd_wire.OPTION_MAGIC
        if self._random.random() < 0.02:
            magic = self._random.getrandbits(64)
        return nbd_wire.option(number, data, self._wrong(len(data)), magic)

    def _meta_context(self):
        name = self._name()
        queries = [self._random.choice((b"base:allocation", b"base:", b"", b"qemu:x", b"q" * 5000))
                   for _ in range(self._random.randrange(4))]
        wrong = self._wrong(len(queries))
        parts = [len(name).to_bytes(4, "big"), name,
                 (len(queries) if wrong is None else wrong).to_bytes(4, "big")]
        for query in queries:
            parts += [len(query).to_bytes(4, "big"), query]
        return b"".join(parts)

    def _entry(self):
        name = self._name()
        if self._random.random() < 0.8:
            return nbd_wire.export_option(nbd_wire.OPT_GO, name, self._wrong(len(name)))
        return nbd_wire.option(nbd_wire.OPT_EXPORT_NAME, name, self._wrong(len(name)))

    def _request(self):
        command = self._random.choice((
            nbd_wire.READ, nbd_wire.WRITE, nbd_wire.WRITE, nbd_wire.FLUSH, nbd_wire.TRIM,
            nbd_wire.CACHE, nbd_wire.WRITE_ZEROES, nbd_wire.WRITE_ZEROES, nbd_wire.BLOCK_STATUS,
            self._random.getrandbits(16)))
        honest = self._random.random() < 0.5
        offset = self._random.randrange(0, 500000) if honest else self._random.choice(OFFSETS)
        length = self._random.randrange(0, 40000) if honest else self._random.choice(LENGTHS)
        payload = b""
        if command == nbd_wire.WRITE:
            payload = self._random.randbytes(min(length, PAYLOAD_BYTES_MAX))
        flags = self._random.choice((0, 0, nbd_wire.FUA, 1 << self._random.randrange(16),
                                     self._random.getrandbits(16)))
        magic = nbd_wire.REQUEST_MAGIC
        if self._random.random() < 0.02:
            magic = self._random.getrandbits(32)
        return nbd_wire.request(command, offset, length, payload, flags,
                                self._random.getrandbits(64), magic)
