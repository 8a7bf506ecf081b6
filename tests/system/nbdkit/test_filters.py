"""The plugin under the filters that the man page and docs/operations.md show."""

import nbd

from cli.command import MIB
from harness.child import Deadline, PATIENCE_SECONDS

from .nbdkit_case import NbdkitCase

FLASH, USED = 64 * MIB, 768 << 10


class Filters(NbdkitCase):
    def test_a_flash_that_is_larger_than_its_blob(self):
        image = self.path("arm.nvram")
        self.vnvram("create", image, "--blob", f"uefi.vars:edk2.variables:{USED}")
        server = self.serve("--filter=truncate", "truncate=64M", image=image)
        client = self.connect(server, "uefi.vars")
        self.assertEqual(client.get_size(), FLASH)
        content = b"\x5a" * USED
        client.pwrite(content, 0, nbd.CMD_FLAG_FUA)
        for offset in range(0, FLASH, 32 * MIB):
            expected = (content if offset == 0 else b"").ljust(32 * MIB, b"\0")
            # Not assertEqual: a difference of 32 MiB is nothing to print.
            self.assertTrue(client.pread(32 * MIB, offset) == expected, f"from {offset}")
        self.stop(server)
        self.assertEqual(self.vnvram("get", image, "uefi.vars"), content)
        self.must_be_clean(image)

    def use(self, server, client):
        client.pwrite(b"limited", 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(client.pread(7, 0), b"limited")
        self.stop(server)
        self.assertEqual(self.stored("eeprom")[:7], b"limited")
        self.must_be_clean()

    def test_limited_rate(self):
        server = self.serve("--filter=rate", "connection-rate=80M")
        self.use(server, self.connect(server, "eeprom"))

    def test_limited_clients(self):
        server = self.serve("--filter=limit", "limit=4")
        for _ in range(4):
            self.connect(server, "nvram")
        with self.assertRaises(nbd.Error):
            self.connect(server, "eeprom")
        self.assertEqual(self.clients[0].pread(1, 0), b"\0")
        self.clients.pop().shutdown()
        self.use(server, self.connect_when_there_is_a_place(server))

    def connect_when_there_is_a_place(self, server, seconds=PATIENCE_SECONDS):
        """A client does not get to know when the server has noticed that it is gone."""
        deadline = Deadline(seconds)
        while True:
            try:
                return self.connect(server, "eeprom")
            except nbd.Error:
                self.assertFalse(deadline.passed(), "no place becomes free")
