"""A guest whose power goes without a word to its TPM is not locked out for it."""

import signal
import struct
import unittest

from tpm.support import EMPTY_PASSWORD, INIT, OWNER, STOP

from .case import SwtpmCase

AREA = 0x1500007
PIN = b"1234"
# An area that its own password reads and writes, and wrong passwords count.
LOCKOUT_AREA = 0x00040004
DEFINE, WRITE, READ, GET_CAPABILITY = 0x12A, 0x137, 0x14E, 0x17A
PROPERTIES, LOCKOUT_COUNTER = 6, 0x20E
ROUNDS = 4 # More than the tries that a TPM of libtpms allows.
NO_SHUTDOWN = ("--flags", "disable-auto-shutdown")


def password(secret):
    return struct.pack(">IIHBH", 9 + len(secret), 0x40000009, 0, 0, len(secret)) + secret


def define(client):
    public = struct.pack(">IHIHH", AREA, 0xB, LOCKOUT_AREA, 0, 8)
    body = struct.pack(">I", OWNER) + EMPTY_PASSWORD + struct.pack(">H", len(PIN)) + PIN
    client.must(DEFINE, body + struct.pack(">H", len(public)) + public, 0x8002)
    client.must(WRITE, struct.pack(">II", AREA, AREA) + password(PIN)
                + struct.pack(">H", 8) + bytes(8) + struct.pack(">H", 0), 0x8002)


def read(client):
    """With its password. The response code."""
    return client.run(READ, struct.pack(">II", AREA, AREA) + password(PIN)
                      + struct.pack(">HH", 8, 0), 0x8002)[0]


def lockout_counter(client):
    data = client.must(GET_CAPABILITY, struct.pack(">III", PROPERTIES, LOCKOUT_COUNTER, 1))
    number, value = struct.unpack(">II", data[9:17])
    assert number == LOCKOUT_COUNTER, data.hex()
    return value


class Shutdown(SwtpmCase):

    def counters(self, cut, options=()):
        """After each of some rounds, in which the password is used and the power goes."""
        place = self.new_folder()
        tpm, client = self.power_on(place, options)
        define(client)
        counters = []
        for _ in range(ROUNDS):
            used = read(client)
            tpm, client = cut(place, options, tpm, client)
            counters.append(lockout_counter(client))
            if used != 0:
                break
        client.close()
        tpm.kill()
        return counters

    def reset(self, _place, _options, tpm, client):
        self.assertEqual(self.result(tpm, INIT, bytes(4)), 0)
        self.assertEqual(client.startup(), 0)
        return tpm, client

    def stop_and_reset(self, place, options, tpm, client):
        self.assertEqual(self.result(tpm, STOP), 0)
        return self.reset(place, options, tpm, client)

    def shut_down(self, place, options, tpm, client):
        client.close()
        tpm.stop()
        return self.power_on(place, options)

    def terminate(self, place, options, tpm, client):
        client.close()
        tpm.child.send(signal.SIGTERM)
        self.assertEqual(tpm.child.wait(), 0)
        return self.power_on(place, options)

    def test_no_lockout(self):
        for cut in (self.reset, self.stop_and_reset, self.shut_down, self.terminate):
            with self.subTest(cut.__name__):
                self.assertEqual(self.counters(cut), [0] * ROUNDS)

    def test_the_end_of_the_machine(self):
        """--terminate: nobody says anything but that it is gone."""
        def cut(place, options, tpm, client):
            client.close()
            self.assertEqual(tpm.child.wait(), 0)
            return self.power_on(place, options)
        self.assertEqual(self.counters(cut, ("--terminate",)), [0] * ROUNDS)

    def test_where_it_is_not_wanted_resets_count(self):
        for cut in (self.reset, self.shut_down, self.terminate):
            with self.subTest(cut.__name__):
                counters = self.counters(cut, NO_SHUTDOWN)
                self.assertEqual(counters[:3], [1, 2, 3])


if __name__ == "__main__":
    unittest.main()
