"""swtpm itself, the other side of comparisons and of migrations, or ours in its place."""

import itertools
import socket

from .child import Child, Deadline, PATIENCE_SECONDS
from .readable import readable


class SwtpmProcess:
    """Listens when it is made. Its state is in a folder of its own, or in a file (linear), which may be
    there already."""

    _numbers = itertools.count()

    def __init__(self, workspace, place, options=("--tpm2",), server=None, linear=False,
                 name="swtpm"):
        number = next(self._numbers)
        self.control = workspace.file(f"swtpm{number}.ctrl")
        self.log = workspace.log("swtpm")
        if not linear:
            place.mkdir(exist_ok=True)
        state = f"backend-uri=file://{place}" if linear else f"dir={place}"
        argv = [name, "socket", "--tpmstate", state,
                "--ctrl", f"type=unixio,path={self.control}", *options]
        if server:
            argv += ["--server", f"type=unixio,path={server}"]
        self.child = Child(argv, self.log)
        self._wait_listening()

    def _wait_listening(self, seconds=PATIENCE_SECONDS):
        """It answers one control client after the other, and is not hurt by one that says nothing."""
        deadline = Deadline(seconds)
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.control)) == 0:
                    return
            ended = readable([self.child.pidfd], 0.01)
            if ended or deadline.passed():
                self.child.kill()
                raise AssertionError(f"swtpm does not listen: {self.log.read_text(errors='replace')}")

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        self.child.kill()

    def wait(self):
        """For its end: it goes with the control client that sends CMD_SHUTDOWN, as QEMU does."""
        return self.child.wait()
