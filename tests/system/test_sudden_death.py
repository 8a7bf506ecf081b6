"""kill -9 in the middle of a guest's increments: none that the TPM acknowledged is missing.

The guest counts as fast as it can and reports each acknowledged value before it sends the next
increment. What is on the image afterwards is the last reported value, or one more: an increment whose
acknowledgement was still on its way.
"""

import random
import time
import unittest

from harness.case import COUNTER, GuestCase
from harness.qemu import complaints_of, values_of

ROUNDS = 4


class SuddenDeath:
    """Rounds of a guest that counts and a sudden end."""

    def setUp(self):
        super().setUp()
        self.last = None

    def start_round(self):
        """Boots, compares with what the last round saw, lets the guest count for a random while."""
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        if self.last is None:
            qemu.must(f"nvloop define {COUNTER}")
            qemu.must(f"nvloop increment {COUNTER}")
        else:
            stored = int(qemu.must(f"nvloop read {COUNTER}"))
            self.assertIn(stored, (self.last, self.last + 1))
        qemu.start_loop(COUNTER)
        for _ in range(random.randint(20, 400)):
            qemu.record.expect(rb"<\d+:\d+>")
        # Any instant within an increment, not always the one right after a report.
        time.sleep(random.uniform(0, 0.005))
        return tpm, qemu

    def end_round(self, record):
        values = values_of(record)
        self.assertEqual(values, list(range(values[0], values[-1] + 1)))
        if self.last is not None:
            self.assertIn(values[0], (self.last + 1, self.last + 2))
        self.last = values[-1]
        self.check()


class TpmKilled(SuddenDeath, GuestCase):
    def test_tpm_killed(self):
        for _ in range(ROUNDS):
            tpm, qemu = self.start_round()
            tpm.kill()
            # The guest is told: its next command fails, and it never hears of a success again.
            qemu.record.expect(rb"!(increment|read)-refused")
            self.end_round(qemu.kill())


class QemuKilled(SuddenDeath, GuestCase):
    def test_qemu_killed(self):
        for _ in range(ROUNDS):
            tpm, qemu = self.start_round()
            record = qemu.kill()
            tpm.kill()
            self.assertEqual(complaints_of(record), [])
            self.end_round(record)

    def test_tpm_outlives_killed_qemu(self):
        """QEMU dies, the TPM stays up and serves the next machine."""
        tpm, qemu = self.start_round()
        record = qemu.kill()
        self.end_round(record)
        qemu = self.boot(tpm)
        self.assertIn(int(qemu.must(f"nvloop read {COUNTER}")), (self.last, self.last + 1))
        qemu.quit()
        tpm.stop()
        self.check()


if __name__ == "__main__":
    unittest.main()
