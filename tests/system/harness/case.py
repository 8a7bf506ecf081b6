"""What every test with a real guest needs: a folder, the guest's files, a TPM, machines."""

import unittest

from guest.guest_image import guest_image

from .qemu import Qemu
from .recipe import recipe
from .shows_logs import ShowsLogs
from .storage_daemon import StorageDaemon
from .tpm_process import TpmProcess
from .vnvram import create, must_be_clean
from .workspace import Workspace

COUNTER = "0x1500001"
AREA = "0x1500002"
SEALED = "0x81000010"
SECRET = "the-horse-eats-cucumber-salad"
AREA_TEXT = "kept-in-the-nv-area"


class GuestCase(ShowsLogs, unittest.TestCase):
    """Ends every process it started, in any case; shows all logs when the test fails."""

    image_name = "nvram.img"
    image_options = ("--tpm2",)
    model = "tpm-crb"

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.children = []
        self.addCleanup(self._end_children)
        self.image = create(self.workspace.file(self.image_name), *self.image_options)

    def _end_children(self):
        for child in reversed(self.children):
            child.kill()

    def start_tpm(self, image=None, options=(), admin=False):
        tpm = TpmProcess(self.workspace, image or self.image, None, options, admin)
        self.children.append(tpm)
        return tpm

    def kill_tpm(self, tpm):
        """Nobody has its image open on return."""
        tpm.kill()

    def start_storage_daemon(self, image):
        daemon = StorageDaemon(self.workspace, image)
        self.children.append(daemon)
        return daemon

    def boot(self, tpm, disk=None):
        """A machine whose guest is ready."""
        return self.start_machine(tpm, disk).wait_ready()

    def start_machine(self, tpm, disk=None, incoming=None, options=()):
        qemu = Qemu(self.workspace, guest_image(), tpm.control, self.model, disk, incoming, options)
        self.children.append(qemu)
        return qemu

    def boot_with_drive(self, nbd=None):
        """A machine that owns its TPM's drive, started as contrib/recipes does it."""
        tpm = self.start_tpm("-", options=("--detached", "--tpm2"), admin=True)
        qemu = self.start_machine(tpm, options=("--preconfig", *nvram_drive(self.image)))
        recipe("start_qemu_owned.py", qemu.operator, tpm.admin,
               nbd or self.workspace.file("drive.nbd"))
        return tpm, qemu.wait_ready()

    def check(self, image=None):
        must_be_clean(image or self.image)


def nvram_drive(image):
    """Options for a QEMU that owns a qcow2 image."""
    return ("-blockdev", f"driver=qcow2,node-name=nvram,file.driver=file,file.filename={image}")


def store_three_things(qemu):
    """A counter, an NV area and a sealed secret under a persistent handle, with tpm2-tools."""
    qemu.must(f"tpm2_nvdefine {COUNTER} -C o -s 8 -a 'nt=counter|ownerwrite|ownerread'")
    for _ in range(3):
        qemu.must(f"tpm2_nvincrement {COUNTER} -C o")
    qemu.must(f"tpm2_nvdefine {AREA} -C o -s {len(AREA_TEXT)} -a 'ownerwrite|ownerread'")
    qemu.must(f"printf %s {AREA_TEXT} > area && tpm2_nvwrite {AREA} -C o -i area")
    qemu.must("tpm2_createprimary -Q -C o -G ecc -c primary")
    qemu.must(f"printf %s {SECRET} > secret && "
              "tpm2_create -Q -C primary -i secret -u public -r private")
    qemu.must("tpm2_load -Q -C primary -u public -r private -c sealed")
    qemu.must(f"tpm2_evictcontrol -Q -C o -c sealed {SEALED}")


def read_counter(qemu):
    """The value, through tpm2-tools."""
    text = qemu.must(f"tpm2_nvread {COUNTER} -C o -s 8 | hexdump -v -e '/1 \"%02x\"'")
    return int(text, 16)


def three_things(qemu):
    """Reads them back: (counter, area, secret)."""
    return (read_counter(qemu), qemu.must(f"tpm2_nvread {AREA} -C o -s {len(AREA_TEXT)}"),
            qemu.must(f"tpm2_unseal -c {SEALED}"))
