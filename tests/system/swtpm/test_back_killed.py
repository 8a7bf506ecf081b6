"""`vnvram export-swtpm --in-place`, cut by SIGKILL before each of its steps: the image is there, or swtpm's state."""

import pathlib
import shutil
import signal
import subprocess
import unittest

from harness.tpm_process import program
from harness.vnvram import vnvram

from .case import SwtpmCase, loop_device
from .programs import OURS, SWTPM, content

IMAGE, KEPT = "tpm2-00.permall", "tpm2-00.permall.vnvram"
STEPS = ("fsync", "fchmod", "mkdirat", "linkat", "renameat", "renameat2", "unlinkat", "pwrite64")
SIZE = 4 << 20


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class KilledBack(SwtpmCase):

    def cut(self, call, number, *words):
        """Whether it came to that."""
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                               f"inject={call}:signal=KILL:when={number}", str(program("vnvram")), "export-swtpm",
                               *map(str, words), "--in-place"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        self.assertIn(done.returncode, (0, -signal.SIGKILL, 128 + signal.SIGKILL), done.stderr)
        return done.returncode != 0

    def cuts(self, work):
        """Runs `work(call, number)` until there is no such call any more. Returns how many were cut."""
        count = 0
        for call in STEPS:
            number = 1
            while work(call, number):
                number += 1
            count += number - 1
        return count

    def check_one_of_both(self, place, image, known):
        """Before anything is mended swtpm has all of its state, or refuses; then the image is whole."""
        if self.runs_by_swtpm(place):
            self.check_facts(place, known, name=SWTPM)
            return
        vnvram("unseal", image)
        self.check_facts(place, known)
        vnvram("export-swtpm", image, "--in-place")
        self.check_facts(place, known, name=SWTPM)

    def runs_by_swtpm(self, place):
        before = content(place)
        tpm = self.start(place, name=SWTPM)
        runs = self.init(tpm) == 0
        tpm.kill()
        if not runs:
            self.assertEqual(content(place), before)
        return runs

    def test_in_a_folder(self):
        whole = self.new_folder()
        known = self.make_state(whole, name=OURS)

        def work(call, number):
            place = self.copy(whole)
            is_cut = self.cut(call, number, place / IMAGE)
            with self.subTest(call, number=number):
                self.check_one_of_both(place, place / IMAGE, known)
                # What a cut left behind goes with the next one that comes through; there was none if swtpm runs on
                # it already, and then it is an empty folder that was about to go.
                left = {name for name in content(place) if "/.lock-" not in name}
                self.assertLessEqual(left - {IMAGE, KEPT, "tpm2-00.volatilestate"}, set())
            return is_cut

        self.assertGreater(self.cuts(work), 8)

    def test_on_a_device(self):
        whole = self.new_file(SIZE)
        known = self.make_state(whole, name=OURS)
        device = pathlib.Path(loop_device(self, self.new_file(SIZE)))
        keep = self.workspace.file("kept")

        def work(call, number):
            keep.unlink(missing_ok=True)
            device.write_bytes(whole.read_bytes())
            is_cut = self.cut(call, number, device, "--keep", keep)
            with self.subTest(call, number=number):
                if not self.runs_by_swtpm(device):
                    if keep.exists():  # Which is the way back at any time.
                        device.write_bytes(keep.read_bytes())
                    vnvram("unseal", device)
                    self.check_facts(device, known)
                else:
                    self.check_facts(device, known, name=SWTPM)
            return is_cut

        self.assertGreater(self.cuts(work), 8)


if __name__ == "__main__":
    unittest.main()
