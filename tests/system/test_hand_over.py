"""What a TPM adds to the time for which a migration stops the guest: QEMU waits for its state at the
source, and until the destination's has taken it. Printed, and what was handed over is compared."""

import statistics
import time
import unittest

from tpm.support import TpmCase

ROUNDS = 20
AREA_SIZE, AREAS_MAX = 2000, 100
PERMANENT, VOLATILE, SAVE_STATE = 1, 2, 3
DELETE_VOLATILE = 1


class HandOver(TpmCase):
    def start_one(self, name):
        """Returns what QEMU has: a connection for control, and one for commands."""
        tpm = self.start(self.new_image_of(name))
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        return control, client

    def new_image_of(self, name):
        image = self.workspace.file(name)
        self.new_image().rename(image)
        return image

    def fill(self, client):
        """Until the TPM has no room for more: the largest state that a migration can carry."""
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        client.must_increment()
        for number in range(AREAS_MAX):
            if client.define_area(0x1500100 + number, AREA_SIZE) != 0:
                return number
            client.write_area(0x1500100 + number, bytes([number]) * AREA_SIZE)
        return AREAS_MAX

    def test_largest_state(self):
        source, guest = self.start_one("source.img")
        target, guest_there = self.start_one("target.img")
        areas = self.fill(guest)
        times = []
        for _ in range(ROUNDS):
            guest.must_increment()
            start = time.perf_counter()
            state = [source.get_blob(kind)[2] for kind in (PERMANENT, VOLATILE, SAVE_STATE)]
            middle = time.perf_counter()
            self.assertEqual(target.stop(), 0)
            for kind, blob in zip((PERMANENT, VOLATILE, SAVE_STATE), state):
                if blob:
                    self.assertEqual(target.set_blob(kind, blob), 0)
            self.assertEqual(target.init(DELETE_VOLATILE), 0)
            taken = time.perf_counter()
            value = guest_there.counter()
            times.append((middle - start, taken - middle, time.perf_counter() - taken))
            self.assertEqual(source.lock_storage(), 0)  # The source goes on, in this test.
            self.assertEqual(value, guest.counter())
        given, took, first = (statistics.median(column) * 1000 for column in zip(*times))
        print(f"{areas} areas, {sum(map(len, state))} bytes of state: {given:.2f} ms to give, "
              f"{took:.2f} ms to take, {first:.2f} ms for the first command, which waits until the "
              "state is durable")


if __name__ == "__main__":
    unittest.main()
