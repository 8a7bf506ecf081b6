"""Live migration with one image that both hosts see, for a whole machine: `vnvram serve --shared` at both ends of it, each
with the machine's TPM and its UEFI variables, one of which has the image.

The guest counts with its TPM all the time, as in test_shared_migration.py, and what its firmware keeps comes along.
"""

import json
import os
import signal
import unittest

import test_shared_migration as of_a_tpm
from harness import efivars
from harness.case import COUNTER
from harness.migration_case import FAST_BYTES_PER_SECOND
from harness.qemu import drops_in, values_of
from harness.served import Served
from harness.shared_machine import SharedMachine
from harness.vnvram import info

# pylint: disable=wrong-import-order
from qmp import QmpError

VARIABLE = "Moved"


class OneServedImage(Served, of_a_tpm.OneImage):
    moves = 0

    def start_tpm(self, image=None, options=()):
        machine = SharedMachine(self.workspace, image or self.image, *options)
        self.children.append(machine)
        return machine

    def start_source(self):
        self.tpm = self.start_tpm(options=("--shared",))
        self.qemu = self.boot(self.tpm)
        efivars.write(self.qemu, VARIABLE, "printf 0")
        self.starts = efivars.starts(self.qemu)

    def destination(self, *options):
        """QEMU has read its flash, and the image is the source's."""
        tpm = self.start_tpm(options=("--shared", "--incoming"))
        qemu = self.start_machine(tpm, incoming="defer", options=options)
        self.assertIn("stands by", tpm.status())
        self.assertEqual(info(self.image)["owner_pid"], self.tpm.pid)
        return self.image, tpm, qemu

    def assert_goes_on(self, tpm):
        owner = info(self.image)
        self.assertEqual((owner["sealed"], owner["owner_pid"], owner["hand_over"]), (False, tpm.pid, None))
        self.assertFalse(json.loads(tpm.status("--json"))["stands_by"])

    def end(self):
        """What was counted is there, and the variables, by the image alone."""
        self.qemu.stop_loop()
        self.moves += 1
        efivars.write(self.qemu, VARIABLE, f"printf {self.moves}")
        digests = efivars.digests(self.qemu)
        last = int(self.qemu.must(f"nvloop read {COUNTER}"))
        self.qemu.must("sync")
        self.records.append(self.qemu.quit())
        self.tpm.stop()
        record = b"".join(self.records)
        self.assertEqual(drops_in(values_of(record)), [])
        self.check()
        self.tpm = self.start_tpm(options=("--shared",))
        self.qemu = self.boot(self.tpm)
        self.assertEqual(int(self.qemu.must(f"nvloop read {COUNTER}")), last)
        self.assertEqual(efivars.read(self.qemu, VARIABLE), str(self.moves))
        self.assertEqual(efivars.digests(self.qemu), digests)
        self.assertEqual(efivars.starts(self.qemu), self.starts + 1)
        self.qemu.quit()
        self.tpm.stop()


class Moves(OneServedImage, of_a_tpm.Moves):
    def test_the_owner_dies_when_it_has_let_go(self):
        """At the source, and its front ends wait for the next one; the machine goes on at the destination."""
        self.count_on()
        with self.migration_that_has_come() as (image, tpm, qemu, migration):
            os.kill(self.tpm.pid, signal.SIGKILL)
            migration.destination.execute("cont")
        self.records.append(self.qemu.kill())
        self.tpm.kill()
        self.goes_on_at(image, tpm, qemu)
        self.end()


class Failures(OneServedImage, of_a_tpm.Failures):
    def test_the_owner_dies_when_it_has_let_go(self):
        """And the migration fails: the next owner takes the image back, for all its devices."""
        self.count_on()
        _, tpm, qemu = self.destination()
        with self.migration_to(qemu, FAST_BYTES_PER_SECOND) as migration:
            migration.wait_for_switchover()
            tpm.kill()
            migration.source.execute("migrate-continue", state="pre-switchover")
            try:
                migration.wait_status(migration.source, "completed")
            except QmpError:
                pass  # Its guest goes on by itself.
            else:
                os.kill(self.tpm.pid, signal.SIGKILL)
                migration.source.execute("cont")
        qemu.kill()
        self.guest_goes_on()
        self.assert_goes_on(self.tpm)
        self.end()


if __name__ == "__main__":
    unittest.main()
