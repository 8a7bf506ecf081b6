"""Copies of an image under full write load, as a storage system or a person makes them.

An atomic copy is what a power cut would have left: it opens, whole, at one generation, and nothing
that was acknowledged before the copy is missing. A copy that is not atomic is that, or refused.
"""

import json
import os
import random
import subprocess
import unittest

from harness.tpm_process import program
from harness.workspace import Workspace

ATOMIC_COUNT, STOPPED_COUNT, SLOW_COUNT = 1000, 100, 60


class ImageCopies(unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)

    def copies(self, mode, count, folder=None):
        seed = random.randrange(1 << 32)
        argv = [program("vnvram-copies"), "--mode", mode, "--count", str(count), "--seed", str(seed),
                "--dir", folder or self.workspace.path]
        done = subprocess.run(["setpriv", "--pdeathsig", "KILL", "--", *argv], timeout=240,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        print(f"{mode}: {done.stdout.strip()}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(result["copies"], count)
        self.assertGreaterEqual(result["commits"], count)
        return result

    def shared_block_folder(self):
        """A file system that can share blocks between files, or None where this process may not
        mount one. The workspace unmounts it if the test cannot."""
        if os.geteuid() != 0:
            return None
        disk, folder = self.workspace.file("xfs.disk"), self.workspace.file("xfs")
        with open(disk, "wb") as file:
            file.truncate(400 << 20)  # mkfs.xfs wants 300 MB.
        subprocess.run(["mkfs.xfs", "-q", disk], check=True)
        folder.mkdir()
        done = subprocess.run(["mount", "-o", "loop", disk, folder], stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            print(f"no loop-mounted XFS here: {done.stderr.strip()}")
            return None
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        return folder

    def test_atomic(self):
        """By shared blocks; where they cannot be had, with the writer stopped for each copy."""
        folder = self.shared_block_folder()
        result = self.copies("reflink" if folder else "stopped", ATOMIC_COUNT, folder)
        self.assertEqual((result["exact"], result["refused"]), (ATOMIC_COUNT, 0))

    def test_writer_stopped(self):
        result = self.copies("stopped", STOPPED_COUNT)
        self.assertEqual((result["exact"], result["refused"]), (STOPPED_COUNT, 0))

    def test_not_atomic(self):
        """Commits go on all through the copy. Whatever comes out, none shows a mixture."""
        result = self.copies("slow", SLOW_COUNT)
        self.assertEqual(result["exact"] + result["refused"], SLOW_COUNT)
        self.assertEqual(result["overlaps"], SLOW_COUNT)


if __name__ == "__main__":
    unittest.main()
