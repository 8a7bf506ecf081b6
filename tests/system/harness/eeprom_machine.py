"""An AST2500 with an I2C EEPROM, QEMU's at24c-eeprom, over an NBD export."""

from .device_machine import DeviceMachine

# The first I2C controller, in the layout that its older drivers use: one byte at a time.
_CONTROLLER = 0x1E78A040
_FUNCTION, _COMMAND, _BYTE = _CONTROLLER, _CONTROLLER + 0x14, _CONTROLLER + 0x20
_ENABLE_MASTER = 1
_START, _SEND, _RECEIVE, _LAST, _STOP = 0x01, 0x02, 0x08, 0x10, 0x20
_EEPROM = 0x50


class EepromMachine(DeviceMachine):
    """The export must be exactly as large as the EEPROM, and QEMU rounds sizes up to 512 bytes: so
    those of a multiple of 512 bytes work. Should the server go away, QEMU tries for so long to
    find it again, and sends once more what was not answered."""

    def __init__(self, workspace, uri, size_bytes, reconnect_seconds=0):
        super().__init__(
            workspace, "qemu-system-arm", "-M", "ast2500-evb",
            "-drive", f"if=none,id=eeprom,format=raw,file={uri},"
                      f"file.reconnect-delay={reconnect_seconds}",
            "-device", f"at24c-eeprom,bus=aspeed.i2c.bus.0,address={_EEPROM:#x},"
                       f"drive=eeprom,rom-size={size_bytes}")
        self.qtest.write32(_FUNCTION, _ENABLE_MASTER)

    def write(self, offset, content):
        """One write cycle. The device stores at its end, and the store has answered on return."""
        self._point_at(offset)
        for byte in content:
            self._send(byte, _SEND)
        self._command(_STOP)

    def read(self, offset, size):
        self._point_at(offset)
        self._send(_EEPROM << 1 | 1, _START | _SEND)
        content = bytearray()
        while len(content) < size:
            self._command(_RECEIVE | (_LAST if len(content) == size - 1 else 0))
            content.append(self.qtest.read32(_BYTE) >> 8 & 0xFF)
        self._command(_STOP)
        return bytes(content)

    def _point_at(self, offset):
        self._send(_EEPROM << 1, _START | _SEND)
        for byte in offset.to_bytes(2, "big"):
            self._send(byte, _SEND)

    def _send(self, byte, command):
        self.qtest.write32(_BYTE, byte)
        self._command(command)

    def _command(self, command):
        self.qtest.write32(_COMMAND, command)
