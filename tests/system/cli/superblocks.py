"""An image whose superblocks say something else, with right checksums (docs/format.md)."""

import ctypes

BLOCK_BYTES = 4096
_MAGIC = b"vNVRAM\x1a\n"
_CHECKSUM_AT = 4088


def edit_superblocks(content, offset, field, block=None):
    """Writes the bytes at this offset of each superblock of the image, a bytearray; or of one."""
    checksum_of = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    checksum_of.restype = ctypes.c_uint64
    count = 0
    for start in range(0, len(content), BLOCK_BYTES):
        if (content[start:start + len(_MAGIC)] == _MAGIC and
                block in (None, start // BLOCK_BYTES)):
            content[start + offset:start + offset + len(field)] = field
            body = bytes(content[start:start + _CHECKSUM_AT])
            checksum = checksum_of(body, ctypes.c_size_t(len(body)))
            content[start + _CHECKSUM_AT:start + BLOCK_BYTES] = checksum.to_bytes(8, "little")
            count += 1
    if count < (2 if block is None else 1):
        raise AssertionError("the image has no superblocks")
