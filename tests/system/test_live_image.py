"""A qcow2 image that a qemu-storage-daemon owns, served with TPM and UEFI variables, or one that QEMU
owns, with a TPM on its export; and a guest that counts.

Snapshots, backups, moves and commits of overlays are taken while it does; each of them has to be
whole, and at a value that is not older than what was acknowledged before, nor newer than its end.
"""

import unittest

from harness.case import COUNTER, GuestCase
from harness.point_in_time import counter_in
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe
from harness.served import Served
from harness.small_file_system import holes_in

ROUNDS = 3
HOLES_MAX_BYTES = 256 << 10  # Between the tables of a qcow2 file; its clusters have their space.


class LiveImage:
    """start() sets `tpm`, `qemu` and `owner`, the monitor's socket of the image's owner."""

    image_name = "nvram.qcow2"

    def setUp(self):
        super().setUp()
        self.start()
        self.qemu.must(f"nvloop define {COUNTER}")
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)

    def under_load(self, name, *words):
        """Runs a recipe while the guest counts; returns what it printed, and the values that were
        acknowledged before it and may have been reached before its end."""
        before = self.qemu.value_now()
        printed = recipe(name, self.owner, *words)
        # What the guest has reported may still be on its way here.
        reached = self.qemu.value_now() + 300
        self.qemu.wait_value(reached)
        return printed, range(before, reached + 1)

    def stop_owner(self):
        """Nobody has the image open on return; QEMU is gone already."""

    def end(self):
        """Without its owner the image, or what it has become, holds all that was acknowledged."""
        record = self.qemu.kill()
        self.kill_tpm(self.tpm)
        self.stop_owner()
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(drops_in(values_of(record)), [])
        last = values_of(record)[-1]
        self.assertIn(counter_in(self.workspace, self.image, COUNTER), (last, last + 1))

    def test_chain_of_snapshots_and_its_end(self):
        snapshots = []
        for number in range(ROUNDS):
            overlay = self.workspace.file(f"overlay{number}.qcow2")
            _, values = self.under_load("external_snapshot.py", overlay)
            snapshots.append((self.image if number == 0 else last, values))
            last = overlay
        for file, values in snapshots:
            self.assertIn(counter_in(self.workspace, file, COUNTER), values, file)
        self.under_load("commit_overlays.py")
        self.end()

    def test_backups(self):
        for number in range(ROUNDS):
            copy = self.workspace.file(f"backup{number}.qcow2")
            _, values = self.under_load("backup.py", copy)
            self.assertIn(counter_in(self.workspace, copy, COUNTER), values)
            self.assertLess(holes_in(copy), HOLES_MAX_BYTES)
        self.end()

    def test_moves(self):
        for number in range(ROUNDS):
            left, self.image = self.image, self.workspace.file(f"moved{number}.qcow2")
            _, values = self.under_load("move_image.py", self.image)
            self.assertIn(counter_in(self.workspace, left, COUNTER), values)
            self.assertLess(holes_in(self.image), HOLES_MAX_BYTES)
        self.end()


class UnderStorageDaemon(Served, LiveImage, GuestCase):
    def start(self):
        self.daemon = self.start_storage_daemon(self.image)
        self.owner = self.daemon.qmp
        self.tpm = self.start_tpm(self.daemon.uri)
        self.qemu = self.boot(self.tpm)

    def stop_owner(self):
        self.daemon.stop()


class UnderQemu(LiveImage, GuestCase):
    def start(self):
        self.tpm, self.qemu = self.boot_with_drive()
        self.owner = self.qemu.operator


if __name__ == "__main__":
    unittest.main()
