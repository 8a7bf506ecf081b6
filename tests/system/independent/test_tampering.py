"""What somebody without the key does to an encrypted image: it is refused, and nothing is written.

Each is done to an image that Python has made and to one that vnvram has made, with every checksum that needs no key
made right. An image that is put back as a whole, and a ring that is cut behind a record, are not told from what a
snapshot and a power cut leave: that is what an anchor outside the image is for."""

import os
import struct
import unittest

from cli.command import OK

from . import header_area, keys, layout
from .case import ImageCase
from .image import device_block
from .layout import BLOCK_BYTES
from .record import with_right_checksum
from .writer import Writer

SIZE = 60000


def with_block(content, number, block):
    start = number * BLOCK_BYTES
    return content[:start] + block + content[start + len(block):]


def with_flipped(content, offset, bit=0):
    return content[:offset] + bytes([content[offset] ^ 1 << bit]) + content[offset + 1:]


class Tampering:
    """`make` leaves self.whole, the bytes of a closed image with a history: both slots of each page of "often"
    have been written. self.contents is what is in it, self.older what was on the device two puts before."""

    def setUp(self):
        super().setUp()
        self.contents, states = {"often": None, "kept": os.urandom(5000)}, []
        self.begin()
        for _ in range(4):
            self.contents["often"] = os.urandom(SIZE)
            states.append(self.put("often", self.contents["often"]))
        self.older, self.whole = states[1], states[3]
        self.now = self.python_image(self.whole).check()

    def block_of_page(self, page):
        """Where its ciphertext is."""
        return self.now.geometry.page_block(page, self.now.page_entry(page)[0] & 1)

    def block_of_leaf(self):
        return self.now.geometry.leaf_block(0, self.now.leaf_entry(0)[0] & 1)

    def block_of_index(self):
        return self.now.geometry.index_block(0, self.now.index_entries[0][0] & 1)

    def pages(self, name):
        return self.now.blobs[name].pages()

    def old_block(self, number):
        block = device_block(self.older, number)
        self.assertNotEqual(block, device_block(self.whole, number))
        return block

    def test_it_was_whole(self):
        """What is refused below is refused for what was done to it."""
        self.image.write_bytes(self.whole)
        self.same_by_both(self.contents)

    def test_a_byte_of_a_page(self):
        for place, bit in ((0, 0), (2048, 3), (BLOCK_BYTES - 1, 7)):
            offset = self.block_of_page(self.pages("often")[3]) * BLOCK_BYTES + place
            self.refused_by_both(with_flipped(self.whole, offset, bit), get=("often",), others=("kept",))

    def test_a_byte_of_the_directory(self):
        self.refused_by_both(with_flipped(self.whole, self.block_of_page(0) * BLOCK_BYTES + 520))

    def test_a_byte_of_the_table(self):
        for block in (self.block_of_leaf(), self.block_of_index()):
            for place in (0, 30, BLOCK_BYTES - 1):  # A nonce, a tag, and the zeros behind all entries.
                self.refused_by_both(with_flipped(self.whole, block * BLOCK_BYTES + place))

    def test_pages_in_each_others_place(self):
        first, second = (self.block_of_page(page) for page in self.pages("often")[1:3])
        content = with_block(self.whole, first, device_block(self.whole, second))
        self.refused_by_both(with_block(content, second, device_block(self.whole, first)),
                             get=("often",), others=("kept",))

    def test_a_page_in_another_blobs_place(self):
        kept = self.block_of_page(self.pages("kept")[0])
        often = self.block_of_page(self.pages("often")[0])
        self.refused_by_both(with_block(self.whole, kept, device_block(self.whole, often)),
                             get=("kept",), others=("often",))

    def test_the_other_slot_of_a_page(self):
        page = self.pages("often")[0]
        slot = self.now.page_entry(page)[0] & 1
        other = device_block(self.whole, self.now.geometry.page_block(page, 1 - slot))
        self.refused_by_both(with_block(self.whole, self.block_of_page(page), other),
                             get=("often",), others=("kept",))

    def test_an_older_page(self):
        block = self.block_of_page(self.pages("often")[0])
        self.refused_by_both(with_block(self.whole, block, self.old_block(block)),
                             get=("often",), others=("kept",))

    def test_an_older_page_with_all_that_vouches_for_it(self):
        """But for the superblocks."""
        content = self.whole
        for block in (self.block_of_page(self.pages("often")[0]), self.block_of_leaf(),
                      self.block_of_index()):
            content = with_block(content, block, self.old_block(block))
        self.refused_by_both(content)

    def test_older_superblocks_or_older_homes(self):
        """What the older superblocks vouch for has been overwritten since."""
        index, zones = (number * BLOCK_BYTES
                        for number in (layout.INDEX_BLOCK, self.now.superblock.zones_start_block))
        self.refused_by_both(self.older[:index] + self.whole[index:])
        self.refused_by_both(self.whole[:zones] + self.older[zones:])

    def test_a_field_of_a_superblock(self):
        """In one of both copies or in both."""
        superblock = self.now.superblock
        for offset, field in ((24, struct.pack("<Q", 1)), (40, os.urandom(4)), (48, os.urandom(8)),
                              (56, struct.pack("<Q", superblock.sequence + 10)),
                              (64, struct.pack("<Q", superblock.image_block_count - 8)),
                              (88, struct.pack("<Q", superblock.epoch_number + 1)), (96, os.urandom(8)),
                              (104, struct.pack("<Q", superblock.generation + 1)), (112, os.urandom(8)),
                              (120, struct.pack("<I", superblock.ring_position ^ 1)),
                              (124, struct.pack("<I", 0)), (152, b"host"), (216, b"somebody"),
                              (280, bytes(40)), (281, os.urandom(1)), (layout.MAC_AT, os.urandom(32))):
            for copies in ((0,), (1,), (0, 1)):
                with self.subTest(offset=offset, copies=copies):
                    self.refused_by_both(self.with_superblock_field(offset, field, copies))

    def with_superblock_field(self, offset, field, copies=(0, 1)):
        content = self.whole
        for copy in copies:
            block = bytearray(device_block(self.whole, copy))
            block[offset:offset + len(field)] = field
            content = with_block(content, copy, layout.with_right_checksum(bytes(block)))
        return content

    def test_the_key_that_a_superblock_names(self):
        self.refused_by_both(self.with_superblock_field(360, os.urandom(16)), "wrong key")

    def test_a_superblock_that_says_that_it_is_plain(self):
        content = self.with_superblock_field(16, bytes(8))
        self.refused_by_both(content)

    def test_the_superblock_of_another_image(self):
        """Of the same size, with the same key and the same key slots."""
        other = Writer.create(data_key=os.urandom(32), holders=[self.holder], ring_bytes=1 << 20)
        block = other.close()[:2 * BLOCK_BYTES]
        self.refused_by_both(with_block(self.whole, 0, block))

    # Key slots.

    def with_slots(self, change, copies=(0, 1)):
        content = bytearray(self.whole)
        for copy in copies:
            start = header_area.copy_at(header_area.KEYS_MAGIC, copy)
            area = bytearray(content[start:start + header_area.COPY_BYTES])
            change(area)
            content[start:start + header_area.COPY_BYTES] = header_area.with_right_checksum(area)
        return bytes(content)

    def test_a_slots_label(self):
        current = header_area.read_area(self.whole, header_area.KEYS_MAGIC, self.now.superblock.uuid).copy

        def change(area):
            area[64 + 16:64 + 16 + 64] = b"mine".ljust(64, b"\0")

        for copies in ((0, 1), (current,)):
            self.refused_by_both(self.with_slots(change, copies), "wrong key")

    def test_a_slots_salt_and_its_wrap(self):
        for place in (80, 128 + 48, 128 + 72, 128 + 104):
            def change(area, at=64 + place):
                area[at] ^= 1

            self.refused_by_both(self.with_slots(change), "wrong key")

    def test_a_slots_voucher(self):
        """It opens, but who made it did not have the data key."""
        def change(area):
            area[64 + 128 + 120] ^= 1

        self.refused_by_both(self.with_slots(change))

    def test_a_slot_of_another_image(self):
        """Of the same holder, for another data key that is said to be this image's."""
        key_id = self.now.superblock.key_id
        slot = keys.make_slot(self.holder, [os.urandom(32)], os.urandom(16))
        slot.wraps[0].key_id = key_id

        def change(area):
            entry = slot.pack()
            area[64:] = entry.ljust(header_area.COPY_BYTES - 64, b"\0")
            struct.pack_into("<I", area, 12, 64 + len(entry))
            struct.pack_into("<I", area, 40, 1)

        self.refused_by_both(self.with_slots(change), "wrong key")

    # Records.

    def left_open(self):
        """The image with three records in the ring; they have as many blocks. Returns the device's bytes and
        [(first block, block count)]."""
        writer = self.python_writer(self.whole)
        for _ in range(3):
            self.before_last = self.contents["often"]
            self.contents["often"] = os.urandom(SIZE)
            writer.put("often", self.contents["often"])
        content = writer.leave()
        records = self.python_image(content).records
        self.assertEqual(len(records), 3)
        return content, [(layout.RING_BLOCK + place, record.block_count) for place, record in records]

    @staticmethod
    def record_of(content, place):
        first, count = place
        return bytearray(content[first * BLOCK_BYTES:(first + count) * BLOCK_BYTES])

    def checksummed(self, record):
        return with_right_checksum(record, self.now.superblock.salt)

    def test_a_byte_of_a_record_behind_which_there_are_others(self):
        content, places = self.left_open()
        for place in (8, 40, 60, 85, 96, 5000):
            record = self.record_of(content, places[1])
            record[place] ^= 1
            self.refused_by_both(with_block(content, places[1][0], bytes(record)))
            if place >= 16:
                self.refused_by_both(with_block(content, places[1][0], self.checksummed(record)))

    def test_a_byte_of_the_last_record(self):
        """It is whole by its checksum, so no cut has made it."""
        content, places = self.left_open()
        for place in (48, 60, 85, 96, 5000):
            record = self.record_of(content, places[2])
            record[place] ^= 1
            self.refused_by_both(with_block(content, places[2][0], self.checksummed(record)))

    def test_records_in_each_others_place(self):
        content, places = self.left_open()
        first, second = (bytes(self.record_of(content, place)) for place in places[:2])
        self.refused_by_both(with_block(with_block(content, places[0][0], second), places[1][0], first))

    def forged(self, record, like):
        """A record that says in the clear what another one says: epoch, sequence and predecessor."""
        return self.checksummed(record[:16] + like[16:48] + record[48:])

    def test_another_record_that_says_that_it_is_the_last(self):
        """An older one, and those of another epoch and of another image."""
        content, places = self.left_open()
        first, last = self.record_of(content, places[0]), self.record_of(content, places[2])
        other_epoch, other_places = self.left_open()
        other_image = Writer.create(data_key=os.urandom(32), ring_bytes=1 << 20)
        other_image.register("often", "t", 1 << 16, os.urandom(SIZE))
        others = self.record_of(other_image.leave(), (layout.RING_BLOCK, places[2][1]))
        for record in (first, self.record_of(other_epoch, other_places[2]), others):
            self.refused_by_both(with_block(content, places[2][0], self.forged(record, last)))

    def test_records_of_another_epoch_in_the_middle(self):
        other, other_places = self.left_open()
        content, places = self.left_open()
        record = bytes(self.record_of(other, other_places[1]))
        self.refused_by_both(with_block(content, places[1][0], record))

    def test_the_ring_cut_behind_a_record(self):
        """As by a power cut: it is as it was before, and not what anybody has made of it."""
        other, other_places = self.left_open()
        content, places = self.left_open()
        torn = self.record_of(content, places[2])
        torn[5000] ^= 1
        for record in (bytes(torn), bytes(self.record_of(other, other_places[2]))):
            self.image.write_bytes(with_block(content, places[2][0], record))
            self.assertEqual(self.python_image().get("often"), self.before_last)
            self.assertEqual(self.on_image("get", "often", status=OK), self.before_last)


class OfPython(Tampering, ImageCase):
    """An image that Python has made."""

    def begin(self):
        writer = self.create_by_python()
        writer.register("often", "t", 1 << 16)
        writer.register("kept", "t", 8192, self.contents["kept"])
        self.state = writer.close()

    def put(self, name, content):
        writer = Writer.open(self.state, self.holder)
        writer.put(name, content)
        self.state = writer.close()
        return self.state


class OfVnvram(Tampering, ImageCase):
    """An image that vnvram has made."""

    def begin(self):
        self.create_by_vnvram("--blob", "often:t:64K", "--blob",
                              f"kept:t:8K={self.file('kept', self.contents['kept'])}")

    def put(self, name, content):
        self.put_by_vnvram(name, content)
        return self.image.read_bytes()


if __name__ == "__main__":
    unittest.main()
