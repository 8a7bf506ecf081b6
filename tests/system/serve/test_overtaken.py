"""A machine whose image somebody else has had since is not started again on it: its devices would write what
they remember over what the other one has committed. On an export, which no lock guards."""

import os
import shutil
import signal
import unittest

from cli.command import Case, IN_USE, IO, USAGE
from harness.child import Deadline, PATIENCE_SECONDS
from harness.machine_process import MachineProcess
from harness.nbd_server import NbdServer


class OvertakenTest(Case):
    def setUp(self):
        super().setUp()
        self.vnvram("create", self.image, "--blob", "eeprom:at24c:8K")
        server = NbdServer(self.workspace, "nbdkit", self.image)
        self.addCleanup(server.kill)
        self.export = server.uri
        self.machine = MachineProcess(self.workspace, self.export, tpm=False)
        self.addCleanup(self.machine.kill)
        self.vnvram("put", self.machine.address, "eeprom", "-", input=b"this machine's")

    def owner(self):
        return self.machine.processes().get("owner")

    def wait_for_owner(self):
        """The next one, which has the image."""
        deadline = Deadline(PATIENCE_SECONDS)
        while self.run_vnvram("get", self.machine.address, "eeprom").returncode != 0:
            self.assertFalse(deadline.passed(), self.machine.log_text())

    def must_be_refused(self):
        self.assertEqual(self.machine.child.wait(), IN_USE)
        self.assertIn("has opened it since this machine's owner ended", self.machine.log_text())

    def test_by_somebody_who_is_gone(self):
        self.vnvram("put", self.export, "eeprom", "-", input=b"the other one's")
        os.kill(self.owner(), signal.SIGKILL)
        self.must_be_refused()
        self.assertEqual(self.vnvram("get", self.export, "eeprom"), b"the other one's")

    def test_by_somebody_who_is_there(self):
        other = MachineProcess(self.workspace, self.export, tpm=False)
        self.addCleanup(other.kill)
        self.vnvram("put", other.address, "eeprom", "-", input=b"the other one's")
        os.kill(self.owner(), signal.SIGKILL)
        self.must_be_refused()
        self.vnvram("put", other.address, "eeprom", "-", input=b"and more of it")
        other.stop()

    def test_a_restart_does_not_wait_for_who_gave_up(self):
        self.vnvram("put", self.export, "eeprom", "-", input=b"the other one's")
        self.vnvram("restart", self.machine.address, status=IO, message="so has its `vnvram serve`")
        self.must_be_refused()

    def test_nonsense_is_no_way_around_the_look(self):
        for after in ("5x:", "5", ":7", "5:7,x"):
            self.vnvram("serve", self.export, "--control", f"unix:{self.path('c')}", "--again", "--after", after,
                        status=USAGE, message="EPOCH:PID")

    def test_its_own_owners_are_nobody_else(self):
        """Whoever of them dies, as soon as it is there."""
        for _ in range(5):
            os.kill(self.owner(), signal.SIGKILL)
            self.wait_for_owner()
        self.vnvram("restart", self.machine.address)
        self.assertEqual(self.vnvram("get", self.machine.address, "eeprom"), b"this machine's")
        self.machine.stop()

    def test_what_was_put_back_is_nobody_else(self):
        before = self.path("before")
        shutil.copy(self.image, before)
        for content in (b"later", b"still later"):  # Each of its own epoch.
            os.kill(self.owner(), signal.SIGKILL)
            self.wait_for_owner()
            self.vnvram("put", self.machine.address, "eeprom", "-", input=content)
        self.machine.child.send(signal.SIGSTOP)  # Nobody starts one before it is there.
        os.kill(self.owner(), signal.SIGKILL)
        with open(before, "rb") as source, open(self.image, "r+b") as target:
            shutil.copyfileobj(source, target)
        self.machine.child.send(signal.SIGCONT)
        self.wait_for_owner()
        self.assertEqual(self.vnvram("get", self.machine.address, "eeprom"), b"this machine's")
        self.machine.stop()


if __name__ == "__main__":
    unittest.main()
