"""Live migration of a machine without a TPM, with one image that both hosts see: contrib/recipes/migrate_shared.py.

Its firmware writes a UEFI variable without a pause, on whichever host it is, and reports each value that it has written.
"""

import contextlib
import unittest

from harness.child import PATIENCE_SECONDS
from harness.migration_case import FAST_BYTES_PER_SECOND, SLOW_BYTES_PER_SECOND
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import RecipeFailed, recipe
from harness.shared_machine import SharedMachine
from harness.uefi_case import UefiCase
from harness.vnvram import info, vnvram

# pylint: disable=wrong-import-order
from migrate_shared import SharedMigration, VerbFailed
from qmp import Qmp, QmpError


class HandedOver(UefiCase):
    """`host` and `qemu` are where the machine runs now."""

    def setUp(self):
        super().setUp()
        self.record = b""  # Of the machines that have ended, in order.
        self.host = self.serve_shared()
        self.qemu = self.boot_application(self.host, "write kept 4711", "count n")
        self.goes_on()

    def serve_shared(self, *options):
        host = SharedMachine(self.workspace, self.image, "--shared", *options, tpm=False)
        self.children.append(host)
        return host

    def destination(self, host=None):
        """Its QEMU has read its flash there, and the image is the source's."""
        host = host or self.serve_shared("--incoming")
        qemu = self.start_application(host, incoming="defer")
        self.assertIn("stands by", host.status())
        self.assertEqual(info(self.image)["owner_pid"], self.host.pid)
        return host, qemu

    def channel(self):
        self.count += 1
        return f"unix:{self.workspace.file(f'migration{self.count}')}"

    def migrate(self, host, qemu):
        return recipe("migrate_shared.py", self.qemu.operator, qemu.operator, self.channel(),
                      "--source-control", self.host.address, "--destination-control", host.address)

    @contextlib.contextmanager
    def migration_to(self, host, qemu, bytes_per_second):
        with Qmp(self.qemu.operator) as source, Qmp(qemu.operator) as destination:
            migration = SharedMigration(source, destination, self.host.address, host.address)
            migration.start(self.channel(), max_bandwidth=bytes_per_second)
            yield migration

    def goes_on(self):
        """Each value that is reported was written, and is stored."""
        values = values_of(self.record + self.qemu.record.content(0))
        self.qemu.wait_value((values[-1] if values else 0) + 5)
        owner = info(self.image)
        self.assertEqual((owner["sealed"], owner["owner_pid"], owner["hand_over"]), (False, self.host.pid, None))

    def moved_to(self, host, qemu):
        """Returns where it was."""
        self.record += self.qemu.quit()
        here, self.host, self.qemu = self.host, host, qemu
        self.goes_on()
        return here

    def end(self):
        """A power cut: nothing was lost on the way, and the image has all of it."""
        self.record += self.qemu.kill()
        self.host.kill()
        self.assertEqual(complaints_of(self.record), [])
        self.assertEqual(drops_in(values_of(self.record)), [])
        self.check()
        host = self.serve_shared()
        qemu = self.boot_application(host, "read kept", "read n")
        # The firmware makes room first where it was cut in the midst of that, byte by byte.
        found = qemu.record.expect(rb"kept=4711\nn=(\d+)\n", 4 * PATIENCE_SECONDS).group(1)
        last = values_of(self.record)[-1]
        self.assertIn(int(found), (last, last + 1))
        qemu.quit()
        host.stop()
        self.check()


class Moves(HandedOver):
    def test_there_and_back_and_there(self):
        """By processes that stay, with a QEMU after the other."""
        there = None
        for _ in range(3):
            there, qemu = self.destination(there)
            print(self.migrate(there, qemu), flush=True)
            there = self.moved_to(there, qemu)
        there.stop()
        self.goes_on()
        self.end()

    def test_the_source_dies_when_its_state_has_left(self):
        """With its QEMU, as a host does."""
        host, qemu = self.destination()
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            token = migration.hand_over()
            migration.send_state()
            self.assertEqual(migration.destination.execute("query-status")["status"], "paused")
            self.host.kill()
            self.record += self.qemu.kill()
            migration.go_on(token)
        self.host, self.qemu = host, qemu
        self.goes_on()
        self.end()

class Failures(HandedOver):
    def test_the_source_goes_on(self):
        """From every stage, and can be migrated after all."""
        for stage in (self.cancelled_in_the_memory_phase, self.cancelled_at_the_switch, self.held_at_the_switch,
                      self.cancelled_when_let_go, self.the_destination_dies_when_let_go, self.the_destinations_owner_dies):
            with self.subTest(stage.__name__):
                host, qemu = self.destination()
                stage(host, qemu)
                qemu.kill()
                host.kill()
                self.goes_on()
        host, qemu = self.destination()
        print(self.migrate(host, qemu), flush=True)
        self.moved_to(host, qemu)
        self.end()

    def cancelled_in_the_memory_phase(self, host, qemu):
        with self.migration_to(host, qemu, SLOW_BYTES_PER_SECOND) as migration:
            migration.wait_status(migration.source, "active")
            migration.go_back()

    def cancelled_at_the_switch(self, host, qemu):
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            migration.go_back()

    def held_at_the_switch(self, host, qemu):
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            vnvram("hold", self.host.address, "--seconds", "3600")
            with self.assertRaisesRegex(VerbFailed, "changes are held"):
                migration.hand_over()
            migration.go_back()
            vnvram("release", self.host.address)

    def cancelled_when_let_go(self, host, qemu):
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            token = migration.hand_over()
            migration.go_back()
            with self.assertRaises(VerbFailed):  # Too late, whoever asks for it.
                migration.go_on(token)

    def the_destination_dies_when_let_go(self, host, qemu):
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            migration.hand_over()
            qemu.kill()
            with self.assertRaises(QmpError):
                migration.send_state()
            migration.go_back()

    def the_destinations_owner_dies(self, host, qemu):
        """The whole machine is at the destination then, without an image."""
        with self.migration_to(host, qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            token = migration.hand_over()
            migration.send_state()
            host.kill()
            with self.assertRaisesRegex(VerbFailed, "does `vnvram serve .* run"):
                migration.go_on(token)
            migration.go_back()
        qemu.child.wait(PATIENCE_SECONDS)

    def test_what_would_fail_is_not_begun(self):
        """The guest is not stopped for it."""
        host, qemu = self.destination()
        for here, there, why in ((host, self.host, "not here"), (self.host, self.host, "here"),
                                 (self.host, self.workspace.file("none"), "does `vnvram serve .* run")):
            with self.assertRaisesRegex(RecipeFailed, why):
                recipe("migrate_shared.py", self.qemu.operator, qemu.operator, self.channel(), "--source-control", here.address,
                       "--destination-control", getattr(there, "address", f"unix:{there}"))
            self.goes_on()


if __name__ == "__main__":
    unittest.main()
