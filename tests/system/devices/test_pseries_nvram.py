"""A variable of a pSeries machine's firmware, across a power cut."""

import unittest

from devices.device_case import DeviceCase
from harness.pseries_machine import PseriesMachine

SIZE = 64 << 10


class PseriesNvram(DeviceCase):
    image_options = ("--blob", f"nvram:spapr-nvram:{SIZE}")

    def power_on(self):
        server = self.serve()
        return server, self.plug_in(PseriesMachine(self.workspace, server.uri("nvram")))

    def test_a_variable_survives(self):
        server, machine = self.power_on()
        self.assertEqual(machine.value("boot-file"), "")
        before = self.generation()
        machine.set("boot-file", "kept-by-vnvram")
        machine.set("auto-boot?", "false")
        self.wait_stored(lambda content: b"boot-file=kept-by-vnvram\0" in content
                         and b"auto-boot?=false\0" in content, "nvram")
        print(f"{self.generation() - before} commits for two variables")
        self.pull_the_plug(server, machine)
        self.check()

        server, machine = self.power_on()
        self.assertEqual(machine.value("boot-file"), "kept-by-vnvram")
        self.assertEqual(machine.value("auto-boot?"), "false")
        # The firmware went by the second one.
        self.assertNotIn(b"Trying to load", machine.console.content())
        self.pull_the_plug(server, machine)
        self.check()


if __name__ == "__main__":
    unittest.main()
