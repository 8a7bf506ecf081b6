"""On an encrypted image, whoever has no key is told which slots would do, and nothing is changed: by every
command that there is and by every program that opens images."""

import os
import re
import subprocess
import unittest

from harness.blob_server import plugin
from harness.tpm_process import REPOSITORY, TpmProcess, program
from tpm.support import TpmClient

from .command import KEY_NEEDED, OK, WRONG_KEY, Case

SLOTS = 'slot 0: key "host", slot 1: public "escrow"'
OWNER = "has the control socket of a program that has the image open already"
TPM = "has the admin socket of a program that has the image open already"
PUBLIC = "is about what an image says to everybody, and changes nothing else"

# What needs no key, and why not.
EXCEPTIONS = {
    "create": "makes an image, for the keys that it is given; nothing of what was there is read",
    "size": "looks at no image",
    "copy": "makes the same image, sealed as it is, for who has its keys",
    "can-run": "says on standard output which slots would do, as one of its reasons",
    "key ls": PUBLIC,
    "key rm": "takes away what the image says to everybody: who can write to it can do that anyway",
    "erase": "makes the image unreadable, whoever asks for it: it may be all that is left to do",
    "meta ls": PUBLIC, "meta get": PUBLIC, "meta set": PUBLIC, "meta rm": PUBLIC,
    "status": OWNER, "hold": OWNER, "release": OWNER, "restart": OWNER, "metrics": OWNER, "watch": OWNER,
    "hand-over": OWNER, "go-on": OWNER,
    "tpm status": TPM, "tpm hold": TPM, "tpm resume": TPM, "tpm detach": TPM, "tpm attach": TPM,
    "tpm unseal": TPM,
}
# Pages of the manual that are not of a program that opens images by itself.
NO_PROGRAMS = {"vnvram-export": "is a command", "vnvram-import": "is a command", "vnvram": "has the commands"}


def verbs_in(text):
    """Of a help's section on them."""
    listed = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\S+)", listed, re.MULTILINE)


def all_commands():
    """As the help has them, with the verbs that some have below their own."""
    def said(*words):
        return subprocess.run([program("vnvram"), *words, "--help"], capture_output=True, text=True,
                              check=True).stdout
    for name in verbs_in(said()):
        yield from [f"{name} {verb}" for verb in verbs_in(said(name))] or [name]


class NeedsAKey(Case):
    def setUp(self):
        super().setUp()
        key, self.wrong = (self.file(f"{name}.key", f"the key of {name}, which nobody guesses".encode())
                           for name in ("host", "somebody else"))
        public = self.path("escrow.pub")
        private = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], capture_output=True, check=True)
        subprocess.run(["openssl", "pkey", "-pubout", "-out", public], input=private.stdout, check=True)
        self.key = ("--key", f"file:{key}")
        self.create("--tpm2", "--blob", "a:test:100", "--encrypt", *self.key, "--label", "host",
                    "--key", f"public:{public}", "--label", "escrow")
        self.vnvram("put", self.image, "a", "-", *self.key, input=b"a secret")
        self.export = self.path("export.nvram")
        self.vnvram("export", self.image, self.export, *self.key, "--new-key", self.key[1], "--label", "host",
                    "--new-key", f"public:{public}", "--label", "escrow")
        self.out = self.path("out")

    def swtpms_folder(self):
        """With a TPM that swtpm can have kept."""
        plain, server, folder = (self.path(name) for name in ("plain.nvram", "server", "swtpm"))
        self.vnvram("create", plain, "--tpm2")
        tpm = TpmProcess(self.workspace, plain, server)
        self.addCleanup(tpm.kill)
        TpmClient(server).close()
        tpm.stop()
        self.vnvram("export-swtpm", plain, folder)
        return folder

    def table(self):
        """What each takes beside the key."""
        image, out = self.image, self.out
        anchor = ("--anchor", f"file:{self.path('anchor')}")
        new_key = ("--new-key", f"file:{self.file('new.key', b'the key of who is to come, as long')}")
        return {
            **{name: [(name, image)] for name in ("ls", "info", "check", "repair", "dump", "seal", "unseal", "takeover")},
            "register": [("register", image, "--blob", "b:test:100")],
            "get": [("get", image, "a")], "put": [("put", image, "a", "-")], "rm": [("rm", image, "a")],
            "salvage": [("salvage", image, out, *new_key)],
            "move": [("move", image, out)],
            "resize": [("resize", image, "16M")],
            "serve": [("serve", image, "--control", f"unix:{self.path('owner.sock')}")],
            "export": [("export", image, out, *new_key), ("export", image, out, "--decrypt")],
            "import": [("import", self.export, "--out", out, *new_key)],
            "import-swtpm": [("import-swtpm", self.swtpms_folder(), image)],
            "export-swtpm": [("export-swtpm", image, out), ("export-swtpm", image, "--in-place")],
            "anchor": [("anchor", verb, image, *anchor) for verb in ("show", "verify", "accept")],
            "key add": [("key", "add", image, *new_key)],
            "key change": [("key", "change", image, "0", *new_key)],
            "key test": [("key", "test", image)],
            "tpm identity": [("tpm", "identity", image)],
            "key rotate": [("key", "rotate", image), ("key", "rotate", image, "--leave-out-others")],
            "encrypt": [("encrypt", image, out, *new_key), ("encrypt", image, *new_key)],
            "decrypt": [("decrypt", image, out), ("decrypt", image)],
        }

    def content(self):
        """Of everything that is there."""
        return {path: path.read_bytes() for path in self.workspace.path.rglob("*")
                if path.is_file() and path.suffix != ".log"}

    def test_every_command(self):
        table = self.table()
        self.assertEqual(set(all_commands()), set(table) | set(EXCEPTIONS), "a command is in neither table")
        self.assertEqual(set(table) & set(EXCEPTIONS), set())
        before = self.content()
        for words in (words for rows in table.values() for words in rows):
            for key, status in (((), KEY_NEEDED), (("--key", f"file:{self.wrong}"), WRONG_KEY)):
                with self.subTest(words=words[:2], status=status):
                    done = self.run_vnvram(*words, *key)
                    self.assertEqual(done.returncode, status, done.stderr)
                    self.assertIn(SLOTS, done.stderr.decode())
                    self.assertEqual(done.stdout, b"")
                    self.assertEqual(self.content(), before)

    def test_what_needs_no_key(self):
        for words in (("key", "ls", self.image), ("meta", "set", self.image, "a", "b"), ("meta", "ls", self.image),
                      ("meta", "get", self.image, "a"), ("meta", "rm", self.image, "a"),
                      ("key", "rm", self.image, "1"), ("erase", self.image, "--erase-all-keys")):
            with self.subTest(words=words[:2]):
                self.assertEqual(self.run_vnvram(*words).returncode, OK)

    def test_every_program(self):
        wrong = f"file:{self.wrong}"
        nbdkit = ["nbdkit", "--foreground", "--unix", self.path("nbd.sock"), plugin(), self.image]
        tpm = [program("vnvram-tpm"), self.image, "--ctrl", f"unix:{self.path('tpm.sock')}"]
        key = self.file("swtpm.key", b"another one of exactly 32 bytes!")
        folder = self.path("state")
        folder.mkdir()
        (folder / "tpm2-00.permall").hardlink_to(self.image)
        swtpm = [program("vnvram-swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={folder}",
                 "--ctrl", f"type=unixio,path={self.path('tpm.sock')}", "--flags", "startup-clear"]
        back = ["env", f"PATH={program('vnvram').parent}:{os.environ['PATH']}",
                REPOSITORY / "contrib/swtpm/vnvram-swtpm-back", folder / "tpm2-00.permall"]
        back_key = ["--swtpm-key", f"file={key},format=binary,mode=aes-256-cbc"]
        table = {
            "vnvram-swtpm-back": [(back, 1), ([*back[:3], *back_key, back[3]], 1)],
            # As swtpm has it, whatever is wrong; and so for nbdkit's plugins.
            "vnvram-swtpm": [(swtpm, 1), ([*swtpm, "--key", f"file={key},format=binary,mode=aes-256-cbc"], 1)],
            "vnvram-tpm": [(tpm, KEY_NEEDED), ([*tpm, "--key", wrong], WRONG_KEY)],
            "nbdkit-vnvram-plugin": [(nbdkit, 1), ([*nbdkit, f"key={wrong}"], 1)],
        }
        pages = {page.stem for page in (REPOSITORY / "man").glob("*.[18]")}
        self.assertEqual(pages, set(table) | set(NO_PROGRAMS), "a program is in neither table")
        before = self.image.read_bytes()
        for argv, status in (row for rows in table.values() for row in rows):
            with self.subTest(argv=argv):
                done = subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=120, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(SLOTS, done.stderr)
                self.assertEqual(self.image.read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
