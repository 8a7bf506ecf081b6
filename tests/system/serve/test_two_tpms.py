"""One image with the TPMs of two machines, each with blobs of its own."""

import os
import shutil
import signal

from cli.command import NOT_FOUND, USAGE
from harness.tpm_process import TpmProcess, program
from nbdkit.nbdkit_case import BLOBS, SIZES
from tpm.support import ControlClient

from .counting_clients import deaths
from .machine_case import Incrementer, MachineCase

PREFIX = "guest2/"
STATES = ("permanent", "volatile", "savestate")
PERMANENT = 1


class TwoTpms(MachineCase):
    image_options = ("--tpm2", f"--tpm2={PREFIX}", *BLOBS)

    def setUp(self):
        super().setUp()
        self.second = self.path("second.tpm")

    def start_both(self, *options):
        return self.start_machine("--tpm", f"unix:{self.second},blobs={PREFIX}", *options)

    def both(self, machine, defines=True):
        return [self.tpm(machine, defines), self.tpm(machine, defines, path=self.second)]

    def test_each_has_its_own_blobs_and_counts_by_itself(self):
        machine = self.start_both()
        self.assertEqual(self.exports(machine).keys(), SIZES.keys())  # No TPM's blob.
        tpms = self.both(machine)
        devices = self.devices(machine)
        self.assertEqual(sorted(devices["tpm"]["writes"]), sorted(f"tpm2.{s}" for s in STATES))
        self.assertEqual(sorted(devices["tpm:guest2/"]["writes"]),
                         sorted(f"guest2/tpm2.{s}" for s in STATES))
        before = [tpm.client.counter() for tpm in tpms]
        tpms[1].client.must_increment()
        after = [tpm.client.counter() for tpm in tpms]
        self.assertEqual(after, [before[0], before[1] + 1])
        for tpm in tpms:
            tpm.off()
        self.end(machine)
        # And by itself, on an image of its own.
        alone = TpmProcess(self.workspace, self.image, options=("--blobs", PREFIX))
        self.children.append(alone)
        tpm = self.tpm(alone, defines=False)
        self.assertEqual(tpm.client.counter(), after[1])
        tpm.off()
        alone.stop()
        self.must_be_clean()

    def test_the_owner_dies_under_both(self):
        machine = self.start_both()
        counting = [Incrementer(tpm) for tpm in self.both(machine)]
        for _ in range(deaths()):
            for each in counting:
                each.must_go_on(3)
            os.kill(machine.processes()["owner"], signal.SIGKILL)
        for each in counting:
            each.must_go_on(3)
        counts = [each.stop() for each in counting]
        self.assertEqual([each.tpm.client.counter() for each in counting], counts)
        for each in counting:
            each.tpm.off()
        self.end(machine)
        machine = self.start_both()
        tpms = self.both(machine, defines=False)
        self.assertEqual([tpm.client.counter() for tpm in tpms], counts)
        for tpm in tpms:
            tpm.off()
        self.end(machine)

    def test_one_that_asks_for_the_other_ones_blobs_finds_none(self):
        folder = self.path("bin")
        folder.mkdir()
        shutil.copy(program("vnvram"), folder)
        other = folder / "vnvram-tpm"
        other.write_text(f'#!/bin/sh\nexec "{program("vnvram-tpm")}" "$@" --blobs ""\n')
        other.chmod(0o755)
        said = self.run_program(
            folder / "vnvram", "serve", self.image, "--control", f"unix:{self.path('control')}",
            "--tpm", f"unix:{self.second},blobs={PREFIX}", status=NOT_FOUND)
        self.assertIn("has no TPM blobs", said)
        self.must_be_clean()

    def test_each_hands_its_own_state_over(self):
        machine = self.start_both()
        first, second = self.both(machine)
        self.fetch(first)
        self.wait_until(lambda: self.json("status", machine.address)["sealed"],
                        "the first has not said that it is gone")
        second.client.must_increment()  # It goes on.
        value = second.client.counter()
        self.assertFalse(self.json("info", self.image)["sealed"])
        self.fetch(second)
        self.wait_until(lambda: self.json("info", self.image)["sealed"], "no seal")
        self.end(machine)
        machine = self.start_both("--incoming")
        self.vnvram("unseal", machine.address)
        tpms = self.both(machine, defines=False)
        self.assertEqual(tpms[1].client.counter(), value)
        for tpm in tpms:
            tpm.off()
        self.end(machine)

    @staticmethod
    def fetch(tpm):
        """What its QEMU does for a migration, and ends."""
        tpm.control.get_blob(PERMANENT)
        tpm.off()


class Refusals(MachineCase):
    image_options = ("--tpm2", f"--tpm2={PREFIX}", *BLOBS)

    def refused(self, *tpms, status):
        options = [word for tpm in tpms for word in ("--tpm", tpm)]
        done = self.run_vnvram("serve", self.image, "--control", f"unix:{self.path('c')}", *options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual([name for name in ("c", "a", "b") if self.path(name).exists()], [])
        return done.stderr.decode()

    def test_the_same_blobs_twice(self):
        a, b = f"unix:{self.path('a')}", f"unix:{self.path('b')}"
        self.assertIn("two TPMs with the same blobs", self.refused(a, b, status=USAGE))
        self.refused(f"{a},blobs={PREFIX}", f"{b},tpm2,blobs={PREFIX}", status=USAGE)

    def test_a_prefix_that_no_name_can_have(self):
        said = self.refused(f"unix:{self.path('a')},blobs=guest 2", status=USAGE)
        self.assertIn("letters, digits", said)
        self.vnvram("register", self.image, "--tpm2=guest 2", status=USAGE)

    def test_a_prefix_that_no_blob_has(self):
        said = self.refused(f"unix:{self.path('a')},blobs=guest3/", status=NOT_FOUND)
        self.assertIn("--tpm2=guest3/ adds them", said)
        self.vnvram("register", self.image, "--tpm2=guest3/")
        machine = self.start_machine("--tpm", f"unix:{self.path('a')},blobs=guest3/", tpm=False,
                                     nbd=False)
        control = ControlClient(self.path("a"))
        self.addCleanup(control.close)
        control.take_control().close()
        control.close()
        self.end(machine)
