"""swtpm_setup, unmodified, with ours under it."""

import pathlib
import shutil
import struct
import unittest

from harness.vnvram import vnvram

from . import facts
from .case import SwtpmCase, loop_device
from .programs import OURS, SWTPM, content, setup

IMAGE = "tpm2-00.permall"
MANUFACTURE = ("--createek", "--create-ek-cert", "--create-platform-cert", "--lock-nvram")
EK, EK_CERTIFICATE = 0x81010001, 0x1C00002
DEVICE_SIZE_BYTES = 4 << 20


class Setup(SwtpmCase):

    def set_up(self, state, *words, status=0, name=OURS):
        code, said = setup("--tpm-state", state, *MANUFACTURE, *words, name=name)
        self.assertEqual(code, status, said)
        return said

    def handles(self, place, first):
        """Which persistent objects, or NV areas, there are from this one on."""
        tpm, client = self.power_on(place)
        data = client.must(0x17A, struct.pack(">III", 1, first, 1))
        count = int.from_bytes(data[5:9], "big")
        client.close()
        tpm.stop()
        return [int.from_bytes(data[9 + 4 * at:13 + 4 * at], "big") for at in range(count)]

    def identity(self, place):
        tpm, client = self.power_on(place)
        data = client.must(facts.READ_PUBLIC, struct.pack(">I", EK))
        client.close()
        tpm.stop()
        return data

    def test_a_folder(self):
        folder = self.new_folder()
        self.set_up(folder)
        self.assertEqual(self.handles(folder, EK_CERTIFICATE), [EK_CERTIFICATE])
        first = self.identity(folder)

        before = content(folder)
        said = self.set_up(folder, "--not-overwrite")
        self.assertIn("Not overwriting existing state file", said)
        self.assertEqual(content(folder), before)

        code, said = setup("--tpm-state", folder, "--reconfigure", "--pcr-banks", "sha384")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.identity(folder), first)
        self.check_clean(folder / IMAGE)

        self.set_up(folder, "--overwrite")
        self.assertNotEqual(self.identity(folder), first)

    def test_a_file(self):
        file = self.new_file(0)
        self.set_up(f"file://{file}")
        first = self.identity(file)
        before = content(file)
        self.set_up(f"file://{file}", "--not-overwrite")
        self.assertEqual(content(file), before)
        self.set_up(f"file://{file}", "--overwrite")
        self.assertNotEqual(self.identity(file), first)
        self.assertIn("tpm2.permanent", vnvram("ls", file))
        self.check_clean(file)

    def test_a_device(self):
        device = pathlib.Path(loop_device(self, self.new_file(DEVICE_SIZE_BYTES)))
        self.set_up(f"file://{device}")
        first = self.identity(device)
        self.set_up(f"file://{device}", "--not-overwrite")
        self.assertEqual(self.identity(device), first)
        self.set_up(f"file://{device}", "--overwrite")
        self.assertNotEqual(self.identity(device), first)
        self.check_clean(device)

    def check_overwritten(self, place):
        """A new TPM was asked for: nothing of swtpm's is taken over."""
        state = place if place.is_dir() else f"file://{place}"
        self.set_up(state, name=shutil.which(SWTPM))
        first = self.identity(self.copy(place))
        self.set_up(state, "--overwrite")
        self.assertNotEqual(self.identity(place), first)

    def test_a_new_tpm_leaves_what_is_kept_alone(self):
        folder = self.new_folder()
        self.make_state(folder)
        old = (folder / IMAGE).read_bytes()
        self.power_on(folder)[0].stop()
        kept = folder / f"{IMAGE}.swtpm"
        self.set_up(folder, "--overwrite")
        self.assertEqual(kept.read_bytes(), old)
        (folder / IMAGE).unlink()
        tpm, _ = self.power_on(folder)
        self.assertIn(f"{kept}: the TPM that swtpm had here before", tpm.log_text())
        tpm.stop()
        self.assertEqual(kept.read_bytes(), old)

    def test_overwriting_swtpms_folder(self):
        self.check_overwritten(self.new_folder())

    def test_overwriting_swtpms_file(self):
        self.check_overwritten(self.new_file(0))

    def test_overwriting_swtpms_device(self):
        self.check_overwritten(pathlib.Path(loop_device(self, self.new_file(DEVICE_SIZE_BYTES))))


if __name__ == "__main__":
    unittest.main()
