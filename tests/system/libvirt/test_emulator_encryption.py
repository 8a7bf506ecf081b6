"""A TPM that libvirt has encrypted with one of its secrets."""

import unittest

from harness.long_test import long_test

from .emulator_case import EmulatorCase
from .libvirt_case import content_of


@long_test
class Encryption(EmulatorCase):
    def must_not_start(self, machine, *words):
        before = content_of(machine.image)
        machine.refused()
        log = self.host.inside(f"/var/log/swtpm/libvirt/qemu/{machine.name}-swtpm.log").read_text("utf-8")
        for word in words:
            self.assertIn(word, log)
        self.assertEqual(content_of(machine.image), before)

    def test_a_secret(self):
        secret = self.new_secret("a passphrase")
        machine = self.counting("secret", secret=secret)
        identity = self.identity(machine)
        self.host.must("reset", machine.name)
        machine.wait_ready()
        self.must_count_on(machine, 2)
        self.destroyed(machine)
        self.host.must("managedsave", machine.start().name)
        self.off(machine)
        self.must_count_on(machine.begin(), 3)
        self.destroyed(machine)

        self.set_secret(secret, "another one")
        self.must_not_start(machine, "no key that was given opens it")
        self.set_secret(secret, "a passphrase")
        self.must_count_on(machine.start(), 4)
        self.assertEqual(self.identity(machine), identity)
        self.destroyed(machine)


if __name__ == "__main__":
    unittest.main()
