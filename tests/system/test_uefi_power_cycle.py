"""UEFI variables that the firmware and a Linux guest have written are there after power cycles."""

import unittest

from harness import efivars
from harness.firmware import BLOB
from harness.uefi_case import UefiCase, read_blob, wait_until_durable
from harness.vnvram import create, vnvram

LARGE = "yes uefi-variable | head -c 3000"  # The firmware's own limit is 8 KiB.


class PowerCycle(UefiCase):
    def test_power_cycle(self):
        server = self.serve()
        first = self.boot_linux(server)
        started = efivars.starts(first)
        self.assertIsNone(efivars.read(first, "Small"))
        efivars.write(first, "Small", "printf first")
        efivars.write(first, "Large", LARGE)
        efivars.write(first, "Passing", "printf passing")
        before = efivars.digests(first)
        self.assertIn(f"Small-{efivars.OWN}", before)
        wait_until_durable(server, self.image)
        first.kill()
        server.kill()
        self.check()

        server = self.serve()
        second = self.boot_linux(server)
        self.assertEqual(efivars.digests(second), before, "after a power cut")
        self.assertGreater(efivars.starts(second), started, "the firmware's own writes are lost")
        self.assertEqual(efivars.read(second, "Small"), "first")
        efivars.write(second, "Small", "printf second")
        efivars.remove(second, "Passing")
        before = efivars.digests(second)
        second.must("sync")
        second.quit()
        server.stop()
        self.check()

        server = self.serve()
        third = self.boot_linux(server)
        self.assertEqual(efivars.digests(third), before, "after an orderly end")
        self.assertEqual(efivars.read(third, "Small"), "second")
        self.assertIsNone(efivars.read(third, "Passing"))
        third.quit()
        server.stop()
        self.check()


class ComeFromTheImage(UefiCase):
    """What the tests read are the bytes of the blob, and nothing that QEMU keeps elsewhere."""

    def test_variables_go_and_come_with_the_blob(self):
        self.assertEqual(self.run_once("read kept", "write kept 7"), b"kept absent\nkept=7\n")
        kept = self.workspace.file("kept")
        kept.write_bytes(read_blob(self.image))
        vnvram("put", self.image, BLOB, self.firmware.template_path)
        self.assertEqual(self.run_once("read kept"), b"kept absent\n")
        vnvram("put", self.image, BLOB, kept)
        self.assertEqual(self.run_once("read kept"), b"kept=7\n")

    def test_a_store_that_was_in_use_moves_into_an_image(self):
        self.run_once("write kept 7")
        used = self.workspace.file("used_VARS.fd")
        vnvram("get", self.image, BLOB, "--output", used)
        self.image = create(self.workspace.file("other.img"), "--uefi", used)
        self.assertEqual(self.run_once("read kept"), b"kept=7\n")

    def run_once(self, *commands):
        """What the application says between its start and its end."""
        server = self.serve()
        qemu = self.boot_application(server, *commands)
        said = qemu.record.expect(rb"(?s)(.*)done\n").group(1)
        qemu.quit()
        server.stop()
        self.check()
        return said


if __name__ == "__main__":
    unittest.main()
