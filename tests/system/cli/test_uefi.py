"""--uefi: a machine's UEFI variables begin as the template that comes with its firmware."""

import os
import pathlib
import struct
import tempfile

from harness.variable_store import smaller_store
from harness.vm_image import image_format, wait_until_let_go

from .command import (Case, EXISTS, IO, MIB, NO_SPACE, NOT_FOUND, TYPE_MISMATCH,
                      USAGE)

FOLDER = pathlib.Path("/usr/share/OVMF")
TEMPLATES = sorted(FOLDER.glob("OVMF_VARS*.fd"))
VARS_4M = FOLDER / "OVMF_VARS_4M.fd"
SECURE_BOOT_4M = FOLDER / "OVMF_VARS_4M.ms.fd"
SIZE_4M, SIZE_2M = 540672, 131072
AAVMF = pathlib.Path("/usr/share/AAVMF")
ARM_BYTES = 768 << 10
# Debian 13 has none of that size any more; there are machines that have.
MADE = tempfile.TemporaryDirectory(prefix="vnvram-template-")
VARS_2M = pathlib.Path(MADE.name, "OVMF_VARS.fd")
VARS_2M.write_bytes(smaller_store(VARS_4M.read_bytes()))


def tearDownModule():
    MADE.cleanup()


class UefiCase(Case):
    def tearDown(self):
        wait_until_let_go(self.workspace.path)
        super().tearDown()

    def assert_store(self, content):
        """The image's store is exactly this."""
        blob = self.blob("uefi.vars")
        self.assertEqual((blob["type"], blob["size_bytes"], blob["size_max_bytes"]),
                         ("edk2.variables", len(content), len(content)))
        self.assertEqual(self.vnvram("get", self.image, "uefi.vars"), content)
        self.vnvram("check", self.image)


class CreateTest(UefiCase):
    def test_every_template_of_debian(self):
        sizes_4m = {"OVMF_VARS_4M.fd", "OVMF_VARS_4M.ms.fd", "OVMF_VARS_4M.snakeoil.fd"}
        self.assertLessEqual(sizes_4m, {template.name for template in TEMPLATES})
        for template in TEMPLATES:
            with self.subTest(template=template.name):
                content = template.read_bytes()
                self.assertEqual(len(content), SIZE_4M if "4M" in template.name else SIZE_2M)
                if template.name == VARS_2M.name:
                    self.assertEqual(content, VARS_2M.read_bytes())
                self.create("--uefi", template, "--force")
                self.assert_store(content)
                self.assertGreater(self.blob("uefi.vars")["generation"], 0)

    def test_beside_other_blobs_on_file_and_qcow2(self):
        words = ("--tpm2", "--uefi", SECURE_BOOT_4M, "--blob", "eeprom:at24c:256")
        for name, expected in (("vm.nvram", "raw"), ("vm.qcow2", "qcow2")):
            with self.subTest(name=name):
                self.image = self.path(name)
                self.create(*words)
                self.assertEqual(image_format(self.image), expected)
                self.assert_store(SECURE_BOOT_4M.read_bytes())
                self.assertEqual([blob["name"] for blob in self.json("ls", self.image)["blobs"]],
                                 ["eeprom", "tpm2.permanent", "tpm2.savestate", "tpm2.volatile",
                                  "uefi.vars"])
                self.assertEqual(self.blob("tpm2.permanent")["generation"], 0)
                self.assertEqual(self.blob("eeprom")["size_max_bytes"], 256)

    def test_size_counts_the_template(self):
        for template, size in ((VARS_4M, SIZE_4M), (VARS_2M, SIZE_2M)):
            sizes = self.json("size", "--tpm2", "--uefi", template)
            self.assertEqual(sizes, self.json("size", "--tpm2", "--blob", f"a:t:{size}"))
            words = ("--tpm2", "--uefi", template, "--size")
            self.create(*words, sizes["required_bytes"], "--force")
            self.vnvram("create", self.path("small"), *words, sizes["required_bytes"] - 4096,
                        status=NO_SPACE)
        self.vnvram("size", "--uefi", FOLDER / "OVMF_CODE_4M.fd", status=USAGE, message="VARS")
        self.assertEqual(self.names(), ["vm.nvram"])

    def test_from_standard_input(self):
        self.vnvram("create", self.image, "--uefi", "-", input=VARS_2M.read_bytes())
        self.assert_store(VARS_2M.read_bytes())
        self.vnvram("create", self.path("none"), "--uefi", "-", status=USAGE,
                    message="standard input: an empty file")


class RefusalTest(UefiCase):
    def assert_refused(self, file, message, status=USAGE):
        """By create and by register; nothing is left behind, or changed."""
        before = self.names()
        self.vnvram("create", self.path("new"), "--tpm2", "--uefi", file, status=status,
                    message=message)
        self.vnvram("register", self.image, "--tpm2", "--uefi", file, status=status,
                    message=message)
        self.assertEqual(self.names(), before)
        self.assertEqual(self.image.read_bytes(), self.content)
        errors = self.run_vnvram("create", self.path("new"), "--uefi", file).stderr.decode()
        self.assertIn(str(file), errors)
        if status != IO:
            self.assertRegex(errors, r"\(.+\)\n$", "no remedy")

    def setUp(self):
        super().setUp()
        self.create("--blob", "a:t:1K")
        self.content = self.image.read_bytes()

    def test_what_people_take_for_a_template(self):
        for name in ("OVMF_CODE_4M.fd", "OVMF_CODE_4M.secboot.fd"):
            self.assert_refused(FOLDER / name, "the firmware's code")
        self.assert_refused("/usr/share/ovmf/OVMF.fd", "code behind variables")
        qcow2 = self.path("vars.qcow2")
        self.vnvram("create", qcow2, "--uefi", VARS_4M)  # Any qcow2 will do.
        self.assert_refused(qcow2, f"qemu-img convert -O raw {qcow2} vars.fd")
        self.assert_refused(self.file("empty", b""), "an empty file")
        self.assert_refused(self.file("text", b"OVMF_VARS_4M.fd\n"), "no UEFI variable store")
        self.assert_refused("/bin/sh", "no UEFI variable store")
        self.assert_refused(self.image, "no UEFI variable store")
        self.assert_refused(self.path("none"), "No such file", IO)
        self.assert_refused(self.workspace.path, "Is a directory", IO)

    def test_damaged_templates(self):
        whole = VARS_4M.read_bytes()
        self.assert_refused(self.file("cut", whole[:-4096]), "cut short")
        self.assert_refused(self.file("short", whole[:100]), "cut short")
        self.assert_refused(self.file("more", whole + b"x" * 4096), "head -c 540672")
        flipped = bytearray(whole)
        flipped[32] ^= 1
        self.assert_refused(self.file("flipped", flipped), "checksum")
        gone = bytearray(whole)
        gone[72:100] = b"\xff" * 28
        self.assert_refused(self.file("gone", gone), "holds no variable store")

    def test_wrong_usage(self):
        for words in (("--uefi",), ("--uefi", ""), ("--uefi=",),
                      ("--uefi", VARS_4M, "--uefi", VARS_2M),
                      ("--uefi", VARS_4M, "--blob", "uefi.vars:edk2.variables:528K"),
                      ("--uefi", VARS_4M, "--blob", "uefi.vars:t:1K")):
            self.vnvram("create", self.path("new"), *words, status=USAGE)
            self.vnvram("register", self.image, *words, status=USAGE)
        self.assertEqual(self.names(), ["vm.nvram"])
        self.vnvram("get", self.image, "uefi.vars", status=NOT_FOUND)


class SizeTest(UefiCase):
    """The blob is what the firmware uses, whatever lies behind it in the file."""

    def test_padding_is_cut_and_said(self):
        whole = VARS_4M.read_bytes()
        for number, padding in enumerate((b"\0" * 512, b"\xff" * 4096, bytes(4 * MIB - SIZE_4M))):
            padded = self.file(f"padded{number}", whole + padding)
            self.vnvram("create", self.image, "--force", "--uefi", padded,
                        message=f"note: {padded}: cut to {SIZE_4M} bytes")
            self.assert_store(whole)
            self.vnvram("register", self.image, "--uefi", padded, message="cut to")
            self.vnvram("put", self.image, "uefi.vars", padded, message="cut to")
            self.assert_store(whole)
            self.assertEqual(self.blob("uefi.vars")["attributes"], [])
        self.vnvram("create", self.image, "--force", "--blob",
                    f"uefi.vars:edk2.variables:528K={padded}", message="cut to")
        self.assert_store(whole)

    def test_templates_of_arm_machines(self):
        templates = sorted(AAVMF.glob("AAVMF_VARS*.fd"))
        self.assertGreaterEqual(len(templates), 3)
        for template in templates:
            with self.subTest(template.name):
                content = template.read_bytes()
                self.vnvram("create", self.image, "--force", "--uefi", template)
                self.assertEqual(self.blob("uefi.vars")["size_max_bytes"], ARM_BYTES)
                self.assert_chip(64 * MIB)
                self.assertEqual(self.vnvram("get", "--chip", self.image, "uefi.vars"), content)
                if any(content):
                    self.assert_store(content[:ARM_BYTES])
                size = self.json("size", "--uefi", template)
                self.assertEqual(size, self.json("size", "--blob", "a:t:768K"))

    def test_empty_flash_and_back(self):
        blank, keys = self.path("blank.fd"), self.path("keys.fd")
        content = bytes(self.volume(ARM_BYTES, 256, 256 << 10))
        for file, first in ((blank, b""), (keys, content)):
            file.write_bytes(first)
            os.truncate(file, 64 * MIB)
        self.create("--uefi", blank)
        self.assertEqual(self.blob("uefi.vars")["generation"], 0)
        self.vnvram("register", self.image, "--uefi", keys)
        self.assert_store(content)
        # What the firmware's own header says needs no chip's file.
        self.vnvram("create", self.image, "--force", "--uefi", self.file("cut", content))
        self.assert_chip(64 * MIB)
        self.vnvram("put", self.image, "uefi.vars", blank)
        self.assertEqual(self.blob("uefi.vars")["size_bytes"], 0)
        self.vnvram("register", self.image, "--uefi", keys)
        self.assertEqual(self.blob("uefi.vars")["size_bytes"], 0, "what was written is left alone")
        self.vnvram("put", self.image, "uefi.vars", keys)
        self.assert_store(content)
        self.assert_chip(64 * MIB)

    def test_flash_as_edk2_builds_it(self):
        content = self.volume(ARM_BYTES, 3, 256 << 10)
        self.create("--uefi", self.file("riscv", content + bytes(32 * MIB - ARM_BYTES)))
        self.assert_store(bytes(content))
        self.assert_chip(32 * MIB)
        self.vnvram("create", self.image, "--force", "--uefi", self.file("cut", bytes(content)),
                    message="note: ")
        self.assertEqual(self.blob("uefi.vars")["attributes"], [])

    def assert_chip(self, size):
        attributes = self.blob("uefi.vars")["attributes"]
        self.assertEqual([(each["name"], each["value"], each["must_know"]) for each in attributes],
                         [("flash.chip_size_bytes", str(size), False)])

    def volume(self, length, block_count, block_bytes):
        """A template of this length, on a chip of so many blocks."""
        content = bytearray(VARS_4M.read_bytes())
        content += b"\xff" * (length - len(content))
        struct.pack_into("<Q", content, 32, len(content))
        struct.pack_into("<IIII", content, 56, block_count, block_bytes, 0, 0)
        struct.pack_into("<H", content, 50, 0)
        struct.pack_into("<H", content, 50, -sum(struct.unpack("<36H", content[:72])) & 0xFFFF)
        return content


class ContentTest(UefiCase):
    """put asks the same as create and register do."""

    def setUp(self):
        super().setUp()
        self.create("--uefi", VARS_4M, "--tpm2", "--tpm12")
        self.content = self.image.read_bytes()

    def refuse(self, blob, content, message):
        self.vnvram("put", self.image, blob, self.file("content", content), status=USAGE,
                    message=message)
        self.assertEqual(self.image.read_bytes(), self.content, "something was written")

    def test_what_is_no_store_of_this_firmware(self):
        whole = VARS_4M.read_bytes()
        self.refuse("uefi.vars", VARS_2M.read_bytes(), "different firmware")
        self.refuse("uefi.vars", b"", "an empty file")
        self.refuse("uefi.vars", b"garbage", "no UEFI variable store")
        self.refuse("uefi.vars", bytes(SIZE_4M), "nothing but empty flash")
        self.refuse("uefi.vars", whole[:-4096], "cut short")
        self.refuse("uefi.vars", b"QFI\xfb" + bytes(65536), "a qcow2 image")
        self.refuse("uefi.vars", (FOLDER / "OVMF_CODE_4M.fd").read_bytes(), "the firmware's code")
        self.vnvram("put", self.image, "uefi.vars", "-", input=whole)

    def test_what_is_no_state_of_a_tpm(self):
        for version, state in (("2.0", "tpm2.permanent"), ("1.2", "tpm12.permanent")):
            for content in (b"garbage", bytes(1500), b"", b"\x02\x01\0\x0a\0\0\0\0\0\x0a"):
                self.refuse(state, content, f"the permanent state of a TPM {version}")
        for blob in ("tpm2.volatile", "tpm2.savestate", "tpm12.volatile", "tpm12.savestate"):
            self.refuse(blob, b"garbage", "nothing that is known")
            self.vnvram("put", self.image, blob, "-", input=b"")  # There is none.
            self.content = self.image.read_bytes()

    def test_force(self):
        for blob in ("uefi.vars", "tpm2.permanent", "tpm12.volatile"):
            self.vnvram("put", "--force", self.image, blob, "-", input=b"anything")
            self.assertEqual(self.vnvram("get", self.image, blob), b"anything")

    def test_create(self):
        for blob, content in (("uefi.vars:edk2.variables:528K", VARS_2M.read_bytes()),
                              ("vars:edk2.variables:528K", b"garbage"),
                              ("tpm2.permanent:libtpms.tpm2.permanent:256K", b"garbage")):
            words = ("create", self.path("new"), "--blob", f"{blob}={self.file('in', content)}")
            self.vnvram(*words, status=USAGE)
            self.assertFalse(self.path("new").exists())
            self.vnvram(*words, "--force")
            self.path("new").unlink()

    def test_a_store_never_grows(self):
        self.vnvram("register", self.image, "--blob", "uefi.vars:edk2.variables:4M", status=EXISTS,
                    message="different firmware")
        # Behind the first two superblocks, and before the third.
        self.assertEqual(self.image.read_bytes()[8192:-32768], self.content[8192:-32768])


class RegisterTest(UefiCase):
    def test_is_added_to_a_machine_that_has_a_tpm(self):
        self.create("--tpm2")
        self.vnvram("put", "--force", self.image, "tpm2.permanent", "-", input=b"state")
        before = self.json("info", self.image)["generation"]
        self.vnvram("register", self.image, "--uefi", VARS_4M)
        self.assert_store(VARS_4M.read_bytes())
        self.assertEqual(self.vnvram("get", self.image, "tpm2.permanent"), b"state")
        # In one commit: there is no moment at which it is there without its content.
        blob = self.blob("uefi.vars")
        self.assertEqual((blob["registered_generation"], blob["generation"]),
                         (before + 1, before + 1))

    def test_what_was_written_is_left_alone(self):
        self.create("--uefi", SECURE_BOOT_4M)
        written = bytearray(SECURE_BOOT_4M.read_bytes())
        written[200000:200100] = bytes(100)
        self.vnvram("put", self.image, "uefi.vars", "-", input=bytes(written))
        generation = self.json("info", self.image)["generation"]
        for template in (SECURE_BOOT_4M, VARS_4M):
            self.vnvram("register", self.image, "--uefi", template)
            self.assert_store(bytes(written))
        self.assertEqual(self.json("info", self.image)["generation"], generation)

    def test_what_was_never_written_is_filled(self):
        self.create("--blob", "uefi.vars:edk2.variables:128K")
        self.vnvram("register", self.image, "--uefi", VARS_2M, "--tpm2")
        self.assert_store(VARS_2M.read_bytes())

    def test_store_of_another_size_or_type(self):
        self.create("--uefi", VARS_2M)
        self.vnvram("register", self.image, "--tpm2", "--uefi", VARS_4M, status=EXISTS,
                    message="different firmware")
        self.assert_store(VARS_2M.read_bytes())
        self.assertEqual(len(self.json("ls", self.image)["blobs"]), 1)
        self.vnvram("rm", self.image, "uefi.vars")
        self.vnvram("register", self.image, "--uefi", VARS_4M)
        self.assert_store(VARS_4M.read_bytes())
        self.vnvram("register", self.image, "--uefi", VARS_2M, status=EXISTS, message="vnvram rm")
        self.vnvram("create", self.image, "--force", "--blob", "uefi.vars:edk2.variables:1M")
        self.vnvram("register", self.image, "--uefi", VARS_4M, status=EXISTS,
                    message="never written")
        self.vnvram("create", self.image, "--force", "--blob", "uefi.vars:t:528K")
        self.vnvram("register", self.image, "--uefi", VARS_4M, status=TYPE_MISMATCH)
        self.assertEqual(self.blob("uefi.vars")["size_bytes"], 0)
