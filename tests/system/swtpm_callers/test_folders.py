"""Callers that give swtpm a folder."""

import json
import os
import unittest

from harness.small_file_system import SmallFileSystem
from harness.vnvram import must_be_clean

from .case import CallerCase

STATE = "tpm2-00.permall"


class Folders(CallerCase):
    def counts(self, socket, values, child, ends=True):
        """The TPM's counter, which is made if its first value is 1."""
        control, commands = self.power_on(socket)
        if values[0] == 1:
            commands.define_counter()
        for value in values:
            commands.must_increment()
            self.assertEqual(commands.counter(), value)
        if ends:
            self.power_off(control, commands)
            self.assertEqual(child.wait(), 0)
            self.assertFalse(socket.exists())
        return control, commands

    def test_incus(self):
        capabilities = json.loads(self.must("swtpm", "socket", "--tpm2", "--print-capabilities"))
        self.assertIn("cmdarg-migration", capabilities["features"])
        devices, state = self.folder("devices"), self.folder("state")
        self.assertEqual(list(state.iterdir()), [])  # What is not empty has been provisioned.
        for values in ((1, 2), (3,)):
            child = self.start("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl",
                               "type=unixio,path=tpm.tpm0.sock",
                               before=("env", f"--chdir={devices}"))
            self.wait_for(devices / "tpm.tpm0.sock", child)
            self.counts(devices / "tpm.tpm0.sock", values, child)
            self.assertIn(STATE, [path.name for path in state.iterdir()])
        must_be_clean(state / STATE)
        done = self.run_program("swtpm", "chardev", "--tpm2", "--tpmstate", f"dir={state}", "--vtpm-proxy")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--vtpm-proxy", done.stdout)

    def test_quickemu(self):
        """Among the machine's other files."""
        machine = self.folder("ubuntu")
        files = {"disk.qcow2": b"a disk", "OVMF_VARS.fd": b"variables", "ubuntu.conf": b"words"}
        for name, content in files.items():
            (machine / name).write_bytes(content)
        socket = machine / "ubuntu.swtpm-sock"
        for values in ((1,), (2,)):
            child = self.start("swtpm", "socket", "--ctrl", f"type=unixio,path={socket}", "--terminate",
                               "--tpmstate", f"dir={machine}", "--tpm2")
            self.wait_for(socket, child)
            control, commands = self.counts(socket, values, child, ends=False)
            commands.close()  # QEMU is gone, and has said nothing.
            control.close()
            self.assertEqual(child.wait(), 0)
        self.assertEqual({name: (machine / name).read_bytes() for name in files}, files)
        must_be_clean(machine / STATE)

    @unittest.skipUnless(os.geteuid() == 0, "mounts")
    def test_kubevirt(self):
        """The folder is on a volume of 10 MiB, with all that the machine keeps."""
        volume = SmallFileSystem(self.workspace, "ext4", 10)
        state = volume.file("tpm2")
        state.mkdir()
        self.must("swtpm_setup", "--tpm2", "--tpm-state", state, "--vmid", "vm:1", "--logfile",
                  self.workspace.log("setup"), "--createek", "--create-ek-cert", "--create-platform-cert",
                  "--lock-nvram", "--not-overwrite", *self.setup_options())
        volume.fill()  # By something else.
        socket = self.workspace.file("swtpm.sock")
        for first in (1, 1001):
            child = self.start(
                "swtpm", "socket", "--ctrl", f"type=unixio,path={socket},mode=0600", "--tpmstate",
                f"dir={state},mode=0600", "--log", f"file={self.workspace.log('tpm')}", "--terminate", "--tpm2")
            self.wait_for(socket, child)
            control, commands = self.counts(socket, range(first, first + 1000), child, ends=False)
            self.must("sync", state, *state.iterdir())  # At freeze.
            self.power_off(control, commands)
            self.assertEqual(child.wait(), 0)
        must_be_clean(state / STATE)


if __name__ == "__main__":
    unittest.main()
