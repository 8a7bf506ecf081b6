"""A raw image behind an NBD server that notes each request: what a store costs its device."""

import itertools
import re
import time

from .child import Child, Deadline, PATIENCE_SECONDS

# A durable write is a write and a flush of what it wrote.
_FLUSH = re.compile(r"^\S+ \S+ connection=\d+ (Flush id=|(Write|Zero|Trim) id=.* fua=1 )", re.M)


class LoggedDevice:
    """Serves when it is made."""

    _numbers = itertools.count()

    def __init__(self, workspace, image, seconds=PATIENCE_SECONDS):
        name = f"logged{next(self._numbers)}"
        socket, pid_file = workspace.file(f"{name}.sock"), workspace.file(f"{name}.pid")
        self.uri = f"nbd+unix:///?socket={socket}"
        self.image = image
        self._requests = workspace.log(f"{name}-requests")
        log = workspace.log(name)
        self.child = Child(["nbdkit", "--foreground", "--unix", socket, "--pidfile", pid_file,
                            "--filter=log", "file", image, f"logfile={self._requests}"], log)
        deadline = Deadline(seconds)
        while not pid_file.exists():  # It writes it when it listens, and says nothing else.
            if self.child.returncode is not None or deadline.passed():
                raise AssertionError(f"nbdkit did not start: {log.read_text(errors='replace')}")
            time.sleep(0.005)

    def flush_count(self):
        """Flushes and durable writes until now."""
        return len(_FLUSH.findall(self._requests.read_text()))

    def kill(self):
        self.child.kill()
