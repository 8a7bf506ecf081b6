"""In a folder of somebody else's, who puts a link in the place of what a command has just made there."""

import os
import shutil
import subprocess
import time
import unittest

from harness.child import Deadline
from harness.tpm_process import program

from .command import Case

PRECIOUS = b"precious" * 1000


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class ExchangedTest(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.path("folder")
        self.victim = self.path("victim")
        for folder in (self.folder, self.victim):
            folder.mkdir()
        for name in ("vm.nvram", "vm.qcow2", "out", "file"):
            (self.victim / name).write_bytes(PRECIOUS)

    def check_victim(self):
        self.assertEqual({file.name: file.read_bytes() for file in self.victim.iterdir()},
                         {name: PRECIOUS for name in ("vm.nvram", "vm.qcow2", "out", "file")})

    def hidden(self):
        return [name for name in self.names(self.folder) if name.startswith(".vnvram-new-")]

    def run_exchanged(self, call, *words):
        """Before its first call of this kind the command waits until its folder is another one."""
        argv = ["setpriv", "--pdeathsig", "KILL", "--", "strace", "-f", "-qqq", "-o", "/dev/null", "-e",
                f"trace={call}", "-e", f"inject={call}:delay_enter=600000000:when=1", program("vnvram"), *words]
        with subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL) as tracer:
            deadline = Deadline(60)
            while not self.hidden():
                self.assertFalse(deadline.passed())
                time.sleep(0.01)
            name = self.hidden()[0]
            (self.folder / name).rename(self.folder / "moved")
            (self.folder / name).symlink_to(self.victim)
            tracer.kill()  # What it holds up goes on then.
        deadline = Deadline(60)
        while self.names(self.folder / "moved"):
            self.assertFalse(deadline.passed(), self.names(self.folder / "moved"))
            time.sleep(0.01)

    def test_a_new_image(self):
        image = self.folder / "vm.nvram"
        self.run_exchanged("fallocate", "create", image)
        self.check_victim()
        self.vnvram("check", image)

    def test_a_blobs_content(self):
        self.create("--blob", "a:t:4K")
        content = self.file("content", b"x" * 3000)
        self.vnvram("put", self.image, "a", content)
        self.run_exchanged("fchmod", "get", self.image, "a", "-o", self.folder / "out")
        self.check_victim()
        self.assertEqual((self.folder / "out").read_bytes(), b"x" * 3000)

    def test_a_new_vm_image(self):
        """Which qemu-img makes, and qemu-nbd opens."""
        programs = self.path("programs")
        programs.mkdir()
        real, folder = shutil.which("qemu-img"), self.folder
        (programs / "qemu-img").write_text(
            f'#!/bin/sh\nfor each in {folder}/.vnvram-new-*; do\n'
            f'  mv "$each" {folder}/moved && ln -s {self.victim} "$each"\ndone\nexec {real} "$@"\n')
        (programs / "qemu-img").chmod(0o755)
        image = folder / "vm.qcow2"
        self.vnvram("create", image, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        self.check_victim()
        self.vnvram("check", image)
