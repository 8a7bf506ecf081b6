"""After a repair every command says what check says: that all is well, or that it is not."""

import random
import shutil
import unittest

from .command import CORRUPT, MIB, OK
from .every_command import EveryCommandCase

BLOCK = 4096
KIB = 1 << 10


class Verdict(EveryCommandCase):
    def setUp(self):
        super().setUp()
        self.create("--blob", "a:test:20000", "--blob", "b:test:300", "--size", str(MIB),
                    "--ring-size", str(256 * KIB))
        for number in range(6):
            self.vnvram("put", self.image, "ab"[number % 2], "-", input=bytes([65 + number]) * 250)
        self.whole = self.image.read_bytes()

    def judge(self, what, content):
        image = self.path("judged")
        image.write_bytes(content)
        copy = self.path("copy")
        with self.subTest(what):
            if self.status("check", image) == OK:
                shutil.copyfile(image, copy)
                self.assertIsNone(self.every_command(copy))
            repaired = self.status("repair", image)
            checked = self.status("check", image)
            self.assertIn(checked, (OK, CORRUPT))
            self.assertEqual(repaired == OK, checked == OK, "repair and check")
            if repaired == OK:
                self.assertIsNone(self.every_command(image))

    def test_every_command_after_a_repair(self):
        dice = random.Random(5)
        blocks = len(self.whole) // BLOCK
        used = [0, 1, 18, 19, *range(22, 32), *range(22 + 64, 22 + 64 + 12), blocks - 1]
        for block in used:
            for how, change in (("flipped", lambda old: flip(old, dice)),
                                ("zeroed", lambda old: bytes(len(old)))):
                content = bytearray(self.whole)
                place = slice(block * BLOCK, (block + 1) * BLOCK)
                content[place] = change(content[place])
                if content != self.whole:
                    self.judge(f"block {block} {how}", content)


def flip(block, dice):
    changed = bytearray(block)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return changed


if __name__ == "__main__":
    unittest.main()
