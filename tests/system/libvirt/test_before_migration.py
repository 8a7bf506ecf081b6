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
# A folder of its own in place of the host's /run.
ALONE = ("unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none /run; exec "$@"', "sh")
LATER = (99).to_bytes(2, "big")


class BeforeMigration(Case):
    def xml(self):
        return f"""<domain><name>vm1</name><uuid>8b3f1c52-7d1b-4a3f-9c58-1c1d6f0a5b11</uuid><metadata>
          <v:image xmlns:v='https://vnvram.org/libvirt/1' location='{self.image}' group='root'/></metadata>
          <devices><tpm><backend type='external'><source path='/run/vnvram/vm1/tpm.sock'/></backend></tpm></devices>
          </domain>"""

    def hook(self, operation):
        env = {**os.environ, "PATH": f"{program('vnvram').parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run([*ALONE, HOOK, "vm1", operation, "begin", "-"], input=self.xml(), capture_output=True, text=True,
                              env=env, timeout=120, check=False)

    def must_be_refused(self, *words):
        before = self.image.read_bytes() if self.image.exists() else None
        done = self.hook("migrate")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(self.image.read_bytes() if self.image.exists() else None, before)

    def must_be_let_in(self):
        before = self.image.read_bytes()
        done = self.hook("migrate")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(self.image.read_bytes(), before)

    def test_an_image_that_can_take_it(self):
        self.create("--tpm2")
        self.must_be_let_in()
        self.vnvram("seal", self.image)
        self.must_be_let_in()
        self.vnvram("unseal", self.image)
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        self.must_be_let_in()

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
        self.assertEqual(self.hook("restore").returncode, 0)

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

    def test_the_recipe_asks_first(self):
        recipe = [REPOSITORY / "contrib/recipes/migrate.py", self.path("none.qmp"), self.path("none.qmp"), "tcp:x:1",
                  "--image", self.image]
        env = {**os.environ, "PATH": f"{program('vnvram').parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(recipe, capture_output=True, text=True, env=env, timeout=120, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot run here", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.create("--tpm2")
        done = subprocess.run(recipe, capture_output=True, text=True, env=env, timeout=120, check=False)
        self.assertIn("FileNotFoundError", done.stderr)  # It has gone on to the machines, which there are none of.


if __name__ == "__main__":
    unittest.main()
