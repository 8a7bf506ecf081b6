"""--runas and --chroot come first: what is opened is opened as that user, in that folder."""

import os
import stat
import unittest

from harness.workspace import Workspace

from .programs import OURS, SWTPM, run

NOBODY = 65534


@unittest.skipUnless(os.geteuid() == 0, "becomes another user")
class IdentityTest(unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.folder = self.workspace.file("folder")
        self.folder.mkdir()
        os.chown(self.folder, NOBODY, NOBODY)
        os.chmod(self.workspace.path, 0o711)

    def fails(self, *words, program=OURS):
        """A start that goes as far as its log, and ends with a mistake."""
        done = run(program, "socket", "--ctrl", "type=nonsense", *words)
        self.assertEqual(done.returncode, 1)
        return done.stderr

    def test_the_log_is_the_users_as_with_swtpm(self):
        for program in (SWTPM, OURS):
            for user in (str(NOBODY), "nobody"):
                with self.subTest(program=program, user=user):
                    log = self.folder / f"log-{user}-{os.path.basename(program)}"
                    self.fails("--runas", user, "--log", f"file={log}", program=program)
                    status = log.stat()
                    self.assertEqual((status.st_uid, stat.S_IMODE(status.st_mode)), (NOBODY, 0o600))
                    self.assertIn("control channel type", log.read_text())

    def test_a_log_where_the_user_may_not_write_is_refused(self):
        log = self.workspace.file("log")
        for program in (SWTPM, OURS):
            said = self.fails("--runas", NOBODY, "--log", f"file={log}", program=program)
            self.assertFalse(log.exists())
        self.assertIn("Permission denied", said)

    def test_paths_are_in_the_new_root(self):
        said = self.fails("--chroot", self.folder, "--runas", NOBODY, "--log", "file=/log")
        self.assertIn("control channel type", said)
        self.assertEqual((self.folder / "log").stat().st_uid, NOBODY)

    def test_relative_paths_begin_at_the_new_root(self):
        self.fails("-R", self.folder, "-r", NOBODY, "--log", "file=log")
        self.assertTrue((self.folder / "log").exists())

    def test_a_root_that_is_not_there(self):
        self.assertIn("No such file or directory", self.fails("--chroot", "/nowhere"))

    def test_who_is_not_root_becomes_nobody_else(self):
        log = self.folder / "log"
        done = run(OURS, "socket", "--ctrl", "type=nonsense", "--runas", 1, "--log", f"file={log}",
                   user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(done.returncode, 1)
        self.assertIn("Operation not permitted", done.stderr)
        self.assertFalse(log.exists())


if __name__ == "__main__":
    unittest.main()
