"""docs/operations.md, "A TPM with an identity": what is printed there is run, by a shell, as an operator would."""

import json
import unittest

from harness.certificate_authority import make_authority
from harness.printed import PrintedCase, Section, runs, uncovered
from harness.tpm_process import program
from harness.vnvram import create, vnvram
from manufacture.case import run

SECTION = Section("A TPM with an identity")
NOT_RUN = {}

MANUFACTURE = "vnvram create vm1.nvram --tpm2 --manufacture"
ASK = "vnvram tpm identity /var/lib/libvirt"
PUT = "vnvram create fresh.nvram"


class Identity(PrintedCase):
    section = SECTION

    def setUp(self):
        super().setUp()
        authority = self.host.path("/var/lib/swtpm-localca")
        authority.mkdir(parents=True)
        self.config = make_authority(authority)
        self.host.env["XDG_CONFIG_HOME"] = str(authority)  # This host's /etc names another one.

    @runs(MANUFACTURE)
    def test_one_is_made(self):
        said = self.host.run(*self.commands(MANUFACTURE))
        self.assertIn("vm1.pem: OK", said)
        identity = json.loads(vnvram("tpm", "identity", "--json", self.host.home / "vm1.nvram"))
        self.assertIn(identity["endorsement_keys"][0]["certificate_sha256"], said)

    @runs(ASK)
    def test_libvirts_is_asked(self):
        folder = self.host.path("/var/lib/libvirt/swtpm/UUID/tpm2")
        folder.mkdir(parents=True)
        run("swtpm_setup", "--tpm", f"{program('vnvram-swtpm')} socket", "--tpm2", "--tpm-state", folder,
            "--create-ek-cert", "--config", self.config)
        self.assertIn("BEGIN CERTIFICATE", self.host.run(*self.commands(ASK)))

    @runs(PUT)
    def test_one_is_put_into_an_image(self):
        image = create(self.host.home / "vm2.nvram", "--tpm2", "--blob", "eeprom:at24c:8K")
        self.host.run(*self.commands(PUT))
        self.assertFalse((self.host.home / "fresh.nvram").exists())
        self.assertIn("BEGIN CERTIFICATE", vnvram("tpm", "identity", image))

    def test_every_block_is_run(self):
        self.assertEqual(uncovered(SECTION, [Identity], NOT_RUN), [])


if __name__ == "__main__":
    unittest.main()
