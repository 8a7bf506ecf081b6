"""vnvram serve with a machine's devices: one command, one image, TPM and NBD exports."""

import os
import signal
import subprocess
import sys

from .child import PATIENCE_SECONDS
from .owner_process import OwnerProcess
from .readable import readable
from .vnvram import vnvram


class MachineProcess(OwnerProcess):
    """Ready when it is made: its TPM, its exports and its owner. Stands in the place of a TpmProcess
    (`control`), a BlobServer (`socket`, `uri`) and an OwnerProcess (`address`)."""

    def __init__(self, workspace, image, *options, tpm=True, nbd=True):
        number = next(self._numbers)
        self.control = workspace.file(f"machine{number}.tpm")
        self.nbd = workspace.file(f"machine{number}.nbd")
        devices = [*(["--tpm", f"unix:{self.control}"] if tpm else []),
                   *(["--nbd", f"unix:{self.nbd}"] if nbd else [])]
        super().__init__(workspace, image, *devices, *options)
        self.socket = self.nbd  # What firmware and NBD clients are given.

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self.nbd}"

    def processes(self):
        """Those that it has started now, by what they are."""
        found = {}
        listed = subprocess.run(["ps", "--ppid", str(self.child.pid), "-o", "pid=,args="],
                                capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            pid, path = line.split()[:2]
            name = path.rpartition("/")[2]
            found["owner" if name == "vnvram" else name] = int(pid)
        return found

    def kill_all(self):
        """SIGKILL to each of its processes, and all are gone on return. As in a power cut, nobody
        does anything about another one's death: who would start them again is stopped first."""
        self.child.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WNOWAIT)
        pidfds = [os.pidfd_open(pid) for pid in self.processes().values()]
        for pidfd in pidfds:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        self.kill()
        for pidfd in pidfds:
            ended = readable([pidfd], PATIENCE_SECONDS)
            os.close(pidfd)
            if not ended:
                raise TimeoutError(f"a process of the machine still runs {PATIENCE_SECONDS} s after "
                                   "its SIGKILL")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def status(self, *words):
        return vnvram("status", self.address, *words)


if __name__ == "__main__":
    sys.exit("a part of the tests")
