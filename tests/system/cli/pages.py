"""An image whose pages say something else, vouched for by right checksums (docs/format.md)."""

import ctypes
import struct

from .superblocks import BLOCK_BYTES, edit_superblocks

_ENTRIES_PER_BLOCK = 512
_INDEX_BLOCK = 18
_SALT_AT, _ZONES_START_AT, _INDEX_ENTRY_AT, _RING_BLOCKS_AT = 48, 80, 128, 76


class Pages:
    """Of a clean image, a bytearray, with one zone."""

    def __init__(self, content):
        self._content = content
        self._salt, = self._at(0, "<Q", _SALT_AT)
        self._zone, = self._at(0, "<I", _ZONES_START_AT)

    def _at(self, block, form, offset):
        return struct.unpack_from(form, self._content, block * BLOCK_BYTES + offset)

    def checksum(self, content):
        checksum_of = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
        checksum_of.restype = ctypes.c_uint64
        checksum_of.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
        return checksum_of(bytes(content), len(content), self._salt)

    def _entry_of(self, block, slot):
        start = block * BLOCK_BYTES
        return self.checksum(self._content[start:start + BLOCK_BYTES]) & ~1 | slot

    def edit(self, page, offset, field):
        """Writes the bytes at this offset of a page that has been written before."""
        entry = self.entry(page)
        slot = entry & 1
        block = self._zone + 2 + 2 * page + slot
        start = block * BLOCK_BYTES + offset
        self._content[start:start + len(field)] = field
        self.set_entry(page, self._entry_of(block, slot))

    def entry(self, page):
        return self._at(self._leaf()[0], "<Q", 8 * page)[0]

    def _leaf(self):
        """The leaf's block and slot, and those of the index block."""
        index_slot = self._at(0, "<Q", _INDEX_ENTRY_AT)[0] & 1
        index_block = _INDEX_BLOCK + index_slot
        leaf_slot = self._at(index_block, "<Q", 0)[0] & 1
        return self._zone + leaf_slot, leaf_slot, index_block, index_slot

    def set_entry(self, page, entry):
        """What the leaf says of a page; and who vouches for the leaf."""
        leaf_block, leaf_slot, index_block, index_slot = self._leaf()
        struct.pack_into("<Q", self._content, leaf_block * BLOCK_BYTES + 8 * page, entry)
        struct.pack_into("<Q", self._content, index_block * BLOCK_BYTES,
                         self._entry_of(leaf_block, leaf_slot))
        edit_superblocks(self._content, _INDEX_ENTRY_AT,
                         struct.pack("<Q", self._entry_of(index_block, index_slot)))
