"""The NBD protocol's bytes: what a client sends, in whichever order and however wrong."""

import struct

GREETING = b"NBDMAGICIHAVEOPT"
OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698

FIXED_NEWSTYLE_NO_ZEROES = 3

(OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, _, OPT_STARTTLS, OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY,
 OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT) = range(1, 11)
REP_ACK, REP_INFO, REP_ERROR = 1, 3, 1 << 31
INFO_EXPORT = 0

(READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS) = range(8)
FUA = 1

REQUEST_BYTES_MAX = 32 << 20


def client_flags(flags=FIXED_NEWSTYLE_NO_ZEROES):
    return struct.pack(">I", flags)


def option(number, data=b"", length=None, magic=OPTION_MAGIC):
    """`length`: what it says of its data, if that is not how much there is."""
    return struct.pack(">QII", magic, number, len(data) if length is None else length) + data


def export_option(number, name, length=None):
    """OPT_INFO or OPT_GO. `length`: what it says of the name's."""
    said = len(name) if length is None else length
    return option(number, struct.pack(">I", said) + name + struct.pack(">H", 0))


def request(command, offset=0, length=0, payload=b"", flags=0, cookie=0, magic=REQUEST_MAGIC):
    return struct.pack(">IHHQQI", magic, flags, command, cookie, offset, length) + payload
