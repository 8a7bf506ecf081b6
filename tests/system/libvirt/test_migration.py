"""A machine moves between two hosts, each with an image of its own."""

import os
import unittest

from harness import efivars
from harness.case import COUNTER
from harness.vnvram import create, info
from harness.volatile_state import VolatileState

from .libvirt_case import TEMPLATE, LibvirtCase
from .machine import NAMESPACE

LOCATION = "/var/lib/libvirt/{name}.nvram"  # On each host.


class MigrationCase(LibvirtCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.new_host("other")

    def on(self, host, name, **changes):
        location = LOCATION.format(name=name)
        return self.undefined(
            name, host.inside(location), host,
            metadata=f"<v:image xmlns:v='{NAMESPACE}' location='{location}'/>", **changes)

    def move(self, machine, there):
        """Returns what virsh says."""
        there.listen()
        channel = self.workspace.file(f"{machine.host.name}.migration")
        channel.unlink(missing_ok=True)
        return machine.host.virsh("migrate", "--live", "--persistent", machine.name, there.host.uri,
                                  "--migrateuri", f"unix://{channel}")

    def must_move(self, machine, there):
        said = self.move(machine, there)
        self.assertEqual(said.status, 0, said.text + there.host.logs_text())
        machine.close()


class Migration(MigrationCase):
    def test_there_and_back(self):
        here, there = self.on(self.host, "moving"), self.on(self.other, "moving")
        create(here.image, "--tpm2")
        here.define().start()
        here.must(f"nvloop define {COUNTER}")
        self.must_count_on(here, 1)
        state = VolatileState(here)

        # No image there: the machine goes on here.
        said = self.move(here, there)
        self.assertNotEqual(said.status, 0)
        self.assertIn("gets no new one by itself", said.text)
        self.must_count_on(here, 2)

        create(there.image, "--tpm2")
        self.must_move(here, there)
        state.check(there)
        self.must_count_on(there, 3)
        self.assertFalse(info(there.image)["sealed"])
        self.must_be_refused_as_sealed(here)

        self.must_move(there, here)
        state.check(here)
        self.must_count_on(here, 4)
        self.assertFalse(info(here.image)["sealed"])
        self.must_be_refused_as_sealed(there)
        here.host.must("reset", here.name)
        here.wait_ready()
        self.must_count_on(here, 5)


class UefiMigration(MigrationCase):
    def test_back_and_forth(self):
        here, there = self.on(self.host, "both", uefi=True), self.on(self.other, "both", uefi=True)
        for machine in (here, there):
            create(machine.image, "--tpm2", "--uefi", TEMPLATE)
        here.define().start()
        here.must(f"nvloop define {COUNTER}")
        for count in range(1, 11):
            self.must_count_on(here, count)
            efivars.write(here, "Kept", f"printf {count}")
            self.must_move(here, there)
            self.must_be_refused_as_sealed(here)
            here, there = there, here
            self.assertEqual(efivars.read(here, "Kept"), str(count))
        here.power_off()
        here.start()
        self.must_count_on(here, 11)
        self.assertEqual(efivars.read(here, "Kept"), "10")


def load_tests(loader, _, __):
    cases = [Migration] + ([UefiMigration] if os.environ.get("VNVRAM_LONG_TESTS") else [])
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    unittest.main()
