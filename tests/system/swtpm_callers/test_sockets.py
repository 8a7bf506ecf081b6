"""Callers that bring their own socket, or have ports."""

import os
import socket
import unittest

from harness.child import Child
from tpm.support import FAIL, ControlClient, tpm2

from .case import CallerCase

CONTROL_FD = 3
FILE_SIZE_MAX = 256 << 10


def free_ports():
    """Two that follow one another, as far as can be known."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue


class Sockets(CallerCase):
    def start_with_socket(self, *words):
        """As systemd does it: the socket is descriptor 3. Returns its path, and the child."""
        path = self.workspace.file("tpm.socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            move = f"import os, sys; os.dup2({listener.fileno()}, {CONTROL_FD}); os.execvp(sys.argv[1], sys.argv[1:])"
            child = Child(["/usr/bin/python3", "-c", move, *words], self.workspace.log("swtpm"), self.env,
                          (listener.fileno(),))
            self.addCleanup(child.kill)
            return path, child

    def test_vmspawn_and_lxd(self):
        state = self.folder("state")
        for value in (1, 2):
            path, child = self.start_with_socket("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
                                                 "--ctrl", f"type=unixio,fd={CONTROL_FD}")
            control, commands = self.power_on(path)
            if value == 1:
                commands.define_counter()
            commands.must_increment()
            self.assertEqual(commands.counter(), value)
            self.power_off(control, commands)
            self.assertEqual(child.wait(), 0)
            path.unlink()  # It was not swtpm's.

    def test_pytss(self):
        """The control channel is the next port, and tcti-swtpm connects anew for each command."""
        state, port = self.folder("state"), free_ports()
        for value in (1, 2):
            child = self.start("swtpm", "socket", "--tpm2", "--server", f"port={port}", "--ctrl",
                               f"type=tcp,port={port + 1}", "--flags", "not-need-init", "--tpmstate",
                               f"dir={state}", "--seccomp", "action=none")
            self.wait_connecting(port, child)
            tcti = f"swtpm:port={port}"
            tpm2(tcti, state, "startup", "-c")
            if value == 1:
                tpm2(tcti, state, "nvdefine", "0x1500001", "-s", 8, "-a", "nt=counter|authread|authwrite")
            tpm2(tcti, state, "nvincrement", "0x1500001")
            self.assertEqual(tpm2(tcti, state, "nvread", "0x1500001"), value.to_bytes(8, "big"))
            tpm2(tcti, state, "shutdown", "-c")
            self.assertEqual(child.terminate(), 0)

    def wait_connecting(self, port, child):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            self.assertIsNone(child.returncode)

    @unittest.skipUnless(os.geteuid() == 0, "has a root of its own")
    def test_xapi(self):
        """An image is larger than the largest file that its wrapper lets swtpm make: that is said, and
        nothing is left of it."""
        root = self.folder("root")
        os.chown(root, 65534, 65534)
        self.workspace.path.chmod(0o711)
        path, child = self.start_with_socket(
            "prlimit", f"--fsize={FILE_SIZE_MAX}", "swtpm", "socket", "--tpm2", "--tpmstate",
            "backend-uri=file://tpm2-00.permall", "--ctrl", f"type=unixio,fd={CONTROL_FD}", "--log",
            "level=1", "--pid", "file=/swtpm-7.pid", "-t", "--chroot", root, "--runas", 65534)
        control = ControlClient(path)
        self.addCleanup(control.close)
        self.assertEqual(control.init(), FAIL)
        self.assertIn("ulimit -f", child.log.read_text())
        self.assertEqual(sorted(file.name for file in root.iterdir()), ["swtpm-7.pid"])


if __name__ == "__main__":
    unittest.main()
