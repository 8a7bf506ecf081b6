"""What the tests of vnvram-tpm without a guest need."""

import array
import os
import socket
import struct
import subprocess
import sys
import pathlib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

# pylint: disable=wrong-import-position
from harness.child import Child, Deadline, PATIENCE_SECONDS
from harness.readable import readable
from harness.shows_logs import ShowsLogs
from harness.tpm_process import TpmProcess, program
from harness.vnvram import create, vnvram
from harness.workspace import Workspace

COUNTER = 0x1500001
EMPTY_PASSWORD = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
OWNER = 0x40000001
RETRY = 0x922
# A counter that its own password, which is empty, writes and reads. Restarts without a shutdown
# command count as tries to guess the passwords of others.
NO_LOCKOUT_COUNTER = 0x02040014
NO_LOCKOUT_AREA = 0x02040004

INIT, SHUTDOWN, ESTABLISHED, LOCALITY = 2, 3, 4, 5
HASH_START, HASH_DATA, HASH_END, CANCEL, STORE_VOLATILE = 6, 7, 8, 9, 10
RESET_ESTABLISHED, GET_BLOB, SET_BLOB, STOP, CONFIG = 11, 12, 13, 14, 15
DATA_FD, BUFFER_SIZE, INFO, LOCK_STORAGE = 16, 17, 18, 19
DISABLED, FAIL, BAD_ORDINAL = 8, 9, 10


def receive(sock, size, seconds=PATIENCE_SECONDS):
    """Exactly so many bytes; fewer only when the peer closes."""
    data, deadline = b"", Deadline(seconds)
    while len(data) < size:
        ready = readable([sock], deadline.left())
        if not ready:
            raise TimeoutError(f"{len(data)} of {size} bytes after {seconds} s: {data.hex()}")
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def is_silent(sock):
    """Nothing to read, and not closed."""
    return not readable([sock], 0)


class TpmClient:
    """Raw TPM 2.0 commands on a stream socket."""

    def __init__(self, where):
        self.sock = where
        if not isinstance(where, socket.socket):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(where))

    def send(self, code, body=b"", tag=0x8001):
        self.sock.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)

    def response(self):
        head = receive(self.sock, 10)
        if len(head) < 10:
            raise ConnectionError("the TPM closed the connection")
        size, code = struct.unpack(">II", head[2:])
        return code, receive(self.sock, size - 10)

    def run(self, code, body=b"", tag=0x8001):
        while True:
            self.send(code, body, tag)
            result, data = self.response()
            if result != RETRY:  # The first use of an algorithm only tests it.
                return result, data

    def must(self, code, body=b"", tag=0x8001):
        result, data = self.run(code, body, tag)
        if result != 0:
            raise AssertionError(f"TPM command {code:#x}: response code {result:#x}")
        return data

    def startup(self):
        return self.run(0x144, b"\0\0")[0]

    def read_clock(self):
        return self.run(0x181)[0]

    def define_counter(self, index=COUNTER):
        public = struct.pack(">IHIHH", index, 0xB, NO_LOCKOUT_COUNTER, 0, 8)
        body = struct.pack(">I", OWNER) + EMPTY_PASSWORD + struct.pack(">HH", 0, len(public))
        self.must(0x12A, body + public, 0x8002)

    def define_area(self, index, size):
        """Returns the response code: the TPM may have no room."""
        public = struct.pack(">IHIHH", index, 0xB, NO_LOCKOUT_AREA, 0, size)
        body = struct.pack(">I", OWNER) + EMPTY_PASSWORD + struct.pack(">HH", 0, len(public))
        return self.run(0x12A, body + public, 0x8002)[0]

    def write_area(self, index, content):
        """In pieces that fit a command."""
        for offset in range(0, len(content), 1000):
            piece = content[offset:offset + 1000]
            self.must(0x137, struct.pack(">II", index, index) + EMPTY_PASSWORD
                      + struct.pack(">H", len(piece)) + piece + struct.pack(">H", offset), 0x8002)

    def send_increment(self, index=COUNTER):
        self.send(0x134, struct.pack(">II", index, index) + EMPTY_PASSWORD, 0x8002)

    def increment(self, index=COUNTER):
        return self.run(0x134, struct.pack(">II", index, index) + EMPTY_PASSWORD, 0x8002)[0]

    def must_increment(self, index=COUNTER):
        self.must(0x134, struct.pack(">II", index, index) + EMPTY_PASSWORD, 0x8002)

    def counter(self, index=COUNTER, authority=None):
        """With the counter's own password, or that of another handle; both are empty."""
        body = struct.pack(">II", authority or index, index)
        data = self.must(0x14E, body + EMPTY_PASSWORD + struct.pack(">HH", 8, 0), 0x8002)
        return struct.unpack(">Q", data[6:14])[0]

    def close(self):
        self.sock.close()


class ControlClient:
    """The control protocol, byte by byte. Replies are read as QEMU 9.2 and newer does it: the result,
    and the rest unless that says that it failed. Two are always there as a whole."""

    whole = (ESTABLISHED, GET_BLOB)

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))

    def ask(self, command, body=b"", reply_size=4, fds=()):
        """Returns (result, the rest of the reply)."""
        message = struct.pack(">I", command) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([message], rights)
        first = reply_size if command in self.whole else min(4, reply_size)
        reply = receive(self.sock, first)
        if reply[:4] == bytes(4):
            reply += receive(self.sock, reply_size - first)
        if len(reply) not in (first, reply_size):
            raise AssertionError(f"command {command}: a reply of {len(reply)}, not {reply_size}")
        return struct.unpack(">I", reply[:4])[0], reply[4:]

    def result(self, command, body=b""):
        return self.ask(command, body)[0]

    def init(self, flags=0):
        return self.result(INIT, struct.pack(">I", flags))

    def capability(self):
        high, low = self.ask(1, b"", 8)
        return high << 32 | struct.unpack(">I", low)[0]

    def take_control(self):
        """What QEMU does first. Returns the command socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            result = self.ask(DATA_FD, b"", 4, [theirs.fileno()])[0]
        if result != 0:
            ours.close()
            raise PermissionError(f"CMD_SET_DATAFD: {result:#x}")
        return TpmClient(ours)

    def stop(self):
        return self.result(STOP)

    def lock_storage(self, retries=0):
        return self.result(LOCK_STORAGE, struct.pack(">I", retries))

    def get_blob(self, kind, offset=0):
        """Returns (result, total length, bytes)."""
        result, head = self.ask(GET_BLOB, struct.pack(">III", 1, kind, offset), 16)
        _, total, length = struct.unpack(">III", head)
        return result, total, receive(self.sock, length)

    def set_blob(self, kind, blob):
        return self.result(SET_BLOB, struct.pack(">III", 0, kind, len(blob)) + blob)

    def close(self):
        self.sock.close()


def two_free_ports():
    """A port whose successor is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


class TpmCase(ShowsLogs, unittest.TestCase):
    """Ends every process it started, in any case; shows all logs when the test fails."""

    image_options = ("--tpm2",)

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.children = []
        self.addCleanup(self._end_children)
        self.server = self.workspace.file("server")

    def _end_children(self):
        for child in reversed(self.children):
            child.kill()

    def new_image(self, *options):
        return create(self.workspace.file("nvram.img"), *(options or self.image_options))

    def start(self, image, server=None, options=()):
        """A TPM process, ready; with a server it is started up as well."""
        tpm = TpmProcess(self.workspace, image, server, ("--log-level", "debug", *options))
        self.children.append(tpm)
        return tpm

    def start_server(self, image, options=()):
        return self.start(image, self.server, options)

    def client(self):
        client = TpmClient(self.server)
        self.addCleanup(client.close)
        return client

    def control(self, tpm):
        control = ControlClient(tpm.control)
        self.addCleanup(control.close)
        return control

    def refused(self, *words):
        """Starts vnvram-tpm, which must refuse; returns its status and what it said."""
        argv = [str(program("vnvram-tpm")), *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0, done.stderr)
        return done.returncode, done.stderr


def swtpm_ioctl(tpm, *words, status=0):
    """swtpm's own client; returns what it prints."""
    argv = ["swtpm_ioctl", "--unix", str(tpm.control), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    if (done.returncode == 0) != (status == 0):
        raise AssertionError(f"{' '.join(argv)}: status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def tpm2(tcti, folder, *words):
    """tpm2-tools; returns what it prints, as bytes."""
    argv = [f"tpm2_{words[0]}", *map(str, words[1:])]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False, cwd=folder, env={**os.environ, "TPM2TOOLS_TCTI": tcti})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: status {done.returncode}\n"
                             f"{done.stderr.decode(errors='replace')}")
    return done.stdout


__all__ = [name for name in dir() if not name.startswith("__")]
