"""Snapshots of machines whose TPM libvirt starts, as far as 9.0 has them; it is the same with swtpm."""

import unittest

from harness.long_test import long_test
from harness.qemu import make_disk
from harness.volatile_state import VolatileState

from .emulator_case import EmulatorCase


@long_test
class Snapshots(EmulatorCase):
    def disk(self, name):
        disk = make_disk(self.workspace.file(f"{name}.qcow2"))
        disk.chmod(0o666)
        return disk

    def test_internal(self):
        machine = self.counting("inside", disk=self.disk("inside"))
        state = VolatileState(machine)
        self.host.must("snapshot-create-as", machine.name, "s1")
        self.must_count_on(machine, 2)
        # The machine that runs goes back by loadvm, or its QEMU is started anew: as libvirt likes.
        for _ in range(2):
            machine.listen()
            self.host.must("snapshot-revert", machine.name, "s1")
            state.check(machine)
            self.must_count_on(machine, 2)
        self.destroyed(machine)
        # One that is off. It has none of the TPM: swtpm's would not go back, either.
        self.host.must("snapshot-create-as", machine.name, "s2")
        self.must_count_on(machine.start(), 3)
        self.destroyed(machine)
        self.host.must("snapshot-revert", machine.name, "s2")
        self.must_count_on(machine.start(), 4)
        self.destroyed(machine)

    def test_external(self):
        machine = self.counting("outside", disk=self.disk("outside"))
        state = VolatileState(machine)
        memory, overlay = self.workspace.file("outside.mem"), self.workspace.file("outside.overlay")
        self.host.must("snapshot-create-as", machine.name, "s1", "--memspec",
                       f"file={memory},snapshot=external", "--diskspec",
                       f"vda,snapshot=external,file={overlay}")
        self.must_count_on(machine, 2)
        said = self.host.virsh("snapshot-revert", machine.name, "s1", "--force")
        if said.status != 0:
            self.assertIn("not supported yet", said.text)  # As with swtpm: 9.0 reverts to no such one.
            self.destroyed(machine)
            machine.restore(memory)  # Which is in the same format.
        state.check(machine)
        self.must_count_on(machine, 2)
        self.destroyed(machine)


if __name__ == "__main__":
    unittest.main()
