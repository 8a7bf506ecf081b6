"""An image goes on at another place under a machine that writes, and whenever somebody dies meanwhile exactly one of
the two places is the image."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cli.command import (ABSENT, BLANK, EXISTS, FOREIGN, IN_USE, IO, MIB, NO_SPACE, OK, SEALED, USAGE)
from harness.child import PATIENCE_SECONDS, Deadline
from harness.tpm_process import program
from nbdkit.nbdkit_case import dice_of_a_seed

from .counting_clients import DeferringClient, DurableClient, Reader, deaths, number_of
from .encrypted_case import EncryptedCase
from .machine_case import Incrementer, MachineCase
from .serve_case import ServeCase



class Moving:
    """What all cases of it do."""

    def move(self, owner, to, *options, **expected):
        return self.vnvram("move", owner.address, to, *options, **expected)

    def begin_move(self, owner, to, *options):
        return self.begun([program("vnvram"), "move", owner.address, to, *options])

    def begun(self, words):
        moving = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.addCleanup(moving.stdout.close)
        self.addCleanup(moving.stderr.close)
        self.addCleanup(moving.wait)
        self.addCleanup(moving.kill)
        return moving

    def place(self, owner):
        return self.json("status", owner.address)["location"]

    def is_killed(self, moving, owner):
        """On return the owner has heard of it, and has done what was asked for before."""
        moving.kill()
        moving.wait()
        deadline = Deadline(PATIENCE_SECONDS)
        while True:
            done = self.run_vnvram("status", owner.address, "--json")
            if done.returncode == OK and moving.pid not in [
                    session["pid"] for session in json.loads(done.stdout)["sessions"]]:
                return
            self.assertFalse(deadline.passed(), done.stderr)

    def opens(self, image, *words):
        """Whether it opens for writing; else it is sealed, or there is no image."""
        done = self.run_vnvram("put", image, "eeprom", "-", *words, input=b"opened")
        self.assertIn(done.returncode, (OK, SEALED, ABSENT, BLANK, FOREIGN), done.stderr)
        return done.returncode == OK

    def must_be_one(self, *places, words=()):
        """Returns which of them it is."""
        opened = [place for place in places if self.opens(place, *words)]
        self.assertEqual(len(opened), 1, opened)
        return opened[0]


class Owners(Moving, ServeCase):
    """`vnvram serve` by itself, and a front end that waits for it."""

    def begin(self):
        self.server = self.export()
        self.writers = {"nvram": DurableClient(self.server.socket, b"nvram"),
                        "uefi.vars": DeferringClient(self.server.socket, b"uefi.vars")}
        self.readers = [Reader(self.server.socket, name.encode()) for name in self.writers]
        self.go_on(20)

    def go_on(self, rounds):
        for writer in self.writers.values():
            writer.must_go_on(rounds, seconds=PATIENCE_SECONDS)

    def end(self, image):
        for reader in self.readers:
            reader.stop()
        contents = {name: writer.stop() for name, writer in self.writers.items()}
        self.stop(self.server)
        self.owner.stop()
        self.must_be_clean(image)
        for name, content in contents.items():
            self.assertEqual(self.stored(name, image)[:len(content)], content)

    def test_a_machine_that_writes_goes_on_at_the_new_place(self):
        self.begin()
        places = [self.image]
        for name in ("one.nvram", "two.qcow2", "three.nvram"):
            to = self.path(name)
            report = self.json("move", self.owner.address, to)
            self.assertEqual((report["place"], self.place(self.owner)), (str(to), str(to)))
            print(f"{name}: {report['rounds']} rounds, {report['held_bytes']} bytes while held", flush=True)
            self.go_on(20)
            self.vnvram("put", places[-1], "eeprom", "-", input=b"x", status=SEALED, message=str(to))
            places.append(to)
        pathlib.Path(places[1]).unlink()
        self.move(self.owner, self.path("four.nvram"))
        self.go_on(20)
        places.append(self.path("four.nvram"))
        self.end(places[-1])
        self.assertEqual(self.must_be_one(*places), places[-1])
        self.assertEqual(self.json("meta", "ls", places[-1]).get("vnvram/moved-from"), None)

    def test_a_file_that_was_renamed_stays(self):
        """The next owner would not find it by its name, and so not see that it is sealed."""
        to = pathlib.Path(self.path("new.nvram"))
        pathlib.Path(self.image).rename(self.path("renamed.nvram"))
        self.vnvram("move", self.owner.address, to, status=ABSENT)
        self.assertFalse(to.exists())
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"goes on")

    def test_back_to_where_it_was(self):
        self.begin()
        to = self.path("new.nvram")
        self.move(self.owner, to)
        self.move(self.owner, self.image, status=EXISTS)
        self.go_on(20)
        self.move(self.owner, self.image, "--force")
        self.go_on(20)
        self.end(self.image)
        self.assertEqual(self.must_be_one(self.image, to), self.image)

    def test_the_old_place_names_the_new_one(self):
        to = self.path("new.nvram")
        self.move(self.owner, to)
        self.owner.stop()
        done = self.run_vnvram("serve", self.image, "--control", f"unix:{self.path('again.sock')}")
        self.assertEqual(done.returncode, SEALED)
        self.assertIn(f"it was moved to {to}", done.stderr.decode())
        self.assertIn("name it wherever this one is named", done.stderr.decode())

    def test_what_cannot_be_made_leaves_it_where_it_is(self):
        self.begin()
        taken = self.file("taken.nvram", b"somebody's" * 1000)
        before = self.names()
        self.move(self.owner, taken, status=EXISTS)
        self.move(self.owner, self.path("small.nvram"), "--size", "1M", status=NO_SPACE)
        self.move(self.owner, self.path("no folder/x.nvram"), status=IO)
        self.move(self.owner, self.owner.address, status=USAGE)
        for words in ((), ("--force",)):
            self.move(self.owner, self.image, *words, status=USAGE, message="IMAGE and TO are the same")
            self.move(self.owner, os.path.relpath(self.image), *words, status=USAGE, message="are the same")
        self.vnvram("hold", self.owner.address, "--seconds", "60")
        self.move(self.owner, self.path("held.nvram"), status=IN_USE)
        self.vnvram("release", self.owner.address)
        self.assertEqual(self.names(), before)
        self.go_on(20)
        self.end(self.image)

    def test_an_owner_in_another_folder_names_its_image_by_that(self):
        self.owner.stop()
        self.owner = self.start_owner(image=os.path.relpath(self.image))
        with tempfile.TemporaryDirectory() as folder:
            self.move(self.owner, self.image, "--force", status=USAGE, message="are the same", cwd=folder)
        self.move(self.owner, self.path("new.nvram"))

    def test_sigint_takes_away_what_was_made(self):
        self.begin()
        before = self.names()
        for _ in range(3):
            moving = self.begin_move(self.owner, self.path("new.nvram"), "--rate-bytes", "1M")
            time.sleep(0.3)  # At any moment of it.
            moving.send_signal(signal.SIGINT)
            self.assertNotEqual(moving.wait(PATIENCE_SECONDS), 0)
            self.assertEqual(self.names(), before)
            self.go_on(20)
        self.end(self.image)

    def test_the_command_dies_at_any_moment(self):
        dice = dice_of_a_seed()
        self.begin()
        image = self.image
        moved = 0
        for number in range(deaths()):
            to = self.path(f"to{number}.{dice.choice(['nvram', 'nvram', 'qcow2'])}")
            moving = self.begin_move(self.owner, to)
            time.sleep(dice.random())
            self.is_killed(moving, self.owner)
            # A hold that it leaves behind ends by itself.
            self.run_vnvram("release", self.owner.address)
            self.go_on(20)
            if self.place(self.owner) == str(to):
                image = to
                moved += 1
            else:
                self.assertEqual(self.place(self.owner), str(image))
                self.assertFalse(self.opens(to))
        print(f"{moved} of {deaths()} had moved", flush=True)
        self.end(image)

    def test_the_owner_dies_at_any_moment(self):
        dice = dice_of_a_seed()
        moved = 0
        image = self.image
        for number in range(deaths()):
            self.vnvram("put", self.owner.address, "nvram", "-", input=b"")
            self.server = self.export("reconnect=0")
            writer = DurableClient(self.server.socket, b"nvram")
            to = self.path(f"to{number}.nvram")
            moving = self.begin_move(self.owner, to)
            time.sleep(dice.random())
            self.owner.kill()
            moving.kill()
            moving.wait()
            self.server.kill()
            with self.assertRaises(AssertionError):
                writer.stop()
            writer._client.close()
            durable = writer.durable
            found = self.must_be_one(image, to)
            self.assertIn(number_of(self.stored("nvram", found)), (durable, durable + 1))
            moved += found == to
            image = found
            self.children.remove(self.owner)
            self.owner = self.start_owner(image=image)
        print(f"{moved} of {deaths()} had moved", flush=True)


class Offline(Moving, ServeCase):
    def test_an_image_that_nobody_has(self):
        self.vnvram("move", self.image, self.path("used.nvram"), status=IN_USE)
        self.owner.stop()
        image = self.image
        for name in ("one.qcow2", "two.nvram"):
            to = self.path(name)
            before = self.vnvram("get", image, "nvram")
            self.vnvram("move", image, to)
            self.must_be_clean(to)
            self.assertEqual(self.vnvram("get", to, "nvram"), before)
            self.assertEqual(self.must_be_one(image, to), to)
            image = to

    def without_room(self, path, first, *words):
        """None of that file's writes succeeds from this one on."""
        writes = "pwrite64,pwritev2,fdatasync"
        return subprocess.run(
            [str(word) for word in ("strace", "-f", "-qqq", "-o", "/dev/null", "-P", path, "-e", f"trace={writes}", "-e",
                                    f"inject={writes}:error=ENOSPC:when={first}+", program("vnvram"), *words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS, check=False)

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_who_has_no_room_is_told_where_the_image_is(self):
        self.owner.stop()
        seen = set()
        for number in range(1, 40):
            image, to = self.path(f"from{number}.nvram"), self.path(f"to{number}.nvram")
            shutil.copy(self.image, image)
            done = self.without_room(image, number, "move", image, to)
            errors = done.stderr.decode()
            stays = pathlib.Path(to).exists()
            found = self.must_be_one(image, to)
            seen.add((done.returncode == OK, stays, found == to))
            if done.returncode == OK:
                self.assertEqual(found, to)
                if not errors:
                    break
            elif stays:
                self.assertIn(f"one of {image} and {to} opens", errors)
                self.assertIn("`vnvram check` of both", errors)
            else:
                self.assertEqual(found, image)
        self.assertTrue({(False, False, False), (False, True, False), (False, True, True)} <= seen, seen)

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_who_cannot_open_the_new_place_is_told_that_it_is_the_image(self):
        self.owner.stop()
        to = self.path("to.nvram")
        done = self.without_room(to, 1, "move", self.image, to)
        self.assertNotEqual(done.returncode, OK)
        self.assertIn(f"the image is at {to}", done.stderr.decode())
        self.assertIn(f"{self.image} is sealed", done.stderr.decode())
        self.assertEqual(self.must_be_one(self.image, to), to)

    def test_no_key_is_shown(self):
        for place in ("rbd:pool/vm:key=c2VjcmV0", "rbd:pool/vm:id=x:key=c2VjcmV0"):
            for command in ("move", "copy"):
                done = self.run_vnvram(command, place, place)
                self.assertEqual(done.returncode, USAGE)
                self.assertIn("rbd:pool/vm", done.stderr.decode())
                self.assertNotIn("c2VjcmV0", done.stderr.decode())

    def test_a_sealed_one_stays(self):
        self.owner.stop()
        self.vnvram("seal", self.image)
        self.vnvram("move", self.image, self.path("new.nvram"), status=SEALED)
        self.assertFalse(pathlib.Path(self.path("new.nvram")).exists())


class Machines(Moving, MachineCase):
    """With a TPM and exports, and somebody who starts the owner again."""

    def end(self, machine, counter, writer, image):
        """All that was acknowledged is where the image is now."""
        counter.stop()
        content = writer.stop()
        counter.tpm.off()
        machine.stop()
        self.must_be_clean(image)
        self.assertEqual(self.stored("nvram", image)[:len(content)], content)

    def test_what_lies_there_under_another_mount_is_not_the_image(self):
        machine = self.start_machine()
        folder = pathlib.Path(self.path("mounted"))
        folder.mkdir()
        older = folder / "to.nvram"
        shutil.copy(self.image, older)
        before = older.read_bytes()
        self.vnvram("put", machine.address, "eeprom", "-", input=b"acknowledged")
        moving = self.begun(
            ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$1" && exec "$2" move "$3" "$1/to.nvram"', "sh",
             folder, program("vnvram"), machine.address])
        self.assertNotEqual(machine.child.wait(), OK)
        moving.send_signal(signal.SIGINT)  # It waits for another owner.
        said = moving.communicate(timeout=PATIENCE_SECONDS)[1].decode()
        self.assertEqual(moving.returncode, -signal.SIGINT)
        self.assertIn(f"ended by signal {int(signal.SIGINT)}; the image is at {older}", said)
        self.assertIn("an older state is there than the one that was moved", machine.log_text())
        self.assertEqual(older.read_bytes(), before)
        older.unlink()
        self.vnvram("unseal", self.image)
        self.assertEqual(self.vnvram("get", self.image, "eeprom"), b"acknowledged")

    def test_all_devices_go_on(self):
        machine = self.start_machine()
        counter = Incrementer(self.tpm(machine))
        writer = DurableClient(machine.nbd, b"nvram")
        image = self.image
        for name in ("one.nvram", "two.qcow2"):
            counter.must_go_on(5)
            to = self.path(name)
            begun = time.monotonic()
            self.move(machine, to)
            print(f"{name}: {1000 * (time.monotonic() - begun):.0f} ms", flush=True)
            counter.must_go_on(5)
            writer.must_go_on(20, seconds=PATIENCE_SECONDS)
            self.assertEqual(self.place(machine), str(to))
            self.assertFalse(self.opens(image))
            pathlib.Path(image).unlink()  # Nobody looks there any more, whoever comes next.
            image = to
        # Whoever comes next finds it, too.
        self.vnvram("restart", machine.address)
        counter.must_go_on(5)
        self.assertEqual(self.place(machine), str(image))
        self.end(machine, counter, writer, image)

    def test_the_owner_dies_while_it_is_moved(self):
        dice = dice_of_a_seed()
        machine = self.start_machine()
        counter = Incrementer(self.tpm(machine))
        writer = DurableClient(machine.nbd, b"nvram")
        image, moved = self.image, 0
        for number in range(deaths()):
            to = self.path(f"to{number}.nvram")
            moving = self.begin_move(machine, to)
            time.sleep(dice.random())
            owner = machine.processes().get("owner")
            if owner:  # The next one may just be about to come.
                subprocess.run(["kill", "-9", str(owner)], stderr=subprocess.DEVNULL, check=False)
            moving.wait(PATIENCE_SECONDS)
            counter.must_go_on(3)
            writer.must_go_on(3, seconds=PATIENCE_SECONDS)
            if self.place(machine) == str(to):
                image = to
                moved += 1
            else:
                self.assertEqual(self.place(machine), str(image))
                self.assertFalse(self.opens(to))
        print(f"{moved} of {deaths()} had moved", flush=True)
        self.end(machine, counter, writer, image)


class Encrypted(Moving, EncryptedCase):
    def test_with_its_key_and_its_anchor(self):
        anchor = f"file:{self.path('vm.anchor')}"
        self.vnvram("anchor", "accept", self.image, *self.with_key, "--anchor", anchor)
        machine = self.start_machine(*self.with_key, "--anchor", anchor)
        counter = Incrementer(self.tpm(machine))
        to = self.path("new.nvram")
        self.move(machine, to)  # Who moves it needs no key.
        counter.must_go_on(5)
        counter.stop()
        counter.tpm.off()
        machine.stop()
        self.must_be_clean(to)
        self.assertEqual(self.must_be_one(self.image, to, words=self.with_key), to)
