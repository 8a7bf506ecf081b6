"""Images that were made up, with right checksums: check, repair and every command say the same."""

import struct

from .command import CORRUPT, OK
from .every_command import EveryCommandCase
from .pages import Pages
from .superblocks import BLOCK_BYTES, edit_superblocks

SIZE_MAX_AT = 512 + 192  # Of the first entry of a directory page.
RUN_AT = 512 + 232
SEQUENCE_AT, BLOCK_COUNT_AT, EPOCH_AT, RING_POSITION_AT, CLEAN_AT = 56, 64, 88, 120, 124


class MadeUpTest(EveryCommandCase):
    def setUp(self):
        super().setUp()
        self.create("--size", "1M", "--ring-size", "256K", "--blob", "a:t:20000", "--blob", "b:t:300")
        self.vnvram("put", self.image, "a", "-", input=b"kept")
        self.content = bytearray(self.image.read_bytes())

    def assert_damaged(self):
        """By everybody's word; what repair does not mend it does not touch."""
        self.image.write_bytes(self.content)
        for words in (("check",), ("ls",), ("info",), ("get", "a"), ("put", "a", "-"),
                      ("register", "--blob", "more:t:100"), ("rm", "b"), ("resize", "2M"), ("seal",),
                      ("repair",)):
            command, *rest = words
            self.vnvram(command, self.image, *rest, status=CORRUPT, input=b"x")
            self.assertEqual(self.image.read_bytes(), self.content, words)

    def assert_agreed(self):
        """Whatever check and repair say, the commands say it, too. Returns whether it is whole."""
        self.image.write_bytes(self.content)
        whole = self.status("check", self.image) == OK
        repaired = self.status("repair", self.image) == OK
        now_whole = self.status("check", self.image) == OK
        self.assertEqual(repaired, now_whole)
        self.assertTrue(now_whole or not whole, "repair has damaged it")
        self.assertEqual(self.every_command(self.image) is None, now_whole)
        return whole

    def test_nothing_was_made_up(self):
        """The tools below make right checksums."""
        entry = Pages(self.content).entry(0)
        Pages(self.content).edit(0, 0, b"")
        self.assertEqual(Pages(self.content).entry(0), entry)
        self.assertEqual(self.content, self.image.read_bytes())
        self.assertTrue(self.assert_agreed())

    def test_directory_entries_that_cannot_be(self):
        good = bytes(self.content)
        for offset, field in ((SIZE_MAX_AT, struct.pack("<Q", 1 << 40)),
                              (SIZE_MAX_AT + 8, struct.pack("<Q", 20001)),
                              (RUN_AT, struct.pack("<I", 0)),        # The directory's own page.
                              (RUN_AT, struct.pack("<I", 0xffff)),   # Behind the last one.
                              (512, b"\x1b[2J"), (0, struct.pack("<I", 0xfffffff0))):
            with self.subTest(offset=offset, field=field):
                self.content = bytearray(good)
                Pages(self.content).edit(0, offset, field)
                self.assert_damaged()

    def test_an_entry_of_a_page_that_nobody_owns(self):
        """Whoever registers a blob reads that page."""
        pages = Pages(self.content)
        unowned = 20
        self.assertEqual(pages.entry(unowned), 0)
        pages.set_entry(unowned, 0x1234567812345678)
        self.assertFalse(self.assert_agreed())

    def test_longer_than_its_file(self):
        edit_superblocks(self.content, BLOCK_COUNT_AT, struct.pack("<Q", 1 << 16))
        self.assert_damaged()

    def test_counters_at_their_end(self):
        """Nothing that could not be opened again is written; everything can still be read."""
        for offset in (SEQUENCE_AT, EPOCH_AT):
            with self.subTest(offset=offset):
                content = bytearray(self.content)
                edit_superblocks(content, offset, struct.pack("<Q", (1 << 62) - 1))
                if offset == SEQUENCE_AT:  # The two copies are told apart by it.
                    edit_superblocks(content, offset, struct.pack("<Q", (1 << 62) - 2), block=1)
                self.image.write_bytes(content)
                for words in (("put", "a", "-"), ("register", "--blob", "more:t:100"), ("rm", "b"),
                              ("seal",)):
                    command, *rest = words
                    done = self.run_vnvram(command, self.image, *rest, input=b"x")
                    self.assertNotEqual(done.returncode, OK, words)
                    self.assertEqual(self.image.read_bytes(), content, words)
                self.assertEqual(self.vnvram("get", self.image, "a"), b"kept")
                out = self.path("out.nvram")
                self.vnvram("salvage", self.image, out, "--force")
                self.assertEqual(self.vnvram("get", out, "a"), b"kept")
                self.vnvram("put", out, "a", "-", input=b"goes on")

    def test_a_record_that_would_have_fit_before_the_rings_end(self):
        """It is charged with nothing, and no reader goes round the ring for ever (a deadline says so)."""
        generation, chain = struct.unpack_from("<QQ", self.content, 104)
        epoch = struct.unpack_from("<QQ", self.content, EPOCH_AT)
        edit_superblocks(self.content, RING_POSITION_AT, struct.pack("<II", 1, 0))  # Not clean.
        payload = b"A" * 4090
        record = bytearray(2 * BLOCK_BYTES)
        struct.pack_into("<IIQQQQQII", record, 0, 0x6352564e, 2, 0, *epoch, generation + 1, chain, 1,
                         120 + len(payload))
        struct.pack_into("<QII", record, 104, BLOCK_BYTES, len(payload), 0)
        record[120:120 + len(payload)] = payload
        struct.pack_into("<Q", record, 8, Pages(self.content).checksum(record[16:]))
        self.content[22 * BLOCK_BYTES:24 * BLOCK_BYTES] = record
        self.assert_damaged()
