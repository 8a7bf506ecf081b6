"""scripts/build-packages.sh leaves alone what it has not made."""

import pathlib
import subprocess
import unittest

from harness.workspace import Workspace

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "scripts/build-packages.sh"


class Folder(unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)

    def test_a_folder_of_others_is_refused(self):
        out, thesis = self.workspace.file("project"), self.workspace.file("project") / "source/thesis"
        thesis.parent.mkdir(parents=True)
        thesis.write_text("years of work")
        (out / "other.deb").write_bytes(b"another's")
        done = subprocess.run([SCRIPT, "--programs", out, out], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("was not made by this", done.stderr)
        self.assertEqual({path.name for path in out.rglob("*") if path.is_file()}, {"thesis", "other.deb"})


if __name__ == "__main__":
    unittest.main()
