"""What commands say of an image that was moved, of its new place, and of what an unfinished move has left."""

import json
import re
import subprocess

from cli.command import OK, SEALED
from harness.tpm_process import program

from .serve_case import ServeCase


class MovedPlaces(ServeCase):
    def setUp(self):
        super().setUp()
        self.owner.stop()
        self.new = self.path("new.nvram")
        self.left = self.path("left.nvram")

    def move_cut(self):
        """Killed at one of its last writes to the old place, before the one that decides."""
        for number in range(1, 50):
            killed = subprocess.run(
                ["strace", "-f", "-qqq", "-o", "/dev/null", "-P", self.image, "-e",
                 f"inject=pwrite64,pwritev,pwritev2:signal=KILL:when={number}",
                 program("vnvram"), "move", self.image, self.left],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
            self.assertNotEqual(killed.returncode, OK, "it was finished")
            if self.left.exists() and self.run_vnvram("info", self.left).returncode == OK:
                return
            self.left.unlink(missing_ok=True)
        self.fail("there is no such moment")

    def says(self, place, state, to=None, origin=None):
        info = self.json("info", place)
        self.assertEqual((info["moved_to"], info["moved_from"]),
                         (to and str(to), origin and str(origin)))
        self.assertRegex(self.vnvram("info", place).decode(), rf"(?m)^state: +.*{re.escape(state)}")

    def cannot_run(self, place, words, *options):
        done = self.run_vnvram("can-run", place, "--json", *options)
        self.assertEqual(done.returncode, SEALED, done)
        report = json.loads(done.stdout)
        seal = [finding for finding in report["findings"] if finding["about"] == "seal"]
        self.assertEqual(len(seal), 1, report)
        self.assertIn(words, seal[0]["text"] + " (" + seal[0]["remedy"] + ")")
        self.assertFalse(report["can_run"])

    def test_a_move_that_was_not_finished(self):
        self.move_cut()
        self.says(self.left, "an unfinished move", origin=self.image)
        self.cannot_run(self.left, f"the image is still {self.image}")
        self.vnvram("move", self.image, self.new)
        self.says(self.left, f"elsewhere, at {self.new}", origin=self.image)
        self.cannot_run(self.left, f"go on with {self.new}", "--incoming")
        self.vnvram("unseal", self.left, status=SEALED, message=f"go on with {self.new}")
        self.vnvram("put", self.left, "eeprom", "-", input=b"x", status=SEALED, message=f"go on with {self.new}")
        self.vnvram("put", self.new, "eeprom", "-", input=b"x")

    def test_the_old_place_and_the_new_one(self):
        self.vnvram("move", self.image, self.new)
        self.vnvram("put", self.new, "eeprom", "-", input=b"x")
        self.says(self.image, f"it was moved to {self.new}", to=self.new)
        self.says(self.new, "clean")
        for options in ((), ("--incoming",)):
            self.cannot_run(self.image, f"it was moved to {self.new}", *options)
        self.vnvram("can-run", self.new)
        self.vnvram("unseal", self.image, status=SEALED, message="which was opened since")
        owner = self.start_owner(image=self.new)
        self.vnvram("unseal", self.image, status=SEALED, message="which somebody has open")
        owner.stop()
        self.new.unlink()
        self.vnvram("unseal", self.image)
        self.says(self.image, "clean")
