"""Every row of the manual's table of exit codes, on everything that can hold an image."""

import contextlib
import os
import random
import re
import subprocess
import unittest

from harness.nbd_server import NbdServer
from harness.tpm_process import REPOSITORY, TpmProcess, program
from tpm.support import TpmClient

from .command import Case, IO, MIB, NO_SPACE, OK, READ_ONLY
from .owner import Owner
from .places import PLACES, SIZE, BlockDevice, File, NbdExport, VmImage, run
from .superblocks import edit_superblocks

BLOCK = 4096
FORMAT_VERSION_AT = 8
# Where a row cannot occur, and why not.
NEVER = {
    (14, NbdExport): "NBD has no locks; the manual says so",
    (15, File): "encrypted is a VM image", (15, BlockDevice): "encrypted is a VM image",
    (15, NbdExport): "encrypted is a VM image",
    (16, File): "encrypted is a VM image", (16, BlockDevice): "encrypted is a VM image",
    (16, NbdExport): "encrypted is a VM image",
    (23, VmImage): "QEMU's locks keep readers out while it has an owner",
}


def documented_rows():
    """{number: words} of the manual page."""
    text = (REPOSITORY / "man" / "vnvram.1").read_text("utf-8")
    table = text.split(".SH EXIT STATUS", 1)[1].split(".SH ", 1)[0]
    return {int(number): words for number, words
            in re.findall(r"^\.IP (\d+) \\nWu\n(.+)$", table, re.MULTILINE)}


class ManualTest(unittest.TestCase):
    def test_the_manual_the_help_and_the_code_have_the_same_rows(self):
        rows = set(documented_rows())
        source = (REPOSITORY / "src" / "base" / "exit_code.h").read_text("utf-8")
        self.assertEqual(rows, {int(n) for n in re.findall(r"^  \w+ = (\d+),", source, re.MULTILINE)})
        said = run(program("vnvram"), "--help").split("Exit codes:")[1].split("A TPM for")[0]
        self.assertEqual(rows, {int(n) for n in re.findall(r"(?:^| )([0-9]+) [a-zA-Z]", said)})

    def test_every_row_has_a_case_and_no_case_lacks_a_row(self):
        cases = {int(name.removeprefix("row_")) for name in dir(ExitCodeTest)
                 if name.startswith("row_")}
        self.assertEqual(cases, set(documented_rows()))


@unittest.skipUnless(os.geteuid() == 0, "loop devices and mounts")
class ExitCodeTest(Case):
    """row_N provokes code N at `self.place`, by `self.ends(N, ...)`."""

    def test_every_row_everywhere(self):
        for row in sorted(documented_rows()):
            for kind in PLACES:
                if (row, kind) not in NEVER:
                    with self.subTest(row=row, place=kind.name), self.at(kind):
                        getattr(self, f"row_{row}")()
                        self.assertTrue(self.was_seen, "the case asks for nothing")

    @contextlib.contextmanager
    def at(self, kind):
        # A case of its own for each: its processes and files end with it.
        inner = ExitCodeTest("test_every_row_everywhere")
        inner.setUp()
        self.__dict__.update({name: inner.__dict__[name] for name in ("workspace", "image")})
        self.was_seen = False
        self.place = kind(self)
        try:
            yield
        finally:
            self.doCleanups()
            self.place.end()
            inner.doCleanups()

    def ends(self, row, *words, before=(), message=None, **options):
        """The command must end with it, and say why in its own words."""
        argv = [*before, program("vnvram"), *words]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("input", b"")
        done = subprocess.run([str(word) for word in argv], stderr=subprocess.PIPE, timeout=120,
                              check=False, **options)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, row, f"{words}: {said}")
        if row not in (0, 13):
            self.assertRegex(said, r"^vnvram: .*\n$")
        self.assertNotIn("qemu-nbd:", said)
        self.assertNotIn("qemu-img:", said)
        if message is not None:
            self.assertRegex(said, message)
        self.was_seen = True
        return said

    @property
    def here(self):
        return self.place.location

    def create(self, *options):
        """An image in place, with a blob."""
        self.vnvram("create", self.here, "--blob", "a:t:64K", *options)

    def edit(self, change):
        content = bytearray(self.place.content())
        change(content)
        self.place.hold(bytes(content))

    # The rows.

    def row_0(self):
        self.ends(0, "create", self.here, "--blob", "a:t:64K")
        self.ends(0, "put", self.here, "a", "-", input=b"x")
        self.ends(0, "ls", self.here)

    def row_1(self):
        """No memory: where that is noticed depends on the system, so it is tried with ever more."""
        content = self.file("content", bytes(16 * MIB))
        for limit in range(6 * MIB, 80 * MIB, MIB):
            argv = ["prlimit", f"--as={limit}", program("vnvram"), "create", self.here,
                    "--blob", f"a:t:16M={content}", "--format", "raw"]
            done = subprocess.run([str(word) for word in argv], capture_output=True, timeout=120,
                                  check=False)
            if done.returncode == 1:
                self.assertEqual(done.stderr, b"vnvram: std::bad_alloc\n")
                self.was_seen = True
                return
            self.assertNotEqual(done.returncode, 0, "it needs less memory than its content has")

    def row_2(self):
        self.create()
        self.ends(2, "ls", self.here, "--nonsense")
        self.ends(2, "register", self.here, "--blob", "b:t:0")
        self.ends(2, "register", self.here, "--blob", "a b:t:1K")
        self.ends(2, "get", self.here, "--help", message="after IMAGE")

    def row_10(self):
        for command in ("ls", "info", "check", "dump", "repair", "resize", "seal", "unseal"):
            self.ends(10, command, self.place.absent())
        self.ends(10, "get", self.place.absent(), "a")
        self.ends(10, "put", self.place.absent(), "a", "-")

    def row_11(self):
        for command in ("ls", "info", "check", "seal"):
            self.ends(11, command, self.here)

    def row_12(self):
        self.place.hold(random.Random(1).randbytes(SIZE))
        for command in ("ls", "info", "check", "seal"):
            self.ends(12, command, self.here)

    def row_13(self):
        self.create()
        self.vnvram("put", self.here, "a", "-", input=b"a" * 65536)
        dump = self.json("dump", self.here)
        first = next(e for e in dump["directory"] if e["name"] == "a")["page_runs"][0]["first_page"]
        block = next(p["block"] for p in dump["pages"] if p["page"] == first + 3)

        def rot(content):
            content[block * BLOCK + 5] ^= 0xFF

        self.edit(rot)
        self.ends(13, "get", self.here, "a")
        self.ends(13, "check", self.here)

    def row_14(self):
        self.create()
        with Owner(self, self.here):
            self.ends(14, "put", self.here, "a", "-")
            self.ends(14, "create", self.here, "--force")
            self.ends(14, "seal", self.here)

    def row_15(self):
        key = self.file("key", b"open sesame")
        image = self.path("secret.qcow2")
        self.vnvram("create", image, "--image-key", key)
        self.ends(15, "ls", image)
        self.ends(15, "create", self.path("secret.luks"))

    def row_16(self):
        image = self.path("secret.qcow2")
        self.vnvram("create", image, "--image-key", self.file("key", b"open sesame"))
        self.ends(16, "ls", image, "--image-key", self.file("other", b"open barley"))

    def row_17(self):
        self.create()

        self.edit(lambda content: edit_superblocks(content, FORMAT_VERSION_AT, b"\x09\0\0\0"))
        self.ends(17, "ls", self.here)
        self.ends(17, "put", self.here, "a", "-")

    def row_20(self):
        self.create()
        self.ends(20, "register", self.here, *(word for name in "bcdef"
                                               for word in ("--blob", f"{name}:t:900K")))
        if isinstance(self.place, (File, VmImage)):
            self.full_file_system("new" + self.place.location.suffix)
        elif isinstance(self.place, NbdExport):
            self.full_export()

    def full_file_system(self, name):
        """At create, as the manual says."""
        folder = self.path("small")
        folder.mkdir()
        mounted = ["unshare", "--mount", "sh", "-ec",
                   'mount -t tmpfs -o size=3M none "$0"; status=0; "$@" || status=$?; '
                   'cd "$0"; for left in * .[!.]*; do [ ! -e "$left" ] || echo "$left"; done; '
                   'exit $status', folder]
        out = self.path("left")
        with open(out, "wb") as file:
            self.ends(NO_SPACE, "create", folder / name, "--size", "8M", before=mounted, stdout=file,
                      message="No space left|no room|make room")
        self.assertEqual(out.read_bytes(), b"", "something was left behind")

    def full_export(self):
        """A server whose disk is full says so."""
        server = NbdServer(self.workspace, "nbdkit", self.file("full", bytes(SIZE)))
        self.addCleanup(server.kill)
        server.restart_with("--filter=error", options=("error-pwrite=ENOSPC",
                                                       "error-pwrite-rate=100%"))
        self.ends(NO_SPACE, "create", server.uri, "--force")

    def row_21(self):
        self.create()
        with open("/dev/full", "wb") as full:
            self.ends(21, "ls", self.here, stdout=full)
        self.ends(IO, "put", self.here, "a", self.path("none"))
        self.ends(IO, "get", self.here, "a", "-o", self.path("none") / "file")

    def row_22(self):
        """The drive of a TPM has failed: what closes the image says so, and a TPM that gives up an
        export, which others may own, when it ends itself."""
        self.vnvram("create", self.here, "--tpm2")
        server = self.path("server")
        tpm = TpmProcess(self.workspace, self.here, server, ("--seccomp", "off"), admin=True)
        self.addCleanup(tpm.kill)
        client = TpmClient(server)
        client.define_counter()
        self.place.break_under(tpm.pid)
        client.increment()
        client.close()
        if isinstance(self.place, NbdExport):
            self.assertEqual(tpm.child.terminate(), 22)
            self.was_seen = True
        else:
            self.ends(22, "tpm", "detach", tpm.admin)

    def row_23(self):
        """Its owner overtakes a reader that is held up at each look, longer and longer."""
        self.vnvram("create", self.here, "--blob", "a:t:64K", "--ring-size", "256K")
        with Owner(self, self.here, "a", 50000) as owner:
            owner.commit("A")
            owner.spin()
            for delay_ms in (1, 4, 16):
                done = self.dump_slowly(delay_ms)
                if done.returncode == 23:
                    break
            owner.kill()
        self.assertEqual(done.returncode, 23, done)
        self.assertIn(b"vnvram: ", done.stderr)
        self.was_seen = True

    def dump_slowly(self, delay_ms):
        here, before = self.here, []
        if isinstance(self.place, NbdExport):
            slow = NbdServer(self.workspace, "nbdkit", self.place.raw)
            self.addCleanup(slow.kill)
            slow.restart_with("--filter=delay", options=(f"rdelay={delay_ms}ms",))
            here = slow.uri
        else:
            before = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=pread64",
                      "-e", f"inject=pread64:delay_enter={delay_ms * 1000}"]
        argv = [*before, program("vnvram"), "dump", here]
        return subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300, check=False)

    def row_24(self):
        self.create()
        before = self.place.make_unwritable()
        for words in (("put", self.here, "a", "-"), ("register", self.here, "--blob", "b:t:1K"),
                      ("rm", self.here, "a"), ("seal", self.here), ("unseal", self.here),
                      ("resize", self.here), ("repair", self.here),
                      ("create", self.here, "--force")):
            said = self.ends(READ_ONLY, *words, before=before)
            self.assertNotIn("give this user", said, "nobody can write there")
        self.ends(OK, "get", self.here, "a", before=before)
        if isinstance(self.place, (File, VmImage)):
            self.ends(READ_ONLY, "create", self.path("new" + self.place.location.suffix),
                      before=before)

    def row_25(self):
        self.create()
        self.ends(25, "get", self.here, "none")
        self.ends(25, "put", self.here, "none", "-")
        self.ends(25, "rm", self.here, "none")

    def row_26(self):
        self.create()
        self.ends(26, "create", self.here)

    def row_27(self):
        self.create()
        self.ends(27, "register", self.here, "--blob", "a:other:64K")

    def row_28(self):
        self.create()
        self.ends(28, "put", self.here, "a", "-", input=bytes(65537))

    def row_29(self):
        self.create()
        if isinstance(self.place, File):
            self.ends(29, "ls", self.workspace.path)
        elif isinstance(self.place, VmImage):
            image = self.path("vm.vmdk")
            self.vnvram("create", image)
            self.ends(29, "resize", image, "32M")
        else:
            self.ends(29, "resize", self.here, "32M")

    def row_30(self):
        self.create()
        self.vnvram("seal", self.here)
        self.ends(30, "put", self.here, "a", "-")
        self.ends(30, "register", self.here, "--blob", "b:t:1K")

    def row_31(self):
        anchor = ("--anchor", f"file:{self.path('anchor')}")
        self.path("anchor").unlink(missing_ok=True)
        self.create(*anchor)
        self.ends(0, "put", self.here, "a", "-", *anchor)
        self.ends(0, "put", self.here, "a", "-")
        for words in (("put", self.here, "a", "-"), ("anchor", "verify", self.here)):
            self.ends(31, *words, *anchor)


class FullDiskTest(Case):
    def test_a_sparse_image_on_a_disk_that_is_full(self):
        """A write that finds no room is no broken device."""
        self.create("--blob", "a:t:64K")
        folder = self.path("small")
        folder.mkdir()
        script = ('mount -t tmpfs -o size=5M none "$0"; cp --sparse=always "$2" "$0/i"; '
                  'head -c 64M /dev/zero >"$0/filler" 2>/dev/null || true; '
                  'head -c 65536 /dev/urandom | "$1" put "$0/i" a -')
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, folder, program("vnvram"),
                               self.image], capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, NO_SPACE, done)
