"""Machines that libvirt moves between two hosts, with the TPM that it starts on each."""

import subprocess
import time

from harness.case import COUNTER
from harness.child import Child, Deadline, PATIENCE_SECONDS

from .emulator_case import EmulatorCase

SLOW_MIB_PER_SECOND = 1


class EmulatorMigrationCase(EmulatorCase):
    def pair(self, name, other, host=None, **more):
        """The machine here, which runs and has counted to 1, and what it will be there."""
        here = self.counting(name, host=host or self.host, **more)
        return here, self.machine_on(other, name, **more).known_as(here.uuid)

    def move(self, machine, there, *options):
        """Returns what virsh says."""
        there.listen()
        return machine.host.virsh(*self.words_of_move(machine, there), *options)

    def words_of_move(self, machine, there):
        channel = self.workspace.file(f"{machine.host.name}.migration")
        channel.unlink(missing_ok=True)
        return ("migrate", "--live", "--persistent", machine.name, there.host.uri, "--migrateuri",
                f"unix://{channel}")

    def must_move(self, machine, there):
        said = self.move(machine, there)
        self.assertEqual(said.status, 0, said.text + machine.host.logs_text() + there.host.logs_text())
        machine.close()

    def cancel_a_move(self, machine, there):
        """In its memory phase, which takes minutes."""
        there.listen()
        words = self.words_of_move(machine, there)
        log = self.workspace.log("cancelled")
        migration = Child(["virsh", "--connect", machine.host.uri, *words, "--bandwidth",
                           SLOW_MIB_PER_SECOND], log)
        self.addCleanup(migration.kill)
        deadline = Deadline(PATIENCE_SECONDS)
        while "Memory processed" not in machine.host.virsh("domjobinfo", machine.name).text:
            self.assertFalse(deadline.passed(), log.read_text(errors="replace"))
            time.sleep(0.05)
        machine.host.must("domjobabort", machine.name)
        self.assertNotEqual(migration.wait(), 0)
        self.assertNotIn(there.name, there.host.must("list", "--name", "--all").split())

    def ends(self, machine):
        """It is switched off where it is, and its TPM there is whole and as it was."""
        value = int(machine.must(f"nvloop read {COUNTER}"))
        machine.host.must("destroy", machine.name)
        self.off(machine)
        self.must_count_on(machine.start(), value + 1)
        machine.host.must("destroy", machine.name)
        self.off(machine)


def build_preload(source, target):
    subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o",
                    target, source], check=True)
    return target
