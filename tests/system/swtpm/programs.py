"""vnvram-swtpm and swtpm itself, started alike."""

import itertools
import json
import os
import pathlib
import select
import socket
import subprocess

from harness.child import Child, Deadline, PATIENCE_SECONDS
from harness.tpm_process import program
from tpm.support import ControlClient, TpmClient

OURS = str(program("vnvram-swtpm"))
SWTPM = "swtpm"
# Its word for the version.
TPM2, TPM12 = ("--tpm2",), ()


def place_options(place):
    """Of a folder or of what swtpm's back end file:// takes."""
    place = pathlib.Path(place)
    return ["--tpmstate", f"dir={place}" if place.is_dir() else f"backend-uri=file://{place}"]


class DoesNotListen(Exception):
    """It ended instead, and why."""


class Swtpm:
    """Listens when it is made: for control clients, and for TPM commands."""

    _numbers = itertools.count()

    def __init__(self, workspace, place, options=(), name=OURS, before=(), version=TPM2):
        number = next(self._numbers)
        self.control = workspace.file(f"s{number}.ctrl")
        self.server = workspace.file(f"s{number}")
        self.log = workspace.log(pathlib.Path(name).name)
        words = place_options(place) if isinstance(place, pathlib.Path) else list(place)
        self.child = Child([*before, name, "socket", *version, *words,
                            "--ctrl", f"type=unixio,path={self.control}",
                            "--server", f"type=unixio,path={self.server}", *options], self.log)
        wait_listening(self.control, self.child)
        wait_there(self.server, self.child)

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        self.child.kill()

    def stop(self):
        """As libvirt does it; swtpm ends with the client that says so, and in good order."""
        client = ControlClient(self.control)
        result = client.result(3)
        client.close()
        status = self.child.wait()
        if (result, status) != (0, 0):
            raise AssertionError(f"SHUTDOWN answered {result}, and the end's status is {status}")

    def client(self):
        """Its name may be there a moment before it listens."""
        deadline = Deadline(PATIENCE_SECONDS)
        while True:
            try:
                return TpmClient(self.server)
            except (ConnectionRefusedError, FileNotFoundError):
                end_early(self.child, deadline)

    def log_text(self):
        return self.log.read_text(errors="replace")


def wait_listening(path, child):
    """A client that says nothing does no harm."""
    deadline = Deadline(PATIENCE_SECONDS)
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        end_early(child, deadline)


def wait_there(path, child):
    """For sockets where a client that goes would end the program."""
    deadline = Deadline(PATIENCE_SECONDS)
    while not path.exists():
        end_early(child, deadline)


def end_early(child, deadline):
    ended, _, _ = select.select([child.pidfd], [], [], 0.005)
    if ended or deadline.passed():
        child.kill()
        raise DoesNotListen(f"it does not listen: {child.log.read_text(errors='replace')}")


def setup(*words, name=OURS, version=TPM2):
    """swtpm_setup, which finds this swtpm by its name. Returns its status and what it said."""
    done = subprocess.run(["swtpm_setup", "--tpm", f"{name} socket", *version, *map(str, words)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS,
                          check=False)
    return done.returncode, done.stdout


def content(place):
    """Every byte that is there, by its file's name; the lock, which is empty, does not count."""
    place = pathlib.Path(place)
    if not place.is_dir():
        return place.read_bytes()
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*")
            if path.is_file() and path.name != ".lock"}


def private_memory_bytes(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def is_root():
    return os.geteuid() == 0


def run_states(name, place):
    """What it says to --print-states; None if it refuses."""
    done = subprocess.run([name, "socket", "--tpm2", "--print-states", *place_options(place)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def wait_gone(pidfd):
    """For the end of a process that may be no child of ours."""
    if not select.select([pidfd], [], [], PATIENCE_SECONDS)[0]:
        raise TimeoutError("it still runs")
