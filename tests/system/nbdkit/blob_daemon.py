"""nbdkit as an operator starts it: it becomes a daemon, and nobody's child."""

import os
import select
import signal
import socket
import time

from harness.blob_server import plugin
from harness.child import Deadline, PATIENCE_SECONDS
from harness.vm_image import programs_of, wait_until_let_go


def kill_programs_of(path):
    """SIGKILL, and they are gone on return: what nobody's child needs that must not outlive its
    test. The path is in the test's own folder, so nobody else's program has it."""
    for pid in programs_of(path):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It has just ended.
    wait_until_let_go(path)


class BlobDaemon:
    """It ends with the test at the latest, whether or not it has said its process number."""

    def __init__(self, case):
        self._case = case
        self._socket, self._pid_file = case.path("daemon.sock"), case.path("daemon.pid")
        self.pid = None
        case.addCleanup(kill_programs_of, self._socket)

    def start(self, image, *options, status=0, folder=None, seconds=PATIENCE_SECONDS):
        """As run_program(); what it returns is what it has to say about the image."""
        for left in (self._pid_file, self._socket):
            left.unlink(missing_ok=True)
        said = self._case.run_program("nbdkit", "--unix", self._socket, "--pidfile", self._pid_file,
                                      plugin(image), image, *options, status=status, folder=folder)
        if status == 0:
            self._wait_ready(Deadline(seconds))
        return said

    def _wait_ready(self, deadline):
        while not (self._pid_file.exists() and self._pid_file.read_text().endswith("\n")):
            if not programs_of(self._socket) or deadline.passed():
                raise AssertionError("nbdkit wrote no pid file")
            time.sleep(0.005)
        self.pid = int(self._pid_file.read_text())
        # It writes that before the plugin hears that it is a daemon, and accepts after that.
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(self._socket))
            if client.recv(8) != b"NBDMAGIC":
                raise AssertionError("nbdkit does not serve")

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self._socket}"

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        """SIGTERM. Who is not its parent does not get to know its status."""
        self._end(signal.SIGTERM)

    def _end(self, number, seconds=PATIENCE_SECONDS):
        pidfd = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
            if not select.select([pidfd], [], [], seconds)[0]:
                raise TimeoutError(f"nbdkit (pid {self.pid}) still runs after {seconds} s")
        finally:
            os.close(pidfd)
