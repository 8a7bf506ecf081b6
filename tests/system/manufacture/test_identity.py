"""`vnvram tpm identity`: with and without a key, of TPMs that have none, and nothing is written."""

import json
import os
import subprocess
import unittest

from harness.owner_process import OwnerProcess
from harness.tpm_process import program
from harness.vnvram import create, vnvram

from .case import ManufactureCase, der_of, run

NOT_FOUND, KEY_NEEDED, WRONG_KEY, UNSUPPORTED, CORRUPT = 25, 15, 16, 29, 13
RSA_AREA, ECC_AREA, PLATFORM_AREA = "0x1c00002", "0x1c00016", "0x1c08000"
OWNERS = "ownerread|ownerwrite|authread|authwrite|no_da"


class Identity(ManufactureCase):
    def asked(self, *words, status=0):
        """What it printed, and what it said beside that."""
        done = subprocess.run([str(program("vnvram")), "tpm", "identity", *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr

    def test_text_is_pem_for_openssl(self):
        self.create()
        before = self.image.read_bytes()
        identity = self.check_identity(self.image)
        text, said = self.asked(self.image)
        self.assertEqual(said, "")
        certificates = [key["certificate"] for key in identity["endorsement_keys"]]
        for piece in (*certificates, identity["platform_certificate"],
                      *(key["public_key"] for key in identity["endorsement_keys"]),
                      *(key["certificate_sha256"] for key in identity["endorsement_keys"])):
            self.assertIn(piece, text)
        first = run("openssl", "x509", "-outform", "PEM", "-in", self.file_of(text))
        self.assertEqual(der_of(first), der_of(certificates[0]))
        self.assertEqual(self.image.read_bytes(), before)

    def test_without_a_key_the_metadata_say_it(self):
        key, other = self.workspace.file("key"), self.workspace.file("other")
        key.write_bytes(os.urandom(32))
        other.write_bytes(os.urandom(32))
        self.create("--encrypt", "--key", f"file:{key}")
        whole = self.check_identity(self.image, "--key", f"file:{key}")
        text, said = self.asked(self.image, "--json", status=KEY_NEEDED)
        self.assertEqual(text, "")
        self.assertIn("--unproven", said)
        text, said = self.asked(self.image, "--unproven", "--json")
        self.assertIn("whoever can write to the image can change", said)
        known = json.loads(text)
        self.assertEqual(known["known_from"], "public metadata")
        self.assertEqual(known["endorsement_keys"],
                         [{name: key[name] for name in ("kind", "certificate_sha256", "public_key")}
                          for key in whole["endorsement_keys"]])
        text, _ = self.asked(self.image, "--unproven")
        self.assertNotRegex(text, "(?m)^(endorsement key|certificate)")
        for key in whole["endorsement_keys"]:
            self.assertIn(key["certificate_sha256"], text)
            self.assertIn(key["public_key"], text)
        self.asked(self.image, "--key", f"file:{other}", status=WRONG_KEY)
        # What somebody has written there does not steer a terminal.
        vnvram("meta", "set", self.image, "tpm.ek.rsa2048.public-key", "\x1b[2J")
        self.assertNotIn("\x1b", self.asked(self.image, "--unproven")[0])
        for name in json.loads(vnvram("meta", "ls", "--json", self.image))["metadata"]:
            vnvram("meta", "rm", self.image, name["name"])
        self.assertIn("public metadata", self.asked(self.image, "--unproven", status=KEY_NEEDED)[1])

    def test_of_a_state_that_is_put_there(self):
        """The metadata go with it, whoever has the image open."""
        other, state = self.workspace.file("other.nvram"), self.workspace.file("state")
        self.create()
        self.create(image=other)
        vnvram("get", other, "tpm2.permanent", "-o", state)
        vnvram("put", self.image, "tpm2.permanent", state)
        self.assertEqual(self.check_identity(self.image), self.identity(other))
        self.create("--force", image=other)
        vnvram("get", other, "tpm2.permanent", "-o", state)
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        vnvram("put", owner.address, "tpm2.permanent", state)
        owner.stop()
        self.assertEqual(self.check_identity(self.image), self.identity(other))
        self.create("--no-ek-cert", "--force", image=other)
        vnvram("get", other, "tpm2.permanent", "-o", state)
        vnvram("put", self.image, "tpm2.permanent", state)
        self.assertEqual(json.loads(vnvram("meta", "ls", "--json", self.image)), {"metadata": []})

    def test_tpms_without_certificates(self):
        create(self.image, "--tpm2")
        self.assertIn("never been started", self.asked(self.image, status=NOT_FOUND)[1])
        self.assertIn("no blob x/tpm2.permanent", self.asked(self.image, "--blobs", "x/", status=NOT_FOUND)[1])
        self.tools(self.image).stop()
        self.assertIn("no EK certificate", self.asked(self.image, status=NOT_FOUND)[1])
        with_keys = self.workspace.file("keys.nvram")
        self.create("--no-ek-cert", image=with_keys)
        self.assertIn("no EK certificate", self.asked(with_keys, status=NOT_FOUND)[1])
        old = create(self.workspace.file("old.nvram"), "--tpm12")
        self.assertIn("TPM 1.2", self.asked(old, status=UNSUPPORTED)[1])

    def test_no_state_of_a_tpm(self):
        create(self.image, "--tpm2")
        vnvram("put", "--force", self.image, "tpm2.permanent", __file__)
        text, said = self.asked(self.image, status=CORRUPT)
        self.assertEqual((text, said.count("\n")), ("", 1))

    def certificates(self):
        """Of another TPM, as files with its DER."""
        other = self.workspace.file("other.nvram")
        self.create(image=other)
        files = []
        for key in self.identity(other)["endorsement_keys"]:
            files.append(self.workspace.file(f"{key['kind']}.der"))
            files[-1].write_bytes(der_of(key["certificate"]))
        return files

    def write_area(self, tool, area, hierarchy, attributes, certificate):
        tool("nvdefine", "-Q", "-C", hierarchy, "-a", attributes, "-s", certificate.stat().st_size, area)
        tool("nvwrite", "-Q", "-C", hierarchy, "-i", certificate, area)

    def test_a_guest_writes_the_certificate_of_another(self):
        rsa, ecc = self.certificates()
        self.create("--no-ek-cert")
        tool = self.tools(self.image)
        self.write_area(tool, RSA_AREA, "o", OWNERS, rsa)
        self.write_area(tool, PLATFORM_AREA, "o", OWNERS, rsa)
        # With the firmware's rights, which a guest's system has not.
        self.write_area(tool, ECC_AREA, "p", "platformcreate|ppwrite|ppread|authread|no_da", ecc)
        tool.stop()
        text, said = self.asked(self.image, status=NOT_FOUND)
        self.assertEqual(text, "")
        for whose, why in (("RSA 2048", "owner has made"), ("the platform", "owner has made"),
                           ("ECC NIST P-384", "has not got the key")):
            self.assertRegex(said, f"certificate of {whose} is left out: .*{why}")

    def test_an_area_whose_reading_the_tpm_counts(self):
        self.create()
        certificate = self.workspace.file("certificate.der")
        certificate.write_bytes(der_of(self.identity(self.image)["endorsement_keys"][0]["certificate"]))
        tool = self.tools(self.image)
        tool("nvundefine", "-C", "p", RSA_AREA)
        self.write_area(tool, RSA_AREA, "p", "platformcreate|ppwrite|authread", certificate)
        tool.stop()
        self.check_identity(self.image)

    def test_the_owner_has_taken_the_keys_away(self):
        """The TPM makes them again, whatever its owner has locked."""
        self.create()
        tool = self.tools(self.image)
        for handle in ("0x81010001", "0x81010016"):
            tool("evictcontrol", "-Q", "-C", "o", "-c", handle)
        tool("changeauth", "-c", "endorsement", "a password")
        tool("changeauth", "-c", "owner", "another password")
        tool("clearcontrol", "-C", "l", "s")
        tool.stop()
        self.assertEqual([key["key_in_tpm"] for key in self.identity(self.image)["endorsement_keys"]],
                         ["absent", "absent"])
        text, said = self.asked(self.image)
        self.assertEqual((text.count("absent in its place"), said), (2, ""))

    def test_another_key_in_the_certified_ones_place(self):
        self.create()
        tool = self.tools(self.image)
        made = self.workspace.file("primary.ctx")
        tool("evictcontrol", "-Q", "-C", "o", "-c", "0x81010001")
        tool("createprimary", "-Q", "-C", "o", "-G", "rsa", "-c", made)
        tool("evictcontrol", "-Q", "-C", "o", "-c", made, "0x81010001")
        tool("evictcontrol", "-Q", "-C", "o", "-c", "0x81010016")
        tool.stop()
        self.assertEqual([key["key_in_tpm"] for key in self.identity(self.image)["endorsement_keys"]],
                         ["another", "absent"])
        self.assertIn("is another", self.asked(self.image)[0])


if __name__ == "__main__":
    unittest.main()
