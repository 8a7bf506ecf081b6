"""Images that Python makes, by itself and for vnvram; images that vnvram makes, for Python."""

import os
import unittest

from cli.command import CORRUPT, KEY_NEEDED, WRONG_KEY
from cli.owner import Owner

from . import header_area, keys, layout
from .case import ImageCase
from .image import Image, device_block, third_copy_block
from .layout import BLOCK_BYTES
from .record import Ring, open_record
from .refused import Refused
from .writer import Writer

BLOBS = {"tpm/permanent": 64 << 10, "serial": 16, "large.one": 480 << 10, "empty": 4096}


class Histories:
    """What an image has behind it; each returns the device's bytes, and leaves `self.contents`."""

    def fill(self, writer):
        self.contents = {name: os.urandom(size - 3) for name, size in BLOBS.items()}
        self.contents["empty"] = b""
        for name, size in BLOBS.items():
            writer.register(name, "some.type", size, self.contents[name] or None,
                            {"firmware": (b"\0\xff", 0)} if name == "serial" else None)
            writer.checkpoint()

    def put(self, writer, name, size):
        self.contents[name] = os.urandom(size)
        writer.put(name, self.contents[name])

    def closed(self):
        writer = self.create_by_python()
        self.fill(writer)
        return writer.close()

    def newest_in_the_ring(self):
        """Of a second owner, whose first record is half a ring behind the first owner's last one."""
        writer = Writer.open(self.closed(), self.holder)
        for size in (5, 60000, 61, 4096):
            self.put(writer, "tpm/permanent", size)
        return writer.leave()

    def round_the_ring(self):
        """The newest records lie over its end."""
        writer = Writer.open(self.closed(), self.holder)
        for _ in range(2):
            writer.checkpoint()
            for _ in range(18):
                self.put(writer, "tpm/permanent", 30000)
        return writer.leave()

    def both_slots(self):
        """Each page of a blob was written twice, and so was the table."""
        writer = Writer.open(self.closed(), self.holder)
        for size in (60000, 50000):
            self.put(writer, "tpm/permanent", size)
            writer.checkpoint()
        return writer.close()

    def blobs_gone_and_directory_grown(self):
        writer = Writer.open(self.closed(), self.holder)
        writer.remove("large.one")
        del self.contents["large.one"]
        for number in range(15):
            self.contents[f"more{number}"] = b"%d" % number
            writer.register(f"more{number}", "t", 5000, b"%d" % number)
        return writer.close()

    HISTORIES = ("closed", "newest_in_the_ring", "round_the_ring", "both_slots",
                 "blobs_gone_and_directory_grown")


class ByItself(Histories, ImageCase):
    """Python alone."""

    def test_contents_come_back(self):
        for history in self.HISTORIES:
            with self.subTest(history):
                image = self.python_image(getattr(self, history)()).check()
                self.assertEqual({name: image.get(name) for name in image.blobs}, self.contents)

    def test_the_histories_are_what_they_say(self):
        image = self.python_image(self.newest_in_the_ring())
        self.assertEqual((image.superblock.clean, len(image.records)), (0, 4))
        image = self.python_image(self.round_the_ring())
        places = [place for place, _ in image.records]
        self.assertNotEqual(places, sorted(places))
        image = self.python_image(self.blobs_gone_and_directory_grown())
        self.assertEqual(len(image.directory_pages), 3)
        image = self.python_image(self.both_slots())
        zones = {page // image.geometry.entries_per_block for blob in image.blobs.values()
                 for page in blob.pages()}
        self.assertEqual(len(zones), 2 if self.encrypted else 1)
        page = image.blobs["tpm/permanent"].pages()[0]
        for slot in (0, 1):
            self.assertTrue(any(device_block(image.content, image.geometry.page_block(page, slot))))

    def test_a_superblock_that_is_lost(self):
        """Either of the first two; then both, which the third one tells from a device that is not ours."""
        whole = self.closed()
        for lost in ((0,), (1,), (2,), (0, 1)):
            content = bytearray(whole)
            for copy in lost:
                block = third_copy_block(content) if copy == 2 else copy
                content[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES] = bytes(BLOCK_BYTES)
            if lost == (0, 1):
                with self.assertRaisesRegex(Refused, "corrupt: .* overwritten"):
                    self.python_image(bytes(content))
            else:
                self.assertEqual(self.python_image(bytes(content)).get("serial"), self.contents["serial"])


class PlainByItself(ByItself):
    encrypted = False


class Holders(ImageCase):
    """Who opens an encrypted image."""

    def make(self, holders):
        writer = Writer.create(data_key=self.key, holders=holders)
        writer.register("blob", "type", 100, b"content")
        return writer.close()

    def assert_refused(self, kind, content, **options):
        with self.assertRaises(Refused) as caught:
            Image(content, **options)
        self.assertEqual(caught.exception.kind, kind, caught.exception)

    def test_each_kind_of_slot(self):
        holders = [keys.KeyHolder(b"k" * 16), keys.PassphraseHolder(b"a phrase"),
                   keys.PublicKeyHolder(private=os.urandom(32)),
                   keys.ExternalHolder(lambda public: public * 4, b"opaque"), keys.KeyHolder(b"l" * 8192)]
        content = self.make(holders)
        for holder in holders:
            self.assertEqual(Image(content, holder).get("blob"), b"content")
        self.assertEqual(Image(content, data_key=self.key).get("blob"), b"content")
        self.assertEqual([slot.kind for slot in Image(content, holders[0]).slots()], [1, 2, 3, 4, 1])
        for other in (keys.KeyHolder(b"a phrase" * 2), keys.PassphraseHolder(b"A phrase"),
                      keys.PublicKeyHolder(private=os.urandom(32)),
                      keys.ExternalHolder(lambda public: public * 5)):
            self.assert_refused("wrong key", content, holder=other)
        self.assert_refused("wrong key", content, data_key=os.urandom(32))
        self.assert_refused("key needed", content)

    def test_slots_that_are_gone(self):
        holder = keys.KeyHolder(b"k" * 16)
        content = bytearray(self.make([holder]))
        start = header_area.copy_at(header_area.KEYS_MAGIC, 0)
        content[start + 100] ^= 1
        self.assertEqual(Image(bytes(content), holder).get("blob"), b"content")
        content[start + header_area.COPY_BYTES + 100] ^= 1
        self.assert_refused("corrupt", bytes(content), holder=holder)
        content[start:start + 2 * header_area.COPY_BYTES] = bytes(2 * header_area.COPY_BYTES)
        self.assert_refused("wrong key", bytes(content), holder=holder)

    def test_by_vnvram(self):
        """Without a key, with another one, and with the key of each slot that Python has made."""
        private = os.urandom(32)
        opaque = b"what a command gives back as it is"
        self.image.write_bytes(self.make([
            self.holder, keys.PassphraseHolder(b"a phrase", 2, 1024),
            keys.PublicKeyHolder(public=keys.public_key_of(private)),
            keys.ExternalHolder(lambda public: public, opaque)]))
        before = self.digest()
        pem = keys.private_key_pem(private)
        for words in (f"file:{self.key_file}", f"passphrase:file:{self.file('phrase', b'a phrase')}",
                      f"file:{self.file('private.pem', pem)}", "exec:cat"):
            self.assertEqual(self.vnvram("get", self.image, "blob", "--key", words), b"content", words)
        self.vnvram("get", self.image, "blob", status=KEY_NEEDED)
        for words in (f"file:{self.file('other', b'another key......')}",
                      f"passphrase:file:{self.file('phrase', b'A phrase')}",
                      f"file:{self.file('private.pem', keys.private_key_pem(os.urandom(32)))}",
                      "exec:tr a b"):
            self.vnvram("get", self.image, "blob", "--key", words, status=WRONG_KEY)
        self.assertEqual(self.digest(), before)


class VnvramReads(Histories, ImageCase):
    """What Python has made."""

    def test_every_history(self):
        for history in self.HISTORIES:
            with self.subTest(history):
                self.image.write_bytes(getattr(self, history)())
                self.same_by_both(self.contents)

    def test_and_goes_on_with_it(self):
        """By turns: each reads what both have written, and the one that writes is the next owner."""
        for history in self.HISTORIES:
            with self.subTest(history):
                self.image.write_bytes(getattr(self, history)())
                for step in range(3):
                    self.contents["tpm/permanent"] = os.urandom(50000 - 20000 * step)
                    self.put_by_vnvram("tpm/permanent", self.contents["tpm/permanent"])
                    self.same_by_both(self.contents)
                    writer = self.python_writer()
                    self.put(writer, "serial", 16 - step)
                    self.image.write_bytes(writer.leave() if step == 1 else writer.close())
                    self.same_by_both(self.contents)

    def test_metadata_of_anybody(self):
        """It is nobody's business who only reads blobs."""
        content = bytearray(self.closed())
        values = {b"ek/fingerprint": os.urandom(32), b"label": b"web-17"}
        header_area.write_area(content, header_area.METADATA_MAGIC,
                               self.python_image(content).superblock.uuid,
                               header_area.pack_metadata(values))
        self.image.write_bytes(content)
        self.assertEqual(self.same_by_both(self.contents).metadata(), values)

    def test_a_third_copy_alone(self):
        content = bytearray(self.closed())
        content[:2 * BLOCK_BYTES] = bytes(2 * BLOCK_BYTES)
        self.image.write_bytes(content)
        self.on_image("check", status=CORRUPT)


class VnvramReadsPlain(VnvramReads):
    encrypted = False


class PythonReads(ImageCase):
    """What vnvram has made."""

    def make(self):
        self.create_by_vnvram("--blob", "tpm/permanent:some.type:64K", "--blob", "large:t:480K",
                              "--blob", f"filled:t:8K={self.file('content', b'from a file' * 100)}")
        self.contents = {"tpm/permanent": b"", "large": b"", "filled": b"from a file" * 100}

    def put(self, name, size, content=None):
        self.contents[name] = content or os.urandom(size)
        self.put_by_vnvram(name, self.contents[name])

    def test_what_was_created(self):
        self.make()
        image = self.same_by_both(self.contents)
        self.assertEqual(image.superblock.encrypted, self.encrypted)
        third = third_copy_block(image.content)
        self.assertTrue(layout.superblock_is_whole(device_block(image.content, third)))

    def test_what_was_put_and_removed(self):
        self.make()
        for name, size in (("large", 480000), ("tpm/permanent", 65536), ("large", 10), ("filled", 8000),
                           ("tpm/permanent", 5), ("large", 300000)):
            self.put(name, size)
            self.same_by_both(self.contents)
        self.on_image("rm", "large")
        del self.contents["large"]
        self.same_by_both(self.contents)

    def test_records_that_it_has_written(self):
        """All of them are still in the ring, whole, although they are in the homes as well."""
        self.make()
        for size in (5, 50000, 100):
            # Each byte differs from the one before it: a record has only what does.
            self.put("tpm/permanent", size, bytes([size % 256]) * size)
        image = self.python_image()
        ring = Ring(image.content, image.superblock, image.codec, image.geometry.page_count)
        found = {}
        for position in range(image.superblock.ring_block_count):
            if whole := ring.whole_at(position):
                record = open_record(image.codec, *whole, image.geometry.page_count * BLOCK_BYTES)
                found[record.sequence] = record
        newest = found[image.generation]
        first_page = image.blobs["tpm/permanent"].pages()[0] * BLOCK_BYTES
        self.assertIn((first_page, self.contents["tpm/permanent"]),
                      [(extent.offset_bytes, extent.content) for extent in newest.extents])
        self.assertGreaterEqual(len(found), 3)


class SlotsOfVnvram(ImageCase):
    """Those that it has made, of each kind."""

    def test_each_kind_opens(self):
        private, opaque = os.urandom(32), os.urandom(700)
        self.key_words += ("--key", f"passphrase:file:{self.file('phrase', b'a phrase')}",
                           "--key", f"public:{self.file('public.pem', keys.public_key_pem(private))}",
                           "--key", f"exec:cat,public={self.file('opaque', opaque)}")
        self.create_by_vnvram("--blob", f"blob:type:100={self.file('content', b'content')}")
        content = self.image.read_bytes()
        for holder in (self.holder, keys.PassphraseHolder(b"a phrase"), keys.PublicKeyHolder(private=private),
                       keys.ExternalHolder(lambda public: public)):
            image = Image(content, holder)
            self.assertEqual(image.get("blob"), b"content", holder.kind)
        self.assertEqual([slot.kind for slot in image.slots()], [1, 2, 3, 4])
        self.assertEqual(image.slots()[3].public_part, opaque)
        for holder in (keys.KeyHolder(os.urandom(32)), keys.PassphraseHolder(b"a phrase\n"),
                       keys.PublicKeyHolder(private=os.urandom(32)),
                       keys.ExternalHolder(lambda public: public[1:])):
            with self.assertRaisesRegex(Refused, "wrong key"):
                Image(content, holder)


class PythonReadsPlain(PythonReads):
    encrypted = False

    def test_what_its_owner_left_in_the_ring(self):
        self.make()
        for letter in "abc":
            with Owner(self, self.image, "tpm/permanent", 30000) as owner:
                for _ in range(3):
                    owner.commit(letter)
                owner.kill()
            self.contents["tpm/permanent"] = letter.encode() * 30000
            self.assertGreater(len(self.same_by_both(self.contents).records), 0)


if __name__ == "__main__":
    unittest.main()
