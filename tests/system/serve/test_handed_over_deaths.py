"""One image that two hosts see, of a machine without a TPM: whoever dies, or whichever answer is lost, at whatever stage,
exactly one goes on, with all that was answered."""

import os
import random
import signal
import subprocess
import time
import unittest

from cli.command import SEALED
from harness.child import PATIENCE_SECONDS
from harness.tpm_process import program
from harness.vnvram import vnvram
from tpm.test_shared_image import ROUNDS

from .handed_over_case import HandedOverCase


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
            self.ask_and_kill(dice, "verb" if number % 2 else "owner", "go-on", target, "--from", token)
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
            self.ask_and_kill(dice, "verb", "hand-over", source)
            self.go_on(source)
            self.must_go_on(source)

    def hand_over_with_a_death(self, source, dice, number):
        self.ask_and_kill(dice, "verb" if number % 3 else "owner", "hand-over", source)
        done = self.asked_until_it_is_said("hand-over", source)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    @staticmethod
    def ask_and_kill(dice, victim, verb, host, *words):
        """Kills the verb that asks, or the owner that is asked, at a random moment."""
        asking = subprocess.Popen([program("vnvram"), verb, host.machine.address, *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, 0.03))  # Random, no synchronisation.
        os.kill(asking.pid if victim == "verb" else host.machine.pid, signal.SIGKILL)
        asking.wait(PATIENCE_SECONDS)


if __name__ == "__main__":
    unittest.main()
