"""What commands say beside doing it, or not: in the words of who asked, and only where there is something to say."""

import subprocess
import unittest

from harness.owner_process import OwnerProcess
from harness.tpm_process import program
from nbdkit.nbdkit_case import plugin

from .command import EXISTS, IN_USE, OK, SEALED, STALE, Case
from .owner import Owner

FLASH = "uefi.vars:edk2.variables:540672"
TO_A_HOST = "for a hand-over to another host, which may be about to go on with it"
TO_SOMEBODY = "since its state was handed over to another machine, or is in a snapshot or file"


class UnsealTest(Case):
    def said(self, where):
        done = self.run_vnvram("unseal", where)
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        return done.stderr.decode()

    def test_that_there_was_no_seal(self):
        self.create("--blob", "x:test:100")
        self.assertEqual(self.said(self.image), f"vnvram: note: {self.image}: it was not sealed\n")
        self.vnvram("seal", self.image)
        self.assertEqual(self.said(self.image), "")
        self.assertFalse(self.json("info", self.image)["sealed"])

    def test_that_there_was_none_on_an_image_that_is_served(self):
        self.create("--blob", "x:test:100")
        self.vnvram("seal", self.image)
        owner = OwnerProcess(self.workspace, self.image, "--incoming")
        self.addCleanup(owner.kill)
        self.assertEqual(self.said(owner.address), "")
        self.assertEqual(self.said(owner.address), f"vnvram: note: {owner.address}: it was not sealed\n")


class SealedTest(Case):
    """Whatever is started on it, or wants to change it: why it is sealed, and what the asker can do in his own words."""

    def setUp(self):
        super().setUp()
        self.sockets = [f"unix:{self.path(name)}" for name in ("control", "tpm", "nbd")]

    def hand_over(self):
        """To a host that has not come for it yet."""
        owner = OwnerProcess(self.workspace, self.image, "--shared")
        self.addCleanup(owner.kill)
        self.vnvram("hand-over", owner.address)
        owner.stop()

    def refused(self, *argv, status=SEALED):
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def starts(self, *options):
        """What serve and vnvram-tpm say, which is the same."""
        control, tpm, _ = self.sockets
        said = [self.refused(program("vnvram"), "serve", self.image, "--control", control, *options),
                self.refused(program("vnvram-tpm"), self.image, "--ctrl", tpm, *options)]
        texts = [text[text.index(str(self.image)):] for text in said]
        self.assertEqual(*texts)
        return texts[0]

    def others(self):
        """Who has no option for it."""
        return [self.refused(program("vnvram"), "register", self.image, "--blob", "x:test:1"),
                self.refused(program("vnvram"), "takeover", self.image),
                self.refused(program("vnvram"), "move", self.image, self.path("moved")),
                self.refused("nbdkit", "--foreground", "--unix", self.sockets[2][5:], plugin(), self.image, status=1)]

    def test_for_a_hand_over(self):
        self.create("--blob", FLASH)
        self.hand_over()
        for options, remedy in (((), "(--shared --incoming, for the machine that comes by that hand-over; or"),
                                (("--incoming",), "(--shared --incoming, for the machine that comes by"),
                                (("--shared",), "(--incoming, for the machine that comes by that hand-over; or")):
            said = self.starts(*options)
            self.assertIn(TO_A_HOST, said)
            self.assertIn(remedy, said)
            self.assertIn("vnvram unseal", said)
        for said in self.others():
            self.assertIn(TO_A_HOST, said)
            self.assertIn("(if that one is not to go on: vnvram unseal)", said)
        self.assertIn(TO_A_HOST, self.run_vnvram("can-run", self.image).stdout.decode())

    def test_for_whoever_has_its_state(self):
        self.create("--blob", FLASH)
        self.vnvram("seal", self.image)
        self.assertIn("(--incoming, for a machine that comes back to it; or vnvram unseal)", self.starts())
        self.assertNotIn("--incoming", self.starts("--shared"))  # There it is for a hand-over.
        for said in [self.starts(), *self.others()]:
            self.assertIn(TO_SOMEBODY, said)
        self.assertIn(TO_SOMEBODY, self.run_vnvram("can-run", self.image).stdout.decode())
        owner = OwnerProcess(self.workspace, self.image, "--incoming")
        self.addCleanup(owner.kill)
        self.vnvram("unseal", owner.address, status=OK)

    def test_for_a_tpm_whose_image_is_served(self):
        self.create("--tpm2")
        self.vnvram("seal", self.image)
        owner = OwnerProcess(self.workspace, self.image, "--incoming")
        self.addCleanup(owner.kill)
        said = self.refused(program("vnvram-tpm"), owner.address, "--ctrl", self.sockets[1])
        self.assertIn(TO_SOMEBODY, said)
        self.assertIn("(--incoming, for a machine that comes back to it; or vnvram unseal)", said)


class RemedyTest(Case):
    """By the options that a command has, and not by those of the library."""

    def said(self, *words, status, **options):
        done = self.run_vnvram(*words, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr.decode()

    def test_what_is_written_over(self):
        self.create("--blob", "x:test:100")
        foreign = self.file("foreign", b"x" * (8 << 20))
        for place, loss in ((self.image, "what is in it"), (foreign, "that data")):
            self.assertIn(f"--force to lose {loss})", self.said("create", place, "--blob", "x:test:100", status=EXISTS))

    def test_what_is_in_use(self):
        self.create("--blob", "x:test:100")
        with Owner(self, self.image):
            said = self.said("put", self.image, "x", "-", status=IN_USE, input=b"x")
            self.assertIn("stop the program that has it open; it can be read meanwhile", said)
            self.vnvram("get", self.image, "x")

    def test_a_hold_that_was_refused(self):
        """Nothing has run out."""
        self.create("--blob", FLASH)
        owner = OwnerProcess(self.workspace, self.image, "--shared")
        self.addCleanup(owner.kill)
        self.vnvram("hand-over", owner.address)
        self.vnvram("hold", owner.address, "--seconds", "60", status=IN_USE, message="hold it where its machine runs")
        self.vnvram("release", owner.address, status=STALE,
                    message="no changes are held: the hold was refused, or has ended before")


class HelpTest(Case):
    def text(self, *argv):
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=True)
        return " ".join(done.stdout.split())

    def test_every_way_to_write_a_key(self):
        for argv in ((program("vnvram"), "get", "--help"), (program("vnvram"), "key", "add", "--help"),
                     (program("vnvram-tpm"), "--help"), ("nbdkit", plugin(), "--help")):
            text = self.text(*argv)
            for words in ("file:PATH[,remove]", "fd:N", "passphrase", "passphrase:file:PATH[,remove]", "passphrase:fd:N",
                          "exec:COMMAND"):
                self.assertIn(words, text, argv)

    def test_what_is_not_served_is_no_option(self):
        text = self.text(program("vnvram-swtpm"), "chardev", "--help")
        options, not_served = text.split("Not served:")
        for option in ("--vtpm-proxy", "--profile", "--pcap"):
            self.assertNotIn(option, options)
            self.assertIn(option, not_served)


if __name__ == "__main__":
    unittest.main()
