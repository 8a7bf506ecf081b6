"""kill -9 of QEMU and nbdkit while variables are written: 9 times, in ./dev prove 27 more.

The firmware starts from whatever is left, and the variable has its old or its new value.
"""

import time
import unittest

from harness.child import Deadline
from harness.firmware import SMALLEST_SECURE
from harness.long_test import long_test
from harness.uefi_case import read_blob
from harness.uefi_killed_case import KilledCase
from harness.variable_store import reclaim_phase


class Killed(KilledCase):
    deferred_rounds, durable_rounds = 6, 3

    def test_killed(self):
        self.rounds(self.deferred_rounds)
        # Now each write is durable before it is answered, so none that was acknowledged is missing.
        # (Much slower: a firmware writes its variables byte by byte. So it is not the first boot.)
        self.policy = ("sync=always",)
        self.rounds(self.durable_rounds)
        self.last_boot()

    def rounds(self, count):
        for number in range(count):
            if number % 3 == 0:
                self.kill_while_booting()
            else:
                self.kill_while_counting()


@long_test
class KilledOften(Killed):
    """Each boot may take minutes on a busy machine."""

    deferred_rounds, durable_rounds = 18, 9


class KilledInReclaim(KilledCase):
    """While the firmware makes room in its variable store; with the smallest store, which is soon
    full.

    Debian's firmware without SMM loses all variables when it is stopped while it writes the
    compacted log over the old one, on a plain file as well: it looks at the log before it has
    repaired it. The one with SMM looks into the spare area then.
    """

    firmware = SMALLEST_SECURE

    def test_killed(self):
        self.kill_in(lambda blob: reclaim_phase(blob) == "spare", "while the spare area is written")
        self.kill_in(lambda blob: reclaim_phase(blob) == "log", "while the log is written")
        left = read_blob(self.image)
        self.kill_in(lambda blob: blob != left, "while the log is repaired")
        self.last_boot()

    def kill_in(self, reached, name):
        """Boots, and waits until the blob is in a state; a reclaim begins while the machine counts,
        or while it boots: the one that the last kill has ended."""
        server, qemu = self.start_round()
        deadline = Deadline(120)
        while not reached(read_blob(self.image)):
            self.assertIsNone(qemu.child.returncode, f"QEMU has ended before the moment: {name}")
            self.assertFalse(deadline.passed(), f"the moment did not come: {name}")
            time.sleep(0.05)
        time.sleep(self.random.uniform(0, 1))
        self.highest += 1
        print(name, end=", ")
        self.kill(server, qemu)


if __name__ == "__main__":
    unittest.main()
