"""docs/operations.md, "A TPM that swtpm has kept": what is printed there is run, by a shell, as an operator would, on
what Debian's swtpm has made."""

import unittest

from harness.printed import PrintedCase, Section, runs, uncovered
from harness.swtpm_process import SwtpmProcess
from harness.vnvram import info
from tpm.support import TpmClient, swtpm_ioctl

SECTION = Section("A TPM that swtpm has kept")
NOT_RUN = {}

TAKE = "vnvram import-swtpm /var/lib/libvirt/swtpm/vm1/tpm2 vm1.nvram"
TAKE_ENCRYPTED = "vnvram create vm2.nvram --tpm2 --encrypt"
GIVE = "vnvram export-swtpm vm1.nvram"


class Kept(PrintedCase):
    section = SECTION

    def setUp(self):
        super().setUp()
        self.swtpms = 0
        self.folders = {}
        for name in ("vm1", "vm2"):
            folder = self.host.path(f"/var/lib/libvirt/swtpm/{name}")
            folder.mkdir(parents=True)
            self.folders[name] = folder / "tpm2"
        keys = self.host.path("/etc/vnvram/keys")
        keys.mkdir(parents=True)
        (keys / "vm2").write_bytes(b"k" * 32)
        (keys / "vm2.swtpm").write_text("of libvirt's secret")
        self.key = ("--key", f"pwdfile={keys / 'vm2.swtpm'},mode=aes-256-cbc")

    def count(self, folder, expected, *options):
        """Under swtpm: how far the counter was, if it was made before; one more now."""
        self.swtpms += 1
        server = self.workspace.file(f"server{self.swtpms}")
        swtpm = SwtpmProcess(self.workspace, folder, ("--tpm2", *options), server)
        self.addCleanup(swtpm.kill)
        swtpm_ioctl(swtpm, "-i")
        client = TpmClient(server)
        self.addCleanup(client.close)
        self.assertEqual(client.startup(), 0)
        if expected == 0:
            client.define_counter()
        else:
            self.assertEqual(client.counter(), expected)
        client.must_increment()
        client.close()
        swtpm_ioctl(swtpm, "-s")
        swtpm.wait()

    @runs(TAKE, TAKE_ENCRYPTED, GIVE)
    def test_there_and_back(self):
        self.count(self.folders["vm1"], 0)
        self.count(self.folders["vm2"], 0, *self.key)
        self.host.run(*self.commands(TAKE))
        self.assertFalse(self.folders["vm1"].exists())
        self.host.run(*self.commands(TAKE_ENCRYPTED))
        self.assertFalse(info(self.host.home / "vm1.nvram")["sealed"])

        self.host.run(*self.commands(GIVE))
        self.assertTrue(info(self.host.home / "vm1.nvram")["sealed"])
        self.count(self.folders["vm1"], 1)
        self.count(self.folders["vm2"].with_name("tpm2.back"), 1, *self.key)

    def test_codes_are_those_that_it_names(self):
        self.count(self.folders["vm2"], 0, *self.key)
        take = f"vnvram import-swtpm {self.folders['vm2']} other.nvram"
        self.host.run(take, status=15)
        self.host.run(f"{take} --swtpm-key pwdfile=/etc/vnvram/keys/vm2,mode=aes-256-cbc", status=16)
        state = self.folders["vm2"] / "tpm2-00.permall"
        whole = state.read_bytes()
        state.write_bytes(whole[:-1])
        self.host.run(f"{take} --swtpm-key pwdfile=/etc/vnvram/keys/vm2.swtpm,mode=aes-256-cbc", status=13)
        state.write_bytes(whole)
        self.assertFalse((self.host.home / "other.nvram").exists())

    def test_every_block_is_run(self):
        self.assertEqual(uncovered(SECTION, [Kept], NOT_RUN), [])


if __name__ == "__main__":
    unittest.main()
