"""First starts that are cut by SIGKILL before a system call."""

import shutil
import struct
import unittest

from tpm.support import INIT, ControlClient, receive

from .case import SwtpmCase
from .programs import SWTPM, TPM2, content

# What taking over consists of.
STEPS = ("fallocate", "fsync", "fdatasync", "fchmod", "mkdirat", "linkat", "renameat", "renameat2", "unlinkat",
         "pwritev2")
# The number of its first, where the start of the program takes some: the names of its two sockets.
FIRST = {"renameat2": 3}


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class CutCase(SwtpmCase):

    def cut(self, place, call, number, options=(), version=TPM2):
        """Before this call of the kind. Returns whether it came to that."""
        tracer = ("strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={call}",
                  "-e", f"inject={call}:signal=KILL:when={number}")
        tpm = self.start(place, options, before=tracer, version=version)
        control = ControlClient(tpm.control)
        try:
            control.sock.sendall(struct.pack(">II", INIT, 1))
            reply = receive(control.sock, 4)
        except ConnectionError:
            reply = b""
        finally:
            control.close()
            tpm.kill()
        self.assertIn(reply, (b"", bytes(4)))
        return not reply

    def check_stock(self, place, told_by, made, options=(), version=TPM2):
        """swtpm, started by mistake: it refuses and changes nothing, or all is still its own. What it
        has is told by this function of a client."""
        place = self.copy(place)
        before = content(place)
        tpm = self.start(place, options, SWTPM, version=version)
        if self.init(tpm) == 0:
            client = tpm.client()
            self.assertEqual(told_by(client), made)
            client.close()
        else:
            self.assertEqual(content(place), before)
        tpm.kill()
