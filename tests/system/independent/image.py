"""A reader: from the bytes of a device to the contents of blobs. The writer is in writer.py."""

import dataclasses

from . import header_area, keys, layout
from .codec import INDEX, LEAF, PAGE, PlainCodec, SealedCodec
from .directory import read_directory
from .layout import BLOCK_BYTES, Geometry, Superblock
from .record import Ring
from .refused import Refused, must_be

MIB = 1 << 20


def device_block(content, number):
    return bytes(content[number * BLOCK_BYTES:(number + 1) * BLOCK_BYTES])


def third_copy_block(content):
    """None on a device that has no such block."""
    number = len(content) // BLOCK_BYTES - layout.THIRD_COPY_FROM_END
    return number if number > 1 else None


@dataclasses.dataclass
class Copy:
    """What is in one of the superblocks' places."""

    state: str  # zero, something else, damaged, too new, encrypted, impossible, valid
    superblock: Superblock = None
    codec: object = None


class KeyRing:
    """Who may open the image: a holder of a slot, or somebody who has the data key itself."""

    def __init__(self, content, holder=None, data_key=None):
        self._content = content
        self._holder = holder
        self._data_key = data_key

    @property
    def empty(self):
        return self._holder is None and self._data_key is None

    def codec_for(self, superblock):
        return SealedCodec(superblock.salt, superblock.uuid, self._data_key_for(superblock))

    def _data_key_for(self, superblock):
        if self._data_key is not None:
            if keys.key_id_of(self._data_key, superblock.uuid) != superblock.key_id:
                raise Refused("wrong key", "the data key is another's")
            return self._data_key
        slots = header_area.read_area(self._content, header_area.KEYS_MAGIC, superblock.uuid)
        return keys.unwrap(slots.entries if slots else [], self._holder, superblock.uuid,
                           superblock.key_id)


def look_at(block, number, key_ring):
    """One place: its state by the table in "Open"."""
    if not any(block):
        return Copy("zero")
    if not block.startswith(layout.SUPERBLOCK_MAGIC):
        return Copy("something else")
    if not layout.superblock_is_whole(block):
        return Copy("damaged")
    superblock = Superblock.unpack(block)
    if superblock.format_version > layout.FORMAT_VERSION or superblock.features_must_know & ~layout.MUST_KNOW:
        return Copy("too new")
    if superblock.encrypted and key_ring.empty:
        return Copy("encrypted")
    try:
        must_be(superblock.format_version == layout.FORMAT_VERSION, "a version that never was")
        superblock.check_fields(number)
        if not superblock.encrypted:
            return Copy("valid", superblock, PlainCodec(superblock.salt))
        codec = key_ring.codec_for(superblock)
        unsigned = dataclasses.replace(superblock, mac=bytes(layout.MAC_BYTES)).fields()
        must_be(codec.mac(unsigned) == superblock.mac, "a superblock's MAC")
        return Copy("valid", superblock, codec)
    except Refused as refused:
        if refused.kind == "wrong key":
            raise
        return Copy("impossible")


def _contradict(older, newer):
    return (older.sequence == newer.sequence or older.encrypted != newer.encrypted
            or any(getattr(older, name) != getattr(newer, name)
                   for name in ("uuid", "salt", "ring_block_count"))
            or any(getattr(older, name) > getattr(newer, name)
                   for name in ("epoch_number", "generation", "image_block_count")))


def choose_superblock(content, key_ring):
    """The current copy, by the first row of the table that fits."""
    pair = [look_at(device_block(content, number), number, key_ring) for number in (0, 1)]
    states = [copy.state for copy in pair]
    for state, kind in (("too new", "too new"), ("encrypted", "key needed"), ("impossible", "corrupt")):
        if state in states:
            raise Refused(kind, f"a superblock is {state}")
    valid = sorted((copy for copy in pair if copy.state == "valid"),
                   key=lambda copy: copy.superblock.sequence)
    if valid:
        must_be(len(valid) == 1 or not _contradict(valid[0].superblock, valid[1].superblock),
                "the superblocks contradict each other")
        must_be(valid[-1].superblock.image_block_count * BLOCK_BYTES <= len(content),
                "the image is longer than its device")
        return valid[-1]
    must_be("damaged" not in states, "superblocks are damaged")
    third = third_copy_block(content)
    if third and layout.superblock_is_whole(device_block(content, third)):
        must_be(not device_block(content, third).startswith(layout.SUPERBLOCK_MAGIC),
                "the image's beginning was overwritten")
    blank = states == ["zero", "zero"] and not any(content[:MIB]) and not any(content[-MIB:])
    raise Refused("blank" if blank else "foreign", "no superblock")


class Image:
    """What a device holds, as of its newest commit. `content` are the device's bytes."""

    def __init__(self, content, holder=None, data_key=None):
        self.content = content
        chosen = choose_superblock(content, KeyRing(content, holder, data_key))
        self.superblock, self.codec = chosen.superblock, chosen.codec
        self.geometry = Geometry(self.superblock)
        self.index_entries = self.superblock.entries()
        self._tables = {}
        self._pages = {}
        self.records = Ring(content, self.superblock, self.codec, self.geometry.page_count).records()
        for _, record in self.records:
            for extent in record.extents:
                self._apply(extent)
        self.generation = self.superblock.generation + len(self.records)
        self.blobs, self.directory_pages = read_directory(self.page, self.geometry.page_count)

    @property
    def changed_pages(self):
        """Those that records have changed: {page: its bytes}."""
        return self._pages

    def _open_block(self, kind, number, entry, block_of):
        if not any(entry):
            return bytes(BLOCK_BYTES)
        stored = device_block(self.content, block_of(number, entry[0] & 1))
        return self.codec.open_block(kind, number, entry, stored)

    def _entry(self, table, number):
        size = self.codec.entry_bytes
        return table[number * size:(number + 1) * size]

    def _table(self, kind, number):
        """An index block or a leaf."""
        if (kind, number) not in self._tables:
            entry, place = ((self.index_entries[number], self.geometry.index_block) if kind == INDEX
                            else (self.leaf_entry(number), self.geometry.leaf_block))
            table = self._open_block(kind, number, entry, place)
            used = self.geometry.entries_per_block * self.codec.entry_bytes
            must_be(not any(table[used:]), "bytes behind a table's entries")
            self._tables[kind, number] = table
        return self._tables[kind, number]

    def leaf_entry(self, zone):
        index, number = divmod(zone, self.geometry.entries_per_block)
        return self._entry(self._table(INDEX, index), number)

    def page_entry(self, page):
        zone, number = divmod(page, self.geometry.entries_per_block)
        return self._entry(self._table(LEAF, zone), number)

    def home(self, page):
        """What the table says of it, without what is in the ring."""
        return self._open_block(PAGE, page, self.page_entry(page), self.geometry.page_block)

    def page(self, page):
        return bytes(self._pages[page]) if page in self._pages else self.home(page)

    def _apply(self, extent):
        done = 0
        while done < extent.length_bytes:
            page, start = divmod(extent.offset_bytes + done, BLOCK_BYTES)
            count = min(BLOCK_BYTES - start, extent.length_bytes - done)
            if page not in self._pages:
                self._pages[page] = bytearray(self.home(page))
            self._pages[page][start:start + count] = (
                bytes(count) if extent.content is None else extent.content[done:done + count])
            done += count

    def get(self, name):
        """A blob's content."""
        blob = self.blobs[name]
        whole = b"".join(self.page(page) for page in blob.pages())
        must_be(not any(whole[blob.size_bytes:]), f"{name}: bytes beyond its size")
        return whole[:blob.size_bytes]

    def metadata(self):
        """The public metadata, which nobody should trust: {name: value}."""
        area = header_area.read_area(self.content, header_area.METADATA_MAGIC, self.superblock.uuid)
        return dict(area.entries) if area else {}

    def slots(self):
        area = header_area.read_area(self.content, header_area.KEYS_MAGIC, self.superblock.uuid)
        return area.entries if area else []

    def check(self):
        """Reads everything that is vouched for."""
        owned = set(self.directory_pages)
        for name, blob in self.blobs.items():
            self.get(name)
            owned.update(blob.pages())
        for page in range(self.geometry.page_count):
            must_be(page in owned or not any(self.page(page)), f"page {page} is nobody's and not zero")
        for table in range(2 * self.geometry.entries_per_block):
            must_be(table < self.geometry.zone_count or not any(self.leaf_entry(table)),
                    "an entry of a zone that is not there")
        return self
