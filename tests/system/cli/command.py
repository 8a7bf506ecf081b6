"""The command under test, and what it ends with."""

import json
import pathlib
import subprocess
import unittest

from harness.tpm_process import program
from harness.workspace import Workspace

OK, FAILURE, USAGE = 0, 1, 2
ABSENT, BLANK, FOREIGN, CORRUPT, IN_USE, TOO_NEW, STALE = 10, 11, 12, 13, 14, 17, 23
KEY_NEEDED, WRONG_KEY = 15, 16
NO_SPACE, IO, READ_ONLY, NOT_FOUND, EXISTS, TYPE_MISMATCH, TOO_LARGE = 20, 21, 24, 25, 26, 27, 28
UNSUPPORTED, SEALED, POISONED, NOT_AT_ANCHOR = 29, 30, 22, 31
MIB = 1 << 20


class Case(unittest.TestCase):
    """A folder of its own, and the command."""

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.image = self.path("vm.nvram")

    def path(self, name):
        return self.workspace.file(name)

    def file(self, name, content):
        path = self.path(name)
        path.write_bytes(content)
        return path

    def run_vnvram(self, *words, **options):
        argv = [str(program("vnvram")), *map(str, words)]
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(argv, stderr=subprocess.PIPE, timeout=120, check=False, **options)

    def vnvram(self, *words, status=OK, message=None, **options):
        """Runs it and returns its output; it must end with this status, a failure with a message
        that names the program, the image and (if given) these words."""
        done = self.run_vnvram(*words, **options)
        errors = done.stderr.decode()
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}\n{errors}")
        if status not in (OK, CORRUPT):
            self.assertRegex(errors, r"^vnvram: ", words)
            self.assertEqual(errors.count("\n"), 1, errors)
        if message is not None:
            self.assertIn(message, errors)
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self.vnvram(*words, "--json", **options))

    def create(self, *options):
        self.vnvram("create", self.image, *options)
        return self.image

    def blob(self, name):
        """What ls says about it."""
        return {entry["name"]: entry for entry in self.json("ls", self.image)["blobs"]}[name]

    def names(self, folder=None):
        return sorted(path.name for path in pathlib.Path(folder or self.workspace.path).iterdir())
