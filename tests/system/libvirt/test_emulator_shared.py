"""Machines move between hosts that have their TPMs' folder in common: libvirt starts the one there, with
--migration, while the one here has the state, and each of them lets go in time.

Nothing is cancelled here: whoever made the TPM, libvirt 9.0 removes its folder from the storage when
a machine has not come, and with that the TPM of the one that goes on.
"""

import pathlib
import unittest

from harness.long_test import long_test
from harness.volatile_state import VolatileState

from .emulator_migration_case import EmulatorMigrationCase, build_preload

FOLDER = "/var/lib/libvirt/swtpm"


@long_test
class SharedStorage(EmulatorMigrationCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        preload = build_preload(pathlib.Path(__file__).with_name("shared_folder.c"),
                                cls.workspace.file("shared_folder.so"))
        folder = cls.workspace.file("shared")
        folder.mkdir()
        cls.hosts = [cls.new_host(name, preload=preload) for name in ("left", "right")]
        for host in cls.hosts:
            host.inside(FOLDER).mkdir(exist_ok=True)
            host.inner("mount", "--bind", folder, FOLDER)
        cls.folder = folder

    def machine_on(self, host, name, **more):
        machine = super().machine_on(host, name, **more)
        machine.swtpm_folder = self.folder  # What is mounted there is not seen from here.
        return machine

    def go_there_and_back(self, name, **more):
        left, right = self.hosts
        here, there = self.pair(name, right, host=left, **more)
        state = VolatileState(here)
        for value in (2, 3):
            self.must_move(here, there)
            self.assertIn("--migration", there.host.logs_text())
            state.check(there)
            self.must_count_on(there, value)
            here, there = there, here
        self.ends(here)

    def test_there_and_back(self):
        self.go_there_and_back("plain")

    @long_test
    def test_encrypted(self):
        self.go_there_and_back("encrypted", secret=self.new_secret("a passphrase", *self.hosts))


if __name__ == "__main__":
    unittest.main()
