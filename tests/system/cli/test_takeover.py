"""`vnvram takeover`, and --take-over: an image whose owner is silent, on storage that cannot shut it out."""

import json
import os
import signal
import subprocess

from harness.child import PATIENCE_SECONDS
from harness.nbd_server import NbdServer
from harness.owner_process import OwnerProcess
from harness.tpm_process import TpmProcess, program
from swtpm.case import loop_device
from tpm.support import ControlClient

from .command import ABSENT, Case, IN_USE, MIB, OK, POISONED, SEALED, USAGE, WRONG_KEY


class TakeoverCase(Case):
    server = "nbdkit"

    def setUp(self):
        super().setUp()
        server = NbdServer(self.workspace, self.server, self.file("disk", bytes(8 * MIB)))
        self.addCleanup(server.kill)
        self.image = server.uri
        self.create("--tpm2", "--blob", "x:t:8K")

    def own(self, *options):
        owner = OwnerProcess(self.workspace, self.image, *options)
        self.addCleanup(owner.kill)
        return owner

    def silence(self, owner):
        """Its host is not heard of any more; it may come back."""
        owner.child.send(signal.SIGSTOP)
        os.waitid(os.P_PID, owner.pid, os.WSTOPPED | os.WNOWAIT)
        self.addCleanup(owner.child.send, signal.SIGCONT)

    def put(self, where, content, status=OK, message=None):
        self.vnvram("put", where, "x", "-", input=content, status=status, message=message)

    def must_commit_nothing(self, owner):
        """It has come back to life, and says why."""
        owner.child.send(signal.SIGCONT)
        done = self.run_vnvram("put", owner.address, "x", "-", input=b"late")
        self.assertIn(done.returncode, (IN_USE, POISONED), done.stderr)
        self.assertRegex(done.stderr.decode(), r"another owner has opened it since \(epoch \d+(\)|, process [1-9])")
        self.assertNotIn(b"late", self.vnvram("get", self.image, "x"))

    def elsewhere(self, *words):
        """On a host of another name."""
        return subprocess.run(["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh", program("vnvram"),
                               *words], input=b"theirs", capture_output=True, check=False, timeout=PATIENCE_SECONDS)


class TakeoverTest(TakeoverCase):
    def test_a_silent_owners_image_takes_the_operators_word(self):
        owner = self.own()
        self.put(owner.address, b"acknowledged")
        before = self.json("info", self.image)
        self.silence(owner)
        self.vnvram("takeover", self.image, status=IN_USE,
                    message=f"process {before['owner_pid']} on ")
        self.assertEqual(self.json("info", self.image), before)  # A refusal has changed nothing.
        found = self.json("takeover", self.image, "--owner-is-dead")
        self.assertEqual((found["taken_over"], found["owner_pid"], found["owner_host"]),
                         (True, before["owner_pid"], before["owner_host"]))
        self.assertGreater(found["epoch"], before["epoch"])
        self.assertTrue(self.json("info", self.image)["clean"])
        self.assertEqual(self.vnvram("get", self.image, "x"), b"acknowledged")
        self.must_commit_nothing(owner)
        self.put(self.image, b"goes on")
        self.vnvram("check", self.image)

    def test_what_opens_takes_over_as_well(self):
        owner = self.own()
        self.put(owner.address, b"acknowledged")
        self.silence(owner)
        with self.assertRaises(AssertionError):
            self.own("--take-over")
        next_owner = self.own("--take-over", "--owner-is-dead")
        self.assertEqual(self.vnvram("get", next_owner.address, "x"), b"acknowledged")
        self.put(next_owner.address, b"goes on")
        self.must_commit_nothing(owner)
        self.assertEqual(self.vnvram("get", next_owner.address, "x"), b"goes on")
        next_owner.stop()

    def test_a_tpm_takes_over_as_well(self):
        self.silence(self.own())
        with self.assertRaises(AssertionError):
            TpmProcess(self.workspace, self.image, options=["--take-over"])
        tpm = TpmProcess(self.workspace, self.image,
                         options=["--take-over", "--owner-is-dead"])
        self.addCleanup(tpm.kill)

    def test_what_is_sealed_or_does_not_open_is_no_reason_to_shut_anybody_out(self):
        self.vnvram("seal", self.image)
        self.vnvram("takeover", self.image, "--owner-is-dead", status=SEALED)
        self.vnvram("unseal", self.image)
        key = self.file("key", b"a key that nobody guesses")
        self.vnvram("takeover", self.image, "--owner-is-dead", "--key", f"file:{key}", status=WRONG_KEY)
        self.vnvram("takeover", self.path("none"), "--owner-is-dead", status=ABSENT)

    def test_an_image_that_nobody_has_is_taken_as_it_is(self):
        found = self.json("takeover", self.image)
        self.assertFalse(found["taken_over"])
        self.assertIn(b"nobody had it in use", self.vnvram("takeover", self.image))

    def test_a_living_process_lock_is_no_matter_of_words(self):
        self.image = self.path("file.nvram")
        self.create("--blob", "x:t:8K")
        owner = self.own()
        for word in ((), ("--owner-is-dead",)):  # Nor is it said that the word would help.
            self.vnvram("takeover", self.image, *word, status=IN_USE, message="which has its lock")
        self.put(owner.address, b"goes on")
        self.assertEqual(self.vnvram("get", owner.address, "x"), b"goes on")
        owner.kill()
        self.assertTrue(self.json("takeover", self.image, "--owner-is-dead")["taken_over"])

    def test_the_word_alone_is_no_order(self):
        self.vnvram("serve", self.image, "--control", f"unix:{self.path('c')}", "--owner-is-dead",
                    status=USAGE)


class OnAnotherHostTest(TakeoverCase):
    """Who does not see whether the owner lives."""

    server = "nbdkit-tcp"

    def test_a_start_on_another_host_takes_nothing_from_who_runs(self):
        owner = self.own()
        self.put(owner.address, b"acknowledged")
        before = self.json("info", self.image)
        address = f"unix:{self.workspace.file('elsewhere')}"
        for words in (("put", self.image, "x", "-"), ("serve", self.image, "--control", address)):
            done = self.elsewhere(*words)
            self.assertEqual(done.returncode, IN_USE, done.stderr)
            self.assertIn(f"process {before['owner_pid']} on {before['owner_host']} has not closed it",
                          done.stderr.decode())
        report = json.loads(self.elsewhere("can-run", self.image, "--json").stdout)
        self.assertFalse(report["can_run"])
        self.assertEqual(self.json("info", self.image), before)
        self.put(owner.address, b"goes on")
        owner.kill()
        self.assertEqual(self.elsewhere("put", self.image, "x", "-").returncode, IN_USE)
        done = self.elsewhere("takeover", self.image, "--owner-is-dead")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(self.elsewhere("put", self.image, "x", "-").returncode, OK)
        self.put(self.image, b"closed there")

    def must_not_take_back(self, control):
        """A guest's reset has the TPM look again; its machine was taken over."""
        control = ControlClient(control)
        self.addCleanup(control.close)
        guest = control.take_control()
        self.addCleanup(guest.close)
        self.assertEqual((control.init(), guest.startup()), (0, 0))
        guest.define_counter()
        guest.must_increment()
        self.assertEqual(self.elsewhere("takeover", self.image, "--owner-is-dead").returncode, OK)
        self.assertEqual(self.elsewhere("put", self.image, "x", "-").returncode, OK)
        there = self.json("info", self.image)
        control.init()
        guest.startup()
        self.assertNotEqual(guest.increment(), 0)
        self.assertEqual(self.json("info", self.image), there)
        self.assertEqual(self.vnvram("get", self.image, "x"), b"theirs")

    def test_a_reset_of_a_tpm_that_was_taken_over_takes_nothing_back(self):
        tpm = TpmProcess(self.workspace, self.image)
        self.addCleanup(tpm.kill)
        self.must_not_take_back(tpm.control)

    def test_a_reset_of_a_machine_that_was_taken_over_takes_nothing_back(self):
        tpm = self.workspace.file("machine.tpm")
        self.own("--tpm", f"unix:{tpm}")
        self.must_not_take_back(tpm)

    def test_what_changes_an_image_without_opening_it_asks_as_well(self):
        self.own()
        for words in (("meta", "set", self.image, "name", "value"), ("repair", self.image)):
            done = self.elsewhere(*words)
            self.assertEqual(done.returncode, IN_USE, (words, done.stderr))
        self.assertEqual(self.elsewhere("repair", self.image, "--owner-is-dead").returncode, OK)


class OnAVolumeTest(TakeoverCase):
    """That two hosts see: two loop devices over one file."""

    def check_it_asks(self, here, there):
        self.image = here
        self.create("--blob", "x:t:8K")
        owner = self.own()
        self.put(owner.address, b"acknowledged")
        done = self.elsewhere("put", there, "x", "-")
        self.assertEqual(done.returncode, IN_USE, done.stderr)
        self.assertIn(b"has not closed it", done.stderr)
        self.assertFalse(json.loads(self.elsewhere("can-run", there, "--json").stdout)["can_run"])
        self.put(owner.address, b"goes on")
        owner.stop()
        self.assertEqual(self.elsewhere("put", there, "x", "-").returncode, OK)

    def test_a_raw_image(self):
        disk = self.file("volume", bytes(8 * MIB))
        self.check_it_asks(loop_device(self, disk), loop_device(self, disk))

    def test_a_vm_image(self):
        disk = self.file("volume", bytes(16 * MIB))
        here, there = loop_device(self, disk), loop_device(self, disk)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", here, "8M"], check=True,
                       timeout=PATIENCE_SECONDS)
        self.check_it_asks(here, there)
