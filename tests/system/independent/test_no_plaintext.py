"""An encrypted image's device holds nothing of what is in the image: neither contents nor names, types, attributes
or sizes, after all that was done to them; and no two blocks of ciphertext are alike.

What is in the clear by docs/format.md, and so is excepted from the search for blocks that are alike: superblocks and
header area, which are there in several copies, index blocks' slots that were never written (zeros), and of a record's
header the 16 bytes that are the epoch, which all records of an owner have in common. From the search for plain bytes
nothing is excepted but the words that a superblock itself has: which program made the image."""

import os
import struct
import unittest

from . import layout
from .case import ImageCase
from .directory import entry_offset
from .image import Image, third_copy_block
from .layout import BLOCK_BYTES
from .record import MAGIC

WINDOW_BYTES = 8
CIPHER_BLOCK_BYTES = 16
NAMES = {"blob-of-recognisable-name": 64 << 10, "another/recognisable.name": 300 << 10,
         "taken-away-in-the-end": 20 << 10}
TYPE = "recognisable-type"


def windows_of(content):
    """Every 8 bytes in a row, but for runs of zeros."""
    return {content[at:at + WINDOW_BYTES] for at in range(len(content) - WINDOW_BYTES + 1)} - {
        bytes(WINDOW_BYTES)}


def pattern(size_bytes):
    """Eight bytes in a row of it are nowhere else."""
    half = os.urandom(5)
    return b"".join(half + struct.pack(">I", number)[1:] for number in range(-(-size_bytes // 8)))[:size_bytes]


def places_of(windows, content):
    return [at for at in range(len(content) - WINDOW_BYTES + 1)
            if content[at:at + WINDOW_BYTES] in windows]


class Workload:
    """By vnvram, as an operator would."""

    def work(self):
        """Leaves self.secrets, {what it is: its windows}, and the image."""
        self.secrets = {}
        words = [f"{name}:{TYPE}:{size}={self.file(f'content{number}', self.fresh(size // 2))}"
                 for number, (name, size) in enumerate(NAMES.items())]
        self.create_by_vnvram(*(word for blob in words for word in ("--blob", blob)))
        self.register_with_attributes()
        for step, size in enumerate((65536, 30000, 65000, 7, 12345)):
            for name, most in NAMES.items():
                self.put_by_vnvram(name, self.fresh(min(size, most)))
            if step == 2:
                self.look()
        self.on_image("rm", "taken-away-in-the-end")
        self.look()
        self.keep("names", *(name.encode() for name in NAMES))
        self.keep("type", TYPE.encode())

    def keep(self, what, *texts):
        for text in texts:
            self.secrets.setdefault(what, set()).update(windows_of(text))

    def fresh(self, size_bytes):
        """Content that nobody has had before."""
        content = pattern(size_bytes)
        self.keep("contents", content)
        return content

    def register_with_attributes(self):
        """Which no option of vnvram gives; it writes the directory's page again with each of its puts."""
        writer = self.python_writer()
        writer.register("blob-that-has-attributes", TYPE, 8192, self.fresh(6000),
                        {"attribute-name": (b"attribute value \0\xff", 0)})
        self.image.write_bytes(writer.close())

    def look(self):
        """At the directory, for what is known by reading it only: sizes and attributes, as they are packed."""
        image = self.python_image().check()
        for blob in image.blobs.values():
            page, number = blob.place
            entry = image.page(page)[entry_offset((page, number)) - page * BLOCK_BYTES:][:512]
            fields = entry[192:224]  # Both sizes and both generations, two neighbours each time.
            self.secrets.setdefault("sizes", set()).update(fields[at:at + 16] for at in range(0, 24, 8))
            used, = struct.unpack_from("<I", entry, 228)
            self.keep("attributes", entry[328:328 + used])
            self.keep("producers", entry[128:192].rstrip(b"\0"))

    def found(self):
        """{what: how often it is} on the device."""
        content = self.image.read_bytes()
        found = {what: len(places_of(windows, content)) for what, windows in self.secrets.items()
                 if what not in ("sizes", "producers")}
        # Sizes are looked for as they lie in an entry, with their neighbours: alone they are small numbers.
        found["sizes"] = sum(content.count(field) for field in self.secrets["sizes"])
        hidden = bytearray(content)
        for block in (0, 1, third_copy_block(content)):
            hidden[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES] = bytes(BLOCK_BYTES)
        found["producers"] = len(places_of(self.secrets["producers"], bytes(hidden)))
        return found


class NoPlaintext(Workload, ImageCase):
    def setUp(self):
        super().setUp()
        self.work()

    def test_nothing_can_be_read(self):
        self.assertEqual({what: count for what, count in self.found().items() if count}, {})

    def test_no_two_blocks_of_ciphertext_are_alike(self):
        content = self.image.read_bytes()
        image = Image(content, self.holder)
        clear = {0, 1, third_copy_block(content)}
        clear.update(range(layout.HEADER_AREA_BLOCK, layout.INDEX_BLOCK))
        ring = range(layout.RING_BLOCK, image.superblock.zones_start_block)
        seen, alike = {}, []
        for block in range(len(content) // BLOCK_BYTES):
            if block in clear:
                continue
            start = block * BLOCK_BYTES
            is_header = block in ring and content[start:start + 4] == MAGIC
            for at in range(start, start + BLOCK_BYTES, CIPHER_BLOCK_BYTES):
                piece = content[at:at + CIPHER_BLOCK_BYTES]
                if not any(piece) or is_header and at == start + 16:
                    continue
                if piece in seen:
                    alike.append((seen[piece], at))
                seen[piece] = at
        self.assertEqual(alike, [])
        self.assertGreater(len(seen), 100000)

    def test_ring_and_zones_are_full_from_the_beginning(self):
        """How much was ever written cannot be seen: no block there is zero."""
        self.image.unlink()
        self.create_by_vnvram("--blob", "one:t:8K")
        image = self.python_image()
        for block in range(layout.RING_BLOCK, image.superblock.image_block_count):
            with self.subTest(block=block):
                self.assertGreater(len(set(image.content[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES])), 200)


class ThatItWouldBeFound(Workload, ImageCase):
    """The same search of a plain image finds everything."""

    encrypted = False

    def test_everything_is_found(self):
        self.work()
        self.assertEqual([what for what, count in self.found().items() if not count], [])
        self.assertEqual(set(self.secrets), {"contents", "names", "type", "sizes", "attributes", "producers"})


if __name__ == "__main__":
    unittest.main()
