"""Sparse copies: what was reserved when an image was made is reserved again when it is opened."""

import os
import subprocess

from harness.small_file_system import SmallFileSystem, holes_in
from harness.vm_image import wait_until_let_go

from .command import Case, MIB, NO_SPACE

SIZE = 256 << 10
WRITES = 20  # Twice what the ring holds of them.


class SpaceCase(Case):
    def setUp(self):
        super().setUp()
        self.create("--tpm2", "--blob", f"a:t:{SIZE}")
        self.vnvram("put", self.image, "a", "-", input=b"first" * 100)

    def tearDown(self):
        wait_until_let_go(self.workspace.path)
        super().tearDown()

    def run_tool(self, *words):
        subprocess.run([*map(str, words)], check=True, stdin=subprocess.DEVNULL, timeout=120)

    def put(self, image, content=None, *words, **expected):
        self.vnvram("put", *words, image, "a", "-", input=content or os.urandom(SIZE), **expected)

    def go_on_when_full(self, file_system, image):
        """The host's disk fills after the image was opened once; nothing that is written fails."""
        self.put(image)
        file_system.fill()
        for _ in range(WRITES):
            content = os.urandom(SIZE)
            self.put(image, content)
        self.assertEqual(self.vnvram("get", image, "a"), content)
        self.vnvram("check", image)


class FilesTest(SpaceCase):
    def sparse_copy(self, file_system):
        copy = file_system.file("copy.nvram")
        self.run_tool("cp", "--sparse=always", self.image, copy)
        self.assertGreater(holes_in(copy), MIB)
        return copy

    def test_sparse_copy(self):
        for kind in ("ext4", "xfs", "tmpfs"):
            with self.subTest(kind):
                file_system = SmallFileSystem(self.workspace, kind)
                copy = self.sparse_copy(file_system)
                size = copy.stat().st_size
                self.go_on_when_full(file_system, copy)
                self.assertEqual(holes_in(copy), 0)
                self.assertEqual(copy.stat().st_size, size)

    def test_raw_from_a_vm_image(self):
        """As `qemu-img convert -O raw` makes it."""
        file_system = SmallFileSystem(self.workspace, "ext4")
        source, copy = self.path("vm.qcow2"), file_system.file("copy.nvram")
        self.vnvram("create", source, "--blob", f"a:t:{SIZE}")
        self.run_tool("qemu-img", "convert", "-O", "raw", source, copy)
        self.assertGreater(holes_in(copy), MIB)
        self.go_on_when_full(file_system, copy)

    def test_reflink_copy(self):
        """Two files share their blocks, and each write to one takes a new block."""
        file_system = SmallFileSystem(self.workspace, "xfs")
        first, copy = file_system.file("first.nvram"), file_system.file("copy.nvram")
        self.run_tool("cp", "--sparse=never", self.image, first)
        self.run_tool("cp", "--reflink=always", first, copy)
        self.go_on_when_full(file_system, copy)
        self.vnvram("check", first)

    def test_no_room_for_what_is_missing(self):
        """Refused before anything is written; a later start finds its way by itself."""
        file_system = SmallFileSystem(self.workspace, "ext4")
        copy = self.sparse_copy(file_system)
        file_system.fill()
        before = copy.read_bytes()
        for words in (("put", copy, "a", self.file("new", b"x")), ("rm", copy, "a"),
                      ("register", copy, "--blob", "b:t:1K")):
            self.vnvram(*words, status=NO_SPACE, message="have no space on its file system")
            self.assertEqual(copy.read_bytes(), before)
        self.assertEqual(self.vnvram("get", copy, "a"), b"first" * 100)
        file_system.make_room()
        self.go_on_when_full(file_system, copy)

    def test_hole_where_the_third_superblock_is(self):
        """Behind the image, at the file's end."""
        file_system = SmallFileSystem(self.workspace, "ext4")
        copy = file_system.file("copy.nvram")
        for room in (True, False):
            self.run_tool("cp", "--sparse=never", self.image, copy)
            place = copy.stat().st_size - 8 * 4096
            self.run_tool("fallocate", "--punch-hole", "--offset", place, "--length", 8 * 4096, copy)
            if room:
                self.go_on_when_full(file_system, copy)
                self.assertEqual(holes_in(copy), 0)
                file_system.make_room()
        file_system.fill()
        before = copy.read_bytes()
        self.put(copy, b"x", status=NO_SPACE, message=f"32768 bytes at {place} have no space")
        self.assertEqual(copy.read_bytes(), before)

    def test_superblock_that_was_torn_for_space(self):
        """A hole in the middle of one: a write reaches up to it. Nothing depends on that copy."""
        file_system = SmallFileSystem(self.workspace, "ext4")
        copy = file_system.file("copy.nvram")
        torn = []
        for block in (0, 1):
            self.run_tool("cp", "--sparse=never", self.image, copy)
            self.run_tool("fallocate", "--punch-hole", "--offset", block * 4096 + 1024,
                          "--length", 2048, copy)
            file_system.fill()
            self.put(copy, b"lost", "--space", "ignore", status=NO_SPACE,
                     message="No space left on device")
            copies = self.json("dump", copy)["superblocks"]
            torn += [entry["copy"] for entry in copies if not entry["valid"]]
            for room in (False, True):
                if room:
                    file_system.make_room()
                report = self.json("check", copy)
                self.assertEqual(report["problems"], [])
                self.assertEqual(any("superblock" in note for note in report["notes"]),
                                 not all(entry["valid"] for entry in copies), report["notes"])
                self.assertEqual(self.vnvram("get", copy, "a"), b"first" * 100)
            self.vnvram("repair", copy)
            self.put(copy, b"again")
            self.assertEqual(self.vnvram("get", copy, "a"), b"again")
            report = self.json("check", copy)
            self.assertEqual((report["problems"], report["notes"]), ([], []))
        self.assertTrue(torn, "no superblock was torn")

    def test_warned_or_ignored(self):
        file_system = SmallFileSystem(self.workspace, "ext4")
        for policy in ("warn", "ignore"):
            with self.subTest(policy):
                copy = self.sparse_copy(file_system)
                file_system.fill()
                words = ("put", "--space", policy, copy, "a", self.file("new", os.urandom(SIZE)))
                done = None
                for _ in range(WRITES):  # Until a hole is reached.
                    done = self.run_vnvram(*words)
                    self.assertEqual(b"have no space on its file system" in done.stderr,
                                     policy == "warn", done.stderr)
                    if done.returncode != 0:
                        break
                    self.file("new", os.urandom(SIZE))
                self.assertEqual(done.returncode, NO_SPACE, done.stderr)
                self.assertIn(b"No space left on device", done.stderr)
                # What was durable is; and with room again, a new start is all it needs.
                self.vnvram("check", copy)
                self.assertGreater(len(self.vnvram("get", copy, "a")), 0)
                file_system.make_room()
                self.put(copy, b"again")
                self.assertEqual(self.vnvram("get", copy, "a"), b"again")
                self.vnvram("check", copy)
                copy.unlink()


class VmImagesTest(SpaceCase):
    def setUp(self):
        super().setUp()
        self.file_system = SmallFileSystem(self.workspace, "ext4")

    def test_qcow2_that_had_a_snapshot_or_has_one(self):
        """A cluster that a snapshot has as well is not written to; a new one is taken."""
        image = self.file_system.file("vm.qcow2")
        self.vnvram("create", image, "--blob", f"a:t:{SIZE}")
        self.run_tool("qemu-img", "snapshot", "-c", "before", image)
        self.go_on_when_full(self.file_system, image)
        self.run_tool("qemu-img", "check", "-q", image)

    def test_sparse_vm_images(self):
        for kind in ("qcow2", "vmdk", "vdi", "vhdx"):
            with self.subTest(kind):
                image = self.file_system.file(f"copy.{kind}")
                self.run_tool("qemu-img", "convert", "-O", kind, self.image, image)
                self.go_on_when_full(self.file_system, image)
                image.unlink()
                self.file_system.make_room()

    def test_sparse_copies_of_vm_images(self):
        for kind in ("qcow2", "vmdk", "vdi", "vhdx"):
            with self.subTest(kind):
                whole, image = self.path(f"vm.{kind}"), self.file_system.file(f"vm.{kind}")
                self.vnvram("create", whole, "--blob", f"a:t:{SIZE}")
                self.run_tool("cp", "--sparse=always", whole, image)
                self.assertGreater(holes_in(image), MIB)
                self.go_on_when_full(self.file_system, image)
                image.unlink()
                self.file_system.make_room()

    def test_overlay(self):
        base, image = self.path("base.qcow2"), self.file_system.file("top.qcow2")
        self.vnvram("create", base, "--blob", f"a:t:{SIZE}")
        self.run_tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, image)
        self.go_on_when_full(self.file_system, image)

    def test_no_room_for_what_is_missing(self):
        whole = self.path("vm.qcow2")
        self.vnvram("create", whole, "--blob", f"a:t:{SIZE}")
        for kind in ("qcow2", "vdi"):
            with self.subTest(kind):
                image = self.file_system.file(f"copy.{kind}")
                self.run_tool("qemu-img", "convert", "-O", kind, whole, image)
                self.file_system.fill()
                self.put(image, b"x", status=NO_SPACE, message=str(image))
                self.file_system.make_room()
                self.go_on_when_full(self.file_system, image)
                image.unlink()
                self.file_system.make_room()
