#!/usr/bin/python3
"""What a blob costs as an NBD export, next to nbdkit's own file plugin on the same disk.

Both are measured in turns in one run, so that what else the machine does hits both; compare ratios,
not microseconds. The file plugin keeps the bytes in a raw file, synced when a client asks for it, and
never atomically; ours in an image. OVMF's first boot is measured with real firmware (TCG).
"""

import argparse
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from harness.blob_server import plugin
from harness.child import Child, Deadline
from harness.tpm_process import program
from harness.vnvram import create
from harness.workspace import Workspace

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
BLOB = "uefi.vars"


class Contender:
    """A kind of nbdkit to start again and again."""

    def __init__(self, name, sockets, argv):
        self.name = name
        self.path = sockets.file(name)
        self._argv = ["nbdkit", "--foreground", "--unix", self.path, *argv]
        self._sockets = sockets
        self.child = None
        self.samples_ns = {}
        self.ready_ms = []
        self.pss_kib = []

    def start(self):
        """Until a client is let in. Returns the milliseconds."""
        self.path.unlink(missing_ok=True)
        log = self._sockets.log(self.name)
        begin = time.monotonic()
        self.child = Child(self._argv, log)
        deadline = Deadline(30)
        while not self._accepts():
            if self.child.returncode is not None or deadline.passed():
                raise RuntimeError(f"{self.name} did not start: {log.read_text('utf-8')}")
        return (time.monotonic() - begin) * 1000

    def _accepts(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(str(self.path))
                return True
            except OSError:
                time.sleep(0.0002)  # It tells nobody when it is ready.
                return False

    def stop(self):
        if self.child.terminate() != 0:
            raise RuntimeError(f"{self.name} did not end in good order")

    def uri(self, export=""):
        return f"nbd+unix:///{export}?socket={self.path}"

    def run(self, operation, count):
        done = subprocess.run([program("nbd-latency-client"), self.uri(), operation, str(count)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")
        return [int(line) for line in done.stdout.split()]

    def measure_pss(self):
        for line in pathlib.Path(f"/proc/{self.child.pid}/smaps_rollup").read_text(
                "ascii").splitlines():
            if line.startswith("Pss:"):
                self.pss_kib.append(int(line.split()[1]))


def row(what, theirs, ours, unit, digits=1):
    print(f"{what:38} {theirs:10.{digits}f} {ours:10.{digits}f} {unit:3} {ours / theirs:6.2f}",
          flush=True)


def measure_starts(contenders, rounds):
    """Each alone: PSS divides pages among those who share them."""
    for _ in range(rounds):
        for contender in contenders:
            contender.ready_ms.append(contender.start())
            contender.measure_pss()
            contender.stop()
    theirs, ours = contenders
    row("start to accepting, median", statistics.median(theirs.ready_ms),
        statistics.median(ours.ready_ms), "ms")
    row("idle, PSS", statistics.median(theirs.pss_kib), statistics.median(ours.pss_kib), "KiB", 0)


def measure_requests(contenders, rounds, batch):
    for contender in contenders:
        contender.start()
    for operation, name in (("read", "read of 4 KiB"), ("write-fua", "write of 4 KiB with FUA")):
        for contender in contenders:
            contender.samples_ns[operation] = []
            contender.run(operation, batch)  # Not counted: caches warm up.
        for number in range(rounds):
            for contender in contenders if number % 2 == 0 else contenders[::-1]:
                contender.samples_ns[operation] += contender.run(operation, batch)
        for percent in (50, 99):
            row(f"{name}, p{percent}", *(
                statistics.quantiles(contender.samples_ns[operation], n=100)[percent - 1] / 1000
                for contender in contenders), "us")
    for contender in contenders:
        contender.stop()


def contenders_on(disk, sockets):
    raw = disk.file("raw")
    shutil.copyfile(TEMPLATE, raw)
    image = create(disk.file("image"),
                   "--blob", f"{BLOB}:edk2.variables:{TEMPLATE.stat().st_size}={TEMPLATE}")
    return [Contender("file", sockets, ["file", raw]),
            Contender("vnvram", sockets, [plugin(), image])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", type=pathlib.Path, default=REPOSITORY / "build",
                        help="where the bytes are kept: the disk that is measured")
    parser.add_argument("--quick", action="store_true", help="a few rounds: does it still run?")
    arguments = parser.parse_args()
    starts, rounds, batch = (2, 2, 20) if arguments.quick else (21, 20, 200)
    with Workspace() as sockets, Workspace(arguments.dir) as disk:
        contenders = contenders_on(disk, sockets)
        try:
            print(f"NBD exports over a unix socket; {rounds} rounds of {batch} requests, "
                  f"alternating; bytes in {disk.path}")
            print(f"{'':38} {'nbdkit file':>10} {'vnvram':>9} {'':3} {'ratio':>6}")
            measure_starts(contenders, starts)
            measure_requests(contenders, rounds, batch)
        finally:
            for contender in contenders:
                if contender.child:
                    contender.child.kill()


if __name__ == "__main__":
    main()
