"""A host of a machine whose flash is a blob, with an NBD client where QEMU would be."""

import threading

import nbd  # libnbd's own binding

FLASH = "flash"
FLASH_SIZE = 65536


class FlashHost:
    """A process that serves the machine, and a client of it, which writes numbers."""

    def __init__(self, machine):
        self.machine = machine
        self.failed = self.writing = None
        self.flash = nbd.NBD()
        self.flash.connect_uri(machine.uri(FLASH))

    def number(self):
        return int.from_bytes(self.flash.pread(8, 0), "big")

    def write(self, number, flags=nbd.CMD_FLAG_FUA):
        self.flash.pwrite(number.to_bytes(8, "big"), 0, flags)

    def begin_to_write(self, number):
        """It waits as long as the image is not this host's."""
        self.failed = None

        def write():
            try:
                self.write(number)
            except nbd.Error as error:
                self.failed = error
        self.writing = threading.Thread(target=write, daemon=True)
        self.writing.start()

    def qemu_ends(self):
        self.flash.shutdown()
