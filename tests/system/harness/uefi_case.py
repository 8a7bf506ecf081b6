"""Machines whose UEFI variables are a blob of an image."""

import shutil
import subprocess

from efi.application import uefi_application
from guest.guest_image import GuestImage, guest_image

from .blob_server import BlobServer
from .case import GuestCase
from .child import Deadline, PATIENCE_SECONDS
from .firmware import BLOB, PLAIN
from .qemu import Qemu
from .tpm_process import program
from .vnvram import create

STARTED = rb"started\n"  # The application, on the debug port.
REFUSED = rb"Access Denied|Security Violation"  # The firmware, on the console.
# An instruction takes 128 ns of the guest's time, however long it takes here: the firmware looks
# for a TPM for 1.5 seconds of that time in each boot.
FAST = ("-icount", "shift=7,sleep=off")
# A firmware writes its variables byte by byte, thousands of times until it has started: seconds on an idle machine,
# minutes where each of them waits for its turn.
BOOT_PATIENCE_SECONDS = 420


class UefiCase(GuestCase):
    """Linux, or the test's UEFI application: it boots faster, and tells more."""

    firmware = PLAIN

    def setUp(self):
        self.image_options = self.firmware.create_options()
        super().setUp()
        self.count = 0

    def new_image(self):
        """As `image` was at first."""
        self.count += 1
        return create(self.workspace.file(f"nvram{self.count}.img"), *self.image_options)

    def serve(self, image=None, *options):
        server = BlobServer(self.workspace, image or self.image, *options)
        self.children.append(server)
        return server

    def start_linux(self, server, options=(), **more):
        return self._start(server, guest_image(), options, **more)

    def boot_linux(self, server, options=()):
        return self.start_linux(server, options).wait_ready()

    def start_application(self, server, *commands, options=(), **more):
        """The firmware loads it as it loads a kernel. Its commands are in efi/variables.c."""
        return self._start(server, GuestImage(uefi_application(), None),
                           (*self.commands(*commands), *options), **more)

    def boot_application(self, server, *commands, options=(), **more):
        """Waits until it runs."""
        qemu = self.start_application(server, *commands, options=options, **more)
        qemu.record.expect(STARTED, BOOT_PATIENCE_SECONDS)
        return qemu

    def start_from_disk(self, server, program, *commands, options=()):
        """As an installed machine starts. It is what Secure Boot guards: the firmware verifies what
        it finds on a disk, but starts whatever QEMU hands it as a kernel."""
        self.count += 1
        folder = self.workspace.file(f"disk{self.count}")
        target = folder / "EFI" / "BOOT" / "BOOTX64.EFI"
        target.parent.mkdir(parents=True)
        shutil.copy(program, target)
        return self._start(server, GuestImage(None, None), (
            *self.commands(*commands), *options,
            "-blockdev", f"driver=vvfat,node-name=disk,read-only=on,dir={folder}",
            "-device", "virtio-blk-pci,drive=disk"))

    def commands(self, *commands):
        """Options that give the application its commands."""
        self.count += 1
        path = self.workspace.file(f"commands{self.count}")
        path.write_text("\n".join(commands), "ascii")
        return (*FAST, "-m", "64", "-fw_cfg", f"name=opt/vnvram/commands,file={path}")

    def _start(self, server, image, options, **more):
        qemu = Qemu(self.workspace, image, **more,
                    options=(*self.firmware.machine_options(server.socket), *options))
        self.children.append(qemu)
        return qemu


def wait_until_durable(server, image, *options, seconds=PATIENCE_SECONDS):
    """Until the image, read beside its owner, holds what the export shows. Nobody writes to the
    export meanwhile, and no flush is asked for: QEMU never asks while the guest runs, and a client
    that only reads goes without one."""
    deadline = Deadline(seconds)
    while read_export(server) != read_blob(image, *options):
        if deadline.passed():
            raise TimeoutError(f"{image} is not what its export shows after {seconds} s")


def read_export(server):
    """Its bytes, as one more client of the server sees them."""
    return subprocess.run(["nbdcopy", server.uri(BLOB), "-"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=60, check=True).stdout


def read_blob(image, *options):
    """The bytes on the image. `options`: what opens it, if it is encrypted."""
    return subprocess.run([program("vnvram"), "get", image, BLOB, *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=60, check=True).stdout
