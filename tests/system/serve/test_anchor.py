"""Anchors, with the programs that serve an image: what was put back, went on elsewhere, or is another
image is refused with both generations, until an operator accepts it."""

import re
import shutil
import subprocess
import threading

import nbd

from cli.command import CORRUPT, EXISTS, IN_USE, IO, OK, USAGE
from harness.machine_process import MachineProcess
from harness.owner_process import OwnerProcess
from harness.printed import Section
from harness.tpm_process import TpmProcess, program
from nbdkit.nbdkit_case import BLOBS, NbdkitCase

NOT_AT_ANCHOR = 31

KEEPER = Section("Roll-backs and forks noticed: anchors").block("while read").text


class AnchorCase(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.image.unlink()
        self.use_anchor(f"file:{self.path('anchor')}")
        self.create(*BLOBS, *self.anchor)

    def use_anchor(self, text):
        self.anchor = ("--anchor", text)

    def use_command(self):
        script = self.path("keeper")
        script.write_text(KEEPER, "utf-8")
        self.use_anchor(f"exec:exec sh {script} {self.path('kept')}")
        self.vnvram("anchor", "accept", self.image, *self.anchor)

    def owner(self, *options, starts=True):
        """Confined, and supervised."""
        owner = OwnerProcess(self.workspace, self.image, *self.anchor, *options,
                             "--nbd", f"unix:{self.path('nbd.sock')}", starts=starts)
        self.children.append(owner)
        return owner

    def put(self, owner, text):
        self.vnvram("put", owner.address, "eeprom", "-", input=text.encode())

    def get(self):
        return self.vnvram("get", self.image, "eeprom").decode().rstrip("\0")

    def serve_and_put(self, *texts):
        owner = self.owner()
        for text in texts:
            self.put(owner, text)
        owner.stop()

    def shown(self):
        return self.json("anchor", "show", self.image, *self.anchor)

    def copy_to(self, name):
        copy = self.path(name)
        shutil.copyfile(self.image, copy)
        return copy

    def must_be_refused(self, verdict):
        shown = self.shown()
        self.assertEqual(shown["verdict"], verdict)
        before = self.image.read_bytes()
        for words in (("anchor", "verify", self.image), ("put", self.image, "eeprom", "-"),
                      ("serve", self.image, "--control", f"unix:{self.path('refused.sock')}")):
            done = self.run_vnvram(*words, *self.anchor, input=b"x")
            said = done.stderr.decode()
            self.assertEqual(done.returncode, NOT_AT_ANCHOR, said)
            self.assertIn(f"generation {shown['image']['generation']} of", said)
            self.assertIn(f"generation {shown['anchor']['generation']} of", said)
            self.assertIn("vnvram anchor accept", said)
        self.assertEqual(self.image.read_bytes(), before)


class Anchors(AnchorCase):
    def test_an_older_copy_is_refused_until_it_is_accepted(self):
        self.serve_and_put("one")
        older = self.copy_to("older")
        self.serve_and_put("two", "three")
        newer = self.copy_to("newer")
        shutil.copyfile(older, self.image)
        self.must_be_refused("rolled-back")
        self.vnvram("anchor", "accept", self.image, *self.anchor, "--note", "restored")
        self.vnvram("anchor", "verify", self.image, *self.anchor)
        self.assertEqual(self.get(), "one")
        self.serve_and_put("four")
        self.assertEqual(self.get(), "four")
        shutil.copyfile(newer, self.image)  # The branch that was given up.
        self.assertIn(self.shown()["verdict"], ("forked", "rolled-back"))
        self.must_be_refused(self.shown()["verdict"])

    def test_what_a_dead_owner_wrote_is_on_the_disk_before_more_is_written(self):
        """Of two blocks one is always whole: what is read may be in a cache only, and is flushed."""
        trace = self.path("trace")
        subprocess.run(["strace", "-f", "-y", "-qqq", "-o", trace, "-e", "trace=fcntl,fdatasync,pwrite64",
                        program("vnvram"), "put", self.image, "eeprom", "-", *self.anchor],
                       input=b"one", timeout=100, check=True)
        calls = [re.split(r"[ (]+", line)[1] for line in trace.read_text("utf-8").splitlines()
                 if f"<{self.path('anchor')}>" in line]
        self.assertEqual(calls[:3], ["fcntl", "fdatasync", "pwrite64"], trace.read_text("utf-8"))

    def test_a_copy_that_went_on_is_refused(self):
        self.serve_and_put("one")
        copy = self.copy_to("copy")
        for _ in range(3):
            self.vnvram("put", copy, "eeprom", "-", input=b"elsewhere")
            original = self.copy_to("original")
            shutil.copyfile(copy, self.image)
            self.must_be_refused("forked")
            shutil.copyfile(original, self.image)
        self.serve_and_put("two")
        self.assertEqual(self.get(), "two")

    def test_an_image_that_was_opened_without_it_is_refused(self):
        self.serve_and_put("one")
        self.vnvram("register", self.image, "--blob", "more:test:100")
        self.must_be_refused("forked")

    def test_another_image_is_refused(self):
        self.image.unlink()
        self.create(*BLOBS)
        self.must_be_refused("another-image")

    def test_an_anchor_that_is_not_there_is_refused(self):
        self.path("anchor").unlink()
        self.assertEqual(self.shown()["verdict"], "missing")
        self.vnvram("put", self.image, "eeprom", "-", *self.anchor, input=b"x",
                    status=NOT_AT_ANCHOR)
        self.vnvram("anchor", "accept", self.image, *self.anchor)
        self.serve_and_put("one")

    def machine(self):
        machine = MachineProcess(self.workspace, self.image, *self.anchor, tpm=False)
        self.children.append(machine)
        return machine

    def test_after_a_kill_it_is_at_its_anchor_or_one_ahead(self):
        machine = self.machine()
        for turn in range(10):
            self.put(machine, f"{turn}")
            client = nbd.NBD()
            client.connect_uri(machine.uri("nvram"))
            for number in range(20):
                client.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([turn + number + 1] * 512)),
                                  512 * number, flags=nbd.CMD_FLAG_FUA)
            machine.kill_all()  # And each is gone: nobody has the image any more.
            self.children.remove(machine)
            shown = self.shown()
            self.assertEqual(shown["verdict"], "at-anchor")
            self.assertIn(shown["image"]["generation"] - shown["anchor"]["generation"], (0, 1))
            machine = self.machine()
        machine.stop()
        self.vnvram("check", self.image)

    def test_every_policy_serves_and_ends_at_its_anchor(self):
        for policy in ("commit", "every=1", "open"):
            owner = self.owner("--anchor-policy", policy)
            for turn in range(5):
                self.put(owner, f"{policy} {turn}")
            owner.stop()
            shown = self.shown()
            self.assertEqual(shown["image"], shown["anchor"])
            self.assertEqual(shown["each_commit"], policy == "commit")

    def test_a_command_keeps_it(self):
        self.use_command()
        self.serve_and_put("one")
        older = self.copy_to("older")
        self.serve_and_put("two")
        shown = self.shown()
        self.assertEqual(shown["image"], shown["anchor"])
        shutil.copyfile(older, self.image)
        self.must_be_refused("rolled-back")

    def test_a_command_that_fails_ends_commits(self):
        self.use_command()
        owner = self.owner()
        self.put(owner, "one")
        self.assertIsNone(self.json("status", owner.address)["refusal"])
        self.path("kept.new").mkdir()
        self.vnvram("put", owner.address, "eeprom", "-", input=b"two", status=IO)
        self.path("kept.new").rmdir()
        self.assertIn("anchor", self.json("status", owner.address)["refusal"])
        self.assertIn(b"changes:     refused: ", self.vnvram("status", owner.address))
        owner.kill()
        self.children.clear()
        self.serve_and_put("three")
        self.assertEqual(self.get(), "three")

    def accepted(self):
        return self.vnvram("meta", "get", self.image, "anchor-accepted").decode()

    def test_an_acceptance_says_what_the_anchor_said(self):
        self.use_command()
        self.assertIn("; its anchor said nothing", self.accepted())
        older = self.copy_to("older")
        self.vnvram("put", self.image, "eeprom", "-", *self.anchor, input=b"one")
        shutil.copyfile(older, self.image)
        anchored = self.shown()["anchor"]
        self.vnvram("anchor", "accept", self.image, *self.anchor, "--note", "restored")
        self.assertIn(f"; its anchor said generation {anchored['generation']} of epoch {anchored['epoch']} "
                      "(rolled-back): restored", self.accepted())
        self.path("kept").write_text("no point\n", "ascii")
        self.vnvram("put", self.image, "eeprom", "-", *self.anchor, input=b"x", status=CORRUPT)
        self.vnvram("anchor", "accept", self.image, *self.anchor)
        self.assertIn("; its anchor could not be read", self.accepted())
        self.serve_and_put("two")

    def test_the_seal_is_known(self):
        self.serve_and_put("one")
        before = self.copy_to("before")
        self.vnvram("seal", self.image, *self.anchor)
        self.assertTrue(self.shown()["anchor"]["sealed"])
        after = self.copy_to("after")
        shutil.copyfile(before, self.image)
        self.must_be_refused("rolled-back")
        shutil.copyfile(after, self.image)
        self.vnvram("unseal", self.image, *self.anchor)
        self.serve_and_put("two")

    def test_it_is_verified_beside_its_owner(self):
        older = self.copy_to("older")
        owner = self.owner()
        for text in ("one", "two"):
            self.put(owner, text)
            self.assertEqual(self.vnvram("anchor", "verify", self.image, *self.anchor), b"")
            shown = self.shown()
            self.assertEqual(shown["image"], shown["anchor"])
        self.vnvram("anchor", "verify", older, *self.anchor, status=NOT_AT_ANCHOR)
        self.vnvram("anchor", "accept", self.image, *self.anchor, status=IN_USE)
        self.put(owner, "three")  # It has lost nothing by being asked.
        owner.stop()
        self.vnvram("anchor", "verify", self.image, *self.anchor)

    def test_it_is_verified_while_its_owner_commits(self):
        """Not to be ahead, the image is looked at ten times; eight commits are ahead of four looks at most."""
        owner = self.owner()
        client = nbd.NBD()
        client.connect_uri(f"nbd+unix:///nvram?socket={self.path('nbd.sock')}")

        def commit(first):
            for number in range(first, first + 8):
                client.pwrite(number.to_bytes(8, "little"), 0, nbd.CMD_FLAG_FUA)

        for turn in range(20):
            writer = threading.Thread(target=commit, args=(8 * turn + 1,))
            writer.start()
            try:
                self.vnvram("anchor", "verify", self.image, *self.anchor)
            finally:
                writer.join()
        client.shutdown()
        owner.stop()
        shown = self.shown()
        self.assertEqual(shown["image"], shown["anchor"])

    def test_create_leaves_an_anchor_that_is_there(self):
        self.vnvram("create", self.path("other.nvram"), *BLOBS, *self.anchor, status=EXISTS)
        self.assertFalse(self.path("other.nvram").exists())
        self.vnvram("create", self.path("other.nvram"), *BLOBS, *self.anchor, "--force")
        self.assertEqual(self.shown()["verdict"], "another-image")

    def test_what_is_no_anchor(self):
        for words, status in ((("--anchor", "here"), USAGE), (("--anchor", "file:"), USAGE),
                              (("--anchor", f"file:{self.image}"), 12)):
            self.vnvram("put", self.image, "eeprom", "-", *words, input=b"x", status=status)


class FrontEnds(AnchorCase):
    def test_a_tpm_of_its_own_image(self):
        self.image.unlink()
        self.path("anchor").unlink()
        self.create("--tpm2", *self.anchor)
        for number, policy in enumerate(("commit", "every=1", "open")):
            tpm = TpmProcess(self.workspace, self.image, server=self.path(f"tpm{number}.sock"),
                             options=(*self.anchor, "--anchor-policy", policy))
            self.children.append(tpm)
            tpm.stop()
            shown = self.shown()
            self.assertEqual(shown["image"], shown["anchor"])
        self.use_command()
        tpm = TpmProcess(self.workspace, self.image, server=self.path("tpm.sock"),
                         options=self.anchor)
        self.children.append(tpm)
        tpm.stop()
        shown = self.shown()
        self.assertEqual(shown["image"], shown["anchor"])

    def test_the_plugin(self):
        for policy in ("commit", "every=1", "open"):
            server = self.serve(f"anchor={self.anchor[1]}", f"anchor-policy={policy}")
            client = self.connect(server, "nvram")
            client.pwrite(policy.encode(), 0, nbd.CMD_FLAG_FUA)
            self.stop(server)
            self.assertEqual(self.vnvram("anchor", "verify", self.image, *self.anchor, status=OK),
                             b"")
        self.vnvram("put", self.image, "eeprom", "-", input=b"x")
        self.assertIn("anchor accept", self.refused(str(self.image), f"anchor={self.anchor[1]}"))
