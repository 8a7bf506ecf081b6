"""One image that two hosts see, of a machine without a TPM: `vnvram hand-over` where it was, `vnvram go-on` where it goes on.
Exactly one goes on, with all that was answered."""

import json
import os
import re
import subprocess
import unittest

from cli.command import IN_USE, SEALED, STALE, UNSUPPORTED, USAGE
from harness.child import PATIENCE_SECONDS
from harness.on_nbd_server import OnNbdServer
from harness.shared_machine import SharedMachine
from harness.tpm_process import program
from harness.vnvram import create, vnvram
from tpm.test_shared_image import ROUNDS

from .flash_host import FLASH, FlashHost
from .handed_over_case import ANOTHER, DEVICES, HandedOverCase


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

    def test_commands_do_not_wait(self):
        """Nobody would be there to hear of it when the image comes back."""
        source, target = self.start_source(), self.start_target()
        token = self.hand_over(source)
        for host in (source, target):
            for words in (("put", host.machine.address, FLASH, "-"), ("register", host.machine.address, "--tpm2"),
                          ("meta", "set", host.machine.address, "name", "value")):
                done = subprocess.run([program("vnvram"), *words], input=b"late", capture_output=True, check=False,
                                      timeout=PATIENCE_SECONDS)
                self.assertEqual(done.returncode, SEALED, (words, done.stderr))
        self.go_on(target, token)
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

    def test_the_logs_say_where_it_is(self):
        """One line for each, with the image and its generation, without a word for it."""
        source, target = self.start_source(), self.start_target()
        for host in (source, target):
            for words in ("let go", "come by", "taken back", "gone on"):
                self.assertNotIn(f"{self.image} {words}", host.machine.log_text())
        self.hand_over(source)
        token = self.hand_over(source)
        generation = self.info()["generation"]
        self.go_on(source)
        self.assertEqual(self.hand_over(source), self.hand_over(source))
        token = self.hand_over(source)
        self.go_on(target, token)
        self.must_go_on(target)
        for _ in range(2):
            self.refused("go-on", source)
        self.assertEqual(self.said(source), [f"is let go at generation {generation}, sealed for its hand-over",
                                             f"is taken back, generation {generation}",
                                             f"is let go at generation {generation}, sealed for its hand-over",
                                             f"has gone on elsewhere; generation {generation} was the last one here"])
        self.assertEqual(self.said(target), [f"has come by its hand-over, generation {generation}"])

    def said(self, host):
        """Of the image, at the level of information."""
        return re.findall(rf"^vnvram serve: {re.escape(str(self.location()))} ((?:is|has) .*)$", host.machine.log_text(),
                          re.MULTILINE)

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
        for _ in range(2):  # What is known by now is answered as it was when it was found out.
            self.assertEqual(self.refused("hand-over", source, message="has gone on elsewhere"), STALE)
        self.assertIn("refused: the machine has gone on elsewhere", source.machine.status())

    def test_of_one_that_has_gone_on_unheard_of(self):
        source, target = self.start_source(), self.start_target()
        self.go_on(target, self.hand_over(source))
        target.qemu_ends()
        target.machine.stop()
        for _ in range(2):
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


class WithoutALock(OnNbdServer, HandedOverCase):
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
