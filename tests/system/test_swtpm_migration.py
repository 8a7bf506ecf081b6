"""A guest moves between a host with swtpm and one with vnvram-tpm, or vnvram-swtpm, both ways: by live
migration, in a file, and in a snapshot of its drive."""

import unittest

from harness.case import COUNTER
from harness.migration_case import MigrationCase
from harness.qemu import make_disk, values_of
from harness.recipe import recipe
from harness.swtpm_process import SwtpmProcess
from harness.tpm_process import program
from harness.volatile_state import VolatileState


class BetweenSwtpmAndVnvram(MigrationCase):

    def setUp(self):
        self.swtpms = 0
        super().setUp()

    def start_swtpm(self):
        """A fresh one: what it holds is replaced."""
        self.swtpms += 1
        swtpm = SwtpmProcess(self.workspace, self.workspace.file(f"swtpm{self.swtpms}"))
        self.children.append(swtpm)
        return swtpm

    def start_ours(self):
        self.image = self.new_image()
        return self.start_tpm(self.image, ("--incoming",))

    def start_source(self):
        self.tpm = self.start_swtpm()
        self.disk = make_disk(self.workspace.file("disk.qcow2"))
        self.qemu = self.boot(self.tpm, self.disk)

    def leave(self):
        """The source has ended; its last value is what the destination goes on from."""
        self.records.append(self.qemu.quit())
        if isinstance(self.tpm, SwtpmProcess):
            self.assertEqual(self.tpm.wait(), 0)
        else:
            self.tpm.stop()
        return values_of(self.records[-1])[-1]

    def arrive(self, tpm, qemu, last):
        """The guest counts on."""
        self.tpm, self.qemu = tpm, qemu
        qemu.wait_value(last + 20)

    def migrate_to(self, tpm):
        qemu = self.start_machine(tpm, self.disk, incoming="defer")
        print(recipe("migrate.py", self.qemu.operator, qemu.operator, self.channel()))
        self.arrive(tpm, qemu, self.leave())

    def in_a_file_to(self, start_tpm):
        file = self.workspace.file("suspended")
        self.qemu.suspend_to(file)
        last = self.leave()
        tpm = start_tpm()
        qemu = self.start_machine(tpm, self.disk, incoming="defer")
        qemu.resume_from(file)
        self.arrive(tpm, qemu, last)

    def in_a_snapshot_to(self, start_tpm):
        """The guest does nothing between the snapshot and the end."""
        self.qemu.qmp.execute("stop")
        self.qemu.save("moved")
        last = self.leave()
        tpm = start_tpm()
        qemu = self.start_machine(tpm, self.disk, options=("-S",))
        qemu.load("moved")
        qemu.qmp.execute("cont")
        self.arrive(tpm, qemu, last)

    def test_there_and_back(self):
        state = VolatileState(self.qemu)
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)

        self.in_a_file_to(self.start_ours)
        self.in_a_file_to(self.start_swtpm)
        self.in_a_snapshot_to(self.start_ours)
        self.in_a_snapshot_to(self.start_swtpm)
        self.migrate_to(self.start_ours())
        self.migrate_to(self.start_swtpm())
        self.migrate_to(self.start_ours())
        # Keys, registers and sessions are what they were; and all that lasts is on our image.
        self.qemu.stop_loop()
        state.check(self.qemu)
        self.end()


class BetweenSwtpmAndOursInItsPlace(BetweenSwtpmAndVnvram):
    def start_ours(self):
        """It makes its image when the state comes."""
        self.count += 1
        folder = self.workspace.file(f"ours{self.count}")
        self.image = folder / "tpm2-00.permall"
        ours = SwtpmProcess(self.workspace, folder, name=program("vnvram-swtpm"))
        self.children.append(ours)
        return ours


if __name__ == "__main__":
    unittest.main()
