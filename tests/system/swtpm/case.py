"""What the tests of vnvram-swtpm need: TPMs of ours and of swtpm's in the same places."""

import itertools
import os
import shutil
import subprocess
import unittest

from harness.child import Child
from harness.vnvram import must_be_clean
from harness.workspace import Workspace
from tpm.support import ControlClient

from . import facts
from .programs import OURS, SWTPM, TPM2, Swtpm, content

FAILED = 9


class SwtpmCase(unittest.TestCase):
    """Ends every process that it started, in any case; shows all logs when the test fails."""

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.programs = []
        self.addCleanup(self._end_programs)
        self._folders = itertools.count()

    def _end_programs(self):
        for each in reversed(self.programs):
            each.kill()

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        except BaseException:
            self.workspace.show_failure()
            raise

    def new_folder(self):
        folder = self.workspace.file(f"tpm{next(self._folders)}")
        folder.mkdir()
        return folder

    def new_file(self, size):
        """Blank."""
        file = self.workspace.file(f"tpm{next(self._folders)}.dev")
        with open(file, "wb") as there:
            there.truncate(size)
        return file

    def copy(self, place):
        """Of a folder or file."""
        copied = self.workspace.file(f"tpm{next(self._folders)}")
        if place.is_dir():
            return shutil.copytree(place, copied)
        return shutil.copyfile(place, copied)

    def start(self, place, options=(), name=OURS, before=(), version=TPM2):
        started = Swtpm(self.workspace, place, options, name, before, version)
        self.programs.append(started)
        return started

    def start_child(self, words, inherits=()):
        """A program with all of its command line."""
        child = Child(words, self.workspace.log("child"), None, inherits)
        self.programs.append(child)
        return child

    def control(self, tpm):
        control = ControlClient(tpm.control)
        self.addCleanup(control.close)
        return control

    def result(self, tpm, command, body=b""):
        """Of one control command. swtpm serves one client after the other."""
        control = ControlClient(tpm.control)
        try:
            return control.result(command, body)
        finally:
            control.close()

    def init(self, tpm, flags=0):
        """The result."""
        return self.result(tpm, 2, flags.to_bytes(4, "big"))

    def power_on(self, place, options=(), name=OURS, starts_up=True):
        """Returns the TPM, and a client of it that may send commands. Not to be started up is one
        that has a volatile state, which is used up by that."""
        tpm = self.start(place, options, name)
        self.assertEqual(self.init(tpm, 0 if starts_up else 1), 0, tpm.log_text())
        client = tpm.client()
        self.addCleanup(client.close)
        if starts_up:
            self.assertEqual(client.startup(), 0)
        return tpm, client

    def make_state(self, place, options=(), name=SWTPM, fills=False, volatile=False):
        """A TPM that has been used and switched off. Returns its facts."""
        tpm, client = self.power_on(place, options, name)
        made = facts.make(client)
        if fills:
            facts.fill(client)
        if volatile:
            self.assertEqual(self.result(tpm, 10), 0)
            tpm.kill()
        client.close()
        if not volatile:
            tpm.stop()
        return made

    def check_facts(self, place, expected, options=(), name=OURS):
        """A start after a cut finds these."""
        tpm, client = self.power_on(place, options, name)
        self.assertEqual(facts.lasting(facts.facts(client)), facts.lasting(expected))
        client.close()
        tpm.stop()

    def check_refuses(self, place, options=(), name=OURS, says=""):
        """INIT fails, commands do, and nothing of what is there has changed."""
        before = content(place)
        tpm = self.start(place, options, name)
        self.assertEqual(self.init(tpm), FAILED)
        self.assertIn(says, tpm.log_text())
        tpm.stop()
        self.assertEqual(content(place), before)

    def check_clean(self, image):
        must_be_clean(image)


def loop_device(case, file):
    """Over a file of the workspace; let go at the test's end."""
    if os.geteuid() != 0:
        case.skipTest("loop devices need root")
    made = subprocess.run(["losetup", "--find", "--show", str(file)], capture_output=True,
                          text=True, check=False, timeout=60)
    if made.returncode != 0:
        case.skipTest(f"no loop device: {made.stderr}")
    name = made.stdout.strip()
    case.addCleanup(subprocess.run, ["losetup", "--detach", name], check=False, timeout=60)
    return name
