"""What a user hears who may not do everything: the same exit codes, from every command."""

import os
import subprocess
import unittest

from harness.tpm_process import program

from .command import Case, OK, READ_ONLY
from .places import BlockDevice


@unittest.skipUnless(os.geteuid() == 0, "becomes another user")
class UnprivilegedTest(Case):
    """Rights, which root passes by."""

    NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    def setUp(self):
        super().setUp()
        os.chmod(self.workspace.path, 0o755)

    def refused(self, *words):
        argv = [*self.NOBODY, program("vnvram"), *words]
        done = subprocess.run([str(word) for word in argv], input=b"", capture_output=True,
                              timeout=120, check=False)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, READ_ONLY, said)
        self.assertRegex(said, r"^vnvram: .*Permission denied \(give this user write access to ")
        self.assertNotIn("qemu", said)

    def test_what_this_user_may_only_read(self):
        for name in ("vm.nvram", "vm.qcow2", "vm.vdi"):
            image = self.path(name)
            self.vnvram("create", image, "--blob", "a:t:1K")
            os.chmod(image, 0o644)
            for words in (("put", image, "a", "-"), ("seal", image), ("repair", image),
                          ("resize", image), ("create", image, "--force")):
                self.refused(*words)
            done = subprocess.run([*self.NOBODY, program("vnvram"), "get", image, "a"],
                                  capture_output=True, timeout=120, check=False)
            self.assertEqual(done.returncode, OK, done)

    def test_a_block_device_of_root(self):
        place = BlockDevice(self)
        self.addCleanup(place.end)
        self.vnvram("create", place.location, "--blob", "a:t:1K")
        mode = os.stat(place.location).st_mode
        self.addCleanup(os.chmod, place.location, mode)
        for readable in (0, 0o004):
            os.chmod(place.location, mode | readable)
            self.refused("put", place.location, "a", "-")
            self.refused("rm", place.location, "a")

    def test_an_image_that_this_user_may_not_even_read(self):
        for name in ("vm.nvram", "vm.qcow2"):
            image = self.path(name)
            self.vnvram("create", image, "--blob", "a:t:1K")
            os.chmod(image, 0o600)
            self.refused("put", image, "a", "-")
            self.refused("rm", image, "a")

    def test_a_folder_of_root(self):
        for name in ("vm.nvram", "vm.qcow2"):
            self.refused("create", self.path(name))

    def test_the_daemon_says_the_same(self):
        image = self.path("vm.nvram")
        self.vnvram("create", image, "--tpm2")
        os.chmod(image, 0o644)
        done = subprocess.run([*self.NOBODY, program("vnvram-tpm"), image, "--ctrl",
                               f"unix:{self.path('control')}"], capture_output=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, READ_ONLY, done)
        self.assertIn(b"give this user write access", done.stderr)
