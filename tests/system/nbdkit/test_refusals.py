"""What nbdkit must not serve: it does not start, says why and what helps, and leaves nothing."""

import ctypes
import struct
import subprocess

from cli.command import MIB
from cli.owner import Owner
from harness.blob_server import plugin

from .nbdkit_case import NbdkitCase


class Refusals(NbdkitCase):
    def refused_image(self, image, *words):
        """The message names the image, and has each of these words."""
        content = image.read_bytes() if image.is_file() else None
        said = self.refused(image)
        self.assertIn(str(image), said)
        for word in words:
            self.assertIn(word, said)
        if content is not None:
            self.assertEqual(image.read_bytes(), content)

    def test_absent(self):
        self.refused_image(self.path("absent.nvram"), "No such file", "create")

    def test_blank(self):
        self.refused_image(self.file("blank.nvram", bytes(4 * MIB)), "holds nothing", "create")

    def test_foreign(self):
        self.refused_image(self.file("foreign.nvram", b"mine" * MIB), "not a vNVRAM image")

    def test_corrupt(self):
        content = bytearray(self.image.read_bytes())
        for copy in (0, 4096):
            content[copy + 64] ^= 0xFF
        self.refused_image(self.file("corrupt.nvram", content), "superblock", "repair")

    def test_damaged_behind_its_superblocks(self):
        """All homes: nothing can be found."""
        content = bytearray(self.image.read_bytes())
        start = self.json("dump", self.image)["superblocks"][0]["zones_start_block"] * 4096
        content[start:] = b"\xff" * (len(content) - start)
        self.refused_image(self.file("damaged.nvram", content), "repair")

    def test_a_device_that_cannot_be_written(self):
        done = subprocess.run(["losetup", "--read-only", "--find", "--show", self.image],
                              check=True, capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        for options in ((), ("--readonly",)):
            with self.subTest(options):
                said = self.refused(device, nbdkit_options=options)
                self.assertIn(device, said)
                self.assertIn("blockdev --setrw", said)

    def test_a_socket_in_use_leaves_the_image_to_the_next_one(self):
        socket = self.file("nbd.sock", b"")
        said = self.run_program("nbdkit", "--foreground", "--unix", socket, plugin(), self.image,
                                status=1)
        self.assertIn("Address already in use", said)
        self.vnvram("check", self.image)
        server = self.serve()
        self.connect(server, "eeprom").pwrite(b"next", 0)
        self.stop(server)
        self.assertEqual(self.stored("eeprom")[:4], b"next")
        self.must_be_clean()

    def test_in_use(self):
        with Owner(self, self.image) as owner:
            said = self.refused(self.image)
            self.assertIn(f"in use by process {owner.pid}", said)
            self.assertIn(str(self.image), said)
        server = self.serve()
        self.assertIn(f"in use by process {server.child.pid}", self.refused(self.image))

    def test_sealed(self):
        self.vnvram("seal", self.image)
        self.refused_image(self.image, "sealed", "vnvram unseal")
        self.vnvram("unseal", self.image)
        self.serve()

    def test_too_new(self):
        """As docs/format.md has it: version 2, and a checksum that fits."""
        checksum = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
        checksum.restype = ctypes.c_uint64
        content = bytearray(self.image.read_bytes())
        for copy in (0, 4096):
            struct.pack_into("<I", content, copy + 8, 2)
            block = bytes(content[copy:copy + 4088])
            struct.pack_into("<Q", content, copy + 4088,
                             checksum(block, ctypes.c_size_t(len(block))))
        image = self.file("new.nvram", content)
        self.refused_image(image, "version")

    def test_unreachable_export(self):
        uri = f"nbd+unix:///?socket={self.path('nobody.sock')}"
        self.assertIn(uri, self.refused(uri))

    def test_blobs_that_are_not_there(self):
        for option in ("export=no-such", "readonly=no-such", "readonly=eeprom,no-such"):
            with self.subTest(option):
                said = self.refused(self.image, option)
                for word in (str(self.image), "no-such", "eeprom, nvram, uefi.vars"):
                    self.assertIn(word, said)
        self.must_be_clean()

    def test_options_that_can_never_be_right(self):
        for option in ("sync=5minutes", "sync=-1", "sync=", "sync=61s", "sync=ms", "sync=1.5s",
                       "sync=never", "unknown=1", "export=", "readonly=", "image=second"):
            with self.subTest(option):
                self.assertIn(option.partition("=")[0], self.refused(self.image, option))
        self.assertIn("image", self.refused())
        self.must_be_clean()
