"""docs/operations.md says what contrib/recipes does, and the other way round."""

import os
import re
import unittest

from harness.recipe import RECIPES, recipe
from harness.tpm_process import REPOSITORY

TEXT = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


class Documented(unittest.TestCase):
    def test_same_scripts(self):
        scripts = {path.name for path in RECIPES.iterdir() if os.access(path, os.X_OK)
                   and path.is_file()}
        self.assertEqual(scripts, set(re.findall(r"contrib/recipes/([\w.-]+\.(?:py|sh))", TEXT)))

    def test_daemon_command_is_the_scripts(self):
        script = (RECIPES / "storage-daemon.sh").read_text("ascii")
        command = script[script.index("qemu-storage-daemon \\"):].replace('"', "")
        for name, value in (("image", "vm.qcow2"), ("format", "qcow2"), ("folder", "/run/vm1")):
            command = command.replace(f"${name}", value)
        self.assertIn(command, TEXT)

    def test_scripts_explain_themselves(self):
        for path in RECIPES.glob("*.py"):
            if os.access(path, os.X_OK):
                self.assertIn("usage:", recipe(path.name, "--help"))


if __name__ == "__main__":
    unittest.main()
