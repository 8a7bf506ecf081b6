"""The Debian packages under test: those in the folder VNVRAM_PACKAGES, as scripts/build-packages.sh leaves them."""

import os
import pathlib
import re
import subprocess
import tempfile

SECONDS_MAX = 600


def run(*words):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{words}: status {done.returncode}\n{done.stdout}")
    return done.stdout


class Packages:
    """Files by their packages' names."""

    def __init__(self, folder):
        self._folder = folder  # For others that are made of them.
        files = pathlib.Path(os.environ["VNVRAM_PACKAGES"]).glob("*.deb")
        self.files = {file.name.split("_")[0]: file for file in files if "-dbgsym_" not in file.name}

    def newer(self, name):
        """The same as the next version."""
        tree = self._folder / f"{name}.newer"
        run("dpkg-deb", "--raw-extract", self.files[name], tree)
        control = tree / "DEBIAN" / "control"
        text = control.read_text("utf-8")
        version = re.search(r"(?m)^Version: (.*)$", text)[1]
        control.write_text(text.replace(version, f"{version}+newer"), "utf-8")
        return self._build(tree, f"{name}_newer.deb")

    def made_up(self, name, files):
        """Another one with these files: {path in it: a file}."""
        tree = pathlib.Path(tempfile.mkdtemp(dir=self._folder)) / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 99\nArchitecture: all\nMaintainer: the tests\nDescription: made up\n", "utf-8")
        for path, content in files.items():
            place = tree / path
            place.parent.mkdir(parents=True)
            place.write_bytes(content.read_bytes())
            place.chmod(0o755)
        return self._build(tree, tree.parent / f"{name}_99.deb")

    def _build(self, tree, name):
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, self._folder / name)
        return self._folder / name
