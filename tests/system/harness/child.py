"""A process that ends with the test, whatever ends the test."""

import os
import signal
import subprocess
import time

from .readable import readable


# How long is waited for what must come: longer than a busy machine stalls, and than a guest's kernel
# waits for its TPM (120 s), whose complaint says more than we could.
PATIENCE_SECONDS = 150


class Deadline:
    """Counts down from when it was made."""

    def __init__(self, seconds):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self._end - time.monotonic())

    def passed(self):
        return self.left() == 0.0


class Child:
    """Started from the main thread only: the kernel's parent-death signal is bound to the thread."""

    def __init__(self, argv, log, env=None, inherits=()):
        self.argv = [str(word) for word in argv]
        self.log = log
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, env={**os.environ, **(env or {})},
                pass_fds=inherits)
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)

    @property
    def returncode(self):
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    def wait(self, seconds=PATIENCE_SECONDS):
        if self._process.returncode is None:
            ready = readable([self.pidfd], seconds)
            if not ready:
                raise TimeoutError(f"{self.argv[0]} (pid {self.pid}) still runs after {seconds} s")
            self._process.wait()
            os.close(self.pidfd)
        return self._process.returncode

    def send(self, number):
        self._process.send_signal(number)

    def kill(self):
        """SIGKILL, and the process is gone on return. Harmless when it is gone already."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            self.wait()

    def terminate(self, seconds=PATIENCE_SECONDS):
        self.send(signal.SIGTERM)
        return self.wait(seconds)
