"""All that a TPM keeps, whoever has put it there: areas with their contents (counters and certificates
are such), and keys."""

import struct

from tpm.support import COUNTER, EMPTY_PASSWORD, OWNER

from . import facts

GET_CAPABILITY, READ_PUBLIC_AREA, READ_AREA = 0x17A, 0x169, 0x14E
FIRST_AREA, FIRST_KEY = 0x01000000, 0x81000000
HANDLES_MAX = 254
AUTHREAD = 0x00040000
READ_MAX_BYTES = 1000
STARTED_ALREADY = 0x100


class Tpm2:
    """What is done with a TPM 2.0, and asked of it."""

    version = ("--tpm2",)
    image = "tpm2-00.permall"

    def start(self, client):
        """Resumed it may have been."""
        code = client.startup()
        if code not in (0, STARTED_ALREADY):
            raise AssertionError(f"TPM2_Startup: {code:#x}")

    def use(self, client, count, areas=0):
        """A key, a counter, and so many areas, if there is room for them."""
        facts.make(client, count)
        for index in range(0x1600000, 0x1600000 + areas):
            if client.define_area(index, 2048) != 0:
                break
            client.write_area(index, bytes([index & 0xFF]) * 2048)

    def count(self, client):
        """Returns what possessions() differ by from now on."""
        if COUNTER not in handles(client, FIRST_AREA):
            client.define_counter()
        client.must_increment()
        return {COUNTER: area(client, COUNTER)}

    def possessions(self, client):
        """By handle."""
        self.start(client)
        found = {index: area(client, index) for index in handles(client, FIRST_AREA)}
        return found | {handle: client.must(facts.READ_PUBLIC, struct.pack(">I", handle))
                        for handle in handles(client, FIRST_KEY)}


def handles(client, first):
    data = client.must(GET_CAPABILITY, struct.pack(">III", 1, first, HANDLES_MAX))
    if data[0]:
        raise AssertionError("there are more handles than are asked for")
    return struct.unpack(f">{struct.unpack('>I', data[5:9])[0]}I", data[9:])


def area(client, index):
    public = client.must(READ_PUBLIC_AREA, struct.pack(">I", index))
    attributes, policy_bytes = struct.unpack(">IH", public[8:14])
    size = struct.unpack(">H", public[14 + policy_bytes:16 + policy_bytes])[0]
    authority = index if attributes & AUTHREAD else OWNER
    content = b""
    while len(content) < size:
        piece = min(size - len(content), READ_MAX_BYTES)
        data = client.must(READ_AREA, struct.pack(">II", authority, index) + EMPTY_PASSWORD
                           + struct.pack(">HH", piece, len(content)), 0x8002)
        content += data[6:6 + piece]
    return content


class Tpm12:
    """The same of a TPM 1.2."""

    version = ()
    image = "tpm-00.permall"
    TAG, INDEX, SIZE = 0xC1, 0x1500, 16
    STARTUP, DEFINE, WRITE, READ, READ_EK = 0x99, 0xCC, 0xCD, 0xCF, 0x7C
    STARTED_ALREADY = 38
    NO_REGISTERS = struct.pack(">H", 3) + bytes(3) + b"\x1f" + bytes(20)

    def start(self, client):
        code = client.run(self.STARTUP, struct.pack(">H", 1), self.TAG)[0]
        if code not in (0, self.STARTED_ALREADY):
            raise AssertionError(f"TPM_Startup: {code:#x}")

    def use(self, client, count, areas=0):
        """An area that says how often; physical presence writes it, and nobody asks for that yet."""
        client.must(self.DEFINE, struct.pack(">HI", 0x18, self.INDEX) + 2 * self.NO_REGISTERS
                    + struct.pack(">HI", 0x17, 1) + bytes(3) + struct.pack(">I", self.SIZE) + bytes(20),
                    self.TAG)
        self.write(client, count)

    def write(self, client, count):
        client.must(self.WRITE, struct.pack(">III", self.INDEX, 0, self.SIZE)
                    + count.to_bytes(self.SIZE, "big"), self.TAG)

    def read(self, client):
        return client.must(self.READ, struct.pack(">III", self.INDEX, 0, self.SIZE), self.TAG)[4:]

    def count(self, client):
        self.write(client, int.from_bytes(self.read(client), "big") + 1)
        return {self.INDEX: self.read(client)}

    def possessions(self, client):
        """The endorsement key's answer ends with a checksum over our nonce, which is always the same."""
        self.start(client)
        return {self.INDEX: self.read(client), self.READ_EK: client.must(self.READ_EK, bytes(20), self.TAG)}
