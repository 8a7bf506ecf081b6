"""What SetVariable() takes for PK, KEK and the signature databases.

Not made by sbvarsign: Debian 13's signs the variable's name in four bytes for each character, and
no firmware takes that.
"""

import datetime
import struct
import uuid

GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
# Non-volatile, for boot services and at run time, authenticated by the time.
ATTRIBUTES = 0x27
CERTIFICATE_REVISION = 0x0200
CERTIFICATE_TYPE_GUID = 0x0EF1
CERTIFICATE_TYPE_PKCS7 = uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")


def authenticated(variable, value, sign):
    """An EFI_VARIABLE_AUTHENTICATION_2 and the value. `sign` makes a detached PKCS #7 signature of
    bytes, in DER."""
    vendor = IMAGE_SECURITY_DATABASE if variable.startswith("db") else GLOBAL_VARIABLE
    now = datetime.datetime.now(datetime.timezone.utc)
    time = struct.pack("<H5B9x", now.year, now.month, now.day, now.hour, now.minute, now.second)
    signature = CERTIFICATE_TYPE_PKCS7.bytes_le + _signed_data(sign(
        variable.encode("utf-16-le") + vendor.bytes_le + struct.pack("<I", ATTRIBUTES) + time +
        value))
    certificate = struct.pack("<IHH", 8 + len(signature), CERTIFICATE_REVISION,
                              CERTIFICATE_TYPE_GUID)
    return time + certificate + signature + value


def _signed_data(message):
    """Without the ContentInfo around it, which not every firmware takes."""
    sequence, size, signed_data, explicit, inner_size = struct.unpack(">2sH11s2sH", message[:19])
    if (sequence, signed_data, explicit, size, inner_size) != (
            b"\x30\x82", bytes.fromhex("06092a864886f70d010702"), b"\xa0\x82",
            len(message) - 4, len(message) - 19):
        raise AssertionError(f"not signed data of 256 bytes to 64 KiB: {message.hex()}")
    return message[19:]
