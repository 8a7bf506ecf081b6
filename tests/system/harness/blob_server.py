"""nbdkit with our plugin: every blob of an image is an NBD export."""

import itertools
import os
import pathlib
import time

from .child import Child, Deadline, PATIENCE_SECONDS
from .tpm_process import REPOSITORY


def plugin(image=""):
    """The plugin under test that serves such an image."""
    folder = os.environ.get("VNVRAM_BIN_DIR", REPOSITORY / "build" / "release" / "bin")
    name = "vnvram-owner" if str(image).startswith("unix:") else "vnvram"
    return pathlib.Path(folder).parent / "lib" / f"nbdkit-{name}-plugin.so"


class BlobServer:
    """Serves when it is made."""

    _numbers = itertools.count()

    def __init__(self, workspace, image, *options):
        name = f"blobs{next(self._numbers)}"
        self.socket = workspace.file(f"{name}.sock")
        self._pid_file = workspace.file(f"{name}.pid")
        self._argv = ["nbdkit", "--foreground", "--unix", self.socket, "--pidfile", self._pid_file,
                      plugin(image), image, *options]
        self.log = workspace.log("nbdkit")
        self.child = None
        self.start()

    def start(self, seconds=PATIENCE_SECONDS):
        """Again, on the same socket."""
        for left in (self._pid_file, self.socket):
            left.unlink(missing_ok=True)
        self.child = Child(self._argv, self.log)
        deadline = Deadline(seconds)
        while not self._pid_file.exists():  # It writes it when it listens, and says nothing else.
            if self.child.returncode is not None or deadline.passed():
                raise AssertionError(f"nbdkit did not start: "
                                     f"{self.log.read_text(errors='replace')}")
            time.sleep(0.005)

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def kill(self):
        """SIGKILL: what a crash, or a power cut that spares the disk's cache, does."""
        self.child.kill()

    def stop(self):
        """SIGTERM, and it must end in good order."""
        status = self.child.terminate()
        if status != 0:
            raise AssertionError(f"nbdkit ended with status {status} after SIGTERM")
