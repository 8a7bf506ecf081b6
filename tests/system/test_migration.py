"""Live migration without shared storage: each side's TPM has an image of its own.

The guest counts all the time; harness/migration_case.py says what is checked.
"""

import contextlib
import unittest

from harness.case import COUNTER
from harness.migration_case import FAST_BYTES_PER_SECOND, SLOW_BYTES_PER_SECOND, MigrationCase
from harness.recipe import recipe
from harness.volatile_state import VolatileState

# pylint: disable=wrong-import-order
from qmp import QmpError

HOPS = 3


class OwnImages(MigrationCase):
    def test_under_load(self):
        state = VolatileState(self.qemu)
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for _ in range(HOPS):
            image, tpm, qemu = self.destination()
            print(recipe("migrate.py", self.qemu.operator, qemu.operator, self.channel()))
            self.moved_to(image, tpm, qemu)
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
