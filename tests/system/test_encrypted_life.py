"""The life of one machine whose image is encrypted and has an anchor, from its creation to its last key.

A real guest counts with its TPM in all of it. What it has reported is acknowledged, so at each station
the counter says whether something was lost, and whether something came back that was not to.
"""

import json
import shutil
import subprocess
import unittest
from typing import NamedTuple

from cli.command import KEY_NEEDED, SEALED, WRONG_KEY
from harness.case import COUNTER, GuestCase, nvram_drive
from harness.machine_process import MachineProcess
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe
from harness.shared_anchor import shared_anchor
from harness.tpm_process import TpmProcess, program
from harness.vm_image import qemu_img
from harness.vnvram import info, vnvram
from serve.machine_case import TpmMachine

NOT_AT_ANCHOR = 31  # An exit code.
ROTATIONS = 3
BLOCK_SIZE_BYTES = 4096
SLOTS = slice(2 * BLOCK_SIZE_BYTES, 10 * BLOCK_SIZE_BYTES)


class Host(NamedTuple):
    """Who runs the machine; options for its key, and for its anchor, which is not where the image is."""
    key: tuple
    anchor: tuple

    @property
    def options(self):
        return (*self.key, *self.anchor)


class KeyPair(NamedTuple):
    """Who is known here by the public half only."""
    public: str
    key: tuple  # Options with the private half.

    @classmethod
    def make(cls, private, public):
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return cls(f"public:{public}", ("--key", f"file:{private}"))


class EncryptedLife(GuestCase):
    """`host` and `image` are where the machine is at home now; `tpm`, `qemu` and perhaps `daemon` are
    there while it is on. `expected` are the values that its counter may have at its next start."""

    image_name = "vm.qcow2"
    image_options = ()

    def setUp(self):
        super().setUp()
        self.image.unlink()
        self.host = self.new_host("first", anchor=shared_anchor(self.workspace))
        self.escrow = self.new_key_pair("escrow")
        self.keeper = self.new_key_pair("keeper")
        self.daemon = self.tpm = self.qemu = None
        self.before_exchange = None
        self.backup, self.backed_up = [], None
        self.expected = None
        self.records = []  # Of QEMUs that the guest has left since it was started.

    def test_all_of_it(self):
        for station in (
                self.is_made_for_two_holders, self.nothing_is_shown_without_a_key,
                self.is_started_and_counts, self.its_data_key_is_exchanged, self.is_mirrored_to_other_storage,
                self.moves_with_its_image, self.is_put_back_to_a_snapshot, self.is_backed_up, self.moves_to_another_host,
                self.its_power_is_cut, self.a_copy_of_it_goes_on, self.is_restored_from_its_backup,
                self.a_holder_is_shut_out, self.a_key_is_taken_away):
            print(station.__name__)
            station()

    # What happens to it, in this order.

    def is_made_for_two_holders(self):
        vnvram("create", self.image, "--tpm2", "--encrypt", *self.host.key, "--label", "host",
               "--key", self.escrow.public, "--label", "escrow", *self.host.anchor)

    def nothing_is_shown_without_a_key(self):
        self.assertEqual(self.slots(), {"host": 0, "escrow": 1})
        wrong = ("--key", f"file:{self.new_secret('wrong')}")
        for verb in ("info", "ls", "check"):
            self.refused(KEY_NEEDED, verb, self.image)
            said = self.refused(WRONG_KEY, verb, self.image, *wrong)
            self.assertIn('slot 0: key "host", slot 1: public "escrow"', said)
            vnvram(verb, self.image, *self.host.key)
            vnvram(verb, self.image, *self.escrow.key)
        for options, status in ((self.host.anchor, KEY_NEEDED), ((*wrong, *self.host.anchor), WRONG_KEY)):
            self.not_served(status, self.image, options)

    def is_started_and_counts(self):
        self.daemon = self.start_storage_daemon(self.image)
        self.start(self.daemon.uri)

    def its_data_key_is_exchanged(self):
        """While the guest counts, which goes on; and the same holders open the image."""
        self.before_exchange = before = self.copied_by_daemon("before")
        for _ in range(ROTATIONS):
            said = vnvram("key", "rotate", self.tpm.address)
            self.assertEqual(said.count("opens it:"), 2, said)
            self.counts_on()
        after = self.copied_by_daemon("after")
        for holder in (self.host, self.escrow):
            vnvram("check", after, *holder.key)
            vnvram("check", before, *holder.key)  # It is a copy of then.
        self.old_data_key_opens_nothing(before, after)

    def old_data_key_opens_nothing(self, before, after):
        old, new = before.read_bytes(), bytearray(after.read_bytes())
        # Behind superblocks and header area, and before the last superblock.
        blocks = range(18 * BLOCK_SIZE_BYTES, len(old) - 10 * BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES)
        self.assertEqual([at for at in blocks
                          if old[at:at + BLOCK_SIZE_BYTES] == new[at:at + BLOCK_SIZE_BYTES]], [])
        new[SLOTS] = old[SLOTS]
        after.write_bytes(new)
        for holder in (self.host, self.escrow):
            self.refused(WRONG_KEY, "ls", after, *holder.key)

    def is_mirrored_to_other_storage(self):
        """While the guest counts; its image is another file then, and its anchor knows it."""
        moved = self.workspace.file("moved.qcow2")
        recipe("move_image.py", self.daemon.qmp, moved)
        self.counts_on()
        self.image.unlink()
        self.image = moved
        self.stop()
        self.refused_by_anchor(self.before_exchange, "put back to an older state")

    def moves_with_its_image(self):
        """By a mirror, to a host whose key has a slot and who asks the same anchor. What is left behind starts
        no more."""
        host = Host(("--key", f"file:{self.new_secret('next')}"), self.host.anchor)
        vnvram("key", "add", self.image, *self.host.key, "--new-key", host.key[1], "--label", "next")
        left, image = self.image, self.workspace.file("next.qcow2")
        size_bytes = json.loads(qemu_img("info", "--output=json", left))["virtual-size"]
        qemu_img("create", "-q", "-f", "qcow2", "-o", "preallocation=full", image, size_bytes)
        source = self.start_detached(self.host)
        self.qemu = self.start_machine(source, options=("--preconfig", *nvram_drive(left)))
        recipe("start_qemu_owned.py", self.qemu.operator, source.admin, self.workspace.file("source.nbd"))
        self.must_go_on(self.qemu.wait_ready())
        destination = self.start_detached(host, "--incoming")
        qemu = self.start_machine(destination, incoming="defer", options=nvram_drive(image))
        recipe("migrate_with_image.py", self.qemu.operator, qemu.operator, f"unix:{self.workspace.file('moving')}",
               "--nbd", self.workspace.file("destination.nbd"), "--source-admin", source.admin,
               "--destination-admin", destination.admin)
        recipe("end_source.py", self.qemu.operator, source.admin, left, *self.host.key)
        self.records.append(self.qemu.ended())
        source.stop()
        self.not_served(SEALED, left, self.host.options)
        vnvram("unseal", left, *self.host.key)
        self.refused_by_anchor(left, "is a copy that was")
        self.host, self.image, self.qemu = host, image, qemu
        self.counts_on()
        record = self.qemu.kill()
        destination.kill()
        self.remember(record)
        self.check()
        self.must_be_at_anchor()
        vnvram("key", "rm", self.image, self.slots()["host"])

    def is_put_back_to_a_snapshot(self):
        """It is refused; when somebody has said that this is to be, it goes on at the old count."""
        snapshot, generation = self.expected, self.generation()
        qemu_img("snapshot", "-c", "snapshot", self.image)
        self.start()
        self.stop()
        newer = self.generation()
        self.assertGreater(newer, generation)
        qemu_img("snapshot", "-a", "snapshot", self.image)
        said = self.refused_by_anchor(self.image, "put back to an older state")
        for number in (generation, newer):
            self.assertIn(f"generation {number} of epoch", said)
        self.accept("back to the snapshot")
        self.expected = snapshot
        self.start()

    def is_backed_up(self):
        """While the guest counts: all of it, then what has changed, for whoever keeps the backups."""
        since = ()
        for name in ("full.nvram", "increment.nvram"):
            part = self.workspace.file(name)
            self.backup.append(part)
            self.backed_up = self.counts_on()
            done = json.loads(vnvram("export", self.tpm.address, part, *since, "--json", "--label", "keeper",
                                     "--new-key", self.keeper.public))
            since = ("--since", f"{done['uuid']}:{done['generation']}")
            self.refused(WRONG_KEY, "ls", part, *self.host.key)

    def moves_to_another_host(self):
        """Which has an image, a key and an anchor of its own; what is left behind starts no more."""
        left, host, image = self.tpm, self.new_host("second"), self.workspace.file("there.nvram")
        vnvram("create", image, "--tpm2", "--encrypt", *host.key, "--label", "host", *host.anchor)
        tpm = self.start_tpm(image, (*host.options, "--incoming"))
        qemu = self.start_machine(tpm, incoming="defer")
        recipe("migrate.py", self.qemu.operator, qemu.operator, f"unix:{self.workspace.file('stream')}")
        self.records.append(self.qemu.quit())
        left.stop()
        self.not_served(SEALED, self.image, self.host.options)
        qemu_img("snapshot", "-a", "snapshot", self.image)
        self.refused_by_anchor(self.image, "put back to an older state")
        self.host, self.image, self.tpm, self.qemu = host, image, tpm, qemu
        self.counts_on()

    def its_power_is_cut(self):
        record = self.qemu.kill()
        self.tpm.kill_all()
        self.remember(record)
        self.check()
        self.must_be_at_anchor()
        self.start()
        self.stop()

    def a_copy_of_it_goes_on(self):
        """Further than the machine itself, whose anchor refuses it."""
        copy = self.workspace.file("copy.nvram")
        shutil.copy(self.image, copy)
        machine = self.start_tpm(copy, self.host.key)
        tpm = TpmMachine(self, machine, defines=False)
        for _ in range(3):
            tpm.client.must_increment()
        tpm.off()
        machine.stop()
        self.assertGreater(self.generation(copy), self.generation())
        self.refused_by_anchor(copy, "is a copy that was")
        self.must_be_at_anchor()

    def is_restored_from_its_backup(self):
        """A new image in the lost one's place, which nobody but the operator can tell from a forged one."""
        self.image.unlink()
        self.image = self.workspace.file("restored.nvram")
        vnvram("import", *self.backup, "--out", self.image, *self.keeper.key, "--new-key",
               self.host.key[1], "--label", "host", "--new-key", self.escrow.public, "--label", "escrow")
        self.refused_by_anchor(self.image, "is another image")
        self.accept("restored the backup")
        self.expected = range(self.backed_up, self.expected[0])  # The machine has counted on since.
        self.start()
        self.stop()

    def a_holder_is_shut_out(self):
        """Also from the image with his old slot put back."""
        vnvram("check", self.image, *self.escrow.key)
        old = self.image.read_bytes()[SLOTS]
        vnvram("key", "rotate", self.image, *self.host.options, "--without", self.slots()["escrow"])
        self.must_be_at_anchor()
        self.assertEqual(list(self.slots()), ["host"])
        self.refused(WRONG_KEY, "ls", self.image, *self.escrow.key)
        forged = bytearray(self.image.read_bytes())
        forged[SLOTS] = old
        copy = self.workspace.file("forged.nvram")
        copy.write_bytes(forged)
        self.refused(WRONG_KEY, "ls", copy, *self.escrow.key)
        self.start()
        self.stop()

    def a_key_is_taken_away(self):
        """And the one that was added before it is as good."""
        other = ("--key", f"file:{self.new_secret('other')}")
        vnvram("key", "add", self.image, *self.host.key, "--new-key", other[1], "--label", "other")
        vnvram("key", "rm", self.image, self.slots()["host"])
        self.assertEqual(list(self.slots()), ["other"])
        self.not_served(WRONG_KEY, self.image, self.host.options)
        self.host = Host(other, self.host.anchor)
        self.must_be_at_anchor()
        self.check()

    # What the stations are made of.

    def new_secret(self, name):
        path = self.workspace.file(f"{name}.key")
        path.write_text(f"the key of {name}, which nobody guesses", "ascii")
        return path

    def new_host(self, name, anchor=None):
        return Host(("--key", f"file:{self.new_secret(name)}"),
                    anchor or ("--anchor", f"file:{self.workspace.file(f'{name}.anchor')}"))

    def new_key_pair(self, name):
        return KeyPair.make(self.workspace.file(f"{name}.pem"), self.workspace.file(f"{name}.pub"))

    def slots(self):
        """Numbers by labels; no key is needed."""
        return {slot["label"]: slot["number"]
                for slot in json.loads(vnvram("key", "ls", self.image, "--json"))["slots"]}

    def generation(self, image=None):
        return info(image or self.image, *self.host.key)["generation"]

    def check(self, image=None):
        vnvram("check", image or self.image, *self.host.key)

    def start_tpm(self, image=None, options=()):
        machine = MachineProcess(self.workspace, image or self.image, *(options or self.host.options),
                                 nbd=False)
        self.children.append(machine)
        return machine

    def start_detached(self, host, *options):
        """For a drive that is QEMU's own."""
        tpm = TpmProcess(self.workspace, "-", None, ("--detached", "--tpm2", *host.options, *options), admin=True)
        self.children.append(tpm)
        return tpm

    def start(self, image=None):
        """The machine goes on where it was, and counts."""
        self.tpm = self.start_tpm(image)
        self.must_go_on(self.boot(self.tpm))

    def must_go_on(self, qemu):
        self.qemu = qemu
        if self.expected is None:
            self.qemu.must(f"nvloop define {COUNTER}")
        else:
            self.assertIn(self.stored(), self.expected)
        self.qemu.start_loop(COUNTER)
        self.counts_on()

    def counts_on(self):
        """Returns what was acknowledged."""
        self.qemu.wait_value(0)
        target = self.qemu.value_now() + 10
        self.qemu.wait_value(target)
        return target

    def stored(self):
        return int(self.qemu.must(f"nvloop read {COUNTER}"))

    def stop(self):
        record = self.qemu.quit()
        self.tpm.stop()
        if self.daemon:
            self.daemon.stop()
            self.daemon = None
        self.remember(record)
        self.check()
        self.must_be_at_anchor()

    def remember(self, record):
        """The guest was refused nothing, and has counted without a gap."""
        record = b"".join([*self.records, record])
        self.records.clear()
        self.assertEqual(complaints_of(record), [])
        values = values_of(record)
        self.assertEqual(drops_in(values), [])
        last = values[-1]
        self.expected = (last, last + 1)  # An answer may have been on its way to the guest.

    def copied_by_daemon(self, name):
        """What the drive holds at one moment, while the machine goes on, as a raw image."""
        file, raw = (self.workspace.file(f"{name}.{format}") for format in ("qcow2", "nvram"))
        recipe("backup.py", self.daemon.qmp, file)
        qemu_img("convert", "-O", "raw", file, raw)
        return raw

    def refused(self, status, *words):
        """Returns what it has said."""
        argv = [str(program("vnvram")), *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, status, f"{argv}: {done.stdout}{done.stderr}")
        return done.stderr

    def not_served(self, status, image, options):
        with self.assertRaisesRegex(AssertionError, f"ended with status {status} at its start") as raised:
            self.start_tpm(image, options)
        return str(raised.exception)

    def refused_by_anchor(self, image, reason):
        """Returns what is said to whoever would serve it."""
        said = self.not_served(NOT_AT_ANCHOR, image, self.host.options)
        self.assertIn(reason, said)
        self.assertIn("anchor accept", said)
        self.refused(NOT_AT_ANCHOR, "anchor", "verify", image, *self.host.options)
        return said

    def must_be_at_anchor(self):
        vnvram("anchor", "verify", self.image, *self.host.options)

    def accept(self, note):
        """Who has said so, when and why is kept."""
        vnvram("anchor", "accept", self.image, *self.host.options, "--note", note)
        self.must_be_at_anchor()
        self.assertRegex(vnvram("meta", "get", self.image, "anchor-accepted"),
                         r"^\d{4}-\d\d-\d\d.* by \S+ on \S+: generation \d+ .*: " + note)


if __name__ == "__main__":
    unittest.main()
