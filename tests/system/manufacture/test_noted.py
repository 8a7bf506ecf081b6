"""A TPM that swtpm_setup manufactures on vnvram-swtpm, as libvirt has it do: its image says whose it is."""

import json
import unittest

from harness.tpm_process import program
from harness.vnvram import must_be_clean, vnvram

from .case import ManufactureCase, der_of, run

STATE = "tpm2-00.permall"
OURS = str(program("vnvram-swtpm"))
AS_LIBVIRT = ("--createek", "--create-ek-cert", "--create-platform-cert", "--lock-nvram")


class Noted(ManufactureCase):
    def set_up(self, folder, *words):
        run("swtpm_setup", "--tpm", f"{OURS} socket", "--tpm2", "--tpm-state", folder, "--config",
            self.config, *words, env=self.env)

    def names(self, image):
        return [each["name"] for each in json.loads(vnvram("meta", "ls", "--json", image))["metadata"]]

    def test_by_the_end_of_its_manufacture(self):
        folder = self.workspace.file("tpm")
        folder.mkdir()
        image = folder / STATE
        self.set_up(folder, *AS_LIBVIRT)
        first = self.check_identity(image)
        must_be_clean(image)
        # One that was cut behind some of the names goes on at the next end.
        vnvram("meta", "rm", image, "tpm.ek.p384.public-key")
        self.set_up(folder, "--reconfigure", "--pcr-banks", "sha384")
        self.assertEqual(self.check_identity(image), first)
        self.set_up(folder, "--overwrite", *AS_LIBVIRT)
        self.assertNotEqual(self.check_identity(image), first)

    def test_of_one_that_swtpm_has_kept(self):
        folders = [self.workspace.file(name) for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
            run("swtpm_setup", "--tpm2", "--tpm-state", folder, "--config", self.config, *AS_LIBVIRT,
                env=self.env)
        vnvram("import-swtpm", folders[0], self.image)
        first = self.check_identity(self.image)
        vnvram("import-swtpm", "--replace", folders[1], self.image)
        self.assertNotEqual(self.check_identity(self.image), first)
        without = self.workspace.file("without")
        without.mkdir()
        run("swtpm_setup", "--tpm2", "--tpm-state", without, env=self.env)
        vnvram("import-swtpm", "--replace", without, self.image)
        self.assertEqual(self.names(self.image), [])

    def test_nothing_is_noted_of_one_without_certificates(self):
        folder = self.workspace.file("tpm")
        folder.mkdir()
        self.set_up(folder, "--createek")
        self.assertEqual(self.names(folder / STATE), [])

    def test_nothing_is_noted_that_a_guest_has_written(self):
        other, folder = self.workspace.file("other.nvram"), self.workspace.file("tpm")
        self.create(image=other)
        certificate = self.workspace.file("certificate.der")
        certificate.write_bytes(der_of(self.identity(other)["endorsement_keys"][0]["certificate"]))
        folder.mkdir()
        self.set_up(folder, "--createek")
        tool = self.tools(folder / STATE)
        tool("nvdefine", "-Q", "-C", "o", "-a", "ownerread|ownerwrite|authread|authwrite|no_da", "-s",
             certificate.stat().st_size, "0x1c00002")
        tool("nvwrite", "-Q", "-C", "o", "-i", certificate, "0x1c00002")
        tool.stop()
        self.set_up(folder, "--reconfigure", "--pcr-banks", "sha384")
        self.assertEqual(self.names(folder / STATE), [])

    def test_encrypted_on_a_file(self):
        password = self.workspace.file("password")
        password.write_text("a password", "utf-8")
        place = self.workspace.file("tpm.dev")
        place.touch()
        self.set_up(f"file://{place}", "--pwdfile", password, "--cipher", "aes-256-cbc", *AS_LIBVIRT)
        known = json.loads(vnvram("tpm", "identity", "--unproven", "--json", place))
        self.assertEqual(known["known_from"], "public metadata")
        self.assertEqual([key["kind"] for key in known["endorsement_keys"]], ["rsa2048", "p384"])


if __name__ == "__main__":
    unittest.main()
