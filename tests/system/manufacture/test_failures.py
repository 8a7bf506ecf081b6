"""Manufactures that fail or are killed: no image is there, or what was there before, and nothing runs on."""

import os
import select
import shutil
import signal
import unittest

from harness.child import Child, PATIENCE_SECONDS
from harness.vm_image import wait_until_let_go
from harness.vnvram import create

from .case import ManufactureCase, run

IO, UNSUPPORTED, USAGE, EXISTS, TOO_LARGE, NO_SPACE = 21, 29, 2, 26, 28, 20
# Called once for each certificate; says which process it is, and who has started it, when it has been called so
# often, and stays.
AUTHORITY = """#!/bin/sh
echo >> {folder}/calls
if [ "$(wc -l < {folder}/calls)" = "$(cat {folder}/stage)" ]; then
  echo $$ $PPID > {folder}/here
  exec sleep infinity
fi
exec /usr/bin/swtpm_localca "$@"
"""
# Of the program itself, in the order in which they come: its folder, the key, swtpm_setup, and the image.
STEPS = (("mkdirat", 3), ("mkdirat", 4), ("memfd_create", 1), ("poll", 1), ("fallocate", 1), ("fdatasync", 1),
         ("fdatasync", 6), ("renameat2", 1))
BEHIND_ALL = ("fsync", 1)


class Failures(ManufactureCase):
    def check_nothing(self):
        self.assertFalse(self.image.exists())
        self.assertEqual([path.name for path in self.workspace.path.iterdir()
                          if path.name.startswith((".vnvram", "vm."))], [])

    def test_there_is_no_swtpm_setup(self):
        said = run(*self.command(self.image), env={**self.env, "PATH": str(self.temporary)}, status=UNSUPPORTED)
        self.assertIn("swtpm_setup", said)
        self.assertIn("swtpm-tools", said)
        self.check_nothing()

    def test_no_certificate_is_issued(self):
        config = self.workspace.file("broken.conf")
        config.write_text(self.config.read_text("utf-8").replace("/usr/bin/swtpm_localca", "/bin/false"), "utf-8")
        said = self.create("--config", config, status=IO)
        self.assertIn("swtpm_setup has failed with code 1", said)
        self.assertIn("/bin/false", said)
        self.check_nothing()
        # What was there stays, whatever was asked for.
        create(self.image)
        before = self.image.read_bytes()
        self.create("--force", "--config", config, status=IO)
        self.assertEqual(self.image.read_bytes(), before)

    def test_its_configuration_is_not_there(self):
        said = self.create("--config", self.workspace.file("nowhere"), status=IO)
        self.assertIn("nowhere", said)
        self.check_nothing()

    def test_no_certificates_are_issued_for_nothing(self):
        create(self.image)
        disk = self.workspace.file("small.qcow2")
        run("qemu-img", "create", "-f", "qcow2", disk, "1M")
        nowhere = self.workspace.file("no-folder") / "vm.nvram"
        other = self.workspace.file("other.nvram")
        many = [f"--tpm2=guest{number}/" for number in range(20)]
        config = self.workspace.file("never.conf")
        config.write_text(self.config.read_text("utf-8").replace("/usr/bin/swtpm_localca", "/bin/false"), "utf-8")
        for status, image, words, complaint in (
                (EXISTS, self.image, (), "vm.nvram"),
                (IO, nowhere, (), "no-folder"),
                (TOO_LARGE, other, ("--birth=" + 4100 * "x",), "4096"),
                (NO_SPACE, other, ("--size", "1M"), "are needed"),
                (NO_SPACE, disk, (), "are needed"),
                (NO_SPACE, other, many, "public metadata")):
            with self.subTest(complaint, image=image.name):
                # Who would be asked for one fails, and with another code or word.
                said = self.create("--config", config, *words, image=image, status=status)
                self.assertIn(complaint, said)
                self.assertNotIn("swtpm_setup", said)
        self.assertFalse(other.exists())

    def test_a_folder_that_swtpm_setup_cannot_be_told(self):
        folder = self.workspace.file("with space")
        folder.mkdir()
        said = run(*self.command(self.image), env={"TMPDIR": str(folder)}, status=USAGE)
        self.assertIn("TMPDIR", said)
        self.check_nothing()

    def killed(self, *before, config=None):
        """Returns the process that manufactures."""
        words = self.command(self.image, *(("--config", config) if config else ()))
        child = Child([*before, *words], self.workspace.log("create"), self.env)
        self.addCleanup(child.kill)
        return child

    def check_killed(self):
        wait_until_let_go(self.temporary)
        self.check_nothing()

    def staying_authority(self):
        """Its folder, and the configuration that names it."""
        folder = self.workspace.file("stages")
        folder.mkdir()
        tool = folder / "tool"
        tool.write_text(AUTHORITY.format(folder=folder), "utf-8")
        tool.chmod(0o755)
        os.mkfifo(folder / "here")
        config = folder / "setup.conf"
        config.write_text(self.config.read_text("utf-8").replace("/usr/bin/swtpm_localca", str(tool)), "utf-8")
        return folder, config

    @staticmethod
    def end(pidfd):
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(pidfd)

    def killed_at(self, stage, folder, config, kill):
        """`kill` gets the process of `create`, and that of swtpm_setup. Returns the former."""
        (folder / "calls").unlink(missing_ok=True)
        (folder / "stage").write_text(str(stage), "utf-8")
        reader = os.open(folder / "here", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        child = self.killed(config=config)
        ready, _, _ = select.select([reader, child.pidfd], [], [], PATIENCE_SECONDS)
        self.assertIn(reader, ready)
        tool, setup = map(int, os.read(reader, 100).split())
        tool_fd = os.pidfd_open(tool)
        self.addCleanup(self.end, tool_fd)
        self.assertNotEqual(list(self.temporary.iterdir()), [])
        kill(child, setup)
        self.assertTrue(select.select([tool_fd], [], [], PATIENCE_SECONDS)[0])
        child.wait()
        self.check_killed()
        return child

    def test_killed_at_each_certificate(self):
        folder, config = self.staying_authority()
        for stage in range(1, 4):
            with self.subTest(stage=stage):
                self.killed_at(stage, folder, config, lambda child, _: child.kill())
        # The next one removes what was left behind.
        self.create()
        self.check_identity(self.image)

    def test_swtpm_setup_is_killed(self):
        child = self.killed_at(2, *self.staying_authority(), lambda _, setup: os.kill(setup, signal.SIGKILL))
        self.assertEqual(child.wait(), IO)
        self.assertIn("swtpm_setup has failed with code 137", child.log.read_text("utf-8"))
        self.assertEqual(list(self.temporary.iterdir()), [])

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_killed_before_steps_of_its_own(self):
        for call, number in (*STEPS, BEHIND_ALL):
            with self.subTest(call):
                child = self.killed("strace", "-D", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                    f"inject={call}:signal=KILL:when={number}")
                self.assertEqual(child.wait(), -9)
                wait_until_let_go(self.temporary)
                self.assertEqual(self.image.exists(), (call, number) == BEHIND_ALL)
        self.check_identity(self.image)
        self.create("--force")
        self.check_identity(self.image)
        self.assertEqual([path.name for path in self.workspace.path.iterdir()
                          if path.name.startswith(".vnvram")], [])


if __name__ == "__main__":
    unittest.main()
