"""One image that two hosts see, of a machine without a TPM."""

import os
import signal
import subprocess

from cli.command import IN_USE, STALE
from harness.child import PATIENCE_SECONDS, Deadline
from harness.shared_machine import SharedMachine
from harness.tpm_process import program
from harness.vnvram import create, info
from tpm.support import TpmCase

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
