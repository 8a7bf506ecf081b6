"""Two hosts of one LUN, in one guest (san_machine.py): programs with --shared on each, and what QEMU says to them, which is said
by Python in that guest (guest_python.py)."""

import json
import unittest

from guest.guest_image import SAN_MODULES

from .guest_python import GuestPython, python_files
from .on_san import OnSan
from .san_machine import HOSTS, start_san_machine
from .two_hosts import Process
from .workspace import Workspace

A, B = HOSTS["a"][0], HOSTS["b"][0]
MODULES = ("tpm.support", "tpm.test_shared_image", "harness.reserved_device")
TAKES_RESERVATIONS = "/sys/kernel/config/target/core/fileio_0/lun/attrib/emulate_pr"
FAIL = 9


class Guest:
    """One for all tests of this module."""
    shell = None
    python = None


def start_guest():
    workspace = Workspace()
    unittest.addModuleCleanup(workspace.close)
    Guest.shell = start_san_machine(workspace, SAN_MODULES, python_files(*MODULES))
    unittest.addModuleCleanup(Guest.shell.kill)
    Guest.shell.must("mkdir -p /etc /tmp && echo root:x:0:0::/root:/bin/sh >/etc/passwd && "
                     "echo machine:x:1000:1000::/:/bin/sh >>/etc/passwd && echo machine:x:1000: >/etc/group")
    Guest.python = GuestPython(Guest.shell, *MODULES)


class Host(Process):
    """A program on one of the two hosts, and the QEMU that is its client."""

    def __init__(self, case, name, device, *options):
        self.name, self.device = name, device
        self.tpm = f"/run/{name}.tpm"
        super().__init__(case, device, name, case.words(self, *options), f"grep -q 'serves the TPM' /run/{name}.log")

    def started(self):
        """With its QEMU connected."""
        return super().started().connected()

    def connected(self):
        ask(f'{self.name} := ControlClient("{self.tpm}")')
        ask(f"{self.name}_guest := {self.name}.take_control()")
        return self

    def disconnect(self):
        ask(f"[{self.name}_guest.close(), {self.name}.close()]")

    def powered_on(self):
        """A new machine; what its counter is."""
        self.case.assertEqual(ask(f"{self.name}.init()"), 0, self.log_text())
        self.case.assertEqual(ask(f"{self.name}_guest.startup()"), 0)
        ask(f"{self.name}_guest.define_counter()")
        return self.count()

    def count(self):
        ask(f"{self.name}_guest.must_increment()")
        return ask(f"{self.name}_guest.counter()")

    def fetch(self):
        """QEMU at the source has the state then."""
        try:
            ask(f"len(blobs := fetch({self.name}))")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log_text()}") from error

    def fetch_refused(self):
        with self.case.assertRaisesRegex(AssertionError, "is not given"):
            self.fetch()
        return self.log_text()

    def take(self):
        """QEMU at the destination sets the state, and powers the TPM on; the result."""
        return ask(f"take({self.name}, blobs)")

    def must_take(self):
        self.case.assertEqual(self.take(), 0, self.log_text())

    def go_on(self):
        """QEMU at the source says that its machine goes on after all; the result."""
        return ask(f"{self.name}.lock_storage()")

    def end(self):
        self.disconnect()
        super().end()

    def kill(self):
        """All of its processes, before one of them can do anything about another one's death."""
        Guest.shell.must(f"children=$(ps -o pid,ppid | awk '$2 == {self.pid} {{ print $1 }}'); kill -STOP {self.pid}; "
                         f"kill -9 $children {self.pid}; while kill -0 $children 2>/dev/null; do sleep 0.1; done; true")
        self.disconnect()
        Guest.shell.must(f"rm -f {self.tpm} /run/{self.name}.sock")


def ask(expression):
    return Guest.python.ask(expression)


class Case(OnSan, unittest.TestCase):
    """Each test leaves the LUN to nobody."""

    def setUp(self):
        self.guest = Guest.shell
        Guest.shell.run("killall -9 vnvram vnvram-tpm; rm -f /run/*; chown 0 /dev/sda /dev/sdb; "
                        f"echo 1 >{TAKES_RESERVATIONS}")
        for device in (A, B):
            ask(f'give_back("{device}")')
        Guest.shell.must(f"dd if=/dev/zero of={A} bs=1M count=16 conv=fsync 2>/dev/null")
        self.vnvram(f"create {A} --tpm2")

    def info(self, device):
        return json.loads(self.vnvram(f"info --json {device}"))

    def holders(self):
        """As A and as B see it."""
        return tuple(self.info(device)["reservation"]["holder"] for device in (A, B))

    def must_have(self, host, number):
        """It goes on with the machine, on what only its host can write to."""
        self.assertEqual(host.count(), number, host.log_text())
        self.assertEqual(self.holders(), ("this_host", "another_host") if host.device == A else ("another_host", "this_host"))
        self.must_not_write(B if host.device == A else A)

    def must_not_go_on(self, host):
        before = self.info(host.device)
        self.assertEqual(host.go_on(), FAIL)
        self.assertNotEqual(ask(f"{host.name}_guest.increment()"), 0)
        for name in ("epoch", "generation", "owner_pid"):
            self.assertEqual(self.info(host.device)[name], before[name])
