"""What proves blocks, records and superblocks: checksums of a plain image, keys of an encrypted one."""

import hashlib
import hmac
import os
import struct

from .keys import derive
from .layout import ENTRY_BYTES, checksum_of
from .refused import must_be
from .xaes import NONCE_BYTES, SealingKey

INDEX, LEAF, PAGE = 0, 1, 2
_SEALED_FROM = 96  # Of a record.
_NONCE_AT, _TAG_AT = 56, 80


class PlainCodec:
    """Entries hold checksums, which tell damage and no more."""

    encrypted = False
    entry_bytes = ENTRY_BYTES[False]

    def __init__(self, salt):
        self.salt = salt

    def seal_block(self, kind, number, slot, plain):
        """Returns the entry, and what goes to the block's place."""
        del kind, number
        upper = checksum_of(plain, self.salt) >> 1 or 1
        return struct.pack("<Q", upper << 1 | slot), bytes(plain)

    def open_block(self, kind, number, entry, stored):
        made, _ = self.seal_block(kind, number, entry[0] & 1, stored)
        must_be(made == entry, f"block of kind {kind}, number {number}, is not what its entry says")
        return stored

    @staticmethod
    def mac(_):
        return bytes(32)

    @staticmethod
    def seal_record(record):
        """In place, all but its checksum. Its fields for that are at 48, as they were made."""

    @staticmethod
    def open_record(record):
        """Returns extent count, used bytes, and the bytes with what they are of."""
        must_be(not any(record[_NONCE_AT:104]), "a plain record with a nonce, a tag or reserved bytes")
        return struct.unpack_from("<II", record, 48)[:2] + (record,)


class SealedCodec:
    """Entries hold a nonce and a tag."""

    encrypted = True
    entry_bytes = ENTRY_BYTES[True]

    def __init__(self, salt, uuid, data_key, random=os.urandom):
        self.salt = salt
        self._random = random
        self._records = SealingKey(derive(data_key, uuid, b"vnvram 1 record", 32))
        self._blocks = SealingKey(derive(data_key, uuid, b"vnvram 1 block", 32))
        self._superblocks = derive(data_key, uuid, b"vnvram 1 superblock", 32)

    def seal_block(self, kind, number, slot, plain):
        nonce = bytearray(self._random(NONCE_BYTES))
        nonce[0] = nonce[0] & 0xfe | slot
        sealed, tag = self._blocks.seal(bytes(nonce), struct.pack("<III", kind, number, slot), plain)
        return bytes(nonce) + tag, sealed

    def open_block(self, kind, number, entry, stored):
        associated = struct.pack("<III", kind, number, entry[0] & 1)
        return self._blocks.open(entry[:NONCE_BYTES], associated, stored, entry[NONCE_BYTES:])

    def mac(self, fields):
        return hmac.new(self._superblocks, fields, hashlib.sha256).digest()

    @staticmethod
    def _associated(record):
        return bytes(record[0:8] + record[16:56])

    def seal_record(self, record):
        record[96:104] = record[48:56]
        record[48:56] = bytes(8)
        nonce = self._random(NONCE_BYTES)
        sealed, tag = self._records.seal(nonce, self._associated(record), record[_SEALED_FROM:])
        record[_NONCE_AT:_SEALED_FROM] = nonce + tag
        record[_SEALED_FROM:] = sealed

    def open_record(self, record):
        plain = self._records.open(record[_NONCE_AT:_TAG_AT], self._associated(record),
                                   record[_SEALED_FROM:], record[_TAG_AT:_SEALED_FROM])
        must_be(not any(record[48:56]), "a sealed record that says its extents in the clear")
        return struct.unpack_from("<II", plain) + (record[:_SEALED_FROM] + plain,)
