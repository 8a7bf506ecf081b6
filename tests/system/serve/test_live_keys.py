"""Holders of keys come and go while a machine runs, and its owner hears nothing that is secret."""

import os
import subprocess

import nacl.pwhash

from cli.command import IN_USE, IO, NO_SPACE, NOT_FOUND, USAGE, WRONG_KEY
from harness.tpm_process import program
from independent import header_area
from independent.keys import EXTERNAL, PASSPHRASE, derive

from .encrypted_case import KEY, EncryptedCase
from .machine_case import Incrementer
from .recording_relay import RecordingRelay

OTHER_KEY = b"the key of somebody else, whom nobody guesses"
PASSPHRASE_WORDS = b"open sesame, and be quick"
MADE_KEY = b"made by a command out of what it is given: "
PUBLIC_PART = b"the public part"


class LiveKeys(EncryptedCase):
    def setUp(self):
        super().setUp()
        self.other = f"file:{self.file('other.key', OTHER_KEY)}"
        self.phrase = f"passphrase:file:{self.file('phrase', PASSPHRASE_WORDS)}"
        self.command = f"exec:printf '%s' '{MADE_KEY.decode()}'; cat"
        self.with_part = f"{self.command},public={self.file('part', PUBLIC_PART)}"
        self.private, self.public = self.path("escrow.key"), self.path("escrow.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", self.private], check=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public], check=True)

    def add(self, address, key, label):
        return self.vnvram("key", "add", address, "--new-key", key, "--label", label).decode()

    def opens(self, key):
        self.vnvram("check", self.image, "--key", key)

    def slots(self, image):
        return self.json("key", "ls", image)["slots"]

    def wrap_keys(self):
        """What seals the data key in the slots of the image, but the host's."""
        uuid = bytes.fromhex(self.json("info", self.image, *self.with_key)["uuid"].replace("-", ""))
        found = set()
        for slot in header_area.read_area(self.image.read_bytes(), header_area.KEYS_MAGIC, uuid).entries:
            secret = OTHER_KEY
            if slot.kind == PASSPHRASE:
                secret = nacl.pwhash.argon2id.kdf(32, PASSPHRASE_WORDS, slot.salt[:16], slot.passes,
                                                  slot.memory_kib * 1024)
            elif slot.kind == EXTERNAL:
                secret = MADE_KEY + PUBLIC_PART
            if slot.label.rstrip(b"\0") not in (b"host", b"escrow"):
                found.add(derive(secret, slot.salt, b"vnvram 1 key slot", 32))
        return found

    def test_holders_of_each_kind_come_while_the_machine_runs(self):
        machine = self.start_machine(*self.with_key)
        tpm = Incrementer(self.tpm(machine))
        holders = {"other": (self.other, self.other), "operator": (self.phrase, self.phrase),
                   "escrow": (f"public:{self.public}", f"file:{self.private}"),
                   "service": (self.with_part, self.command)}
        for number, (label, (new, _)) in enumerate(holders.items(), 1):
            self.assertTrue(self.add(machine.address, new, label).startswith(f"slot {number}: "))
            tpm.must_go_on(3)
        self.assertEqual([slot["label"] for slot in self.slots(machine.address)], ["host", *holders])
        self.assertEqual(self.slots(machine.address), self.slots(self.image))
        os.kill(machine.processes()["owner"], 9)
        tpm.must_go_on(5)
        count = tpm.stop()
        tpm.tpm.off()
        self.end(machine)
        for _, key in holders.values():
            self.opens(key)
        machine = self.start_machine("--key", f"file:{self.private}")
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), count)
        self.end(machine)

    def test_the_owner_and_its_socket_have_nothing_of_a_holders_secret(self):
        machine = self.start_machine(*self.with_key)
        self.tpm(machine)
        path = self.path("relay.sock")
        relay = RecordingRelay(path, machine.address.removeprefix("unix:"))
        self.addCleanup(relay.close)
        for key, label in ((self.other, "other"), (self.phrase, "operator"), (self.with_part, "service")):
            self.add(f"unix:{path}", key, label)
        self.assertIn(PUBLIC_PART, relay.recorded)  # It has come by here.
        wrap_keys = self.wrap_keys()
        self.assertEqual(len(wrap_keys), 3)
        secrets = {OTHER_KEY, PASSPHRASE_WORDS, MADE_KEY, *wrap_keys}
        self.assertEqual({secret for secret in secrets if secret in relay.recorded}, set())
        owner = machine.processes()["owner"]
        self.assertEqual(self.secrets_in(owner, {KEY, *secrets}), {KEY})
        self.end(machine)

    def test_what_opens_a_slot_is_exchanged_and_slots_go(self):
        machine = self.start_machine(*self.with_key)
        tpm = Incrementer(self.tpm(machine))
        self.add(machine.address, self.phrase, "operator")
        said = self.vnvram("key", "change", machine.address, "1", "--new-key", self.other).decode()
        self.assertEqual(said, 'slot 1: key "operator"\n')
        self.vnvram("key", "test", self.image, "--key", self.phrase, status=WRONG_KEY)
        self.vnvram("key", "test", self.image, "--key", self.other)
        self.vnvram("key", "change", machine.address, "9", "--new-key", self.other, status=NOT_FOUND)
        self.vnvram("key", "rm", machine.address, "9", status=NOT_FOUND)
        self.vnvram("key", "rm", machine.address, "1")
        self.vnvram("key", "test", self.image, "--key", self.other, status=WRONG_KEY)
        self.vnvram("key", "rm", machine.address, "0", status=USAGE, message="nobody can open")
        tpm.must_go_on(3)
        tpm.stop()
        tpm.tpm.off()
        self.end(machine)

    def test_nobody_is_asked_for_a_key_that_is_of_no_use(self):
        machine = self.start_machine(*self.with_key)
        asked = self.path("asked")
        new_key = ("--new-key", f"exec:touch {asked}; cat {self.file('other', OTHER_KEY)}")
        self.vnvram("key", "change", machine.address, "9", *new_key, status=NOT_FOUND)
        for number in range(1, 16):
            self.add(machine.address, f"public:{self.public}", f"escrow {number}")
        self.vnvram("key", "add", machine.address, *new_key, status=NO_SPACE)
        self.vnvram("hold", machine.address, "--seconds", "600")
        self.vnvram("key", "change", machine.address, "1", *new_key, status=IN_USE)
        self.vnvram("release", machine.address)
        self.assertFalse(asked.exists())
        self.vnvram("key", "change", machine.address, "1", *new_key)
        self.assertTrue(asked.exists())
        self.end(machine)

    def test_the_hosts_own_key_is_exchanged_and_the_next_owner_has_the_new_one(self):
        machine = self.start_machine(*self.with_key)
        tpm = Incrementer(self.tpm(machine))
        self.add(machine.address, self.other, "new")
        self.key.write_bytes(OTHER_KEY)
        self.vnvram("key", "rm", machine.address, "0")
        self.add(machine.address, f"public:{self.public}", "escrow")  # Its owner goes on without its slot.
        os.kill(machine.processes()["owner"], 9)
        tpm.must_go_on(5)
        self.vnvram("restart", machine.address)
        tpm.must_go_on(5)
        self.vnvram("key", "rotate", machine.address)
        tpm.stop()
        tpm.tpm.off()
        self.end(machine)
        self.opens(f"file:{self.private}")

    def test_the_last_one_goes_by_word_only(self):
        machine = self.start_machine(*self.with_key)
        self.vnvram("key", "rm", machine.address, "0", status=USAGE)
        self.vnvram("key", "rm", machine.address, "0", "--last")
        self.assertEqual(self.slots(machine.address), [])
        self.add(machine.address, self.other, "saved")
        self.opens(self.other)
        machine.stop()

    def test_who_opens_the_image_is_told_by_the_owner_alone(self):
        machine = self.start_machine(*self.with_key)
        before = self.slots(self.image)
        for words in (("add", machine.address), ("change", machine.address, "0")):
            self.vnvram("key", *words, "--new-key", self.other, *self.with_key, status=USAGE,
                        message="--key is for who opens the image")
        self.vnvram("key", "rotate", machine.address, *self.with_key, status=USAGE)
        self.vnvram("key", "add", machine.address, "--new-key", self.other, "--label", "a\nb", status=USAGE)
        self.vnvram("key", "add", machine.address, "--new-key", f"file:{self.path('missing')}", status=IO)
        self.assertEqual(self.slots(self.image), before)
        self.end(machine)

    def test_a_slot_that_comes_beside_exchanges_of_the_data_key_is_there(self):
        machine = self.start_machine(*self.with_key)
        tpm = Incrementer(self.tpm(machine))
        rotations = [subprocess.Popen([program("vnvram"), "key", "rotate", machine.address],
                                      stdout=subprocess.DEVNULL) for _ in range(3)]
        for number in range(1, 6):
            self.add(machine.address, f"public:{self.public}", f"escrow {number}")
        self.assertEqual([rotation.wait() for rotation in rotations], [0, 0, 0])
        tpm.must_go_on(3)
        tpm.stop()
        tpm.tpm.off()
        self.end(machine)
        self.assertEqual([slot["current"] for slot in self.slots(self.image)], 6 * [True])
        for number in range(5):
            self.vnvram("key", "rm", self.image, number)
        self.opens(f"file:{self.private}")
