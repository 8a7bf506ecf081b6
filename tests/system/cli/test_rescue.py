"""repair and salvage, as an operator uses them on a damaged file."""

from .command import CORRUPT, EXISTS, IN_USE, NOT_FOUND, USAGE
from .owner import Owner
from .flip_case import BLOCK, FlipCase


class RescueTest(FlipCase):
    def destroy(self, *blocks):
        with open(self.image, "r+b") as file:
            for block in blocks:
                file.seek(block * BLOCK)
                file.write(b"k" * BLOCK)

    def homes_of(self, content):
        """The blocks that hold a blob's first page: in the homes, and in the ring if it is aligned."""
        image = self.image.read_bytes()
        return [at // BLOCK for at in range(0, len(image), BLOCK)
                if image[at:at + BLOCK] == content[:BLOCK]]

    def test_a_flipped_bit_in_any_block_is_mended(self):
        contents = self.make_image()
        pristine = self.image.read_bytes()
        for block in range(0, len(pristine) // BLOCK, 5):
            self.flip(block * BLOCK + 77, 3)
            self.vnvram("repair", self.image)
            self.vnvram("check", self.image)
        self.destroy(0)
        self.assertIn(b"superblock A", self.vnvram("repair", self.image))
        for name, content in contents.items():
            self.assertEqual(self.vnvram("get", self.image, name), content)

    def test_dry_run_says_and_writes_nothing(self):
        self.make_image()
        self.destroy(1)
        damaged = self.image.read_bytes()
        report = self.json("repair", self.image, "--dry-run")
        self.assertEqual([finding["mended"] for finding in report["findings"]], [True])
        self.assertEqual(self.image.read_bytes(), damaged)

    def test_salvage_gets_out_what_is_intact(self):
        contents = self.make_image()
        blocks = self.homes_of(contents["second"])
        self.assertTrue(blocks)
        self.destroy(*blocks)
        # Not the records either, so that it cannot be made again.
        self.destroy(*range(22, 22 + 64))
        self.vnvram("repair", self.image, status=CORRUPT)
        out = self.path("out.nvram")
        report = self.json("salvage", self.image, out, status=CORRUPT)
        saved = {blob["name"]: blob for blob in report["blobs"]}
        self.assertEqual({name: blob["saved"] for name, blob in saved.items()},
                         {"first": True, "second": False, "never": True})
        self.assertIn("home page", saved["second"]["why"])
        self.vnvram("check", out)
        self.assertEqual(self.vnvram("get", out, "first"), contents["first"])
        self.assertEqual(self.vnvram("get", out, "never"), b"")
        self.vnvram("get", out, "second", status=NOT_FOUND)

    def test_nothing_is_overwritten_unless_forced(self):
        self.make_image()
        out = self.file("out.nvram", b"mine")
        self.vnvram("salvage", self.image, out, status=EXISTS)
        self.assertEqual(out.read_bytes(), b"mine")
        self.vnvram("salvage", self.image, self.image, "--force", status=USAGE)
        self.vnvram("salvage", self.image, out, "--force")

    def test_an_image_in_use_is_not_repaired(self):
        self.make_image()
        with Owner(self, self.image):
            self.vnvram("repair", self.image, status=IN_USE)
            self.vnvram("salvage", self.image, self.path("out.nvram"))
