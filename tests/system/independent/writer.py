"""A writer: makes images, and goes on with those that somebody else has made."""

import os

from . import header_area, keys, layout
from .codec import INDEX, LEAF, PAGE, PlainCodec, SealedCodec
from .directory import (ENTRIES_PER_PAGE, ENTRY_BYTES, Blob, entry_offset, pages_needed)
from .image import Image, third_copy_block
from .layout import BLOCK_BYTES, Geometry, Superblock
from .record import Extent, make_record

_GAP_BYTES = 16  # Equal bytes between changed ones that are not worth an extent.


def _runs(old, new):
    """Where two pages differ: [start, end]."""
    runs = []
    for at in (at for at in range(BLOCK_BYTES) if old[at] != new[at]):
        if runs and at - runs[-1][1] <= _GAP_BYTES:
            runs[-1][1] = at + 1
        else:
            runs.append([at, at + 1])
    return runs


def _extents(page, old, new):
    for start, end in _runs(old, new):
        content = bytes(new[start:end])
        yield Extent(page * BLOCK_BYTES + start, end - start, content if any(content) else None)


class Writer:
    """One owner of an image. `content` is the device, a bytearray; nothing is flushed, since nothing
    is cut here: the order of what is written is that of docs/format.md all the same."""

    def __init__(self, content, superblock, codec, random=os.urandom):
        self.content = content
        self.superblock = superblock
        self._codec = codec
        self._random = random
        self._geometry = Geometry(superblock)
        zero = bytes(codec.entry_bytes)
        self._page_entries = [zero] * self._geometry.page_count
        self._leaf_entries = [zero] * self._geometry.zone_count
        self._index_entries = superblock.entries()
        self._pages = {}  # All that are not zero.
        self._dirty = set()
        self._copy = 0  # Which superblock is current.
        self._chain = superblock.chain
        self._position = superblock.ring_position
        self._used_blocks = 0
        self.generation = superblock.generation
        self.blobs = {}
        self._directory_pages = [0]

    # How an image begins.

    @classmethod
    def create(cls, image_bytes=4 << 20, ring_bytes=256 << 10, data_key=None, holders=(),
               uuid=None, random=os.urandom):
        """With a third copy behind it. `holders` get slots in their order; the image is encrypted if
        there is a data key."""
        blocks, ring_blocks = image_bytes // BLOCK_BYTES, ring_bytes // BLOCK_BYTES
        content = bytearray((blocks + layout.THIRD_COPY_FROM_END) * BLOCK_BYTES)
        uuid = uuid or random(16)
        salt, epoch_random = (int.from_bytes(random(8), "little") for _ in range(2))
        superblock = Superblock(
            uuid=uuid, salt=salt, image_block_count=blocks, ring_block_count=ring_blocks,
            zones_start_block=layout.RING_BLOCK + ring_blocks, epoch_number=1,
            epoch_random=epoch_random, chain=epoch_random, creator=b"independent".ljust(64, b"\0"),
            owner_host=bytes(64), reserved_end=bytes(3656))
        codec = PlainCodec(salt)
        if data_key:
            codec = SealedCodec(salt, uuid, data_key, random)
            superblock.features_must_know = layout.ENCRYPTED
            superblock.entry_size_bytes = layout.ENTRY_BYTES[True]
            superblock.key_id = keys.key_id_of(data_key, uuid)
            start = layout.RING_BLOCK * BLOCK_BYTES
            content[start:blocks * BLOCK_BYTES] = os.urandom(blocks * BLOCK_BYTES - start)
            slots = [keys.make_slot(holder, [data_key], uuid, number, b"holder %d" % number, 1700000000,
                                    random) for number, holder in enumerate(holders)]
            header_area.write_area(content, header_area.KEYS_MAGIC, uuid,
                                   [slot.pack() for slot in slots])
        return cls(content, superblock, codec, random)

    @classmethod
    def open(cls, content, holder=None, data_key=None):
        """Goes on with an image, as its next owner."""
        image = Image(bytes(content), holder, data_key)
        writer = cls(bytearray(content), image.superblock, image.codec)
        writer._take_over(image)
        writer.checkpoint()
        writer._write_superblock()
        return writer

    def _take_over(self, image):
        if self.superblock.features_must_know & layout.SEALED:
            raise ValueError("the image is sealed")
        geometry = self._geometry
        self._copy = self.superblock.copy
        self._page_entries = [image.page_entry(page) for page in range(geometry.page_count)]
        self._leaf_entries = [image.leaf_entry(zone) for zone in range(geometry.zone_count)]
        self._pages = {page: image.page(page) for page in range(geometry.page_count)}
        self._pages = {page: content for page, content in self._pages.items() if any(content)}
        self._dirty = set(image.changed_pages)
        self.blobs, self._directory_pages = image.blobs, image.directory_pages
        self.generation = image.generation
        if image.records:
            position, record = image.records[-1]
            self._position = position + record.block_count
        self._position = (self._position + self.superblock.ring_block_count // 2
                          ) % self.superblock.ring_block_count
        self.superblock.epoch_number += 1
        self.superblock.epoch_random = int.from_bytes(self._random(8), "little")
        self._chain = self.superblock.epoch_random
        self.superblock.clean = 0

    # What an image is changed by.

    def _page(self, page):
        return self._pages.get(page, bytes(BLOCK_BYTES))

    def _commit(self, changed):
        """One record: {page: its new bytes}."""
        extents = [extent for page, content in sorted(changed.items())
                   for extent in _extents(page, self._page(page), content)]
        epoch = (self.superblock.epoch_number, self.superblock.epoch_random)
        record = make_record(self._codec, epoch, self.generation + 1, self._chain, extents)
        self._append(record)
        self._chain = int.from_bytes(record[8:16], "little")
        self.generation += 1
        for page, content in changed.items():
            self._dirty.add(page)
            self._pages.pop(page, None)
            if any(content):
                self._pages[page] = bytes(content)

    def _append(self, record):
        blocks, ring = len(record) // BLOCK_BYTES, self.superblock.ring_block_count
        if blocks > ring // 2:
            raise ValueError("a commit that is larger than half the ring")
        skipped = ring - self._position if self._position + blocks > ring else 0
        if self._used_blocks + skipped + blocks > ring:
            self.checkpoint()
        self._used_blocks += skipped + blocks
        position = 0 if skipped else self._position
        start = (self.superblock.ring_start_block + position) * BLOCK_BYTES
        self.content[start:start + len(record)] = record
        self._position = (position + blocks) % ring

    def _entry_changed(self, changed, place, entry):
        page = place[0]
        content = changed.setdefault(page, bytearray(self._page(page)))
        start = entry_offset(place) - page * BLOCK_BYTES
        content[start:start + ENTRY_BYTES] = entry

    def _fill(self, changed, blob, content):
        """Its pages, zeros behind the content."""
        for number, page in enumerate(blob.pages()):
            part = content[number * BLOCK_BYTES:(number + 1) * BLOCK_BYTES]
            changed[page] = bytearray(part.ljust(BLOCK_BYTES, b"\0"))

    def register(self, name, type_name, size_max_bytes, content=None, attributes=None):
        """`attributes` are {name: (value, flags)}."""
        changed = {}
        blob = Blob(name, type_name, size_max_bytes, registered_generation=self.generation + 1,
                    attributes=attributes or {}, place=self._free_place(changed))
        blob.runs = self._free_run(pages_needed(size_max_bytes))
        self.blobs[name] = blob
        self._put(changed, blob, content)

    def put(self, name, content):
        self._put({}, self.blobs[name], content)

    def _put(self, changed, blob, content):
        if content is not None:
            blob.size_bytes, blob.generation = len(content), self.generation + 1
            self._fill(changed, blob, content)
        self._entry_changed(changed, blob.place, blob.pack())
        self._commit(changed)

    def remove(self, name):
        blob, changed = self.blobs.pop(name), {}
        self._fill(changed, blob, b"")
        self._entry_changed(changed, blob.place, bytes(ENTRY_BYTES))
        self._commit(changed)

    def _free_place(self, changed):
        used = {blob.place for blob in self.blobs.values()}
        for page in self._directory_pages:
            for number in range(ENTRIES_PER_PAGE):
                if (page, number) not in used:
                    return page, number
        last, (page, _) = self._directory_pages[-1], self._free_run(1)[0]
        changed[last] = bytearray(self._page(last))
        changed[last][0:4] = page.to_bytes(4, "little")
        self._directory_pages.append(page)
        return page, 0

    def _free_run(self, count):
        owned = set(self._directory_pages)
        owned.update(page for blob in self.blobs.values() for page in blob.pages())
        first = 0
        while first + count <= self._geometry.page_count:
            taken = [page for page in range(first, first + count) if page in owned]
            if not taken:
                return [(first, count)]
            first = taken[-1] + 1
        raise ValueError("no room in the image")

    # How what is in the ring gets into the homes.

    def _write_block(self, kind, number, entry, plain, place):
        """To the slot that nothing points to; returns the entry."""
        if not any(plain):
            return bytes(self._codec.entry_bytes)
        slot = 1 - (entry[0] & 1) if any(entry) else 0
        new_entry, stored = self._codec.seal_block(kind, number, slot, bytes(plain))
        start = place(number, slot) * BLOCK_BYTES
        self.content[start:start + BLOCK_BYTES] = stored
        return new_entry

    def _write_table(self, kind, number, entry, children, place):
        many = self._geometry.entries_per_block
        table = b"".join(children[number * many:(number + 1) * many]).ljust(BLOCK_BYTES, b"\0")
        return self._write_block(kind, number, entry, table, place)

    def checkpoint(self):
        geometry, many = self._geometry, self._geometry.entries_per_block
        for page in sorted(self._dirty):
            self._page_entries[page] = self._write_block(
                PAGE, page, self._page_entries[page], self._page(page), geometry.page_block)
        zones = {page // many for page in self._dirty}
        for zone in sorted(zones):
            self._leaf_entries[zone] = self._write_table(
                LEAF, zone, self._leaf_entries[zone], self._page_entries, geometry.leaf_block)
        for index in sorted({zone // many for zone in zones}):
            self._index_entries[index] = self._write_table(
                INDEX, index, self._index_entries[index], self._leaf_entries, geometry.index_block)
        self._dirty.clear()
        self._used_blocks = 0
        self.superblock.generation = self.generation
        self.superblock.chain = self._chain
        self.superblock.ring_position = self._position
        name = "sealed_entries" if self._codec.encrypted else "index_entries"
        setattr(self.superblock, name, b"".join(self._index_entries))
        self._write_superblock()

    def _write_superblock(self):
        """With the next sequence, to the copy that is not current, and to the third."""
        self.superblock.sequence += 1
        self._copy = 1 - self._copy
        self.superblock.owner_pid = 0 if self.superblock.clean else os.getpid()
        self.superblock.owner_since = 0
        self.superblock.claim = 0
        for copy, block in ((layout.THIRD_COPY, third_copy_block(self.content)), (self._copy, self._copy)):
            if block is None or copy == layout.THIRD_COPY and not self._third_copy_is_ours(block):
                continue
            self.superblock.copy = copy
            self.content[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES] = layout.seal_superblock(
                self.superblock, self._codec)

    def _third_copy_is_ours(self, block):
        there = self.content[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES]
        return block >= self.superblock.image_block_count and (
            not any(there) or there.startswith(layout.SUPERBLOCK_MAGIC))

    def close(self):
        """In good order. Returns the device's bytes."""
        self.superblock.clean = 1
        self.checkpoint()
        self._write_superblock()
        return bytes(self.content)

    def leave(self):
        """As a crash does: the newest changes are in the ring."""
        return bytes(self.content)
