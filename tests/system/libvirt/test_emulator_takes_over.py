"""A host whose machines have TPMs of swtpm's gets ours in its place: each machine's next start has its TPM
as it was, in our image. With VNVRAM_LONG_TESTS=1 in the environment these are 20 machines."""

import hashlib
import os
import unittest

from harness.child import Deadline, PATIENCE_SECONDS
from harness.long_test import long_test
from harness.swtpm_process import SwtpmProcess
from tpm.support import TpmClient

from .cut_start import cut_start
from .emulated_machine import STATE
from .emulator_case import OURS, EmulatorCase
from .libvirt_case import content_of

MACHINES = 20 if os.environ.get("VNVRAM_LONG_TESTS") else 2
ENCRYPTED = (1, 2)  # Of them, by number.
KEPT = STATE + ".swtpm"
FIRST_AREA = 0x1600000
AREA_SIZE = 2000
AREAS_MAX = 1000


def has_image(machine):
    """swtpm's state has gone from its name."""
    return content_of(machine.image) != machine.content_before


# When a first start is cut: from before it begins to after it is done.
MOMENTS = (
    lambda machine: (machine.state_folder / KEPT).exists(),
    has_image,
    lambda machine: True,
    lambda machine: len(machine.files()) > 1,
)


@long_test
class TakesOver(EmulatorCase):
    swtpm = "/usr/bin/swtpm"  # To begin with.

    def test_each_next_start(self):
        secret = self.new_secret("a passphrase")
        machines = [self.made(f"machine{number}", number, secret if number in ENCRYPTED else None)
                    for number in range(MACHINES)]
        self.host.inner("mount", "--bind", OURS, "/usr/bin/swtpm")
        for machine in machines:
            self.takes_over(machine)
        self.host.inner("umount", "/usr/bin/swtpm")
        self.refused_by_swtpm(machines[0])

    def made(self, name, number, secret):
        """A machine under swtpm, whose TPM holds more the higher its number is. It is off."""
        machine = self.counting(name, secret=secret)
        machine.value = number + 1
        for value in range(2, machine.value + 1):
            self.must_count_on(machine, value)
        machine.identity = self.identity(machine)
        machine.power_off()
        machine.close()
        machine.areas = self.fill(machine, AREAS_MAX if number == MACHINES - 1 else number)
        machine.content_before = content_of(machine.image)
        return machine

    def fill(self, machine, count):
        """As many areas, or as many as the TPM has room for. Returns their content, by their names."""
        server = self.workspace.file(f"fill-{machine.name}")
        options = ["--tpm2", "--flags", "not-need-init,startup-clear"]
        if machine.secret:
            options += ["--key", f"pwdfile={self.workspace.file('passphrase')},mode=aes-256-cbc"]
        swtpm = SwtpmProcess(self.workspace, machine.state_folder, options, server)
        try:
            client = self.connected(server)
            areas = {}
            while len(areas) < count and client.define_area(FIRST_AREA + len(areas), AREA_SIZE) == 0:
                content = os.urandom(AREA_SIZE)
                client.write_area(FIRST_AREA + len(areas), content)
                areas[FIRST_AREA + len(areas)] = hashlib.sha256(content).hexdigest()
            client.must(0x145, b"\0\0")  # TPM2_Shutdown(CLEAR)
            client.close()
        finally:
            swtpm.kill()
        return areas

    def connected(self, server):
        """The control socket, which has been waited for, comes first."""
        deadline = Deadline(PATIENCE_SECONDS)
        while True:
            try:
                return TpmClient(server)
            except (ConnectionRefusedError, FileNotFoundError):
                self.assertFalse(deadline.passed())

    def takes_over(self, machine):
        moment = MOMENTS[(machine.value - 1) % len(MOMENTS)]
        self.assertTrue(cut_start(machine, moment))
        machine.start()
        self.assertEqual(self.identity(machine), machine.identity)
        there = machine.must("tpm2_getcap handles-nv-index")
        for area in machine.areas:
            self.assertIn(f"0x{area:X}\n", there + "\n")
        for area in list(machine.areas)[-1:]:
            read = machine.must(f"tpm2_nvread {area:#x} -s {AREA_SIZE} | sha256sum")
            self.assertEqual(read.split()[0], machine.areas[area])
        self.must_count_on(machine, machine.value + 1)
        self.host.must("destroy", machine.name)
        self.off(machine, (KEPT,))
        self.assertEqual(content_of(machine.state_folder / KEPT), machine.content_before)

    def refused_by_swtpm(self, machine):
        """Started by mistake it finds a TPM that it does not know, and leaves it alone."""
        before = content_of(machine.image)
        machine.refused()
        self.assertEqual(content_of(machine.image), before)
        self.off(machine, (KEPT,))


if __name__ == "__main__":
    unittest.main()
