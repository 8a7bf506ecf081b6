"""libvirt's <backend type='emulator'> with ours in swtpm's place: nothing else of the host knows of us."""

import stat
import unittest

from harness.case import COUNTER
from harness.volatile_state import VolatileState
from harness.vnvram import info

from .emulator_case import EmulatorCase


class Emulator(EmulatorCase):
    def test_life(self):
        machine = self.counting("life")
        identity = self.identity(machine)
        self.assertEqual(stat.S_IMODE(machine.image.stat().st_mode), 0o600)  # As libvirt asks for it.
        machine.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
        extended = machine.must("tpm2_pcrread sha256:16")
        self.host.must("reset", machine.name)
        machine.wait_ready()
        self.assertNotEqual(machine.must("tpm2_pcrread sha256:16"), extended)
        self.must_count_on(machine, 2)
        machine.power_off()
        self.off(machine)
        self.host.must("domrename", machine.name, "renamed")
        machine.name = "renamed"
        self.must_count_on(machine.start(), 3)
        self.assertEqual(self.identity(machine), identity)
        self.destroyed(machine)
        self.host.must("undefine", machine.name, "--keep-tpm")
        machine.define(machine.uuid)
        self.must_count_on(machine.start(), 4)
        self.destroyed(machine)
        self.host.must("undefine", machine.name)
        self.assertFalse(machine.uuid_folder.exists())

    def test_processes_are_killed(self):
        machine = self.counting("killed")
        machine.kill_qemu()
        self.off(machine)
        self.must_count_on(machine.start(), 2)
        # QEMU goes on without a TPM until libvirt ends it.
        machine.kill_tpm()
        self.assertNotEqual(machine.run(f"nvloop increment {COUNTER}").status, 0)
        self.destroyed(machine)
        self.must_count_on(machine.start(), 3)
        self.host.kill_libvirtd()
        self.must_count_on(machine, 4)
        self.host.must("managedsave", machine.name)
        self.off(machine)
        self.must_count_on(machine.begin(), 5)

    def test_saves(self):
        machine = self.counting("saved")
        state = VolatileState(machine)
        file = self.workspace.file("saved.save")
        self.host.must("save", machine.name, file)
        self.off(machine)
        self.assertFalse(info(machine.image)["sealed"])  # Nobody would say when it comes back.
        machine.restore(file)
        state.check(machine)
        self.must_count_on(machine, 2)
        self.host.must("managedsave", machine.name)
        self.off(machine)
        machine.begin()
        state.check(machine)
        self.must_count_on(machine, 3)
        # One that is not used: what lasts is in the image.
        self.host.must("managedsave", machine.name)
        self.host.must("managedsave-remove", machine.name)
        self.must_count_on(machine.start(), 4)
        # The file holds all of the TPM, and an operator who restores it twice has it as of then.
        self.destroyed(machine)
        machine.restore(file)
        state.check(machine)
        self.must_count_on(machine, 2)
        self.destroyed(machine)


if __name__ == "__main__":
    unittest.main()
