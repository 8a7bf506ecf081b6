"""Exchanges of the data key in whose middle a program is killed, for real: the image opens with the keys that
it had, holds what it held and is at its anchor, and the exchange can be begun again; behind one that has
ended, nothing is left that an older data key opens."""

import subprocess

from cli.command import IO, OK, WRONG_KEY, Case
from harness.child import PATIENCE_SECONDS
from harness.long_test import long_test
from harness.memory_disk import MemoryDisk
from harness.owner_process import OwnerProcess
from harness.shows_logs import ShowsLogs
from harness.tpm_process import program
from independent import keys
from independent.image import KeyRing, choose_superblock
from independent.layout import BLOCK_BYTES
from nbdkit.nbdkit_case import dice_of_a_seed

SLOTS = slice(2 * BLOCK_BYTES, 10 * BLOCK_BYTES)
HOMES_AT = 18 * BLOCK_BYTES  # Behind superblocks and header area: what is written there is sealed.
BEHIND_BLOCKS = 10  # At the device's end there may be some that belong to nothing.
SIZES_BYTES = {"large": 2 << 20, "uefi.vars": 540672, "small": 700}
HOST_KEY = b"the key of this host, which nobody guesses"
SHUT_OUT = "2"  # The slot of a holder who is to go.


class KilledRotation(ShowsLogs, Case):
    def setUp(self):
        super().setUp()
        self.children = []
        self.addCleanup(lambda: [child.kill() for child in reversed(self.children)])
        self.dice = dice_of_a_seed()
        self.host = ("--key", f"file:{self.file('host.key', HOST_KEY)}")
        self.escrow, escrow_public = self.key_pair("escrow")
        self.shut_out, shut_out_public = self.key_pair("contractor")
        self.anchor = self.path("anchor")
        self.anchored = ("--anchor", f"file:{self.anchor}")
        self.create("--encrypt", *self.host, "--label", "host", "--key", f"public:{escrow_public}",
                    "--key", f"public:{shut_out_public}", *self.anchored,
                    *(word for name, size in SIZES_BYTES.items() for word in ("--blob", f"{name}:test:{size}")))
        self.contents = {name: self.dice.randbytes(size) for name, size in SIZES_BYTES.items()}
        for name, content in self.contents.items():
            self.vnvram("put", self.image, name, "-", *self.host, *self.anchored, input=content)
        self.before = self.image.read_bytes()
        self.anchor_before = self.anchor.read_bytes()
        self.disk = MemoryDisk(self.workspace, self.before)
        self.addCleanup(self.disk.close)
        self.owner = None
        self.written = []  # Of the exchange in which somebody is to be killed.
        self.was_killed = False

    def key_pair(self, name):
        """Options with the private half, and the path of the public one."""
        private, public = self.path(f"{name}.pem"), self.path(f"{name}.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return ("--key", f"file:{private}"), public

    # Who is killed, and where. Each begins with what there was at first.

    def put_back(self):
        for child in self.children:
            child.kill()
        self.disk.content[:] = self.before
        self.anchor.write_bytes(self.anchor_before)

    def rotate(self, *words):
        return subprocess.Popen([program("vnvram"), "key", "rotate", *words, "--without", SHUT_OUT],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def by_command(self):
        return self.rotate(self.disk.uri, *self.host, *self.anchored)

    def start_owner(self):
        self.owner = OwnerProcess(self.workspace, self.disk.uri, *self.host, *self.anchored)
        self.children.append(self.owner)

    def ended(self, command, status):
        _, said = command.communicate(timeout=PATIENCE_SECONDS)
        self.assertIn(command.returncode, status, said)

    def killed_or_ended(self, command, status):
        self.ended(command, status)
        self.written = list(self.disk.written)
        self.was_killed = self.disk.has_happened()

    def command_is_killed(self, number):
        command = self.by_command()
        self.disk.kill_at(number, command.pid)
        self.killed_or_ended(command, (OK, -9))

    def owner_is_killed(self, number):
        self.start_owner()
        self.disk.kill_at(number, self.owner.pid)
        self.killed_or_ended(self.rotate(self.owner.address), (OK, IO))
        self.owner.kill()

    def owners_command_is_killed(self, number):
        """The owner hears of it when it is done, and goes on."""
        self.start_owner()
        command = self.rotate(self.owner.address)
        self.disk.kill_at(number, command.pid, writes=False)
        self.killed_or_ended(command, (OK, -9))
        self.vnvram("check", self.owner.address)
        self.holds(self.owner.address)
        self.ended(self.rotate(self.owner.address), (OK,))
        self.owner.stop()

    def kill_in_the_middle(self, kill, count):
        """Half of the kills are at writes that decide, the first and the last of them always, and the others at
        some of the many that seal or overwrite."""
        self.put_back()
        kill(0)
        written = self.written
        many = [number for number, at in enumerate(written, 1) if at >= HOMES_AT]
        few = [number for number, at in enumerate(written, 1) if at < HOMES_AT]
        moments = [few[0], few[-1], *self.dice.sample(few[1:-1], min(len(few), count // 2) - 2)]
        moments += self.dice.sample(many, count - len(moments))
        killed, named = 0, set()
        for number in sorted(moments):
            with self.subTest(kill=kill.__name__, write=number, at=written[number - 1]):
                self.put_back()
                kill(number)
                killed += self.was_killed
                named.add(self.look_at_what_is_left())
                self.goes_on_to_the_end()
        print(f"{kill.__name__}: {killed} kills in {len(written)} writes", flush=True)
        self.assertGreater(killed, count // 2)  # One that has ended just before is not killed.
        return named

    # What must be so.

    def holds(self, image, *options):
        for name, content in self.contents.items():
            self.assertTrue(self.vnvram("get", image, name, *options) == content, name)

    def key_id(self, content):
        """Of the data key that the image is sealed with, and only with that."""
        holder = keys.KeyHolder(HOST_KEY)
        return choose_superblock(content, KeyRing(content, holder)).superblock.key_id

    def look_at_what_is_left(self):
        """Returns whether the data key is the new one."""
        left = bytes(self.disk.content)
        is_new = self.key_id(left) != self.key_id(self.before)
        for key in (self.host, self.escrow):
            self.vnvram("check", self.disk.uri, *key)
        self.holds(self.disk.uri, *self.host)
        self.vnvram("key", "test", self.disk.uri, *self.shut_out, status=WRONG_KEY if is_new else OK)
        self.vnvram("anchor", "verify", self.disk.uri, *self.host, *self.anchored)
        self.assertEqual(self.disk.content, left)  # Nobody has mended anything on the way.
        return is_new

    def goes_on_to_the_end(self):
        """The old data keys open nothing any more, not even for who has kept the key slots."""
        left = bytes(self.disk.content)
        self.ended(self.by_command(), (OK,))
        self.holds(self.disk.uri, *self.escrow)
        self.vnvram("anchor", "verify", self.disk.uri, *self.host, *self.anchored)
        after = bytes(self.disk.content)
        self.assertEqual(len({self.key_id(content) for content in (self.before, after)}), 2)
        for old in (self.before, left):
            self.assertEqual(self.sealed(old) & self.sealed(after), set())
            if self.key_id(old) != self.key_id(after):
                self.disk.content[SLOTS] = old[SLOTS]
                for key in (self.host, self.escrow, self.shut_out):
                    self.vnvram("key", "test", self.disk.uri, *key, status=WRONG_KEY)

    @staticmethod
    def sealed(content):
        end = len(content) - BEHIND_BLOCKS * BLOCK_BYTES
        return {content[at:at + BLOCK_BYTES] for at in range(HOMES_AT, end, BLOCK_BYTES)}

    def test_the_command(self):
        self.assertEqual(self.kill_in_the_middle(self.command_is_killed, 8), {False, True})

    def test_the_owner(self):
        self.assertEqual(self.kill_in_the_middle(self.owner_is_killed, 8), {False, True})

    def test_the_command_that_has_asked_an_owner(self):
        self.assertEqual(self.kill_in_the_middle(self.owners_command_is_killed, 4), {True})

    @long_test
    def test_a_hundred_times(self):
        for kill, count in ((self.command_is_killed, 40), (self.owner_is_killed, 40),
                            (self.owners_command_is_killed, 20)):
            self.kill_in_the_middle(kill, count)
