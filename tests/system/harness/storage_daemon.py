"""A qemu-storage-daemon that owns an image, as contrib/recipes starts it."""

import itertools
import time

from .child import Child, Deadline, PATIENCE_SECONDS
from .recipe import RECIPES


class StorageDaemon:
    """Ready when it is made."""

    _numbers = itertools.count()

    def __init__(self, workspace, image):
        folder = workspace.file(f"daemon{next(self._numbers)}")
        folder.mkdir()
        self.qmp = folder / "qmp.sock"
        self.nbd = folder / "nbd.sock"
        self.uri = f"nbd+unix:///nvram?socket={self.nbd}"
        self.log = workspace.log("storage-daemon")
        self.child = Child([RECIPES / "storage-daemon.sh", image, folder], self.log)
        self._wait_for(folder / "pid")

    def _wait_for(self, file, seconds=PATIENCE_SECONDS):
        deadline = Deadline(seconds)
        while not file.exists():
            if self.child.returncode is not None:
                raise AssertionError("qemu-storage-daemon ended at its start: "
                                     + self.log.read_text(errors="replace"))
            if deadline.passed():
                raise TimeoutError(f"qemu-storage-daemon was not ready after {seconds} s")
            time.sleep(0.005)

    def kill(self):
        self.child.kill()

    def stop(self):
        status = self.child.terminate()
        if status != 0:
            raise AssertionError(f"qemu-storage-daemon ended with status {status}")
