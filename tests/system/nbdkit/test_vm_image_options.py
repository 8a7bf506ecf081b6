"""image-key= and image-format=: encrypted VM images, and images that are not what was said."""

import os

import nbd

from harness.vm_image import programs_of

from .blob_daemon import BlobDaemon
from .nbdkit_case import BLOBS, NbdkitCase

KEY = "image-key={}".format


class Keys(NbdkitCase):
    """LUKS takes seconds of processor time for each opening, by design."""

    def setUp(self):
        super().setUp()
        self.key = self.file("vm.key", os.urandom(16).hex().encode())
        self.luks = self.path("vm.luks")
        self.vnvram("create", self.luks, *BLOBS, "--image-key", self.key)

    def refused_image(self, *words):
        """Returns what was said; it names the image, which is as before."""
        content = self.luks.read_bytes()
        said = self.refused(self.luks, *words)
        self.assertIn(str(self.luks), said)
        self.assertEqual(self.luks.read_bytes(), content)
        return said

    def test_a_daemon_with_relative_paths(self):
        """Written by a daemon, whose folder is not the one that the paths are relative to."""
        daemon = BlobDaemon(self)
        daemon.start("vm.luks", KEY("vm.key"), folder=self.workspace.path)
        client = self.connect(daemon, "eeprom")
        client.pwrite(b"secret" * 40, 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(client.pread(240, 0), b"secret" * 40)
        client.shutdown()
        daemon.stop()
        self.assertEqual(programs_of(self.luks), [])
        self.assertNotIn(b"secretsecret", self.luks.read_bytes())
        words = (self.luks, "--image-key", self.key)
        self.assertEqual(self.vnvram("get", words[0], "eeprom", *words[1:]), b"secret" * 40)
        self.vnvram("check", *words)
        self.assertTrue(self.json("info", *words)["clean"])

    def test_without_the_right_one(self):
        other = self.file("other.key", os.urandom(16).hex().encode())
        absent = self.path("absent.key")
        for words, said in (((), ("the image is encrypted", "image-key=FILE for nbdkit")),
                            ((KEY(other),), ("the key does not open the image",)),
                            ((KEY(absent),), ("cannot read its key", str(absent), "No such file"))):
            with self.subTest(words):
                refusal = self.refused_image(*words)
                for word in said:
                    self.assertIn(word, refusal)
                self.assertEqual(programs_of(self.luks), [])


class Formats(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.qcow2 = self.path("vm.qcow2")
        self.vnvram("create", self.qcow2, *BLOBS)

    def refused_image(self, image, image_format):
        content = image.read_bytes()
        said = self.refused(image, f"image-format={image_format}")
        self.assertEqual(image.read_bytes(), content)
        return said

    def test_the_right_one(self):
        for image, image_format in ((self.qcow2, "qcow2"), (self.image, "raw")):
            with self.subTest(image_format):
                server = self.serve(f"image-format={image_format}", image=image)
                self.connect(server, "eeprom").pwrite(b"right", 0)
                self.stop(server)
                self.assertEqual(self.stored("eeprom", image)[:5], b"right")
                self.must_be_clean(image)

    def test_the_bytes_of_a_vm_image_are_not_an_image(self):
        """Nothing of it is written over: its first bytes are not ours."""
        said = self.refused_image(self.qcow2, "raw")
        self.assertIn("is a VM image that holds one and is taken for raw", said)
        self.assertIn(str(self.qcow2), said)
        self.must_be_clean(self.qcow2)

    def test_another_one_than_it_is(self):
        for image, image_format in ((self.qcow2, "vdi"), (self.image, "qcow2")):
            with self.subTest(image_format):
                self.assertIn(f"{image}: it is not a {image_format} image",
                              self.refused_image(image, image_format))

    def test_one_that_there_is_not(self):
        said = self.refused_image(self.image, "floppy")
        self.assertIn("there is no image format floppy", said)
        self.assertIn("raw, qcow2, vmdk, vhdx, vdi, luks", said)

    def test_a_key_for_an_image_without_encryption(self):
        key = self.file("vm.key", b"key")
        for image in (self.image, self.qcow2):
            with self.subTest(image.name):
                self.assertIn(f"{image}: a key was given, and the image is not encrypted",
                              self.refused(image, KEY(key)))
