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
