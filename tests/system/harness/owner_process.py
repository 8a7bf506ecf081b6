"""vnvram serve, as an operator starts it."""

import itertools

from .notified_child import start_notified
from .tpm_process import program


class OwnerProcess:
    """Ready when it is made. `address` is what others take for IMAGE."""

    _numbers = itertools.count()

    def __init__(self, workspace, image, *options, starts=True):
        number = next(self._numbers)
        self.socket = workspace.file(f"owner{number}.sock")
        self.address = f"unix:{self.socket}"
        self.log = workspace.log("vnvram-serve")
        self.argv = [program("vnvram"), "serve", image, "--control", self.address, *options]
        self._notify_path = workspace.file(f"owner{number}.notify")
        self.child = None
        if starts:
            self.start()

    def start(self):
        """Again, on the same socket."""
        self._notify_path.unlink(missing_ok=True)
        self.child = start_notified(self.argv, self.log, self._notify_path)

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        """SIGKILL: what a crash or the OOM killer does."""
        self.child.kill()

    def stop(self):
        """SIGTERM, and it must end in good order."""
        status = self.child.terminate()
        if status != 0:
            raise AssertionError(f"vnvram serve ended with status {status} after SIGTERM")
