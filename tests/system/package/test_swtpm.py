"""The package that is in swtpm's place: installed, upgraded, removed and purged by dpkg, with Debian's swtpm and
without."""

import gzip
import json
import os
import pwd
import shutil
import unittest

from .case import ASIDE, IMAGE, PackageCase, SWTPM

PAGE = "/usr/share/man/man8/swtpm.8.gz"
MAY_GO = "/run/vnvram-swtpm-may-go"
BACK = "vnvram-swtpm-back"
USER = "tss"  # As whom libvirt runs it.


class InSwtpmsPlace(PackageCase):
    def setUp(self):
        super().setUp()
        self.stock = self.host.digest(SWTPM)

    def assert_swtpm_is_back(self):
        self.assertEqual(self.host.digest(SWTPM), self.stock)
        self.assertFalse(self.host.path(ASIDE).exists())
        self.assertNotIn("vnvram", self.host.run("dpkg-divert", "--list", "*swtpm*"))

    def assert_aside(self):
        self.assert_ours()
        self.assertEqual(self.host.digest(ASIDE), self.stock)

    def assert_refused(self, folder):
        """The removal, with what is to be done."""
        said = self.remove("vnvram-swtpm", status=1)
        for words in (str(folder / IMAGE).removeprefix(str(self.host.root)), f"{BACK} --all", "vnvram export-swtpm",
                      MAY_GO):
            self.assertIn(words, said)
        self.assertEqual(self.host.state("vnvram-swtpm"), "deinstall ok installed")  # Wanted, and not done.
        self.assert_aside()

    def assert_nothing_of_ours(self, *but):
        """In what has changed since before the first package came."""
        self.host.run("dpkg", "--purge", "vnvram-swtpm", "vnvram")
        left = [path for path in self.host.changes.rglob("*vnvram*")
                if os.path.lexists(self.host.root / path.relative_to(self.host.changes))]
        places = {f"/{path.relative_to(self.host.changes)}" for path in left}
        self.assertEqual({place for place in places if not place.startswith("/tmp/")}, set(but))
        self.assertEqual(self.host.state("vnvram-swtpm"), "")

    def give_to_user(self, folder):
        """As libvirt does before each start."""
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, USER)
        (folder / IMAGE).chmod(0o600)

    def test_a_life(self):
        folder = self.machine("vm1")
        self.count(folder, 0)
        self.assertEqual(self.host.never_without(SWTPM, self.install_ours), 0)
        self.assert_aside()
        if self.host.path(PAGE).exists():  # Not where dpkg is told to leave manuals out.
            self.assertIn(b"VNVRAM-SWTPM", gzip.decompress(self.host.path(PAGE).read_bytes()))
        self.count(folder, 1)
        self.assertEqual((folder / IMAGE).read_bytes()[:6], b"vNVRAM")

        newer = [self.packages.newer(name) for name in ("vnvram", "vnvram-swtpm")]
        self.assertEqual(self.host.never_without(SWTPM, lambda: self.host.install(*newer)), 0)
        self.assert_aside()
        self.count(folder, 2)
        self.assert_refused(folder)
        self.count(folder, 3)

        self.give_to_user(folder)
        self.host.run(BACK, "--all")
        user = pwd.getpwnam(USER).pw_uid
        for path in (folder / IMAGE, folder / f"{IMAGE}.vnvram"):
            self.assertEqual((path.stat().st_uid, path.stat().st_mode & 0o7777), (user, 0o600), path)
        kept = f"/var/lib/libvirt/swtpm/vm1/tpm2/{IMAGE}.vnvram"
        self.assertTrue(json.loads(self.host.run("vnvram", "info", "--json", kept))["sealed"])
        self.assertEqual(self.host.run(BACK), "")
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()
        self.count(folder, 4)
        self.assert_nothing_of_ours(kept)

    def test_a_machine_that_runs_keeps_its_image(self):
        self.install_ours()
        folder = self.machine("vm1")
        self.count(folder, 0)
        tpm = self.start(folder)
        self.assertIn("in use", self.host.run(BACK, "--all", status=1))
        self.assert_refused(folder)
        tpm.stop()
        self.count(folder, 1)

    def test_an_encrypted_one(self):
        self.install_ours()
        folder = self.machine("vm1")
        passphrase = self.host.path("/root/vm1.passphrase")
        passphrase.write_text("of libvirt's secret")
        words = f"pwdfile={passphrase},mode=aes-256-cbc"
        self.count(folder, 0, "--key", words)
        self.assertIn("key", self.host.run(BACK, "--all", status=1))
        self.host.run(BACK, "--swtpm-key", words.replace(str(self.host.root), ""), "--all")
        self.remove("vnvram-swtpm")
        self.count(folder, 1, "--key", words)

    def test_a_file_by_the_commands_that_are_printed(self):
        """As on a device of Proxmox's: the image is behind a guard block."""
        self.install_ours()
        file = self.host.path("/root/vm-100.raw")
        with open(file, "wb") as made:
            made.truncate(4 << 20)
        self.count(file, 0)
        self.host.on_proxmox("/root/vm-100.raw")
        self.assertEqual(self.host.run(BACK), "/root/vm-100.raw\n")
        self.assertIn("/root/vm-100.raw", self.remove("vnvram-swtpm", status=1))
        said = self.host.run(BACK, "/root/vm-100.raw", status=1)
        commands = [line.strip() for line in said.splitlines() if line.startswith("  ")]
        self.assertEqual(len(commands), 3)
        self.host.run("sh", "-ec", "\n".join(["cd /root", *commands]))
        self.remove("vnvram-swtpm")
        self.count(file, 1)

    def test_removed_all_the_same(self):
        self.install_ours()
        folder = self.machine("vm1")
        self.count(folder, 0)
        self.host.path(MAY_GO).touch()
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()
        self.assertFalse(self.host.path(MAY_GO).exists())
        # swtpm itself refuses what is there, and it is exported later.
        before = (folder / IMAGE).read_bytes()
        with self.assertRaises((AssertionError, ConnectionError)):
            self.count(folder, 1)
        self.assertEqual((folder / IMAGE).read_bytes(), before)
        place = "/var/lib/libvirt/swtpm/vm1/tpm2"
        self.host.run("vnvram", "export-swtpm", f"{place}/{IMAGE}", "/tmp/vm1")
        self.host.run("mv", f"/tmp/vm1/{IMAGE}", place)
        self.count(folder, 1)

    def test_swtpm_comes_later_and_goes_first(self):
        stock = self.packages.made_up("swtpm", {"usr/bin/swtpm": self.host.path(SWTPM)})
        self.host.run("dpkg", "--purge", "--force-depends", "swtpm")
        self.install_ours()
        self.assert_ours()
        self.assertFalse(self.host.path(ASIDE).exists())
        for _ in range(2):
            self.host.install(stock)
            self.assert_aside()
            self.host.run("dpkg", "--purge", "--force-depends", "swtpm")
            self.assert_ours()
            self.assertFalse(self.host.path(ASIDE).exists())
        self.host.install(stock)
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()
        self.host.run("dpkg", "--purge", "--force-depends", "swtpm")
        self.assertFalse(self.host.path(SWTPM).exists())
        self.assert_nothing_of_ours()

    def test_an_installation_that_is_broken_off(self):
        self.host.install(*self.files("vnvram"))
        other = self.packages.made_up("in-the-way", {f"usr/sbin/{BACK}": self.host.path(SWTPM)})
        self.host.install(other)
        self.assertEqual(
            self.host.never_without(SWTPM, lambda: self.host.install(*self.files("vnvram-swtpm"), status=1)), 0)
        self.assert_swtpm_is_back()

    def test_a_diversion_by_hand_is_named(self):
        self.host.run("dpkg-divert", "--local", "--rename", "--divert", ASIDE, "--add", SWTPM)
        self.host.install(*self.files("vnvram"))
        said = self.host.install(*self.files("vnvram-swtpm"), status=1)
        self.assertIn(f"dpkg-divert --local --rename --remove {SWTPM}", said)
        self.assertEqual(self.host.digest(ASIDE), self.stock)

    def test_swtpm_setup_unmodified(self):
        self.install_ours()
        folder = self.machine("vm1")
        place = "/var/lib/libvirt/swtpm/vm1/tpm2"
        self.host.run("swtpm_setup", "--tpm2", "--tpmstate", place, "--createek", "--create-ek-cert",
                      "--create-platform-cert", "--lock-nvram", "--overwrite")
        self.assertEqual((folder / IMAGE).read_bytes()[:6], b"vNVRAM")
        self.assertIn("tpm2.permanent", self.host.run("vnvram", "ls", f"{place}/{IMAGE}"))


if __name__ == "__main__":
    unittest.main()
