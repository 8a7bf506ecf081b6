"""An I2C EEPROM, written byte by byte by its bus, across power cuts."""

import signal
import threading
import time
import unittest

from devices.device_case import DeviceCase
from harness.eeprom_machine import EepromMachine
from harness.logged_device import LoggedDevice

SIZE = 512
ASSET_TAG = b"vNVRAM board 0001"


class EepromCase(DeviceCase):
    image_options = ("--blob", f"eeprom:at24c:{SIZE}")

    def power_on(self, *options, image=None):
        server = self.serve(*options, image=image)
        return server, self.plug_in(EepromMachine(self.workspace, server.uri("eeprom"), SIZE))


class Eeprom(EepromCase):
    def test_each_answered_write_survives_with_sync_always(self):
        """Nothing is waited for between the device's answer and the power cut."""
        expected = bytearray(SIZE)
        for offset, content in ((0, ASSET_TAG), (SIZE - 1, b"\x55"), (3, b"\xaa")):
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

    def test_nbdkit_started_again_under_a_running_machine(self):
        server = self.serve("sync=always")
        machine = self.plug_in(EepromMachine(self.workspace, server.uri("eeprom"), SIZE, 60))
        machine.write(0, b"before, ")
        server.kill()
        # Each write cycle sends the whole EEPROM: the next one would hide that this one was lost.
        self.assertEqual(self.stored("eeprom")[:8], b"before, ")
        server.start()
        machine.write(8, b"after")
        server.child.send(signal.SIGSTOP)
        unanswered = threading.Thread(target=machine.write, args=(13, b", and again"), daemon=True)
        unanswered.start()
        server.kill()
        server.start()
        unanswered.join(60)
        self.assertFalse(unanswered.is_alive(), "QEMU waits on")
        self.pull_the_plug(server, machine)
        self.assertEqual(self.stored("eeprom")[:24], b"before, after, and again")
        self.check()


class WriteCycles(EepromCase):
    """How many flushes of the device a burst of single bytes costs: one whenever the time that an
    unflushed write may wait is over, however many there were meanwhile."""

    def setUp(self):
        super().setUp()
        self.device = LoggedDevice(self.workspace, self.image)
        self.children.append(self.device)

    def cost_of(self, write, sync_seconds, *options):
        """(flushes, how many there may be)"""
        server, machine = self.power_on(*options, image=self.device.uri)
        before, start = self.device.flush_count(), time.monotonic()
        write(machine)
        machine.flush()
        intervals = (time.monotonic() - start) / sync_seconds
        after = self.device.flush_count()
        self.pull_the_plug(server, machine)
        self.device.kill()
        content = bytes(range(256))
        self.assertEqual(self.stored("eeprom")[:256], content)
        self.check()
        # One at the end of each interval, one for the flush.
        return after - before, int(intervals) + 2

    @staticmethod
    def write_cycles(machine):
        for value in range(256):
            machine.write(value, bytes([value]))

    def test_256_write_cycles(self):
        """It takes the bus longer than the default of 10 ms to send them."""
        cost, most = self.cost_of(self.write_cycles, 0.010)
        print(f"256 write cycles of a byte: {cost} flushes of the device, at most {most}")
        self.assertLessEqual(cost, most)

    def test_256_write_cycles_in_one_interval(self):
        cost, _ = self.cost_of(self.write_cycles, 10, "sync=10s")
        self.assertLessEqual(cost, 4)

    def test_256_bytes_in_a_write_cycle(self):
        cost, _ = self.cost_of(lambda machine: machine.write(0, bytes(range(256))), 0.010)
        self.assertLessEqual(cost, 4)


if __name__ == "__main__":
    unittest.main()
