#!/usr/bin/python3
"""What OVMF's first boot costs on our export, next to nbdkit's file plugin in its place.

Real firmware (TCG), started on a fresh variable store each time until it runs an application; nbdkit's
file plugin, ours with the image, and `vnvram serve` take turns. Then once more with our plugin under the
recorder of vnvram-powercut, which counts what reached the image; a served image's owner counts itself.
"""

import argparse
import operator
import pathlib
import re
import shutil
import statistics
import struct
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from efi.application import uefi_application
from guest.guest_image import GuestImage
from harness.blob_server import plugin
from harness.child import Child, Deadline
from harness.firmware import BLOB, PLAIN
from harness.machine_process import MachineProcess
from harness.qemu import Qemu
from harness.tpm_process import program
from harness.uefi_case import STARTED
from harness.vnvram import create, vnvram
from harness.workspace import Workspace

OPERATION = struct.Struct("=Q QQ")  # Kind (padded), offset, length: tests/powercut/trace.h.
WRITE, WRITE_DURABLE, FLUSH = 1, 2, 3
FLUSHES_MAX = 300  # Of a boot that takes no longer than this:
SECONDS_USUAL = 6


class Boot:
    """One first boot."""

    def __init__(self, sockets, plugin_and_options, started_by=()):
        self._sockets = sockets
        self._path, self._pid_file = sockets.file("exports"), sockets.file("exports.pid")
        self._argv = [*started_by, "nbdkit", "--foreground", "--filter=exitlast",
                      "--unix", self._path, "--pidfile", self._pid_file,
                      *plugin_and_options]

    def run(self):
        """Returns the seconds."""
        for left in (self._path, self._pid_file):
            left.unlink(missing_ok=True)
        server = Child(self._argv, self._sockets.log("nbdkit"))
        try:
            deadline = Deadline(30)
            while not self._pid_file.exists():  # It writes it when it listens.
                if server.returncode is not None or deadline.passed():
                    raise RuntimeError(server.log.read_text("utf-8"))
                time.sleep(0.001)
            result = self._boot()
            if server.wait() != 0:
                raise RuntimeError(server.log.read_text("utf-8"))
            return result
        finally:
            server.kill()

    def _boot(self):
        commands = self._sockets.file("commands")
        commands.write_text("", "ascii")
        begin = time.monotonic()
        qemu = Qemu(self._sockets, GuestImage(uefi_application(), None), options=(
            *PLAIN.machine_options(self._path), "-m", "64",
            "-fw_cfg", f"name=opt/vnvram/commands,file={commands}"))
        try:
            qemu.record.expect(STARTED, 120)
            return time.monotonic() - begin
        finally:
            qemu.kill()


class ServedBoot(Boot):
    """On a machine's image, behind its owner and a nbdkit that is a session of it."""

    def __init__(self, sockets, image):
        super().__init__(sockets, [])
        self._image = image
        self.flushes = 0

    def run(self):
        machine = MachineProcess(self._sockets, self._image, tpm=False)
        try:
            self._path = machine.nbd
            seconds = self._boot()
            self.flushes = flushes_of(vnvram("metrics", machine.address))
            machine.stop()
            return seconds
        finally:
            machine.kill()


def flushes_of(metrics):
    """A durable write is one as well."""
    counters = dict(re.findall(r"^(vnvram_\w+) (\S+)$", metrics, re.MULTILINE))
    return int(float(counters["vnvram_device_durable_writes_total"])
               + float(counters["vnvram_device_flushes_total"]))


def on_file_plugin(sockets, disk):
    folder = disk.file("files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copyfile(PLAIN.template_path, folder / BLOB)
    return Boot(sockets, ["file", f"dir={folder}"])


def fresh_image(disk):
    image = disk.file("image")
    image.unlink(missing_ok=True)
    return create(image, *PLAIN.create_options())


def on_our_plugin(sockets, disk):
    return Boot(sockets, [plugin(), fresh_image(disk)])


def served(sockets, disk):
    return ServedBoot(sockets, fresh_image(disk))


def device_cost(trace):
    """(writes, bytes, flushes): a durable write is both a write and a flush."""
    content, at = (trace / "operations").read_bytes(), 8
    writes = size = flushes = 0
    while at < len(content):
        kind, _, length = OPERATION.unpack_from(content, at)
        kind &= 0xFF
        at += OPERATION.size
        if kind in (WRITE, WRITE_DURABLE):
            at += length
            writes, size = writes + 1, size + length
        flushes += kind in (WRITE_DURABLE, FLUSH)
    return writes, size, flushes


def count_requests(sockets, disk):
    """The firmware's writes."""
    log = sockets.file("requests")
    Boot(sockets, ["--filter=log", plugin(), fresh_image(disk), f"logfile={log}"]).run()
    return len(re.findall(r" Write id=", log.read_text("utf-8")))


def count_device_cost(sockets, disk):
    trace, image = disk.file("trace"), fresh_image(disk)
    recorder = [program("vnvram-powercut"), "record", trace, image, "--"]
    seconds = Boot(sockets, [plugin(), image], recorder).run()
    # One for each 10 ms in which the firmware wrote; on a slow machine those are more.
    return *device_cost(trace), max(FLUSHES_MAX, int((seconds - SECONDS_USUAL) / 0.010))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", type=pathlib.Path, default=REPOSITORY / "build",
                        help="where the bytes are kept: the disk that is measured")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    kinds = {"nbdkit file": on_file_plugin, "vnvram": on_our_plugin, "vnvram serve": served}
    seconds = {name: [] for name in kinds}
    flushes_served = []
    with Workspace() as sockets, Workspace(arguments.dir) as disk:
        requests = count_requests(sockets, disk)  # Its time does not count: caches warm up.
        for number in range(arguments.rounds):
            for name, kind in list(kinds.items())[::1 if number % 2 == 0 else -1]:
                boot = kind(sockets, disk)
                seconds[name].append(boot.run())
                if name == "vnvram serve":
                    flushes_served.append(boot.flushes)
        print(f"OVMF's first boot, medians of {arguments.rounds}, alternating: " + ", ".join(
            f"{name} {statistics.median(found):.2f} s" for name, found in seconds.items()))
        for name in list(kinds)[1:]:
            # Of each round's two, which had the same machine: it is not the same for a whole run.
            ratio = statistics.median(map(operator.truediv, seconds[name], seconds["nbdkit file"]))
            print(f"{name}: ratio {ratio:.2f}")
        print(f"vnvram serve: {statistics.median(flushes_served):.0f} flushes, the opening included")
        writes, size, flushes, flushes_max = count_device_cost(sockets, disk)
        print(f"the firmware's {requests} writes made {writes} writes of the device, {size} bytes, "
              f"{flushes} flushes, opening and closing included")
        if flushes > flushes_max:
            sys.exit(f"more than {flushes_max} flushes")


if __name__ == "__main__":
    main()
