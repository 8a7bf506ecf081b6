"""Images in VM image formats: the command serves itself by a qemu-nbd of its own."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from harness.nbd_server import NbdServer
from harness.tpm_process import program
from harness.vm_image import (FORMATS, image_format, programs_of, qemu_img, space_of,
                              wait_until_let_go)

from .command import (ABSENT, BLANK, Case, CORRUPT, EXISTS, FOREIGN, IN_USE, IO, KEY_NEEDED, MIB,
                      NOT_FOUND, UNSUPPORTED, USAGE, WRONG_KEY)
from .owner import Owner

BLOBS = ("--tpm2", "--blob", "x:t:64K")


class VmImageCase(Case):
    def tearDown(self):
        wait_until_let_go(self.workspace.path)
        super().tearDown()

    def make(self, name, *options):
        image = self.path(name)
        self.vnvram("create", image, *BLOBS, *options)
        return image

    def key(self, name="key"):
        return self.file(name, os.urandom(16).hex().encode())


class VmImageTest(VmImageCase):
    def test_every_command_takes_every_format(self):
        content = os.urandom(5000)
        for name in FORMATS:
            with self.subTest(format=name):
                image = self.make(f"vm.{name}")
                self.assertEqual(image_format(image), name)
                self.assertEqual(self.names(), [image.name])
                self.assertEqual(image.stat().st_mode & 0o777, 0o600)
                self.vnvram("put", image, "x", "-", input=content)
                self.assertEqual(self.vnvram("get", image, "x"), content)
                self.vnvram("register", image, "--blob", "y:t:8K")
                self.vnvram("rm", image, "y")
                self.vnvram("get", image, "y", status=NOT_FOUND)
                names = [blob["name"] for blob in self.json("ls", image)["blobs"]]
                self.assertEqual(len(names), 4, names)
                self.vnvram("dump", image)
                self.vnvram("repair", image)
                self.vnvram("unseal", image)
                self.vnvram("check", image)
                info = self.json("info", image)
                self.assertEqual((info["clean"], info["image_format"]), (True, name))
                self.assertRegex(self.vnvram("info", image).decode(),
                                 rf"(?m)^in a VM image: +{name}$")
                rescued = self.path(f"rescued.{name}")
                self.vnvram("salvage", image, rescued)
                self.assertEqual(image_format(rescued), name)
                self.assertEqual(self.vnvram("get", rescued, "x"), content)
                for path in (image, rescued):
                    if name != "vdi":
                        qemu_img("check", path)
                    path.unlink()

    def test_nothing_grows_when_it_is_used(self):
        for name in FORMATS:
            with self.subTest(format=name):
                image = self.make(f"vm.{name}")
                before = space_of(image)
                for _ in range(3):
                    for size in (65536, 1, 40000):
                        self.vnvram("put", image, "x", "-", input=os.urandom(size))
                with Owner(self, image, "x", 65536) as owner:
                    for letter in "abcd" * 200:  # More than once around the ring.
                        owner.commit(letter)
                self.assertEqual(space_of(image), before)
                self.vnvram("check", image)
                if name == "qcow2":
                    self.assertIn("100.00% allocated", qemu_img("check", image))

    def test_the_format_is_what_was_asked_for(self):
        for words, expected in ((("a.img", "--format", "vmdk"), "vmdk"),
                                (("b.qcow2", "--format", "raw"), "raw"),
                                (("c.qcow2.nvram",), "raw"), (("d,e:f.qcow2",), "qcow2")):
            self.vnvram("create", self.path(words[0]), *BLOBS, *words[1:])
            self.assertEqual(image_format(self.path(words[0])), expected)
            self.vnvram("check", self.path(words[0]))
        self.vnvram("create", self.path("e"), "--format", "vpc", status=USAGE, message="vpc")
        os.chdir(self.workspace.path)  # A name that QEMU would take for a protocol.
        self.addCleanup(os.chdir, "/")
        self.vnvram("create", "nbd:g.qcow2", *BLOBS)
        self.vnvram("check", "nbd:g.qcow2")

    def test_size(self):
        image = self.make("vm.qcow2", "--size", "9M")
        self.assertEqual(self.json("info", image)["image_size_bytes"], 9 * MIB)
        self.vnvram("create", image, *BLOBS, "--force")
        sizes = self.json("size", *BLOBS)
        self.assertEqual(self.json("info", image)["image_size_bytes"], sizes["recommended_bytes"])

    def test_what_is_there_is_kept_unless_forced(self):
        image = self.make("vm.qcow2")
        before = image.read_bytes()
        self.vnvram("create", image, *BLOBS, status=EXISTS)
        self.assertEqual(image.read_bytes(), before)
        os.chmod(image, 0o640)
        self.vnvram("create", image, "--blob", "y:t:1K", "--force")
        self.assertEqual(image_format(image), "qcow2")
        self.assertEqual(image.stat().st_mode & 0o777, 0o640)
        self.vnvram("get", image, "x", status=NOT_FOUND)
        disk = self.path("disk.qcow2")
        qemu_img("create", "-q", "-f", "qcow2", disk, "8M")
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64K", disk], check=True,
                       stdout=subprocess.DEVNULL)
        before = disk.read_bytes()
        self.vnvram("create", disk, *BLOBS, status=EXISTS)
        self.vnvram("ls", disk, status=FOREIGN)
        self.assertEqual(disk.read_bytes(), before)

    def test_a_vm_image_that_holds_nothing_is_used(self):
        image = self.path("disk")
        qemu_img("create", "-q", "-f", "qcow2", image, "6M")
        self.vnvram("ls", image, status=BLANK)
        inode = image.stat().st_ino
        self.vnvram("create", image, *BLOBS)
        self.assertEqual((image.stat().st_ino, image_format(image)), (inode, "qcow2"))
        self.assertEqual(self.json("info", image)["image_size_bytes"], 6 * MIB)
        blank = self.file("blank.vmdk", bytes(6 * MIB))
        self.vnvram("create", blank, *BLOBS)
        self.assertEqual(image_format(blank), "vmdk")
        self.assertEqual(self.json("info", blank)["image_size_bytes"], 6 * MIB)

    def test_resize(self):
        for name in ("qcow2", "vmdk", "vhdx", "vdi"):
            with self.subTest(format=name):
                image = self.make(f"vm.{name}")
                self.vnvram("put", image, "x", "-", input=b"kept")
                if name == "qcow2":
                    self.vnvram("resize", image, "12M")
                    self.assertEqual(self.json("info", image)["image_size_bytes"], 12 * MIB)
                    self.assertGreaterEqual(space_of(image)[1] * 512, 12 * MIB)
                    self.vnvram("resize", image)
                    self.vnvram("resize", image, "4M", status=USAGE)
                    self.assertIn("100.00% allocated", qemu_img("check", image))
                else:
                    self.vnvram("resize", image, "12M", status=UNSUPPORTED, message="salvage")
                self.assertEqual(self.vnvram("get", image, "x"), b"kept")
                self.vnvram("check", image)

    def test_internal_snapshots(self):
        image = self.make("vm.qcow2")
        contents = [os.urandom(3000) for _ in range(3)]
        generations = []
        for number, content in enumerate(contents):
            self.vnvram("put", image, "x", "-", input=content)
            generations.append(self.json("info", image)["generation"])
            qemu_img("snapshot", "-c", f"s{number}", image)
        for number in (0, 2, 1):
            qemu_img("snapshot", "-a", f"s{number}", image)
            self.assertEqual(self.vnvram("get", image, "x"), contents[number])
            self.assertEqual(self.json("info", image)["generation"], generations[number])
            self.vnvram("put", image, "x", "-", input=b"another history")
            self.vnvram("check", image)
            qemu_img("check", image)

    def test_an_overlay(self):
        """A chain of external snapshots: the top one is opened, the base stays as it is."""
        base = self.make("base.qcow2")
        self.vnvram("put", base, "x", "-", input=b"base")
        before = base.read_bytes()
        top = self.path("top.qcow2")
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
        self.vnvram("put", top, "x", "-", input=b"top")
        self.assertEqual(self.vnvram("get", top, "x"), b"top")
        self.assertEqual(base.read_bytes(), before)
        self.assertEqual(self.vnvram("get", base, "x"), b"base")

    def test_damage_is_found_and_mended(self):
        image = self.make("vm.qcow2")
        content = os.urandom(60000)
        self.vnvram("put", image, "x", "-", input=content)
        raw = self.path("raw")
        qemu_img("convert", "-O", "raw", image, raw)
        at = raw.read_bytes().rfind(content[4096:4196])  # Its home; the ring is before it.
        self.assertGreater(at, 2 * MIB)
        flip = bytes([content[4096] ^ 1])[0]
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {flip} {at} 1", image],
                       check=True, stdout=subprocess.DEVNULL)
        self.vnvram("check", image, status=CORRUPT)
        self.vnvram("repair", image)
        self.vnvram("check", image)
        self.assertEqual(self.vnvram("get", image, "x"), content)


class Refusals(VmImageCase):
    def test_in_use(self):
        image = self.make("vm.qcow2")
        server = NbdServer(self.workspace, "qemu-nbd-qcow2", image)
        self.addCleanup(server.kill)
        for words in (("ls", image), ("info", image), ("put", image, "x", "-"),
                      ("create", image, "--force"), ("resize", image, "9M"), ("check", image)):
            self.vnvram(*words, status=IN_USE, message=str(image))
        server.kill()
        with Owner(self, image):
            self.vnvram("ls", image, status=IN_USE)
            done = subprocess.run(["qemu-img", "snapshot", "-c", "s", image], check=False,
                                  capture_output=True, text=True)
            self.assertIn("lock", done.stderr)
        self.vnvram("check", image)

    def test_files_that_are_no_good(self):
        image = self.make("vm.qcow2")
        content = os.urandom(65536)
        self.vnvram("put", image, "x", "-", input=content)
        whole = image.read_bytes()
        last = whole.rfind(content[:4096])
        for length in (600, 70000, MIB, last):
            image.write_bytes(whole[:length])
            done = self.run_vnvram("get", image, "x")
            self.assertIn(done.returncode, (IO, FOREIGN, CORRUPT, BLANK), (length, done.stderr))
            self.assertEqual(done.stdout, b"")
            self.assertIn(str(image).encode(), done.stderr)
        image.write_bytes(whole[:8] + os.urandom(len(whole) - 8))
        done = self.run_vnvram("ls", image)
        self.assertIn(done.returncode, (IO, UNSUPPORTED), done)
        self.vnvram("create", image, *BLOBS, "--force")
        self.vnvram("check", image)

    def test_kinds_that_no_store_can_be_kept_in(self):
        vhd = self.path("vm.vhd")
        qemu_img("create", "-q", "-f", "vpc", vhd, "8M")
        stream = self.path("stream.vmdk")
        source = self.file("raw", os.urandom(MIB))
        qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", source, stream)
        for image in (vhd, stream):
            for command in ("ls", "create"):
                self.vnvram(command, image, status=UNSUPPORTED, message="qemu-img convert")

    def test_without_qemu(self):
        image = self.make("vm.qcow2")
        folder = self.path("empty")
        folder.mkdir()
        for words in (("ls", image), ("create", self.path("new.vmdk"))):
            self.vnvram(*words, status=UNSUPPORTED, message="qemu-utils",
                        env={**os.environ, "PATH": str(folder)})
        self.assertEqual(self.names(), ["empty", "vm.qcow2"])

    def test_a_server_that_dies_in_the_middle(self):
        image = self.make("vm.qcow2")
        owner = Owner(self, image, "x", 65536)
        with owner:
            for letter in "abc":
                owner.commit(letter)
            servers = [pid for pid in programs_of(image) if pid != owner.pid]
            self.assertEqual(len(servers), 1)
            os.kill(servers[0], signal.SIGKILL)
            self.assertIn("vm.qcow2", owner.fail("d"))
        wait_until_let_go(image)
        self.assertIn(self.vnvram("get", image, "x"), (b"c" * 65536, b"d" * 65536))
        self.vnvram("check", image)


class Keys(VmImageCase):
    """LUKS takes seconds of processor time for each opening, by design."""

    def test_luks(self):
        key, other = self.key(), self.key("other")
        image = self.path("vm.luks")
        self.vnvram("create", image, status=KEY_NEEDED)
        self.vnvram("create", image, *BLOBS, "--image-key", key)
        self.assertEqual(image_format(image), "luks")
        before = space_of(image)
        self.vnvram("ls", image, status=KEY_NEEDED, message="--image-key")
        self.vnvram("ls", image, "--image-key", other, status=WRONG_KEY)
        self.vnvram("ls", image, "--image-key", self.path("none"), status=IO)
        self.vnvram("put", image, "x", "-", "--image-key", key, input=b"secret" * 1000)
        self.assertEqual(self.vnvram("get", image, "x", "--image-key", key), b"secret" * 1000)
        self.assertNotIn(b"secretsecret", image.read_bytes())
        self.assertEqual(space_of(image), before)

    def test_a_clock_that_stands_still(self):
        """As qemu-img before 9.2.1 ends now and then, with the file deleted that it was given."""
        folder, failures = self.path("programs"), self.file("failures", b"")
        folder.mkdir()
        stub = folder / "qemu-img"
        stub.write_text(f"""#!/bin/bash
if [ $(stat -c %s {failures}) -lt 3 ]; then
  printf x >>{failures}
  rm "${{@: -2:1}}"
  echo "qemu-img: ${{@: -2:1}}: Unable to get accurate CPU usage" >&2
  exit 1
fi
exec {shutil.which("qemu-img")} "$@"
""")
        stub.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
        key, image = self.key(), self.path("vm.luks")
        self.vnvram("create", image, *BLOBS, "--image-key", key, env=environment)
        self.assertEqual(failures.read_bytes(), b"xxx")
        self.assertEqual(image.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.names(), ["failures", "key", "programs", "vm.luks"])
        self.vnvram("check", image, "--image-key", key)
        stub.write_text(f"""#!/bin/bash
printf x >>{failures}
echo "qemu-img: Unable to get accurate CPU usage" >&2
exit 1
""")
        self.vnvram("create", self.path("b.luks"), "--image-key", key, env=environment, status=IO,
                    message="do it again")
        self.assertEqual(failures.read_bytes(), b"x" * 23)
        self.assertEqual(self.names(), ["failures", "key", "programs", "vm.luks"])

    def test_encrypted_qcow2(self):
        key, other = self.key(), self.key("other")
        image = self.make("vm.qcow2", "--image-key", key)
        self.vnvram("ls", image, status=KEY_NEEDED)
        self.vnvram("ls", image, "--image-key", other, status=WRONG_KEY)
        self.vnvram("resize", image, "8M", "--image-key", key)
        self.vnvram("check", image, "--image-key", key)

    def test_keys_that_fit_nothing(self):
        key, plain = self.key(), self.make("plain.qcow2")
        for words in (("ls", plain), ("create", self.path("a.vmdk")), ("create", self.path("a"))):
            self.vnvram(*words, "--image-key", key, status=USAGE, message="not encrypted")
        noise = self.file("noise", bytes([0xff, 0xfe]) * 16)
        self.vnvram("create", self.path("a.luks"), "--image-key", noise, status=USAGE,
                    message="UTF-8")
        self.vnvram("ls", self.path("none.luks"), "--image-key", key, status=ABSENT)
        self.assertEqual(self.names(), ["key", "noise", "plain.qcow2"])


class NothingIsLeftBehind(VmImageCase):
    """Whatever ends the command, its qemu-nbd ends with it."""

    def kill_at_every_moment(self, words, count, longest):
        chance = random.Random(4)
        # A kill within the millisecond in which its socket has a name leaves that behind.
        run_time = tempfile.TemporaryDirectory(prefix="vnvram-run-")
        self.addCleanup(run_time.cleanup)
        for number in range(count):
            process = subprocess.Popen([program("vnvram"), *map(str, words)],
                                       env={**os.environ, "XDG_RUNTIME_DIR": run_time.name},
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            # Every moment gets its turn, and no two runs have the same.
            time.sleep((number + chance.random()) / count * longest)
            process.kill()
            process.wait()
            wait_until_let_go(self.workspace.path)

    def test_killed_while_it_reads(self):
        image = self.make("vm.qcow2")
        self.kill_at_every_moment(("get", image, "x"), 300, 0.03)
        self.vnvram("check", image)

    def test_killed_while_it_writes(self):
        image = self.make("vm.qcow2")
        source = self.file("source", os.urandom(60000))
        self.kill_at_every_moment(("put", image, "x", source), 200, 0.06)
        self.vnvram("check", image)
        qemu_img("check", image)

    def test_killed_while_it_creates(self):
        image = self.path("vm.qcow2")
        self.kill_at_every_moment(("create", image, *BLOBS), 100, 0.12)
        if image.exists():  # Complete, then.
            self.vnvram("check", image)
