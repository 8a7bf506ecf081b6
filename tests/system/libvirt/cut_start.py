"""A start that is cut: what libvirt has started as a machine's swtpm is killed in the middle."""

import os
import pathlib
import signal

from harness.child import Child, Deadline, PATIENCE_SECONDS


def cut_start(machine, moment):
    """Kills it as soon as moment(machine) is true. The machine is off on return. Returns whether it
    came to that."""
    log = machine.workspace.log("cut-start")
    machine.listen()
    start = Child(["virsh", "--connect", machine.host.uri, "start", machine.name], log)
    try:
        pidfd = _pidfd_of_tpm(machine, start)
        cut = pidfd is not None and _kill_at(machine, moment, start, pidfd)
        start.wait()
    finally:
        start.kill()
    machine.host.virsh("destroy", machine.name)
    machine.must_be_off()
    return cut


def _pidfd_of_tpm(machine, start):
    """None: it has not started one, or that is gone."""
    deadline = Deadline(PATIENCE_SECONDS)
    while start.returncode is None and not deadline.passed():
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                is_tpm = words[:2] == [b"/usr/bin/swtpm", b"socket"]
                if is_tpm and any(machine.uuid.encode() in word for word in words):
                    return os.pidfd_open(int(process.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return None


def _kill_at(machine, moment, start, pidfd):
    try:
        while not moment(machine):
            if start.returncode is not None:
                return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
