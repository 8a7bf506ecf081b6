"""A raw image behind an NBD server that refuses to write while it is told to."""

import time

from harness.child import Child, Deadline, PATIENCE_SECONDS


class FailingDevice:
    """Serves when it is made, and works until fail()."""

    def __init__(self, workspace, image, seconds=PATIENCE_SECONDS):
        socket, pid_file = workspace.file("failing.sock"), workspace.file("failing.pid")
        self.uri = f"nbd+unix:///?socket={socket}"
        self._failing = workspace.file("failing")
        log = workspace.log("failing-device")
        self._child = Child(["nbdkit", "--foreground", "--unix", socket, "--pidfile", pid_file,
                             "--filter=error", "file", image, "error-pwrite=EIO",
                             "error-pwrite-rate=100%", f"error-pwrite-file={self._failing}"], log)
        try:
            self._wait_for(pid_file, Deadline(seconds))
        except BaseException:
            self.kill()
            raise

    def _wait_for(self, pid_file, deadline):
        while not pid_file.exists():  # It writes it when it listens, and says nothing else.
            if self._child.returncode is not None or deadline.passed():
                raise AssertionError("the failing device's nbdkit did not start")
            time.sleep(0.005)

    def fail(self):
        self._failing.touch()

    def work_again(self):
        self._failing.unlink()

    def kill(self):
        self._child.kill()
