"""One commit, and the ring that holds those that are not in the homes yet."""

import dataclasses
import struct

from .layout import BLOCK_BYTES, COUNTER_MAX, checksum_of
from .refused import Refused, must_be

MAGIC = b"NVRc"
BYTES, ZEROS = 0, 1  # Kinds of extents.
_HEADER_BYTES = 104
_EXTENT = struct.Struct("<QII")
_BLOCKS_MAX = 16384
_CHECKED_FROM = 16


@dataclasses.dataclass
class Extent:
    """`content` is None where zeros go."""

    offset_bytes: int
    length_bytes: int
    content: bytes | None


@dataclasses.dataclass
class Record:
    sequence: int
    chain: int
    checksum: int
    block_count: int
    extents: list


def make_record(codec, epoch, sequence, chain, extents):
    """Its bytes; `epoch` is number and random."""
    head = b"".join(
        _EXTENT.pack(extent.offset_bytes, extent.length_bytes, ZEROS if extent.content is None else BYTES)
        for extent in extents)
    body = head + b"".join(extent.content or b"" for extent in extents)
    used = _HEADER_BYTES + len(body)
    block_count = -(-used // BLOCK_BYTES)
    record = bytearray(block_count * BLOCK_BYTES)
    struct.pack_into("<4sIQQQQQII", record, 0, MAGIC, block_count, 0, *epoch, sequence, chain,
                     len(extents), used)
    record[_HEADER_BYTES:used] = body
    codec.seal_record(record)
    return with_right_checksum(record, codec.salt)


def with_right_checksum(record, salt):
    record = bytearray(record)
    struct.pack_into("<Q", record, 8, checksum_of(record[_CHECKED_FROM:], salt))
    return bytes(record)


def block_count_at(content, block, ring_end, ring_blocks):
    """Of what may be a record that begins at this block; 0 if none does."""
    magic, count = struct.unpack_from("<4sI", content, block * BLOCK_BYTES)
    largest = min(ring_blocks // 2, _BLOCKS_MAX, ring_end - block)
    return count if magic == MAGIC and 1 <= count <= largest else 0


@dataclasses.dataclass
class RecordHeader:
    """What anybody can read, of a record that is whole by its checksum."""

    checksum: int
    epoch: tuple
    sequence: int
    chain: int

    @classmethod
    def of(cls, record, salt):
        """None if the record is not whole."""
        checksum, number, random, sequence, chain = struct.unpack_from("<QQQQQ", record, 8)
        if checksum_of(record[_CHECKED_FROM:], salt) != checksum:
            return None
        return cls(checksum, (number, random), sequence, chain)


def open_record(codec, record, header, space_bytes):
    """Checks everything that is in a record."""
    extent_count, used, plain = codec.open_record(record)
    must_be(header.sequence <= COUNTER_MAX, "a record's sequence")
    must_be(_HEADER_BYTES <= used <= len(record) < used + BLOCK_BYTES, "a record's used bytes")
    must_be(not any(plain[used:]), "bytes behind a record's end")
    at = _HEADER_BYTES + extent_count * _EXTENT.size
    must_be(at <= used, "a record's extents are cut off")
    extents = []
    for number in range(extent_count):
        offset, length, kind = _EXTENT.unpack_from(plain, _HEADER_BYTES + number * _EXTENT.size)
        must_be(length > 0 and offset + length <= space_bytes, "an extent outside the page space")
        must_be(kind in (BYTES, ZEROS), f"an extent of kind {kind}")
        content = None
        if kind == BYTES:
            must_be(at + length <= used, "an extent's bytes are cut off")
            content = bytes(plain[at:at + length])
            at += length
        extents.append(Extent(offset, length, content))
    must_be(at == used, "a record has bytes that are nobody's")
    return Record(header.sequence, header.chain, header.checksum, len(record) // BLOCK_BYTES, extents)


class Ring:
    """Of the image whose current superblock this is."""

    def __init__(self, content, superblock, codec, page_count):
        self._content = content
        self._superblock = superblock
        self._codec = codec
        self._page_count = page_count
        self._start = superblock.ring_start_block
        self._blocks = superblock.ring_block_count
        self._epoch = (superblock.epoch_number, superblock.epoch_random)

    def whole_at(self, position):
        """The bytes and the header of a record that is whole there, of whatever epoch; or None."""
        block = self._start + position
        count = block_count_at(self._content, block, self._start + self._blocks, self._blocks)
        if not count:
            return None
        record = bytes(self._content[block * BLOCK_BYTES:(block + count) * BLOCK_BYTES])
        header = RecordHeader.of(record, self._codec.salt)
        return header and (record, header)

    def _next(self, position, sequence, chain, room):
        """The record that counts next, and its position."""
        for place in dict.fromkeys((position, 0)):
            found = self.whole_at(place) if place < self._blocks else None
            if not found:
                continue
            record, header = found
            count = len(record) // BLOCK_BYTES
            skipped = 0 if place == position else self._blocks - position
            if place != position and count <= skipped:
                continue  # It would have fit.
            if ((header.epoch, header.sequence, header.chain) == (self._epoch, sequence, chain)
                    and count + skipped <= room):
                return place, record, header, count + skipped
        return None

    def records(self):
        """Those that count, with their positions, in order. What is whole by its checksum, is the next
        by all that it says and is not sealed by our key was made by somebody: the image is corrupt."""
        if self._superblock.clean:
            return []
        found, room = [], self._blocks
        position, chain = self._superblock.ring_position, self._superblock.chain
        sequence = self._superblock.generation + 1
        zeroed, may_zero = 0, self._page_count * BLOCK_BYTES
        while step := self._next(position, sequence, chain, room):
            place, raw, header, used = step
            record = open_record(self._codec, raw, header, self._page_count * BLOCK_BYTES)
            zeroed += sum(extent.length_bytes for extent in record.extents if extent.content is None)
            may_zero += BLOCK_BYTES * sum(len(extent.content or b"") for extent in record.extents)
            must_be(zeroed <= may_zero, "records that zero more than there is")
            found.append((place, record))
            position, chain, sequence = place + record.block_count, header.checksum, sequence + 1
            room -= used
        self._search_behind(sequence - 1)
        return found

    def _search_behind(self, newest):
        for position in range(self._blocks):
            found = self.whole_at(position)
            if found and found[1].epoch == self._epoch and found[1].sequence > newest:
                raise Refused("corrupt", "the ring is damaged in the middle")
