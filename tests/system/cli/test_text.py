"""What comes from an image, a server or a name must not steer the terminal it is shown on; and a
blob may be called anything that the format allows, options' names included."""

import json
import re

from .command import Case, NOT_FOUND, USAGE
from .superblocks import edit_superblocks

OWNER_HOST_AT, CREATOR_AT, TEXT_BYTES = 152, 216, 64
# ESC, DEL, a C1 character (CSI) in UTF-8 and as one byte, and what is no UTF-8.
HOSTILE = b"\x1b[31m\x7f\xc2\x9b2J\x9bK\xc3\xa4\xff"
CONTROLS = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
NAMES = ("--", "-", "-x", "-h", "-o", "--help", "--help-all", "--version", "--json",
         "--image-key", "-/+@._")


class TerminalTest(Case):
    def hostile_image(self):
        self.create("--blob", "a:t:1K")
        content = bytearray(self.image.read_bytes())
        for offset in (OWNER_HOST_AT, CREATOR_AT):
            edit_superblocks(content, offset, HOSTILE.ljust(TEXT_BYTES, b"\0"))
        # As after a crash: the owner's name is shown.
        edit_superblocks(content, 124, bytes(4))
        edit_superblocks(content, 144, b"\x01\0\0\0")
        self.image.write_bytes(content)

    def test_no_command_prints_what_an_image_says_as_it_is(self):
        self.hostile_image()
        for words in (("info",), ("dump",), ("ls",), ("check",), ("repair", "--dry-run")):
            for options in ((), ("--json",)):
                done = self.run_vnvram(*words, self.image, *options)
                for said in (done.stdout, done.stderr):
                    self.assertEqual(CONTROLS.findall(said), [], (words, options, said))
                    said.decode("ascii")

    def test_json_says_the_same_text_with_escapes(self):
        self.hostile_image()
        said = self.vnvram("dump", self.image, "--json")
        self.assertIn(rb"\u001b[31m\u007f\u009b2J", said)
        self.assertEqual(json.loads(said)["superblocks"][0]["creator"],
                         "\x1b[31m\x7f\x9b2J�Kä�")

    def test_messages_quote_without_controls(self):
        name = self.path("\x1b[31mred\x7f\x9bäöü")
        for words in (("ls", name), ("get", name, "a"), ("create", self.path("x"), "--blob", name)):
            done = self.run_vnvram(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(CONTROLS.findall(done.stderr), [], done.stderr)
            self.assertIn("\\x1b[31mred\\x7f\\xc2\\x9bäöü".encode(), done.stderr)


class BlobNameTest(Case):
    def create_all(self):
        self.create(*(f"--blob={name}:t:1K" for name in NAMES))

    def test_every_command_takes_every_name_after_two_dashes(self):
        self.create_all()
        self.assertEqual({blob["name"] for blob in self.json("ls", self.image)["blobs"]},
                         set(NAMES))
        for name in NAMES:
            content = name.encode() * 3
            file = self.file("content", content)
            self.vnvram("put", self.image, "--", name, file)
            self.assertEqual(self.vnvram("get", self.image, "--", name), content)
            self.vnvram("put", "--", self.image, name, "-", input=content[1:])
            self.assertEqual(self.vnvram("get", "--", self.image, name), content[1:])
            self.vnvram("get", "-o", self.path("out"), "--", self.image, name)
            self.assertEqual(self.path("out").read_bytes(), content[1:])
        for name in NAMES:
            self.vnvram("rm", self.image, "--", name)
            self.vnvram("get", self.image, "--", name, status=NOT_FOUND)
        self.assertEqual(self.json("ls", self.image)["blobs"], [])

    def test_they_are_registered_by_either_way_of_writing_an_option(self):
        self.create()
        for name in NAMES:
            self.vnvram("register", self.image, f"--blob={name}:t:1K")
        self.vnvram("register", self.image, "--blob", "-second:t:1K")
        self.vnvram("size", "--blob=-x:t:1K")
        self.assertEqual(len(self.json("ls", self.image)["blobs"]), len(NAMES) + 1)

    def test_help_is_not_taken_for_a_blob_nor_a_blob_for_help(self):
        """A script that gets its blob's name from elsewhere must not get the help as its content."""
        self.create_all()
        file = self.file("content", b"x")
        for option in ("--help", "-h", "--help-all"):
            for words in (("get", self.image, option), ("rm", self.image, option),
                          ("put", self.image, option, file), ("get", self.image, "-x", option)):
                done = self.run_vnvram(*words)
                self.assertEqual((done.returncode, done.stdout), (USAGE, b""), words)
                self.assertIn(b" -- ", done.stderr.replace(b"--;", b"-- ;"))
        for command in ("get", "put", "rm"):
            self.assertIn(f"vnvram {command}".encode(), self.vnvram(command, "--help"))
        self.assertIn(b"vnvram ls", self.vnvram("ls", self.image, "--help"))

    def test_a_name_without_the_dashes_says_how(self):
        self.create_all()
        self.vnvram("get", self.image, "-x", status=USAGE, message="is written after --")
