"""One image in a Ceph cluster that two hosts see, and a machine that goes from one to the other: with its TPM, and without
one by an operator's word. The processes are confined, as they are by default, and open the image again and again."""

import re
import subprocess
import unittest

from cli.command import IN_USE, SEALED
from harness.tpm_process import program
from harness.vnvram import create, vnvram
from serve import test_handed_over, test_handed_over_deaths, test_shared
from serve.flash_host import FlashHost
from serve.handed_over_case import DEVICES, HandedOverCase
from tpm import test_shared_image as of_a_tpm
from tpm.test_shared_image import fetch, take

from .ceph_case import OnCeph


class InCluster(OnCeph):
    """Before a case of one image and two hosts."""

    devices = ()

    def setUp(self):
        super().setUp()
        self.name = self.new_name()
        self.image = create(self.location(self.name), *self.devices)

    def location(self, name=None, *options):  # pylint: disable=keyword-arg-before-vararg
        return super().location(name, *options) if name else self.image

    def refused_serve(self, *options):
        """Of one more that is started on it."""
        done = subprocess.run([program("vnvram"), "serve", self.image, "--shared", "--control",
                               f"unix:{self.workspace.file('none')}", *options], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        return done.returncode


class WithATpm(InCluster, test_shared.SharedServeCase):
    devices = test_shared.SharedServeCase.image_words

    def hand_over(self, here, there):
        self.assertEqual(take(there.control, fetch(here.control)), 0, there.log_text())

    def test_there_and_back_again(self):
        here, count = self.start_source()
        there = self.start_target()
        for _ in range(3):
            self.hand_over(here, there)
            self.must_go_on(there, count)
            count += 1
            here.qemu_ends()
            here, there = there, test_shared.MachineHost(self, here.tpm)
        self.assertIsNotNone(self.owner_of(self.name))
        here.tpm.stop()
        there.tpm.stop()
        self.assertIsNone(self.owner_of(self.name))
        vnvram("check", self.image)

    def test_it_is_taken_back(self):
        source, count = self.start_source()
        target = self.start_target()
        blobs = self.must_take_back(source, count)
        self.assertNotEqual(take(target.control, blobs), 0)  # Too late.
        self.must_go_on(source, count + 1)

    def test_two_hosts_at_once(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(self.refused_serve("--tpm", f"unix:{self.workspace.file('third.tpm')}"), IN_USE)
        self.assertNotEqual(target.control.init(), 0)
        self.must_go_on(source, count)
        self.hand_over(source, target)
        self.must_not_go_on(source)
        self.must_go_on(target, count + 1)

    def test_the_source_is_killed_when_it_has_let_go(self):
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        source.tpm.kill()
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.must_go_on(target, count)

    def test_the_source_is_killed_before(self):
        """Its lock goes when the cluster has found out that it is dead."""
        source, count = self.start_source()
        target = self.start_target()
        source.tpm.kill()
        new = self.start_host()
        self.assertEqual((new.control.init(), new.guest.startup()), (0, 0))
        self.must_go_on(new, count)
        self.hand_over(new, target)
        self.must_go_on(target, count + 1)


class TpmAlone(InCluster, of_a_tpm.SharedImageCase):
    """vnvram-tpm --shared."""

    devices = of_a_tpm.SharedImageCase.image_words

    test_there_and_back_again = of_a_tpm.HandOver.test_there_and_back_again
    test_a_migration_that_did_not_come_about = of_a_tpm.HandOver.test_a_migration_that_did_not_come_about


class WithoutATpm(InCluster, HandedOverCase):
    devices = DEVICES

    test_what_is_written_waits_for_the_word = test_handed_over.HandOver.test_what_is_written_waits_for_the_word
    test_it_is_taken_back = test_handed_over.HandOver.test_it_is_taken_back
    test_it_is_asked_again = test_handed_over.HandOver.test_it_is_asked_again
    test_what_is_not_for_it_is_refused = test_handed_over.HandOver.test_what_is_not_for_it_is_refused
    test_of_the_sources_owner_when_it_has_let_go = test_handed_over_deaths.Deaths.test_of_the_sources_owner_when_it_has_let_go
    test_of_the_source_when_it_has_let_go = test_handed_over_deaths.Deaths.test_of_the_source_when_it_has_let_go
    test_of_the_source_before_it_has_let_go = test_handed_over_deaths.Deaths.test_of_the_source_before_it_has_let_go
    test_of_the_target_when_it_has_gone_on = test_handed_over_deaths.Deaths.test_of_the_target_when_it_has_gone_on
    test_of_the_targets_owner = test_handed_over_deaths.Deaths.test_of_the_targets_owner

    def test_there_and_back_again(self):
        here, there = self.start_source(), self.start_target()
        for _ in range(3):
            token = self.hand_over(here)
            self.assertIsNone(self.owner_of(self.name))
            self.go_on(there, token)
            self.must_go_on(there)
            self.must_not_go_on(here)
            here.qemu_ends()
            here, there = there, FlashHost(here.machine)
        here.machine.stop()
        vnvram("check", self.image)

    def test_two_hosts_at_once(self):
        source, target = self.start_source(), self.start_target()
        words = ("--nbd", f"unix:{self.workspace.file('third.nbd')}")
        self.assertEqual(self.refused_serve(*words), IN_USE)
        token = self.hand_over(source)
        self.assertEqual(self.refused_serve(*words), SEALED)
        self.go_on(target, token)
        self.assertEqual(self.refused_serve(*words), IN_USE)
        self.must_go_on(target)

    def test_monitors_with_names(self):
        """They are looked up again when the image is opened again, which whoever has given up the right to is able to."""
        port = re.search(r"mon host = \[v2:127\.0\.0\.1:(\d+)", self.cluster.conf.read_text("ascii"))[1]
        self.image = self.location(self.name, f"mon_host=localhost\\:{port}")
        vnvram("check", self.image)
        here, there = self.start_source(), self.start_target()
        for _ in range(2):
            self.go_on(there, self.hand_over(here))
            self.must_go_on(there)
            here.qemu_ends()
            here, there = there, FlashHost(here.machine)


if __name__ == "__main__":
    unittest.main()
