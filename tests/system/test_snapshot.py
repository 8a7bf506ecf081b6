"""savevm and loadvm of a running guest that counts without a pause."""

import unittest

from harness import efivars
from harness.case import COUNTER, GuestCase
from harness.child import Deadline, PATIENCE_SECONDS
from harness.qemu import complaints_of, drops_in, make_disk, values_of
from harness.recipe import recipe
from harness.served import Served
from harness.vm_image import wait_until_let_go
from harness.vnvram import vnvram

# pylint: disable=wrong-import-order
from idle_tpm import start_register
from qmp import Qmp

HOLD_SECONDS = 5


class Snapshot:
    """The guest keeps the last value in its memory and compares: if the TPM's state and the guest's
    memory were of different moments after a loadvm, it would say so and stop counting."""

    rounds = 50

    def test_savevm_loadvm_under_load(self):
        tpm = self.start_tpm()
        qemu = self.boot(tpm, disk=make_disk(self.workspace.file("disk.qcow2")))
        qemu.must(f"nvloop define {COUNTER}")
        qemu.start_loop(COUNTER)
        qemu.wait_value(5)
        loads = 0
        for number in range(self.rounds):
            at_least = qemu.value_now()
            self.save(qemu, tpm)
            restored = self.load(qemu, at_least)
            loads += 1
            if number % 10 == 0:
                # Once more from the same snapshot: the same value. It may be one off where the
                # snapshot falls into the middle of a report, half of which is dropped.
                self.assertAlmostEqual(self.load(qemu, at_least), restored, delta=1)
                loads += 1
        record = qemu.kill()
        self.kill_tpm(tpm)
        wait_until_let_go(self.image)  # By the qemu-nbd of its own.
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(len(drops_in(values_of(record))), loads)
        self.check()
        self.compare_after_restart(values_of(record)[-1])

    def save(self, qemu, _tpm):
        """A running machine can be saved as it is."""
        qemu.save("snapshot")

    def go_back(self, qemu):
        qemu.load("snapshot")

    def load(self, qemu, at_least):
        """Lets the guest count on, then restores; returns the first value that it reports then."""
        qemu.wait_value(qemu.value_now() + 10)
        start = max(0, qemu.record.size() - 50)
        before = qemu.value_now()
        self.go_back(qemu)
        ((_, after),) = qemu.record.wait_until(
            lambda content: drops_in(values_of(content)), start)
        self.assertGreater(after, at_least, "restored a state older than the snapshot")
        self.assertLessEqual(after, before, "the guest went on as if nothing was restored")
        return after

    def compare_after_restart(self, last):
        """loadvm's state became the durable one, and what was acknowledged since then as well."""
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        self.assertIn(int(qemu.must(f"nvloop read {COUNTER}")), (last, last + 1))
        qemu.quit()
        tpm.stop()
        self.check()


class SnapshotServed(Served, Snapshot, GuestCase):
    """TPM and UEFI variables go back together."""

    model = "tpm-crb"
    rounds = 15  # Each takes three runs of the recipe.

    def setUp(self):
        super().setUp()
        self.saves = 0

    def save(self, qemu, tpm):
        if self.saves:
            recipe("snapshot.py", qemu.operator, "delete", "snapshot", "state")
        self.saves += 1
        efivars.write(qemu, "Saved", f"printf {self.saves}")
        if self.saves == 1:
            self.leave_an_answer_under_way(qemu, tpm)
        recipe("snapshot.py", qemu.operator, "save", "snapshot", "state")
        efivars.write(qemu, "Saved", "printf later")

    def leave_an_answer_under_way(self, qemu, tpm):
        """Until the hold is over. The snapshot would not have it if the recipe did not wait: it reaches
        this device's buffer after QEMU has saved the RAM, which the buffer is a part of."""
        vnvram("hold", tpm.address, "--seconds", HOLD_SECONDS)
        with Qmp(qemu.operator) as operator:
            deadline = Deadline(PATIENCE_SECONDS)
            while not start_register(operator):
                self.assertFalse(deadline.passed(), "the guest does not ask its TPM for anything")

    def go_back(self, qemu):
        recipe("snapshot.py", qemu.operator, "load", "snapshot", "state")
        self.assertEqual(efivars.read(qemu, "Saved"), str(self.saves))


class SnapshotTis(Snapshot, GuestCase):
    model = "tpm-tis"


class SnapshotQcow2(Snapshot, GuestCase):
    """The TPM on a qcow2 image of its own."""

    model = "tpm-tis"
    image_name = "nvram.qcow2"


if __name__ == "__main__":
    unittest.main()
