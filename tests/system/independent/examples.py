"""The examples of docs/format.md's section "Encryption", made from the inputs that it states."""

import struct

from . import header_area, keys, layout
from .codec import LEAF, PAGE, SealedCodec
from .layout import BLOCK_BYTES, Superblock
from .record import Extent, make_record

DATA_KEY = bytes(range(32))
UUID = bytes.fromhex("000102030405460788090a0b0c0d0e0f")
SALT = 0x0123456789abcdef
EPOCH = (2, 0x1122334455667788)
HOLDERS_KEY = b"a machine's key!"
NEW_DATA_KEY = bytes(range(0xe0, 0x100))
HOLDERS_PASSPHRASE = b"open sesame"
PUBLIC_PART = b"serial number 7"
METADATA = {b"owner": b"team seven", b"rack/place": b"\x00\x11"}


def counting(first, size_bytes):
    """Bytes that count from this one on."""
    return bytes(range(first, first + size_bytes))


def in_turn(*values):
    """In place of random bytes: each call gives the next of them."""
    left = list(values)

    def give(size_bytes):
        value = left.pop(0)
        if len(value) != size_bytes:
            raise ValueError(f"{size_bytes} bytes are asked for, and {len(value)} were stated")
        return value

    return give


def codec(*nonces):
    return SealedCodec(SALT, UUID, DATA_KEY, in_turn(*nonces))


def superblock():
    fields = Superblock(
        features_must_know=layout.ENCRYPTED, uuid=UUID, salt=SALT, sequence=4, image_block_count=1024,
        ring_block_count=512, zones_start_block=layout.RING_BLOCK + 512, entry_size_bytes=40,
        epoch_number=EPOCH[0], epoch_random=EPOCH[1], generation=1, chain=EPOCH[1], ring_position=257,
        clean=1, owner_host=bytes(64), creator=b"vnvram 0.1.0".ljust(64, b"\0"),
        sealed_entries=counting(0x40, 24) + counting(0xf0, 16) + bytes(40),
        key_id=keys.key_id_of(DATA_KEY, UUID), reserved_end=bytes(3656))
    return layout.seal_superblock(fields, codec())


def record():
    extents = [Extent(BLOCK_BYTES, 5, b"hello"), Extent(512 + 200, 16, struct.pack("<QQ", 5, 2))]
    return make_record(codec(counting(0x80, 24)), EPOCH, 2, EPOCH[1], extents)


def page_and_entry():
    """Page 1, which is "hello" and zeros, in slot 1: the entry, 8 zeros, and how the ciphertext begins."""
    entry, sealed = codec(counting(0xc1, 24)).seal_block(PAGE, 1, 1, b"hello".ljust(BLOCK_BYTES, b"\0"))
    return entry, sealed


def leaf_and_entry():
    """Of zone 0, with page 1's entry in it, in slot 0: the entry, and the ciphertext."""
    entry, _ = page_and_entry()
    leaf = (bytes(len(entry)) + entry).ljust(BLOCK_BYTES, b"\0")
    return codec(counting(0xa0, 24)).seal_block(LEAF, 0, 0, leaf)


def metadata():
    return header_area.make_copy(header_area.METADATA_MAGIC, 1, UUID, 4, header_area.pack_metadata(METADATA))


def key_slots():
    slot = keys.make_slot(keys.KeyHolder(HOLDERS_KEY), [DATA_KEY], UUID, 0, b"example", 1700000000,
                          in_turn(counting(0x20, 32), counting(0x60, 24)))
    return header_area.make_copy(header_area.KEYS_MAGIC, 0, UUID, 3, [slot.pack()])


def holders():
    """{number of the slot: who opens it}, of the entries below."""
    return {1: keys.PassphraseHolder(HOLDERS_PASSPHRASE, passes=1, memory_kib=8),
            2: keys.PublicKeyHolder(private=counting(0x80, 32)),
            3: keys.ExternalHolder(lambda public_part: b"made of " + public_part, PUBLIC_PART),
            4: keys.KeyHolder(HOLDERS_KEY)}


def slot(number, data_keys=(DATA_KEY,)):
    """What is random in it, in the order in which it is made."""
    salt, ephemeral = counting(0x20, 32), counting(0xc0, 32)
    nonces = [counting(first, 24) for first in (0x60, 0x90)[:len(data_keys)]]
    random = [ephemeral, *nonces] if number == 2 else [salt, *nonces]
    return keys.make_slot(holders()[number], data_keys, UUID, number, b"example", 1700000000, in_turn(*random))


def slots():
    """By the headings under which their entries are shown."""
    return {"passphrase": slot(1), "public key": slot(2), "external key": slot(3),
            "two data keys": slot(4, (DATA_KEY, NEW_DATA_KEY))}


def dump(content, shown=lambda at: True):
    """As the document shows it: 16 bytes in a line, but for lines of zeros."""
    return [f"{at:04x}: {content[at:at + 16].hex(' ')}" for at in range(0, len(content), 16)
            if any(content[at:at + 16]) and shown(at)]


def dumps():
    """{heading: lines}."""
    entry, sealed = page_and_entry()
    leaf_entry, sealed_leaf = leaf_and_entry()
    return {
        "Example: superblock A, encrypted": dump(superblock()),
        "Example: a record, encrypted": dump(record(), lambda at: at < 0xb0 or at == 0xff0),
        "Example: a page and its entry": [
            *dump(entry), *(f"{at + 0x30:04x}: {sealed[at:at + 16].hex(' ')}" for at in (0, 16))],
        "Example: a leaf and its entry": [
            *dump(leaf_entry),
            *(f"{at + 0x30:04x}: {sealed_leaf[at:at + 16].hex(' ')}" for at in range(0, 96, 16))],
        "Example: public metadata": dump(metadata()),
        "Example: key slots": dump(key_slots()),
        **{f"Example: a key slot, {name}": dump(one.pack()) for name, one in slots().items()},
    }


if __name__ == "__main__":
    for heading, lines in dumps().items():
        print(f"#### {heading}\n", *lines, "", sep="\n")
