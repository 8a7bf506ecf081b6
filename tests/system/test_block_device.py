"""The same image used from a file, from a loop block device over it, and from the file again."""

import subprocess
import unittest

from harness.case import AREA_TEXT, COUNTER, SECRET, GuestCase
from harness.case import store_three_things, three_things


class BlockDevice(GuestCase):
    def attach(self):
        """As root only. The workspace lets the device go if the test cannot."""
        done = subprocess.run(["losetup", "--find", "--show", self.image], check=True,
                              capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False,
                        stderr=subprocess.DEVNULL)
        return device

    def test_file_and_block_device(self):
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        store_three_things(qemu)
        counter = three_things(qemu)[0]
        qemu.quit()
        tpm.stop()

        device = self.attach()
        self.check(device)
        tpm = self.start_tpm(device)
        qemu = self.boot(tpm)
        self.assertEqual(three_things(qemu), (counter, AREA_TEXT, SECRET))
        qemu.must(f"tpm2_nvincrement {COUNTER} -C o")
        qemu.kill()
        tpm.kill()
        self.check(device)
        subprocess.run(["losetup", "--detach", device], check=True)

        self.check()
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        self.assertEqual(three_things(qemu), (counter + 1, AREA_TEXT, SECRET))
        qemu.quit()
        tpm.stop()
        self.check()


if __name__ == "__main__":
    unittest.main()
