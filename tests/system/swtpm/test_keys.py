"""--key: an encrypted image, which opens with this key and with no other."""

import hashlib
import json
import subprocess
import unittest

from harness.tpm_process import program
from harness.vnvram import vnvram

from .case import SwtpmCase
from .programs import OURS, SWTPM, content

IMAGE = "tpm2-00.permall"


class Keys(SwtpmCase):

    def setUp(self):
        super().setUp()
        self.key = self.workspace.file("key")
        self.key.write_bytes(bytes(range(32)))
        self.options = ("--key", f"file={self.key},format=binary,mode=aes-256-cbc")

    def other_options(self):
        short, other = self.workspace.file("short"), self.workspace.file("other")
        short.write_bytes(bytes(range(16)))
        other.write_bytes(bytes(range(1, 33)))
        return ((), ("--key", f"file={other},format=binary,mode=aes-256-cbc"),
                ("--key", f"file={short},format=binary,mode=aes-128-cbc"),
                ("--key", f"pwdfile={other},mode=aes-256-cbc"))

    def test_an_image_is_encrypted_with_it(self):
        for place in (self.new_folder(), self.new_file(0)):
            with self.subTest(place.name):
                made = self.make_state(place, self.options, OURS)
                image = place / IMAGE if place.is_dir() else place
                self.assertIn("swtpm", vnvram("key", "ls", image))
                told = json.loads(vnvram("info", "--json", image, "--key", f"file:{self.key}"))
                self.assertTrue(told["encrypted"])
                self.check_facts(place, made, self.options)
                for options in self.other_options():
                    self.check_refuses(place, options)
                self.check_facts(place, made, self.options)

    def test_a_passphrase_makes_the_key_that_swtpm_makes(self):
        """What comes of it, opens the image, too."""
        phrase = self.workspace.file("phrase")
        phrase.write_text("a passphrase")
        keys = {"pbkdf2": hashlib.pbkdf2_hmac("sha512", b"a passphrase", b"swtpm", 1000, 32),
                "sha512": hashlib.sha512(b"a passphrase").digest()[:32]}
        for kdf, key in keys.items():
            place = self.new_folder()
            options = ("--key", f"pwdfile={phrase},kdf={kdf},mode=aes-256-cbc")
            made = self.make_state(place, options, OURS)
            self.check_refuses(place, self.options)
            self.key.write_bytes(key)
            self.check_facts(place, made, self.options)
            self.key.write_bytes(bytes(32))

    def test_it_is_given_back_by_the_key_alone(self):
        """Whoever has swtpm's key has no other."""
        place, out = self.new_folder(), self.workspace.file("out")
        made = self.make_state(place, self.options, OURS)
        vnvram("export-swtpm", place / IMAGE, out, "--swtpm-key", self.options[1])
        self.check_facts(out, made, self.options, SWTPM)

    def test_a_plain_image_is_refused_where_a_key_is_given(self):
        """Whoever gives one counts on its being encrypted."""
        place = self.new_folder()
        made = self.make_state(place, (), OURS)
        self.check_refuses(place, self.options, says="not encrypted")
        self.check_facts(place, made)

    def test_nothing_of_the_tpm_is_readable_without_it(self):
        place = self.new_folder()
        self.make_state(place, self.options, OURS)
        done = subprocess.run([program("vnvram"), "ls", place / IMAGE], capture_output=True,
                              text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 15, done.stderr)
        self.assertNotIn(b"tpm2.permanent", content(place)[IMAGE])


if __name__ == "__main__":
    unittest.main()
