"""One image that two hosts see, for a whole machine: its TPM hands it over, with all that belongs to it, between two
`vnvram serve --shared`. What holds of a TPM alone (tpm/test_shared_image.py) holds here as well; beside it an NBD client
writes, as a flash does."""

import os
import shutil
import signal
import subprocess
import threading
import unittest

from cli.command import UNSUPPORTED
from harness.child import PATIENCE_SECONDS, Deadline
from harness.shared_machine import SharedMachine
from harness.tpm_process import program
from harness.vnvram import create, vnvram
from tpm import test_shared_image as of_a_tpm
from tpm.support import FAIL
from tpm.test_shared_image import PERMANENT, SEALED, fetch, take

from .flash_host import FLASH, FLASH_SIZE, FlashHost


class MachineHost(FlashHost, of_a_tpm.Host):
    """With an NBD client of its flash."""

    def __init__(self, case, machine):
        of_a_tpm.Host.__init__(self, case, machine)
        FlashHost.__init__(self, machine)

    def qemu_ends(self):
        FlashHost.qemu_ends(self)
        of_a_tpm.Host.qemu_ends(self)


class SharedServeCase(of_a_tpm.SharedImageCase):
    image_words = ("--tpm2", "--blob", f"{FLASH}:edk2.variables:{FLASH_SIZE}")
    written = 0
    key_words = ()

    def machine(self, *options):
        made = SharedMachine(self.workspace, self.location(), "--shared", "--log-level", "debug", *self.tpm_words, *options)
        self.children.append(made)
        return made

    def start_host(self, *options):
        return MachineHost(self, self.machine(*options))

    def start_source(self):
        source, count = super().start_source()
        self.written = source.number()
        return source, count

    def start_target(self):
        """The image is not opened for writing by it, and its flash is there to be read."""
        before = self.owner()
        target = self.start_host("--incoming")
        self.assertEqual(self.owner(), before)
        self.assertEqual(target.flash.get_size(), FLASH_SIZE)
        self.assertEqual(target.number(), self.written)
        return target

    def must_go_on(self, host, count):
        super().must_go_on(host, count)
        self.assertEqual(host.number(), self.written)
        self.written += 1
        host.write(self.written)
        self.assertEqual(self.stored_number(), self.written)

    def must_take_back(self, source, count):
        """With what its flash has written while the image was let go. Returns what was fetched."""
        blobs = fetch(source.control)
        source.begin_to_write(12)
        self.assertEqual(source.control.lock_storage(), 0, source.log_text())
        source.writing.join(PATIENCE_SECONDS)
        self.assertIsNone(source.failed)
        self.written = 12
        self.must_go_on(source, count)
        return blobs

    def stored_number(self):
        """By the image."""
        found = subprocess.run([program("vnvram"), "get", *self.key_words, self.image, FLASH], capture_output=True, check=True, timeout=60)
        return int.from_bytes(found.stdout[:8], "big")

    def refused_serve(self, *options, image=None):
        done = subprocess.run([program("vnvram"), "serve", image or self.image, "--control",
                               f"unix:{self.workspace.file('none')}", "--shared", *options],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.returncode, done.stderr


class HandOver(SharedServeCase, of_a_tpm.HandOver):
    def test_there_and_back_again(self):
        """Processes that stay, with a QEMU after the other."""
        here, count = self.start_source()
        there = self.start_target()
        for _ in range(4):
            self.assertEqual(take(there.control, fetch(here.control)), 0, there.log_text())
            self.must_go_on(there, count)
            count += 1
            here.qemu_ends()
            here, there = there, MachineHost(self, here.tpm)

    def test_what_is_written_waits_for_the_switch(self):
        source, count = self.start_source()
        self.must_go_on(source, count)
        target = self.start_target()
        target.begin_to_write(4711)
        blobs = fetch(source.control)
        source.begin_to_write(1)
        self.assertEqual(self.stored_number(), self.written)
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        target.writing.join(PATIENCE_SECONDS)
        self.assertFalse(target.writing.is_alive())
        self.assertIsNone(target.failed)
        self.written = 4711
        self.must_go_on(target, count + 1)
        self.assertTrue(source.writing.is_alive())
        self.must_not_go_on(source)
        source.writing.join(PATIENCE_SECONDS)  # It is refused when it is known who has the image.
        self.assertIsNotNone(source.failed)
        self.must_go_on(target, count + 2)

    def test_what_is_written_waits_for_the_way_back(self):
        self.must_take_back(*self.start_source())

    def test_it_ends_while_something_waits(self):
        source, count = self.start_source()
        target = self.start_target()
        target.begin_to_write(4711)
        target.tpm.stop()
        self.must_go_on(source, count)
        fetch(source.control)
        source.begin_to_write(4711)
        source.tpm.stop()
        self.assertEqual(self.stored_number(), self.written)
        self.assertTrue(self.info()["sealed"])

    def test_a_held_image_is_not_handed_over(self):
        source, count = self.start_source()
        vnvram("hold", source.tpm.address, "--seconds", "60")
        before = self.owner()
        self.assertEqual(source.control.get_blob(PERMANENT)[0], FAIL)
        self.assertIn("changes are held", source.log_text())
        self.assertEqual(self.owner(), before)
        vnvram("release", source.tpm.address)
        self.must_go_on(source, count)
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.must_go_on(target, count + 1)

    def test_the_word_is_the_tpms(self):
        """An operator's would leave its state behind."""
        source, count = self.start_source()
        target = self.start_target()
        token = "0" * 31 + "1"
        for host, words in ((source, ("hand-over",)), (source, ("go-on",)), (target, ("go-on",)),
                            (target, ("go-on", "--from", token))):
            done = subprocess.run([program("vnvram"), words[0], host.tpm.address, *words[1:]], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, UNSUPPORTED, done.stderr)
            self.assertIn("its machine has a TPM", done.stderr)
        self.must_go_on(source, count)
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.must_go_on(target, count + 1)

    def test_status_says_where_it_is(self):
        source, _ = self.start_source()
        target = self.start_target()
        self.assertIn("stands by", target.tpm.status())
        self.assertNotIn("stands by", source.tpm.status())
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.assertNotIn("stands by", target.tpm.status())
        self.assertIn("stands by", source.tpm.status())

    def test_with_two_tpms_it_is_refused(self):
        """They are of two machines."""
        two = [word for number in range(2)
               for word in ("--tpm", f"unix:{self.workspace.file(f'tpm{number}')},blobs=guest{number}/")]
        self.assertIn("--shared with several TPMs", self.refused_serve(*two)[1])

    def test_a_vm_image_is_refused(self):
        """Nobody can look at it beside the one who has it."""
        image = create(self.workspace.file("shared.qcow2"), *self.image_words)
        tpm = ("--tpm", f"unix:{self.workspace.file('tpm')}", "--seccomp", "off")
        for words in ((), ("--incoming",)):
            self.assertIn("a VM image is not handed over", self.refused_serve(*tpm, *words, image=image)[1])

    def test_blobs_of_other_devices_are_refused(self):
        """QEMU's device has read its drive by the switch, and may write that."""
        tpm = ("--tpm", f"unix:{self.workspace.file('another.tpm')}")
        image = create(self.workspace.file("eeprom.img"), *self.image_words, "--blob", "eeprom:at24c:256")
        for words in ((), ("--incoming",)):
            self.assertIn("blob eeprom of type at24c", self.refused_serve(*tpm, *words, image=image)[1])
        source, count = self.start_source()
        done = subprocess.run([program("vnvram"), "register", source.tpm.address, "--blob", "eeprom:at24c:256"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("blob eeprom of type at24c", done.stderr)
        self.must_go_on(source, count)

    def test_what_cannot_be_handed_over_is_refused(self):
        tpm = f"unix:{self.workspace.file('tpm')}"
        self.assertIn("by a name", self.refused_serve("--tpm", tpm, image="nbd://localhost:1/x")[1])
        for words in ((), ("--incoming",)):
            self.assertIn("no block device to reserve", self.refused_serve("--tpm", tpm, "--reservation", *words)[1])
        for words, why in ((("nbd://localhost:1/x",), "by a name"), ((self.image, "--reservation"), "no block device to reserve"),
                           ((self.image, "--reservation", "--incoming"), "no block device to reserve")):
            done = subprocess.run([program("vnvram-tpm"), *words, "--shared", "--ctrl", tpm], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(why, done.stderr)

    def test_somebody_has_opened_it_before_the_seal(self):
        """As without a lock: nothing waits then, and everything ends."""
        source, _ = self.start_source()
        other = self.workspace.file("other.img")
        shutil.copyfile(self.image, other)
        vnvram("takeover", other, "--owner-is-dead")
        with open(other, "rb") as taken, open(self.image, "r+b") as image:
            shutil.copyfileobj(taken, image)
        self.assertEqual(source.control.get_blob(PERMANENT)[0], FAIL)
        source.begin_to_write(7)
        source.writing.join(PATIENCE_SECONDS)
        self.assertIsNotNone(source.failed)
        with self.assertRaisesRegex(AssertionError, "ended with status 1"):  # Its TPM could not write.
            source.tpm.stop()

    def test_without_a_seal_it_is_refused(self):
        tpm = f"unix:{self.workspace.file('tpm')}"
        self.assertIn("no-seal with --shared", self.refused_serve("--tpm", f"{tpm},no-seal")[1])
        self.assertIn("--take-over with --shared", self.refused_serve("--tpm", tpm, "--incoming", "--take-over")[1])
        self.assertEqual(vnvram("info", self.image, "--json").count('"epoch": 1'), 1)


class Deaths(SharedServeCase, of_a_tpm.Deaths):
    """Of all of a host's processes at once."""

    def test_what_is_sealed_is_not_served_without_a_word(self):
        source, count = self.start_source()
        fetch(source.control)
        source.tpm.kill()
        tpm = ("--tpm", f"unix:{self.workspace.file('another.tpm')}")
        status, said = self.refused_serve(*tpm)
        self.assertEqual(status, SEALED)
        self.assertIn("unseal", said)
        vnvram("unseal", self.image)
        new = self.start_host()
        self.assertEqual((new.control.init(), new.guest.startup()), (0, 0))
        self.must_go_on(new, count)


class OwnerDeaths(SharedServeCase):
    """Of an owner alone, whose front ends go on with the next one."""

    def kill_owner(self, host):
        owner = host.tpm.pid
        os.kill(owner, signal.SIGKILL)
        deadline = Deadline(PATIENCE_SECONDS)
        while host.tpm.processes().get("owner", owner) == owner:
            self.assertFalse(deadline.passed(), host.log_text())

    def test_of_the_source_when_it_has_let_go(self):
        source, count = self.start_source()
        fetch(source.control)
        self.kill_owner(source)
        self.assertEqual(source.control.lock_storage(), 0, source.log_text())
        self.must_go_on(source, count)
        target = self.start_target()
        blobs = fetch(source.control)
        self.kill_owner(source)
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.must_go_on(target, count + 1)

    def test_of_the_target_while_it_stands_by(self):
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        self.kill_owner(target)
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.must_go_on(target, count)
        self.kill_owner(target)
        self.must_go_on(target, count + 1)
        self.must_not_go_on(source)

    def test_of_the_source_when_somebody_has_gone_on(self):
        """The next one finds that, and serves those that are there what it sees."""
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        source.begin_to_write(1)
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.kill_owner(source)
        self.must_go_on(target, count)
        self.must_not_go_on(source)
        source.writing.join(PATIENCE_SECONDS)
        self.assertIsNotNone(source.failed)
        self.must_go_on(target, count + 1)
        source.tpm.stop()

    def test_at_a_random_moment_of_the_switch(self):
        """Either is told to go on then, the target first: one does."""
        source, count = self.start_source()
        for number in range(of_a_tpm.ROUNDS):
            target = self.start_target()
            victim = (source, target)[number % 2]
            killing = threading.Timer(number % 20 * 0.001, os.kill, (victim.tpm.pid, signal.SIGKILL))  # Random, no synchronisation.
            killing.start()
            try:
                blobs = fetch(source.control)
                taken = take(target.control, blobs) == 0
            except AssertionError:
                taken = False  # It was not given.
            killing.join()
            if taken:
                self.must_go_on(target, count)
                self.must_not_go_on(source)
                source.qemu_ends()
                source.tpm.kill()
                source = target
            else:
                target.tpm.kill()
                self.assertEqual(source.control.lock_storage(), 0, source.log_text())
                self.must_go_on(source, count)
            count += 1

class Encrypted(SharedServeCase, of_a_tpm.Encrypted):
    """With an anchor that both see."""

    def setUp(self):
        super().setUp()
        self.key_words = ("--key", self.key)

    def test_a_machine_moves_and_comes_back(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.must_go_on(target, count)
        self.must_not_go_on(source)
        source.qemu_ends()
        back = MachineHost(self, source.tpm)
        self.assertEqual(take(back.control, fetch(target.control)), 0, back.log_text())
        self.must_go_on(back, count + 1)
        fetch(back.control)
        self.assertEqual(back.control.lock_storage(), 0)
        self.must_go_on(back, count + 2)


class WithoutALock(SharedServeCase, of_a_tpm.WithoutALock):
    """An NBD server, which keeps nobody away: the epoch and the look do."""


class ComesBack(SharedServeCase):
    def test_not_while_something_waits_that_is_older(self):
        """It was to be written to the machine that was here before."""
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        source.begin_to_write(1)
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.must_go_on(target, count)
        of_a_tpm.Host.qemu_ends(source)  # But for its flash.
        back = of_a_tpm.Host(self, source.tpm)
        self.assertEqual(take(back.control, fetch(target.control)), FAIL)
        self.assertIn("wait to change it", back.log_text())
        self.assertEqual(target.control.lock_storage(), 0)
        self.must_go_on(target, count + 1)


class Times(SharedServeCase, of_a_tpm.Times):
    """Of a whole machine."""


if __name__ == "__main__":
    unittest.main()
