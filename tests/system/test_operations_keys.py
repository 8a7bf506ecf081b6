"""docs/operations.md, "Encryption": what is printed there is run, by a shell, as an operator would.

Not run here is what needs a systemd that is PID 1. Of the drop-ins systemd-analyze looks at the words, systemd-creds
does what they ask systemd for, and the service's command line is started as its user, with the credential in a folder
as systemd makes it. The host's TPM is one of ours. Neither `pass` nor another host is there: scripts stand for `pass`,
`scp` and `ssh`."""

import json
import os
import re
import shutil
import unittest

from cli.command import FAILURE, IN_USE, IO, KEY_NEEDED, OK, USAGE, WRONG_KEY
from cli.key_service import KeyService
from harness.drop_in import complaints_about
from harness.operator_host import OWNER
from harness.printed import PrintedCase, Section, runs, uncovered
from harness.vnvram import info, vnvram
from serve.test_units import USERS, MachineUnits
from tpm.host_tpm import HostTpm

SECTION = Section("Encryption")
NOT_RUN = {"systemctl edit vnvram@vm1": "asks the systemd that is PID 1; the drop-in that it opens is looked at"}

BEGINNING = "openssl genpkey -algorithm X25519 -out escrow.key.pem"
LISTED = "$ vnvram key ls vm1.nvram"
BY_USER = "vnvram serve vm1.nvram --key passphrase --control"
DROP_IN = "[Service]\nLoadCredential=key:"
SEALED_CREDENTIAL = "head -c 32 /dev/urandom | systemd-creds encrypt"
SEALED_DROP_IN = "LoadCredentialEncrypted=key:"
BY_CLEVIS = "contrib/keys/vnvram-key-clevis add"
BY_SERVICE = "vnvram key add vm1.nvram --key file:/etc/vnvram/keys/vm1 --new-key 'exec:"
MORE_HOLDERS = "vnvram key add vm1.nvram --key file:/etc/vnvram/keys/vm1 --new-key public:"
HOLDERS_LIVE = "vnvram key add unix:/run/vm1/owner.sock"
ROTATE = "vnvram key rotate vm1.nvram"
BACKUP = "vnvram export unix:/run/vm1/owner.sock sunday.nvram"

CHANGED_STORE = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"  # A firmware's template with keys in it.
PASSPHRASE = "open sesame"
ASKED = ("Passphrase of vm1.nvram: ", PASSPHRASE)
ASKED_FOR_NEW = (("New passphrase of vm1.nvram: ", PASSPHRASE), ("The same again: ", PASSPHRASE))


class KeyCase(PrintedCase):
    """A host with a folder for sockets, and what the section has it begin with."""

    section = SECTION

    def setUp(self):
        super().setUp()
        self.image = self.host.home / "vm1.nvram"
        self.key = self.host.path("/etc/vnvram/keys/vm1")

    def begin(self):
        """The image is there; returns the command that serves it."""
        *making, serving = self.commands(BEGINNING)
        self.host.run(*making)
        return serving

    def opens(self, key, slot):
        """`slot` as the command says it."""
        self.assertEqual(self.host.run(f"vnvram key test vm1.nvram --key {key}"), f"slot {slot}\n")

    def new_key(self, printed):
        self.host.run(f"head -c 32 /dev/urandom > {printed}")

    def new_key_pair(self, name):
        """As the escrow's."""
        self.host.run(*(command.replace("escrow", name) for command in self.commands(BEGINNING)[:2]))

    def slots(self):
        """Those that open the image, by their labels."""
        said = self.host.run("vnvram key ls vm1.nvram --json")
        return {slot["label"]: slot["number"] for slot in json.loads(said)["slots"] if slot["current"]}

    def serves(self, command, answers=()):
        """It comes up, an owner more has the key as well, and it ends in good order."""
        server = self.host.serve(command, answers)
        self.host.run(f"vnvram restart {OWNER}")
        self.assertIn("tpm2.permanent", self.host.run(f"vnvram ls {OWNER}"))
        self.host.stop(server)


class Keys(KeyCase):
    @runs(BEGINNING, LISTED)
    def test_two_holders_from_the_beginning(self):
        serving = self.begin()
        self.assertEqual(self.key.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.key.parent.stat().st_mode & 0o777, 0o700)
        statuses = {"vnvram ls vm1.nvram": KEY_NEEDED}
        for command, printed in self.section.block(LISTED).dialogue():
            self.host.must_say(printed, self.host.run(command, status=statuses.get(command, OK)))
        self.serves(serving)
        self.assertEqual(self.slots(), {"host": 0, "escrow": 1})

    @runs(BY_USER)
    def test_the_user_gives_the_key_at_each_start(self):
        self.begin()
        self.host.run(self.commands(MORE_HOLDERS)[1], answers=ASKED_FOR_NEW)
        self.host.program("pass", f'[ "$*" = "show vm1" ] && echo {PASSPHRASE}')
        self.host.program("scp", 'exec cp "$1" "${2#host:}"')
        self.host.program("ssh", '[ "$1" = host ] && shift && exec sh -c "exec $*"')
        shutil.copy(self.key, self.host.home / "vm1.key")
        at_terminal, by_descriptor, by_file = self.commands(BY_USER)
        self.serves(at_terminal, answers=[ASKED])
        self.serves(by_descriptor)
        self.serves(by_file)
        self.assertFalse(self.host.path("/run/vm1/key").exists())
        # Who starts it again gives it again.
        self.host.run(by_file.partition("ssh host ")[2], status=IO)

    @runs(BY_SERVICE)
    def test_a_key_service(self):
        service = KeyService("vm1")
        self.addCleanup(service.close)
        config = self.host.home / "curl.config"
        config.write_text(f'header = "Authorization: Bearer {service.token}"\n', "utf-8")
        self.host.env["VNVRAM_KEY_SERVICE_CONFIG"] = str(config)
        script = "contrib/keys/vnvram-key-service"
        self.host.script(self.host.path("/usr/local/lib/vm-key"),
                         f"exec {self.host.home}/{script} open {service.url} vm1")
        self.begin()
        self.host.run(f"{script} make {service.url} vm1 > vm1.wrapped")
        adding, serving = self.commands(BY_SERVICE)
        self.assertEqual(self.host.run(adding), 'slot 2: external "key service"\n')
        self.serves(serving)
        self.assertEqual(service.asked, ["/keys/vm1/wrap"] + 3 * ["/keys/vm1/unwrap"])
        service.keys.clear()
        self.host.run(serving, status=IO)

    @runs(MORE_HOLDERS, ROTATE)
    def test_holders_come_and_go(self):
        serving = self.begin()
        self.new_key_pair("auditor")
        more = self.commands(MORE_HOLDERS)
        server = self.host.serve(serving)
        self.host.run(more[0], status=IN_USE)
        self.opens("file:escrow.key.pem", '1: public "escrow"')
        self.host.stop(server)
        for command in more:
            self.host.run(command, answers=ASKED_FOR_NEW if "--new-key passphrase" in command else ())
        self.assertEqual(len(json.loads(self.host.run("vnvram key ls vm1.nvram --json"))["slots"]), 4)
        self.opens(f"file:{self.key}", '0: key "host"')
        self.opens("file:auditor.key.pem", '2: public "auditor"')
        before = self.image.read_bytes()
        rotating, = self.commands(ROTATE)
        self.host.run(rotating.replace(" --key passphrase", ""), status=KEY_NEEDED)
        self.only_superblocks_differ(before, self.image.read_bytes())
        said = self.host.run(rotating, answers=[ASKED])
        self.assertEqual(re.findall(r"opens it: slot (\d)", said), ["0", "1", "3"])
        self.opens(f"file:{self.key}", '0: key "host"')
        self.host.run("vnvram key test vm1.nvram --key file:auditor.key.pem", status=WRONG_KEY)

    @runs(HOLDERS_LIVE)
    def test_holders_come_and_go_while_the_machine_runs(self):
        serving = self.begin()
        self.new_key_pair("auditor")
        server = self.host.serve(serving)
        owner = f"unix:{self.host.path(OWNER.removeprefix('unix:'))}"
        asked = tuple((prompt.replace("vm1.nvram", owner), answer) for prompt, answer in ASKED_FOR_NEW)
        for command in self.commands(HOLDERS_LIVE):
            self.host.run(command, answers=asked if "--new-key passphrase" in command else ())
            self.host.run(f"vnvram restart {OWNER}")  # It comes up with the key that there is now.
        self.assertEqual(self.slots(), {"escrow": 1, "auditor": 2, "operator": 3, "host, new": 4})
        self.opens("file:auditor.key.pem", '2: public "auditor"')
        self.opens(f"file:{self.key}", '4: key "host, new"')
        self.host.stop(server)
        self.serves(serving)

    def only_superblocks_differ(self, before, after):
        """They say who has opened it last."""
        superblocks = {0, 1, len(before) // 4096 - 8}
        places = range(0, len(before), 4096)
        changed = {at // 4096 for at in places if before[at:at + 4096] != after[at:at + 4096]}
        self.assertEqual((len(after), changed - superblocks), (len(before), set()))

    def test_an_escrow_key_when_everything_else_is_lost(self):
        self.begin()
        self.key.unlink()
        self.host.run(self.section.inline("vnvram ls vm1.nvram --key file:escrow.key.pem"))
        self.new_key("/etc/vnvram/keys/vm1")
        words = self.section.inline("key change IMAGE SLOT --key OTHER --new-key NEW")
        for name, said in (("IMAGE", "vm1.nvram"), ("SLOT", "0"), ("OTHER", "file:escrow.key.pem"),
                           ("NEW", "file:/etc/vnvram/keys/vm1")):
            words = words.replace(name, said)
        self.host.run(f"vnvram {words}")
        self.opens(f"file:{self.key}", '0: key "host"')

    def test_a_holder_who_is_to_open_it_no_more(self):
        serving = self.begin()
        copy = self.host.home / "copy.nvram"
        shutil.copy(self.image, copy)
        self.host.run("vnvram " + self.section.inline("key rm IMAGE SLOT").replace("IMAGE SLOT", "vm1.nvram 1"))
        self.host.run("vnvram key test vm1.nvram --key file:escrow.key.pem", status=WRONG_KEY)
        self.host.run("vnvram key test copy.nvram --key file:escrow.key.pem")
        server = self.host.serve(serving)
        self.assertIn('opens it: slot 0: key "host"',
                      self.host.run(self.section.inline("vnvram key rotate unix:/run/vm1/owner.sock")))
        self.host.stop(server)
        self.host.run(self.section.inline("vnvram erase IMAGE --erase-all-keys").replace("IMAGE", "vm1.nvram"))
        self.host.run(f"vnvram ls vm1.nvram --key file:{self.key}", status=WRONG_KEY)

    @runs(BACKUP)
    def test_backups(self):
        serving = self.begin()
        self.new_key_pair("backup")
        full, since, increment, restoring = self.commands(BACKUP)
        server = self.host.serve(serving)
        self.host.run(full)
        self.host.run(f"vnvram put {OWNER} uefi.vars {CHANGED_STORE}")
        self.host.run(since, increment)
        self.host.stop(server)
        self.host.run(f"vnvram ls sunday.nvram --key file:{self.key}", status=WRONG_KEY)
        self.host.run(restoring)
        for name in ("uefi.vars", "tpm2.permanent"):
            self.host.run(f"vnvram get restored.nvram {name} --key file:{self.key} > restored",
                          f"vnvram get vm1.nvram {name} --key file:{self.key} | cmp - restored")
        self.host.run(f"vnvram check restored.nvram --key file:{self.key}")

    def test_whom_an_export_is_for(self):
        server = self.host.serve(self.begin())
        self.new_key("backup.key")
        for printed, status, key in (
                ("vnvram export ... OUT --new-key KEY [--label TEXT]", OK, " --key file:backup.key"),
                ("vnvram export ... OUT --decrypt", OK, ""),
                ("vnvram export ... OUT", USAGE, None)):
            words = self.section.inline(printed).replace("[--label TEXT]", "--label backup")
            for name, said in (("...", OWNER), ("OUT", "out.nvram"), ("KEY", "file:backup.key")):
                words = words.replace(name, said)
            self.host.run(words, status=status)
            if key is None:
                self.assertFalse((self.host.home / "out.nvram").exists())
            else:
                self.host.run(f"vnvram check out.nvram{key}", "rm out.nvram")
        self.host.stop(server)

    def test_a_plain_image_is_encrypted_and_the_other_way(self):
        self.host.run("vnvram create vm1.nvram --tpm2", "mkdir /etc/vnvram", "mkdir /etc/vnvram/keys")
        self.new_key("/etc/vnvram/keys/vm1")
        uuid = info(self.image)["uuid"]
        self.host.run(self.section.inline("vnvram encrypt vm1.nvram --new-key ...").replace("...", f"file:{self.key}"))
        encrypted = info(self.image, "--key", f"file:{self.key}")
        self.assertNotEqual(encrypted["uuid"], uuid)
        self.host.run("vnvram check vm1.nvram", status=KEY_NEEDED)
        self.host.run(self.section.inline("vnvram decrypt") + f" vm1.nvram plain.nvram --key file:{self.key}",
                      "vnvram check plain.nvram")


class OnTheHostsTpm(KeyCase):
    def setUp(self):
        super().setUp()
        self.tpm = HostTpm(self.workspace)
        self.addCleanup(self.tpm.kill)
        self.host.env["TPM2TOOLS_TCTI"] = self.tpm.tcti

    @runs(BY_CLEVIS)
    def test_a_slot_that_it_opens(self):
        self.begin()
        adding, serving = self.commands(BY_CLEVIS)
        self.assertEqual(self.host.run(adding), 'slot 2: external "TPM of this host"\n')
        self.serves(serving)
        self.tpm.extend_pcr()
        self.host.run(serving, status=IO)

    def boots(self, image=None):
        """Firmware measures; and systemd-creds forgets its sessions in a TPM that no kernel cleans up."""
        self.tpm.restart(image)
        self.tpm.extend_pcr()

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    @runs(SEALED_CREDENTIAL, SEALED_DROP_IN)
    def test_a_credential_that_it_opens(self):
        self.host.env["SYSTEMD_CREDENTIAL_SECRET"] = str(self.host.root / "host.secret")
        creds = shutil.which("systemd-creds")
        self.host.program("systemd-creds", f'verb=$1; shift; exec {creds} "$verb" --tpm2-device={self.tpm.tcti} "$@"')
        self.host.run(self.commands(BEGINNING)[2])
        self.boots()
        self.host.run(*self.commands(SEALED_CREDENTIAL))
        self.boots()
        making = self.section.inline("systemd-creds decrypt --name=key /etc/vnvram/keys/vm1.cred - | "
                                     "vnvram create ... --key fd:0")
        self.host.run(making.replace("...", "vm1.nvram --tpm2 --encrypt"))
        opening = making.partition(" | ")[0]
        self.boots(self.tpm.new_image("other-tpm.nvram"))
        self.host.run(opening, status=FAILURE)
        self.boots()
        self.host.run(f"{opening} > key")
        drop_in = re.sub("LoadCredential=.*\n", lambda _: self.section.block(SEALED_DROP_IN).text,
                         self.section.block(DROP_IN).text)
        self.host.wrote(self.section.block(SEALED_DROP_IN))
        Credential(self, drop_in, self.host.home / "key").serves()


class FromSystemd(KeyCase):
    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    @runs(DROP_IN)
    def test_a_credential_of_the_unit(self):
        self.begin()
        self.host.wrote(self.section.block(DROP_IN))
        Credential(self, self.section.block(DROP_IN).text, self.key).serves()


class Credential:
    """What systemd makes of a drop-in: a file that only the service's user reads, in a folder that is %d."""

    def __init__(self, case, drop_in, key):
        self.case = case
        self.key = key
        self.workspace = case.workspace
        case.assertEqual(complaints_about(drop_in, self.workspace.file("unit")), [])
        self.name, source = re.search(r"(?m)^LoadCredential(?:Encrypted)?=(\w+):(.*)$", drop_in).groups()
        case.assertIn(source, ("/etc/vnvram/keys/vm1", "/etc/vnvram/keys/vm1.cred"))
        self.options = re.search(r'(?m)^Environment="VNVRAM_OPTIONS=(.*)"$', drop_in)[1]

    def serves(self):
        user = USERS["vm1"]
        folder = self.workspace.file("credentials")
        folder.mkdir(mode=0o755)
        shutil.copyfile(self.key, folder / self.name)
        os.chown(folder / self.name, user, user)
        (folder / self.name).chmod(0o400)
        os.chmod(self.workspace.path, 0o755)
        for name in ("lib", "run"):
            self.workspace.file(name).mkdir(mode=0o755)
        machine = MachineUnits("vm1", self.workspace, self.options.replace("%d", str(folder)))
        self.case.addCleanup(machine.kill)
        shutil.copyfile(self.case.image, machine.image)
        machine.image.chmod(0o600)
        machine.start()
        address = f"unix:{machine.path('owner')}"
        vnvram("restart", address)  # An owner that is started later finds it, too.
        self.case.assertIn("tpm2.permanent", vnvram("ls", address))
        self.case.assertEqual(machine.child.terminate(), 0)


class EveryBlock(unittest.TestCase):
    def test_is_run_or_it_is_said_why_not(self):
        self.assertEqual(uncovered(SECTION, (Keys, OnTheHostsTpm, FromSystemd), NOT_RUN), [])


if __name__ == "__main__":
    unittest.main()
