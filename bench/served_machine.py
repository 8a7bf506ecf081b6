#!/usr/bin/python3
"""What it costs that a machine's devices are served from one image by `vnvram serve`.

Next to the same devices with an image each in their own process (vnvram-tpm, nbdkit's vnvram plugin):
a durable TPM2_NV_Increment, and an NBD write with FUA, in turns in one run; compare ratios, not
microseconds. Then what a served machine takes by itself: memory, the time until it is ready, and how
long an NBD write takes that meets the owner's restart.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from harness.blob_server import BlobServer
from harness.machine_process import MachineProcess
from harness.tpm_process import TpmProcess, program
from harness.vnvram import create, vnvram
from harness.workspace import Workspace
from tpm.support import ControlClient

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
EXPORT = "uefi.vars"
COUNTER = 0x1500001
MIB = 1 << 20


def run_client(name, *words, inherits=()):
    """Returns the nanoseconds that it has measured."""
    done = subprocess.run([program(name), *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, pass_fds=inherits)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip()}")
    return [int(line) for line in done.stdout.split()]


class Tpm:
    """The TPM behind a control socket, as QEMU has it: switched on, with a counter."""

    def __init__(self, control):
        self._control = ControlClient(control)
        self._commands = self._control.take_control()
        if self._control.init() != 0 or self._commands.startup() != 0:
            raise RuntimeError("the TPM does not start")
        self._ask("define")

    def increment(self, count):
        return self._ask("increment", count)

    def _ask(self, what, *words):
        commands = self._commands.sock.fileno()
        return run_client("tpm-latency-client", f"fd:{commands}", what, COUNTER, *words,
                          inherits=[commands])

    def off(self):
        self._commands.close()
        self._control.close()


def write_fua(uri, count):
    return run_client("nbd-latency-client", uri, "write-fua", count)


def measure_in_turns(own, served, rounds, batch):
    """Two functions of a count; returns the nanoseconds of each."""
    samples = {own: [], served: []}
    for ask in samples:
        ask(batch)  # Not counted: caches warm up.
    for number in range(rounds):
        for ask in list(samples) if number % 2 == 0 else list(samples)[::-1]:
            samples[ask] += ask(batch)
    return samples[own], samples[served]


def print_times(what, own_ns, served_ns):
    for percent in (50, 99):
        own, served = (statistics.quantiles(samples, n=100)[percent - 1] / 1000
                       for samples in (own_ns, served_ns))
        print(f"{f'{what}, p{percent}':38} {own:10.1f} {served:10.1f} us  {served / own:6.2f}",
              flush=True)


def create_image(disk, name, *options):
    image = disk.file(name)
    image.unlink(missing_ok=True)
    return create(image, *options)


def machine_image(disk):
    return create_image(disk, "machine", "--tpm2", "--uefi", TEMPLATE)


def measure_requests(disk, sockets, children, rounds, batch):
    tpm = TpmProcess(sockets, create_image(disk, "tpm", "--tpm2"))
    children.append(tpm)
    exports = BlobServer(sockets, create_image(
        disk, "flash", "--blob", f"{EXPORT}:edk2.variables:{TEMPLATE.stat().st_size}={TEMPLATE}"))
    children.append(exports)
    machine = MachineProcess(sockets, machine_image(disk))
    children.append(machine)
    own, served = Tpm(tpm.control), Tpm(machine.control)
    print_times("TPM2_NV_Increment",
                *measure_in_turns(own.increment, served.increment, rounds, batch))
    print_times("NBD write of 4 KiB with FUA", *measure_in_turns(
        lambda count: write_fua(exports.uri(EXPORT), count),
        lambda count: write_fua(machine.uri(EXPORT), count), rounds, batch))
    print_restarts(machine, batch)
    for tpm_client in (own, served):
        tpm_client.off()
    for child in (machine, exports, tpm):
        child.stop()


def print_restarts(machine, batch):
    """The longest of so many writes, in the middle of which the owner is exchanged."""
    longest_ms, told_ms = [], []
    for _ in range(9):
        writer = subprocess.Popen(
            [program("nbd-latency-client"), machine.uri(EXPORT), "write-fua", str(50 * batch)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        begin = time.monotonic()
        vnvram("restart", machine.address)
        told_ms.append((time.monotonic() - begin) * 1000)
        output, _ = writer.communicate()
        if writer.returncode != 0:
            raise RuntimeError("a write that met the owner's restart failed")
        longest_ms.append(max(int(line) for line in output.split()) / 1e6)
    print(f"the owner's restart under NBD writes: the longest one {statistics.median(longest_ms):.0f} ms, "
          f"`vnvram restart` {statistics.median(told_ms):.0f} ms, medians of {len(longest_ms)}")


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss in smaps_rollup")


def context_switches(pid):
    """Of all its threads: how often one of them has slept."""
    count = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            status = (task / "status").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):  # A thread that has just ended.
            continue
        for line in status.splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                count += int(line.split()[1])
    return count


def measure_starts(disk, sockets, children, rounds):
    """Nothing else of ours runs: PSS divides pages among those who share them."""
    ready_ms = []
    for _ in range(rounds):
        image = machine_image(disk)
        begin = time.monotonic()
        machine = MachineProcess(sockets, image)
        children.append(machine)
        ready_ms.append((time.monotonic() - begin) * 1000)
        machine.stop()
    machine = MachineProcess(sockets, machine_image(disk))
    children.append(machine)
    tpm = Tpm(machine.control)
    processes = {"supervisor": machine.pid, **machine.processes()}
    write_fua(machine.uri(EXPORT), 1)
    before = {name: context_switches(pid) for name, pid in processes.items()}
    time.sleep(10)
    woken = {name: context_switches(pid) - before[name] for name, pid in processes.items()}
    pss = {name: pss_kib(pid) for name, pid in processes.items()}
    print(f"ready after {statistics.median(ready_ms):.0f} ms, median of {rounds}")
    print("wake-ups in the 10 s after a write: "
          + ", ".join(f"{name} {count}" for name, count in woken.items()))
    print(f"idle since then, PSS {sum(pss.values()) / 1024:.1f} MiB: "
          + ", ".join(f"{name} {kib} KiB" for name, kib in pss.items()))
    tpm.off()
    machine.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", type=pathlib.Path, default=REPOSITORY / "build",
                        help="where the images are kept: the disk that is measured")
    parser.add_argument("--quick", action="store_true", help="a few rounds: does it still run?")
    parser.add_argument("--realtime", action="store_true",
                        help="ahead of everybody else's processes, on a machine that is busy; as root")
    arguments = parser.parse_args()
    rounds, batch, starts = (2, 20, 2) if arguments.quick else (20, 100, 21)
    if arguments.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # The children inherit it.
    children = []
    with Workspace() as sockets, Workspace(arguments.dir) as disk:
        try:
            print(f"{'':38} {'own image':>10} {'served':>10} {'':3} {'ratio':>6}")
            measure_requests(disk, sockets, children, rounds, batch)
            measure_starts(disk, sockets, children, starts)
        finally:
            for child in children:
                child.kill()


if __name__ == "__main__":
    main()
