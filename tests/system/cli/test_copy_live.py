"""Copies of an image that is in use, and copies that are cut: whole, or none."""

import contextlib
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import time

from harness.owner_process import OwnerProcess
from harness.tpm_process import program

from .command import IN_USE, MIB, OK, STALE
from .copy_case import BLOCK, CopyCase
from .owner import Owner
from .places import BlockDevice

SIZE = 50000


class LiveCopy(CopyCase):
    def test_beside_an_owner_that_commits_all_the_time(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", SIZE) as owner:
            owner.commit("A")
            owner.spin()
            generations = []
            for _ in range(10):
                done = self.run_vnvram("copy", self.image, self.out, "--force", "--json")
                self.assertIn(done.returncode, (OK, STALE), done)
                if done.returncode == STALE:  # On a busy machine it may be overtaken each time.
                    continue
                report = json.loads(done.stdout)
                content = self.vnvram("get", self.out, "a")
                self.assertEqual((len(content), len(set(content))), (SIZE, 1), "bytes of several commits")
                self.assertEqual(self.json("info", self.out)["generation"], report["generation"])
                generations.append(report["generation"])
                self.vnvram("check", self.out)
                self.vnvram("put", self.out, "a", "-", input=b"the copy goes on")
            self.assertEqual(generations, sorted(generations), "it went back in time")
            self.assertTrue(len(generations) < 2 or len(set(generations)) > 1, "the owner did not commit meanwhile")

    def test_what_was_acknowledged_is_in_it(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", SIZE) as owner:
            for letter in "ABC":
                owner.commit(letter)
                self.vnvram("copy", self.image, self.out, "--force")
                self.assertEqual(self.vnvram("get", self.out, "a"), letter.encode() * SIZE)

    def test_by_its_owners_socket(self):
        key = self.key()
        for name, options in (("vm.nvram", ()), ("vm.qcow2", ()), ("locked.nvram", ("--encrypt", *key))):
            with self.subTest(name=name):
                image, out = self.path(name), self.path(f"copy-of-{name}")
                self.vnvram("create", image, "--blob", "a:t:64K", *options)
                owner = OwnerProcess(self.workspace, image, *(key if options else ()))
                self.addCleanup(owner.kill)
                self.vnvram("put", owner.address, "a", "-", input=b"of its owner")
                report = self.json("copy", owner.address, out)
                self.assertEqual(report["encrypted"], bool(options))
                self.assertEqual(report["generation"], self.json("info", owner.address)["generation"])
                owner.stop()
                self.must_be_the_same(image, out, *(key if options else ()))

    def test_by_the_socket_of_an_owner_whose_image_changes_all_the_time(self):
        """A checkpoint comes between the first and the last byte of each reading, until changes are held."""
        self.create("--blob", "a:t:64K", "--ring-size", "640K", "--size", "24M")
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        writer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c",
             'while :; do head -c 60000 /dev/urandom | "$0" put "$1" a -; done',
             program("vnvram"), owner.address], stdin=subprocess.DEVNULL, start_new_session=True)

        def end_writer():
            if writer.returncode is None:
                os.killpg(writer.pid, signal.SIGKILL)
                writer.wait()
        self.addCleanup(end_writer)
        generation = 0
        readings = []
        while len(readings) < 3 or (max(readings) == 1 and len(readings) < 30):
            report = self.json("copy", owner.address, self.out, "--force", "--rate-bytes", "12M")
            self.assertEqual(self.json("info", self.out)["generation"], report["generation"])
            self.assertGreaterEqual(report["generation"], generation)
            generation = report["generation"]
            readings.append(report["readings"])
            self.vnvram("check", self.out)
        self.assertGreater(max(readings), 1, "none was overtaken")
        self.assertFalse(self.json("status", owner.address)["held"])
        end_writer()
        owner.stop()

    def test_an_image_that_is_in_use_is_no_target(self):
        self.create("--blob", "a:t:1K")
        self.vnvram("create", self.out, "--blob", "b:t:1K")
        with Owner(self, self.out):
            self.vnvram("copy", self.image, self.out, "--force", status=IN_USE)


class Cut(CopyCase):
    def test_killed_it_leaves_no_image(self):
        """Wherever that is: at a rate it is far from its end."""
        place = BlockDevice(self)
        self.image = self.path("source.nvram")  # The other one is the device's.
        self.create("--blob", "a:t:1K", "--size", "32M")
        self.addCleanup(place.end)
        place.hold(b"\xff" * (33 * MIB))
        for out in (self.out, pathlib.Path(place.location)):
            child = subprocess.Popen([program("vnvram"), "copy", self.image, out, "--force", "--rate-bytes", "2M"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.addCleanup(child.kill)
            deadline = time.monotonic() + 60
            # A new file has a folder then; and a device has lost what it held, as far as it was an image's.
            while not self.has_begun(out, place) and child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertIsNone(child.poll(), "it has ended before it was cut")
            child.kill()
            child.wait()
            self.assertFalse(self.out.exists())
            # A new file's folder is left, which nobody else can look into.
            left = set(self.names()) - {self.image.name, place.raw.name}
            self.assertEqual(bool(left), out == self.out, left)
            for name in left:
                self.assertEqual(self.path(name).stat().st_mode & 0o777, 0o700)
                shutil.rmtree(self.path(name))
        self.assertNotEqual(self.run_vnvram("info", place.location).returncode, OK)
        self.vnvram("copy", self.image, place.location, "--force")
        self.must_be_the_same(self.image, place.location)

    def has_begun(self, out, place):
        if out == self.out:
            return len(self.names()) > 2
        with open(place.raw, "rb") as raw:
            return raw.read(BLOCK) == bytes(BLOCK)

    def start_beside_a_stuck_owner(self):
        """A copy that waits for an owner that does not answer: it is stopped."""
        self.create("--blob", "a:t:1K", "--size", "32M")
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        before = self.names()
        child = subprocess.Popen(["env", "--default-signal", program("vnvram"), "copy", owner.address, self.out,
                                  "--rate-bytes", "8M"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(child.kill)
        deadline = time.monotonic() + 60
        while self.names() == before and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertNotEqual(self.names(), before)
        os.kill(self.json("info", owner.address)["owner_pid"], signal.SIGSTOP)
        # Nothing comes any more, at a rate at which it would by now.
        seen = -1
        while seen != self.moved_bytes_of(child.pid) and time.monotonic() < deadline:
            seen = self.moved_bytes_of(child.pid)
            time.sleep(1)
        self.assertIsNone(child.poll(), "it has ended before its owner was stopped")
        return child, before

    def test_told_to_end_beside_an_owner_that_does_not_answer_it_leaves_nothing(self):
        child, before = self.start_beside_a_stuck_owner()
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(60), -signal.SIGTERM)
        self.assertEqual(self.names(), before)

    def test_told_twice_it_ends_wherever_it_is(self):
        child, _ = self.start_beside_a_stuck_owner()
        child.send_signal(signal.SIGINT)
        while child.poll() is None and signal.SIGINT in self.pending_signals_of(child.pid):
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(60), -signal.SIGTERM)  # And not by the first one.

    @staticmethod
    def pending_signals_of(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        bits = int(next(line.split()[1] for line in lines if line.startswith("ShdPnd:")), 16)
        return {number for number in range(1, 65) if bits >> (number - 1) & 1}

    def test_told_to_end_it_leaves_nothing(self):
        self.create("--blob", "a:t:1K", "--size", "32M")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Who has started the tests may have them ignored.
            child = subprocess.Popen(["env", "--default-signal", program("vnvram"), "copy", self.image, self.out,
                                      "--rate-bytes", "1K"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.addCleanup(child.kill)
            deadline = time.monotonic() + 60
            while self.names() == [self.image.name] and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertNotEqual(self.names(), [self.image.name])
            child.send_signal(number)
            self.assertEqual(child.wait(60), -number)
            self.assertEqual(self.names(), [self.image.name])

    def ended_on_a_terminal(self, verb, image):
        """By SIGINT, when it has shown how far it has come. Returns what is on the terminal afterwards."""
        terminal, end = pty.openpty()
        self.addCleanup(os.close, terminal)
        child = subprocess.Popen(["env", "--default-signal", program("vnvram"), verb, image, self.out, "--rate-bytes",
                                  "1M"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end)
        self.addCleanup(child.kill)
        os.close(end)
        shown = b""
        while b" %" not in shown:  # Or the end of the terminal, if it ends by itself.
            shown += os.read(terminal, 4096)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(60), -signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: nobody has the other side any more.
            while more := os.read(terminal, 4096):
                shown += more
        self.assertRegex(shown.decode(), rf"{verb}: +[0-9]+ %")
        return shown.decode().rsplit("\x1b[K", 1)[1]

    def test_on_a_terminal_it_shows_how_far_it_is_and_when_told_to_end_what_is_left(self):
        self.create("--blob", "a:t:1K", "--size", "32M")
        begun = f"{self.out} is not made, and what was begun of it is removed"
        self.assertEqual(self.ended_on_a_terminal("copy", self.image),
                         f"vnvram: note: ended by signal 2; {begun}\r\n")
        still = f"the image is still at {self.image}"
        self.assertEqual(self.ended_on_a_terminal("move", self.image),
                         f"vnvram: note: ended by signal 2; {still}; {begun}\r\n")
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        self.assertEqual(self.ended_on_a_terminal("move", owner.address),
                         f"vnvram: note: ended by signal 2; {still}; {begun}\r\n")

    @staticmethod
    def moved_bytes_of(pid):
        lines = pathlib.Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
        counts = dict(line.split(": ") for line in lines)
        return int(counts["rchar"]) + int(counts["wchar"])
