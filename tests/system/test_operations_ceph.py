"""docs/operations.md, "On a Ceph cluster": what is printed there is run, by a shell, as an operator would, on a
cluster where keys count."""

import re
import unittest

from harness.ceph_cluster import CephCluster
from harness.drop_in import complaints_about
from harness.operator_host import OWNER
from harness.printed import PrintedCase, Section, runs, uncovered
from harness.tpm_process import program
from harness.vnvram import vnvram
from harness.workspace import Workspace

SECTION = Section("On a Ceph cluster")
NOT_RUN = {}

BEGINNING = "ceph auth get-or-create client.vm"
SERVE = "vnvram serve rbd:rbd/vm1-nvram"
COPIES = "rbd snap create rbd/vm1-nvram@monday"
IMPORT = "vnvram create vm3.nvram"
DROP_IN = "[Service]\nExecStartPre=\n"


class Ceph(PrintedCase):
    section = SECTION

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        workspace = Workspace()
        cls.addClassCleanup(workspace.close)
        cls.cluster = CephCluster(workspace, cephx=True)
        cls.addClassCleanup(cls.cluster.end)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.cluster.make_pool_anew)  # Each makes the same images.
        self.host.env["CEPH_CONF"] = str(self.cluster.conf)
        self.host.path("/etc/ceph").mkdir()

    @runs(BEGINNING, SERVE, COPIES, IMPORT)
    def test_from_the_user_to_the_clone(self):
        self.host.run(*self.commands(BEGINNING))
        self.assertIn("exclusive-lock", self.cluster.rbd("info", "vm1-nvram"))
        (serving,) = self.commands(SERVE)
        server = self.host.serve(serving)
        # Beside it, as the text says.
        said = self.host.run(*self.commands(COPIES))
        self.assertIn("tpm2.permanent", said)
        self.assertIn("uefi.vars", said)
        self.host.run("vnvram put rbd:rbd/vm1-nvram tpm2.volatile /dev/null", status=14)
        self.host.stop(server)
        self.assertEqual(self.cluster.rbd("ls").split(), ["vm1-nvram", "vm2-nvram"])
        vnvram("check", f"rbd:rbd/vm2-nvram:conf={self.cluster.conf}")
        self.host.run(*self.commands(IMPORT))

    @runs(DROP_IN)
    def test_the_drop_in_for_the_service(self):
        """systemd is not PID 1 here: it looks at the words, and the command line is run as they have it."""
        drop_in = self.host.wrote(self.section.block(DROP_IN))
        printed = self.section.block(DROP_IN).text
        self.assertEqual(complaints_about(printed.replace("=vnvram", f"={program('vnvram')}"),
                                          self.workspace.file("unit")), [])
        command = re.search(r"(?m)^ExecStart=(vnvram .*)$", drop_in)[1]
        keyring = re.search(r"(?m)^LoadCredential=ceph:(.*)$", drop_in)[1]
        self.host.run(*self.commands(BEGINNING))
        for said, here in (("%i", "vm1"), ("%d/ceph", keyring), ("fd:control", OWNER), (" $VNVRAM_OPTIONS", ""),
                           ("fd:tpm", "unix:/run/vm1/tpm.sock"), ("fd:nbd", "unix:/run/vm1/nbd.sock")):
            command = command.replace(said, here)
        self.host.stop(self.host.serve(command))

    def test_what_is_set_for_an_image_counts_more(self):
        self.host.run(*self.commands(BEGINNING))
        self.cluster.rbd("config", "image", "set", "rbd/vm1-nvram", "rbd_cache", "true")
        said = self.host.run("vnvram check rbd:rbd/vm1-nvram; vnvram seal rbd:rbd/vm1-nvram", status=29)
        self.assertIn("rbd config image rm rbd/vm1-nvram rbd_cache", said)


class Coverage(unittest.TestCase):
    def test_every_block_is_run(self):
        self.assertEqual(uncovered(SECTION, [Ceph], NOT_RUN), [])


if __name__ == "__main__":
    unittest.main()
