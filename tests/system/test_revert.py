"""Reverting an image takes the guest's counter and its secret back, both, and to nothing else."""

import subprocess
import unittest

from harness.case import GuestCase
from harness.point_in_time import make_overlay
from harness.recipe import recipe
from harness.secret import keep, read_kept


class Revert(GuestCase):
    """A qcow2 image that nothing else owns, and snapshots by qemu-img while nobody has it open."""

    image_name = "nvram.qcow2"

    def snapshot(self, option, name):
        subprocess.run(["qemu-img", "snapshot", option, name, self.image], check=True)

    def in_a_machine(self, action, image=None):
        """Boots, lets the guest do something, and powers off; returns what the guest said."""
        tpm = self.start_tpm(image)
        qemu = self.boot(tpm)
        result = action(qemu)
        qemu.quit()
        tpm.stop()
        self.check(image)
        return result

    def test_internal_snapshots(self):
        first = self.in_a_machine(lambda qemu: keep(qemu, "first", 3, first=True))
        self.snapshot("-c", "one")
        second = self.in_a_machine(lambda qemu: keep(qemu, "second", 5))
        self.assertEqual(second.counter, first.counter + 5)
        self.snapshot("-c", "two")
        self.snapshot("-a", "one")
        self.check()
        self.assertEqual(self.in_a_machine(read_kept), first)
        self.snapshot("-a", "two")
        self.assertEqual(self.in_a_machine(read_kept), second)

    def test_chain_of_external_snapshots(self):
        """Taken from a running machine, by the recipe; each of them can be gone back to."""
        daemon = self.start_storage_daemon(self.image)
        tpm = self.start_tpm(daemon.uri)
        qemu = self.boot(tpm)
        snapshots, top = [], self.image
        for number, secret in enumerate(("first", "second", "third")):
            snapshots.append((top, keep(qemu, secret, 5, first=number == 0)))
            top = self.workspace.file(f"overlay{number}.qcow2")
            recipe("external_snapshot.py", daemon.qmp, top)
        qemu.quit()
        tpm.stop()
        daemon.stop()
        for file, kept in reversed(snapshots):
            overlay = make_overlay(file, self.workspace.file(f"again-{file.name}"))
            self.assertEqual(self.in_a_machine(read_kept, overlay), kept, file)


if __name__ == "__main__":
    unittest.main()
