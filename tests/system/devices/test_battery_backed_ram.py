"""Battery-backed RAM, stored word by word, across power cuts."""

import unittest

from devices.device_case import DeviceCase
from harness.battery_backed_ram_machine import BatteryBackedRamMachine, stored_words

SIZE = 512
KEY = (0x01020304, 0x11121314, 0x21222324, 0x31323334, 0x41424344, 0x51525354, 0x61626364,
       0x71727374)
USER = 0xFEEDC0DE


class BatteryBackedRam(DeviceCase):
    image_options = ("--blob", f"bbram:xlnx-bbram:{SIZE}")

    def power_on(self, *options):
        server = self.serve(*options)
        return server, self.plug_in(BatteryBackedRamMachine(self.workspace, server.uri("bbram")))

    def test_key_and_user_word_survive(self):
        server, machine = self.power_on("sync=always")
        self.assertEqual(machine.user(), 0)
        machine.program(KEY, USER)
        self.pull_the_plug(server, machine)
        self.check()
        self.assertEqual(self.stored("bbram").rstrip(b"\0"), stored_words(KEY, USER))

        server, machine = self.power_on("sync=always")
        self.assertEqual(machine.user(), USER)
        self.assertTrue(machine.has_key(KEY))
        self.pull_the_plug(server, machine)

    def test_an_erased_key_stays_erased(self):
        """Erasing is a write of zeros over the whole export."""
        server, machine = self.power_on("sync=always")
        machine.program(KEY, USER)
        machine.zeroize()
        self.pull_the_plug(server, machine)
        self.check()
        self.assertEqual(self.stored("bbram").rstrip(b"\0"),
                         stored_words((0,) * len(KEY), USER))
        server, machine = self.power_on("sync=always")
        self.assertEqual(machine.user(), USER)
        self.assertFalse(machine.has_key(KEY))


if __name__ == "__main__":
    unittest.main()
