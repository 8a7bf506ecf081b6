"""A machine's TPM is its own, in whatever order an operator starts, saves and ends the machine: never
a new one, never an old one that nobody has asked for, and no machine without it."""

import unittest

from harness.case import COUNTER
from harness.vnvram import info, vnvram
from harness.volatile_state import VolatileState

from .libvirt_case import LibvirtCase


class Orders(LibvirtCase):
    def test_start_reset_end(self):
        machine = self.counting("life")
        machine.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
        extended = machine.must("tpm2_pcrread sha256:16")
        self.host.must("reset", machine.name)
        machine.wait_ready()
        self.assertNotEqual(machine.must("tpm2_pcrread sha256:16"), extended)
        self.must_count_on(machine, 2)
        machine.power_off()
        self.check(machine)
        self.must_count_on(machine.start(), 3)
        self.host.must("destroy", machine.name)
        self.check(machine)
        self.host.must("domrename", machine.name, "other-name")
        machine.name = "other-name"
        self.must_count_on(machine.start(), 4)
        self.host.must("destroy", machine.name)
        self.host.must("undefine", machine.name)
        self.assertFalse(info(machine.image)["sealed"])
        machine.define()
        self.must_count_on(machine.start(), 5)

    def test_save_and_restore(self):
        machine = self.counting("saved")
        state = VolatileState(machine)
        file = self.workspace.file("saved.save")
        self.host.must("save", machine.name, file)
        self.must_be_refused_as_sealed(machine)
        machine.restore(file)
        state.check(machine)
        self.must_count_on(machine, 2)
        # A restore that libvirt refuses has been announced to the hook, too: that counts for nothing.
        self.assertIn("already active", self.host.refuses("restore", file))
        self.host.must("destroy", machine.name)
        self.check(machine)
        vnvram("seal", machine.image)
        self.must_be_refused_as_sealed(machine)
        vnvram("unseal", machine.image)
        self.must_count_on(machine.start(), 3)

    def test_a_restore_that_failed(self):
        """It had been announced, and nobody says that it is over. What starts next does not come from
        elsewhere."""
        machine = self.counting("announced")
        self.host.must("managedsave", machine.name)
        self.host.must("managedsave-remove", machine.name)
        self.host.inner(self.host.HOOK, machine.name, "restore", "begin", "-",
                        stdin=self.host.must("dumpxml", machine.name))
        before = info(machine.image)
        self.assertIn("has just failed", machine.refused())
        self.assertEqual(info(machine.image)["generation"], before["generation"])
        self.must_be_refused_as_sealed(machine)
        vnvram("unseal", machine.image)
        self.must_count_on(machine.start(), 2)

    def test_managed_save(self):
        machine = self.counting("managed")
        state = VolatileState(machine)
        self.host.must("managedsave", machine.name)
        self.check(machine)
        machine.begin()
        state.check(machine)
        self.must_count_on(machine, 2)

    def test_managed_save_that_is_not_used(self):
        """Its state is gone by an operator's word. What the image holds is as of the save, and the
        machine begins with it when the operator says that, too."""
        machine = self.counting("unused")
        self.host.must("managedsave", machine.name)
        before = info(machine.image)
        self.assertTrue(before["sealed"])
        said = machine.refused("--force-boot")
        self.assertIn(f"vnvram unseal {machine.image}", said)
        self.assertEqual(info(machine.image), before)
        self.must_be_refused_as_sealed(machine)  # The save is gone: nothing to go on with.
        vnvram("unseal", machine.image)
        self.must_count_on(machine.start("--force-boot"), 2)
        self.host.must("managedsave", machine.name)
        self.host.must("managedsave-remove", machine.name)
        self.must_be_refused_as_sealed(machine)
        vnvram("unseal", machine.image)
        self.must_count_on(machine.start(), 3)

    def test_managed_save_of_a_machine_that_goes(self):
        machine = self.counting("going")
        self.host.must("managedsave", machine.name)
        self.assertIn("managed save", self.host.refuses("domrename", machine.name, "gone"))
        self.host.must("undefine", machine.name, "--managed-save")
        machine.define()
        self.must_be_refused_as_sealed(machine)

    def test_external_snapshot(self):
        machine = self.counting("snapped")
        state = VolatileState(machine)
        file = self.workspace.file("snapshot.mem")
        self.host.must("snapshot-create-as", machine.name, "s1", "--memspec",
                       f"file={file},snapshot=external")
        self.must_count_on(machine, 2)  # It goes on, and its state is not handed over.
        self.host.must("destroy", machine.name)
        self.assertFalse(info(machine.image)["sealed"])
        self.must_count_on(machine.start(), 3)
        self.revert(machine, file)
        state.check(machine)
        self.must_count_on(machine, 2)
        self.host.must("destroy", machine.name)
        self.must_count_on(machine.start(), 3)

    def revert(self, machine, file):
        """libvirt 9.0 does not, but restores what it calls the snapshot's memory."""
        machine.listen()
        said = self.host.virsh("snapshot-revert", machine.name, "s1", "--force")
        if said.status != 0:
            self.assertIn("not supported yet", said.text)
            self.host.must("destroy", machine.name)
            machine.restore(file)

    def test_qemu_is_killed(self):
        machine = self.counting("killed")
        self.host.kill_process(f"/run/libvirt/qemu/{machine.name}.pid")
        machine.wait_off()
        self.check(machine)
        machine.start()
        self.assertEqual(int(machine.must(f"nvloop read {COUNTER}")), 1)

    def test_libvirtd_is_killed(self):
        """The machine, and what serves it, go on."""
        machine = self.counting("outlives")
        self.host.kill_libvirtd()
        self.must_count_on(machine, 2)
        self.host.must("managedsave", machine.name)
        self.check(machine)
        self.must_count_on(machine.begin(), 3)

    def test_what_serves_it_is_killed(self):
        """The machine has no TPM until it is started again, and has lost nothing then."""
        machine = self.counting("bereft")
        self.host.kill_process(f"{machine.folder}/serve.pid")
        self.assertNotEqual(machine.run(f"nvloop increment {COUNTER}").status, 0)
        self.host.must("destroy", machine.name)
        self.check(machine)
        machine.start()
        self.assertEqual(int(machine.must(f"nvloop read {COUNTER}")), 1)


if __name__ == "__main__":
    unittest.main()
