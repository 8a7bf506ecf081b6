"""A Versal board with its battery-backed RAM, QEMU's xlnx.bbram-ctrl, over an NBD export."""

import struct

from .device_machine import DeviceMachine
from .stream import Stream

_BASE = 0xF11F0000
_STATUS, _CONTROL, _PROGRAM, _KEY, _USER = (_BASE, _BASE + 0x4, _BASE + 0x8, _BASE + 0x10,
                                            _BASE + 0x30)
_PROGRAMMING, _ZEROIZED = 0x01, 0x10
_ZEROIZE = 1
_MAGIC = 0x757BDF0D


class BatteryBackedRamMachine(DeviceMachine):
    """A key of eight words that software can write and not read, and a ninth word that it can."""

    def __init__(self, workspace, uri):
        super().__init__(workspace, "qemu-system-aarch64", "-M", "xlnx-versal-virt", "-m", "64",
                         "-drive", f"if=pflash,index=0,format=raw,file={uri}")

    def enter_programming(self):
        """The mode in which it can be written. Entering it erases the key."""
        self.qtest.write32(_PROGRAM, _MAGIC)
        if not self.qtest.read32(_STATUS) & _PROGRAMMING:
            raise AssertionError("the battery-backed RAM did not enter programming mode")

    def program(self, key, user):
        """Each word is stored by itself, in this order."""
        self.enter_programming()
        for index, word in enumerate(key):
            self.qtest.write32(_KEY + 4 * index, word)
        self.set_user(user)

    def set_user(self, user):
        self.qtest.write32(_USER, user)

    def zeroize(self):
        """Erases the key, not the ninth word."""
        self.qtest.write32(_CONTROL, _ZEROIZE)
        if not self.qtest.read32(_STATUS) & _ZEROIZED:
            raise AssertionError("the battery-backed RAM did not erase its key")

    def user(self):
        return self.qtest.read32(_USER)

    def has_key(self, key):
        """Whether these words stand in the device's registers, looked up in QEMU's own copy of
        the machine: the device shows them to nobody."""
        saved = Stream(self.workspace.file("machine.sock"), self.workspace.file("machine.saved"))
        try:
            self.qmp.execute("migrate", uri=f"unix:{saved.path}")
            content = saved.wait_end()
        finally:
            saved.close()
            saved.path.unlink()
        if b"xlnx.bbram-ctrl" not in content and b"bbram" not in content:
            raise AssertionError("QEMU did not save the battery-backed RAM")
        return struct.pack(f">{len(key)}I", *key) in content


def stored_words(key, user):
    """As the device stores them."""
    return struct.pack(f"<{len(key) + 1}I", *key, user)
