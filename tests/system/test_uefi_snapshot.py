"""Snapshots of a machine that writes a UEFI variable without a pause."""

import unittest

from harness.qemu import complaints_of, drops_in, make_disk, values_of
from harness.qmp import QmpError
from harness.recipe import recipe
from harness.uefi_case import UefiCase

ROUNDS = 3


class Snapshot(UefiCase):
    """The guest has the last value in its memory and compares: if the variables and its memory were
    of different moments after a load, it would say so and stop counting."""

    def test_snapshots_under_load(self):
        disk = make_disk(self.workspace.file("disk.qcow2"))
        server = self.serve()
        qemu = self.boot_application(server, "count n", options=(
            "-blockdev", f"driver=qcow2,node-name=disk,file.driver=file,file.filename={disk}"))
        qemu.wait_value(5)
        with self.assertRaisesRegex(QmpError, "does not support snapshots"):
            qemu.save("plain")
        for number in range(ROUNDS):
            at_least = qemu.value_now()
            recipe("snapshot.py", qemu.operator, "save", f"s{number}", "disk")
            qemu.wait_value(qemu.value_now() + 5)
            self.load(qemu, f"s{number}", at_least)
        recipe("snapshot.py", qemu.operator, "delete", "s1", "disk")
        # Far enough for a guest that counts on after the load not to come so far again.
        qemu.wait_value(qemu.value_now() + 20)
        highest = qemu.value_now()
        self.load(qemu, "s0", 5)
        record = qemu.kill()
        server.stop()
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(len(drops_in(values_of(record))), ROUNDS + 1)
        self.check()
        self.compare_after_power_cut(values_of(record)[-1], highest)

    def load(self, qemu, name, at_least):
        """The guest goes on where it was saved."""
        start = max(0, qemu.record.size() - 20)  # The last report, and no earlier load.
        before = qemu.value_now()
        recipe("snapshot.py", qemu.operator, "load", name, "disk")
        ((_, after),) = qemu.record.wait_until(
            lambda content: drops_in(values_of(content)), start)
        self.assertGreater(after, at_least, "restored a state older than the snapshot")
        self.assertLessEqual(after, before, "the guest went on as if nothing was restored")

    def compare_after_power_cut(self, last, highest):
        """The image has gone back with the machine."""
        self.assertLess(last, highest)
        server = self.serve()
        qemu = self.boot_application(server, "read n")
        found = int(qemu.record.expect(rb"n=(\d+)\n").group(1))
        self.assertIn(found, (last, last + 1))
        qemu.quit()
        server.stop()
        self.check()


if __name__ == "__main__":
    unittest.main()
