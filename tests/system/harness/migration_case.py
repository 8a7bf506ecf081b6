"""A guest that counts, and moves from one machine to the next."""

import contextlib

# harness.recipe comes first: it makes the recipes' modules known.
from .case import COUNTER, GuestCase
from .qemu import complaints_of, drops_in, values_of
from .vnvram import create, info

# pylint: disable=wrong-import-order
from migrate import Migration
from qmp import Qmp


SLOW_BYTES_PER_SECOND = 1 << 20  # The guest's memory takes minutes: the migration stays in its phase.
FAST_BYTES_PER_SECOND = 1 << 30


class MigrationCase(GuestCase):
    """`image`, `tpm` and `qemu` are where the guest runs now.

    It counts all the time and compares each value with the last one in its memory. Its report goes on
    in the destination's record where it stopped in the source's, to the byte, so both together show
    whether the counter ever went back, skipped, or lost what had been acknowledged.
    """

    # With tpm-crb an answer can be lost (docs/operations.md) unless the TPM is held for the switch.
    model = "tpm-tis"

    def setUp(self):
        super().setUp()
        self.count = 0
        self.records = []  # Of the machines that have ended, in order.
        self.start_source()
        self.qemu.must(f"nvloop define {COUNTER}")

    def start_source(self):
        self.tpm = self.start_tpm()
        self.qemu = self.boot(self.tpm)

    def new_image(self):
        self.count += 1
        return create(self.workspace.file(f"destination{self.count}.img"), *self.image_options)

    def destination(self, *options):
        """A TPM on a fresh image, and a machine that waits for a guest."""
        image = self.new_image()
        tpm = self.start_tpm(image, ("--incoming",))
        return image, tpm, self.start_machine(tpm, incoming="defer", options=options)

    def channel(self):
        self.count += 1
        return f"unix:{self.workspace.file(f'migration{self.count}')}"

    @contextlib.contextmanager
    def migration_to(self, qemu, bytes_per_second):
        """One that has begun."""
        with Qmp(self.qemu.operator) as source, Qmp(qemu.operator) as destination:
            migration = Migration(source, destination)
            migration.start(self.channel(), max_bandwidth=bytes_per_second)
            yield migration

    def guest_goes_on(self, count=20):
        self.qemu.wait_value(self.qemu.value_now() + count)

    def moved_to(self, image, tpm, qemu):
        """The source is not needed any more."""
        self.records.append(self.qemu.quit())
        self.tpm.stop()
        self.check()
        self.assertTrue(info(self.image)["sealed"])
        last = values_of(self.records[-1])[-1]
        self.image, self.tpm, self.qemu = image, tpm, qemu
        self.qemu.wait_value(last + 20)

    def end_owner(self):
        """Of the image, if it is not the TPM or the machine, which have ended."""

    def end(self):
        """Nothing was lost on the way, and the last image holds all of it."""
        self.records.append(self.qemu.kill())
        self.kill_tpm(self.tpm)
        self.end_owner()
        record = b"".join(self.records)
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(drops_in(values_of(record)), [])
        self.check()
        self.tpm = self.start_tpm()
        self.qemu = self.boot(self.tpm)
        last = values_of(record)[-1]
        self.assertIn(int(self.qemu.must(f"nvloop read {COUNTER}")), (last, last + 1))
        self.qemu.quit()
        self.tpm.stop()
