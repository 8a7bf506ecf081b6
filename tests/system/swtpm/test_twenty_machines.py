"""A host with twenty machines, whose TPMs Debian's swtpm has made in libvirt's folders: all of them come to
us, whatever is cut meanwhile, and all go back. With VNVRAM_LONG_TESTS=1 in the environment (./dev prove)
swtpm_setup makes each of them, else only some."""

import hashlib
import os
import shutil
import unittest
import uuid

from harness.vnvram import info, vnvram

from .cut import CutCase
from .possessions import Tpm2, Tpm12
from .programs import OURS, SWTPM, content, setup

MACHINES = 20
SET_UP_EVERY = 1 if os.environ.get("VNVRAM_LONG_TESTS") else 5
# As libvirt has it; Proxmox adds --ecc, which is quick.
MANUFACTURE = ("--createek", "--create-ek-cert", "--create-platform-cert", "--lock-nvram")
SECRET = "a passphrase of libvirt's"
ALL_AREAS = 1000
AREAS = (0, 0, 1, 5, 10, ALL_AREAS)
CUTS = (("mkdirat", 1), ("fallocate", 1), ("pwritev2", 1), ("pwritev2", 30), ("fsync", 1), ("fchmod", 1),
        ("linkat", 1), ("renameat", 1), ("fsync", 2), ("unlinkat", 1), ("fdatasync", 1), ("unlinkat", 2),
        ("fsync", 3))


class Machine:
    """Its TPM's folder, and what is known of it."""

    def __init__(self, folder, number):
        self.folder = folder
        self.number = number
        self.tpm = Tpm12() if number == 7 else Tpm2()
        self.volatile = number in (3, 9, 14)
        self.options = ()
        self.image_options = ()
        self.key_words = ()
        self.made = {}

    @property
    def image(self):
        return self.folder / self.tpm.image

    def use_passphrase(self, file):
        """As libvirt hands it over."""
        file.write_text(SECRET)
        key = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), b"swtpm", 1000, 32)
        self._use_key(f"pwdfile={file}", file.with_suffix(".raw"), key)
        self.key_words = ("--pwdfile", file, "--cipher", "aes-256-cbc")

    def use_key(self, file):
        key = bytes(range(32))
        file.write_text(key.hex())
        self._use_key(f"file={file},format=hex", file.with_suffix(".raw"), key)
        self.key_words = ("--keyfile", file, "--cipher", "aes-256-cbc")

    def _use_key(self, word, raw, key):
        raw.write_bytes(key)
        self.options = ("--key", f"{word},mode=aes-256-cbc")
        self.image_options = ("--key", f"file:{raw}")


class TwentyMachines(CutCase):

    def machines(self):
        root = self.workspace.file("swtpm")
        for number in range(MACHINES):
            folder = root / str(uuid.UUID(int=number)) / "tpm2"
            folder.mkdir(parents=True)
            machine = Machine(folder, number)
            if number == 4:
                machine.use_passphrase(self.workspace.file("secret"))
            if number == 10:
                machine.use_key(self.workspace.file("key"))
            yield machine

    def on(self, machine, name=OURS, resumes=False):
        tpm = self.start(machine.folder, machine.options, name, version=machine.tpm.version)
        self.assertEqual(self.init(tpm, 1 if resumes else 0), 0, tpm.log_text())
        client = tpm.client()
        self.addCleanup(client.close)
        return tpm, client

    def make(self, machine):
        """By swtpm alone."""
        is_tpm2 = bool(machine.tpm.version)
        if machine.number % SET_UP_EVERY == 0 or not is_tpm2:
            words = MANUFACTURE + (("--ecc",) if machine.number else ()) if is_tpm2 else ("--createek",)
            code, said = setup("--tpm-state", machine.folder, *words, *machine.key_words,
                               name=shutil.which(SWTPM), version=machine.tpm.version)
            self.assertEqual(code, 0, said)
        tpm, client = self.on(machine, SWTPM)
        machine.tpm.start(client)
        is_fresh = machine.number % len(AREAS) == 1 and is_tpm2
        if not is_fresh:
            machine.tpm.use(client, machine.number + 1, AREAS[machine.number % len(AREAS)])
        machine.made = machine.tpm.possessions(client)
        if machine.volatile:
            self.assertEqual(self.result(tpm, 10), 0)
            tpm.kill()
        client.close()
        if not machine.volatile:
            tpm.stop()

    def check_mistake(self, machine):
        """swtpm on an image of ours."""
        before = content(machine.folder)
        tpm = self.start(machine.folder, machine.options, SWTPM, version=machine.tpm.version)
        self.assertNotEqual(self.init(tpm), 0)
        tpm.kill()
        self.assertEqual(content(machine.folder), before)

    def come(self, machine):
        """Returns whether its first start was cut."""
        was_cut = False
        if machine.number < 3 * MACHINES // 4:
            call, number = CUTS[machine.number % len(CUTS)]
            was_cut = self.cut(machine.folder, call, number, machine.options, machine.tpm.version)
            self.check_stock(machine.folder, machine.tpm.possessions, machine.made, machine.options,
                             machine.tpm.version)
        tpm, client = self.on(machine, resumes=machine.volatile)
        self.assertEqual(machine.tpm.possessions(client), machine.made)
        machine.made |= machine.tpm.count(client)
        client.close()
        tpm.stop()
        self.assertEqual(info(machine.image, *machine.image_options)["encrypted"],
                         bool(machine.options))
        self.check_mistake(machine)
        return was_cut

    def go_back(self, machine):
        """As docs/operations.md has it."""
        before = machine.folder.with_name("old")
        key = ("--swtpm-key", machine.options[1]) if machine.options else ()
        vnvram("export-swtpm", machine.image, before, *machine.image_options, *key)
        self.check_mistake(machine)
        machine.image.rename(machine.folder.with_name("image.nvram"))
        for file in before.iterdir():
            shutil.copy(file, machine.folder)
        tpm, client = self.on(machine, SWTPM)
        self.assertEqual(machine.tpm.possessions(client), machine.made)
        machine.tpm.count(client)
        client.close()
        tpm.stop()

    def test_all_of_them_come_and_go_back(self):
        machines = list(self.machines())
        for machine in machines:
            self.make(machine)
        cuts = 0
        for machine in machines:
            with self.subTest(machine.number):
                cuts += self.come(machine)
        self.assertGreater(cuts, MACHINES // 2)
        for machine in machines:
            with self.subTest(machine.number):
                self.go_back(machine)


if __name__ == "__main__":
    unittest.main()
