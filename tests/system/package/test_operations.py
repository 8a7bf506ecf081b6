"""docs/operations.md, "In swtpm's place": what is printed there is run, by a shell, as an operator would."""

import shutil
import subprocess
import unittest

from harness.printed import Section, runs, uncovered

from .case import ASIDE, IMAGE, PackageCase, SWTPM

SECTION = Section("In swtpm's place")
INSTALL = "apt install ./build/package/vnvram_*.deb"
BACK = "vnvram-swtpm-back                 #"
ENCRYPTED = "vnvram-swtpm-back --swtpm-key"
BY_HAND = "dpkg-divert --local --rename --divert"
BY_HAND_BACK = "rm /usr/bin/swtpm"
PASSPHRASE = "/root/UUID.passphrase"


class Printed(PackageCase):
    def setUp(self):
        super().setUp()
        self.ran = []
        # The answer that an operator gives.
        self.host.path("/etc/apt/apt.conf.d/90tests").write_text('APT::Get::Assume-Yes "true";\n')

    def tearDown(self):
        self.assertEqual([self.ran], [[*getattr(self, self._testMethodName).blocks]])

    def block(self, beginning):
        """All of it, in /root."""
        self.ran.append(beginning)
        return self.host.run("bash", "-ec", f"cd /root\n{SECTION.block(beginning).text}")

    def install(self):
        place = self.host.path("/root/build/package")
        place.mkdir(parents=True)
        for file in self.files("vnvram", "vnvram-swtpm"):
            shutil.copy(file, place)
        self.block(INSTALL)

    @runs(INSTALL, BACK)
    def test_there_and_back(self):
        folder, stock = self.machine("UUID"), self.host.digest(SWTPM)
        self.count(folder, 0)
        self.install()
        self.count(folder, 1)
        self.assertIn(IMAGE, self.block(BACK))
        self.assertEqual(self.host.digest(SWTPM), stock)
        self.count(folder, 2)

    @runs(INSTALL, ENCRYPTED)
    def test_an_encrypted_one(self):
        self.host.path(PASSPHRASE).write_text("of libvirt's secret")
        options = ("--key", f"pwdfile={self.host.path(PASSPHRASE)},mode=aes-256-cbc")
        folder = self.machine("UUID")
        self.count(folder, 0, *options)
        self.install()
        self.count(folder, 1, *options)
        self.block(ENCRYPTED)
        self.host.run("dpkg", "--remove", "vnvram-swtpm")
        self.count(folder, 2, *options)

    @runs(BY_HAND, BY_HAND_BACK)
    def test_by_hand(self):
        stock = self.host.digest(SWTPM)
        inside = self.workspace.file("inside")  # Without the package, what is in it.
        subprocess.run(["dpkg-deb", "--extract", *self.files("vnvram-swtpm"), inside], check=True, timeout=60)
        shutil.copy(inside / "usr/bin/swtpm", self.host.path("/usr/bin/vnvram-swtpm"))
        self.block(BY_HAND)
        self.assert_ours()
        self.assertEqual(self.host.digest(ASIDE), stock)
        self.block(BY_HAND_BACK)
        self.assertEqual(self.host.digest(SWTPM), stock)

    def test_every_block_is_run(self):
        self.assertEqual(uncovered(SECTION, [Printed], {}), [])

    test_every_block_is_run.blocks = ()


if __name__ == "__main__":
    unittest.main()
