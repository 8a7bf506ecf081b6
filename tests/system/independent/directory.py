"""Which blobs there are, and whose the pages are."""

import dataclasses
import re
import struct

from .layout import BLOCK_BYTES
from .refused import must_be

ENTRY_BYTES = 512
ENTRIES_PER_PAGE = 7
PAGES_MAX = 2341
BLOB_BYTES_MAX = 16 << 20
RUNS_MAX = 12
_ENTRY = struct.Struct("<64s64s64sQQQQII96s176sQ")
_NAME = re.compile(rb"[A-Za-z0-9._/+@-]{1,63}")


@dataclasses.dataclass
class Blob:
    """An entry, and where it is."""

    name: str
    type: str
    size_max_bytes: int
    size_bytes: int = 0
    generation: int = 0
    registered_generation: int = 0
    producer: str = "independent"
    attributes: dict = dataclasses.field(default_factory=dict)  # {name: (value, flags)}
    runs: list = dataclasses.field(default_factory=list)  # [(first page, count)]
    place: tuple = (0, 0)  # Directory page and number in it.

    def pages(self):
        return [first + number for first, count in self.runs for number in range(count)]

    def pack(self):
        attributes = b"".join(
            bytes([flags, len(name), len(value)]) + name.encode() + value
            for name, (value, flags) in self.attributes.items())
        runs = b"".join(struct.pack("<II", *run) for run in self.runs)
        return _ENTRY.pack(self.name.encode(), self.type.encode(), self.producer.encode(),
                           self.size_max_bytes, self.size_bytes, self.generation,
                           self.registered_generation, len(self.runs), len(attributes), runs,
                           attributes, 0)


def entry_offset(place):
    """In the page space."""
    page, number = place
    return page * BLOCK_BYTES + ENTRY_BYTES * (1 + number)


def pages_needed(size_max_bytes):
    return -(-size_max_bytes // BLOCK_BYTES)


def _word(field, what):
    text = field.rstrip(b"\0")
    must_be(_NAME.fullmatch(text), f"{what} of a blob")
    return text.decode()


def _attributes(field, used):
    must_be(used <= len(field) and not any(field[used:]), "bytes behind a blob's attributes")
    found, at = {}, 0
    while at < used:
        must_be(at + 3 <= used, "an attribute is cut off")
        flags, name_bytes, value_bytes = field[at:at + 3]
        end = at + 3 + name_bytes + value_bytes
        must_be(end <= used and flags <= 1, "an attribute")
        name = _word(field[at + 3:at + 3 + name_bytes], "an attribute's name")
        must_be(name not in found, "two attributes of one name")
        found[name] = (bytes(field[at + 3 + name_bytes:end]), flags)
        at = end
    return found


def _parse_entry(entry, place):
    (name, type_name, producer, size_max, size, generation, registered, run_count, attributes_bytes,
     runs, attributes, reserved) = _ENTRY.unpack(entry)
    must_be(not reserved and run_count <= RUNS_MAX and not any(runs[8 * run_count:]), "page runs")
    must_be(1 <= size_max <= BLOB_BYTES_MAX and size <= size_max, "a blob's sizes")
    text = producer.rstrip(b"\0")
    must_be(len(text) < 64 and all(0x20 <= byte < 0x7f for byte in text), "a blob's producer")
    blob = Blob(_word(name, "name"), _word(type_name, "type"), size_max, size, generation, registered,
                text.decode(), _attributes(attributes, attributes_bytes),
                [struct.unpack_from("<II", runs, 8 * number) for number in range(run_count)], place)
    must_be(sum(count for _, count in blob.runs) == pages_needed(size_max), "a blob's pages")
    return blob


def read_directory(read_page, page_count):
    """Returns the blobs by their names, and the directory's pages. `read_page` gives a page's bytes."""
    blobs, pages, owners = {}, [], set()
    page = 0
    while True:
        must_be(page < page_count and page not in owners, "a directory page that cannot be")
        must_be(len(pages) < PAGES_MAX, "too many directory pages")
        owners.add(page)
        pages.append(page)
        content = read_page(page)
        must_be(not any(content[4:ENTRY_BYTES]), "reserved bytes of a directory page")
        for number in range(ENTRIES_PER_PAGE):
            entry = content[ENTRY_BYTES * (1 + number):ENTRY_BYTES * (2 + number)]
            if any(entry):
                blob = _parse_entry(entry, (page, number))
                must_be(blob.name not in blobs, "two blobs of one name")
                blobs[blob.name] = blob
        page, = struct.unpack_from("<I", content)
        if not page:
            break
    for blob in blobs.values():
        for first, count in blob.runs:
            must_be(0 < first and count > 0 and first + count <= page_count, "a page run")
        for owned in blob.pages():
            must_be(owned not in owners, "a page with two owners")
            owners.add(owned)
    return blobs, pages
