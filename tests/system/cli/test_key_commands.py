"""Slots that a command opens (`exec:`), with the scripts of contrib/keys: clevis and systemd-creds with a
TPM, which is one of ours in the place of the host's, systemd-creds with the host's secret, and a key service.

All of it is real but the host: the TPM is reached by TPM2TOOLS_TCTI and --tpm2-device, as it has no device
node, and the host's secret is in the test's folder. What no test here has is a systemd that runs a unit: of the
drop-in with LoadCredentialEncrypted= systemd-analyze looks at the words, and the commands around it are run."""

import base64
import os
import re
import subprocess
import unittest

from harness.drop_in import complaints_about
from harness.tpm_process import REPOSITORY, program
from tpm.host_tpm import HostTpm

from .command import FAILURE, IO, OK, USAGE, WRONG_KEY, Case
from .key_service import KeyService

SCRIPTS = REPOSITORY / "contrib" / "keys"
NAMES = ("vnvram-key-clevis", "vnvram-key-systemd-creds", "vnvram-key-service")
CALLS = "execve,write,writev,pwrite64,pwritev,sendto,sendmsg"


def as_traced(secret):
    return "".join(f"\\x{byte:02x}" for byte in secret)


class KeyCommands(Case):
    """An encrypted image that a key file opens as well, and the scripts, which find vnvram in PATH."""

    def setUp(self):
        super().setUp()
        self.key = f"file:{self.file('host.key', b'the key of this host: 16 bytes or more')}"
        self.temporary = self.path("temporary")
        self.temporary.mkdir()
        self.env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.env |= {"PATH": f"{program('vnvram').parent}:{SCRIPTS}:{os.environ['PATH']}",
                     "TMPDIR": str(self.temporary), "HOME": str(self.workspace.path),
                     "SYSTEMD_CREDENTIAL_SECRET": str(self.path("host.secret"))}

    def tearDown(self):
        self.assertEqual(list(self.temporary.iterdir()), [])  # Whatever went wrong.

    def run_words(self, *words, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([*map(str, words)], capture_output=True, env=self.env, timeout=120, check=False,
                              **options)

    def run_well(self, *words, **options):
        done = self.run_words(*words, **options)
        self.assertEqual(done.returncode, OK, f"{words}: {done.stderr.decode()}")
        return done.stdout

    def fails(self, *words, status=FAILURE, message, **options):
        done = self.run_words(*words, **options)
        self.assertEqual((done.returncode, done.stdout), (status, b""), done.stderr)
        self.assertIn(message, done.stderr.decode())

    def create(self, *words):
        self.run_well("vnvram", "create", self.image, "--tpm2", "--encrypt", "--key", self.key, "--label", "host",
                      *words)

    def opens(self, command, slot):
        self.assertEqual(self.run_well("vnvram", "key", "test", self.image, "--key", f"exec:{command}").decode(),
                         slot + "\n")

    def is_refused(self, command, message):
        """By the command, for this reason; the image's other key does, in any order."""
        self.fails("vnvram", "key", "test", self.image, "--key", f"exec:{command}", status=IO, message=message)
        self.fails("vnvram", "check", self.image, "--key", f"exec:{command}", status=IO,
                   message="the command for a key has ended with 1")
        self.run_well("vnvram", "check", self.image, "--key", f"exec:{command}", "--key", self.key)

    def public_part(self, label):
        """Of the slot with this label: everybody can read it."""
        slots = {slot["label"]: slot for slot in self.json("key", "ls", self.image)["slots"]}
        self.assertEqual(slots[label]["kind"], "external")
        return bytes.fromhex(slots[label]["public_part_hex"])

    def traced(self, *words, **options):
        """How programs were started, and what was written to what, one call a line, texts in hexadecimal."""
        trace = self.path("trace")
        self.run_well("strace", "-f", "-y", "-v", "-xx", "-s", "100000", "-e", f"trace={CALLS}", "-o", trace, *words,
                      **options)
        return trace.read_text("ascii").splitlines()

    def leaves_no_key(self, opening, *adding):
        """`adding` a slot that is labelled traced, and `opening` it, have the key in no program's arguments or
        environment, and write it to no file."""
        calls = self.traced(*adding)
        part = self.public_part("traced")
        calls += self.traced(*opening, input=part)
        key = self.run_well(*opening, input=part)
        self.assertEqual(len(key), 32)
        forms = [as_traced(form) for form in (key, key.hex().encode(), base64.b64encode(key)[:-1],
                                              base64.urlsafe_b64encode(key)[:-1])]
        seen = [call for call in calls if any(form in call for form in forms)]
        self.assertGreater(len(seen), 2)  # It went by, or this would prove nothing.
        passed_on = "|".join(re.escape(as_traced(kind)) for kind in (b"pipe:[", b"socket:["))
        for call in seen:
            self.assertRegex(call, rf"^\d+ +(write|sendto)\(\d+<({passed_on})")


class Scripts(KeyCommands):
    def test_they_explain_themselves(self):
        text = (SCRIPTS / "README.md").read_text("utf-8")
        self.assertEqual({path.name for path in SCRIPTS.iterdir() if os.access(path, os.X_OK)}, set(NAMES))
        for name in NAMES:
            self.assertIn(f"usage: {name} make", self.run_well(name, "--help").decode())
            self.assertIn(f"exec:{name} open", text)
            too_much_or_little = ("open",) if name == NAMES[1] else ("open", "a", "b", "c")
            for words in ((), too_much_or_little, ("add", self.image), ("shut", "x")):
                self.fails(name, *words, status=USAGE, message="usage:")

    def test_a_program_that_is_missing_is_named(self):
        """With nothing in PATH but what the scripts themselves use."""
        folder = self.path("programs")
        folder.mkdir()
        for name in ("sh", "cat", "dirname", "realpath", "sed", "head", "mktemp", "rm"):
            (folder / name).symlink_to(f"/usr/bin/{name}")
        self.env["PATH"] = str(folder)
        for name, needed in zip(NAMES, ("clevis", "systemd-creds", "curl")):
            arguments = ("x", "y")[:1 if name == NAMES[1] else 2]
            self.fails(SCRIPTS / name, "make", *arguments, message=f"there is no {needed} here: install it")
            self.fails(SCRIPTS / name, "add", "image", "key", "label", "x", "y", message="there is no vnvram here")

    def test_names_with_blanks_and_quotes(self):
        """In the folder of the scripts, and of the public part."""
        folder = self.path("it's \"his\" folder")
        folder.mkdir()
        for path in SCRIPTS.iterdir():
            (folder / path.name).symlink_to(path)
        self.env["TMPDIR"] = str(self.path("temporary"))
        self.create()
        name = "it's vm 1"
        self.run_well(folder / NAMES[1], "add", self.image, self.key, "a label", name, "--with-key=host")
        self.opens(f'"{folder / NAMES[1]}" open "{name}"'.replace('"his"', '\\"his\\"'), 'slot 1: external "a label"')


class Clevis(KeyCommands):
    """With a TPM."""

    def setUp(self):
        super().setUp()
        self.tpm = HostTpm(self.workspace)
        self.addCleanup(self.tpm.kill)
        self.env["TPM2TOOLS_TCTI"] = self.tpm.tcti

    def test_this_hosts_tpm_opens_it_and_another_does_not(self):
        part = self.file("vm.jwe", self.run_well("vnvram-key-clevis", "make", "tpm2", "{}"))
        self.create("--key", f"exec:clevis decrypt,public={part}", "--label", "tpm")
        self.assertEqual(self.public_part("tpm"), part.read_bytes())
        self.opens("vnvram-key-clevis open tpm2", 'slot 1: external "tpm"')
        self.tpm.restart()
        self.opens("clevis decrypt", 'slot 1: external "tpm"')
        self.run_well("vnvram", "check", self.image, "--key", "exec:vnvram-key-clevis open tpm2")
        self.tpm.restart(self.tpm.new_image("other-tpm.nvram"))
        self.is_refused("vnvram-key-clevis open tpm2",
                        "clevis decrypt has failed: the pin 'tpm2' does not open the slot")
        self.tpm.restart()
        self.opens("vnvram-key-clevis open", 'slot 1: external "tpm"')
        self.tpm.stop()
        self.is_refused("vnvram-key-clevis open tpm2", "clevis decrypt has failed")

    def test_no_more_once_the_host_has_booted_otherwise(self):
        self.create()
        config = '{"pcr_bank":"sha256","pcr_ids":"7"}'
        self.run_well("vnvram-key-clevis", "add", self.image, self.key, "tpm", "tpm2", config)
        self.opens("vnvram-key-clevis open tpm2", 'slot 1: external "tpm"')
        self.tpm.extend_pcr()
        self.is_refused("vnvram-key-clevis open tpm2", "Unsealing jwk from TPM failed!")
        self.tpm.restart()
        self.opens("vnvram-key-clevis open tpm2", 'slot 1: external "tpm"')

    def test_the_key_is_nowhere_else(self):
        self.create()
        self.leaves_no_key(("vnvram-key-clevis", "open", "tpm2"),
                           "vnvram-key-clevis", "add", self.image, self.key, "traced", "tpm2", "{}")

    def test_what_is_no_part_of_its(self):
        self.fails("vnvram-key-clevis", "open", "tpm2", input=b"", message="none of clevis's")
        self.fails("vnvram-key-clevis", "open", input=b"e30.not.a.JWE", message="none of clevis's")
        tang = base64.urlsafe_b64encode(b'{"clevis":{"pin":"tang","tang":{"url":"http://127.0.0.1:1"}}}').rstrip(b"=")
        self.fails("vnvram-key-clevis", "open", "tpm2", input=tang + b"....",
                   message="opened by the pin 'tang', and only 'tpm2' is wanted")
        self.fails("vnvram-key-clevis", "make", "tpm2", "no JSON", message="clevis encrypt tpm2 has failed")
        self.create()
        self.fails("vnvram-key-clevis", "add", self.image, self.key, "tpm", "nail", "{}",
                   message="clevis encrypt nail has failed")
        self.assertEqual(len(self.json("key", "ls", self.image)["slots"]), 1)

    def test_systemd_creds_with_the_tpm(self):
        device = f"--tpm2-device={self.env['TPM2TOOLS_TCTI']}"
        self.tpm.extend_pcr()  # As firmware does: systemd 252 takes a PCR of zeros for one that nothing measures to.
        self.create()
        self.run_well("vnvram-key-systemd-creds", "add", self.image, self.key, "tpm", "vm1", "--with-key=host+tpm2",
                      "--tpm2-pcrs=7", device)
        opening = f"vnvram-key-systemd-creds open vm1 {device}"
        # It forgets its sessions in the TPM, where the kernel would end them for it.
        self.tpm.restart()
        self.is_refused(opening, "systemd-creds decrypt has failed: this host does not open the slot as vm1")
        self.tpm.restart()
        self.tpm.extend_pcr()
        self.opens(opening, 'slot 1: external "tpm"')
        self.tpm.restart(self.tpm.new_image("other-tpm.nvram"))
        self.tpm.extend_pcr()
        self.is_refused(opening, "systemd-creds decrypt has failed")


class SystemdCreds(KeyCommands):
    """With the host's secret."""

    opening = "vnvram-key-systemd-creds open vm1"

    def test_this_hosts_secret_opens_it_and_anothers_does_not(self):
        self.create()
        self.run_well("vnvram-key-systemd-creds", "add", self.image, self.key, "creds", "vm1", "--with-key=host")
        self.opens(self.opening, 'slot 1: external "creds"')
        self.opens("systemd-creds decrypt --newline=no --name=vm1 - -", 'slot 1: external "creds"')
        self.is_refused("vnvram-key-systemd-creds open vm2", "this host does not open the slot as vm2")
        secret = self.path("host.secret")
        secret.rename(self.path("kept"))
        self.is_refused(self.opening, "systemd-creds decrypt has failed")
        self.run_well("systemd-creds", "setup")
        self.is_refused(self.opening, "systemd-creds decrypt has failed")
        self.path("kept").rename(secret)
        self.opens(self.opening, 'slot 1: external "creds"')

    def test_one_without_a_key_is_refused(self):
        self.fails("vnvram-key-systemd-creds", "make", "vm1", "--with-key=tpm2-absent", message="no key at all")
        part = self.run_well("systemd-creds", "encrypt", "--with-key=tpm2-absent", "--name=vm1", "-", "-",
                             input=b"a key that everybody can read")
        for spoiled in (part, b"\n \t" + b" ".join(part[at:at + 1] for at in range(len(part)))):
            self.fails(*self.opening.split(), input=spoiled, message="no key at all")

    def test_what_is_no_part_of_its(self):
        for part in (b"", b"nothing of systemd's"):
            self.fails(*self.opening.split(), input=part, message="systemd-creds decrypt has failed")
        self.fails("vnvram-key-systemd-creds", "make", "vm1", "--with-key=none-such",
                   message="systemd-creds encrypt has failed")

    def test_the_key_is_nowhere_else(self):
        self.create()
        self.leaves_no_key(self.opening.split(), "vnvram-key-systemd-creds", "add", self.image, self.key, "traced",
                           "vm1", "--with-key=host")

    def test_a_credential_as_a_key_and_never_in_a_file(self):
        """README.md's commands for LoadCredentialEncrypted=, where the slot is one for a key."""
        self.create()
        made = self.run_well("vnvram-key-systemd-creds", "make", "vm1.key", "--with-key=host")
        credential = self.file("vm1.key", made)
        self.run_well("sh", "-c", f"systemd-creds decrypt --newline=no {credential} - | "
                      f"vnvram key add {self.image} --key {self.key} --new-key fd:0 --label unit")
        self.run_well("sh", "-c", f"systemd-creds decrypt --newline=no {credential} - | "
                      f"vnvram check {self.image} --key fd:0")
        key = self.file("decrypted", self.run_well("systemd-creds", "decrypt", "--newline=no", credential, "-"))
        self.vnvram("check", self.image, "--key", f"file:{key}")  # As in the unit, where systemd makes the file.

    def test_the_drop_in_is_one(self):
        drop_in = re.search(r"```ini\n(.*?)```", (SCRIPTS / "README.md").read_text("utf-8"), re.DOTALL)[1]
        self.assertIn("LoadCredentialEncrypted=vm1.key:", drop_in)
        self.assertEqual(complaints_about(drop_in, self.path("right")), [])
        self.assertNotEqual(complaints_about(drop_in.replace("vm1.key:/", "vm1.key:"), self.path("wrong")), [])


class Service(KeyCommands):
    """A key service on this host."""

    def setUp(self):
        super().setUp()
        self.service = KeyService("vm1", "vm2")
        self.addCleanup(self.service.close)
        self.config = self.file("curl.config", f'header = "Authorization: Bearer {KeyService.token}"\n'.encode())
        self.env["VNVRAM_KEY_SERVICE_CONFIG"] = str(self.config)
        self.opening = f"vnvram-key-service open {self.service.url} vm1"

    def add(self):
        self.create()
        self.run_well("vnvram-key-service", "add", self.image, self.key, "service", self.service.url, "vm1")

    def test_it_opens_the_image_as_long_as_it_wants(self):
        self.add()
        self.assertTrue(self.public_part("service").startswith(b"vnvram-key-service 1 vm1\n"))
        self.opens(self.opening, 'slot 1: external "service"')
        self.opens(f"vnvram-key-service open {self.service.url}/", 'slot 1: external "service"')
        self.assertEqual(self.service.asked, ["/keys/vm1/wrap"] + 3 * ["/keys/vm1/unwrap"])
        self.is_refused(f"vnvram-key-service open {self.service.url} vm2", "opened by another key than vm2")
        self.config.write_text('header = "Authorization: Bearer of somebody else"\n')
        self.is_refused(self.opening, "error: 403")
        self.config.write_text(f'header = "Authorization: Bearer {KeyService.token}"\n')
        del self.service.keys["vm1"]
        self.is_refused(self.opening, f"{self.service.url} has not unwrapped the key with vm1")

    def test_another_service_and_none(self):
        self.add()
        other = KeyService("vm1")
        self.addCleanup(other.close)
        self.is_refused(f"vnvram-key-service open {other.url} vm1", "error: 400")
        self.service.close()
        self.service.close = lambda: None
        self.is_refused(self.opening, "Failed to connect")

    def test_answers_that_are_no_keys(self):
        self.add()
        for answer, status in ((b"", USAGE), (bytes(15), USAGE), (bytes(8193), USAGE), (bytes(32), WRONG_KEY)):
            self.service.answer = (200, answer)
            self.fails("vnvram", "check", self.image, "--key", f"exec:{self.opening}", status=status,
                       message="vnvram: ")
        for answer in (b"", b"two\nlines", b"<html>", b"A" * 4096):
            self.service.answer = (200, answer)
            self.fails("vnvram-key-service", "make", self.service.url, "vm1", message="vnvram-key-service: ")
        self.service.answer = (302, b"elsewhere")
        self.fails("vnvram-key-service", "make", self.service.url, "vm1", message="has not wrapped a key")

    def test_the_image_names_no_address(self):
        for name in ("../vm1", "vm1/wrap", "vm1?x", ".", "http://127.0.0.1/vm1"):
            part = f"vnvram-key-service 1 {name}\nAAAA\n".encode()
            self.fails("vnvram-key-service", "open", self.service.url, input=part, message="no name of a key")
        for part in (b"", b"vnvram-key-service 1 vm1\n", b"vnvram-key-service 1 \nAAAA\n",
                     b"vnvram-key-service 2 vm1\nAAAA\n", b"other\nthings\n"):
            self.fails(*self.opening.split(), input=part, message="none of a key service's")
        self.assertEqual(self.service.asked, [])

    def test_keys_do_not_go_in_the_clear(self):
        for url in ("http://keys.example", "ftp://127.0.0.1:1", "keys.example", "http://127.0.0.1.keys.example:80"):
            self.fails("vnvram-key-service", "make", url, "vm1", message="keys do not go there in the clear")
        self.fails("vnvram-key-service", "make", "https://me:secret@keys.example", "vm1", message="no passwords")
        self.env["http_proxy"] = "http://127.0.0.1:1"
        self.run_well("vnvram-key-service", "make", self.service.url, "vm1")

    def test_the_key_is_nowhere_else(self):
        self.create()
        self.leaves_no_key(self.opening.split(), "vnvram-key-service", "add", self.image, self.key, "traced",
                           self.service.url, "vm1")


if __name__ == "__main__":
    unittest.main()
