"""A guest's area with a password, and what a TPM counts of wrong ones."""

import struct

from support import EMPTY_PASSWORD, OWNER, TpmCase, vnvram

AREA = 0x1500007
PIN, WRONG_PIN = b"1234", b"4321"
# An area that its own password reads and writes, and wrong passwords count.
LOCKOUT_AREA = 0x00040004
FAILURE, AUTH_FAIL = 0x101, 0x98E
GET_CAPABILITY, NV_READ, NV_WRITE, STARTUP, TPM2_SHUTDOWN = 0x17A, 0x14E, 0x137, 0x144, 0x145
PCR_EXTEND, PCR_READ = 0x182, 0x17E
CLEAR, STATE = b"\0\0", b"\0\1"
SENT = "sent TPM2_Shutdown"
ROUNDS = 4  # More than the tries that a TPM of libtpms allows.


def password(secret):
    return struct.pack(">IIHBH", 9 + len(secret), 0x40000009, 0, 0, len(secret)) + secret


def define_area(client):
    public = struct.pack(">IHIHH", AREA, 0xB, LOCKOUT_AREA, 0, 8)
    body = struct.pack(">I", OWNER) + EMPTY_PASSWORD + struct.pack(">H", len(PIN)) + PIN
    client.must(0x12A, body + struct.pack(">H", len(public)) + public, 0x8002)
    write_area(client, b"whatever")


def write_area(client, content):
    client.must(NV_WRITE, struct.pack(">II", AREA, AREA) + password(PIN)
                + struct.pack(">H", len(content)) + content + struct.pack(">H", 0), 0x8002)


def read_area(client, secret=PIN):
    """The response code."""
    return client.run(NV_READ, struct.pack(">II", AREA, AREA) + password(secret)
                      + struct.pack(">HH", 8, 0), 0x8002)[0]


def lockout_counter(client):
    data = client.must(GET_CAPABILITY, struct.pack(">III", 6, 0x20E, 1))
    number, value = struct.unpack(">II", data[9:17])
    assert number == 0x20E, data.hex()
    return value


def extend(client, number=10):
    body = struct.pack(">I", number) + EMPTY_PASSWORD + struct.pack(">IH", 1, 0xB) + b"\x5a" * 32
    client.must(PCR_EXTEND, body, 0x8002)


def read_pcr(client, number=10):
    select = bytearray(3)
    select[number // 8] |= 1 << number % 8
    return client.must(PCR_READ, struct.pack(">IHB", 1, 0xB, 3) + bytes(select))[-32:]


class ShutdownCase(TpmCase):

    def power_on(self, tpm):
        """As QEMU does, with a guest that uses something that has a password."""
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)
        return control, client

    def log_of(self, tpm):
        return tpm.log.read_text(errors="replace")

    def permanent(self, image):
        where = self.workspace.file("permanent")
        vnvram("get", image, "tpm2.permanent", "-o", where)
        return where.read_bytes()

    def boot(self, control, client):
        """What a machine does that comes back: INIT, and its firmware's startup."""
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)

    def next_machine(self, tpm, control, client):
        """Another QEMU on the same TPM process, or the same one on another."""
        control.close()
        client.close()
        return self.power_on(tpm)
