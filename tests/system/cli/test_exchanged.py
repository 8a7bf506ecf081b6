"""In a folder of somebody else's, who puts a link in the place of what a command has just made there."""

import contextlib
import os
import shutil
import subprocess
import time
import unittest

from harness.child import Deadline
from harness.tpm_process import program

from .command import Case

NOBODY = 65534
PRECIOUS = b"precious" * 1000


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class ExchangedTest(Case):
    before = []

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

    def made(self):
        """The command's folder, once it has made its file in there: before that it refuses another one."""
        for name in self.hidden():
            if self.names(self.folder / name):
                return name
        return None

    def run_exchanged(self, call, *words):
        """Before its first call of this kind, one with its file, the command waits until its folder is
        another one.
        """
        argv = ["setpriv", "--pdeathsig", "KILL", "--", "strace", "-f", "-qqq", "-o", "/dev/null", "-e",
                f"trace={call}", "-e", f"inject={call}:delay_enter=600000000:when=1", program("vnvram"), *words]
        with subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL) as tracer:
            deadline = Deadline(60)
            while not (name := self.made()):
                self.assertFalse(deadline.passed())
                time.sleep(0.01)
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

    @contextlib.contextmanager
    def exchanged_by_qemu_img(self):
        """With a qemu-img that exchanges the folder before it does anything; yields the environment."""
        programs = self.path("programs")
        programs.mkdir(exist_ok=True)
        real, folder = shutil.which("qemu-img"), self.folder
        (programs / "qemu-img").write_text(
            f'#!/bin/sh\nfor each in {folder}/.vnvram-new-*; do\n'
            f'  mv "$each" {folder}/moved && ln -s {self.victim} "$each"\ndone\nexec {real} "$@"\n')
        (programs / "qemu-img").chmod(0o755)
        yield {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        self.check_victim()
        self.assertEqual(list((folder / "moved").iterdir()), [])
        (folder / "moved").rmdir()
        for name in self.hidden():
            (folder / name).unlink()

    def check_vm_images(self):
        """Which qemu-img makes, and qemu-nbd opens."""
        image, key = self.folder / "vm.qcow2", self.file("key", b"k" * 32)
        key.chmod(0o644)
        with self.exchanged_by_qemu_img() as environment:
            self.vnvram("create", image, "--blob", "a:t:4K", env=environment)
        self.vnvram("put", image, "a", "-", input=b"content")
        with self.exchanged_by_qemu_img() as environment:
            self.vnvram("encrypt", image, "--new-key", f"file:{key}", env=environment)
        self.assertEqual(self.vnvram("get", image, "a", "--key", f"file:{key}"), b"content")
        with self.exchanged_by_qemu_img() as environment:
            self.vnvram("decrypt", image, "--key", f"file:{key}", env=environment)
        self.assertEqual(self.vnvram("get", image, "a"), b"content")
        with self.exchanged_by_qemu_img() as environment:
            self.vnvram("salvage", image, self.folder / "out.qcow2", env=environment)
        self.assertEqual(self.vnvram("get", self.folder / "out.qcow2", "a"), b"content")

    def test_vm_images(self):
        self.check_vm_images()

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes somebody else")
    def test_vm_images_of_somebody_who_is_not_root(self):
        """Whose descriptors no other program may look at."""
        self.workspace.path.chmod(0o777)
        self.folder.chmod(0o777)
        self.victim.chmod(0o777)  # So that nothing but the command keeps it as it is.
        self.before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        self.check_vm_images()

    @unittest.skipUnless(os.geteuid() == 0, "only root mounts something")
    def test_vm_images_without_proc(self):
        """As after a chroot."""
        self.before = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
        self.check_vm_images()

    def run_vnvram(self, *words, **options):
        argv = [*self.before, program("vnvram"), *words]
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([str(word) for word in argv], capture_output=True, timeout=120, check=False, **options)
