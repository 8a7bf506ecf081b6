"""Machines under a libvirtd that the tests of a class share."""

import hashlib
import pathlib
import unittest

from guest.guest_image import guest_image
from harness.case import COUNTER
from harness.vnvram import create, info, must_be_clean
from harness.workspace import Workspace
from harness.shows_logs import ShowsLogs

from .host import Host
from .machine import Machine, copy_guest

TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"


class LibvirtCase(ShowsLogs, unittest.TestCase):
    """Each test has machines and images of its own; what fails shows all logs."""

    @classmethod
    def setUpClass(cls):
        cls.all_hosts = []
        cls.workspace = Workspace()
        cls.addClassCleanup(cls.workspace.close)
        cls.workspace.path.chmod(0o1777)  # QEMU's user gets at what is in it, and makes the sockets of migrations.
        try:
            cls.guest = copy_guest(guest_image(), cls.workspace.path)
            cls.host = cls.new_host("one")
        except BaseException:
            cls.workspace.show_failure()
            raise

    @classmethod
    def new_host(cls, name, *options):
        host = Host(cls.workspace, name, *options)
        cls.all_hosts.append(host)
        cls.addClassCleanup(host.kill)
        return host

    def show_logs(self):
        super().show_logs()
        for host in self.all_hosts:
            print(host.logs_text(), flush=True)

    def new_image(self, *options):
        name = f"{self._testMethodName}-{len(list(self.workspace.path.glob('*.nvram')))}.nvram"
        return create(self.workspace.file(name), *(options or ("--tpm2",)))

    def machine(self, name, image=None, **changes):
        return self.undefined(name, image or self.new_image(), self.host, **changes).define()

    def undefined(self, name, image, host, **changes):
        machine = Machine(self.workspace, host, name, image, self.guest, **changes)
        self.addCleanup(self._end, machine)
        return machine

    def _end(self, machine):
        machine.host.virsh("destroy", machine.name)
        machine.close()

    def counting(self, name, **more):
        """One that runs, and whose TPM has a counter at 1."""
        machine = self.machine(name, **more).start()
        machine.must(f"nvloop define {COUNTER}")
        self.must_count_on(machine, 1)
        return machine

    def must_count_on(self, machine, value):
        """The guest increments the TPM's counter, to that."""
        self.assertEqual(int(machine.must(f"nvloop increment {COUNTER}")), value)

    def must_be_refused_as_sealed(self, machine):
        before = content_of(machine.image)
        said = machine.refused()
        for words in ("sealed", "virsh restore", "vnvram unseal /"):
            self.assertIn(words, said)
        self.assertEqual(content_of(machine.image), before)
        self.assertTrue(info(machine.image)["sealed"])

    def check(self, machine):
        machine.must_be_off()
        must_be_clean(machine.image)


def content_of(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
