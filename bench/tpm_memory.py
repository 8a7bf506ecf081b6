#!/usr/bin/python3
"""What an idle TPM takes of memory: vnvram-swtpm next to swtpm, with the same state.

Private memory (what the process alone has) and PSS (with its share of libraries), after INIT and
TPM2_Startup, when nothing has been asked for a while. The ratio is what counts; how busy the machine is
does not matter. With --maps by what it was mapped from.
"""

import argparse
import os
import pathlib
import shutil
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from harness.workspace import Workspace
from swtpm import facts
from swtpm.programs import OURS, SWTPM, Swtpm
from tpm.support import ControlClient

CLEAN, DIRTY = "Private_Clean", "Private_Dirty"
SHOWN = ("Pss", DIRTY, CLEAN)
# After one, ours gives back what is free.
IDLE_SECONDS = 2


class Idle:
    """A TPM that is switched on, with clients of both its channels."""

    def __init__(self, workspace, folder, name):
        self.process = Swtpm(workspace, folder, name=name)
        self.control = ControlClient(self.process.control)
        self.client = self.process.client()
        if self.control.init() != 0 or self.client.startup() != 0:
            raise RuntimeError(f"{name} does not start: {self.process.log_text()}")

    def off(self):
        self.client.close()
        self.control.close()
        self.process.stop()

    def totals_kib(self):
        return read_kib(pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text("ascii"))

    def maps_kib(self):
        """By name, what is private of each, and changed."""
        found = {}
        name = ""
        for line in pathlib.Path(f"/proc/{self.process.pid}/smaps").read_text("ascii").splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                name = words[5] if len(words) > 5 else "(memory)"
                name += " " + words[1]
            elif words[0][:-1] == DIRTY:
                found[name] = found.get(name, 0) + int(words[1])
        return found


def read_kib(text):
    return {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith("kB")}


def make_state(workspace, folder, fills):
    folder.mkdir()
    made = Idle(workspace, folder, SWTPM)
    facts.make(made.client)
    if fills:
        facts.fill(made.client)
    made.off()


def show(title, ours, theirs):
    print(f"{title:24} {ours:10} {theirs:10} KiB {ours / theirs:6.2f}", flush=True)


def measure(workspace, what, fills, with_maps):
    folder = workspace.file(what.replace(" ", "-"))
    make_state(workspace, folder, fills)
    both = {}
    for name, program in (("ours", OURS), ("theirs", SWTPM)):
        copied = shutil.copytree(folder, workspace.file(f"{folder.name}-{name}"))
        if program == OURS:  # The first start takes the state over; a usual one is measured.
            Idle(workspace, copied, program).off()
        both[name] = Idle(workspace, copied, program)
    time.sleep(IDLE_SECONDS)
    totals = {name: idle.totals_kib() for name, idle in both.items()}
    print(f"{what:24} {'ours':>10} {'swtpm':>10}")
    for word in SHOWN:
        show(f"  {word}", totals["ours"][word], totals["theirs"][word])
    show("  private", *(totals[name][CLEAN] + totals[name][DIRTY] for name in both))
    for name, idle in both.items() if with_maps else ():
        print(f"  {name}, {DIRTY}:")
        for place, kib in sorted(idle.maps_kib().items(), key=lambda pair: -pair[1]):
            if kib:
                print(f"    {kib:6} KiB {place}")
    for idle in both.values():
        idle.off()


def write_out():
    """Pages of a program that was built just now would count as changed by who runs it."""
    with open(OURS, "rb") as file:
        os.fsync(file.fileno())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--maps", action="store_true", help="of what it consists")
    arguments = parser.parse_args()
    write_out()
    with Workspace() as workspace:
        for what, fills in (("a used TPM", False), ("a full TPM", True)):
            measure(workspace, what, fills, arguments.maps)


if __name__ == "__main__":
    main()
