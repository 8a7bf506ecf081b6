"""Bit rot anywhere: check notices and says which blob is hit, and no wrong byte is ever given out."""

import os
import random

from .command import Case, CORRUPT, MIB, OK
from .flip_case import BLOCK, FlipCase, READ_RESULTS
from .owner import Owner


class EveryBlockTest(FlipCase):
    def test_clean_image(self):
        contents = self.make_image()
        pristine = self.image.read_bytes()
        generator = random.Random(20240229)
        noticed, hit = 0, set()
        for block in range(len(pristine) // BLOCK):
            offset = block * BLOCK + generator.randrange(BLOCK)
            bit = generator.randrange(8)
            with self.subTest(block=block, offset=offset, bit=bit), self.flipped(offset, bit):
                status, named, lost = self.look(contents)
                self.assertEqual(named, lost if status == CORRUPT else set())
                if lost:
                    self.assertEqual(status, CORRUPT, "bytes are lost and check is content")
                noticed += status == CORRUPT
                hit |= named
        self.assertEqual(self.image.read_bytes(), pristine)
        self.assertEqual(hit, {"first", "second", "never"})
        self.assertGreaterEqual(noticed, 2 + 1 + 1 + 1 + 15 + 4)

    def test_image_whose_owner_died(self):
        """The newest commits are only in the ring. Its very last record may be given up as one that
        was torn; everything before it may not. An image that needs recovery and cannot have it is
        refused as a whole, so more blobs may be refused than are hit."""
        contents = self.make_image()
        with Owner(self, self.image, "second", 16384) as owner:
            for letter in "xyz":
                owner.commit(letter)
            owner.kill()
        contents["second"] = b"z" * 16384
        pristine = self.image.read_bytes()
        dump = self.json("dump", self.image)
        records = [record for record in dump["records"] if record["counts"]]
        self.assertEqual(len(records), 3)
        ring = next(s for s in dump["superblocks"] if s["current"])["ring_start_block"]
        last = range(ring + records[-1]["position"],
                     ring + records[-1]["position"] + records[-1]["block_count"])
        generator = random.Random(7)
        for block in range(len(pristine) // BLOCK):
            offset = block * BLOCK + generator.randrange(BLOCK)
            with self.subTest(block=block, offset=offset), self.flipped(offset, 3):
                older = (b"y" * 16384,) if block in last else ()
                status, named, lost = self.look(contents, older)
                if lost:
                    self.assertEqual(status, CORRUPT)
                    self.assertTrue(named & lost, "check does not say which blob is hit")
        self.assertEqual(self.image.read_bytes(), pristine)


class DamagedImageTest(FlipCase):
    def test_check_names_the_place_and_the_blob(self):
        self.create("--size", "4M", "--blob", "victim:t:64K", "--blob", "other:t:64K")
        self.vnvram("put", self.image, "victim", "-", input=b"v" * 65536)
        self.vnvram("put", self.image, "other", "-", input=b"o" * 65536)
        dump = self.json("dump", self.image)
        run = next(e for e in dump["directory"] if e["name"] == "victim")["page_runs"][0]
        page = next(p for p in dump["pages"] if p["page"] == run["first_page"] + 3)
        self.flip(page["block"] * BLOCK + 100, 5)
        report = self.json("check", self.image, status=CORRUPT)
        self.assertEqual(len(report["problems"]), 1)
        self.assertEqual(report["problems"][0]["blobs"], ["victim"])
        self.assertTrue(report["problems"][0]["data_lost"])
        self.assertIn("victim", self.vnvram("check", self.image, status=CORRUPT).decode())
        self.vnvram("get", self.image, "victim", status=CORRUPT)
        self.assertEqual(self.vnvram("get", self.image, "other"), b"o" * 65536)
        damaged = [p for p in self.json("dump", self.image)["pages"] if not p["valid"]]
        self.assertEqual([(p["page"], p["why"]) for p in damaged],
                         [(page["page"], "checksum mismatch")])
        self.assertIn("NOT VALID: checksum mismatch", self.vnvram("dump", self.image).decode())

    def test_dump_shows_what_is_left_without_a_superblock(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"x" * 5000)
        for block in (0, 1):
            self.flip(block * BLOCK + 3000, 1)
        self.vnvram("ls", self.image, status=CORRUPT)
        dump = self.json("dump", self.image)
        self.assertEqual([(s["copy"], s["valid"]) for s in dump["superblocks"]],
                         [("A", False), ("B", False), ("C", True)])
        self.assertEqual([entry["name"] for entry in dump["directory"]], ["a"])
        self.assertTrue(dump["remarks"])

    def test_random_garbage_in_every_part_never_crashes(self):
        self.make_image()
        pristine = self.image.read_bytes()
        generator = random.Random(99)
        for _ in range(60):
            content = bytearray(pristine)
            for _ in range(generator.randrange(1, 5)):
                block = generator.choice((0, 1, 18, 19, 20, 21, generator.randrange(22, 200)))
                length = generator.randrange(1, 64)
                offset = block * BLOCK + generator.randrange(BLOCK - length)
                content[offset:offset + length] = generator.randbytes(length)
            self.image.write_bytes(content)
            for command in ("check", "dump", "ls", "info"):
                done = self.run_vnvram(command, self.image)
                self.assertIn(done.returncode, READ_RESULTS, done)

    def test_cut_off_image(self):
        self.create("--size", "4M", "--blob", "a:t:64K")
        os.truncate(self.image, 3 * MIB)
        for command in ("ls", "info", "check"):
            done = self.run_vnvram(command, self.image)
            self.assertEqual(done.returncode, CORRUPT, done)
        self.vnvram("dump", self.image)

