"""An image whose beginning something else was written over is found again by its third superblock; and
what a cut-off or a sealed one still gives."""

import os
import shutil
import subprocess

from harness.tpm_process import TpmProcess, program

from .command import CORRUPT, EXISTS, MIB, OK, SEALED
from .every_command import EveryCommandCase
from .flip_case import BLOCK
from .foreign_beginnings import BEGINNINGS, dos_partitions, gpt_partitions
from .owner import Owner

KIB = 1 << 10


class OverwrittenTest(EveryCommandCase):
    def setUp(self):
        super().setUp()
        self.contents = {"first": os.urandom(60000), "second": os.urandom(300), "never": b""}
        self.create("--size", "1M", "--ring-size", "256K", "--blob", "first:t:64K",
                    "--blob", "second:t:16K", "--blob", "never:t:8K")
        for name in ("first", "second"):
            self.vnvram("put", self.image, name, "-", input=self.contents[name])

    def assert_contents(self, image):
        for name, content in self.contents.items():
            self.assertEqual(self.vnvram("get", image, name), content, name)

    def assert_refused(self, by):
        """By everyone, in the same words, and without a word that would lose it."""
        new = self.file("new", b"new")
        for words in (("check",), ("info",), ("ls",), ("get", "first"), ("put", "first", new),
                      ("register", "--blob", "more:t:1K"), ("rm", "never"), ("resize", "2M"),
                      ("seal",), ("unseal",)):
            command, *rest = words
            done = self.run_vnvram(command, self.image, *rest)
            said = done.stderr.decode()
            self.assertEqual(done.returncode, CORRUPT, f"{words}: {said}")
            self.assertIn(f"the beginning was overwritten {by}", said, words)
            self.assertIn("vnvram repair", said, words)
            self.assertNotIn("--force", said, words)
        tpm = subprocess.run([program("vnvram-tpm"), self.image, "--ctrl",
                              f"unix:{self.path('ctrl')}"], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(tpm.returncode, CORRUPT, tpm)
        self.assertIn("the beginning was overwritten", tpm.stderr)
        created = self.run_vnvram("create", self.image)
        self.assertEqual(created.returncode, EXISTS, created)
        self.assertRegex(created.stderr, rb"vnvram repair .*; --force only to lose what is in it")

    def test_every_beginning(self):
        good = self.image.read_bytes()
        for by, overwrite in BEGINNINGS.items():
            with self.subTest(by):
                self.image.write_bytes(good)
                overwrite(self.image)
                damaged = self.image.read_bytes()
                self.assert_refused(by)
                out = self.path("out.nvram")
                report = self.json("salvage", self.image, out, "--force")
                self.assertTrue(report["complete"], report)
                self.assert_contents(out)
                self.json("repair", self.image, "--dry-run")
                self.assertEqual(self.image.read_bytes(), damaged, "something has written to it")
                self.vnvram("repair", self.image)
                self.vnvram("check", self.image)
                self.assert_contents(self.image)
                self.assertIsNone(self.every_command(self.image))

    def test_a_tpm_goes_on_after_a_repair(self):
        self.create("--tpm2", "--force")
        TpmProcess(self.workspace, self.image).stop()
        state = self.vnvram("get", self.image, "tpm2.permanent")
        gpt_partitions(self.image)
        self.vnvram("repair", self.image)
        self.assertEqual(self.vnvram("get", self.image, "tpm2.permanent"), state)
        TpmProcess(self.workspace, self.image).stop()

    def test_an_image_that_was_in_use(self):
        """Its newest commits may be gone with the beginning, and nobody says that they are not."""
        with Owner(self, self.image, "second", 300) as owner:
            owner.commit("x")
            owner.kill()
        self.contents["second"] = b"x" * 300
        BEGINNINGS["by zeros"](self.image)
        self.vnvram("check", self.image, status=CORRUPT, message="vnvram salvage")
        damaged = self.image.read_bytes()
        self.vnvram("repair", self.image, status=CORRUPT)
        self.assertEqual(self.image.read_bytes(), damaged)
        out = self.path("out.nvram")
        report = self.json("salvage", self.image, out, status=CORRUPT)
        self.assertFalse(report["complete"])
        self.assertTrue(report["notes"])
        self.assert_contents(out)

    def test_a_whole_file_system(self):
        """What was made over all of it is not called ours without loss."""
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=120)
        made = self.image.read_bytes()
        self.assertNotEqual(self.status("check", self.image), OK)
        self.assertNotEqual(self.status("repair", self.image), OK)
        self.assertEqual(self.image.read_bytes(), made)

    def test_a_boot_record_beside_a_whole_superblock(self):
        """A DOS partition table takes one sector: superblock B is still there."""
        dos_partitions(self.image)
        self.assert_contents(self.image)
        self.vnvram("check", self.image, status=CORRUPT)
        self.vnvram("repair", self.image)
        self.vnvram("check", self.image)
        self.assertIsNone(self.every_command(self.image))


class CutOffTest(EveryCommandCase):
    def test_truncated_behind_all_that_is_used(self):
        """As `truncate -s 3M` leaves an image of 4 MiB."""
        content = os.urandom(60000)
        self.create("--size", "4M", "--blob", "a:t:64K", "--blob", "never:t:64K")
        self.vnvram("put", self.image, "a", "-", input=content)
        os.truncate(self.image, 3 * MIB)
        cut = self.image.read_bytes()
        for command in ("check", "info", "ls", "repair"):
            self.vnvram(command, self.image, status=CORRUPT)
        self.assertEqual(self.image.read_bytes(), cut)
        out = self.path("out.nvram")
        report = self.json("salvage", self.image, out)
        self.assertTrue(report["complete"], report)
        self.vnvram("check", out)
        self.assertEqual(self.vnvram("get", out, "a"), content)
        self.assertEqual(self.vnvram("get", out, "never"), b"")
        os.truncate(self.image, 4 * MIB)  # Or with zeros where it was cut.
        self.vnvram("repair", self.image)
        self.vnvram("check", self.image)
        self.assertEqual(self.vnvram("get", self.image, "a"), content)

    def test_truncated_before_a_blob(self):
        self.create("--size", "1M", "--ring-size", "256K", "--blob", "near:t:4K", "--blob",
                    "far:t:64K")
        near, far = os.urandom(4096), os.urandom(65536)
        self.vnvram("put", self.image, "far", "-", input=far)
        for _ in range(8):  # Nothing of it is in the ring any more.
            self.vnvram("put", self.image, "near", "-", input=os.urandom(4096))
        self.put_until_ring_has_turned(near)
        image = self.image.read_bytes()
        pages = [at // BLOCK for at in range(0, len(image), BLOCK)
                 if image[at:at + BLOCK] in (far[:BLOCK], near)]
        self.assertEqual(len(pages), 2, pages)
        os.truncate(self.image, max(pages) * BLOCK)
        out = self.path("out.nvram")
        report = self.json("salvage", self.image, out, status=CORRUPT)
        self.assertFalse(report["complete"])
        self.assertEqual({blob["name"]: blob["saved"] for blob in report["blobs"]},
                         {"near": True, "far": False})
        self.assertEqual(self.vnvram("get", out, "near"), near)

    def put_until_ring_has_turned(self, last):
        for _ in range(256 * KIB // (2 * BLOCK)):
            self.vnvram("put", self.image, "near", "-", input=os.urandom(4096))
        self.vnvram("put", self.image, "near", "-", input=last)


class SealedTest(EveryCommandCase):
    def test_salvage_keeps_the_seal(self):
        """Else the state that went to another machine would go on here as well."""
        self.create("--tpm2", "--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"kept")
        self.vnvram("seal", self.image)
        damaged = self.path("damaged")
        shutil.copyfile(self.image, damaged)
        with open(damaged, "r+b") as file:  # Both superblocks rot; the third leads to it.
            file.seek(100)
            file.write(b"rot")
            file.seek(BLOCK + 100)
            file.write(b"rot")
        for image in (self.image, damaged):
            with self.subTest(image.name):
                out = self.path("out.nvram")
                self.assertTrue(self.json("salvage", image, out, "--force")["sealed"])
                self.assertTrue(self.json("info", out)["sealed"])
                self.assertEqual(self.vnvram("get", out, "a"), b"kept")
                self.vnvram("put", out, "a", "-", input=b"x", status=SEALED)
                tpm = subprocess.run([program("vnvram-tpm"), out, "--ctrl",
                                      f"unix:{self.path('ctrl')}"], capture_output=True, text=True,
                                     stdin=subprocess.DEVNULL, timeout=60, check=False)
                self.assertEqual(tpm.returncode, SEALED, tpm)
                self.assertFalse(self.json("salvage", image, out, "--force", "--unseal")["sealed"])
                self.assertFalse(self.json("info", out)["sealed"])
                self.vnvram("put", out, "a", "-", input=b"x")
                TpmProcess(self.workspace, out).stop()
