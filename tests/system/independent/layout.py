"""Where things are in an image, and what a superblock's fields are (docs/format.md)."""

import dataclasses
import struct

import xxhash

from .refused import must_be

BLOCK_BYTES = 4096
SUPERBLOCK_MAGIC = b"vNVRAM\x1a\n"
ENCRYPTED, SEALED = 1, 2
MUST_KNOW = ENCRYPTED | SEALED
FORMAT_VERSION = 1
THIRD_COPY = 2
THIRD_COPY_FROM_END = 8
HEADER_AREA_BLOCK, INDEX_BLOCK, RING_BLOCK = 2, 18, 22
RING_BLOCKS_MIN = 4
IMAGE_BLOCKS_MAX = 1 << 20
COUNTER_MAX = 1 << 62
ENTRY_BYTES = {False: 8, True: 40}  # By whether the image is encrypted.
ENTRIES_PER_BLOCK = {False: 512, True: 102}

_FIELDS = struct.Struct("<8sIIQQ16sQQQIIIIQQQQII16sII64s64s80s16s32s16sQQ3648s")
_CHECKSUM_AT = 4088
MAC_AT, MAC_BYTES = 376, 32


def checksum_of(content, seed):
    return xxhash.xxh3_64_intdigest(bytes(content), seed=seed)


@dataclasses.dataclass
class Superblock:
    """In the order of its fields."""

    magic: bytes = SUPERBLOCK_MAGIC
    format_version: int = FORMAT_VERSION
    copy: int = 0
    features_must_know: int = 0
    features_may_ignore: int = 0
    uuid: bytes = bytes(16)
    salt: int = 0
    sequence: int = 0
    image_block_count: int = 0
    ring_start_block: int = RING_BLOCK
    ring_block_count: int = 0
    zones_start_block: int = 0
    entry_size_bytes: int = 8
    epoch_number: int = 0
    epoch_random: int = 0
    generation: int = 0
    chain: int = 0
    ring_position: int = 0
    clean: int = 0
    index_entries: bytes = bytes(16)
    owner_pid: int = 0
    reserved: int = 0
    owner_host: bytes = b""
    creator: bytes = b""
    sealed_entries: bytes = bytes(80)
    key_id: bytes = bytes(16)
    mac: bytes = bytes(32)
    hand_over: bytes = bytes(16)
    owner_since: int = 0
    claim: int = 0
    reserved_end: bytes = b""

    @property
    def encrypted(self):
        return bool(self.features_must_know & ENCRYPTED)

    @classmethod
    def unpack(cls, block):
        return cls(*_FIELDS.unpack_from(block))

    def fields(self):
        """Bytes 0 ... 4087."""
        return _FIELDS.pack(*dataclasses.astuple(self))

    def entries(self):
        """Those of the two index blocks."""
        entries = self.sealed_entries if self.encrypted else self.index_entries
        half = len(entries) // 2
        return [entries[:half], entries[half:]]

    def check_fields(self, copy):
        """Of one that is whole by its checksum, and whose version and features are known."""
        must_be(self.copy == copy, "a superblock says that it is another copy")
        size = ENTRY_BYTES[self.encrypted]
        must_be(self.entry_size_bytes == size, f"entries of {self.entry_size_bytes} bytes")
        must_be(self.ring_start_block == RING_BLOCK, "the ring begins elsewhere")
        must_be(self.ring_block_count >= RING_BLOCKS_MIN, "the ring is too short")
        must_be(self.zones_start_block == RING_BLOCK + self.ring_block_count, "zones begin elsewhere")
        must_be(self.zones_start_block <= self.image_block_count <= IMAGE_BLOCKS_MAX, "image size")
        must_be(Geometry(self).page_count > 0, "there is no room for a page")
        must_be(max(self.sequence, self.epoch_number, self.generation) <= COUNTER_MAX, "a counter")
        must_be(self.clean in (0, 1), "neither clean nor not")
        must_be(self.ring_position <= self.ring_block_count, "ring position")
        must_be(not self.reserved and not any(self.reserved_end), "reserved bytes")
        must_be(not self.clean or not self.owner_pid and not self.owner_since, "clean, and has an owner")
        must_be(not self.clean or not self.claim, "clean, and somebody is about to open it")
        must_be(not any(self.hand_over) or self.features_must_know & SEALED, "a hand-over without a seal")
        for text in (self.owner_host, self.creator):
            must_be(b"\0" in text, "a text has no end")
        if self.encrypted:
            must_be(not any(self.index_entries), "index_entries of an encrypted image")
        else:
            must_be(not any(self.sealed_entries + self.key_id + self.mac), "keys of a plain image")


def seal_superblock(superblock, codec):
    """The block: its MAC, if it has one, then its checksum."""
    superblock.mac = bytes(MAC_BYTES)
    superblock.mac = codec.mac(superblock.fields())
    fields = superblock.fields()
    return fields + struct.pack("<Q", checksum_of(fields, 0))


def superblock_is_whole(block):
    return struct.unpack_from("<Q", block, _CHECKSUM_AT)[0] == checksum_of(block[:_CHECKSUM_AT], 0)


def with_right_checksum(block):
    """A superblock that somebody has changed who has no key."""
    return block[:_CHECKSUM_AT] + struct.pack("<Q", checksum_of(block[:_CHECKSUM_AT], 0))


class Geometry:
    """The places of blocks, by the numbers of what is in them."""

    def __init__(self, superblock):
        self.entries_per_block = ENTRIES_PER_BLOCK[superblock.encrypted]
        self._zones_start = superblock.zones_start_block
        self._zone_blocks = 2 + 2 * self.entries_per_block
        whole, rest = divmod(superblock.image_block_count - self._zones_start, self._zone_blocks)
        last_pages = (rest - 2) // 2 if rest >= 4 else 0
        self.zone_count = whole + (last_pages > 0)
        self.page_count = whole * self.entries_per_block + last_pages
        must_be(self.zone_count <= 2 * self.entries_per_block, "more zones than the index has")

    @staticmethod
    def index_block(number, slot):
        return INDEX_BLOCK + 2 * number + slot

    def leaf_block(self, zone, slot):
        return self._zones_start + zone * self._zone_blocks + slot

    def page_block(self, page, slot):
        zone, number = divmod(page, self.entries_per_block)
        return self.leaf_block(zone, 0) + 2 + 2 * number + slot
