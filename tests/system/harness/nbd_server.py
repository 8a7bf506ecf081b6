"""NBD servers that people use, each with one raw image, on a unix socket; and nbdkit over TCP."""

import itertools
import socket as sockets
import time

from .child import Child, Deadline, PATIENCE_SECONDS


def _nbdkit(image, socket, pid_file):
    return ["nbdkit", "--foreground", "--unix", socket, "--pidfile", pid_file, "file", image]


def _qemu_nbd(image, socket, pid_file):
    return ["qemu-nbd", "--persistent", "--shared=8", "--format=raw", "--socket", socket,
            "--pid-file", pid_file, image]


def _qemu_nbd_uncached(image, socket, pid_file):
    command = _qemu_nbd(image, socket, pid_file)
    return [*command[:-1], "--cache=none", command[-1]]


def _qemu_nbd_qcow2(image, socket, pid_file):
    return ["qemu-nbd", "--persistent", "--format=qcow2", "--socket", socket,
            "--pid-file", pid_file, image]


def _storage_daemon(image, socket, pid_file):
    return ["qemu-storage-daemon",
            "--blockdev", f"driver=raw,node-name=nv,file.driver=file,file.filename={image}",
            "--nbd-server", f"addr.type=unix,addr.path={socket}",
            "--export", "type=nbd,id=e0,node-name=nv,name=,writable=on", "--pidfile", pid_file]


def free_port():
    with sockets.create_server(("127.0.0.1", 0)) as there:
        return there.getsockname()[1]


SERVERS = {"nbdkit": _nbdkit, "qemu-nbd": _qemu_nbd, "qemu-storage-daemon": _storage_daemon}


class NbdServer:
    """Serves when it is made."""

    _numbers = itertools.count()

    def __init__(self, workspace, kind, image):
        name = f"nbd{next(self._numbers)}"
        self._socket = workspace.file(f"{name}.sock")
        self._pid_file = workspace.file(f"{name}.pid")
        servers = {**SERVERS, "nbdkit-tcp": _nbdkit, "qemu-nbd-qcow2": _qemu_nbd_qcow2,
                   "qemu-nbd-uncached": _qemu_nbd_uncached}
        self._argv = servers[kind](image, self._socket, self._pid_file)
        self._log = workspace.log(kind)
        self.uri = f"nbd+unix:///?socket={self._socket}"
        if kind == "nbdkit-tcp":
            port = str(free_port())
            self._argv[2:4] = ["--ipaddr", "127.0.0.1", "--port", port]
            self.uri = f"nbd://127.0.0.1:{port}"
        self.child = None
        self.start()

    def start(self, seconds=PATIENCE_SECONDS):
        """Again, on the same socket."""
        for left in (self._pid_file, self._socket):
            left.unlink(missing_ok=True)
        self.child = Child(self._argv, self._log)
        deadline = Deadline(seconds)
        while not self._pid_file.exists():  # They write it when they listen, and say nothing else.
            if self.child.returncode is not None or deadline.passed():
                raise AssertionError(f"{self._argv[0]} did not start: "
                                     f"{self._log.read_text(errors='replace')}")
            time.sleep(0.005)

    def restart_with(self, word, options=()):
        """nbdkit, with one more of its own options, and with filters' options."""
        self.kill()
        self._argv = [self._argv[0], word, *self._argv[1:], *options]
        self.start()

    def restart_read_only(self):
        self.restart_with("--readonly")

    def kill(self):
        self.child.kill()
