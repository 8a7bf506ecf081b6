"""In a folder of somebody else's, who puts something else in the place of what vnvram-swtpm has just found there."""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import threading
import time
import unittest

from harness.child import PATIENCE_SECONDS, Deadline

from .case import SwtpmCase
from .programs import content

SAMPLES = pathlib.Path(__file__).parents[2] / "unit/convert/swtpm_0.7.1"
STATE = "tpm2-00.permall"


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class Exchanged(SwtpmCase):

    def init_held(self, folder, call, exchange):
        """The INIT's result, when exchange() is called before its first call of this kind is made."""
        calls = self.workspace.file("calls")
        tpm = self.start(folder, before=(
            "strace", "-f", "-qqq", "-o", calls, "-e", f"trace={call}", "-e",
            f"inject={call}:delay_enter=600000000:when=1"))
        children = pathlib.Path(f"/proc/{tpm.pid}/task/{tpm.pid}/children").read_text().split()
        pidfd = os.pidfd_open(int(children[0]))
        self.addCleanup(end, pidfd)
        control = self.control(tpm)
        results = []
        asking = threading.Thread(target=lambda: results.append(control.init()))
        asking.start()
        try:
            deadline = Deadline(PATIENCE_SECONDS)
            while f"{call}(" not in calls.read_text():
                self.assertFalse(deadline.passed())
                time.sleep(0.01)
            exchange()
        finally:
            tpm.kill()  # The tracer: what it holds up goes on then.
            asking.join(PATIENCE_SECONDS)
        self.assertEqual(len(results), 1)
        return results[0]

    def test_no_other_machines_image_is_opened(self):
        """The folder is another one when the image was made in it."""
        victim, folder, moved = self.new_folder(), self.new_folder(), self.workspace.file("moved")
        tpm = self.start(victim)
        self.assertEqual(self.control(tpm).init(), 0)
        tpm.stop()
        before = content(victim)

        def exchange():
            folder.rename(moved)
            folder.symlink_to(victim)

        self.assertNotEqual(self.init_held(folder, "fallocate", exchange), 0)
        self.assertTrue((moved / STATE).exists())
        self.assertEqual(content(victim), before)

    def test_what_is_refused_is_not_kept(self):
        folder = self.new_folder()
        shutil.copyfile(SAMPLES / "file_plain.bin", folder / STATE)

        def exchange():
            (folder / STATE).rename(folder / "mine")
            (folder / STATE).write_bytes(b"something else")

        self.assertNotEqual(self.init_held(folder, "fsync", exchange), 0)
        self.assertFalse((folder / f"{STATE}.swtpm").exists())
        self.assertEqual((folder / STATE).read_bytes(), b"something else")


def end(pidfd):
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [], PATIENCE_SECONDS)
    os.close(pidfd)
