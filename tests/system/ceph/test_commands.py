"""Images in a Ceph cluster: every command takes such a location where it takes a path."""

import json
import os
import time
import unittest

from cli.command import (ABSENT, BLANK, EXISTS, FOREIGN, IN_USE, IO, MIB, NO_SPACE, OK, READ_ONLY, UNSUPPORTED,
                         USAGE)
from cli.every_command import EveryCommandCase
from harness.long_test import long_test
from harness.owner_process import OwnerProcess

from .ceph_case import OnCeph


class CommandsTest(OnCeph, EveryCommandCase):
    osd_freezes = True

    def images(self):
        return self.cluster.rbd("ls").split()

    def features(self, name):
        return self.cluster.rbd("info", name).split("features: ")[1].split("\n")[0]

    def test_every_command_takes_it(self):
        name = self.new_name()
        made = self.location(name)
        content = os.urandom(5000)
        self.vnvram("create", made, "--tpm2", "--blob", f"x:t:8K={self.file('content', content)}")
        self.assertEqual(self.vnvram("get", made, "x"), content)
        self.assertIn("exclusive-lock", self.features(name))
        self.assertIsNone(self.every_command(made))

    @long_test
    def test_every_command_takes_one_that_has_no_lock(self):
        """One that others have made: it is as an NBD export."""
        content = os.urandom(5000)
        name = self.new_name()
        self.cluster.rbd("create", name, "--size", "8M", "--image-feature", "layering")
        other = self.location(name)
        self.vnvram("info", other, status=BLANK, message=other)
        self.vnvram("create", other, "--tpm2", "--blob", f"x:t:8K={self.file('content', content)}")
        self.assertEqual(self.features(name), "layering")
        self.assertIsNone(self.every_command(other))
        self.vnvram("dump", other)
        self.vnvram("repair", other)

    @long_test
    def test_it_is_found_as_ceph_finds_it(self):
        name = self.new_name()
        location = f"rbd:rbd/{name}"
        self.vnvram("create", location, "--tpm2", env=self.cluster.environment)
        self.assertIn(b"blobs:           3\n", self.vnvram("info", location, env=self.cluster.environment))
        missing = {**self.cluster.environment, "CEPH_CONF": str(self.path("nothing"))}
        self.vnvram("info", location, status=ABSENT, env=missing)

    def test_create(self):
        self.cluster.rbd("namespace", "create", "rbd/room")
        inside = self.location("room/vm")
        self.vnvram("create", inside, "--tpm2", "--size", 16 * MIB)
        self.assertEqual(self.json("info", inside)["image_size_bytes"], 16 * MIB)
        self.vnvram("create", inside, "--tpm2", status=EXISTS)
        self.vnvram("create", inside, "--tpm2", "--force")
        # Its objects are the usual ones, whatever else the configuration says.
        name = self.new_name()
        self.vnvram("create", self.location(name, "rbd_default_order=25", "rbd_default_stripe_unit=2048",
                                            "rbd_default_stripe_count=2"), "--tpm2")
        made = json.loads(self.cluster.rbd("info", name, "--format", "json"))
        self.assertEqual(made["order"], 22)
        self.assertEqual(sorted(made["features"]), ["exclusive-lock", "layering"])
        # A failure leaves nothing.
        name = self.new_name()
        self.vnvram("create", self.location(name), "--size", "4M", "--blob", "x:t:16M", status=NO_SPACE)
        self.vnvram("create", self.location(name), "--tpm2", "--format", "qcow2", status=UNSUPPORTED)
        self.vnvram("create", self.location(name + "@then"), "--tpm2", status=READ_ONLY)
        self.assertNotIn(name, self.images())
        # What is there is grown if it holds nothing, and else left alone.
        self.cluster.rbd("create", name, "--size", "1M")
        self.vnvram("create", self.location(name), "--tpm2", "--size", 8 * MIB)
        self.vnvram("check", self.location(name))
        foreign = self.new_name()
        self.cluster.rbd("import", self.file("theirs", b"mine" * MIB), foreign)
        self.vnvram("info", self.location(foreign), status=FOREIGN)
        self.vnvram("create", self.location(foreign), "--tpm2", status=EXISTS)
        self.vnvram("create", self.location(foreign), "--tpm2", "--force")

    def test_what_a_killed_create_has_left_is_named(self):
        name = self.new_name()
        left, others = f"{name}.new-abcdefghijkl", f"{name}.new-mine"
        for each in (left, others):
            self.cluster.rbd("create", each, "--size", "1M")
        image = self.location(name)
        done = self.run_vnvram("create", image, "--tpm2")
        said = done.stderr.decode()
        self.assertEqual(done.returncode, OK, said)
        self.assertRegex(said, f"^vnvram: note: rbd/{left} is there, too: .*`rbd rm rbd/{left}` removes it\n$")
        self.assertLessEqual({left, others}, set(self.images()))  # Whose they are nobody knows.
        self.vnvram("check", image)

    def test_what_a_killed_copy_or_move_has_left_is_named(self):
        image = self.path("from.nvram")
        self.vnvram("create", image, "--tpm2")
        for verb in ("copy", "move"):
            name = self.new_name()
            left = f"{name}.new-abcdefghijkl"
            self.cluster.rbd("create", left, "--size", "1M")
            done = self.run_vnvram(verb, image, self.location(name))
            said = done.stderr.decode()
            self.assertEqual(done.returncode, OK, said)
            self.assertRegex(said, f"^vnvram: note: rbd/{left} is there, too: .*`rbd rm rbd/{left}` removes it\n$")
            self.vnvram("check", self.location(name))

    @long_test
    def test_who_waits_for_a_dead_owner_says_for_whom(self):
        name = self.new_name()
        image = self.location(name)
        self.vnvram("create", image, "--blob", "x:t:8K")
        owner = OwnerProcess(self.workspace, image)
        self.addCleanup(owner.kill)
        address = self.owner_of(name)
        owner.kill()
        self.vnvram("put", image, "x", "-", input=b"y",
                    message=f"note: {image}: waits for client.")
        self.assertNotEqual(self.owner_of(name), address)
        # And in the log of an owner.
        OwnerProcess(self.workspace, image).kill()
        owner = OwnerProcess(self.workspace, image)
        self.addCleanup(owner.kill)
        self.assertRegex(owner.log.read_text(), r"waits for client\.\d+ at [^ ]+, which has its exclusive lock")
        owner.stop()

    @long_test
    def test_what_is_not_there(self):
        for location in (self.location("nothing"), self.location("nothing/image"),
                         f"rbd:nothing/image:conf={self.cluster.conf}",
                         "rbd:rbd/image:conf=/nowhere/ceph.conf"):
            self.vnvram("info", location, status=ABSENT, message=location)
        self.vnvram("create", f"rbd:nothing/image:conf={self.cluster.conf}", "--tpm2", status=ABSENT,
                    message="no pool nothing")
        self.vnvram("info", "rbd:image", status=USAGE, message="rbd:POOL/IMAGE")
        self.vnvram("info", self.location("image", "rbd_cache=true"), status=USAGE)
        secret = self.run_vnvram("info", self.location("image", "key=c2VjcmV0"))
        self.assertEqual(secret.returncode, USAGE)
        self.assertNotIn(b"c2VjcmV0", secret.stderr)
        self.vnvram("create", self.location(self.new_name()), "--tpm2", "--image-key",
                    self.file("key", b"k"), status=USAGE)

    @long_test
    def test_beside_its_owner(self):
        name = self.new_name()
        image = self.location(name)
        self.vnvram("create", image, "--blob", "x:t:8K")
        owner = OwnerProcess(self.workspace, image)
        self.addCleanup(owner.kill)
        self.vnvram("put", image, "x", "-", input=b"y", status=IN_USE,
                    message=f"in use by process {owner.pid}")
        self.vnvram("create", image, "--force", status=IN_USE, message=self.owner_of(name))
        self.vnvram("put", owner.address, "x", "-", input=b"z")
        self.assertEqual(self.vnvram("get", image, "x"), b"z")
        owner.stop()
        self.vnvram("put", image, "x", "-", input=b"y")
        self.assertTrue(self.json("info", image)["clean"])

    def can_run(self, image, *words, status=OK):
        """What is said of each thing."""
        done = self.run_vnvram("can-run", image, "--json", *words)
        self.assertEqual(done.returncode, status, done)
        return {each["about"]: each["outcome"] for each in json.loads(done.stdout)["findings"]}

    @long_test
    def test_can_run_takes_no_lock(self):
        name = self.new_name()
        image = self.location(name)
        self.vnvram("create", image, "--blob", "x:t:8K")
        found = self.can_run(image)
        self.assertEqual((found["lock"], found["durability"]), ("good", "unknown"))
        self.assertIsNone(self.owner_of(name))
        self.assertFalse(self.json("info", image)["locked"])
        owner = OwnerProcess(self.workspace, image)
        self.addCleanup(owner.kill)
        address = self.owner_of(name)
        self.assertEqual(self.can_run(image, "--incoming")["lock"], "good")
        self.assertEqual(self.can_run(image, status=IN_USE)["lock"], "refusal")
        self.assertTrue(self.json("info", image)["locked"])
        self.assertEqual(self.owner_of(name), address)
        self.vnvram("put", owner.address, "x", "-", input=b"it goes on")
        # Of one that has died the cluster hears after a while. Its lock is left to whoever starts.
        owner.kill()
        deadline = time.monotonic() + 120
        while self.json("info", image)["locked"] and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(self.can_run(image)["lock"], "note")
        self.assertEqual(self.owner_of(name), address)
        self.vnvram("put", image, "x", "-", input=b"another one")

    @long_test
    def test_a_user_with_few_rights(self):
        keyring = self.path("keyring")
        keyring.write_text(self.cluster.ceph("auth", "get-or-create", "client.vm", "mon", "profile rbd",
                                             "osd", "profile rbd pool=rbd") + "\n", encoding="ascii")
        image = self.location(self.new_name(), "id=vm", f"keyring={keyring}")
        self.vnvram("create", image, "--blob", "x:t:8K")
        self.vnvram("put", image, "x", "-", input=b"y")
        self.assertEqual(self.vnvram("get", image, "x"), b"y")
        nobody = self.location(self.new_name(), "id=nobody", f"keyring={keyring}")
        self.vnvram("info", nobody, status=IO, message="check id and keyring")
        other = keyring.read_text("ascii").split("key = ")[1].split("\n", 1)[0]
        wrong = self.path("wrong")
        wrong.write_text(f"[client.vm]\n\tkey = {other[:-6]}AAAA==\n", encoding="ascii")
        self.vnvram("info", self.location(self.new_name(), "id=vm", f"keyring={wrong}"), status=IO)

    @long_test
    def test_a_cluster_that_does_not_answer_is_an_error_of_its_own(self):
        """What is left behind of librbd then has no say in how the command ends."""
        image = self.location(self.new_name())
        self.vnvram("create", image, "--blob", "x:t:8K")
        for breaks, mends in ((self.freeze_osd, self.cluster.thaw_osd),
                              (self.kill_monitor, self.cluster.restart_monitor)):
            breaks()
            self.vnvram("put", image, "x", "-", input=b"y", status=IO, message="no answer from the cluster")
            mends()
        self.vnvram("put", image, "x", "-", input=b"z")
        self.assertEqual(self.vnvram("get", image, "x"), b"z")


if __name__ == "__main__":
    unittest.main()
