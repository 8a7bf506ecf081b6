"""Machines move between hosts that have no storage in common, and have ours in swtpm's place, or one of
them swtpm itself."""

import unittest

from harness.long_test import long_test
from harness.volatile_state import VolatileState

from .emulator_migration_case import EmulatorMigrationCase


@long_test
class Migration(EmulatorMigrationCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.new_host("other")
        cls.debian = cls.new_host("debian", "/usr/bin/swtpm")

    def test_there_and_back(self):
        here, there = self.pair("moving", self.other)
        identity, state = self.identity(here), VolatileState(here)
        self.cancel_a_move(here, there)
        self.must_count_on(here, 2)
        for value in (3, 4):
            self.must_move(here, there)
            self.off(here)
            self.assertEqual(self.identity(there), identity)
            state.check(there)
            self.must_count_on(there, value)
            here, there = there, here
        here.host.must("reset", here.name)
        here.wait_ready()
        self.must_count_on(here, 5)
        self.ends(here)

    def go_to_a_host_with_swtpm(self, name, **more):
        """It begins at one."""
        here, there = self.pair(name, self.host, host=self.debian, **more)
        identity, state = self.identity(here), VolatileState(here)
        for value in (2, 3, 4):
            self.must_move(here, there)
            self.assertEqual(self.identity(there), identity)
            state.check(there)
            self.must_count_on(there, value)
            here, there = there, here
        self.ends(here)

    @long_test
    def test_a_host_with_swtpm(self):
        self.go_to_a_host_with_swtpm("plain")

    def test_a_host_with_swtpm_encrypted(self):
        secret = self.new_secret("a passphrase", self.host, self.debian)
        self.go_to_a_host_with_swtpm("encrypted", secret=secret)


if __name__ == "__main__":
    unittest.main()
