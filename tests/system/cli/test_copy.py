"""The same image at another place: plain, encrypted, damaged, to every kind of place."""

import os
import time

from harness.long_test import long_test
from harness.nbd_server import NbdServer
from harness.owner_process import OwnerProcess

from .command import ABSENT, BLANK, CORRUPT, EXISTS, FOREIGN, MIB, NO_SPACE, NOT_AT_ANCHOR, SEALED, USAGE, WRONG_KEY
from .copy_case import BLOCK, CopyCase
from .owner import Owner
from .places import PLACES, BlockDevice, File, run

RING_BLOCK = 22


class Copy(CopyCase):
    def test_a_plain_image(self):
        self.create("--tpm2", "--blob", "a:t:64K", "--blob", "never:t:1K", "--birth")
        self.vnvram("put", self.image, "a", "-", input=b"content")
        self.vnvram("meta", "set", self.image, "label", "mine")
        before = self.image.read_bytes()
        report = self.json("copy", self.image, self.out)
        self.assertEqual(self.image.read_bytes(), before)
        info = self.json("info", self.image)
        self.assertEqual(report, {"uuid": info["uuid"], "generation": info["generation"], "encrypted": False,
                                  "sealed": False, "checked": True, "readings": 1, "held": False, "problems": [],
                                  "guard_left_out": False,
                                  "image_size_bytes": info["image_size_bytes"] - 8 * BLOCK})
        self.must_be_the_same(self.image, self.out)
        self.assertEqual(self.out.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.out.stat().st_size, self.image.stat().st_size)
        self.vnvram("put", self.out, "a", "-", input=b"it goes on")

    def test_an_encrypted_one_needs_no_key(self):
        key = self.key()
        other = self.key("other", b"another key that nobody guesses")
        self.create("--blob", "a:t:64K", "--encrypt", *key, "--label", "host")
        self.vnvram("put", self.image, "a", "-", *key, input=b"a secret")
        self.vnvram("key", "add", self.image, *key, "--new-key", other[1], "--label", "other")
        text = self.vnvram("copy", self.image, self.out).decode()
        self.assertIn("checked without a key", text)
        self.assertEqual(self.json("key", "ls", self.out), self.json("key", "ls", self.image))
        for each in (key, other):
            self.must_be_the_same(self.image, self.out, *each)
        self.assertNotIn(b"a secret", self.out.read_bytes())
        self.assertTrue(self.json("copy", self.image, self.out, "--force", *key)["checked"])
        self.vnvram("copy", self.image, self.path("none"), *self.key("wrong", b"a key of somebody else"),
                    status=WRONG_KEY)
        self.assertNotIn("none", self.names())

    def test_a_sealed_one_is_sealed(self):
        self.vnvram("seal", self.create("--tpm2"))
        self.assertIn("sealed", self.vnvram("copy", self.image, self.out).decode())
        self.vnvram("register", self.out, "--blob", "a:t:1K", status=SEALED)
        self.must_be_the_same(self.image, self.out)

    def test_the_copy_is_at_the_images_anchor_until_one_goes_on(self):
        anchor = ("--anchor", f"file:{self.path('anchor')}")
        self.create("--blob", "a:t:1K", *anchor)
        self.vnvram("copy", self.image, self.out)
        self.vnvram("put", self.out, "a", "-", *anchor, input=b"it goes on here")
        self.vnvram("put", self.image, "a", "-", *anchor, input=b"and here", status=NOT_AT_ANCHOR)

    def test_what_is_there_is_not_written_over(self):
        self.create("--blob", "a:t:1K")
        other = self.path("other.nvram")
        self.vnvram("create", other, "--blob", "b:t:1K")
        before = other.read_bytes()
        self.vnvram("copy", self.image, other, status=EXISTS)
        foreign = self.file("foreign", b"something else" * 1000)
        for command in ("copy", "move", "export"):  # It is OUT that is wrong, not IMAGE.
            said = self.run_vnvram(command, self.image, foreign)
            self.assertEqual(said.returncode, EXISTS)
            self.assertTrue(said.stderr.startswith(f"vnvram: {foreign}: ".encode()), said.stderr)
        self.assertEqual(other.read_bytes(), before)
        self.vnvram("copy", self.image, self.image, status=USAGE)
        self.vnvram("copy", self.image, f"unix:{self.path('sock')}", status=USAGE)
        self.vnvram("copy", self.image, other, "--force")
        self.must_be_the_same(self.image, other)
        self.vnvram("copy", foreign, self.out, status=FOREIGN)
        self.vnvram("copy", self.file("blank", bytes(MIB)), self.out, status=BLANK)
        self.assertNotIn("out.nvram", self.names())

    def test_a_mistyped_device_is_no_file(self):
        """It would be in memory, and gone at the next boot."""
        self.create("--blob", "x:t:8K")
        for words in (("copy", self.image), ("create",)):
            self.vnvram(*words, "/dev/vnvram-test/no-such-volume", status=ABSENT)
            self.vnvram(*words, "/dev/no-such-volume", status=ABSENT, message="no such device")
            self.assertFalse(os.path.exists("/dev/no-such-volume"))

    def test_what_is_damaged_is_not_copied(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"x" * 60000)
        content = bytearray(self.image.read_bytes())
        at = content.rindex(b"x" * 4096)
        content[at + 7] ^= 1
        damaged = self.file("damaged", content)
        self.vnvram("check", damaged, status=CORRUPT)
        self.vnvram("copy", damaged, self.out, status=CORRUPT, message="it is damaged")
        self.assertNotIn("out.nvram", self.names())

    def test_a_log_that_is_damaged_in_its_middle(self):
        """Also where nobody has a key: an older generation would pass for the newest."""
        key = self.key()
        for options in ((), ("--encrypt", *key)):
            with self.subTest(options=options):
                self.vnvram("create", self.image, "--blob", "a:t:64K", *options, "--force")
                with Owner(self, self.image, "a", 5000) if not options else self.encrypted_owner(key) as owner:
                    for letter in "abc":
                        owner.commit(letter)
                    owner.kill()
                content = bytearray(self.image.read_bytes())
                records = [at for at in range(RING_BLOCK * BLOCK, len(content), BLOCK)
                           if content[at:at + 4] == b"NVRc"]
                self.assertGreaterEqual(len(records), 3)
                content[records[-2] + 200] ^= 1
                damaged = self.file("damaged", content)
                self.vnvram("copy", damaged, self.out, status=CORRUPT, message="damaged in the middle")
                self.assertNotIn("out.nvram", self.names())
                self.vnvram("copy", self.image, self.out, "--force")
                self.must_be_the_same(self.image, self.out, *(key if options else ()))
                self.out.unlink()

    def encrypted_owner(self, key):
        """Commits by an owner's socket, which is killed before it has brought its homes up to date."""
        case = self

        class Serving:
            def __enter__(self):
                self.owner = OwnerProcess(case.workspace, case.image, *key)
                case.addCleanup(self.owner.kill)
                return self

            def __exit__(self, *_):
                self.owner.kill()

            def commit(self, letter):
                case.vnvram("put", self.owner.address, "a", "-", input=letter.encode() * 5000)

            def kill(self):
                self.owner.kill()

        return Serving()

    def test_sizes(self):
        self.create("--blob", "a:t:1K", "--size", "3M")
        self.vnvram("copy", self.image, self.out, "--size", "8M")
        self.assertEqual(self.out.stat().st_size, 8 * MIB)
        self.must_be_the_same(self.image, self.out)
        self.vnvram("resize", self.out)
        self.vnvram("check", self.out)
        self.assertGreater(self.json("info", self.out)["image_size_bytes"], 7 * MIB)
        self.vnvram("copy", self.image, self.path("small"), "--size", "1M", status=NO_SPACE)
        self.assertNotIn("small", self.names())

    def test_a_blank_file_stays_as_large_as_it_was_made(self):
        self.create("--blob", "a:t:1K", "--size", "3M")
        self.file(self.out.name, bytes(8 * MIB))
        self.vnvram("copy", self.image, self.out)
        self.assertEqual(self.out.stat().st_size, 8 * MIB)
        self.vnvram("copy", self.image, self.out, "--force", "--size", "4M")
        self.assertEqual(self.out.stat().st_size, 4 * MIB)
        self.must_be_the_same(self.image, self.out)

    def test_at_a_rate(self):
        """It is slower than that on no machine: after a second's worth the rest comes at the rate."""
        self.create("--blob", "a:t:1K", "--size", "6M", "--ring-size", "64K")
        before = time.monotonic()
        self.vnvram("copy", self.image, self.out, "--rate-bytes", "2M")
        self.assertGreater(time.monotonic() - before, 1)
        self.must_be_the_same(self.image, self.out)

    def test_a_superblock_that_is_lost_is_said(self):
        key = self.key()
        for options in ((), ("--encrypt", *key)):
            with self.subTest(options=options):
                self.vnvram("create", self.image, "--blob", "a:t:1K", *options, "--force")
                content = bytearray(self.image.read_bytes())
                content[100] ^= 1
                self.image.write_bytes(content)
                report = self.json("copy", self.image, self.out, "--force")
                self.assertEqual(len(report["problems"]), 1)
                self.assertIn("superblock A", report["problems"][0])
                text = self.vnvram("copy", self.image, self.out, "--force").decode()
                self.assertIn("note: as in IMAGE, superblock A", text)
                self.vnvram("repair", self.out, *(key if options else ()))
                self.must_be_the_same(self.out, self.out, *(key if options else ()))


class OneStorage(CopyCase):
    """IMAGE and OUT are the same by roads that their names do not show."""

    def must_be_refused(self, image, out):
        before, inode = self.image.read_bytes(), self.image.stat().st_ino
        self.vnvram("copy", image, out, "--force", status=USAGE, message="same storage")
        self.assertEqual((self.image.read_bytes(), self.image.stat().st_ino), (before, inode))

    def test_by_a_loop_device(self):
        place = BlockDevice(self)
        self.addCleanup(place.end)
        self.image = place.raw
        self.vnvram("create", place.location, "--blob", "a:t:64K")
        self.vnvram("put", place.location, "a", "-", input=b"what would be lost")
        other = run("losetup", "--find", "--show", self.image)
        self.addCleanup(run, "losetup", "--detach", other)
        self.must_be_refused(self.image, place.location)
        self.must_be_refused(other, place.location)
        self.must_be_refused(place.location, self.image)
        self.assertEqual(self.vnvram("get", place.location, "a"), b"what would be lost")

    def test_by_exports(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"what would be lost")
        servers = [NbdServer(self.workspace, "nbdkit", self.image) for _ in range(2)]
        for server in servers:
            self.addCleanup(server.kill)
        self.must_be_refused(self.image, servers[0].uri)
        self.must_be_refused(servers[0].uri, servers[1].uri)
        self.must_be_refused(servers[0].uri, self.image)
        self.assertEqual(self.vnvram("get", self.image, "a"), b"what would be lost")

    def test_by_its_owners_socket(self):
        self.create("--blob", "a:t:64K")
        servers = [NbdServer(self.workspace, "nbdkit", self.image) for _ in range(2)]
        for server in servers:
            self.addCleanup(server.kill)
        owner = OwnerProcess(self.workspace, servers[0].uri)
        self.addCleanup(owner.kill)
        self.vnvram("put", owner.address, "a", "-", input=b"what would be lost")
        for out in (servers[1].uri, self.image):
            self.vnvram("copy", owner.address, out, "--force", status=USAGE, message="same storage")
        self.vnvram("put", owner.address, "a", "-", input=b"it goes on")
        owner.stop()
        self.assertEqual(self.vnvram("get", self.image, "a"), b"it goes on")


class Target(CopyCase):
    def test_a_good_image_stays_if_the_other_one_is_damaged(self):
        place = BlockDevice(self)
        self.addCleanup(place.end)
        self.image = self.path("source.nvram")
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"x" * 60000)
        self.vnvram("copy", self.image, place.location)
        content = bytearray(self.image.read_bytes())
        content[content.rindex(b"x" * 4096) + 7] ^= 1
        damaged = self.file("damaged", content)
        before = place.content()
        self.vnvram("copy", damaged, place.location, "--force", status=CORRUPT, message="it is damaged")
        self.assertEqual(place.content(), before)
        self.vnvram("copy", self.image, place.location, "--force")
        self.must_be_the_same(self.image, place.location)


class EveryPlace(CopyCase):
    def test_from_and_to_every_place(self):
        self.between_all([(place, File) for place in PLACES] + [(File, place) for place in PLACES if place is not File])

    @long_test
    def test_between_all_others(self):
        self.between_all([(source, target) for source in PLACES for target in PLACES if File not in (source, target)])

    def between_all(self, pairs):
        for source_class, target_class in pairs:
            with self.subTest(source=source_class.name, target=target_class.name):
                self.between(source_class, target_class)

    def between(self, source_class, target_class):
        case = type(self)("between")
        case.setUp()
        try:
            source = source_class(case)
            case.addCleanup(source.end)
            other = type(self)("between")
            other.setUp()
            case.addCleanup(other.doCleanups)
            target = target_class(other)
            case.addCleanup(target.end)
            case.vnvram("create", source.location, "--blob", "a:t:64K")
            case.vnvram("put", source.location, "a", "-", input=b"from place to place")
            case.vnvram("copy", source.location, target.location)
            case.must_be_the_same(source.location, target.location)
        finally:
            case.doCleanups()
