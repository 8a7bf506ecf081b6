"""`vnvram create --manufacture`: TPMs with certificates, at all places and with all options."""

import os
import subprocess
import unittest

from harness.nbd_server import NbdServer
from harness.vnvram import info, must_be_clean, vnvram

from .case import ManufactureCase, run

EXISTS, USAGE, KEY_NEEDED = 26, 2, 15
CERTIFICATE_AREAS = ("0x1c00002", "0x1c00016", "0x1c08000")


class Create(ManufactureCase):
    def test_a_file(self):
        self.create("--vmid", "guest one", "--birth=made in a test")
        identity = self.check_identity(self.image)
        self.assertIn("made in a test", vnvram("meta", "get", self.image, "birth"))
        must_be_clean(self.image)
        subject = run("openssl", "x509", "-noout", "-subject", "-in",
                      self.file_of(identity["endorsement_keys"][0]["certificate"]))
        self.assertIn("guest one", subject)

        tool = self.tools(self.image)
        self.check_keys(tool, identity)
        for area in CERTIFICATE_AREAS:
            self.assertIn("writelocked", tool("nvreadpublic", area))
        self.assertIn("sha256: [ 0", tool("getcap", "pcrs"))
        self.assertIn("sha384: [ ]", tool("getcap", "pcrs"))
        tool.stop()
        self.assertEqual(self.identity(self.image), identity)

    def test_options(self):
        self.create("--pcr-banks", "sha256,sha384", "--no-platform-cert", "--no-lock-nvram",
                    "--create-spk", "--ecc")
        identity = self.identity(self.image)
        self.assertNotIn("platform_certificate", identity)
        tool = self.tools(self.image)
        self.check_keys(tool, identity)
        self.assertNotIn("writelocked", tool("nvreadpublic", CERTIFICATE_AREAS[0]))
        self.assertIn("sha384: [ 0", tool("getcap", "pcrs"))
        self.assertIn("0x81000001", tool("getcap", "handles-persistent"))
        self.assertIn("ecc", tool("readpublic", "-c", "0x81000001"))

    def test_a_larger_key(self):
        self.create("--rsa-keysize", "3072")
        identity = self.identity(self.image)
        self.assertEqual([(key["kind"], key["key_in_tpm"]) for key in identity["endorsement_keys"]],
                         [("p384", "the same"), ("rsa3072", "the same")])
        for key in identity["endorsement_keys"]:
            self.check_certificate(key["certificate"])

    def test_two_tpms_and_variables(self):
        self.create("--tpm2=a/", "--tpm2=b/", "--blob", "eeprom:at24c:8K")
        first = self.check_identity(self.image, "--blobs", "a/", prefix="a/")
        second = self.check_identity(self.image, "--blobs", "b/", prefix="b/")
        self.assertNotEqual(first, second)
        self.assertIn("eeprom", vnvram("ls", self.image))

    def test_qcow2_with_a_key(self):
        image = self.workspace.file("vm.qcow2")
        key = self.workspace.file("key")
        key.write_bytes(os.urandom(32))
        keys = ("--key", f"file:{key}")
        self.create("--encrypt", *keys, image=image)
        self.assertTrue(info(image, *keys)["encrypted"])
        identity = self.check_identity(image, *keys)
        tool = self.tools(image, *keys)
        self.check_keys(tool, identity)

    def test_an_export(self):
        blank = self.workspace.file("blank")
        with open(blank, "wb") as file:
            file.truncate(8 << 20)
        served = NbdServer(self.workspace, "qemu-nbd", blank)
        self.addCleanup(served.child.kill)
        self.create(image=served.uri)
        self.check_identity(served.uri)

    def test_a_block_device(self):
        if os.geteuid() != 0:
            self.skipTest("loop devices need root")
        blank = self.workspace.file("blank")
        with open(blank, "wb") as file:
            file.truncate(8 << 20)
        made = subprocess.run(["losetup", "--find", "--show", str(blank)], capture_output=True, text=True,
                              check=False, timeout=60)
        if made.returncode != 0:
            self.skipTest(f"no loop device: {made.stderr}")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False, timeout=60)
        self.create(image=device)
        self.check_identity(device)

    def test_what_is_there_is_left_and_costs_no_certificate(self):
        self.create()
        serial = (self.authority / "certserial").read_text("utf-8")
        before = self.image.read_bytes()
        self.assertIn("holds a vNVRAM image already", self.create(status=EXISTS))
        self.assertEqual(self.image.read_bytes(), before)
        self.assertEqual((self.authority / "certserial").read_text("utf-8"), serial)
        self.create("--force")
        self.assertNotEqual(self.identity(self.image)["endorsement_keys"], [])

    def test_words_that_do_not_fit(self):
        for words, said in ((("--tpm12", "--tpm2=" + "x" * 40), "too long a prefix"),
                            (("--tpm2", "--ecc"), "--create-spk")):
            self.assertIn(said, self.create(*words, status=USAGE))
        self.assertIn("--tpm2", run(*(word for word in self.command(self.image) if word != "--tpm2"),
                                    "--tpm12", status=USAGE))
        self.assertIn("--manufacture", run(self.command(self.image)[0], "create", self.image, "--tpm2",
                                           "--vmid", "vm", status=USAGE))
        self.assertFalse(self.image.exists())


if __name__ == "__main__":
    unittest.main()
