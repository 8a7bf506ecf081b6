"""vnvram-tpm, as an operator starts it."""

import itertools
import os
import pathlib

from .notified_child import start_notified

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def program(name):
    """One of the programs under test."""
    folder = os.environ.get("VNVRAM_BIN_DIR", REPOSITORY / "build" / "release" / "bin")
    return pathlib.Path(folder, name)


class TpmProcess:
    """Ready when it is made: it has said so by itself, the way it tells systemd."""

    _numbers = itertools.count()

    def __init__(self, workspace, image, server=None, options=(), admin=False):
        number = next(self._numbers)
        self.control = workspace.file(f"tpm{number}.ctrl")
        self.admin = workspace.file(f"tpm{number}.admin") if admin else None
        self.log = workspace.log("vnvram-tpm")
        argv = [program("vnvram-tpm"), image, "--ctrl", f"unix:{self.control}"]
        if server:
            argv += ["--server", f"unix:{server}", "--startup", "clear"]
        if admin:
            argv += ["--admin", f"unix:{self.admin}"]
        notify_path = workspace.file(f"notify{number}")
        self.child = start_notified([*argv, *options], self.log, notify_path)

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.returncode is None

    def kill(self):
        """SIGKILL: what a crash or the OOM killer does."""
        self.child.kill()

    def stop(self):
        """SIGTERM, and it must end in good order."""
        status = self.child.terminate()
        if status != 0:
            raise AssertionError(f"vnvram-tpm ended with status {status} after SIGTERM")
