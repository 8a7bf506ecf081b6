"""Live migration without shared storage: each side has an image of its own.

The guest counts all the time; harness/migration_case.py says what is checked.
"""

import contextlib
import unittest

from harness import efivars
from harness.case import COUNTER
from harness.migration_case import FAST_BYTES_PER_SECOND, SLOW_BYTES_PER_SECOND, MigrationCase
from harness.recipe import recipe
from harness.served import Served
from harness.vnvram import info
from harness.volatile_state import VolatileState

# pylint: disable=wrong-import-order
from qmp import QmpError

HOPS = 3


class OwnImages(Served, MigrationCase):
    """TPM and UEFI variables move together, and in the end they come back to the image that they left,
    which is sealed."""

    model = "tpm-crb"

    def test_under_load(self):
        first = self.image
        state = VolatileState(self.qemu)
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for hop in range(HOPS):
            image = first if hop == HOPS - 1 else self.new_image()
            tpm = self.start_tpm(image, ("--incoming",))
            qemu = self.start_machine(tpm, incoming="defer")
            efivars.write(self.qemu, "Moved", f"printf {hop}")
            print(recipe("migrate.py", self.qemu.operator, qemu.operator, self.channel()))
            self.moved_to(image, tpm, qemu)
            self.assertEqual(efivars.read(self.qemu, "Moved"), str(hop))
        self.assertFalse(info(first)["sealed"])
        self.qemu.stop_loop()
        state.check(self.qemu)
        self.end()


class Failures(MigrationCase):
    """At every stage. The guest goes on where it was, and can be migrated after all."""

    def test_source_goes_on(self):
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for stage in (self.cancelled_in_the_memory_phase, self.destination_dies_in_the_memory_phase,
                      self.cancelled_at_the_switch, self.destination_dies_at_the_switch,
                      self.destination_dies_with_the_state):
            with self.subTest(stage.__name__):
                stage()
                self.guest_goes_on()
                self.assertEqual(self.qemu.qmp.execute("query-status")["status"], "running")
        image, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            migration.switch_over()
        self.moved_to(image, tpm, qemu)
        self.end()

    @contextlib.contextmanager
    def failing(self, bytes_per_second, *options):
        """A migration whose destination does not live long."""
        _, tpm, qemu = self.destination(*options)
        with self.migration_to(qemu, bytes_per_second) as migration:
            yield migration, qemu
        qemu.kill()
        tpm.kill()

    def cancelled_in_the_memory_phase(self):
        with self.failing(SLOW_BYTES_PER_SECOND) as (migration, _):
            migration.wait_status(migration.source, "active")
            self.guest_goes_on()
            migration.cancel()

    def destination_dies_in_the_memory_phase(self):
        with self.failing(SLOW_BYTES_PER_SECOND) as (migration, qemu):
            migration.wait_status(migration.source, "active")
            self.guest_goes_on()
            qemu.kill()
            migration.wait_status(migration.source, "failed")

    def cancelled_at_the_switch(self):
        with self.failing(FAST_BYTES_PER_SECOND) as (migration, _):
            migration.wait_for_switchover()
            migration.cancel()

    def destination_dies_at_the_switch(self):
        with self.failing(FAST_BYTES_PER_SECOND) as (migration, qemu):
            migration.wait_for_switchover()
            qemu.kill()
            with self.assertRaises(QmpError):
                migration.switch_over()

    def destination_dies_with_the_state(self):
        """It has got everything and was not yet to run (-S); the operator lets the source go on."""
        with self.failing(FAST_BYTES_PER_SECOND, "-S") as (migration, qemu):
            migration.wait_for_switchover()
            migration.source.execute("migrate-continue", state="pre-switchover")
            migration.wait_status(migration.source, "completed")
            migration.wait_status(migration.destination, "completed")
            qemu.kill()
            migration.source.execute("cont")


if __name__ == "__main__":
    unittest.main()
