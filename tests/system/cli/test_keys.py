"""`vnvram key`, `vnvram meta` and `vnvram erase`, as an operator uses them."""

import os
import signal
import subprocess
import unittest

from harness.terminal import Terminal
from harness.tpm_process import program
from .command import (FOREIGN, IN_USE, IO, KEY_NEEDED, NO_SPACE, NOT_FOUND, OK, TOO_LARGE, USAGE, WRONG_KEY,
                      Case)
from .owner import Owner

SLOTS_AT, SLOTS_END = 2 * 4096, 10 * 4096


def at_terminal(*words):
    return Terminal(program("vnvram"), *words)


class Keys(Case):
    def setUp(self):
        super().setUp()
        self.key = self.file("a.key", b"the key of a: 16 bytes or more")
        self.other = self.file("b.key", b"the key of b: 16 bytes or more")
        self.phrase = self.file("phrase", b"open sesame\n")
        self.create("--encrypt", "--key", f"file:{self.key}", "--label", "host")
        self.with_key = ("--key", f"file:{self.key}")

    def add(self, new_key, *options, **expected):
        return self.vnvram("key", "add", self.image, *self.with_key, "--new-key", new_key, *options, **expected)

    def try_key(self, key, **expected):
        return self.vnvram("key", "test", self.image, "--key", key, **expected)

    def test_slots_are_added_listed_exchanged_and_removed(self):
        self.assertEqual(self.add(f"passphrase:file:{self.phrase}", "--label", "operator"),
                         b'slot 1: passphrase "operator"\n')
        self.assertEqual(self.try_key(f"passphrase:file:{self.phrase}"), b'slot 1: passphrase "operator"\n')
        slots = self.json("key", "ls", self.image)["slots"]
        self.assertEqual([(slot["number"], slot["kind"], slot["label"], slot["current"]) for slot in slots],
                         [(0, "key", "host", True), (1, "passphrase", "operator", True)])
        self.assertGreater(slots[0]["created_seconds"], 1700000000)
        self.assertGreaterEqual(slots[1]["memory_kib"], 65536)
        self.assertIn(b'operator', self.vnvram("key", "ls", self.image))
        self.vnvram("key", "change", self.image, "0", *self.with_key, "--new-key", f"file:{self.other}")
        self.try_key(f"file:{self.key}", status=WRONG_KEY, message='slot 0: key "host"')
        self.try_key(f"file:{self.other}")
        self.vnvram("key", "rm", self.image, "1")
        self.try_key(f"passphrase:file:{self.phrase}", status=WRONG_KEY)
        self.vnvram("key", "rm", self.image, "0", status=USAGE, message="vnvram key add")
        self.vnvram("key", "rm", self.image, "1", status=NOT_FOUND)
        self.vnvram("key", "rm", self.image, "0", "--last")
        self.try_key(f"file:{self.other}", status=WRONG_KEY, message="erased")

    def test_the_image_may_stand_behind_what_can_be_repeated(self):
        """Of each such option one word is its value, whatever option comes after that."""
        self.vnvram("create", *self.with_key, self.image, "--encrypt", "--force")
        self.vnvram("create", "--blob", "a:t:1K", self.image, *self.with_key, "--encrypt", "--force")
        self.vnvram("create", *self.with_key, "--encrypt", "--label", "host", self.image, "--force")
        self.vnvram("info", *self.with_key, self.image, "--json")
        self.vnvram("key", "add", "--new-key", f"file:{self.other}", self.image, *self.with_key)
        self.vnvram("key", "rotate", "--without", "1", self.image, *self.with_key)
        self.try_key(f"file:{self.other}", status=WRONG_KEY)

    def key_pair(self):
        private, public = self.path("private.pem"), self.path("public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return private, public

    def test_an_anchor_is_not_begun_for_an_image_that_public_keys_alone_open(self):
        """It is opened to write that; whoever has a private key accepts it where that is."""
        private, public = self.key_pair()
        image, anchor = self.path("new.nvram"), self.path("anchor")
        words = (image, "--encrypt", "--key", f"public:{public}")
        anchored = ("--anchor", f"file:{anchor}")
        self.vnvram("create", *words, *anchored, status=USAGE, message="vnvram anchor accept")
        self.assertFalse(image.exists() or anchor.exists())
        self.vnvram("create", *words)
        self.vnvram("anchor", "accept", image, *anchored, "--key", f"file:{private}")
        self.vnvram("anchor", "verify", image, *anchored, "--key", f"file:{private}")
        anchor.unlink()
        self.vnvram("create", *words, "--force", *anchored, *self.with_key)
        self.vnvram("anchor", "verify", image, *anchored, "--key", f"file:{private}")

    def test_a_public_key_and_its_private_half(self):
        private, public = self.key_pair()
        self.add(f"public:{public}", "--label", "escrow")
        self.assertEqual(self.try_key(f"file:{private}"), b'slot 1: public "escrow"\n')
        self.add(f"file:{private}", status=USAGE, message="public:PATH")
        self.add(f"public:{private}", status=USAGE, message="private key")

    def test_a_command_of_the_operators(self):
        part = self.file("part", b"the public part")
        self.add(f"exec:printf 'made of '; cat,public={part}")
        self.try_key("exec:printf 'made of '; cat")
        self.try_key("exec:printf 'not made of '; cat", status=WRONG_KEY)
        self.try_key("exec:exit 3", status=IO, message="ended with 3")

    def test_a_passphrase_is_asked_for_and_not_shown(self):
        adding = at_terminal("key", "add", self.image, *self.with_key, "--new-key", "passphrase")
        adding.answer(f"New passphrase of {self.image}: ".encode(), b"open sesame\n")
        adding.answer(b"The same again: ", b"open sesame\n")
        said, status = adding.end()
        self.assertEqual(status, OK, said)
        self.assertNotIn(b"sesame", said)
        self.try_key(f"passphrase:file:{self.phrase}")
        trying = at_terminal("key", "test", self.image, "--key", "passphrase")
        trying.answer(f"Passphrase of {self.image}: ".encode(), b"open sesame\n")
        said, status = trying.end()
        self.assertEqual(status, OK, said)
        self.assertNotIn(b"sesame", said)

    def test_two_passphrases_that_differ_add_nothing(self):
        adding = at_terminal("key", "add", self.image, *self.with_key, "--new-key", "passphrase")
        adding.answer(b": ", b"open sesame\n")
        adding.answer(b"The same again: ", b"open sesamy\n")
        self.assertEqual(adding.end()[1], USAGE)
        self.assertEqual(len(self.json("key", "ls", self.image)["slots"]), 1)

    def test_who_interrupts_the_question_finds_the_terminal_as_it_was(self):
        self.add(f"passphrase:file:{self.phrase}")
        asked = at_terminal("key", "test", self.image, "--key", "passphrase")
        asked.wait_for(b": ")
        self.assertFalse(asked.shows_what_is_typed())
        os.write(asked.terminal, b"half a pass\x03")
        said, status = asked.end()
        self.assertEqual(status, -signal.SIGINT, said)
        self.assertTrue(asked.shown_at_the_end)

    def test_without_a_terminal_nothing_hangs(self):
        self.add(f"passphrase:file:{self.phrase}")
        self.vnvram("key", "test", self.image, "--key", "passphrase", status=KEY_NEEDED,
                    message="passphrase:fd:N", start_new_session=True)

    def test_a_key_that_comes_by_descriptor_and_one_that_is_removed(self):
        with open(self.key, "rb") as key:
            self.vnvram("key", "test", self.image, "--key", f"fd:{key.fileno()}", pass_fds=[key.fileno()])
        self.try_key(f"file:{self.key},remove")
        self.assertFalse(self.key.exists())

    def test_a_descriptor_that_was_not_given_is_none_of_our_own(self):
        for number in range(3, 12):
            self.vnvram("key", "test", self.image, "--key", f"fd:{number}", status=USAGE,
                        message=f"descriptor {number}")

    def test_what_is_no_key(self):
        self.vnvram("key", "test", self.image, status=KEY_NEEDED, message='slot 0: key "host"')
        done = self.run_vnvram("key", "test", self.image, "--key", "my secret")
        self.assertEqual(done.returncode, USAGE)
        self.assertNotIn(b"secret", done.stderr)
        self.try_key(f"file:{self.path('missing')}", status=IO)
        self.add(f"file:{self.other}", "--label", "two\nlines", status=USAGE)
        self.vnvram("key", "add", self.image, *self.with_key, status=USAGE, message="--new-key")

    def test_plain_images_have_no_keys(self):
        plain = self.path("plain.nvram")
        self.vnvram("create", plain)
        self.vnvram("key", "ls", plain, status=USAGE, message="not encrypted")
        self.vnvram("erase", plain, "--erase-all-keys", status=USAGE, message="not encrypted")
        self.vnvram("key", "ls", self.key, status=FOREIGN)

    def test_erased_keys_open_nothing(self):
        self.vnvram("erase", self.image, status=USAGE, message="--erase-all-keys")
        self.try_key(f"file:{self.key}")
        said = self.vnvram("erase", self.image, "--erase-all-keys")
        self.assertIn(b"snapshots", said)
        self.assertEqual(self.image.read_bytes()[SLOTS_AT:SLOTS_END], bytes(SLOTS_END - SLOTS_AT))
        self.try_key(f"file:{self.key}", status=WRONG_KEY, message="erased")
        self.assertEqual(self.json("key", "ls", self.image), {"slots": []})


class Metadata(Case):
    def setUp(self):
        super().setUp()
        self.create("--blob", "eeprom:test:100")

    def names(self):
        return [each["name"] for each in self.json("meta", "ls", self.image)["metadata"]]

    def test_names_and_values(self):
        self.assertEqual(self.names(), [])
        self.vnvram("meta", "set", self.image, "owner", "team seven")
        self.vnvram("meta", "set", self.image, "bytes", "--file", "-", input=b"\x00\xff\n")
        self.assertEqual(self.vnvram("meta", "get", self.image, "bytes"), b"\x00\xff\n")
        self.assertEqual(self.vnvram("meta", "get", self.image, "owner"), b"team seven")
        self.assertEqual(self.names(), ["bytes", "owner"])
        self.assertIn(b"\\x00\\xff\\x0a", self.vnvram("meta", "ls", self.image))
        self.vnvram("meta", "set", self.image, "owner", "")
        self.assertEqual(self.vnvram("meta", "get", self.image, "owner"), b"")
        self.vnvram("meta", "rm", self.image, "owner")
        self.assertEqual(self.names(), ["bytes"])
        self.assertEqual([blob["name"] for blob in self.json("ls", self.image)["blobs"]], ["eeprom"])

    def test_what_cannot_be(self):
        self.vnvram("meta", "get", self.image, "owner", status=NOT_FOUND, message="vnvram meta ls")
        self.vnvram("meta", "rm", self.image, "owner", status=NOT_FOUND)
        self.vnvram("meta", "set", self.image, "no good name", "x", status=USAGE)
        self.vnvram("meta", "set", self.image, "owner", status=USAGE, message="VALUE or --file")
        self.vnvram("meta", "set", self.image, "owner", "x", "--file", "-", status=USAGE)
        self.vnvram("meta", "set", self.image, "owner", "--file", "-", input=bytes(4097), status=TOO_LARGE)
        for name in "abc":
            self.vnvram("meta", "set", self.image, name, "--file", "-", input=bytes(4096))
        self.vnvram("meta", "set", self.image, "d", "--file", "-", input=bytes(4096), status=NO_SPACE)
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_an_image_in_use_is_read_and_not_changed(self):
        with Owner(self, self.image):
            self.vnvram("meta", "set", self.image, "owner", "x", status=IN_USE)
            self.assertEqual(self.names(), [])
        self.vnvram("meta", "set", self.image, "owner", "x")


if __name__ == "__main__":
    unittest.main()
