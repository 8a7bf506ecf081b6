"""The package that is in swtpm's place: installed, upgraded, removed and purged by dpkg, with Debian's swtpm and
without."""

import contextlib
import gzip
import json
import os
import pwd
import shutil
import signal
import unittest

from .case import ASIDE, IMAGE, PackageCase, SWTPM

PAGE = "/usr/share/man/man8/swtpm.8.gz"
MAY_GO = "/run/vnvram-swtpm-may-go"
BACK = "vnvram-swtpm-back"
USER = "tss"  # As whom libvirt runs it.
# With it, and what it runs in.
CUT_AT = """#!/bin/sh
case " $* " in *" %s "*) ;; *) exec /usr/bin/dpkg-divert "$@" ;; esac
dpkg=$(sed 's/.*) . //; s/ .*//' /proc/$PPID/stat)
kill -KILL $PPID "$dpkg"
"""


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

    def upgrade_swtpm(self, place):
        """Which is there meanwhile."""
        newer = self.host.path("/root/newer")
        newer.write_bytes(self.host.path(place).read_bytes() + b"newer")
        self.host.install(self.packages.made_up("swtpm", {"usr/bin/swtpm": newer}))
        self.stock = self.host.digest("/root/newer")
        self.assertEqual(self.host.digest(place), self.stock)

    @contextlib.contextmanager
    def cut_at(self, option):
        """The power, before dpkg-divert does this."""
        cut = self.host.path("/usr/local/sbin/dpkg-divert")
        cut.write_text(CUT_AT % option)
        cut.chmod(0o755)
        yield
        cut.unlink()

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
        self.assertIn("the TPM runs there", self.host.run(BACK, "--all", status=1))
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

    def test_volumes_of_proxmox(self):
        """Of two, in files: an image behind a guard block, and a qcow2 file, which is refused."""
        self.install_ours()
        file = self.host.path("/root/vm-100.raw")
        with open(file, "wb") as made:
            made.truncate(4 << 20)
        self.count(file, 0)
        self.host.on_proxmox("/root/vm-100.raw")
        self.assertEqual(self.host.run(BACK), "/root/vm-100.raw\n")
        self.assertIn("/root/vm-100.raw", self.remove("vnvram-swtpm", status=1))
        other = self.host.path("/root/vm-101.qcow2")
        self.host.run("qemu-img", "convert", "-O", "qcow2", "/root/vm-100.raw", "/root/vm-101.qcow2")
        before = other.read_bytes()
        said = self.host.run(BACK, "/root/vm-101.qcow2", "/root/vm-100.raw", status=1)
        self.assertIn("/root/vm-101.qcow2: not given back", said)
        self.assertEqual(other.read_bytes(), before)
        self.remove("vnvram-swtpm")
        self.count(file, 1)

    def test_a_volume_that_is_not_there_holds_the_package(self):
        self.install_ours()
        for place in ("/dev/pve/not-active", "rbd:pool/vm-100", ""):
            self.host.on_proxmox(place)
            self.assertEqual(self.host.run("sh", "-c", f"{BACK} 2>/dev/null", status=3), "")
            said = self.remove("vnvram-swtpm", status=1)
            self.assertIn("local-lvm:vm-100-disk-1: cannot be looked at", said)
            self.assertIn(MAY_GO, said)
        pvesm = self.host.path("/usr/local/bin/pvesm")
        for text in ("exit 1", "exec sleep 1000"):  # A storage that is not there, and one that never answers.
            pvesm.write_text(f"#!/bin/sh\n{text}\n")
            self.assertIn("cannot be looked at",
                          self.host.run("env", "VNVRAM_PATIENCE_SECONDS=1", BACK, status=3))
        with open(self.host.path("/root/blank"), "wb") as made:
            made.truncate(4 << 20)
        self.host.on_proxmox("/root/blank")
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()

    def test_containers_hold_the_package(self):
        self.install_ours()
        for place in ("/var/lib/incus/containers/c1/tpm.tpm0", "/var/lib/lxd/containers/c1/tpm.tpm0",
                      "/var/lib/incus/virtual-machines/v1/tpm.vtpm"):
            folder = self.host.path(place)
            folder.mkdir(parents=True)
            self.count(folder, 0)
            self.assertIn(f"{place}/{IMAGE}", self.remove("vnvram-swtpm", status=1))
            self.host.run(BACK, "--all")
            self.count(folder, 1, name=ASIDE)
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()

    def test_a_word_of_before_is_not_for_what_comes_after(self):
        self.host.path(MAY_GO).touch()
        self.install_ours()
        folder = self.machine("vm1")
        self.count(folder, 0)
        self.assert_refused(folder)

    def test_the_power_is_cut_before_the_diversion_and_swtpm_is_upgraded(self):
        self.host.install(*self.files("vnvram"))
        with self.cut_at("--add"):
            self.host.install(*self.files("vnvram-swtpm"), status=-signal.SIGKILL)
        self.assertEqual(self.host.digest(SWTPM), self.stock)
        self.upgrade_swtpm(SWTPM)
        self.install_ours()
        self.assert_aside()
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()

    def test_the_power_is_cut_in_a_removal(self):
        """Between the last moment of our program and the first one of swtpm's."""
        for mends in (("dpkg", "--remove", "vnvram-swtpm"), ("apt-get", "--fix-broken", "--yes", "install")):
            self.install_ours()
            with self.cut_at("--remove"):
                self.remove("vnvram-swtpm", status=-signal.SIGKILL)
            self.assertFalse(self.host.path(SWTPM).exists())
            self.host.run("dpkg", "--configure", "--pending")
            self.host.run(*mends)
            self.assert_swtpm_is_back()

    def test_an_upgrade_of_swtpm_while_it_is_aside(self):
        self.install_ours()
        self.upgrade_swtpm(ASIDE)
        self.assert_aside()
        self.remove("vnvram-swtpm")
        self.assert_swtpm_is_back()

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
        place = "/var/lib/libvirt/swtpm/vm1/tpm2"
        self.host.run("timeout", "60", SWTPM, "socket", "--tpm2", "--tpmstate", f"dir={place}", "--flags",
                      "not-need-init", "--server", "type=unixio,path=/tmp/vm1.socket", status=1)
        self.assertEqual((folder / IMAGE).read_bytes(), before)
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
