"""The other packages: what they install works, and goes again."""

import re
import unittest

from harness.tpm_process import REPOSITORY

from .case import PackageCase
from .packages import run


class Needs(PackageCase):
    def test_the_c_library(self):
        for name, package in self.packages.files.items():
            tree = self.workspace.file(name)
            run("dpkg-deb", "--extract", package, tree)
            if any(b"GLIBC_ABI_DT_RELR" in file.read_bytes() for file in tree.rglob("*") if file.is_file()):
                needed = re.search(r"libc6 \(>= (\d+)\.(\d+)", run("dpkg-deb", "--field", package, "Depends"))
                # Or a later one, where a symbol asks for that.
                self.assertGreaterEqual(tuple(map(int, needed.groups())), (2, 36), name)


class Others(PackageCase):
    def setUp(self):
        super().setUp()
        self.names = [name for name in self.packages.files if name != "vnvram-swtpm"]
        self.host.install(*self.files(*self.names))

    def test_tools(self):
        self.host.run("vnvram", "create", "/tmp/vm.img", "--tpm2", "--blob", "eeprom:at24c:512")
        self.assertIn("tpm2.permanent", self.host.run("vnvram", "ls", "/tmp/vm.img"))
        self.assertIn("vnvram-tpm", self.host.run("vnvram-tpm", "--version"))
        self.assertIn("name=vnvram\n", self.host.run("nbdkit", "vnvram", "--dump-plugin"))
        self.assertIn("name=vnvram-owner\n", self.host.run("nbdkit", "vnvram-owner", "--dump-plugin"))
        for place in ("/usr/lib/systemd/system/vnvram@.service", "/usr/lib/sysusers.d/vnvram.conf",
                      "/usr/share/bash-completion/completions/vnvram", "/usr/share/zsh/vendor-completions/_vnvram",
                      "/var/lib/vnvram"):
            self.assertTrue(self.host.path(place).exists(), place)
        self.assertIn("kvm", self.host.run("getent", "group", "kvm"))

    def test_tpms_are_manufactured(self):
        """Without the package that is in swtpm's place."""
        self.host.run("find", "/var/lib/swtpm-localca", "-type", "f", "-delete")  # Maybe root's on this host.
        self.host.run("vnvram", "create", "/tmp/vm.img", "--tpm2", "--manufacture")
        self.assertIn("BEGIN CERTIFICATE", self.host.run("vnvram", "tpm", "identity", "/tmp/vm.img"))

    def test_images_outlive_them(self):
        image = "/var/lib/vnvram/vm1.img"
        self.host.run("vnvram", "create", image, "--tpm2")
        self.host.run("dpkg", "--purge", *self.names)
        left = {f"/{path.relative_to(self.host.changes)}" for path in self.host.changes.rglob("*vnvram*")
                if (self.host.root / path.relative_to(self.host.changes)).exists()}
        self.assertEqual({place for place in left if not place.startswith("/tmp/")}, {"/var/lib/vnvram"})
        self.assertTrue(self.host.path(image).exists())

    def test_programs_are_built_with_the_library(self):
        if "libvnvram-dev" not in self.names:
            self.skipTest("only `./dev package` makes those of the library")
        self.host.path("/tmp/examples").mkdir()
        for name in ("CMakeLists.txt", "embed.c", "embed.cc"):
            self.host.path(f"/tmp/examples/{name}").write_bytes((REPOSITORY / "examples" / name).read_bytes())
        self.host.run("sh", "-ec", "cd /tmp/examples && cc -D_POSIX_C_SOURCE=200809L embed.c -o embed-c "
                                   "$(pkg-config --cflags --libs vnvram) && ./embed-c c.nvram")
        self.host.run("sh", "-ec", "cd /tmp/examples && cmake -G Ninja -B build . && cmake --build build "
                                   "&& build/embed_cc cc.nvram")
        self.host.run("vnvram", "check", "/tmp/examples/c.nvram")


if __name__ == "__main__":
    unittest.main()
