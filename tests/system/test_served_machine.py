"""A machine with one image for its TPM and its UEFI variables, which `vnvram serve` serves."""

import json
import os
import shutil
import signal
import unittest

from harness import efivars
from harness.case import COUNTER, GuestCase, store_three_things, three_things
from harness.child import PATIENCE_SECONDS, Deadline
from harness.served import Served
from harness.uefi_case import wait_until_durable
from harness.vnvram import info, vnvram
from harness.volatile_state import VolatileState

VARIABLE = "Counted"
OWNER_DEATHS = 8
RENEWALS = 4
HOLD_MAX_SECONDS = 600
# Counts with the TPM, and stores each number in a variable before it says so and goes on: at any
# moment the variable is at most one behind the counter.
COUNT = (f"while [ ! -e stop ] && n=$(nvloop increment {COUNTER}) && "
         f"printf '{efivars.KEPT}%s' $n > {efivars.FOLDER}/{VARIABLE}-{efivars.OWN} && "
         "echo $n > new && mv new counted; do :; done 2>complaint & counting=$!")


class ServedMachine(Served, GuestCase):
    image_name = "vm.nvram"

    def start_counting(self, qemu):
        qemu.must(f"nvloop define {COUNTER}")
        efivars.write(qemu, VARIABLE, "printf 0")
        qemu.must(f"chattr -i {efivars.FOLDER}/{VARIABLE}-{efivars.OWN}; echo 0 > counted")
        qemu.must(COUNT)
        self.must_count_on(qemu)

    def counted(self, qemu):
        """The last number that is in both, by the guest's word, to whom nothing was refused."""
        qemu.must("cat complaint; [ ! -s complaint ]")
        return int(qemu.must("cat counted"))

    def must_count_on(self, qemu, rounds=3):
        target = self.counted(qemu) + rounds
        deadline = Deadline(PATIENCE_SECONDS)
        while (number := self.counted(qemu)) < target:
            self.assertFalse(deadline.passed(), f"the guest stands at {number}")

    def stop_counting(self, qemu):
        """Returns what is in both then."""
        qemu.must("touch stop; wait $counting; rm stop")
        number = self.counted(qemu)
        self.assertEqual(self.stored(qemu), (number, number))
        return number

    def stored(self, qemu):
        """By the TPM, and by the firmware."""
        return int(qemu.must(f"nvloop read {COUNTER}")), int(efivars.read(qemu, VARIABLE))

    def is_sealed(self, machine):
        return json.loads(machine.status("--json"))["sealed"]

    def end(self, machine, qemu):
        qemu.must("sync")
        qemu.quit()
        machine.stop()
        self.check()


class PowerCut(ServedMachine):
    def test_both_are_there_afterwards(self):
        machine = self.start_tpm()
        qemu = self.boot(machine)
        started = efivars.starts(qemu)
        store_three_things(qemu)
        efivars.write(qemu, "Small", "printf first")
        efivars.write(qemu, "Large", "yes uefi-variable | head -c 3000")
        things, variables = three_things(qemu), efivars.digests(qemu)
        wait_until_durable(machine, self.image)
        qemu.kill()
        machine.kill_all()
        self.check()

        machine = self.start_tpm()
        qemu = self.boot(machine)
        self.assertEqual(three_things(qemu), things)
        self.assertEqual(efivars.digests(qemu), variables)
        self.assertEqual(efivars.starts(qemu), started + 1)
        self.end(machine, qemu)


class OwnerKilledAndAllExchanged(ServedMachine):
    reconnect_seconds = 120

    def test_the_guest_goes_on(self):
        machine = self.start_tpm()
        qemu = self.boot(machine)
        volatile = VolatileState(qemu)
        self.start_counting(qemu)
        before = machine.processes()
        for _ in range(OWNER_DEATHS):
            os.kill(machine.processes()["owner"], signal.SIGKILL)
            self.must_count_on(qemu)
        after = machine.processes()
        self.assertNotEqual(after.pop("owner"), before.pop("owner"))
        self.assertEqual(after, before)  # Nobody else has died of it.
        self.assertEqual(machine.log_text().count("the owner has died"), OWNER_DEATHS)
        for _ in range(RENEWALS):
            before = machine.processes()
            vnvram("restart", "--all", machine.address)
            self.assertFalse(set(machine.processes().values()) & set(before.values()))
            self.must_count_on(qemu)
        self.stop_counting(qemu)
        volatile.check(qemu)
        self.end(machine, qemu)


class Copied(ServedMachine):
    def test_a_copy_under_hold_is_of_one_moment(self):
        machine = self.start_tpm()
        qemu = self.boot(machine)
        self.start_counting(qemu)
        at_least = self.counted(qemu)
        copy = self.workspace.file("copy.nvram")
        vnvram("hold", machine.address, "--seconds", HOLD_MAX_SECONDS)
        held = json.loads(machine.status("--json"))["generation"]
        shutil.copy(self.image, copy)
        vnvram("release", machine.address)
        self.must_count_on(qemu)
        at_most = self.stop_counting(qemu)
        self.end(machine, qemu)
        self.check(copy)
        self.assertEqual(info(copy)["generation"], held)
        self.assertLess(held, info(self.image)["generation"])

        machine = self.start_tpm(copy)
        qemu = self.boot(machine)
        counter, variable = self.stored(qemu)
        self.assertIn(variable, (counter - 1, counter))
        self.assertGreaterEqual(variable, at_least)
        self.assertLess(counter, at_most)
        qemu.quit()
        machine.stop()
        self.check(copy)


class HandedOver(ServedMachine):
    def test_to_a_file_and_back(self):
        machine = self.start_tpm()
        qemu = self.boot(machine)
        self.start_counting(qemu)
        self.goes_on_here(machine, qemu)
        number = self.counted(qemu)
        file = self.workspace.file("machine")
        qemu.qmp.execute("stop")
        qemu.suspend_to(file)
        qemu.quit()
        machine.stop()
        self.check()
        self.assertTrue(info(self.image)["sealed"])
        with self.assertRaisesRegex(AssertionError, "(?s)status 30.*--incoming"):
            self.start_tpm()

        machine = self.start_tpm(options=("--incoming",))
        qemu = self.start_machine(machine, incoming="defer")
        qemu.resume_from(file)
        self.must_count_on(qemu)
        self.assertFalse(self.is_sealed(machine))
        self.assertGreater(self.stop_counting(qemu), number)
        self.end(machine, qemu)
        self.assertFalse(info(self.image)["sealed"])

    def goes_on_here(self, machine, qemu):
        """A QEMU that has fetched the TPM's state, and is told that the machine goes on after all:
        with its variables first, whose flash knows nothing of that."""
        qemu.must("kill -STOP $counting")
        qemu.qmp.execute("stop")
        qemu.suspend_to("/dev/null")
        deadline = Deadline(PATIENCE_SECONDS)
        # QEMU says that it has migrated a bit before it can go on.
        while (status := qemu.qmp.execute("query-status")["status"]) != "postmigrate":
            self.assertFalse(deadline.passed(), status)
        qemu.qmp.execute("cont")
        efivars.write(qemu, "Between", "printf written")
        qemu.must("kill -CONT $counting")
        self.must_count_on(qemu)
        self.assertEqual(efivars.read(qemu, "Between"), "written")
        self.assertFalse(self.is_sealed(machine))
        self.assertFalse(info(self.image)["sealed"])


if __name__ == "__main__":
    unittest.main()
