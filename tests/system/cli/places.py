"""Where an image can be: a file, a block device, a VM image, an NBD export. Each with the same content
when it is new: zeros, or what it is told to hold."""

import os
import pathlib
import subprocess

from harness.nbd_server import NbdServer
from harness.vm_image import wait_until_let_go

from .command import MIB

SIZE = 6 * MIB


def run(*argv):
    return subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120).stdout.strip()


class Place:
    """`location` is what the command is given; `raw` holds the bytes that an image begins at."""

    def __init__(self, case):
        self.case = case
        self.raw = case.path("vm.nvram")
        self.hold(bytes(SIZE))

    def hold(self, content):
        """Not while somebody has it open."""
        self.raw.write_bytes(content)

    def content(self):
        return self.raw.read_bytes()

    def absent(self):
        return self.case.path("none.nvram")

    def end(self):
        """Nothing is left behind."""

    def make_unwritable(self):
        """Returns what to start the command with, so that it meets a place that nobody can write to."""
        folder = self.case.workspace.path
        return ["unshare", "--mount", "sh", "-ec",
                'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"', folder]

    def break_under(self, pid):
        """What a process has open fails from now on."""
        run("prlimit", "--fsize=0", "--pid", pid)


class File(Place):
    name = "file"

    def __init__(self, case):
        super().__init__(case)
        self.location = self.raw


class BlockDevice(Place):
    name = "block device"

    def __init__(self, case):
        self.location = None
        super().__init__(case)
        self.location = run("losetup", "--find", "--show", self.raw)

    def hold(self, content):
        self.raw.write_bytes(content)
        if self.location:
            run("losetup", "--set-capacity", self.location)
            run("blockdev", "--flushbufs", self.location)

    def content(self):
        return pathlib.Path(self.location).read_bytes()

    def absent(self):
        return "/dev/vnvram-is-not-there"

    def end(self):
        # The next one who gets this device must be able to write to it.
        run("blockdev", "--setrw", self.location)
        run("losetup", "--detach", self.location)

    def make_unwritable(self):
        run("blockdev", "--setro", self.location)
        return []

    def break_under(self, _):
        os.truncate(self.raw, MIB // 4)
        run("losetup", "--set-capacity", self.location)


class VmImage(Place):
    name = "VM image"

    def __init__(self, case):
        self.vm_image = case.path("vm.qcow2")
        super().__init__(case)
        self.location = self.vm_image

    def hold(self, content):
        self.raw.write_bytes(content)
        # All of it is allocated, as `vnvram create` has it.
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-S", "0", self.raw, self.vm_image)

    def content(self):
        wait_until_let_go(self.vm_image)
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.vm_image, self.raw)
        return self.raw.read_bytes()

    def absent(self):
        return self.case.path("none.qcow2")

    def end(self):
        wait_until_let_go(self.case.workspace.path)

    def break_under(self, pid):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for child in children:
            if pathlib.Path(os.readlink(f"/proc/{child}/exe")).name == "qemu-nbd":
                os.kill(int(child), 9)


class NbdExport(Place):
    name = "NBD export"

    def __init__(self, case):
        super().__init__(case)
        self.server = NbdServer(case.workspace, "nbdkit", self.raw)
        case.addCleanup(self.server.kill)
        self.location = self.server.uri

    def absent(self):
        return f"nbd+unix:///?socket={self.case.path('nobody')}"

    def end(self):
        self.server.kill()

    def make_unwritable(self):
        self.server.restart_read_only()
        return []

    def break_under(self, _):
        self.server.kill()


PLACES = (File, BlockDevice, VmImage, NbdExport)
