"""TPM 1.2: an NV area survives a power cycle, a register does not."""

import unittest

from harness.case import GuestCase

INDEX = "0x1500"


class Tpm12(GuestCase):
    image_options = ("--tpm12",)
    model = "tpm-tis"

    def test_power_cycle(self):
        tpm = self.start_tpm()
        first = self.boot(tpm)
        self.assertEqual(first.must("cat /sys/class/tpm/tpm0/tpm_version_major"), "1")
        self.assertIn("1.2 TPM", first.must("dmesg | grep tpm_tis"))
        at_boot = first.must("nvloop pcr12 10")
        first.must(f"nvloop define12 {INDEX}")
        first.must(f"nvloop write12 {INDEX} before-the-cut")
        self.assertNotEqual(first.must("nvloop extend12 10"), at_boot)
        first.kill()
        tpm.kill()
        self.check()

        tpm = self.start_tpm()
        second = self.boot(tpm)
        self.assertIn("00001500", second.must("nvloop list12").split())
        self.assertEqual(second.must(f"nvloop read12 {INDEX}").rstrip("\0"), "before-the-cut")
        self.assertEqual(second.must("nvloop pcr12 10"), at_boot)
        second.must(f"nvloop write12 {INDEX} after-the-cut")
        second.quit()
        tpm.stop()
        self.check()

        tpm = self.start_tpm()
        third = self.boot(tpm)
        self.assertEqual(third.must(f"nvloop read12 {INDEX}").rstrip("\0"), "after-the-cut")
        third.quit()
        tpm.stop()
        self.check()


if __name__ == "__main__":
    unittest.main()
