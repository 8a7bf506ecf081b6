"""A TPM with an admin socket, and the command that asks there."""

import json
import subprocess

from support import TpmCase, program, vnvram

FAILURE = 0x101


def refused(*words):
    """Runs vnvram, which must fail; returns its status and what it said."""
    argv = [str(program("vnvram")), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode == 0:
        raise AssertionError(f"{' '.join(argv)}: succeeded")
    return done.returncode, done.stderr


class AdminCase(TpmCase):

    def start_admin(self, image, server=None, options=()):
        self.admin = self.workspace.file("admin")
        return self.start(image, server, ["--admin", f"unix:{self.admin}", *options])

    def ask(self, verb, *words):
        return json.loads(vnvram("tpm", verb, "--json", self.admin, *words))

    def controlled(self, tpm):
        """What QEMU does at its start, and a counter that says 1."""
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        return control, client
