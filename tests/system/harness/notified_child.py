"""A daemon that says by itself when it serves, the way it tells systemd."""

import socket

from .child import Child, Deadline, PATIENCE_SECONDS
from .readable import readable


def start_notified(argv, log, notify_path, inherits=()):
    """Returns the child, which is ready. It is given these descriptors of ours."""
    return started_ready(notify_path, lambda env: Child(argv, log, env, inherits))


def started_ready(notify_path, start):
    """Returns what `start` makes with this environment, when it has said that it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(notify_path))
        child = start({"NOTIFY_SOCKET": str(notify_path)})
        _wait_ready(child, notify, PATIENCE_SECONDS)
        return child


def _wait_ready(child, notify, seconds):
    deadline = Deadline(seconds)
    while True:
        ready = readable([notify, child.pidfd], deadline.left())
        if notify in ready:
            if b"READY=1" in notify.recv(4096).split(b"\n"):
                return
        elif ready:
            raise AssertionError(f"{child.argv[0]} ended with status {child.wait()} at its start: "
                                 f"{child.log.read_text(errors='replace')}")
        else:
            child.kill()
            raise TimeoutError(f"{child.argv[0]} was not ready after {seconds} s")
