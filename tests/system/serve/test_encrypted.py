"""An encrypted image that a whole machine is served from: who has its key opens it, and only the owner
ever has one."""

import os
import pathlib
import re
import subprocess

import nbd

from cli.command import KEY_NEEDED, NOT_FOUND, UNSUPPORTED, USAGE, WRONG_KEY
from harness.child import PATIENCE_SECONDS
from harness.owner_process import OwnerProcess
from harness.tpm_process import TpmProcess
from nbdkit.nbdkit_case import BLOBS

from .counting_clients import DurableClient
from .encrypted_case import KEY, EncryptedCase
from .machine_case import Incrementer

class EncryptedMachine(EncryptedCase):
    def test_it_is_served_as_any_other(self):
        machine = self.start_machine(*self.with_key)
        tpm = self.tpm(machine)
        client = self.connect(machine, "eeprom")
        client.pwrite(b"a secret of the machine", 0, nbd.CMD_FLAG_FUA)
        value = tpm.client.counter()
        self.assertTrue(self.json("info", machine.address)["encrypted"])
        self.vnvram("check", machine.address)
        tpm.off()
        self.end(machine)
        self.assertEqual(self.stored("eeprom")[:23], b"a secret of the machine")
        self.assertNotIn(b"a secret", self.image.read_bytes())
        machine = self.start_machine(*self.with_key)
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), value)
        self.end(machine)

    def test_without_its_key_nothing_is_served_and_nothing_changes(self):
        before = self.image.read_bytes()
        other = self.path("other.key")
        other.write_bytes(b"somebody else's key, as long")
        for options, status in (((), KEY_NEEDED), (("--key", f"file:{other}"), WRONG_KEY)):
            owner = OwnerProcess(self.workspace, self.image, *options, starts=False)
            done = subprocess.run(owner.argv, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn('key "host"', done.stderr)
        self.assertEqual(self.image.read_bytes(), before)

    def test_a_program_for_one_device_has_a_key_as_well(self):
        server = self.serve(f"key=file:{self.key}")
        client = self.connect(server, "eeprom")
        client.pwrite(b"a secret of the machine", 0, nbd.CMD_FLAG_FUA)
        client.shutdown()
        self.clients.clear()
        server.stop()
        self.assertEqual(self.stored("eeprom")[:8], b"a secret")
        tpm = TpmProcess(self.workspace, self.image, options=self.with_key)
        self.children.append(tpm)
        machine = self.tpm(tpm)
        value = machine.client.counter()
        machine.off()
        tpm.stop()
        self.must_be_clean()
        tpm = TpmProcess(self.workspace, self.image, options=self.with_key)
        self.children.append(tpm)
        self.assertEqual(self.tpm(tpm, defines=False).client.counter(), value)

    def test_a_plain_image_in_its_place_is_refused(self):
        plain = self.path("plain.nvram")
        self.vnvram("create", plain, "--tpm2", *BLOBS)
        before = plain.read_bytes()
        owner = OwnerProcess(self.workspace, plain, *self.with_key, starts=False)
        done = subprocess.run(owner.argv, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, WRONG_KEY, done.stderr)
        self.vnvram("get", plain, "eeprom", *self.with_key, status=WRONG_KEY, message="not encrypted")
        self.assertEqual(plain.read_bytes(), before)

    def test_an_owner_that_dies_is_followed_by_one_that_has_the_key(self):
        """Also of a file that is removed once it was read, and of a descriptor."""
        for remove in (True, False):
            words = ("--key", f"file:{self.key},remove") if remove else self.with_key
            machine = self.start_machine(*words)
            self.assertEqual(self.key.exists(), not remove)
            tpm = Incrementer(self.tpm(machine, defines=remove))
            flash = DurableClient(machine.socket, b"nvram")
            for _ in range(3):
                os.kill(machine.processes()["owner"], 9)
                tpm.must_go_on(5)
                flash.must_go_on(5, seconds=PATIENCE_SECONDS)
            self.vnvram("restart", machine.address)
            tpm.must_go_on(5)
            tpm.stop()
            tpm.tpm.off()
            flash.stop()
            self.key.write_bytes(KEY)
            self.end(machine)

    def test_only_the_owner_has_a_key(self):
        machine = self.start_machine(*self.with_key)
        self.tpm(machine)
        processes = machine.processes()
        data_key = self.data_key()
        purposes = self.purpose_keys(data_key)
        secrets = {KEY, data_key, *purposes}
        owner = processes.pop("owner")
        found = self.secrets_in(owner, secrets)
        self.assertLessEqual({KEY, data_key}, found)
        self.assertTrue(found & purposes)  # So this is how one would be found elsewhere.
        for name, pid in (*processes.items(), ("supervisor", machine.pid)):
            self.assertEqual(self.secrets_in(pid, secrets), set(), name)
        limits = pathlib.Path(f"/proc/{owner}/limits").read_text("ascii")
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        status = pathlib.Path(f"/proc/{owner}/status").read_text("ascii")
        self.assertGreater(int(re.search(r"^VmLck:\s+(\d+) kB", status, re.M)[1]), 0)
        self.end(machine)

    def test_an_old_data_key_is_in_no_process_any_more(self):
        machine = self.start_machine(*self.with_key)
        self.tpm(machine)
        old = self.data_key()
        self.vnvram("key", "rotate", machine.address)
        new = self.data_key()
        self.assertNotEqual(new, old)
        processes = machine.processes()
        gone = {old, *self.purpose_keys(old)}
        self.assertEqual(self.secrets_in(processes["owner"], {new, *gone}), {new})
        for name, pid in (*processes.items(), ("supervisor", machine.pid)):
            self.assertEqual(self.secrets_in(pid, gone), set(), name)
        self.end(machine)

    def test_its_exports_are_encrypted_or_somebody_has_said_that_they_are_not(self):
        machine = self.start_machine(*self.with_key)
        self.tpm(machine)
        client = self.connect(machine, "eeprom")
        client.pwrite(b"a secret of the machine", 0, nbd.CMD_FLAG_FUA)
        out = self.path("out.nvram")
        self.vnvram("export", machine.address, out, status=USAGE, message="--decrypt")
        self.assertFalse(out.exists())
        backup = self.path("backup.key")
        backup.write_bytes(b"the key of who keeps the backups")
        self.vnvram("export", machine.address, out, "--new-key", f"file:{backup}")
        self.assertNotIn(b"a secret", out.read_bytes())
        self.vnvram("get", out, "eeprom", status=KEY_NEEDED)
        self.assertEqual(self.vnvram("get", out, "eeprom", "--key", f"file:{backup}")[:8], b"a secret")
        plain = self.path("plain.nvram")
        self.vnvram("export", machine.address, plain, "--decrypt")
        self.assertEqual(self.vnvram("get", plain, "eeprom")[:8], b"a secret")
        self.end(machine)

    def test_another_data_key_and_the_machine_goes_on(self):
        machine = self.start_machine(*self.with_key)
        tpm = self.tpm(machine)
        value = tpm.client.counter()
        tpm.off()
        self.end(machine)
        old = self.image.read_bytes()
        self.vnvram("key", "rotate", self.image, *self.with_key)
        self.must_be_clean()
        new = self.image.read_bytes()
        # Behind superblocks and header area: nothing that the old data key has sealed.
        blocks = range(18 * 4096, len(old) - 10 * 4096, 4096)
        self.assertEqual([at // 4096 for at in blocks if old[at:at + 4096] == new[at:at + 4096]], [])
        machine = self.start_machine(*self.with_key)
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), value)
        self.end(machine)

    def test_another_data_key_while_the_machine_runs(self):
        machine = self.start_machine(*self.with_key)
        tpm = Incrementer(self.tpm(machine))
        before = self.image.read_bytes()
        for _ in range(3):
            self.vnvram("key", "rotate", machine.address)
            tpm.must_go_on(5)
        os.kill(machine.processes()["owner"], 9)
        tpm.must_go_on(5)
        count = tpm.stop()
        self.assertEqual(tpm.tpm.client.counter(), count)
        self.vnvram("check", machine.address)
        tpm.tpm.off()
        self.end(machine)
        after = self.image.read_bytes()
        blocks = range(18 * 4096, len(before) - 10 * 4096, 4096)
        self.assertEqual([at // 4096 for at in blocks if before[at:at + 4096] == after[at:at + 4096]], [])

    def test_a_slot_whose_key_the_owner_does_not_have_is_left_out_by_word_only(self):
        other = self.path("other.key")
        other.write_bytes(b"the key of somebody else, as long")
        self.vnvram("key", "add", self.image, *self.with_key, "--new-key", f"file:{other}",
                    "--label", "other")
        machine = self.start_machine(*self.with_key)
        self.vnvram("key", "rotate", machine.address, status=KEY_NEEDED, message="other")
        self.end(machine)
        machine = self.start_machine(*self.with_key, "--key", f"file:{other}")
        self.vnvram("key", "rotate", machine.address)  # It has both.
        self.end(machine)
        self.vnvram("check", self.image, "--key", f"file:{other}")
        machine = self.start_machine(*self.with_key)
        left_out = self.vnvram("key", "rotate", machine.address, "--leave-out-others")
        self.assertIn(b"other", left_out)
        self.end(machine)
        self.vnvram("check", self.image, "--key", f"file:{other}", status=WRONG_KEY)

    def test_a_holder_who_puts_his_slot_back_is_shut_out(self):
        """The bytes of the key slots, as they were before he was to go."""
        for live in (False, True):
            private, public = self.path("evil.key"), self.path("evil.pub")
            subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", private], check=True)
            subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
            added = self.vnvram("key", "add", self.image, *self.with_key, "--new-key", f"public:{public}",
                                "--label", "contractor")
            slot = re.search(rb"slot (\d+)", added).group(1).decode()
            old = self.image.read_bytes()[2 * 4096:10 * 4096]
            self.vnvram("key", "rm", self.image, slot)
            machine = self.start_machine(*self.with_key) if live else None
            with open(self.image, "r+b") as image:
                image.seek(2 * 4096)
                image.write(old)
            words = (machine.address,) if live else (self.image, *self.with_key)
            said = self.vnvram("key", "rotate", *words, "--without", slot)
            self.assertIn(b"opens it: slot 0", said)
            self.assertNotIn(b"contractor", said)
            if live:
                self.end(machine)
            self.vnvram("check", self.image, "--key", f"file:{private}", status=WRONG_KEY)
            self.must_be_clean()

    def test_what_an_image_says_in_public_is_changed_while_it_is_in_use(self):
        machine = self.start_machine(*self.with_key)
        self.vnvram("meta", "set", machine.address, "who", "team seven")
        self.assertEqual(self.vnvram("meta", "get", machine.address, "who"), b"team seven")
        self.assertEqual(self.vnvram("meta", "get", self.image, "who"), b"team seven")
        self.vnvram("meta", "set", self.image, "who", "else", status=14)
        self.vnvram("meta", "rm", machine.address, "who")
        self.vnvram("meta", "rm", machine.address, "who", status=NOT_FOUND)
        self.end(machine)

    def test_a_plain_image_becomes_an_encrypted_one_and_back(self):
        plain = self.path("plain.nvram")
        self.vnvram("create", plain, *BLOBS)
        plain.chmod(0o640)
        self.vnvram("meta", "set", plain, "who", "the machine of somebody")
        self.vnvram("put", plain, "eeprom", "-", input=b"a secret of the machine")
        link, other = self.path("link"), self.path("other.nvram")
        os.link(plain, other)
        self.vnvram("encrypt", plain, "--new-key", f"file:{self.key}", status=UNSUPPORTED)
        other.unlink()
        link.symlink_to(plain)
        self.vnvram("encrypt", link, "--new-key", f"file:{self.key}")  # What it leads to.
        self.assertTrue(link.is_symlink())
        self.assertEqual(plain.stat().st_mode & 0o777, 0o640)
        self.assertNotIn(b"a secret", plain.read_bytes())
        self.vnvram("get", plain, "eeprom", status=KEY_NEEDED)
        self.assertEqual(self.stored("eeprom", plain)[:8], b"a secret")
        self.assertEqual(self.vnvram("meta", "get", plain, "who").strip(), b"the machine of somebody")
        self.vnvram("encrypt", plain, "--new-key", f"file:{self.key}", *self.with_key, status=USAGE)
        # What a command left that was killed, one folder in the other, goes with the next.
        nested = self.path(".vnvram-new-abcdef") / ".vnvram-new-ghijkl"
        nested.mkdir(parents=True)
        for folder in (nested.parent, nested):
            folder.chmod(0o700)
            (folder / f".lock-{folder.name[-6:]}").write_bytes(b"")
            (folder / "plain.nvram").write_bytes(b"a secret of the machine")
        mine = self.path(".vnvram-new-uvwxyz")  # No command's, though its name may be.
        mine.mkdir(mode=0o700)
        (mine / ".lock").write_bytes(b"")
        out = self.path("out.nvram")
        self.vnvram("decrypt", plain, out, *self.with_key)
        self.assertEqual(self.vnvram("get", out, "eeprom")[:8], b"a secret")
        self.vnvram("check", out)
        self.assertFalse(nested.parent.exists())
        self.assertTrue((mine / ".lock").exists())
