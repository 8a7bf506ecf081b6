"""docs/operations.md says what contrib/recipes does, and the other way round."""

import os
import re
import unittest

from harness.recipe import RECIPES, recipe
from harness.storage_daemon import StorageDaemon
from harness.tpm_process import REPOSITORY
from harness.vnvram import create, must_be_clean
from harness.workspace import Workspace

TEXT = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


class Documented(unittest.TestCase):
    def test_same_scripts(self):
        scripts = {path.name for path in RECIPES.iterdir() if os.access(path, os.X_OK)
                   and path.is_file()}
        self.assertEqual(scripts, set(re.findall(r"contrib/recipes/([\w.-]+\.(?:py|sh))", TEXT)))

    def test_daemon_command_is_the_scripts(self):
        script = (RECIPES / "storage-daemon.sh").read_text("ascii")
        command = script[script.index("qemu-storage-daemon \\"):].replace('"', "")
        for name, value in (("image", "vm.qcow2"), ("format", "qcow2"), ("folder", "/run/vm1/storage")):
            command = command.replace(f"${name}", value)
        self.assertIn(command, TEXT)

    def test_scripts_explain_themselves(self):
        for path in RECIPES.glob("*.py"):
            if os.access(path, os.X_OK):
                self.assertIn("usage:", recipe(path.name, "--help"))


class WithoutAMachine(unittest.TestCase):
    def setUp(self):
        workspace = Workspace()
        self.addCleanup(workspace.close)
        self.file = workspace.file
        self.image = create(self.file("vm.qcow2"), "--tpm2")
        # As an operator names it who is in its folder.
        self.daemon = StorageDaemon(workspace, os.path.relpath(self.image))
        self.addCleanup(self.daemon.kill)

    def test_an_image_with_a_relative_name(self):
        overlay = self.file("overlay.qcow2")
        self.assertEqual(recipe("external_snapshot.py", self.daemon.qmp, overlay), str(self.image))
        recipe("commit_overlays.py", self.daemon.qmp)
        self.daemon.stop()
        must_be_clean(self.image)

    def test_copies_are_as_private_as_the_image(self):
        names = {"external_snapshot.py": "overlay.qcow2", "backup.py": "backup.qcow2",
                 "move_image.py": "moved.qcow2"}
        for script, name in names.items():
            recipe(script, self.daemon.qmp, self.file(name))
            self.assertEqual(self.file(name).stat().st_mode & 0o777, 0o600, name)
        self.daemon.stop()
        must_be_clean(self.file("moved.qcow2"))


if __name__ == "__main__":
    unittest.main()
