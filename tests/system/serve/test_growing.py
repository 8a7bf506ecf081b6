"""Images that grow by themselves when blobs find no room: served, by the command, by a TPM."""

import os
import subprocess

from cli.command import Case, MIB, NO_SPACE, USAGE
from harness.owner_process import OwnerProcess
from harness.small_file_system import SmallFileSystem, holes_in
from harness.vm_image import qemu_img, wait_until_let_go

# As much as a rewrite of it fits the ring that an image of 4 MiB has. One of them fits that image.
LARGE = 800 << 10
GROWS = ("--grow", "16M")


class GrowingCase(Case):
    def tearDown(self):
        wait_until_let_go(self.workspace.path)
        super().tearDown()

    def start_owner(self, image, *options):
        owner = OwnerProcess(self.workspace, image, *options)
        self.addCleanup(owner.kill)
        return owner

    def make(self, image, *options):
        self.vnvram("create", image, "--blob", "a:t:64K", *options)
        self.vnvram("put", image, "a", "-", input=b"kept")
        return image

    def register(self, image, name, *options, **expected):
        self.vnvram("register", image, "--blob", f"{name}:t:{LARGE}", *options, **expected)

    def fill(self, image, name):
        content = os.urandom(LARGE)
        self.vnvram("put", image, name, "-", input=content)
        self.assertEqual(self.vnvram("get", image, name), content)

    def must_be_whole(self, image):
        self.assertEqual(self.vnvram("get", image, "a"), b"kept")
        report = self.json("check", image)
        self.assertEqual((report["problems"], report["notes"]), ([], []))

    def size(self, image):
        return self.json("info", image)["image_size_bytes"]

    def let_it_grow(self, image, *options):
        """An owner that is confined grows its image for whoever registers blobs with it."""
        before = self.size(image)
        owner = self.start_owner(image, *GROWS, *options)
        for name in ("b", "c", "d"):
            self.register(owner.address, name)
            self.fill(owner.address, name)
        self.assertRegex(owner.log.read_text(), r"grew from 4 MiB to \d+ MiB, for blobs that found no room")
        owner.stop()
        self.assertGreater(self.size(image), before)
        self.must_be_whole(image)


class FilesTest(GrowingCase):
    def test_served(self):
        self.let_it_grow(self.make(self.image))
        self.assertEqual(self.image.stat().st_size, self.size(self.image))
        self.assertEqual(holes_in(self.image), 0)

    def test_without_the_option_nothing_grows(self):
        self.make(self.image)
        self.register(self.image, "b")
        self.register(self.image, "c", status=NO_SPACE, message="--grow")
        owner = self.start_owner(self.image)
        self.register(owner.address, "c", status=NO_SPACE)
        owner.stop()
        self.assertEqual(self.image.stat().st_size, 4 * MIB)

    def test_by_the_command(self):
        self.make(self.image)
        self.register(self.image, "b", *GROWS)
        self.assertEqual(self.image.stat().st_size, 4 * MIB)
        self.register(self.image, "c", "--grow", "5500K")
        self.assertEqual(self.image.stat().st_size, 5500 << 10)
        self.register(self.image, "d", "--grow", "5500K", status=NO_SPACE, message="may grow to 5632000")
        self.assertEqual(self.image.stat().st_size, 5500 << 10)
        self.register(self.image, "d", "--grow", "much", status=USAGE, message="not a size")
        self.fill(self.image, "c")
        self.must_be_whole(self.image)

    def test_an_encrypted_one(self):
        key = self.file("key", os.urandom(32))
        self.make_with_key(key)
        owner = self.start_owner(self.image, *GROWS, "--key", f"file:{key}")
        for name in ("b", "c", "d"):
            self.register(owner.address, name)
            self.fill(owner.address, name)
        owner.stop()
        report = self.json("check", self.image, "--key", f"file:{key}")
        self.assertEqual((report["problems"], report["notes"]), ([], []))

    def make_with_key(self, key):
        self.vnvram("create", self.image, "--blob", "a:t:64K", "--encrypt", "--key", f"file:{key}")

    def test_a_host_without_room_says_so_and_no_commit_fails(self):
        for kind in ("ext4", "tmpfs"):
            with self.subTest(kind):
                file_system = SmallFileSystem(self.workspace, kind)
                image = self.make(file_system.file("vm.nvram"))
                owner = self.start_owner(image, *GROWS)
                self.register(owner.address, "b")
                file_system.fill()
                self.register(owner.address, "c", status=NO_SPACE, message="cannot grow")
                self.assertEqual(image.stat().st_size, 4 * MIB)
                for _ in range(8):
                    self.fill(owner.address, "b")
                file_system.make_room()
                self.register(owner.address, "c")
                file_system.fill()
                for _ in range(8):  # More than once around the ring.
                    self.fill(owner.address, "c")
                owner.stop()
                self.must_be_whole(image)
                file_system.make_room()

    def test_resize_reserves_what_it_adds(self):
        file_system = SmallFileSystem(self.workspace, "ext4")
        image = self.make(file_system.file("vm.nvram"))
        os.truncate(image, 8 * MIB)
        file_system.fill()
        self.vnvram("resize", image, status=NO_SPACE, message="No space left on device")
        self.assertEqual(self.size(image), 4 * MIB)
        file_system.make_room()
        self.vnvram("resize", image)
        self.assertEqual(self.size(image), 8 * MIB)
        self.assertLess(holes_in(image), 32 << 10)  # What is unused beside the third superblock.
        self.vnvram("put", image, "a", "-", input=b"kept")
        self.assertEqual(holes_in(image), 0)
        self.must_be_whole(image)

    def test_the_owner_is_killed_while_it_grows(self):
        """At whatever moment: it opens, whole, and grows once more."""
        for _ in range(6):
            self.image.unlink(missing_ok=True)
            self.make(self.image)
            self.register(self.image, "b")
            owner = self.start_owner(self.image, *GROWS)
            client = subprocess.Popen([*map(str, (owner.argv[0], "register", owner.address, "--blob",
                                                  f"c:t:{LARGE}"))],
                                      stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            owner.kill()
            client.wait(60)
            self.register(self.image, "c", *GROWS)
            self.fill(self.image, "c")
            self.must_be_whole(self.image)


class OtherPlacesTest(GrowingCase):
    def test_qcow2(self):
        image = self.make(self.path("vm.qcow2"))
        before = image.stat().st_blocks * 512
        owner = self.start_owner(image, *GROWS)
        self.assertLess(image.stat().st_blocks * 512, before + 2 * MIB, "its length takes no space")
        for name in ("b", "c", "d"):
            self.register(owner.address, name)
            self.fill(owner.address, name)
        self.assertIn("grew from 4 MiB", owner.log.read_text())
        owner.stop()
        self.must_be_whole(image)
        self.assertIn(b"16 MiB", qemu_img("info", image).encode())
        qemu_img("check", image)
        self.register(image, "e", *GROWS)
        self.must_be_whole(image)

    def test_a_vm_image_that_does_not_grow_so(self):
        image = self.make(self.path("vm.vmdk"))
        self.register(image, "b", *GROWS)
        self.register(image, "c", *GROWS, status=NO_SPACE, message="cannot grow")
        self.must_be_whole(image)

    def test_a_block_device_that_is_enlarged(self):
        """Under its owner, and seen the next time."""
        backing = self.file("disk", bytes(4 * MIB))
        device = self.loop_device(backing)
        self.make(device)
        owner = self.start_owner(device, *GROWS)
        self.register(owner.address, "b")
        self.register(owner.address, "c", status=NO_SPACE, message="grow the device itself first")
        os.truncate(backing, 6 * MIB)
        subprocess.run(["losetup", "-c", device], check=True)
        self.register(owner.address, "c")
        self.fill(owner.address, "c")
        self.assertIn("grew from 4 MiB", owner.log.read_text())
        owner.stop()
        self.must_be_whole(device)

    def loop_device(self, backing):
        done = subprocess.run(["losetup", "--find", "--show", backing], check=True, capture_output=True,
                              text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False,
                        stderr=subprocess.DEVNULL)
        return device

    def test_a_whole_machine(self):
        """The supervisor passes it on to the owner, also to the next one."""
        image = self.make(self.image, "--tpm2")
        owner = self.start_owner(image, *GROWS, "--tpm", f"unix:{self.path('tpm.sock')}")
        for name in ("b", "c"):
            self.register(owner.address, name)
        self.assertRegex(owner.log.read_text(), r"grew from \d+ MiB")
        owner.stop()
        self.assertEqual(self.vnvram("get", image, "a"), b"kept")
