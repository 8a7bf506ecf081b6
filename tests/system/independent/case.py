"""Images, plain and encrypted, that are made by one of the two implementations and read by the other."""

import hashlib
import os

from cli.command import CORRUPT, MIB, OK, WRONG_KEY, Case

from . import keys
from .image import Image
from .refused import Refused
from .writer import Writer

STATUSES = {"corrupt": CORRUPT, "wrong key": WRONG_KEY}


class ImageCase(Case):
    """Of an encrypted image, or of a plain one if a class says so. Its key is in a file."""

    encrypted = True

    def setUp(self):
        super().setUp()
        self.key = os.urandom(32)
        self.key_file = self.file("vm.key", self.key)
        self.key_words = ("--key", f"file:{self.key_file}") if self.encrypted else ()
        self.holder = keys.KeyHolder(self.key) if self.encrypted else None

    # With vnvram.

    def create_by_vnvram(self, *options):
        self.create("--size", "4M", "--ring-size", "1M", *options,
                    *(("--encrypt", *self.key_words) if self.encrypted else ()))

    def on_image(self, command, *words, **options):
        return self.vnvram(command, self.image, *words, *self.key_words, **options)

    def put_by_vnvram(self, name, content):
        self.on_image("put", name, "-", input=content)

    def listed(self):
        """What ls says of each blob."""
        return {blob["name"]: blob
                for blob in self.json("ls", self.image, *self.key_words)["blobs"]}

    # With Python.

    def create_by_python(self, **options):
        return Writer.create(4 * MIB, MIB, os.urandom(32) if self.encrypted else None,
                             [self.holder] if self.encrypted else [], **options)

    def python_image(self, content=None):
        return Image(self.image.read_bytes() if content is None else content, self.holder)

    def python_writer(self, content=None):
        return Writer.open(self.image.read_bytes() if content is None else content, self.holder)

    # With both.

    def same_by_both(self, contents):
        """Names, sizes, generations and contents of what is on the image."""
        before = self.digest()
        image, listed = self.python_image().check(), self.listed()
        self.assertEqual(sorted(image.blobs), sorted(contents))
        self.assertEqual(sorted(listed), sorted(contents))
        self.on_image("check")
        for name, content in contents.items():
            self.assertEqual(image.get(name), content, name)
            self.assertEqual(self.on_image("get", name), content, name)
            blob = image.blobs[name]
            self.assertEqual({"name": name, "type": blob.type, "size_bytes": blob.size_bytes,
                              "size_max_bytes": blob.size_max_bytes, "generation": blob.generation,
                              "registered_generation": blob.registered_generation,
                              "producer": blob.producer},
                             {key: listed[name][key] for key in listed[name] if key != "attributes"})
        info = self.json("info", self.image, *self.key_words)
        self.assertEqual((info["generation"], info["epoch"], bool(info["clean"])),
                         (image.generation, image.superblock.epoch_number, bool(image.superblock.clean)))
        self.assertEqual(info["uuid"].replace("-", ""), image.superblock.uuid.hex())
        self.assertEqual(self.digest(), before, "looking at it has changed it")
        return image

    def digest(self):
        return hashlib.sha256(self.image.read_bytes()).hexdigest()

    def refused_by_both(self, content, kind="corrupt", get=(), others=()):
        """What somebody has made of the image: check finds it, these blobs are not given out, these
        others are; and nothing is written. `get` empty: the image is not opened at all."""
        self.image.write_bytes(content)
        before = self.digest()
        status = STATUSES[kind]
        with self.assertRaises(Refused) as caught:
            self.python_image(content).check()
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        self.on_image("check", status=status)
        for name in get or self.contents:
            self.assertEqual(self.on_image("get", name, status=status), b"")
        for name in others:
            self.assertEqual(self.on_image("get", name, status=OK), self.contents[name])
        if not get:
            self.on_image("ls", status=status)
            self.on_image("put", next(iter(self.contents)), "-", status=status, input=b"more")
        self.assertEqual(self.digest(), before, "something was written")
