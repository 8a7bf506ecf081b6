"""Live migration with one image that both hosts see: two vnvram-tpm --shared on it, one of which has it.

The guest counts all the time; harness/migration_case.py says what is checked.
"""

import contextlib
import os
import unittest

from harness.case import COUNTER
from harness.migration_case import FAST_BYTES_PER_SECOND, SLOW_BYTES_PER_SECOND, MigrationCase
from harness.qemu import complaints_of, drops_in, values_of
from harness.vnvram import info

# pylint: disable=wrong-import-order
from qmp import QmpError

HOPS = 40 if os.environ.get("VNVRAM_LONG_TESTS") else 3


class OneImage(MigrationCase):
    def start_source(self):
        self.tpm = self.start_tpm(options=("--shared",))
        self.qemu = self.boot(self.tpm)

    def destination(self, *options):
        """Both are up beside the source, which has the image."""
        tpm = self.start_tpm(options=("--shared", "--incoming", "--tpm2"))
        qemu = self.start_machine(tpm, incoming="defer", options=options)
        self.assertEqual(info(self.image)["owner_pid"], self.tpm.pid)
        return self.image, tpm, qemu

    def moved_to(self, image, tpm, qemu):
        self.records.append(self.qemu.kill())
        self.tpm.stop()
        self.goes_on_at(image, tpm, qemu)

    def assert_goes_on(self, tpm):
        owner = info(self.image)
        self.assertEqual((owner["sealed"], owner["owner_pid"], owner["hand_over"]), (False, tpm.pid, None))

    def move(self):
        image, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            stopped_ms = migration.switch_over()
        self.moved_to(image, tpm, qemu)
        return stopped_ms

    @contextlib.contextmanager
    def migration_that_has_come(self):
        """All of its state; the machine stands still there, and the source has not ended. Gives what destination()
        does, and the migration."""
        image, tpm, qemu = self.destination("-S")
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            migration.source.execute("migrate-continue", state="pre-switchover")
            migration.wait_status(migration.destination, "completed")
            yield image, tpm, qemu, migration

    def goes_on_at(self, image, tpm, qemu):
        """The destination, and the source has ended."""
        last = values_of(self.records[-1])[-1]
        self.image, self.tpm, self.qemu = image, tpm, qemu
        self.qemu.wait_value(last + 20)
        self.assert_goes_on(tpm)

    def count_on(self):
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)


class Moves(OneImage):
    def test_under_load(self):
        self.count_on()
        stops = [self.move() for _ in range(HOPS)]
        print(f"{HOPS} live migrations with one image: the guest was stopped for {min(stops):.0f} to {max(stops):.0f} ms")
        self.end()

    def test_the_source_dies_when_its_state_has_left(self):
        """With its QEMU; as a host does."""
        self.count_on()
        with self.migration_that_has_come() as (image, tpm, qemu, migration):
            self.tpm.kill()
            self.records.append(self.qemu.kill())
            migration.destination.execute("cont")
        self.goes_on_at(image, tpm, qemu)
        self.end()


class Failures(OneImage):
    def test_source_goes_on(self):
        """At every stage, and can be migrated after all."""
        self.count_on()
        for stage in (self.cancelled_in_the_memory_phase, self.cancelled_at_the_switch,
                      self.destination_dies_at_the_switch, self.its_tpm_dies_at_the_switch):
            with self.subTest(stage.__name__):
                stage()
                self.guest_goes_on()
                self.assert_goes_on(self.tpm)
        self.move()
        self.end()

    def cancelled_in_the_memory_phase(self):
        _, tpm, qemu = self.destination()
        with self.migration_to(qemu, SLOW_BYTES_PER_SECOND) as migration:
            migration.wait_status(migration.source, "active")
            self.guest_goes_on()
            migration.cancel()
        qemu.kill()
        tpm.kill()

    def cancelled_at_the_switch(self):
        _, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            migration.cancel()
        qemu.kill()
        tpm.kill()

    def destination_dies_at_the_switch(self):
        _, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            qemu.kill()
            with self.assertRaises(QmpError):
                migration.switch_over()
        tpm.kill()

    def its_tpm_dies_at_the_switch(self):
        """The source has handed over then, and is told that it goes on."""
        _, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            tpm.kill()
            migration.source.execute("migrate-continue", state="pre-switchover")
            try:
                migration.wait_status(migration.source, "completed")
            except QmpError:
                pass  # Failed: its guest goes on by itself.
            else:
                migration.source.execute("cont")
        qemu.kill()

    def test_the_destination_dies_with_the_image(self):
        """It has powered the TPM on: the machine starts anew, where the image is seen, and has lost nothing."""
        self.count_on()
        with self.migration_that_has_come() as (image, tpm, qemu, _):
            pass
        record = self.qemu.kill()
        tpm.kill()
        qemu.kill()
        self.tpm.stop()
        self.assertEqual((complaints_of(record), drops_in(values_of(record))), ([], []))
        self.tpm = self.start_tpm(image, ("--shared",))
        self.qemu = self.boot(self.tpm)
        last = values_of(record)[-1]
        self.assertIn(int(self.qemu.must(f"nvloop read {COUNTER}")), (last, last + 1))
        self.qemu.quit()
        self.tpm.stop()


if __name__ == "__main__":
    unittest.main()
