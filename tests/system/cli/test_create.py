"""create, size, resize: images appear whole or not at all, and nothing of value is written over."""

import os
import select
import stat
import subprocess

from harness.tpm_process import program

from .command import (ABSENT, BLANK, Case, EXISTS, FOREIGN, IN_USE, IO, MIB, NO_SPACE, OK, READ_ONLY,
                      TOO_LARGE, UNSUPPORTED, USAGE)
from .owner import Owner


class CreateTest(Case):
    def test_default_size_is_what_size_recommends(self):
        blobs = ("--tpm2", "--blob", "vars:uefi-vars:528K")
        sizes = self.json("size", *blobs)
        self.create(*blobs)
        self.assertEqual(self.image.stat().st_size, sizes["recommended_bytes"])
        self.assertGreaterEqual(sizes["recommended_bytes"], 4 * MIB)
        self.assertLess(sizes["required_bytes"], sizes["recommended_bytes"])
        info = self.json("info", self.image)
        self.assertEqual(info["image_size_bytes"], sizes["recommended_bytes"])
        self.assertEqual(info["blob_count"], 4)
        self.assertTrue(info["clean"])
        # As much again can be registered.
        again = ("--tpm12", "--blob", "vars2:uefi-vars:528K")
        self.vnvram("register", self.image, *again)

    def test_required_size_is_enough_and_a_little_less_is_not(self):
        blobs = ("--blob", "a:t:300K", "--blob", "b:t:1M", "--blob", "c:t:1")
        required = self.json("size", *blobs)["required_bytes"]
        self.vnvram("create", self.image, *blobs, "--size", required - 4096, status=NO_SPACE,
                    message=f": {self.image}: {required} bytes are needed")
        self.assertEqual(self.names(), [])
        self.create(*blobs, "--size", required)
        self.assertEqual(self.image.stat().st_size, required)

    def test_size_takes_the_arguments_of_create(self):
        text = self.vnvram("size", self.image, "--blob", "a:t:64K=/nowhere", "--size", "9M",
                           "--force").decode()
        plain = self.vnvram("size", "--blob", "a:t:64K").decode()
        self.assertEqual(text, plain)
        self.assertRegex(text, r"(?m)^required: +\d+ \(.+\)$")
        self.assertRegex(text, r"(?m)^recommended: +\d+ \(.+\)$")
        self.assertEqual(self.names(), [])

    def test_size_of_an_encrypted_image(self):
        key = self.file("key", b"thirty-two bytes nobody can guess")
        blobs = [word for name in "abcd" for word in ("--blob", f"{name}:t:16M")]
        encrypted = ("--encrypt", "--key", f"file:{key}", "--label", "host", "--birth=a note", *blobs)
        sizes = self.json("size", self.image, *encrypted)
        self.assertGreater(sizes["required_bytes"], self.json("size", *blobs)["required_bytes"])
        self.create(*encrypted, "--size", sizes["required_bytes"])
        self.vnvram("create", self.path("smaller"), *encrypted, "--size",
                    sizes["required_bytes"] - 4096, status=NO_SPACE)

    def test_birth(self):
        self.create("--birth")
        born = self.vnvram("meta", "get", self.image, "birth").decode()
        self.assertRegex(born, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by \S+ on \S+ with vnvram [0-9.]+$")
        self.create("--force", "--birth=of vm1,\nfor Ann", "--tpm2")
        born = self.vnvram("meta", "get", self.image, "birth").decode()
        self.assertRegex(born, r"with vnvram [0-9.]+: of vm1,.+for Ann$")
        self.assertNotIn("\n", born)
        self.create("--force")
        self.assertEqual(self.json("meta", "ls", self.image), {"metadata": []})

    def test_an_empty_name(self):
        """As a script's variable that is not set."""
        self.vnvram("create", "", status=USAGE, message="the name of the image to be made is empty")
        self.vnvram("ls", "", status=ABSENT, message="is empty")
        self.create("--blob", "a:t:1K")
        self.vnvram("salvage", self.image, "", status=USAGE, message="the name of the image to be made is empty")

    def test_image_is_allocated_in_full(self):
        self.create("--size", "8M")
        status = self.image.stat()
        self.assertGreaterEqual(status.st_blocks * 512, 8 * MIB)

    def test_blob_content_from_files(self):
        content = os.urandom(5000)
        source = self.file("a=b:c.bin", content)
        self.create("--blob", f"x:t:8K={source}", "--blob", "y:t:8K=-", "--blob", "z:t:1K")
        self.assertEqual(self.vnvram("get", self.image, "x"), content)
        self.assertEqual(self.vnvram("get", self.image, "y"), b"")
        self.assertEqual(self.blob("z")["generation"], 0)
        self.assertGreater(self.blob("x")["generation"], 0)

    def test_ring_size(self):
        self.create("--size", "16M", "--ring-size", "8M")
        self.assertEqual(self.json("info", self.image)["ring_size_bytes"], 8 * MIB)

    def test_ring_size_alone_makes_the_image_larger(self):
        self.create("--ring-size", "8M", "--tpm2")
        self.assertEqual(self.json("info", self.image)["ring_size_bytes"], 8 * MIB)
        sizes = self.json("size", "--ring-size", "8M", "--tpm2")
        self.assertEqual(self.image.stat().st_size, sizes["recommended_bytes"])
        self.assertGreater(sizes["required_bytes"], 8 * MIB)
        self.vnvram("create", self.image, "--force", "--ring-size", "4K", "--tpm2", status=USAGE)

    def test_as_much_again_has_room_also_in_a_large_image(self):
        blobs = [("--blob", f"{letter}{number}:t:14M") for letter in "ab" for number in range(6)]
        words = [word for blob in blobs for word in blob]
        self.create(*words[:12])
        self.vnvram("register", self.image, *words[12:])
        self.assertEqual(len(self.json("ls", self.image)["blobs"]), 12)

    def test_progress_is_shown_on_a_terminal_and_taken_away(self):
        terminal, end = os.openpty()
        self.addCleanup(os.close, terminal)
        blobs = [word for number in range(5) for word in ("--blob", f"a{number}:t:14M")]
        with os.fdopen(end, "wb") as stderr:
            for words in (("create", self.image, "--size", "200M", *blobs), ("check", self.image)):
                subprocess.run([program("vnvram"), *words], stderr=stderr, check=True, timeout=120,
                               stdout=subprocess.DEVNULL)
                shown = ""
                while not shown.endswith("\r\x1b[K"):  # The kernel may still be passing it on.
                    self.assertTrue(select.select([terminal], [], [], 30)[0], shown)
                    shown += os.read(terminal, 65536).decode()
                self.assertRegex(shown, rf"\r{words[0]}: +\d+ %")

    def test_usage_errors_write_nothing(self):
        for options in (("--blob", "a:t"), ("--blob", "a:t:0"), ("--blob", "a:t:17M"),
                        ("--blob", "a b:t:1K"), ("--blob", "a:t:1Q"), ("--blob", "a:t:1K="),
                        ("--blob", ":t:1K"), ("--size", "x"), ("--size", "99999999999G"),
                        ("--size", "-1"), ("--nonsense",), ("extra",),
                        ("--blob", "a:t:1K", "--blob", "a:t:1K"), ("--size", "5G"),
                        ("--blob", "a" * 64 + ":t:1K")):
            self.vnvram("create", self.image, *options, status=USAGE)
            self.assertEqual(self.names(), [], options)
        self.vnvram("create", status=USAGE)
        self.vnvram(status=USAGE)
        self.vnvram("frobnicate", status=USAGE)

    def test_unreadable_and_too_large_files_write_nothing(self):
        large = self.file("large", bytes(1025))
        self.vnvram("create", self.image, "--blob", f"a:t:1K={large}", status=TOO_LARGE)
        self.vnvram("create", self.image, "--blob", f"a:t:1K={self.path('none')}", status=IO)
        self.vnvram("create", self.image, "--blob", f"a:t:1K={self.workspace.path}", status=IO)
        self.assertEqual(self.names(), ["large"])

    def test_existing_content_is_kept_unless_forced(self):
        for content in (b"precious", os.urandom(2 * MIB)):
            self.file("vm.nvram", content)
            self.vnvram("create", self.image, "--tpm2", status=EXISTS)
            self.assertEqual(self.image.read_bytes(), content)
            self.assertEqual(self.names(), ["vm.nvram"])
            self.vnvram("ls", self.image, status=FOREIGN)
        os.chmod(self.image, 0o640)
        self.create("--tpm2", "--force")
        self.assertEqual(stat.S_IMODE(self.image.stat().st_mode), 0o640)
        self.vnvram("check", self.image)
        before = self.image.read_bytes()
        self.vnvram("create", self.image, "--tpm2", status=EXISTS)
        self.assertEqual(self.image.read_bytes(), before)

    def test_forced_create_that_fails_leaves_what_was_there(self):
        content = b"precious" * 1000
        self.file("vm.nvram", content)
        self.vnvram("create", self.image, "--force", "--size", "1M", "--blob", "a:t:16M",
                    status=NO_SPACE)
        self.assertEqual(self.image.read_bytes(), content)
        self.assertEqual(self.names(), ["vm.nvram"])

    def test_blank_file_is_used_and_keeps_its_size(self):
        self.file("vm.nvram", bytes(6 * MIB))
        self.vnvram("ls", self.image, status=BLANK)
        self.create("--tpm2")
        self.assertEqual(self.image.stat().st_size, 6 * MIB)
        self.file("empty", b"")
        self.vnvram("create", self.path("empty"), "--tpm2")
        self.assertEqual(self.path("empty").stat().st_size, 4 * MIB)

    def test_blank_file_of_any_size_is_used(self):
        for size in (4097, 8191, 5_000_000):
            odd = self.file("odd", bytes(size))
            self.vnvram("ls", odd, status=BLANK)
            self.vnvram("create", odd, "--tpm2")
            self.vnvram("check", odd)
            odd.write_bytes(bytes(size - 1) + b"x")
            self.vnvram("create", odd, "--tpm2", status=EXISTS)
            self.assertEqual(odd.read_bytes(), bytes(size - 1) + b"x")

    def test_symbolic_link_stays_one(self):
        folder = self.path("elsewhere")
        folder.mkdir()
        target = folder / "target"
        target.write_bytes(b"")
        self.image.symlink_to(target)
        self.create("--blob", "a:t:1K")
        self.assertTrue(self.image.is_symlink())
        self.assertGreaterEqual(target.stat().st_size, 4 * MIB)
        self.vnvram("put", self.image, "a", "-", input=b"x")
        self.assertEqual(self.vnvram("get", target, "a"), b"x")
        self.assertEqual(self.names(folder), ["target"])

    def test_image_in_use_is_refused_even_when_forced(self):
        self.create("--tpm2")
        with Owner(self, self.image):
            before = self.image.read_bytes()
            self.vnvram("create", self.image, "--tpm2", "--force", status=IN_USE)
            self.assertEqual(self.image.read_bytes(), before)
        self.create("--tpm2", "--force")

    def test_folder_that_is_not_there(self):
        done = self.run_vnvram("create", self.path("none") / "vm.nvram")
        self.assertNotIn(done.returncode, (OK, USAGE))
        self.assertIn(b"vnvram: ", done.stderr)

    def test_unwritable_folder(self):
        folder = self.path("locked")
        folder.mkdir()
        os.chmod(self.workspace.path, 0o755)
        os.chmod(folder, 0o555)
        argv = [program("vnvram"), "create", folder / "vm.nvram"]
        if os.geteuid() == 0:
            argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
        self.assertNotIn(done.returncode, (OK, USAGE), done)
        self.assertIn(b"Permission denied", done.stderr)
        self.assertEqual(self.names(folder), [])

    def test_full_file_system_leaves_what_was_there(self):
        # The mount lives in a name space that ends with the shell.
        script = f"""
            set -e
            mount -t tmpfs -o size=3M none "$1"
            printf precious > "$1/vm.nvram"
            status=0
            "$2" create "$1/vm.nvram" --force --size 8M || status=$?
            echo "status $status"
            cd "$1"
            for name in * .[!.]*; do [ ! -e "$name" ] || echo "file $name"; done
            cat vm.nvram
        """
        folder = self.path("small")
        folder.mkdir()
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", folder,
                               program("vnvram")], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.stdout, f"status {NO_SPACE}\nfile vm.nvram\nprecious", done.stderr)

    def in_a_name_space(self, script, *words):
        """Runs a script as root in a name space of mounts that ends with it; returns its output."""
        done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, "sh", program("vnvram"),
                               self.workspace.path, *words],
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_a_mounted_file_is_formatted_in_place(self):
        """As a container gets one: nothing can be renamed over a mount point."""
        for size, options, expected in ((0, "", 4 * MIB), (6 * MIB, "", 6 * MIB),
                                        (0, "--size 5M", 5 * MIB)):
            self.file("below", bytes(size))
            inode = self.path("below").stat().st_ino
            self.file("vm.nvram", b"")
            self.in_a_name_space(f"""
                mount --bind "$2/below" "$2/vm.nvram"
                "$1" create "$2/vm.nvram" --tpm2 --blob a:t:1K {options}
                printf kept | "$1" put "$2/vm.nvram" a -
                "$1" check "$2/vm.nvram" """)
            self.assertEqual(self.names(), ["below", "vm.nvram"])
            self.assertEqual(self.vnvram("get", self.path("below"), "a"), b"kept")
            status = self.path("below").stat()
            self.assertEqual((status.st_ino, status.st_size), (inode, expected))
            self.assertGreaterEqual(status.st_blocks * 512, expected)

    def test_a_mounted_file_with_something_in_it_needs_force(self):
        self.file("below", b"precious")
        self.file("vm.nvram", b"")
        script = """
            mount --bind "$2/below" "$2/vm.nvram"
            status=0
            "$1" create "$2/vm.nvram" --tpm2 $3 2> "$2/said" || status=$?
            echo $status """
        self.assertEqual(self.in_a_name_space(script), f"{EXISTS}\n")
        self.assertEqual(self.path("below").read_bytes(), b"precious")
        self.assertEqual(self.in_a_name_space(script, "--force"), "0\n")
        self.vnvram("check", self.path("below"))

    def test_a_file_in_a_folder_of_somebody_elses(self):
        """It may be written to, and nothing be made beside it."""
        folder = self.path("locked")
        folder.mkdir()
        (folder / "vm.nvram").write_bytes(b"")
        os.chmod(folder / "vm.nvram", 0o666)
        os.chmod(self.workspace.path, 0o755)
        os.chmod(folder, 0o555)
        argv = [program("vnvram"), "create", folder / "vm.nvram", "--tpm2"]
        if os.geteuid() == 0:
            argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done)
        self.vnvram("check", folder / "vm.nvram")
        self.assertEqual(self.names(folder), ["vm.nvram"])

    def test_a_mounted_file_that_has_no_room_to_grow(self):
        """It is left as it was."""
        self.assertEqual(self.in_a_name_space("""
            mount -t tmpfs -o size=3M none "$2"
            : > "$2/below"
            : > "$2/vm.nvram"
            mount --bind "$2/below" "$2/vm.nvram"
            status=0
            "$1" create "$2/vm.nvram" --tpm2 --size 4M || status=$?
            echo "$status $(stat -c %s "$2/below") $(ls "$2" | wc -l)" """), f"{NO_SPACE} 0 2\n")

    def test_resize(self):
        self.create("--blob", "a:t:64K")
        content = os.urandom(65536)
        self.vnvram("put", self.image, "a", "-", input=content)
        free = self.json("info", self.image)["space_free_bytes"]
        self.vnvram("register", self.image, "--blob", "b:t:900K", "--blob",
                    "c:t:900K", status=NO_SPACE)
        self.vnvram("resize", self.image, "12M")
        self.assertEqual(self.image.stat().st_size, 12 * MIB)
        self.assertGreater(self.json("info", self.image)["space_free_bytes"], free + 3 * MIB)
        self.vnvram("register", self.image, "--blob", "b:t:900K", "--blob", "c:t:900K")
        self.assertEqual(self.vnvram("get", self.image, "a"), content)
        self.vnvram("check", self.image)
        self.vnvram("resize", self.image, "4M", status=USAGE)
        with Owner(self, self.image):
            self.vnvram("resize", self.image, "16M", status=IN_USE)


class LoopDeviceTest(Case):
    def setUp(self):
        super().setUp()
        backing = self.path("backing")
        with open(backing, "wb") as file:
            file.truncate(6 * MIB)
        self.device = subprocess.run(["losetup", "--find", "--show", backing], check=True,
                                     capture_output=True, text=True).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", self.device], check=True)
        self.image = self.device

    def test_formats_in_place_all_of_it(self):
        self.vnvram("ls", self.device, status=BLANK)
        self.create("--tpm2", "--blob", "a:t:64K", "--size", "123M")
        self.assertEqual(self.json("info", self.device)["image_size_bytes"], 6 * MIB)
        content = os.urandom(65536)
        self.vnvram("put", self.device, "a", "-", input=content)
        self.assertEqual(self.vnvram("get", self.device, "a"), content)
        self.vnvram("check", self.device)
        self.vnvram("create", self.device, status=EXISTS)
        self.assertEqual(self.vnvram("get", self.device, "a"), content)
        with Owner(self, self.device):
            self.vnvram("put", self.device, "a", "-", input=b"", status=IN_USE)

    def test_resize_uses_what_the_device_was_given(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.device, "a", "-", input=b"kept")
        self.vnvram("resize", self.device, "9M", status=UNSUPPORTED)
        os.truncate(self.path("backing"), 9 * MIB)
        subprocess.run(["losetup", "--set-capacity", self.device], check=True)
        self.vnvram("resize", self.device)
        self.assertEqual(self.json("info", self.device)["image_size_bytes"], 9 * MIB)
        self.assertEqual(self.vnvram("get", self.device, "a"), b"kept")
        self.vnvram("check", self.device)

    def test_read_only_device_can_be_read(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.device, "a", "-", input=b"kept")
        subprocess.run(["blockdev", "--setro", self.device], check=True)
        self.addCleanup(subprocess.run, ["blockdev", "--setrw", self.device], check=True)
        self.assertEqual(self.vnvram("get", self.device, "a"), b"kept")
        self.vnvram("check", self.device)
        self.vnvram("put", self.device, "a", "-", input=b"new", status=READ_ONLY)
        self.vnvram("create", self.device, "--force", status=READ_ONLY)

    def test_too_small_a_device_is_left_alone(self):
        self.vnvram("create", self.device, "--blob", "a:t:16M", status=NO_SPACE)
        self.vnvram("ls", self.device, status=BLANK)
