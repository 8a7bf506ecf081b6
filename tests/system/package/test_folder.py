"""scripts/build-packages.sh leaves alone what it has not made, and what it makes packages of agrees."""

import pathlib
import re
import subprocess
import unittest

from harness.workspace import Workspace

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts/build-packages.sh"


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


class Symbols(unittest.TestCase):
    def test_the_cpp_api_is_the_same_within_a_minor_version(self):
        version = re.search(r"\((\d+)\.(\d+)\.", (ROOT / "packaging/debian/changelog").read_text("utf-8"))
        symbols = (ROOT / "packaging/debian/libvnvram0.symbols").read_text("utf-8")
        self.assertIn(f"\n| libvnvram0 #MINVER#, libvnvram0 (<< {version[1]}.{int(version[2]) + 1}~)\n", symbols)
        self.assertRegex(symbols, r"(?m)^ \(symver\|optional\)VNVRAM_0 \S+ 1$")


if __name__ == "__main__":
    unittest.main()
