"""Secure Boot keys, enrolled by the machine itself, survive a power cut, and do their work."""

import unittest

from efi.application import uefi_application
from harness.firmware import SECURE
from harness.secure_boot_keys import Key
from harness.uefi_case import BOOT_PATIENCE_SECONDS, REFUSED, STARTED, UefiCase, wait_until_durable


class SecureBoot(UefiCase):
    firmware = SECURE

    def setUp(self):
        super().setUp()
        self.platform, self.exchange, self.database, self.stranger = (
            Key(self.workspace.path, name)
            for name in ("platform", "exchange", "database", "stranger"))

    def test_keys_survive_and_work(self):
        unsigned = uefi_application()
        server = self.serve()
        qemu = self.boot_from_disk(server, unsigned, "byte SecureBoot", "byte SetupMode",
                                   "enrol PK", "byte SetupMode", "enrol KEK", "enrol db",
                                   updates={"PK": self.platform.update_of("PK", self.platform),
                                            "KEK": self.platform.update_of("KEK", self.exchange),
                                            "db": self.exchange.update_of("db", self.database)})
        # From the first on, the firmware verifies who has signed the next one.
        self.assert_says(qemu, "started", "SecureBoot=0", "SetupMode=1",
                         "enrolled PK", "SetupMode=0", "enrolled KEK", "enrolled db", "done")
        wait_until_durable(server, self.image)
        qemu.kill()
        server.kill()
        self.check()

        server = self.serve()
        qemu = self.boot_from_disk(server, unsigned)
        qemu.console.expect(REFUSED, BOOT_PATIENCE_SECONDS)
        self.assertNotIn(b"started", qemu.kill())
        server.kill()
        self.check()

        server = self.serve()
        qemu = self.boot_from_disk(server, self.stranger.sign(unsigned))
        qemu.console.expect(REFUSED, BOOT_PATIENCE_SECONDS)
        self.assertNotIn(b"started", qemu.kill())
        server.stop()
        self.check()

        server = self.serve()
        qemu = self.boot_from_disk(server, self.database.sign(unsigned),
                                   "byte SecureBoot", "byte SetupMode", "enrol PK",
                                   updates={"PK": self.stranger.update_of("PK", self.stranger)})
        self.assert_says(qemu, "started", "SecureBoot=1", "SetupMode=0", "!refused PK 26")
        qemu.quit()
        server.stop()
        self.check()

    def boot_from_disk(self, server, program, *commands, updates=None):
        """With the updates of authenticated variables that the application is to make."""
        options = []
        for name, update in (updates or {}).items():
            options += ["-fw_cfg", f"name=opt/vnvram/{name},file={update}"]
        return self.start_from_disk(server, program, *commands, options=options)

    def assert_says(self, qemu, *lines):
        """The application, from its start on."""
        qemu.record.expect(STARTED, BOOT_PATIENCE_SECONDS)
        qemu.record.wait_until(lambda record: record.count(b"\n") >= len(lines))
        self.assertEqual(qemu.record.content().decode().splitlines(), list(lines))


if __name__ == "__main__":
    unittest.main()
