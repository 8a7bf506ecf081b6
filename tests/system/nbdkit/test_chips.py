"""A flash chip that is larger than what its firmware uses: the export is the chip."""

import errno

import nbd

from cli.command import MIB

from .nbdkit_case import NbdkitCase

CHIP, USED = 64 * MIB, 768 << 10
TEMPLATE = "/usr/share/AAVMF/AAVMF_VARS.ms.fd"


class Chips(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.chip_image = self.path("arm.nvram")
        self.vnvram("create", self.chip_image, "--uefi", TEMPLATE)
        self.server = self.serve(image=self.chip_image)
        self.client = self.connect(self.server, "uefi.vars")
        with open(TEMPLATE, "rb") as template:
            self.content = template.read(USED)

    def assert_export(self, content):
        for offset in range(0, CHIP, 32 * MIB):
            expected = (content if offset == 0 else b"").ljust(32 * MIB, b"\0")
            # Not assertEqual: a difference of 32 MiB is nothing to print.
            self.assertTrue(self.client.pread(32 * MIB, offset) == expected, f"from {offset}")

    def end(self, content):
        self.stop(self.server)
        self.assertEqual(self.vnvram("get", self.chip_image, "uefi.vars"), content)
        self.must_be_clean(self.chip_image)

    def test_the_export_is_the_chip(self):
        self.assertEqual(self.client.get_size(), CHIP)
        self.assert_export(self.content)
        for offset, size in ((USED - 10, 20), (USED, 1), (CHIP - 4096, 4096)):
            self.assertEqual(bytes(self.client.pread(size, offset)),
                             (self.content + bytes(20))[offset:offset + size].ljust(size, b"\0"))
        self.end(self.content)

    def test_the_whole_chip_is_rewritten(self):
        content = b"\x5a" * USED
        for offset in range(0, CHIP, 32 * MIB):
            part = (content if offset == 0 else b"").ljust(32 * MIB, b"\0")
            self.client.pwrite(part, offset, nbd.CMD_FLAG_FUA if offset == 0 else 0)
        self.client.flush()
        self.assert_export(content)
        self.end(content)

    def test_zeros_across_the_end(self):
        self.client.zero(8192, USED - 4096)
        self.client.zero(MIB, 32 * MIB, nbd.CMD_FLAG_FUA)
        content = self.content[:-4096] + bytes(4096)
        self.assert_export(content)
        self.end(content)

    def test_what_the_chip_would_forget_is_refused(self):
        for content, offset in ((b"x", USED), (b"x", CHIP - 1), (b"\xff" * 4096, 32 * MIB),
                                (b"y" * 10, USED - 5)):
            with self.assertRaises(nbd.Error) as refused:
                self.client.pwrite(content, offset)
            self.assertEqual(refused.exception.errnum, errno.ENOSPC)
        self.assertIn("behind its 786432 bytes", self.server.log.read_text())
        self.assert_export(self.content)
        self.end(self.content)
