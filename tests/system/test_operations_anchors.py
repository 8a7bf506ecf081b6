"""docs/operations.md, "Roll-backs and forks noticed: anchors": what is printed there is run, by a shell, as an
operator would. Between the commands a TPM's counter goes on, and images are put back."""

import contextlib
import json
import re
import shutil
import unittest

from harness.operator_host import OWNER
from harness.printed import PrintedCase, Section, runs, uncovered
from serve.machine_case import TpmMachine

SECTION = Section("Roll-backs and forks noticed: anchors")
NOT_RUN = {}

BEGINNING = "install -d -m 700 /var/lib/anchors"
KEEPER = "while read -r verb point; do"
ACCEPT = "vnvram anchor accept vm.nvram"

NOT_AT_ANCHOR = 31
FILE = "--anchor file:/var/lib/anchors/vm1"
KEPT = "/mnt/anchors/vm1"
COMMAND = f"--anchor '{SECTION.inline('exec:exec sh keep-anchor ' + KEPT)}'".replace(KEPT, "kept")


class Anchors(PrintedCase):
    section = SECTION

    def setUp(self):
        super().setUp()
        self.image = self.host.home / "vm.nvram"
        *making, self.serving = self.commands(BEGINNING)
        self.host.run(*making)
        self.defined = False

    def counts(self, serving=None):
        """A machine is served, its TPM counts, and all of it ends."""
        server = self.host.serve(serving or self.serving)
        tpm = TpmMachine(self, None, defines=not self.defined, path=self.host.path("/run/vm1/tpm.sock"))
        self.defined = True
        for _ in range(3):
            tpm.client.must_increment()
        tpm.off()
        self.host.stop(server)

    @contextlib.contextmanager
    def in_its_place(self, copy):
        """Another image, and then the one that was there."""
        kept = self.copy("kept.nvram")
        shutil.copy(copy, self.image)
        yield
        shutil.copy(kept, self.image)

    def copy(self, name):
        return shutil.copy(self.image, self.host.home / name)

    def shown(self, anchor):
        said = self.host.run(self.section.inline("vnvram anchor show") + f" vm.nvram {anchor} --json")
        return json.loads(said)

    def is_refused(self, verdict, anchor=FILE):
        """By everything, and each says the generation of both."""
        shown = self.shown(anchor)
        self.assertEqual(shown["verdict"], verdict)
        serving = self.serving.replace(FILE, anchor)
        for command in (serving, f"vnvram anchor verify vm.nvram {anchor}"):
            said = self.host.run(command, status=NOT_AT_ANCHOR)
            for point in ("image", "anchor"):
                self.assertIn(f"generation {shown[point]['generation']} of", said)

    def is_at_its_anchor(self, anchor=FILE):
        self.assertEqual(self.host.run(f"vnvram anchor verify vm.nvram {anchor}"), "")
        shown = self.shown(anchor)
        self.assertEqual(shown["image"], shown["anchor"])
        return shown

    @runs(BEGINNING, ACCEPT)
    def test_an_older_image_is_noticed_and_accepted(self):
        self.counts()
        older = self.copy("older.nvram")
        self.counts()
        newer = self.copy("newer.nvram")
        self.assertTrue(self.is_at_its_anchor()["each_commit"])
        with self.in_its_place(older):
            self.is_refused("rolled-back")
        self.is_at_its_anchor()
        shutil.copy(older, self.image)
        self.host.run(*self.commands(ACCEPT))
        self.is_at_its_anchor()
        with self.in_its_place(newer):
            self.is_refused("forked")
        self.counts()

    def test_a_copy_that_went_on_is_noticed_by_every_policy(self):
        column = re.findall(r"(?m)^\| `([a-z=A-Z]+)`", self.section.text)
        self.assertEqual(column, ["commit", "every=SECONDS", "open"])
        self.counts()
        for policy in column:
            words = f"{FILE} --anchor-policy {policy.replace('SECONDS', '1')}"
            self.counts(self.serving.replace(FILE, words))
            self.is_at_its_anchor()
            copy = self.copy("copy.nvram")
            with self.in_its_place(copy):
                self.counts(self.serving.replace(FILE, ""))
                self.is_refused("forked")

    def write_keeper(self):
        (self.host.home / "keep-anchor").write_text(self.host.wrote(self.section.block(KEEPER)), "utf-8")

    def test_the_command_says_ok_when_it_is_durable(self):
        """The content, its name, and the answer, in this order; or that it was not."""
        self.write_keeper()
        self.host.run("echo 'write {}' | "
                      "strace -f -y -e trace=fsync,renameat2,rename,write -o trace sh keep-anchor kept")
        trace = (self.host.home / "trace").read_text("utf-8")
        calls = re.findall(r'(fsync)\(\d+<(.*?)>\) += 0|(rename)\w*\(.*= 0|write\(1<.*?"(ok)\\n"', trace)
        self.assertEqual(["".join(call) for call in calls],
                         [f"fsync{self.host.home}/kept.new", "rename", f"fsync{self.host.home}", "ok"])
        (self.host.home / "kept.new").mkdir()
        self.assertIn("error kept was not written", self.host.run("echo 'write {}' | sh keep-anchor kept"))

    @runs(KEEPER)
    def test_a_command_keeps_it(self):
        self.write_keeper()
        self.host.run(f"vnvram anchor accept vm.nvram {COMMAND}")
        serving = self.serving.replace(FILE, COMMAND)
        self.counts(serving)
        self.is_at_its_anchor(COMMAND)
        older = self.copy("older.nvram")
        self.counts(serving)
        with self.in_its_place(older):
            self.is_refused("rolled-back", COMMAND)
        self.is_at_its_anchor(COMMAND)
        self.assertEqual((self.host.home / "kept").read_text("utf-8").count("\n"), 1)
        (self.host.home / "kept").unlink()
        self.assertEqual(self.shown(COMMAND)["verdict"], "missing")
        self.host.run(serving, status=NOT_AT_ANCHOR)

    def test_what_is_accepted_anew(self):
        """It is no longer the image that the anchor knows, or was changed without it."""
        self.counts()
        self.host.run("head -c 32 /dev/urandom > key")
        key = " --key file:key"
        for command, key_given in (("resize vm.nvram 20M", ""), ("encrypt vm.nvram --new-key file:key", key),
                                   (f"decrypt vm.nvram{key}", "")):
            self.assertIn(f"`{command.split()[0]}`", self.section.text)
            self.host.run(f"vnvram {command}")
            said = self.host.run(f"vnvram anchor verify vm.nvram {FILE}{key_given}", status=NOT_AT_ANCHOR)
            self.assertIn("anchor accept", said)
            self.host.run(f"vnvram anchor accept vm.nvram {FILE}{key_given}")
            self.host.run(f"vnvram anchor verify vm.nvram {FILE}{key_given}")
        self.counts()

    def test_those_that_take_it_as_well(self):
        self.host.run(f"vnvram register vm.nvram --blob eeprom:at24c:512 {FILE}",
                      f"printf content | vnvram put vm.nvram eeprom - {FILE}",
                      f"vnvram seal vm.nvram {FILE}",
                      f"vnvram unseal vm.nvram {FILE}",
                      f"vnvram rm vm.nvram eeprom {FILE}")
        self.is_at_its_anchor()
        self.host.run(f"vnvram status {OWNER}", status=10)


class EveryBlock(unittest.TestCase):
    def test_is_run_or_it_is_said_why_not(self):
        self.assertEqual(uncovered(SECTION, (Anchors,), NOT_RUN), [])


if __name__ == "__main__":
    unittest.main()
