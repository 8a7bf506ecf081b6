"""One image behind one nbdkit for several devices of machines that run at the same time."""

import itertools
import json
import struct
import unittest

from devices.device_case import DeviceCase
from harness.battery_backed_ram_machine import BatteryBackedRamMachine
from harness.child import Deadline
from harness.eeprom_machine import EepromMachine
from harness.uefi_shell_machine import UefiShellMachine, VARIABLES, stored_variable
from harness.vnvram import vnvram

EEPROM, RAM = 512, 36
NAME, GUID, TEXT = "vNVRAM", "a7a33a3f-6d4f-4f1e-9e5b-2f1f0c7d5e11", "kept"


class OneImage(DeviceCase):
    """In rounds, a number is written to the EEPROM and then to the battery-backed RAM, while a
    firmware starts and stores its variables. What the image holds is a prefix of all writes in
    their order, so the numbers on it never tell of a later round than what came before them."""

    image_options = ("--blob", f"uefi.vars:uefi-vars:528K={VARIABLES}",
                     "--blob", f"eeprom:at24c:{EEPROM}", "--blob", f"bbram:xlnx-bbram:{RAM}")

    def setUp(self):
        super().setUp()
        self.rounds = itertools.count(1)

    def power_on_two(self, server):
        return (self.plug_in(EepromMachine(self.workspace, server.uri("eeprom"), EEPROM)),
                self.plug_in(BatteryBackedRamMachine(self.workspace, server.uri("bbram"))))

    def play_round(self, eeprom, ram):
        number = next(self.rounds)
        eeprom.write(0, struct.pack("<I", number))
        ram.set_user(number)
        return number

    def stored_numbers(self):
        return (struct.unpack("<I", self.stored("eeprom")[:4])[0],
                struct.unpack("<I", self.stored("bbram")[32:36])[0])

    def variable_is_stored(self):
        return stored_variable(NAME, TEXT) in self.stored("uefi.vars")

    def test_three_machines(self):
        server = self.serve()
        firmware = self.plug_in(UefiShellMachine(self.workspace, server.uri("uefi.vars")))
        eeprom, ram = self.power_on_two(server)
        ram.enter_programming()
        deadline = Deadline(120)
        while not firmware.shell_starts(0.02):
            self.assertFalse(deadline.passed(), "the firmware has not come up")
            self.play_round(eeprom, ram)
        firmware.wait_ready()
        written = self.play_round(eeprom, ram)
        firmware.set(NAME, GUID, TEXT)
        deadline = Deadline(120)
        while not self.variable_is_stored():
            self.assertFalse(deadline.passed(), "the variable has not come to the image")
            self.play_round(eeprom, ram)
        last = self.play_round(eeprom, ram)
        self.pull_the_plug(server, firmware, eeprom, ram)
        self.check()
        self.assertTrue(self.variable_is_stored())
        first, second = self.stored_numbers()
        print(f"round {last} was the last, {first} and {second} are on the image")
        self.assertIn(second, (first, first - 1))
        self.assertTrue(written <= second and first <= last)
        self.one_generation()

        eeprom, ram = self.power_on_two(self.serve())
        self.assertEqual(struct.unpack("<I", eeprom.read(0, 4))[0], first)
        self.assertEqual(ram.user(), second)

    def one_generation(self):
        """The store's is that of the blob that was written last; each has its own."""
        blobs = {blob["name"]: blob["generation"]
                 for blob in json.loads(vnvram("ls", "--json", self.image))["blobs"]}
        generation = self.generation()
        print(f"generation {generation}: {blobs}")
        self.assertEqual(set(blobs), {"uefi.vars", "eeprom", "bbram"})
        self.assertEqual(max(blobs.values()), generation)
        self.assertGreater(min(blobs.values()), 1)


if __name__ == "__main__":
    unittest.main()
