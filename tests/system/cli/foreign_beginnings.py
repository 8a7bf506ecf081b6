"""What partitioning, labels and file systems write over the beginning of what they are given."""

import struct
import subprocess
import zlib

SECTOR = 512
_BOOT_SIGNATURE = b"\x55\xaa"


def _boot_record(kind, first_sector, sector_count):
    """With one partition."""
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", kind, b"\xff\xff\xff", first_sector,
                        sector_count)
    return bytes(446) + entry + bytes(48) + _BOOT_SIGNATURE


def dos_partitions(image):
    with open(image, "r+b") as file:
        file.write(_boot_record(0x83, 2048, 2048))


def gpt_partitions(image):
    """A table of its own at each end, as UEFI's specification has it: 34 and 33 sectors."""
    last = image.stat().st_size // SECTOR - 1
    entries = bytes(128 * 128)

    def header(own, other, entries_at):
        fields = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34,
                             last - 33, b"disk's own guid.", entries_at, 128, 128,
                             zlib.crc32(entries))
        checked = fields[:16] + struct.pack("<I", zlib.crc32(fields)) + fields[20:]
        return checked.ljust(SECTOR, b"\0")

    with open(image, "r+b") as file:
        file.write(_boot_record(0xee, 1, last) + header(1, last, 2) + entries)
        file.seek((last - 32) * SECTOR)
        file.write(entries + header(last, 1, last - 32))


def _made_elsewhere(image, size_bytes, *words):
    """The first bytes of what a tool makes of a file of this size."""
    other = image.with_name("made-elsewhere")
    with open(other, "wb") as file:
        file.truncate(image.stat().st_size)
    subprocess.run([*words, other], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=120)
    with open(image, "r+b") as file:
        file.write(other.read_bytes()[:size_bytes])
    other.unlink()


def ext4_superblock(image):
    _made_elsewhere(image, 8192, "mkfs.ext4", "-q", "-F")


def fat_boot_sector(image):
    """Of a FAT12 file system, and the reserved sectors behind it."""
    sector = b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBHHHII", 512, 4, 16, 2, 512, 8192, 0xf8, 6,
                                                   32, 2, 0, 0)
    sector += b"\x80\0\x29" + b"\x01\x02\x03\x04" + b"NO NAME    " + b"FAT12   "
    with open(image, "r+b") as file:
        file.write(sector.ljust(510, b"\0") + _BOOT_SIGNATURE + bytes(8192 - SECTOR))


def zeros(image):
    with open(image, "r+b") as file:
        file.write(bytes(8192))


# By what is said of it.
BEGINNINGS = {"by a GPT partition table": gpt_partitions,
              "by an ext2, ext3 or ext4 file system": ext4_superblock,
              "by a FAT file system": fat_boot_sector,
              "by zeros": zeros}
