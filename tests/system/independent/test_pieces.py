"""The pieces of the format by themselves: vectors of their specifications, key slots, the header area."""

import os
import unittest

from . import header_area, keys
from .layout import BLOCK_BYTES
from .refused import Refused
from .xaes import SealingKey

UUID = bytes(range(16))


class Pieces(unittest.TestCase):
    def refused(self, kind, call, *arguments):
        with self.assertRaises(Refused) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.kind, kind, caught.exception)


class SealingTest(Pieces):
    def test_vectors_of_its_specification(self):
        nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
        for byte, associated, expected in (
                (1, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
                (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d")):
            key = SealingKey(bytes([byte]) * 32)
            sealed, tag = key.seal(nonce, associated, b"XAES-256-GCM")
            self.assertEqual((sealed + tag).hex(), expected)
            self.assertEqual(key.open(nonce, associated, sealed, tag), b"XAES-256-GCM")
            self.refused("corrupt", key.open, nonce, associated + b"x", sealed, tag)

    def test_derived_keys(self):
        """RFC 5869, test cases 1 and 3."""
        secret = b"\x0b" * 22
        self.assertEqual(keys.derive(secret, bytes(range(13)), bytes(range(0xf0, 0xfa)), 42).hex(),
                         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                         "34007208d5b887185865")
        self.assertEqual(keys.derive(secret, b"", b"", 42).hex(),
                         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                         "9d201395faa4b61a96c8")

    def test_public_keys(self):
        """RFC 7748, 6.1."""
        private = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
        self.assertEqual(keys.public_key_of(private).hex(),
                         "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        others = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        self.assertEqual(keys.agree(private, others).hex(),
                         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


class SlotsTest(Pieces):
    HOLDERS = (keys.KeyHolder(b"sixteen bytes..."), keys.PassphraseHolder(b"a phrase", 2, 64),
               keys.PublicKeyHolder(private=bytes(range(32))),
               keys.ExternalHolder(lambda public: b"from a command: " + public, b"opaque words"))

    def setUp(self):
        self.data_keys = [os.urandom(32), os.urandom(32)]
        self.slots = [keys.make_slot(holder, self.data_keys[:1 + number % 2], UUID, number, b"label")
                      for number, holder in enumerate(self.HOLDERS)]

    def parsed(self):
        content = b"".join(slot.pack() for slot in self.slots)
        return keys.parse_slots(content, len(self.slots))

    def test_every_holder_opens_the_keys_of_its_slot(self):
        self.assertEqual(self.parsed(), self.slots)
        for number, holder in enumerate(self.HOLDERS):
            for position, data_key in enumerate(self.data_keys):
                key_id = keys.key_id_of(data_key, UUID)
                if position <= number % 2:
                    self.assertEqual(keys.unwrap(self.parsed(), holder, UUID, key_id), data_key)
                else:
                    self.refused("wrong key", keys.unwrap, self.parsed(), holder, UUID, key_id)

    def test_a_slot_is_made_with_a_public_key_alone(self):
        private = os.urandom(32)
        sender = keys.PublicKeyHolder(public=keys.public_key_of(private))
        slot = keys.make_slot(sender, self.data_keys[:1], UUID)
        holder = keys.PublicKeyHolder(private=private)
        self.assertEqual(keys.unwrap([slot], holder, UUID, slot.wraps[0].key_id), self.data_keys[0])

    def test_nothing_of_a_slot_can_be_changed(self):
        for slot, holder in zip(self.slots, self.HOLDERS):
            key_id = slot.wraps[0].key_id
            for name, value in (("number", 9), ("created_seconds", 1), ("label", b"other".ljust(64, b"\0")),
                                ("salt", os.urandom(32)), ("public_part", b"")):
                if getattr(slot, name) == value:
                    continue
                with self.subTest(kind=slot.kind, name=name):
                    kept = getattr(slot, name)
                    setattr(slot, name, value)
                    self.refused("wrong key", keys.unwrap, [slot], holder, UUID, key_id)
                    setattr(slot, name, kept)
            self.refused("wrong key", keys.unwrap, [slot], holder, bytes(16), key_id)
            slot.wraps[0].voucher = os.urandom(16)
            self.refused("corrupt", keys.unwrap, [slot], holder, UUID, key_id)

    def test_what_cannot_be_is_refused_before_anything_is_computed(self):
        for name, value in (("passes", 0), ("passes", 65), ("memory_kib", 7), ("memory_kib", 4194305),
                            ("lanes", 2), ("kind", 5), ("kind", 1), ("number", 0),
                            ("label", b"x" * 64), ("label", b"\n".ljust(64, b"\0"))):
            with self.subTest(name=name, value=value):
                kept = getattr(self.slots[1], name)
                setattr(self.slots[1], name, value)
                self.refused("corrupt", self.parsed)
                setattr(self.slots[1], name, kept)
        self.parsed()


class HeaderAreaTest(Pieces):
    MAGICS = (header_area.KEYS_MAGIC, header_area.METADATA_MAGIC)

    def setUp(self):
        self.content = bytearray(32 * BLOCK_BYTES)

    def entries(self, magic):
        area = header_area.read_area(self.content, magic, UUID)
        return area and (area.entries, area.sequence)

    def write(self, values):
        header_area.write_area(self.content, header_area.METADATA_MAGIC, UUID,
                               header_area.pack_metadata(values))

    def test_an_area_of_zeros_holds_nothing(self):
        for magic in self.MAGICS:
            self.assertIsNone(self.entries(magic))

    def test_a_torn_first_header_is_nothing(self):
        for magic in self.MAGICS:
            start = header_area.copy_at(magic, 0)
            self.content[start:start + 64] = os.urandom(64)
            self.assertIsNone(self.entries(magic))
            self.content[start + 64] = 1
            self.refused("corrupt", self.entries, magic)

    def test_what_was_taken_away_is_in_neither_copy(self):
        first, second = {b"b/name": b"first value", b"a": b""}, {b"b/name": b"second"}
        self.write(first)
        self.assertEqual(self.entries(self.MAGICS[1]), (sorted(first.items()), 3))
        self.write(second)
        self.assertEqual(self.entries(self.MAGICS[1]), (sorted(second.items()), 5))
        self.assertNotIn(b"first", self.content)

    def test_one_damaged_copy_is_lost_and_both_are_damage(self):
        values = {b"name": b"value"}
        self.write(values)
        places = [header_area.copy_at(self.MAGICS[1], copy) for copy in (0, 1)]
        for place in places:
            kept = bytes(self.content)
            self.content[place + 70] ^= 1
            self.assertEqual(self.entries(self.MAGICS[1])[0], sorted(values.items()))
            self.content[:] = kept
        for place in places:
            self.content[place + 70] ^= 1
        self.refused("corrupt", self.entries, self.MAGICS[1])

    def test_names_that_cannot_be(self):
        for values in ({b"": b"value"}, {b"a b": b""}, {b"a" * 64: b""}, {b"a": bytes(4097)}):
            self.content[:] = bytes(len(self.content))
            with self.subTest(values=values):
                self.write(values)
                self.refused("corrupt", self.entries, self.MAGICS[1])


if __name__ == "__main__":
    unittest.main()
