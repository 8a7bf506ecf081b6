"""UEFI variables of QEMU's ARM machines: a flash chip of 64 MiB, and a blob of what is used of it."""

import unittest

import nbd  # libnbd's own binding

from cli.command import Case, MIB
from harness.blob_server import BlobServer
from harness.child import Deadline
from harness.uefi_shell_machine import ARM, UefiShellMachine, stored_variable

GUID = "a7a33a3f-6d4f-4f1e-9e5b-2f1f0c7d5e11"
USED = 768 << 10


class ArmCase(Case):
    """One machine and its image."""

    template = None

    def setUp(self):
        super().setUp()
        self.children = []
        self.addCleanup(lambda: [child.kill() for child in reversed(self.children)])
        self.create("--uefi", self.template)

    def serve(self):
        self.children.append(BlobServer(self.workspace, self.image))
        return self.children[-1]

    def boot(self, server):
        machine = self.power_on(server)
        self.assertTrue(machine.shell_starts(300), "the firmware has not come up")
        machine.wait_ready(300)
        return machine

    def power_on(self, server, *options):
        self.children.append(
            UefiShellMachine(self.workspace, server.uri("uefi.vars"), ARM, options))
        return self.children[-1]

    def content(self):
        return self.vnvram("get", self.image, "uefi.vars")

    def wait_until_stored(self, name, text):
        """By the clock of nbdkit: QEMU asks for nothing while the guest runs."""
        deadline = Deadline(60)
        while stored_variable(name, text) not in self.content():
            self.assertFalse(deadline.passed(), f"{name} is not on the image")

class Arm(ArmCase):
    """With the template without keys, which is empty flash: the firmware makes its store."""

    template = "/usr/share/AAVMF/AAVMF_VARS.fd"

    def test_power_cut(self):
        server = self.serve()
        machine = self.boot(server)
        machine.set("First", GUID, "kept")
        self.wait_until_stored("First", "kept")
        machine.kill()
        server.kill()
        self.vnvram("check", self.image)
        self.assertEqual(len(self.content()), USED)
        self.assertEqual(len(self.vnvram("get", "--chip", self.image, "uefi.vars")), 64 * MIB)

        server = self.serve()
        machine = self.boot(server)
        self.assertEqual(machine.get("First", GUID), "kept".encode("utf-16-le"))
        # A machine that goes on writes its whole flash, what it does not use as well.
        machine.set("Second", GUID, "suspended")
        state = self.path("state")
        machine.suspend_to(state)
        self.erase(server)
        machine = self.power_on(server, "-incoming", "defer")
        machine.resume_from(state)
        self.wait_until_stored("Second", "suspended")
        machine.kill()
        server.stop()
        self.assertNotIn("Could not update PFLASH", self.workspace.logs_text())
        self.vnvram("check", self.image)

    def erase(self, server):
        """What the image has must come from the machine that goes on, not be left over."""
        client = nbd.NBD()
        client.connect_uri(server.uri("uefi.vars"))
        client.pwrite(b"\xff" * USED, 0, nbd.CMD_FLAG_FUA)
        client.shutdown()
        self.assertNotIn(stored_variable("Second", "suspended"), self.content())


class ArmWithKeys(ArmCase):
    """With the one that has Microsoft's keys enrolled. Such a firmware starts no shell; it writes
    variables of its own at each boot."""

    template = "/usr/share/AAVMF/AAVMF_VARS.ms.fd"

    def test_power_cut(self):
        keys = [name.encode("utf-16-le") + b"\0\0" for name in ("PK", "KEK", "db", "dbx")]
        before = self.content()
        self.assertTrue(all(key in before for key in keys))
        for _ in range(2):
            server = self.serve()
            machine = self.power_on(server)
            deadline = Deadline(300)
            while self.content() == before:
                self.assertFalse(deadline.passed(), "the firmware has written nothing")
            machine.kill()
            server.kill()
            self.vnvram("check", self.image)
            after = self.content()
            self.assertNotEqual(after, before)
            self.assertTrue(all(key in after for key in keys), "keys are lost")
            before = after


if __name__ == "__main__":
    unittest.main()
