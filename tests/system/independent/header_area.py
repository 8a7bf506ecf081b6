"""Blocks 2 ... 17: key slots and public metadata, each in two copies."""

import dataclasses
import re
import struct

from .keys import parse_slots
from .layout import BLOCK_BYTES, COUNTER_MAX, HEADER_AREA_BLOCK, checksum_of
from .refused import Refused, must_be

COPY_BYTES = 4 * BLOCK_BYTES
KEYS_MAGIC, METADATA_MAGIC = b"vNVRkeys", b"vNVRmeta"
_HEADER = struct.Struct("<8sII16sQIIQQ")
_CHECKSUM_AT = 48
_NAME = re.compile(rb"[A-Za-z0-9._/+@-]{1,63}")
_VALUE_MAX_BYTES = 4096


def copy_at(magic, copy):
    """Where it is, in bytes from the device's start."""
    first = HEADER_AREA_BLOCK if magic == KEYS_MAGIC else HEADER_AREA_BLOCK + 8
    return (first + 4 * copy) * BLOCK_BYTES


@dataclasses.dataclass
class AreaCopy:
    """One copy that is valid."""

    copy: int
    sequence: int
    entries: list


def with_right_checksum(content):
    """Of a copy's 16,384 bytes, whatever they say."""
    content = bytearray(content)
    content[_CHECKSUM_AT:_CHECKSUM_AT + 8] = bytes(8)
    struct.pack_into("<Q", content, _CHECKSUM_AT, checksum_of(content, 0))
    return bytes(content)


def make_copy(magic, copy, uuid, sequence, entries):
    """The entries as they are packed."""
    body = b"".join(entries)
    used = _HEADER.size + len(body)
    if used > COPY_BYTES:
        raise ValueError("the header area is full")
    header = _HEADER.pack(magic, copy, used, uuid, sequence, len(entries), 0, 0, 0)
    return with_right_checksum((header + body).ljust(COPY_BYTES, b"\0"))


def pack_metadata(values):
    """{name: value}, as entries."""
    return [struct.pack("<BBH", len(name), 0, len(value)) + name + value
            for name, value in sorted(values.items())]


def _parse_metadata(content, count):
    found, at = [], 0
    for _ in range(count):
        must_be(len(content) - at >= 4, "a metadata entry is cut off")
        name_bytes, reserved, value_bytes = struct.unpack_from("<BBH", content, at)
        end = at + 4 + name_bytes + value_bytes
        name = content[at + 4:at + 4 + name_bytes]
        must_be(not reserved and value_bytes <= _VALUE_MAX_BYTES and end <= len(content), "metadata")
        must_be(_NAME.fullmatch(name) and (not found or found[-1][0] < name), "a metadata name")
        found.append((name, content[at + 4 + name_bytes:end]))
        at = end
    must_be(at == len(content), "something is behind the metadata")
    return found


def _parse_copy(content, magic, copy, uuid):
    (own_magic, own_copy, used, own_uuid, sequence, count, reserved, _, reserved_end
     ) = _HEADER.unpack_from(content)
    must_be((own_magic, own_copy, own_uuid) == (magic, copy, uuid), "another's header area")
    must_be(with_right_checksum(content) == content, "checksum of a header area")
    must_be(not reserved and not reserved_end and 1 <= sequence <= COUNTER_MAX, "a header area's fields")
    must_be(_HEADER.size <= used <= COPY_BYTES and not any(content[used:]), "a header area's length")
    parse = parse_slots if magic == KEYS_MAGIC else _parse_metadata
    return AreaCopy(copy, sequence, parse(content[_HEADER.size:used], count))


def read_area(content, magic, uuid):
    """The current copy; None if there is nothing in either. Headers alone are nothing: a cut may have
    torn the first one that was ever written."""
    valid, something = [], False
    for copy in (0, 1):
        start = copy_at(magic, copy)
        stored = bytes(content[start:start + COPY_BYTES])
        something = something or any(stored[_HEADER.size:])
        try:
            valid.append(_parse_copy(stored, magic, copy, uuid))
        except Refused:
            pass
    must_be(valid or not something, "both copies of a header area are damaged")
    if not valid:
        return None
    must_be(len({area.sequence for area in valid}) == len(valid), "two copies with one sequence")
    return max(valid, key=lambda area: area.sequence)


def write_area(content, magic, uuid, entries):
    """To both copies, the one that is not current first. `content` is the device's, a bytearray."""
    if not read_area(content, magic, uuid):
        _write_copy(content, magic, 0, uuid, 1, [])
    current = read_area(content, magic, uuid)
    for step, copy in enumerate((1 - current.copy, current.copy), 1):
        _write_copy(content, magic, copy, uuid, current.sequence + step, entries)


def _write_copy(content, magic, copy, uuid, sequence, entries):
    start = copy_at(magic, copy)
    content[start:start + COPY_BYTES] = make_copy(magic, copy, uuid, sequence, entries)
