"""Whether an image can run on this host: each reason why not, and not a byte of it changed."""

import hashlib
import json
import random
import subprocess

from harness.nbd_server import NbdServer
from harness.owner_process import OwnerProcess
from harness.small_file_system import SmallFileSystem
from harness.tpm_process import TpmProcess, program
from tpm.support import TpmClient

from .command import (ABSENT, BLANK, CORRUPT, FOREIGN, IN_USE, KEY_NEEDED, MIB, NO_SPACE, NOT_FOUND, OK, READ_ONLY,
                      SEALED, TOO_NEW, TYPE_MISMATCH, UNSUPPORTED, WRONG_KEY, Case)
from .owner import Owner
from .places import PLACES, BlockDevice, VmImage
from .superblocks import edit_superblocks

FORMAT_VERSION_AT = 8
# Of a permanent state of libtpms's: its version, and the oldest one that reads it.
STATE_VERSION, STATE_VERSION_MIN = slice(0, 2), slice(6, 8)
LATER = (99).to_bytes(2, "big")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class CanRunCase(Case):
    def ask(self, *words, image=None, status=OK):
        """The report. The bytes of a file are what they were."""
        image = image or self.image
        before = digest(image) if not isinstance(image, str) and image.is_file() else None
        done = self.run_vnvram("can-run", image, "--json", *words)
        self.assertEqual(done.returncode, status, f"{done.stdout}{done.stderr}")
        self.assertEqual(done.stderr, b"")
        if before:
            self.assertEqual(digest(image), before)
        report = json.loads(done.stdout)
        self.assertEqual(report["can_run"], status == OK)
        codes = [finding["exit_code"] for finding in report["findings"] if finding["outcome"] == "refusal"]
        self.assertEqual(codes[:1], [status] if status else [])
        text = self.run_vnvram("can-run", image, *words)
        self.assertEqual(text.returncode, status)
        self.assertEqual(text.stdout.count(b"\nNO ") + text.stdout.startswith(b"NO "), len(codes), text.stdout)
        return report

    def finding(self, report, about):
        found = [finding for finding in report["findings"] if finding["about"] == about]
        self.assertEqual(len(found), 1, report)
        return found[0]

    def start_a_tpm(self, image, *options):
        """So that the image has the state of one that has run."""
        server = self.path("server")
        tpm = TpmProcess(self.workspace, image, server, options)
        self.addCleanup(tpm.kill)
        TpmClient(server).close()
        tpm.stop()


class CanRun(CanRunCase):
    def test_a_new_image(self):
        report = self.ask(image=self.create("--tpm2", "--tpm12=other/"))
        self.assertEqual({finding["outcome"] for finding in report["findings"]} - {"note"}, {"good"})
        self.assertEqual(self.finding(report, "tpm2")["outcome"], "note")  # Nobody has started it.
        self.assertEqual(self.finding(report, "other/tpm12")["outcome"], "note")
        self.assertEqual(self.finding(report, "lock")["text"], "nobody has it")
        self.assertRegex(report["libtpms"], r"^libtpms \d+\.\d+\.\d+$")
        self.assertEqual((report["image"]["clean"], report["image"]["format_version"]), (True, 1))
        self.assertGreater(report["durability"]["count"], 0)
        self.assertGreaterEqual(report["durability"]["longest_ms"], report["durability"]["median_ms"])
        self.assertEqual(self.names(), [self.image.name], "something was left beside it")

    def test_a_state_of_this_hosts_libtpms(self):
        self.start_a_tpm(self.create("--tpm2"))
        self.assertEqual(self.finding(self.ask(), "tpm2")["outcome"], "good")

    def test_a_state_of_a_later_libtpms_is_refused(self):
        self.start_a_tpm(self.create("--tpm2", "--tpm2=other/"))
        state = bytearray(self.vnvram("get", self.image, "tpm2.permanent"))
        state[STATE_VERSION] = state[STATE_VERSION_MIN] = LATER
        self.vnvram("put", self.image, "tpm2.permanent", "-", input=state, status=TOO_NEW)
        self.vnvram("put", self.image, "tpm2.permanent", "-", "--force", input=state)
        found = self.finding(self.ask(status=TOO_NEW), "tpm2")
        self.assertIn("a later one has made it", found["text"])
        self.assertEqual(found["kind"], "too-new")
        # The image's other TPM is as it should be, and the same machine would be refused at its destination.
        self.assertEqual(self.finding(self.ask("--incoming", status=TOO_NEW), "other/tpm2")["outcome"], "note")

    def test_a_state_that_is_none(self):
        self.create("--tpm2")
        self.vnvram("put", self.image, "tpm2.permanent", "-", "--force", input=b"no state")
        self.assertIn("libtpms", self.finding(self.ask(status=CORRUPT), "tpm2")["text"])

    def test_no_room_for_what_this_libtpms_needs(self):
        blobs = [word for state in ("permanent", "volatile", "savestate")
                 for word in ("--blob", f"tpm2.{state}:libtpms.tpm2.{state}:1K")]
        self.create(*blobs, "--size", "1M", "--ring-size", "640K")
        found = [finding for finding in self.ask(status=NO_SPACE)["findings"] if finding["about"] == "tpm2"]
        self.assertEqual([finding["outcome"] for finding in found], ["refusal", "note"])
        self.assertIn("vnvram resize", found[0]["remedy"])
        self.vnvram("resize", self.image, "2M")
        self.ask()

    def test_a_tpm_that_a_start_would_refuse_is_not_made_anew(self):
        self.start_a_tpm(self.create("--tpm2"))
        self.vnvram("put", self.image, "tpm2.permanent", "-", "--force", input=b"")
        self.assertIn("is empty now", self.finding(self.ask(status=CORRUPT), "tpm2")["text"])
        self.refused_start(CORRUPT)
        self.vnvram("rm", self.image, "tpm2.permanent")
        self.assertIn("no blob tpm2.permanent", self.finding(self.ask(status=NOT_FOUND), "tpm2")["text"])
        self.refused_start(NOT_FOUND)
        self.vnvram("register", self.image, "--blob", "tpm2.permanent:t:1K")
        self.assertIn("its type", self.finding(self.ask(status=TYPE_MISMATCH), "tpm2")["text"])
        self.refused_start(TYPE_MISMATCH)

    def refused_start(self, status):
        """What can-run has ended with is what a start ends with."""
        done = subprocess.run([str(program("vnvram-tpm")), str(self.image), "--ctrl", f"unix:{self.path('ctrl')}"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done)

    def test_sealed(self):
        self.vnvram("seal", self.create("--tpm2"))
        self.ask(status=SEALED)
        self.assertEqual(self.finding(self.ask("--incoming"), "seal")["outcome"], "good")

    def test_with_an_owner(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", 5000) as owner:
            owner.commit("x")
            lock = self.finding(self.ask(status=IN_USE), "lock")
            self.assertIn(f"process {owner.pid} ", lock["text"])
            self.assertEqual(self.finding(self.ask("--incoming"), "lock")["outcome"], "good")
            owner.kill()
        lock = self.finding(self.ask(), "lock")
        self.assertEqual(lock["outcome"], "note")
        self.assertIn("not closed in good order", lock["text"])

    def test_with_an_owner_that_goes_on(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", 5000) as owner:
            owner.commit("x")
            owner.spin()
            for _ in range(10):
                done = self.run_vnvram("can-run", self.image, "--incoming")
                self.assertEqual(done.returncode, OK, done)

    def test_encrypted(self):
        key = self.file("host.key", b"a key that nobody guesses, of a host")
        wrong = self.file("wrong.key", b"a key that nobody guesses, of others")
        self.create("--tpm2", "--encrypt", "--key", f"file:{key}", "--label", "host")
        found = self.finding(self.ask(status=KEY_NEEDED), "key")
        self.assertIn('slot 0: key "host"', found["text"] + found["remedy"])
        self.finding(self.ask("--key", f"file:{wrong}", status=WRONG_KEY), "key")
        report = self.ask("--key", f"file:{key}")
        self.assertTrue(report["image"]["encrypted"])
        self.finding(report, "tpm2")
        owner = OwnerProcess(self.workspace, self.image, "--key", f"file:{key}")
        self.addCleanup(owner.kill)
        self.ask("--incoming", "--key", f"file:{key}")
        self.ask("--key", f"file:{key}", status=IN_USE)
        self.ask("--incoming", status=KEY_NEEDED)

    def test_a_key_for_a_plain_image(self):
        key = self.file("host.key", b"a key that nobody guesses, of a host")
        self.finding(self.ask("--key", f"file:{key}", image=self.create("--tpm2"), status=WRONG_KEY), "key")

    def test_what_is_no_image(self):
        self.ask(status=ABSENT)
        self.ask(image=self.file("blank", bytes(MIB)), status=BLANK)
        self.ask(image=self.file("foreign", b"something else" * 100000), status=FOREIGN)
        folder = self.path("folder")
        folder.mkdir()
        self.ask(image=folder, status=UNSUPPORTED)

    def test_a_later_format(self):
        content = bytearray(self.create("--tpm2").read_bytes())
        edit_superblocks(content, FORMAT_VERSION_AT, (2).to_bytes(4, "little"))
        self.finding(self.ask(image=self.file("later", content), status=TOO_NEW), "format")

    def test_damaged(self):
        self.start_a_tpm(self.create("--tpm2"))
        content = self.image.read_bytes()
        no_superblocks = self.file("none", b"\x01" * 8192 + content[8192:])
        self.ask(image=no_superblocks, status=CORRUPT)
        self.ask(image=self.file("short", content[:MIB]), status=CORRUPT)
        one_superblock = self.ask(image=self.file("one", content[:100] + b"\x01" + content[101:]))
        self.assertEqual(self.finding(one_superblock, "content")["outcome"], "note")

    def test_any_damage_is_said_and_nothing_else_happens(self):
        self.start_a_tpm(self.create("--tpm2", "--size", "3M"))
        whole = self.image.read_bytes()
        dice = random.Random(17)
        statuses = set()
        for number in range(60):
            content = bytearray(whole)
            for _ in range(dice.choice((1, 20, 2000))):
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            damaged = self.file(f"damaged{number}", content)
            done = self.run_vnvram("can-run", damaged, "--json")
            statuses.add(done.returncode)
            self.assertIn(done.returncode, (OK, CORRUPT, FOREIGN, TOO_NEW), f"{number}: {done}")
            self.assertEqual(json.loads(done.stdout)["can_run"], done.returncode == OK)
            self.assertEqual(damaged.read_bytes(), content)
            damaged.unlink()
        self.assertIn(CORRUPT, statuses)

    def test_no_space_for_it(self):
        """A file whose holes its file system could not fill."""
        folder = self.path("small")
        folder.mkdir()
        mounted = ["unshare", "--mount", "sh", "-ec",
                   'mount -t tmpfs -o size=3M none "$0"; cp --sparse=always "$1" "$0/vm"; shift; exec "$@" "$0/vm"',
                   str(folder), str(self.create("--tpm2"))]
        done = subprocess.run([*mounted, str(program("vnvram")), "can-run", "--json"], capture_output=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, NO_SPACE, done)
        report = json.loads(done.stdout)
        self.assertEqual(self.finding(report, "space")["kind"], "no-space")

    def test_a_full_file_system_is_no_reason_where_the_image_has_its_space(self):
        folder = self.path("full")
        folder.mkdir()
        image = self.create("--tpm2", "--blob", "a:t:1K")
        full = ["unshare", "--mount", "sh", "-ec",
                'mount -t tmpfs -o size=6M none "$0"; cp --sparse=never "$1" "$0/vm"; '
                'head -c 8M /dev/zero > "$0/rest" 2>/dev/null || :; shift; "$@" "$0/vm" --json; '
                '"$1" put "$0/vm" a - < /etc/hostname', str(folder), str(image)]
        done = subprocess.run([*full, str(program("vnvram")), "can-run"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, OK, done)  # And a change is possible there.
        report = json.loads(done.stdout)
        self.assertTrue(report["can_run"])
        self.assertEqual(self.finding(report, "durability")["outcome"], "unknown")
        self.assertEqual(self.finding(report, "space")["outcome"], "good")

    def test_a_copy_that_shares_its_space_with_another_file(self):
        """Which a start gives it space of its own, or refuses; XFS can have such files."""
        small = SmallFileSystem(self.workspace, "xfs")
        image = small.file("vm.nvram")
        self.vnvram("create", image, "--tpm2", "--size", "24M")
        copy = small.file("copy.nvram")
        subprocess.run(["cp", "--reflink=always", image, copy], check=True)
        self.assertEqual(self.finding(self.ask(image=copy), "space")["outcome"], "note")
        small.fill()
        found = self.finding(self.ask(image=copy, status=NO_SPACE), "space")
        self.assertIn("a copy's, too", found["text"])
        self.image = copy
        self.refused_start(NO_SPACE)

    def test_space_is_asked_for_where_the_image_is(self):
        """What lies behind it in a file that was made larger no start needs."""
        folder = self.path("small")
        folder.mkdir()
        image = self.create("--tpm2")
        mounted = ["unshare", "--mount", "sh", "-ec",
                   'mount -t tmpfs -o size=6M none "$0"; cp --sparse=never "$1" "$0/vm"; truncate -s 1G "$0/vm"; '
                   'shift; exec "$@" "$0/vm"', str(folder), str(image)]
        done = subprocess.run([*mounted, str(program("vnvram")), "can-run", "--json"], capture_output=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, OK, done)
        self.assertNotEqual(self.finding(json.loads(done.stdout), "space")["outcome"], "refusal")

    def test_of_a_vm_image_space_is_not_known(self):
        image = self.path("vm.qcow2")
        self.vnvram("create", image, "--tpm2")
        self.assertEqual(self.finding(self.ask(image=image), "space")["outcome"], "unknown")

    def test_the_socket_of_an_owner_is_no_place(self):
        self.ask(image=f"unix:{self.path('sock')}", status=UNSUPPORTED)


class EveryPlace(CanRunCase):
    def test_every_place(self):
        for place_class in PLACES:
            with self.subTest(place=place_class.name):
                place = place_class(self)
                self.addCleanup(place.end)
                self.vnvram("create", place.location, "--tpm2")
                before = place.content()
                report = self.ask(image=str(place.location))
                self.assertEqual(place.content(), before)
                how = report["durability"]["measured"]
                self.assertIn("beside" if place_class.name in ("file", "VM image") else "flushes", how)
                if not isinstance(place, VmImage):
                    argv = place.make_unwritable()
                    done = subprocess.run([*map(str, argv), str(program("vnvram")), "can-run", str(place.location)],
                                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
                    self.assertEqual(done.returncode, READ_ONLY, done)
                    self.assertEqual(place.content(), before)

    def test_a_block_device_in_use(self):
        place = BlockDevice(self)
        self.addCleanup(place.end)
        self.vnvram("create", place.location, "--blob", "a:t:64K")
        with Owner(self, place.location, "a", 5000):
            before = place.content()
            self.ask(image=str(place.location), status=IN_USE)
            self.ask("--incoming", image=str(place.location))
            self.assertEqual(place.content(), before)

    def test_an_export_that_says_nothing_of_locks(self):
        server = NbdServer(self.workspace, "nbdkit", self.create("--tpm2"))
        self.addCleanup(server.kill)
        self.assertEqual(self.finding(self.ask(image=server.uri), "lock")["outcome"], "unknown")
        owner = OwnerProcess(self.workspace, server.uri)
        self.addCleanup(owner.kill)
        found = self.finding(self.ask(image=server.uri), "lock")
        self.assertEqual(found["outcome"], "unknown")
        self.assertIn("if that one lives, the image is taken from it", found["text"])
        self.assertNotIn("taken from it", self.finding(self.ask("--incoming", image=server.uri), "lock")["text"])

    def test_a_vm_image_in_use_cannot_be_looked_at(self):
        image = self.path("vm.qcow2")
        self.vnvram("create", image, "--tpm2")
        with Owner(self, image):
            self.ask("--incoming", image=image, status=IN_USE)
