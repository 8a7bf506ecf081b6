"""An I2C EEPROM, written byte by byte by its bus, across power cuts."""

import unittest

from devices.device_case import DeviceCase
from harness.eeprom_machine import EepromMachine

SIZE = 512
ASSET_TAG = b"vNVRAM board 0001"


class Eeprom(DeviceCase):
    image_options = ("--blob", f"eeprom:at24c:{SIZE}")

    def power_on(self, *options):
        server = self.serve(*options)
        return server, self.plug_in(EepromMachine(self.workspace, server.uri("eeprom"), SIZE))

    def test_each_answered_write_survives_with_sync_always(self):
        """Nothing is waited for between the device's answer and the power cut."""
        expected = bytearray(SIZE)
        for offset, content in ((0, ASSET_TAG), (100, b"\x55"), (SIZE - 4, b"last"), (100, b"\xaa")):
            server, machine = self.power_on("sync=always")
            self.assertEqual(machine.read(0, SIZE), expected)
            machine.write(offset, content)
            expected[offset:offset + len(content)] = content
            self.pull_the_plug(server, machine)
            self.check()
        self.assertEqual(self.stored("eeprom").ljust(SIZE, b"\0"), expected)

    def test_unflushed_writes_become_durable_by_themselves(self):
        server, machine = self.power_on()
        before = self.generation()
        machine.write(7, ASSET_TAG)
        self.wait_stored(lambda content: ASSET_TAG in content, "eeprom")
        self.assertGreater(self.generation(), before)
        self.pull_the_plug(server, machine)
        self.check()
        server, machine = self.power_on()
        self.assertEqual(machine.read(7, len(ASSET_TAG)), ASSET_TAG)

    def test_what_qemu_flushed_survives(self):
        """Not within the bounded time of an unflushed write, which is set to a minute."""
        server, machine = self.power_on("sync=60s")
        machine.write(0, ASSET_TAG)
        machine.flush()
        self.pull_the_plug(server, machine)
        self.assertEqual(self.stored("eeprom")[:len(ASSET_TAG)], ASSET_TAG)
        self.check()


if __name__ == "__main__":
    unittest.main()
