"""The examples in docs/format.md of what is encrypted are what this code makes of the inputs stated there."""

import unittest

from harness.tpm_process import REPOSITORY

from . import examples, header_area, keys, layout
from .codec import LEAF, PAGE
from .image import KeyRing, look_at
from .record import RecordHeader, open_record


class ExamplesTest(unittest.TestCase):
    def test_the_document_shows_them(self):
        lines = (REPOSITORY / "docs" / "format.md").read_text().splitlines()
        for heading, expected in examples.dumps().items():
            begin = lines.index("```hex", lines.index(f"### {heading}")) + 1
            self.assertEqual(lines[begin:lines.index("```", begin)], expected, heading)

    def test_they_can_be_read(self):
        block = examples.superblock()
        self.assertTrue(layout.superblock_is_whole(block))
        copy = look_at(block, 0, KeyRing(b"", data_key=examples.DATA_KEY))
        self.assertEqual((copy.state, copy.superblock.sequence), ("valid", 4))
        self.assertEqual(look_at(block, 0, KeyRing(b"")).state, "encrypted")

        raw = examples.record()
        record = open_record(examples.codec(), raw, RecordHeader.of(raw, examples.SALT), 1 << 20)
        self.assertEqual([extent.content for extent in record.extents],
                         [b"hello", bytes([5, *bytes(7), 2, *bytes(7)])])

        leaf_entry, sealed_leaf = examples.leaf_and_entry()
        leaf = examples.codec().open_block(LEAF, 0, leaf_entry, sealed_leaf)
        self.assertFalse(any(leaf[:40]) or any(leaf[80:]))
        page = examples.codec().open_block(PAGE, 1, leaf[40:80], examples.page_and_entry()[1])
        self.assertEqual(page.rstrip(b"\0"), b"hello")

    def test_the_header_area_can_be_read(self):
        content = bytearray(18 * layout.BLOCK_BYTES)
        start = header_area.copy_at(header_area.KEYS_MAGIC, 0)
        content[start:start + header_area.COPY_BYTES] = examples.key_slots()
        area = header_area.read_area(content, header_area.KEYS_MAGIC, examples.UUID)
        self.assertEqual(keys.unwrap(area.entries, keys.KeyHolder(examples.HOLDERS_KEY), examples.UUID,
                                     keys.key_id_of(examples.DATA_KEY, examples.UUID)), examples.DATA_KEY)

        start = header_area.copy_at(header_area.METADATA_MAGIC, 1)
        content[start:start + header_area.COPY_BYTES] = examples.metadata()
        area = header_area.read_area(content, header_area.METADATA_MAGIC, examples.UUID)
        self.assertEqual(dict(area.entries), examples.METADATA)

    def test_key_slots_of_each_kind_can_be_read(self):
        for name, made in examples.slots().items():
            packed = made.pack()
            slots = keys.parse_slots(packed, 1)
            for data_key in (examples.DATA_KEY, examples.NEW_DATA_KEY)[:len(made.wraps)]:
                key_id = keys.key_id_of(data_key, examples.UUID)
                holder = examples.holders()[made.number]
                self.assertEqual(keys.unwrap(slots, holder, examples.UUID, key_id), data_key, name)


if __name__ == "__main__":
    unittest.main()
