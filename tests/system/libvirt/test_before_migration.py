"""What the hook says at the destination when a migration is about to come: libvirt gives that up if it refuses, and
nothing has moved. libvirt itself is not needed: the hook is called as it calls it."""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import unittest
import unittest.mock

from cli.command import Case
from harness.owner_process import OwnerProcess
from harness.tpm_process import REPOSITORY, TpmProcess, program
from tpm.support import TpmClient

HOOK = REPOSITORY / "contrib" / "libvirt" / "vnvram"
RECIPE_FOLDER = REPOSITORY / "contrib" / "recipes"
# A folder of its own in place of the host's /run, for all calls until one fails.
ALONE = ("unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none /run; hook=$1 xml=$2; shift 2; '
         'for call; do "$hook" vm1 "${call%/*}" "${call#*/}" - < "$xml"; done', "sh")
MIGRATION = ("migrate/begin", "prepare/begin")
LATER = (99).to_bytes(2, "big")


class BeforeMigration(Case):
    def xml(self):
        return f"""<domain><name>vm1</name><uuid>8b3f1c52-7d1b-4a3f-9c58-1c1d6f0a5b11</uuid><metadata>
          <v:image xmlns:v='https://vnvram.org/libvirt/1' location='{self.image}' group='root'/></metadata>
          <devices><tpm><backend type='external'><source path='/run/vnvram/vm1/tpm.sock'/></backend></tpm></devices>
          </domain>"""

    def hook(self, *calls):
        xml = self.file("vm1.xml", self.xml().encode())
        env = {**os.environ, "PATH": f"{program('vnvram').parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run([*ALONE, HOOK, xml, *calls], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=env, timeout=300, check=False)

    def must_be_refused(self, *words):
        before = self.image.read_bytes() if self.image.exists() else None
        done = self.hook(*MIGRATION)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(self.image.read_bytes() if self.image.exists() else None, before)

    def must_be_let_in(self):
        done = self.hook(*MIGRATION, "release/end")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_an_image_that_can_take_it(self):
        self.create("--tpm2")
        self.must_be_let_in()
        self.vnvram("seal", self.image)
        self.must_be_let_in()
        self.vnvram("unseal", self.image)
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        done = self.hook(*MIGRATION)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("in use", done.stderr)

    def test_a_machine_that_is_off_needs_no_image_to_come(self):
        """`virsh migrate --offline` ends with the first call."""
        self.assertEqual(self.hook("migrate/begin").returncode, 0)

    def test_what_cannot(self):
        self.must_be_refused("vm1 cannot run here: place: ", "gets no new one by itself")
        self.image.write_bytes(b"something else" * 100000)
        self.must_be_refused("cannot run here: format: ")
        self.create("--tpm2", "--force")
        content = bytearray(self.image.read_bytes())
        content[:8192] = b"\1" * 8192
        self.image.write_bytes(content)
        self.must_be_refused("cannot run here: ", "vnvram repair")

    def test_an_image_of_its_own_that_holds_a_tpm_of_a_later_libtpms(self):
        """Which is no downgrade that comes: of the state in QEMU's stream the hook sees nothing. It is one that was
        here before, of a libtpms that was taken away since; or, on shared storage, the machine's own."""
        server = self.path("server")
        tpm = TpmProcess(self.workspace, self.create("--tpm2"), server)
        self.addCleanup(tpm.kill)
        TpmClient(server).close()
        tpm.stop()
        self.must_be_let_in()
        state = bytearray(self.vnvram("get", self.image, "tpm2.permanent"))
        state[0:2] = state[6:8] = LATER
        self.vnvram("put", self.image, "tpm2.permanent", "-", "--force", input=state)
        self.must_be_refused("vm1 cannot run here: tpm2: ", "a later one has made it")
        # A restore is of this host, and its file has the state: that is libvirt's to say.
        self.assertEqual(self.hook("restore/begin").returncode, 0)

    def stand_in(self, script):
        """In place of `vnvram`, for what it does not do by itself."""
        folder = self.path("bin")
        folder.mkdir()
        command = folder / "vnvram"
        command.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        command.chmod(0o755)
        return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def machine(self):
        loader = importlib.machinery.SourceFileLoader("vnvram_hook", str(HOOK))
        hook = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        with unittest.mock.patch.object(sys, "dont_write_bytecode", True):
            loader.exec_module(hook)
        return hook, hook.Machine.read(self.xml())

    def test_a_look_that_dies_is_said(self):
        hook, machine = self.machine()
        for script, said in (("kill -SEGV $$", "ended with signal 11"), ("exit 3", "ended with 3 and said nothing")):
            with self.subTest(script), unittest.mock.patch.dict(os.environ, self.stand_in(script)):
                with self.assertRaisesRegex(hook.Refusal, said):
                    machine.check_can_run()
            shutil.rmtree(self.path("bin"))

    def test_a_look_that_has_no_end_is_given_up(self):
        hook, machine = self.machine()
        hook.ANSWER_SECONDS = 0.2
        with unittest.mock.patch.dict(os.environ, self.stand_in("exec sleep 1000")):
            with self.assertRaisesRegex(hook.Refusal, "has not answered within"):
                machine.check_can_run()

    def test_one_that_does_not_even_die_is_given_up(self):
        """Who waits for its storage in the kernel."""
        class Stuck:
            args, returncode = (), None

            def __init__(self, *_, **__):
                pass

            def communicate(self, timeout=None):
                self.wait(timeout)

            def wait(self, timeout=None):
                if timeout is None:
                    raise AssertionError("it is waited for without end")
                raise subprocess.TimeoutExpired("vnvram", timeout)

            def kill(self):
                pass

            def poll(self):
                return self.returncode

        hook, machine = self.machine()
        with unittest.mock.patch.dict(os.environ, self.stand_in("exit 0")), \
                unittest.mock.patch.object(subprocess, "Popen", Stuck):
            with self.assertRaisesRegex(hook.Refusal, "has not answered within"):
                machine.check_can_run()
            with self.assertRaisesRegex(hook.Refusal, "has not answered within"):
                machine.is_sealed()
            self.assertFalse(self.recipe_module().vnvram("can-run", self.image, seconds=60))

    def test_an_image_in_a_cluster_is_one(self):
        hook, machine = self.machine()
        machine.location = "rbd:rbd/vm1"
        machine.check()
        machine.location = "vm1.nvram"
        self.assertRaises(hook.Refusal, machine.check)

    @staticmethod
    def recipe_module():
        with unittest.mock.patch.object(sys, "path", [str(RECIPE_FOLDER), *sys.path]), \
                unittest.mock.patch.object(sys, "dont_write_bytecode", True):
            return importlib.import_module("migrate")

    def run_recipe(self, *words):
        """To two machines that there are not: it says so when it has come to them."""
        env = {**os.environ, "PATH": f"{program('vnvram').parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run([RECIPE_FOLDER / "migrate.py", self.path("none.qmp"), self.path("none.qmp"), "tcp:x:1", *words],
                              capture_output=True, text=True, env=env, timeout=120, check=False)

    def test_the_recipe_has_keys(self):
        key = self.file("host.key", b"a key that nobody guesses, of a host")
        self.create("--tpm2", "--encrypt", "--key", f"file:{key}")
        done = self.run_recipe("--image", self.image)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot run here", done.stderr)
        done = self.run_recipe("--image", self.image, "--key", f"file:{key}")
        self.assertIn("FileNotFoundError", done.stderr)

    def test_the_recipe_asks_with_the_machines_own_tpm(self):
        """Where each host has an image of its own, it is the only one that shows a downgrade before memory moves."""
        server = self.path("server")
        tpm = TpmProcess(self.workspace, self.create("--tpm2"), server)
        self.addCleanup(tpm.kill)
        TpmClient(server).close()
        tpm.stop()
        self.assertIn("FileNotFoundError", self.run_recipe("--probe", self.image).stderr)
        state = bytearray(self.vnvram("get", self.image, "tpm2.permanent"))
        state[0:2] = state[6:8] = LATER
        self.vnvram("put", self.image, "tpm2.permanent", "-", "--force", input=state)
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        own = self.path("own.nvram")
        self.vnvram("create", own, "--tpm2")
        folder = self.path("temporary")
        folder.mkdir()
        with unittest.mock.patch.dict(os.environ, {"TMPDIR": str(folder)}):
            done = self.run_recipe("--image", own, "--probe", owner.address)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("a later one has made it", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(self.names(folder), [], "a copy of the TPM was left")

    def test_the_recipe_asks_first(self):
        done = self.run_recipe("--image", self.image)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot run here", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.create("--tpm2")
        self.assertIn("FileNotFoundError", self.run_recipe("--image", self.image).stderr)


if __name__ == "__main__":
    unittest.main()
