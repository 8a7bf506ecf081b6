"""A drive that QEMU itself owns: the machine's own snapshots hold its NVRAM."""

import unittest

from harness.case import COUNTER, GuestCase
from harness.point_in_time import counter_in
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe, tpm_admin
from harness.secret import keep, read_kept

ROUNDS = 20


class OwnedDrive(GuestCase):
    image_name = "nvram.qcow2"

    def setUp(self):
        super().setUp()
        self.tpm, self.qemu = self.boot_with_drive()

    def save(self, name):
        recipe("savevm.py", self.qemu.operator, self.tpm.admin, name)

    def load(self, name):
        recipe("loadvm.py", self.qemu.operator, self.tpm.admin, name)

    def load_without_a_fence(self, name):
        """The drive changes under an open store, which finds out before it writes again."""
        self.qemu.qmp.execute("stop")
        tpm_admin("hold", self.tpm.admin)
        self.qemu.load(name)
        tpm_admin("resume", self.tpm.admin)
        self.qemu.qmp.execute("cont")

    def end(self):
        record = self.qemu.kill()
        self.tpm.kill()
        self.assertEqual(complaints_of(record), [])
        return record

    def test_revert(self):
        first = keep(self.qemu, "first", 3, first=True)
        self.save("one")
        second = keep(self.qemu, "second", 5)
        self.assertEqual(second.counter, first.counter + 5)
        self.save("two")
        for load in (self.load, self.load_without_a_fence):
            for name, kept in (("one", first), ("two", second), ("one", first)):
                load(name)
                self.assertEqual(read_kept(self.qemu), kept)
        third = keep(self.qemu, "third", 2)
        self.end()
        self.assertEqual(counter_in(self.workspace, self.image, COUNTER), third.counter)

    def test_savevm_loadvm_under_load(self):
        self.qemu.must(f"nvloop define {COUNTER}")
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for number in range(ROUNDS):
            at_least = self.qemu.value_now()
            self.save("snapshot")
            self.qemu.wait_value(self.qemu.value_now() + 10)
            start = max(0, self.qemu.record.size() - 50)
            load = self.load if number % 2 == 0 else self.load_without_a_fence
            load("snapshot")
            ((_, after),) = self.qemu.record.wait_until(
                lambda content: drops_in(values_of(content)), start)
            self.assertGreater(after, at_least, "restored a state older than the snapshot")
        self.qemu.wait_value(self.qemu.value_now() + 10)
        values = values_of(self.end())
        self.assertEqual(len(drops_in(values)), ROUNDS)
        self.assertIn(counter_in(self.workspace, self.image, COUNTER), (values[-1], values[-1] + 1))


if __name__ == "__main__":
    unittest.main()
