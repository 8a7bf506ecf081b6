#!/usr/bin/python3
"""What a durable TPM2_NV_Increment costs a client of the plain-command socket, next to swtpm.

All contenders keep their state on the same disk and are measured in turns in one run, a batch each,
so that what else the machine does hits all of them; compare ratios, not microseconds. Once with a
fresh state (1.3 KiB), once with a full one (more than 120 KiB). What the answers promise differs:
vnvram-tpm and vnvram-swtpm answer when the change is durable, swtpm's `dir` never syncs, its `file`
calls msync.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from harness.child import Child, Deadline
from harness.tpm_process import TpmProcess, program
from harness.vnvram import create, vnvram
from harness.workspace import Workspace

COUNTER = 0x1500001
AREAS = (0x1600000, 60)
SWTPM_FLAGS = ["--flags", "not-need-init,startup-clear"]


class Contender:
    """A running TPM and its socket."""

    def __init__(self, name, pid, path, state_bytes):
        self.name = name
        self.pid = pid
        self.path = path
        self.state_bytes = state_bytes
        self.samples_ns = []

    def client(self, *words):
        done = subprocess.run(
            [program("tpm-latency-client"), self.path, *map(str, words)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")
        return [int(line) for line in done.stdout.split()]

    def pss_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise RuntimeError(f"{self.name}: no Pss in smaps_rollup")


def start_vnvram_tpm(sockets, disk, children):
    image = create(pathlib.Path(tempfile.mkdtemp(dir=disk.path), "nvram.img"), "--tpm2")
    path = sockets.file("vnvram")
    tpm = TpmProcess(sockets, image, server=path)
    children.append(tpm)
    return Contender("vnvram-tpm", tpm.pid, path, lambda: permanent_bytes(image))


def permanent_bytes(image):
    blobs = json.loads(vnvram("ls", "--json", image))
    blobs = blobs.get("blobs", blobs) if isinstance(blobs, dict) else blobs
    return next(b["size_bytes"] for b in blobs if b["name"] == "tpm2.permanent")


def answers(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
            return True
        except OSError:
            return False


def start_swtpm(sockets, children, name, state, state_bytes, swtpm="swtpm"):
    path = sockets.file(name.replace(" ", "-"))
    argv = [swtpm, "socket", "--tpm2", "--tpmstate", state,
            "--server", f"type=unixio,path={path}", *SWTPM_FLAGS]
    child = Child(argv, sockets.log(name))
    children.append(child)
    deadline = Deadline(30)
    while not answers(path):  # It tells nobody when it is ready.
        if child.returncode is not None or deadline.passed():
            raise RuntimeError(f"{name} did not start: {child.log.read_text('utf-8')}")
        time.sleep(0.01)
    return Contender(name, child.pid, path, state_bytes)


def starters(sockets, disk, children):
    """One function per contender, each of which starts it with a fresh state."""
    def start_dir():
        folder = pathlib.Path(tempfile.mkdtemp(dir=disk.path))
        return start_swtpm(sockets, children, "swtpm dir", f"dir={folder}",
                           lambda: (folder / "tpm2-00.permall").stat().st_size)

    def start_file():
        handle, name = tempfile.mkstemp(dir=disk.path)
        os.close(handle)
        return start_swtpm(sockets, children, "swtpm file", f"backend-uri=file://{name}",
                           lambda: os.stat(name).st_size)

    def start_in_its_place():
        folder = pathlib.Path(tempfile.mkdtemp(dir=disk.path))
        return start_swtpm(sockets, children, "vnvram-swtpm", f"dir={folder}",
                           lambda: permanent_bytes(folder / "tpm2-00.permall"),
                           swtpm=program("vnvram-swtpm"))

    return [lambda: start_vnvram_tpm(sockets, disk, children), start_in_its_place, start_dir, start_file]


def print_idle_memory(start_functions, children):
    """Each alone: PSS divides pages among those who share them, and all share libtpms."""
    print(f"{'idle, fresh state':18} {'PSS KiB':>9} {'ours/its':>9}")
    ours = None
    for start in start_functions:
        contender = start()
        contender.client("define", COUNTER)
        pss_kib = contender.pss_kib()
        ours = ours or pss_kib
        children.pop().kill()
        contender.path.unlink(missing_ok=True)
        print(f"{contender.name:18} {pss_kib:9} {ours / pss_kib:9.2f}", flush=True)
    print()


def measure(contenders, rounds, batch):
    for contender in contenders:
        contender.samples_ns.clear()
        contender.client("increment", COUNTER, batch)  # Not counted: caches warm up.
    for number in range(rounds):
        turn = number % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            contender.samples_ns += contender.client("increment", COUNTER, batch)


def print_row(state, contenders):
    ours = statistics.median(contenders[0].samples_ns)
    for contender in contenders:
        quantiles = statistics.quantiles(contender.samples_ns, n=100)
        p50 = statistics.median(contender.samples_ns)
        print(f"{state:6} {contender.name:12} {contender.state_bytes():8} "
              f"{p50 / 1000:9.1f} {quantiles[98] / 1000:9.1f} {ours / p50:8.2f}", flush=True)


def run(arguments, sockets, disk, children):
    start_functions = starters(sockets, disk, children)
    print_idle_memory(start_functions, children)
    contenders = [start() for start in start_functions]
    for contender in contenders:
        contender.client("define", COUNTER)
    print(f"TPM2_NV_Increment over a unix socket; {arguments.rounds} rounds of {arguments.batch} "
          f"each, alternating; state in {disk.path}")
    print(f"{'state':6} {'TPM':12} {'bytes':>8} {'p50 us':>9} {'p99 us':>9} {'ours/its':>8}")
    measure(contenders, arguments.rounds, arguments.batch)
    print_row("fresh", contenders)
    for contender in contenders:
        contender.client("fill", *AREAS)
    measure(contenders, arguments.rounds, arguments.batch)
    print_row("full", contenders)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", type=pathlib.Path, default=REPOSITORY / "build",
                        help="where the states are kept: the disk that is measured")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=100, help="increments in a row per round")
    parser.add_argument("--quick", action="store_true", help="a few rounds: does it still run?")
    parser.add_argument("--realtime", action="store_true",
                        help="ahead of everybody else's processes, on a machine that is busy; as root")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.batch = 3, 20
    if arguments.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # The children inherit it.
    children = []
    with Workspace() as sockets, Workspace(arguments.dir) as disk:
        try:
            run(arguments, sockets, disk, children)
        finally:
            for child in children:
                child.kill()


if __name__ == "__main__":
    main()
