"""States that swtpm has made are taken over at the first start, whole or not at all."""

import pathlib
import unittest

from harness.vnvram import info, vnvram

from . import facts
from .case import SwtpmCase, loop_device
from .programs import SWTPM, content

IMAGE, VOLATILE = "tpm2-00.permall", "tpm2-00.volatilestate"
KEPT = ".swtpm"
DEVICE_SIZE_BYTES = 4 << 20
LINEAR_HEADER_BYTES = 192
# Of what libtpms says at its state's beginning, behind what swtpm puts around it.
MAGIC_BYTE = 25
SECRET = "a passphrase, longer than sixteen bytes"


class Takeover(SwtpmCase):

    def keys(self):
        """Each as an option, by what is special about it."""
        binary, hexadecimal = self.workspace.file("key"), self.workspace.file("key.hex")
        phrase = self.workspace.file("phrase")
        binary.write_bytes(bytes(range(32)))
        hexadecimal.write_text("0x" + bytes(range(100, 116)).hex() + "\n")
        phrase.write_text(SECRET)
        return {"binary, 256": f"file={binary},format=binary,mode=aes-256-cbc",
                "hex, 128": f"file={hexadecimal},format=hex,mode=aes-128-cbc",
                "pbkdf2": f"pwdfile={phrase},kdf=pbkdf2,mode=aes-256-cbc",
                "sha512": f"pwdfile={phrase},kdf=sha512,mode=aes-128-cbc"}

    def places(self):
        yield "folder", self.new_folder()
        yield "file", self.new_file(0)
        try:
            yield "device", pathlib.Path(loop_device(self, self.new_file(DEVICE_SIZE_BYTES)))
        except unittest.SkipTest as skip:
            print(skip, flush=True)

    def check_kept(self, place, before):
        """What swtpm had, byte for byte; `before` is content()."""
        if place.is_dir():
            now = content(place)
            self.assertEqual({name: now.get(name + KEPT) for name in before}, before)
            self.assertEqual(set(now) - {name + KEPT for name in before}, {IMAGE})
            return
        guard = content(place)[:4096]
        kept_offset, kept_size = (int.from_bytes(guard[at:at + 8], "little") for at in (272, 280))
        self.assertGreater(kept_size, LINEAR_HEADER_BYTES)
        self.assertEqual(content(place)[kept_offset:kept_offset + kept_size], before[:kept_size])
        # Of the sections of swtpm's file nothing that was used is missing.
        self.assertEqual(before[kept_size:].strip(b"\0"), b"")

    def check_taken(self, place, options=(), **made):
        before_facts = self.make_state(place, options, SWTPM, **made)
        before = content(place)
        volatile = made.get("volatile", False)
        tpm, client = self.power_on(place, options, starts_up=not volatile)
        kept = slice(None) if volatile else slice(2)
        self.assertEqual(facts.facts(client)[kept], before_facts[kept])
        client.must_increment()
        client.close()
        tpm.stop()
        self.check_kept(place, before)
        tpm, client = self.power_on(place, options)
        self.assertEqual((client.counter(), facts.key(client)),
                         (before_facts[0] + 1, before_facts[1]))
        client.close()
        tpm.stop()

    def test_plain(self):
        for name, place in self.places():
            with self.subTest(name):
                self.check_taken(place)
                image = place / IMAGE if place.is_dir() else place
                self.assertFalse(info(image)["encrypted"])
                self.check_clean(image)

    def test_where_a_link_is_forbidden(self):
        """By AppArmor, where libvirt confines it with its machine, or by the file system."""
        place = self.new_folder()
        before_facts = self.make_state(place)
        before = content(place)
        # The filter takes a call that strace has exchanged for one that it does not know.
        tpm = self.start(place, ("--seccomp", "action=none"),
                         before=("strace", "-D", "-f", "-o", self.workspace.log("strace"), "-e", "trace=linkat",
                                 "-e", "inject=linkat:error=EACCES"))
        self.assertEqual(self.init(tpm), 0, tpm.log_text())
        tpm.stop()
        self.assertIn("(INJECTED)", self.workspace.logs_text())
        self.check_kept(place, before)
        self.check_facts(place, before_facts)

    def test_full(self):
        for name, place in self.places():
            with self.subTest(name):
                self.check_taken(place, fills=True)

    def test_with_volatile_state(self):
        for name, place in self.places():
            with self.subTest(name):
                self.check_taken(place, volatile=True)

    def test_encrypted(self):
        for name, key in self.keys().items():
            for place in (self.new_folder(), self.new_file(0)):
                with self.subTest(f"{name}: {place.name}"):
                    self.check_taken(place, ("--key", key), volatile=name.startswith("pbkdf2"))
                    image = place / IMAGE if place.is_dir() else place
                    self.assertIn("swtpm", vnvram("key", "ls", image))

    def test_without_its_key_nothing_changes(self):
        keys = self.keys()
        right = keys["binary, 256"]
        for name, place in self.places():
            self.make_state(place, ("--key", right), SWTPM, volatile=True)
            for wrong in ((), ("--key", keys["pbkdf2"]), ("--key", keys["hex, 128"])):
                with self.subTest(f"{name}: {wrong}"):
                    self.check_refuses(place, wrong, says="not taken over")

    def test_with_a_key_that_it_has_not_nothing_changes(self):
        for name, place in self.places():
            with self.subTest(name):
                self.make_state(place, (), SWTPM)
                self.check_refuses(place, ("--key", self.keys()["pbkdf2"]), says="not taken over")

    def test_a_damaged_state_stays_as_it_is(self):
        for name, place in self.places():
            self.make_state(place, (), SWTPM, volatile=True)
            file = place / IMAGE if place.is_dir() else place
            whole = file.read_bytes()
            begin = 0 if place.is_dir() else LINEAR_HEADER_BYTES
            damages = {"state": (file, begin + MAGIC_BYTE), "length": (file, begin + 9)}
            if place.is_dir():
                damages["volatile"] = (place / VOLATILE, MAGIC_BYTE)
            for what, (damaged, at) in damages.items():
                with self.subTest(f"{name}: {what}"):
                    good = damaged.read_bytes()
                    self.overwrite(damaged, good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1:])
                    self.check_refuses(place, says="not taken over")
                    self.overwrite(damaged, good)
            self.assertEqual(file.read_bytes(), whole)
            tpm, _ = self.power_on(place, starts_up=False)
            tpm.kill()

    @staticmethod
    def overwrite(file, data):
        with open(file, "r+b") as there:
            there.write(data)


if __name__ == "__main__":
    unittest.main()
