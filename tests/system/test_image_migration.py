"""Live migration with block migration of the NVRAM's image: a mirror follows every commit, the
destination's TPM opens its copy with the guest stopped, and the machine is switched over.

The guest counts all the time; harness/migration_case.py says what is checked.
"""

import contextlib
import subprocess
import unittest

from harness.case import COUNTER, nvram_drive
from harness.migration_case import FAST_BYTES_PER_SECOND, MigrationCase
from harness.point_in_time import counter_in
from harness.qemu import values_of
from harness.recipe import RecipeFailed, recipe, tpm_admin
from harness.tpm_process import program
from harness.vnvram import info, vnvram
from harness.volatile_state import VolatileState

# pylint: disable=wrong-import-order
import nvram_export
from migrate import Migration
from migrate_with_image import ImageMirror, SourceDrive
from qmp import Qmp

HOPS = 2
SIZE_BYTES = 4 << 20
SEALED = 30  # An exit code.


class Side:
    """What runs at one side. `nbd` is the socket of the export of its image."""

    def __init__(self, image, tpm, qemu, nbd, daemon=None):
        self.image = image
        self.tpm = tpm
        self.qemu = qemu
        self.nbd = nbd
        self.daemon = daemon

    def end(self):
        """The machine has moved on, or never got here."""
        self.qemu.kill()
        self.tpm.kill()
        if self.daemon:
            self.daemon.stop()


class WithTheImage:
    """start_side() has the source with a booted guest, or a destination."""

    image_name = "nvram.qcow2"

    def start_source(self):
        self.side = self.start_side(self.image, None)
        self.tpm, self.qemu = self.side.tpm, self.side.qemu

    def destination(self):
        """Its image is empty: neither TPM nor store has touched it."""
        self.count += 1
        image = self.workspace.file(f"destination{self.count}.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=full",
                        image, str(SIZE_BYTES)], check=True)
        return self.start_side(image, "defer")

    def move(self):
        """By the recipe. The source is ended, and its image is sealed and holds what it held at the
        switch."""
        left, new = self.side, self.destination()
        print(self.run_recipe(left, new))
        recipe("end_source.py", left.qemu.operator, left.tpm.admin, left.image)
        self.records.append(left.qemu.ended())
        left.tpm.stop()
        if left.daemon:
            left.daemon.stop()
        last = values_of(self.records[-1])[-1]
        self.look_at_what_is_left(left.image, last)
        self.side, self.image, self.tpm, self.qemu = new, new.image, new.tpm, new.qemu
        self.qemu.wait_value(last + 20)

    def run_recipe(self, left, new):
        daemon = ("--source-daemon", left.daemon.qmp) if left.daemon else ()
        return recipe("migrate_with_image.py", left.qemu.operator, new.qemu.operator, self.channel(),
                      "--nbd", new.nbd, "--source-admin", left.tpm.admin,
                      "--destination-admin", new.tpm.admin, *daemon)

    def look_at_what_is_left(self, image, last):
        self.assertTrue(info(image)["sealed"])
        refused = subprocess.run([program("vnvram-tpm"), image, "--ctrl", "unix:/nowhere"],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=60, check=False)
        self.assertEqual(refused.returncode, SEALED, refused.stderr)
        self.assertIn("handed over", refused.stderr)
        vnvram("unseal", image)
        self.assertIn(counter_in(self.workspace, image, COUNTER), (last, last + 1))

    def test_under_load(self):
        state = VolatileState(self.qemu)
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for _ in range(HOPS):
            self.move()
        self.qemu.stop_loop()
        state.check(self.qemu)
        self.end()

    def test_source_goes_on(self):
        """Whatever happens before the switch. Afterwards it can be migrated."""
        self.qemu.start_loop(COUNTER)
        self.qemu.wait_value(10)
        for stage in (self.destination_dies_behind_the_mirror, self.cancelled_with_the_mirror,
                      self.cancelled_behind_the_mirror):
            with self.subTest(stage.__name__):
                new = self.destination()
                with Qmp(self.qemu.operator) as source, Qmp(new.qemu.operator) as target:
                    self.try_to_move(stage, source, target, new)
                new.end()
                self.guest_goes_on()
        self.recipe_puts_everything_back()
        self.move()
        self.end()

    def recipe_puts_everything_back(self):
        """It fails when it wants the destination's TPM, which is gone."""
        new = self.destination()
        new.tpm.kill()
        with self.assertRaisesRegex(RecipeFailed, "cannot connect"):
            self.run_recipe(self.side, new)
        new.end()
        self.guest_goes_on()

    def try_to_move(self, stage, source, target, new):
        with self.mirror_owner(source) as owner:
            self.export(target, new)
            mirror = ImageMirror(owner, new.nbd)
            mirror.start()
            self.guest_goes_on()
            migration = Migration(source, target)
            migration.start(self.channel(), max_bandwidth=FAST_BYTES_PER_SECOND)
            migration.wait_for_switchover()
            stage(migration, mirror, new)

    def destination_dies_behind_the_mirror(self, migration, mirror, new):
        """With everything in place but the switch itself; the TPM has let go of its drive."""
        drive = self.drive(migration.source)
        drive.close()
        mirror.end()
        tpm_admin("attach", new.tpm.admin, nvram_export.uri(new.nbd))
        new.qemu.kill()
        migration.cancel()
        drive.open_again()

    def cancelled_with_the_mirror(self, migration, mirror, new):
        """The TPM has its drive all the time; nothing is under way while the mirror goes."""
        drive = self.drive(migration.source)
        drive.hold()
        mirror.cancel()
        migration.cancel()
        drive.open_again()

    def cancelled_behind_the_mirror(self, migration, mirror, new):
        drive = self.drive(migration.source)
        drive.close()
        mirror.end()
        migration.cancel()
        drive.open_again()

    def drive(self, qemu):
        return SourceDrive(qemu, self.tpm.admin, owned_by_qemu=self.side.daemon is None)


class FromStorageDaemons(WithTheImage, MigrationCase):
    def end_owner(self):
        self.side.daemon.stop()

    @contextlib.contextmanager
    def mirror_owner(self, source):
        with Qmp(self.side.daemon.qmp) as owner:
            yield owner

    def export(self, target, new):
        """The daemon does it."""

    def start_side(self, image, incoming):
        daemon = self.start_storage_daemon(image)
        options = ("--detached", "--incoming", "--tpm2") if incoming else ()
        tpm = self.start_tpm(daemon.uri, options, admin=True)
        qemu = self.start_machine(tpm, incoming=incoming)
        return Side(image, tpm, qemu if incoming else qemu.wait_ready(), daemon.nbd, daemon)


class FromQemu(WithTheImage, MigrationCase):
    """Each side's image is its QEMU's own drive."""

    @contextlib.contextmanager
    def mirror_owner(self, source):
        yield source

    def export(self, target, new):
        nvram_export.serve(target, new.nbd)
        nvram_export.add(target)

    def start_side(self, image, incoming):
        self.count += 1
        nbd = self.workspace.file(f"drive{self.count}.nbd")
        if not incoming:
            tpm, qemu = self.boot_with_drive(nbd)
            return Side(image, tpm, qemu, nbd)
        tpm = self.start_tpm("-", ("--detached", "--incoming", "--tpm2"), admin=True)
        qemu = self.start_machine(tpm, incoming=incoming, options=nvram_drive(image))
        return Side(image, tpm, qemu, nbd)


if __name__ == "__main__":
    unittest.main()
