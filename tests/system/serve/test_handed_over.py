"""One image that two hosts see, of a machine without a TPM: `vnvram hand-over` where it was, `vnvram go-on` where it goes on.
Whoever dies, or whichever answer is lost, at whatever stage: exactly one goes on, with all that was answered."""

import json
import os
import random
import signal
import subprocess
import time
import unittest

from cli.command import IN_USE, SEALED, STALE, UNSUPPORTED, USAGE
from harness.child import PATIENCE_SECONDS, Deadline
from harness.nbd_server import NbdServer
from harness.shared_machine import SharedMachine
from harness.tpm_process import program
from harness.vnvram import create, info, vnvram
from tpm.support import TpmCase
from tpm.test_shared_image import ROUNDS

from .flash_host import FLASH, FLASH_SIZE, FlashHost

DEVICES = ("--blob", f"{FLASH}:edk2.variables:{FLASH_SIZE}")
ANOTHER = "0" * 31 + "1"  # A token that nobody was given.


class HandedOverCase(TpmCase):
    key_words = ()
    serve_words = ()
    written = 0  # What the machine's flash has.

    def setUp(self):
        super().setUp()
        self.image = create(self.workspace.file("shared.img"), *DEVICES)

    def location(self):
        return self.image

    def start_host(self, *options):
        machine = SharedMachine(self.workspace, self.location(), "--shared", "--log-level", "debug", *self.serve_words,
                                *options, tpm=False)
        self.children.append(machine)
        return FlashHost(machine)

    def start_source(self):
        source = self.start_host()
        self.must_go_on(source)
        return source

    def start_target(self):
        """The image is not opened for writing by it, and its flash is there to be read."""
        before = self.owner()
        target = self.start_host("--incoming")
        self.assertEqual(self.owner(), before)
        self.assertEqual(target.number(), self.written)
        return target

    def info(self):
        return info(self.image, *self.key_words)

    def owner(self):
        found = self.info()
        return found["epoch"], found["generation"], found["owner_pid"], found["sealed"]

    def stored_number(self):
        """By the image."""
        found = subprocess.run([program("vnvram"), "get", *self.key_words, self.image, FLASH], stdin=subprocess.DEVNULL,
                               capture_output=True, check=True, timeout=60)
        return int.from_bytes(found.stdout[:8], "big")

    def run_verb(self, verb, host, *words):
        return subprocess.run([program("vnvram"), verb, host.machine.address, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)

    def hand_over(self, host):
        """Returns the token."""
        done = self.run_verb("hand-over", host)
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{host.machine.log_text()}")
        self.assertRegex(done.stdout, r"^[0-9a-f]{32}\n$")
        return done.stdout.strip()

    def go_on(self, host, token=None):
        done = self.run_verb("go-on", host, *(("--from", token) if token else ()))
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{host.machine.log_text()}")
        self.assertEqual(done.stdout, "")

    def refused(self, verb, host, *words, message=""):
        """Nothing on the image has changed. Returns the status."""
        before = self.owner()
        done = self.run_verb(verb, host, *words)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stderr, r"\Avnvram: .*\n\Z")
        self.assertIn(message, done.stderr)
        self.assertEqual(self.owner(), before)
        return done.returncode

    def asked_until_it_is_said(self, verb, host, *words):
        """As long as its owner is not there, or dies with the answer."""
        deadline = Deadline(PATIENCE_SECONDS)
        while True:
            done = self.run_verb(verb, host, *words)
            if done.returncode not in (1, 10, 21) or deadline.passed():
                return done

    def must_go_on(self, host):
        """It has what was written, and writes more."""
        self.assertEqual(host.number(), self.written)
        self.written += 1
        host.write(self.written)
        self.assertEqual(self.stored_number(), self.written)
        self.assertFalse(self.info()["sealed"])
        self.assertEqual(self.info()["owner_pid"], host.machine.pid)

    def must_not_go_on(self, host):
        self.assertIn(self.refused("go-on", host), (STALE, IN_USE))

    def ends(self, thread):
        thread.join(PATIENCE_SECONDS)
        self.assertFalse(thread.is_alive())

    def kill_owner(self, host):
        """Returns when another one has come."""
        owner = host.machine.pid
        os.kill(owner, signal.SIGKILL)
        deadline = Deadline(PATIENCE_SECONDS)
        while host.machine.processes().get("owner", owner) == owner:
            self.assertFalse(deadline.passed(), host.machine.log_text())


class HandOver(HandedOverCase):
    def test_there_and_back_again(self):
        """Processes that stay, with a QEMU after the other."""
        here, there = self.start_source(), self.start_target()
        for _ in range(4):
            token = self.hand_over(here)
            left = self.info()
            self.assertEqual((left["sealed"], left["hand_over"], left["locked"]), (True, token, False))
            self.go_on(there, token)
            self.assertIsNone(self.info()["hand_over"])
            self.must_go_on(there)
            self.must_not_go_on(here)
            here.qemu_ends()
            here, there = there, FlashHost(here.machine)
        here.qemu_ends()
        here.machine.stop()
        self.assertTrue(self.info()["clean"])

    def test_what_is_written_waits_for_the_word(self):
        source, target = self.start_source(), self.start_target()
        target.begin_to_write(4711)
        token = self.hand_over(source)
        source.begin_to_write(1)
        self.assertEqual(self.stored_number(), self.written)
        self.go_on(target, token)
        self.ends(target.writing)
        self.assertIsNone(target.failed)
        self.written = 4711
        self.must_go_on(target)
        self.assertTrue(source.writing.is_alive())
        self.must_not_go_on(source)
        self.ends(source.writing)  # It is refused when it is known who has the image.
        self.assertIsNotNone(source.failed)
        self.must_go_on(target)

    def test_it_is_taken_back(self):
        source, target = self.start_source(), self.start_target()
        for by_token in (False, True):
            token = self.hand_over(source)
            source.begin_to_write(self.written + 1)
            self.go_on(source, token if by_token else None)
            self.ends(source.writing)
            self.assertIsNone(source.failed)
            self.written += 1
            self.must_go_on(source)
            self.refused("go-on", target, "--from", token)  # Too late.
        self.go_on(target, self.hand_over(source))
        self.must_go_on(target)

    def test_it_is_asked_again(self):
        """Whose answer was lost."""
        source, target = self.start_source(), self.start_target()
        self.go_on(source)
        self.must_go_on(source)
        token = self.hand_over(source)
        self.assertEqual(self.hand_over(source), token)
        self.assertEqual(json.loads(vnvram("hand-over", source.machine.address, "--json"))["hand_over"], token)
        self.assertEqual(json.loads(source.machine.status("--json"))["let_go"], token)
        self.assertIn(token, source.machine.status())
        for _ in range(2):
            self.go_on(target, token)
        self.must_go_on(target)
        self.assertIsNone(json.loads(target.machine.status("--json"))["let_go"])

    def test_two_ask_at_once(self):
        """Or one again whose first word is on its way still."""
        source = self.start_source()
        for _ in range(ROUNDS):
            both = [subprocess.Popen([program("vnvram"), "hand-over", source.machine.address], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, text=True) for _ in range(2)]
            tokens = {verb.communicate(timeout=PATIENCE_SECONDS)[0].strip() for verb in both}
            self.assertEqual([verb.returncode for verb in both], [0, 0])
            self.assertEqual(tokens, {self.hand_over(source)})
            self.go_on(source)

    def test_what_is_not_for_it_is_refused(self):
        source, target = self.start_source(), self.start_target()
        self.assertEqual(self.refused("go-on", target, message="has not come here"), SEALED)
        self.assertEqual(self.refused("go-on", target, "--from", ANOTHER, message="has not handed it over"), IN_USE)
        self.assertEqual(self.refused("go-on", target, "--from", "12", message="is no hand-over's token"), USAGE)
        self.assertEqual(self.refused("hand-over", target, message="another host's"), SEALED)
        token = self.hand_over(source)
        self.assertEqual(self.refused("hand-over", target, message="another host's"), SEALED)
        self.assertEqual(self.refused("go-on", target, "--from", ANOTHER, message="not for the hand-over"), SEALED)
        self.assertEqual(self.refused("go-on", source, "--from", ANOTHER, message="not for the hand-over"), SEALED)
        self.go_on(target, token)
        self.must_go_on(target)
        self.must_not_go_on(source)
        self.refused("go-on", source, "--from", token)
        self.refused("hand-over", source)

    def test_of_one_that_has_gone_on_and_ended(self):
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        self.go_on(target, token)
        self.must_go_on(target)
        target.qemu_ends()
        target.machine.stop()
        self.assertEqual(self.refused("go-on", source, message="has gone on elsewhere"), STALE)
        self.assertEqual(self.refused("go-on", source, "--from", token, message="has gone on elsewhere"), STALE)
        self.assertEqual(self.refused("hand-over", source, message="another host's"), SEALED)

    def test_of_one_that_has_gone_on_unheard_of(self):
        source, target = self.start_source(), self.start_target()
        self.go_on(target, self.hand_over(source))
        target.qemu_ends()
        target.machine.stop()
        self.assertEqual(self.refused("hand-over", source, message="has gone on elsewhere"), STALE)

    def test_a_held_image_is_not_handed_over(self):
        source, target = self.start_source(), self.start_target()
        vnvram("hold", source.machine.address, "--seconds", "3600")
        self.assertEqual(self.refused("hand-over", source, message="changes are held"), IN_USE)
        self.go_on(source)  # As a script does that was refused: it waits for no hold.
        self.assertEqual(vnvram("release", source.machine.address), "")
        self.must_go_on(source)
        self.go_on(target, self.hand_over(source))
        self.must_go_on(target)

    def test_what_the_other_host_does_not_see_is_not_handed_over(self):
        machine = SharedMachine(self.workspace, self.image, tpm=False)
        self.children.append(machine)
        host = FlashHost(machine)
        for words in (("hand-over",), ("go-on",), ("go-on", "--from", ANOTHER)):
            self.assertEqual(self.refused(words[0], host, *words[1:], message="no other host sees it"), UNSUPPORTED)
        self.must_go_on(host)

    def test_of_an_owner_without_devices(self):
        """Whose front ends came by themselves."""
        options = ("--shared", *self.serve_words)
        source = SharedMachine(self.workspace, self.image, *options, tpm=False, nbd=False)
        target = SharedMachine(self.workspace, self.image, *options, "--incoming", tpm=False, nbd=False)
        self.children += [source, target]
        content = self.workspace.file("content")
        content.write_bytes((7).to_bytes(8, "big"))
        vnvram("put", source.address, FLASH, content, "--force")
        vnvram("go-on", target.address, "--from", vnvram("hand-over", source.address).strip())
        content.write_bytes((8).to_bytes(8, "big"))
        vnvram("put", target.address, FLASH, content, "--force")
        self.assertEqual(self.stored_number(), 8)

    def test_beside_a_tpm_that_came_by_itself(self):
        """The owner was not told of it, but sees what it uses."""
        self.image = create(self.workspace.file("with-tpm.img"), "--tpm2", *DEVICES)
        source = self.start_source()
        tpm = self.start(source.machine.address, options=("--shared",))
        control = self.control(tpm)
        guest = control.take_control()
        self.addCleanup(guest.close)
        self.assertEqual((control.init(), guest.startup()), (0, 0))
        self.assertEqual(self.refused("hand-over", source, message="a TPM uses it"), UNSUPPORTED)
        self.must_go_on(source)


class Deaths(HandedOverCase):
    def test_of_the_source_before_it_has_let_go(self):
        source = self.start_source()
        source.machine.kill()
        self.must_go_on(self.start_host())

    def test_of_the_source_when_it_has_let_go(self):
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        source.machine.kill()
        self.go_on(target, token)
        self.must_go_on(target)

    def test_of_the_source_that_is_to_go_on(self):
        """It starts as a target of its own hand-over."""
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        source.machine.kill()
        again = self.start_target()
        self.go_on(again, token)
        self.must_go_on(again)
        self.refused("go-on", target, "--from", token)

    def test_of_both_when_it_was_let_go(self):
        """Nobody starts it without a word."""
        source, target = self.start_source(), self.start_target()
        self.hand_over(source)
        source.machine.kill()
        target.machine.kill()
        done = subprocess.run([program("vnvram"), "serve", self.image, "--shared", "--control",
                               f"unix:{self.workspace.file('none')}"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, SEALED, done.stderr)
        self.assertIn("unseal", done.stderr)
        vnvram("unseal", self.image)
        self.must_go_on(self.start_host())

    def test_of_the_target_when_it_has_gone_on(self):
        source, target = self.start_source(), self.start_target()
        self.go_on(target, self.hand_over(source))
        self.must_go_on(target)
        target.machine.kill()
        self.must_not_go_on(source)
        source.machine.kill()
        self.must_go_on(self.start_host())

    def test_of_the_sources_owner_when_it_has_let_go(self):
        """The next one knows as much."""
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        self.kill_owner(source)
        self.assertEqual(self.hand_over(source), token)
        self.kill_owner(source)
        self.go_on(source)
        self.must_go_on(source)
        token = self.hand_over(source)
        self.kill_owner(source)
        self.go_on(target, token)
        self.must_go_on(target)
        self.must_not_go_on(source)
        self.kill_owner(source)
        self.must_not_go_on(source)

    def test_of_the_targets_owner(self):
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        self.kill_owner(target)
        self.go_on(target, token)
        self.must_go_on(target)
        self.kill_owner(target)
        self.assertEqual(self.asked_until_it_is_said("go-on", target, "--from", token).returncode, 0)
        self.must_go_on(target)
        self.must_not_go_on(source)

    def test_at_a_random_moment_of_the_switch(self):
        """An owner or a verb, whose answer is lost then. The target is told again, then the source: one goes on."""
        source = self.start_source()
        dice = random.Random(1)
        for number in range(ROUNDS):
            target = self.start_target()
            token = self.hand_over_with_a_death(source, dice, number)
            verb = subprocess.Popen([program("vnvram"), "go-on", target.machine.address, "--from", token],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.03))  # Random, no synchronisation.
            if number % 2:
                verb.kill()
            else:
                os.kill(target.machine.pid, signal.SIGKILL)
            verb.wait(PATIENCE_SECONDS)
            if self.asked_until_it_is_said("go-on", target, "--from", token).returncode == 0:
                self.must_go_on(target)
                self.must_not_go_on(source)
                source.machine.kill()
                source = target
            else:
                target.machine.kill()
                self.go_on(source)
                self.must_go_on(source)

    def test_of_a_hand_over_that_is_given_up(self):
        """Nothing of it comes behind the word that the machine goes on here."""
        source = self.start_source()
        dice = random.Random(2)
        for _ in range(ROUNDS):
            verb = subprocess.Popen([program("vnvram"), "hand-over", source.machine.address], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.03))  # Random, no synchronisation.
            verb.kill()
            verb.wait(PATIENCE_SECONDS)
            self.go_on(source)
            self.must_go_on(source)

    def hand_over_with_a_death(self, source, dice, number):
        verb = subprocess.Popen([program("vnvram"), "hand-over", source.machine.address], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, 0.03))  # Random, no synchronisation.
        if number % 3:
            verb.kill()
        else:
            os.kill(source.machine.pid, signal.SIGKILL)
        verb.wait(PATIENCE_SECONDS)
        done = self.asked_until_it_is_said("hand-over", source)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()


class Encrypted(HandOver):
    """With an anchor that both see."""

    def setUp(self):
        super().setUp()
        key = self.workspace.file("key")
        key.write_bytes(os.urandom(32))
        self.key_words = ("--key", f"file:{key}")
        self.make(DEVICES)

    def make(self, devices):
        self.image = create(self.workspace.file("encrypted.img"), *devices, "--encrypt", *self.key_words)
        anchor = self.workspace.file("anchor")
        vnvram("anchor", "accept", self.image, "--anchor", f"file:{anchor}", *self.key_words)
        self.serve_words = (*self.key_words, "--anchor", f"file:{anchor}")

    test_what_the_other_host_does_not_see_is_not_handed_over = None
    test_beside_a_tpm_that_came_by_itself = None


class WithoutALock(HandedOverCase):
    """An NBD server, which keeps nobody away: the epoch and the look do."""

    def setUp(self):
        super().setUp()
        self.server = NbdServer(self.workspace, "qemu-nbd", self.image)
        self.children.append(self.server)

    def location(self):
        return self.server.uri

    def test_there_and_back_again(self):
        here, there = self.start_source(), self.start_target()
        for _ in range(3):
            self.go_on(there, self.hand_over(here))
            self.must_go_on(there)
            self.assertEqual(self.refused("go-on", here, message="has gone on elsewhere"), STALE)
            self.must_go_on(there)
            here.qemu_ends()
            here, there = there, FlashHost(here.machine)

    def test_it_is_taken_back(self):
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        self.go_on(source)
        self.must_go_on(source)
        self.refused("go-on", target, "--from", token)
        self.must_go_on(source)


if __name__ == "__main__":
    unittest.main()
