"""In a root without /proc, as services that are confined to one often have it."""

import os
import subprocess
import unittest

from harness.tpm_process import program

from .command import Case


@unittest.skipUnless(os.geteuid() == 0, "hides /proc")
class WithoutProc(Case):
    def run_hidden(self, *words, **options):
        """It must succeed; returns its output."""
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh",
             str(program("vnvram")), *map(str, words)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False, **options)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def test_an_image_is_made_and_used(self):
        content = self.file("content", b"x" * 3000)
        self.run_hidden("create", self.image, "--blob", "a:t:4K")
        self.run_hidden("put", self.image, "a", content)
        self.assertEqual(self.run_hidden("get", self.image, "a"), b"x" * 3000)
        self.run_hidden("create", self.image, "--force", "--blob", "b:t:4K")
        self.assertEqual(self.names(), ["content", "vm.nvram"])
        self.vnvram("check", self.image)

    def test_an_image_by_its_descriptor(self):
        """Which nothing tells the path of."""
        content = self.file("content", b"x" * 3000)
        self.create("--blob", "a:t:4K")
        with open(self.image, "r+b") as image:
            there = f"fd:{image.fileno()}"
            self.run_hidden("put", there, "a", content, pass_fds=[image.fileno()])
            self.assertEqual(self.run_hidden("get", there, "a", pass_fds=[image.fileno()]), b"x" * 3000)
        self.vnvram("check", self.image)
