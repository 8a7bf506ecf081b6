"""Battery-backed RAM, stored word by word, across power cuts."""

import unittest

from devices.device_case import DeviceCase
from harness.battery_backed_ram_machine import BatteryBackedRamMachine, stored_words

SIZE = 36  # nine words and nothing else
KEY = (0x01020304, 0x11121314, 0x21222324, 0x31323334, 0x41424344, 0x51525354, 0x61626364,
       0x71727374)
USER = 0xFEEDC0DE


class BatteryBackedRam(DeviceCase):
    image_options = ("--blob", f"bbram:xlnx-bbram:{SIZE}")

    def power_on(self, *options):
        server = self.serve(*options)
        return server, self.plug_in(BatteryBackedRamMachine(self.workspace, server.uri("bbram")))

    def test_a_key_survives_until_it_is_erased(self):
        server, machine = self.power_on("sync=always")
        self.assertEqual(machine.user(), 0)
        machine.program(KEY, USER)
        self.pull_the_plug(server, machine)
        self.check()
        self.assertEqual(self.stored("bbram"), stored_words(KEY, USER))

        server, machine = self.power_on("sync=always")
        self.assertEqual(machine.user(), USER)
        self.assertTrue(machine.has_key(KEY))
        self.pull_the_plug(server, machine)

        # Erasing is a write of zeros over the whole export, and then the ninth word once more.
        server, machine = self.power_on("sync=always")
        machine.zeroize()
        self.assertEqual(machine.user(), USER)
        self.assertFalse(machine.has_key(KEY))
        self.pull_the_plug(server, machine)
        self.check()
        self.assertEqual(self.stored("bbram"), stored_words((0,) * len(KEY), USER))


if __name__ == "__main__":
    unittest.main()
