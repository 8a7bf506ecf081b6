"""What the tests of the packages share."""

import os
import unittest

from harness.shows_logs import ShowsLogs
from harness.workspace import Workspace
from swtpm.programs import Swtpm

from .host import PackagedHost
from .packages import Packages

SWTPM, ASIDE = "/usr/bin/swtpm", "/usr/bin/swtpm.distrib"
IMAGE = "tpm2-00.permall"


@unittest.skipUnless(os.geteuid() == 0, "packages are root's to install")
class PackageCase(ShowsLogs, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = Workspace()
        cls.addClassCleanup(cls.shared.close)
        cls.packages = Packages(cls.shared.path)

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.host = PackagedHost(self.workspace)
        self.addCleanup(self.host.close)

    def files(self, *names):
        return [self.packages.files[name] for name in names]

    def install_ours(self):
        """What stands in for swtpm, and what it needs."""
        return self.host.install(*self.files("vnvram", "vnvram-swtpm"))

    def remove(self, *names, status=0):
        return self.host.run("dpkg", "--remove", *names, status=status)

    def assert_ours(self):
        self.assertIn("vnvram-swtpm", self.host.run(SWTPM, "--version"))
        place = self.host.path(SWTPM)
        self.assertFalse(place.is_symlink())
        self.assertEqual(place.read_bytes()[:4], b"\x7fELF")

    def machine(self, name):
        """The folder that libvirt has for its TPM."""
        folder = self.host.path(f"/var/lib/libvirt/swtpm/{name}/tpm2")
        folder.mkdir(parents=True)
        return folder

    def start(self, folder, *options, name=SWTPM):
        tpm = Swtpm(self.workspace, folder, ("--flags", "not-need-init", *options), str(self.host.path(name)))
        self.addCleanup(tpm.kill)
        return tpm

    def count(self, folder, expected, *options, name=SWTPM):
        """What has this name runs there: how far the counter was, if it was made before; one more now."""
        tpm = self.start(folder, *options, name=name)
        client = tpm.client()
        self.addCleanup(client.close)
        self.assertEqual(client.startup(), 0)
        if expected == 0:
            client.define_counter()
        else:
            self.assertEqual(client.counter(), expected)
        client.must_increment()
        client.close()
        tpm.stop()

