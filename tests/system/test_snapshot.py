"""savevm and loadvm of a running guest that counts without a pause."""

import unittest

from harness.case import COUNTER, GuestCase
from harness.qemu import complaints_of, drops_in, make_disk, values_of
from harness.recipe import recipe
from harness.vm_image import wait_until_let_go

ROUNDS = 50


class Snapshot:
    """The guest keeps the last value in its memory and compares: if the TPM's state and the guest's
    memory were of different moments after a loadvm, it would say so and stop counting."""

    def test_savevm_loadvm_under_load(self):
        tpm = self.start_tpm(admin=True)
        qemu = self.boot(tpm, disk=make_disk(self.workspace.file("disk.qcow2")))
        qemu.must(f"nvloop define {COUNTER}")
        qemu.start_loop(COUNTER)
        qemu.wait_value(5)
        loads = 0
        for number in range(ROUNDS):
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
        tpm.kill()
        wait_until_let_go(self.image)  # By the qemu-nbd of its own.
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(len(drops_in(values_of(record))), loads)
        self.check()
        self.compare_after_restart(values_of(record)[-1])

    def save(self, qemu, _tpm):
        """A running machine can be saved as it is."""
        qemu.save("snapshot")

    def load(self, qemu, at_least):
        """Lets the guest count on, then restores; returns the first value that it reports then."""
        qemu.wait_value(qemu.value_now() + 10)
        start = max(0, qemu.record.size() - 50)
        before = qemu.value_now()
        qemu.load("snapshot")
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


class SnapshotCrb(Snapshot, GuestCase):
    model = "tpm-crb"

    def save(self, qemu, tpm):
        # As for a suspended machine: the answer to a command that is under way reaches this device's
        # buffer after QEMU has saved the RAM, which the buffer is a part of.
        recipe("savevm.py", qemu.operator, tpm.admin, "snapshot")


class SnapshotTis(Snapshot, GuestCase):
    model = "tpm-tis"


class SnapshotQcow2(Snapshot, GuestCase):
    """The TPM on a qcow2 image of its own."""

    model = "tpm-tis"
    image_name = "nvram.qcow2"


if __name__ == "__main__":
    unittest.main()
