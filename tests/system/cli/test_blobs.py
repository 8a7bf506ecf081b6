"""register, get, put, rm: bytes in, the same bytes out, or a failure that changed nothing."""

import os
import stat
import subprocess

from harness.tpm_process import program

from .command import (ABSENT, Case, FOREIGN, IN_USE, IO, MIB, NO_SPACE, NOT_FOUND, TOO_LARGE,
                      TYPE_MISMATCH, UNSUPPORTED, USAGE)
from .owner import Owner


class PutGetTest(Case):
    def test_random_bytes_of_many_sizes(self):
        self.create("--blob", "a:t:1M")
        for size in (0, 1, 511, 4095, 4096, 4097, 70000, MIB - 1, MIB, 5):
            content = os.urandom(size)
            self.vnvram("put", self.image, "a", self.file("in", content))
            self.assertEqual(self.vnvram("get", self.image, "a"), content)
            self.assertEqual(self.blob("a")["size_bytes"], size)
        self.vnvram("check", self.image)

    def test_largest_blob_there_can_be(self):
        content = os.urandom(16 * MIB)
        self.create("--blob", "a:t:16M")
        self.vnvram("put", self.image, "a", "-", input=content)
        self.vnvram("get", self.image, "a", "-o", self.path("out"))
        self.assertEqual(self.path("out").read_bytes(), content)
        self.vnvram("check", self.image)

    def test_file_that_is_too_large_changes_nothing(self):
        self.create("--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"old")
        before = self.image.read_bytes()
        for extra in ({"input": bytes(4097)}, {"input": bytes(100000)}):
            self.vnvram("put", self.image, "a", "-", status=TOO_LARGE, message="4096", **extra)
        with open("/dev/zero", "rb") as endless:
            self.vnvram("put", self.image, "a", "-", status=TOO_LARGE, stdin=endless)
        self.assertEqual(self.image.read_bytes(), before)

    def test_file_that_cannot_be_read_changes_nothing(self):
        self.create("--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"old")
        before = self.image.read_bytes()
        self.vnvram("put", self.image, "a", self.path("none"), status=IO)
        self.vnvram("put", self.image, "a", self.workspace.path, status=IO)
        # Reading fails after some bytes were there: a process's memory file at a bad address.
        self.vnvram("put", self.image, "a", "/proc/self/mem", status=IO)
        self.vnvram("put", self.image, "a", "-", status=IO,
                    stdin=os.open(self.workspace.path, os.O_RDONLY))
        self.assertEqual(self.image.read_bytes(), before)

    def test_names_that_are_not_there(self):
        self.create("--blob", "a:t:4K")
        before = self.image.read_bytes()
        self.vnvram("get", self.image, "b", status=NOT_FOUND)
        self.vnvram("put", self.image, "b", "-", status=NOT_FOUND)
        self.vnvram("rm", self.image, "b", status=NOT_FOUND)
        self.assertEqual(self.image.read_bytes(), before)
        for words in (("ls",), ("info",), ("check",), ("dump",), ("get", "a"), ("put", "a", "-"),
                      ("rm", "a"), ("resize", "8M"), ("register", "--tpm2")):
            self.vnvram(words[0], self.path("none"), *words[1:], status=ABSENT)
        self.assertEqual(self.names(), ["vm.nvram"])

    def test_what_is_neither_file_nor_block_device(self):
        for path in (self.workspace.path, "/dev/null"):
            for words in (("ls",), ("check",), ("dump",), ("put", "a", "-"), ("resize",)):
                self.vnvram(words[0], path, *words[1:], status=UNSUPPORTED)
            self.vnvram("create", path, "--force", status=UNSUPPORTED)

    def test_no_command_but_create_touches_what_is_not_ours(self):
        content = os.urandom(2 * MIB)
        foreign = self.file("foreign", content)
        for words in (("ls",), ("info",), ("check",), ("dump",), ("get", "a"), ("put", "a", "-"),
                      ("rm", "a"), ("resize", "8M"), ("register", "--tpm2")):
            self.vnvram(words[0], foreign, *words[1:], status=FOREIGN)
        self.assertEqual(foreign.read_bytes(), content)

    def test_get_writes_files_whole(self):
        self.create("--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"secret")
        out = self.path("out")
        self.vnvram("get", self.image, "a", "-o", out)
        self.assertEqual(out.read_bytes(), b"secret")
        self.assertEqual(stat.S_IMODE(out.stat().st_mode), 0o600)
        os.chmod(out, 0o644)
        link = self.path("link")
        link.symlink_to(out)
        self.vnvram("put", self.image, "a", "-", input=b"newer")
        self.vnvram("get", self.image, "a", "--output", link)
        self.assertTrue(link.is_symlink())
        self.assertEqual(out.read_bytes(), b"newer")
        self.assertEqual(stat.S_IMODE(out.stat().st_mode), 0o644)
        self.vnvram("get", self.image, "b", "-o", out, status=NOT_FOUND)
        self.assertEqual(out.read_bytes(), b"newer")
        self.vnvram("get", self.image, "a", "-o", self.path("no") / "out", status=IO)
        self.vnvram("get", self.image, "a", "-o", self.workspace.path, status=IO)
        self.vnvram("get", self.image, "a", "-o", "/dev/full", status=IO)
        self.vnvram("get", self.image, "a", "-o", "/dev/null")
        self.assertEqual(self.names(), ["link", "out", "vm.nvram"])

    def test_output_that_is_not_taken_is_a_failure(self):
        self.create("--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"x" * 4096)
        for words in (("get", self.image, "a"), ("ls", self.image), ("info", self.image),
                      ("check", self.image), ("dump", self.image), ("size",), ("--help",),
                      ("ls", "--help"), ("--version",), ("ls", self.image, "--json")):
            with open("/dev/full", "wb") as full:
                self.vnvram(*words, status=IO, stdout=full)
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, "wb") as closed:
                self.vnvram(*words, status=IO, stdout=closed)

    def test_put_is_durable_against_being_killed_later(self):
        self.create("--blob", "a:t:64K")
        for round_number in range(5):
            content = os.urandom(65536)
            self.vnvram("put", self.image, "a", "-", input=content)
            with Owner(self, self.image) as owner:
                owner.kill()
            self.assertEqual(self.vnvram("get", self.image, "a"), content, round_number)

    def test_put_reads_standard_input_before_it_takes_the_image(self):
        self.create("--blob", "a:t:4K")
        argv = ["setpriv", "--pdeathsig", "KILL", "--", program("vnvram"), "put", self.image, "a", "-"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as waiting:
            self.vnvram("put", self.image, "a", "-", input=b"quick")
            waiting.communicate(b"slow", timeout=60)
            self.assertEqual(waiting.returncode, 0)
        self.assertEqual(self.vnvram("get", self.image, "a"), b"slow")


class RegisterTest(Case):
    def test_all_or_none(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"kept")
        self.vnvram("register", self.image, "--blob", "b:t:1K", "--blob", "a:other:64K",
                    status=TYPE_MISMATCH)
        self.vnvram("register", self.image, "--blob", "b:t:980K", "--blob", "c:t:980K",
                    status=NO_SPACE)
        self.vnvram("register", self.image, "--blob", "b:t:1K=file", status=USAGE)
        self.vnvram("register", self.image, status=USAGE)
        self.assertEqual([blob["name"] for blob in self.json("ls", self.image)["blobs"]], ["a"])
        self.vnvram("register", self.image, "--blob", "b:t:1K", "--blob", "a:t:128K", "--tpm2")
        self.assertEqual(self.blob("a")["size_max_bytes"], 131072)
        self.assertEqual(self.blob("a")["size_bytes"], 4)
        self.assertEqual(self.vnvram("get", self.image, "a"), b"kept")
        self.vnvram("register", self.image, "--blob", "a:t:1K")
        self.assertEqual(self.blob("a")["size_max_bytes"], 131072)
        self.vnvram("check", self.image)

    def test_ring_that_is_too_small(self):
        self.create("--size", "64M", "--ring-size", "1M")
        self.vnvram("register", self.image, "--blob", "a:t:8M", status=TOO_LARGE)

    def test_rm_frees_the_space(self):
        self.create("--blob", "a:t:512K", "--blob", "b:t:1K")
        free = self.json("info", self.image)["space_free_bytes"]
        self.vnvram("put", self.image, "a", "-", input=os.urandom(512 * 1024))
        self.vnvram("rm", self.image, "a")
        self.assertEqual([blob["name"] for blob in self.json("ls", self.image)["blobs"]], ["b"])
        self.assertEqual(self.json("info", self.image)["space_free_bytes"], free + 512 * 1024)
        self.vnvram("register", self.image, "--blob", "a:other:512K")
        self.assertEqual(self.vnvram("get", self.image, "a"), b"")
        self.vnvram("check", self.image)

    def test_image_in_use(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image) as owner:
            for words in (("put", "a", "-"), ("rm", "a"), ("register", "--tpm2"), ("resize", "8M")):
                self.vnvram(words[0], self.image, *words[1:], status=IN_USE)
            done = self.run_vnvram("rm", self.image, "a")
            self.assertIn(str(owner.pid).encode(), done.stderr)
