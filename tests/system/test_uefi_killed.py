"""kill -9 of QEMU and nbdkit while variables are written: 30 times.

The firmware starts from whatever is left, and the variable has its old or its new value.
"""

import time
import unittest

from harness.firmware import PLAIN_2M
from harness.uefi_case import read_blob
from harness.uefi_killed_case import KilledCase
from harness.child import Deadline
from harness.variable_store import reclaim_phase


class Killed(KilledCase):
    """As it is by default: a write is durable soon after it was answered."""

    def test_killed(self):
        for round_number in range(18):
            if round_number % 3 == 0:
                self.kill_while_booting()
            else:
                self.kill_while_counting()
        self.last_boot()


class KilledSyncAlways(KilledCase):
    """Each write is durable before it is answered, so none that was acknowledged is missing."""

    policy = ("sync=always",)

    def test_killed(self):
        for round_number in range(7):
            if round_number == 3:
                self.kill_while_booting()
            else:
                self.kill_while_counting()
        self.last_boot()


class KilledInReclaim(KilledCase):
    """While the firmware makes room in its variable store, with a small store that is soon full."""

    firmware = PLAIN_2M

    def test_killed(self):
        for phase in ("spare", "log", "log"):
            self.kill_in(phase)
        self.last_boot()

    def kill_in(self, phase):
        """The reclaim may come while the machine boots: the one that the last kill has ended."""
        server, qemu = self.start_round()
        self.highest += 1
        deadline = Deadline(120)
        while reclaim_phase(read_blob(self.image)) != phase:
            self.assertFalse(deadline.passed(), f"no reclaim was seen in the phase {phase}")
            time.sleep(0.1)
        time.sleep(self.random.uniform(0, 1))
        print(f"in phase {phase}: ", end="")
        self.kill(server, qemu)


if __name__ == "__main__":
    unittest.main()
