"""Persistent reservations by the kernel's ioctls (linux/pr.h), as what is not vNVRAM makes them, or an owner that was killed."""

import fcntl
import os
import struct
import sys

WRITE_EXCLUSIVE = 1
_IGNORE_KEY = 1


def _request(number, argument):
    return 1 << 30 | len(argument) << 16 | ord("p") << 8 | number  # _IOW


def _ask(device, number, argument):
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        status = fcntl.ioctl(fd, _request(number, argument), argument)
        if isinstance(status, int) and status != 0:
            raise OSError(f"{device}: status {status:#x}")
    finally:
        os.close(fd)


def reserve(device, key):
    """By the host that has the device by this name; it stays."""
    _ask(device, 200, struct.pack("=QQII", 0, key, _IGNORE_KEY, 0))
    _ask(device, 201, struct.pack("=QII", key, WRITE_EXCLUSIVE, 0))


def give_back(device):
    """Whatever this host has of it."""
    _ask(device, 200, struct.pack("=QQII", 0, 0, _IGNORE_KEY, 0))


if __name__ == "__main__":
    sys.exit("a part of the tests")
