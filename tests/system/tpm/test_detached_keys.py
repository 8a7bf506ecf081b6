"""An encrypted image that comes when vnvram-tpm has confined itself: its keys are there before."""

import json
import subprocess
import unittest

from support import TpmCase, program, vnvram

# pylint: disable=wrong-import-order
from harness.nbd_server import NbdServer

UNSUPPORTED = 29


class DetachedKeys(TpmCase):

    def setUp(self):
        super().setUp()
        self.admin = self.workspace.file("admin")
        self.key = self.workspace.file("key")
        self.key.write_bytes(b"thirty-two bytes nobody can guess")

    def encrypted(self, key):
        """An image whose key that is, and an export of it that needs no file."""
        image = self.new_image("--tpm2", "--encrypt", "--key", key)
        server = NbdServer(self.workspace, "nbdkit", image)
        self.addCleanup(server.kill)
        return server.uri

    def start_detached(self, uri, *keys):
        options = [word for key in keys for word in ("--key", key)]
        return self.start(uri, options=["--detached", "--admin", f"unix:{self.admin}", *options])

    def attach(self):
        """The status that `vnvram tpm attach` ends with, and what it says."""
        argv = [program("vnvram"), "tpm", "attach", "--json", self.admin]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=100, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def test_a_key_file(self):
        tpm = self.start_detached(self.encrypted(f"file:{self.key}"), f"file:{self.key}")
        self.key.unlink()
        code, said = self.attach()
        self.assertEqual(code, 0, said)
        self.assertTrue(json.loads(said)["attached"])
        tpm.stop()

    def test_a_key_file_that_is_removed(self):
        uri = self.encrypted(f"file:{self.key}")
        tpm = self.start_detached(uri, f"file:{self.key},remove")
        self.assertFalse(self.key.exists())
        code, said = self.attach()
        self.assertEqual(code, 0, said)
        tpm.stop()

    def test_a_command_is_refused_by_name_and_the_tpm_lives(self):
        command = f"exec:cat {self.key}"
        tpm = self.start_detached(self.encrypted(command), command)
        for _ in range(2):
            code, said = self.attach()
            self.assertEqual(code, UNSUPPORTED, said)
            self.assertIn("command", said)
        self.assertFalse(json.loads(vnvram("tpm", "status", "--json", self.admin))["attached"])
        tpm.stop()

    def test_another_key_beside_the_command(self):
        tpm = self.start_detached(self.encrypted(f"file:{self.key}"), f"exec:cat {self.key}",
                                  f"file:{self.key}")
        code, said = self.attach()
        self.assertEqual(code, 0, said)
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
