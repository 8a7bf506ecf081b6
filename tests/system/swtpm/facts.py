"""What a TPM keeps, to be found again: a counter and a key in its permanent state, a register in the
volatile one."""

import struct

from tpm.support import COUNTER, EMPTY_PASSWORD, OWNER

KEY = 0x81000001
REGISTER = 16
CREATE_PRIMARY, EVICT, READ_PUBLIC, EXTEND, READ_REGISTER = 0x131, 0x120, 0x173, 0x182, 0x17E
STARTUP = 0x144
# An ECC key of the storage hierarchy.
TEMPLATE = struct.pack(">HHIHHHHHHHHH", 0x23, 0xB, 0x30072, 0, 6, 128, 0x43, 0x10, 3, 0x10, 0, 0)


def make_key(client):
    body = (struct.pack(">I", OWNER) + EMPTY_PASSWORD + struct.pack(">HHHH", 4, 0, 0, len(TEMPLATE))
            + TEMPLATE + struct.pack(">HI", 0, 0))
    handle = client.must(CREATE_PRIMARY, body, 0x8002)[:4]
    client.must(EVICT, struct.pack(">I", OWNER) + handle + EMPTY_PASSWORD + struct.pack(">I", KEY),
                0x8002)


def key(client):
    return client.must(READ_PUBLIC, struct.pack(">I", KEY))


def extend(client):
    client.must(EXTEND, struct.pack(">I", REGISTER) + EMPTY_PASSWORD
                + struct.pack(">IH", 1, 0xB) + b"\x5a" * 32, 0x8002)


def register(client):
    return client.must(READ_REGISTER,
                       struct.pack(">IHB", 1, 0xB, 3) + bytes([0, 0, 1 << REGISTER - 16]))[-32:]


def make(client, count=3):
    """Returns what facts() then says."""
    client.define_counter()
    for _ in range(count):
        client.must_increment()
    make_key(client)
    extend(client)
    return facts(client)


def facts(client):
    """Counter, key, register."""
    return client.counter(), key(client), register(client)


def lasting(all_facts):
    """Those that survive a restart."""
    return all_facts[:2]


def fill(client):
    """NV areas until the TPM has no room; returns how many there are."""
    index, size = 0x1600000, 2048
    while size >= 16:
        if client.define_area(index, size) == 0:
            client.write_area(index, bytes([index & 0xFF]) * size)
            index += 1
        else:
            size //= 2
    return index - 0x1600000
