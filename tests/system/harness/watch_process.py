"""vnvram watch, and what it prints."""

import fcntl
import json
import os
import select
import signal
import subprocess

from .child import Deadline, PATIENCE_SECONDS
from .tpm_process import program


class WatchProcess:
    def __init__(self, address, *options):
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", program("vnvram"), "watch", address, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._text = b""

    @property
    def pid(self):
        return self._process.pid

    def line(self):
        """The next one, as soon as it is there."""
        deadline = Deadline(PATIENCE_SECONDS)
        output = self._process.stdout.fileno()
        while b"\n" not in self._text:
            ready, _, _ = select.select([output], [], [], deadline.left())
            piece = os.read(output, 65536) if ready else b""
            if not piece:
                raise AssertionError(f"vnvram watch says no more; it said {self._text}")
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def event(self, kind):
        """The next one of this kind, from a line of JSON."""
        while True:
            event = json.loads(self.line())
            if event["event"] == kind:
                return event

    def narrow_output(self):
        """What waits to be read is a few lines at most."""
        fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, 4096)

    def wait(self):
        """Its exit status, and what it said last on stderr."""
        _, errors = self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode, errors.decode()

    def end(self, number=signal.SIGTERM):
        self._process.send_signal(number)
        return self.wait()

    def close_output(self):
        """As a reader that has seen enough."""
        self._process.stdout.close()
        return self._process.wait(PATIENCE_SECONDS)

    def kill(self):
        """Harmless when it is gone already."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()
