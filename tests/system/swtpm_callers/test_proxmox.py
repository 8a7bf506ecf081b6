"""Proxmox: the state is on a volume of 4 MiB."""

import os
import pathlib
import select
import subprocess
import unittest

from harness.child import PATIENCE_SECONDS
from harness.vnvram import vnvram

from .case import CallerCase

VOLUME_SIZE = 4 << 20


@unittest.skipUnless(os.geteuid() == 0, "mounts, and has loop devices")
class Proxmox(CallerCase):
    def volume(self):
        file = self.workspace.file("vm-100-disk-0.raw")
        with open(file, "wb") as made:
            made.truncate(VOLUME_SIZE)
        return file

    def set_up(self, volume):
        return self.must("swtpm_setup", "--tpmstate", f"file://{volume}", "--createek", "--create-ek-cert",
                         "--create-platform-cert", "--lock-nvram", *self.setup_options(), "--runas", 0,
                         "--not-overwrite", "--tpm2", "--ecc")

    def start_daemon(self, volume):
        """Returns its pidfd."""
        self.must("swtpm", "socket", "--tpmstate", f"backend-uri=file://{volume},mode=0600", "--ctrl",
                  f"type=unixio,path={self.socket},mode=0600", "--pid", f"file={self.pid_file}",
                  "--terminate", "--daemon", "--log", f"file={self.log},level=1,prefix=[id=1] ", "--tpm2")
        # Proxmox looks for it for 5 s; it is there when the daemon's parent has ended.
        return self.ends_with_the_test(int(self.pid_file.read_text("ascii")))

    def life(self, volume, is_set_up=True):
        self.socket, self.pid_file = self.workspace.file("100.swtpm"), self.workspace.file("100.swtpm.pid")
        self.log = self.workspace.log("100-swtpm")
        if is_set_up:
            self.assertIn("Successfully authored TPM state", self.set_up(volume))
        for value in (1, 2):
            pidfd = self.start_daemon(volume)
            control, commands = self.power_on(self.socket)
            if value == 1:
                commands.define_counter()
            commands.must_increment()
            self.assertEqual(commands.counter(), value)
            self.back_up(volume, value)
            self.power_off(control, commands)
            self.assertTrue(select.select([pidfd], [], [], PATIENCE_SECONDS)[0])
            self.assertFalse(self.socket.exists() or self.pid_file.exists())
            before = volume.read_bytes()
            self.set_up(volume)  # Again with each start; there is a TPM.
            self.assertEqual(volume.read_bytes(), before)
        self.assertIn("[id=1] ", self.log.read_text())

    def back_up(self, volume, value):
        """It is read while the TPM runs."""
        copy = self.workspace.file(f"backup{value}")
        self.must("dd", f"if={volume}", f"of={copy}", "bs=64k")
        self.must_be_whole(copy)

    def must_be_whole(self, volume):
        """The image is behind a guard block."""
        image = self.workspace.file("behind")
        image.write_bytes(volume.read_bytes()[4096:])
        vnvram("check", image)

    def test_a_device(self):
        device = subprocess.run(["losetup", "--find", "--show", self.volume()], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=True)
        self.life(pathlib.Path(device))

    def test_a_file_that_keeps_its_place(self):
        """As those that are a volume's by FUSE: one can't be renamed over, and has its size. swtpm_setup
        0.7.1 would remove it first, and so fails for swtpm as well."""
        file = self.volume()
        subprocess.run(["mount", "--bind", file, file], check=True)
        self.addCleanup(subprocess.run, ["umount", file], check=True)
        self.life(file, is_set_up=False)


if __name__ == "__main__":
    unittest.main()
