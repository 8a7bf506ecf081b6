"""How far the firmware has come with a reclaim, from the bytes of its variable store.

A variable store is a log: when it is full, the firmware writes the live variables, compacted, to a
spare area first and over the log then ("fault tolerant write"). It notes each step in a work area,
by clearing bits; after a power cut it sees there whether the spare area has to be copied again.
The formats are EDK2's: FaultTolerantWriteDxe, and Guid/SystemNvDataGuid.h.
"""

import struct
from typing import NamedTuple

WORK_HEADER = 32
WRITE_HEADER = struct.Struct("<B3x16s4xQQ")  # state, caller, number of records, their private bytes
RECORD = struct.Struct("<B7xQQQq")  # state, where to
UNUSED = 0xFF


def smaller_store(store):
    """What the firmware of 2 MiB begins with, from an empty store of the firmware of 4 MiB."""
    small, (work, work_size), size = bytearray(b"\xff" * 131072), AREAS[131072], AREAS[len(store)]
    small[:100] = store[:100]  # The headers of the volume and of the log.
    small[work:work + WORK_HEADER] = store[size.work:size.work + WORK_HEADER]
    struct.pack_into("<Q", small, 32, len(small))
    struct.pack_into("<II", small, 56, len(small) // work_size, work_size)  # Its blocks.
    struct.pack_into("<I", small, 88, 0xE000 - 72)  # The log's size.
    struct.pack_into("<H", small, 50, 0)
    struct.pack_into("<H", small, 50, -sum(struct.unpack("<36H", small[:72])) & 0xFFFF)
    return bytes(small)


class Areas(NamedTuple):
    """Where in the blob they are, by its size: OVMF's VarStore.fdf.inc."""
    work: int
    work_size: int


AREAS = {131072: Areas(0xF000, 0x1000), 540672: Areas(0x41000, 0x1000)}


def reclaim_phase(blob):
    """"spare" while the spare area is written, "log" while the log is, None between reclaims."""
    areas = AREAS[len(blob)]
    work = blob[areas.work:areas.work + areas.work_size]
    at = WORK_HEADER
    while at + WRITE_HEADER.size + RECORD.size <= len(work) and work[at] != UNUSED:
        state, _, records, private = WRITE_HEADER.unpack_from(work, at)
        record_size = RECORD.size + private
        if not _cleared(state, 0):
            return None  # Not even its header is whole.
        if not _cleared(state, 2):
            if not _cleared(state, 1):
                return None
            record_state = RECORD.unpack_from(work, at + WRITE_HEADER.size)[0]
            return "log" if _cleared(record_state, 1) else "spare"
        at += WRITE_HEADER.size + records * record_size
    return None


def _cleared(state, bit):
    return not state >> bit & 1
