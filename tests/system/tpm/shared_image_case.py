"""One image that two hosts see, and the TPM processes on it: what a QEMU does with them, and what must hold."""

import os
import pathlib

from harness.vnvram import create, info
from tpm.support import FAIL, TpmCase

PERMANENT, VOLATILE, SAVE_STATE = KINDS = 1, 2, 3
DELETE_VOLATILE = 1
SEALED = 30  # An exit code.


def fetch(control):
    """As QEMU does it."""
    blobs = {}
    for kind in KINDS:
        result, _, blobs[kind] = control.get_blob(kind)
        if result != 0:
            raise AssertionError(f"state {kind} is not given: {result:#x}")
    return blobs


def take(control, blobs):
    """As QEMU does it. Returns the first result that is no success, or 0."""
    if result := control.stop():
        return result
    for kind, blob in blobs.items():
        if blob and (result := control.set_blob(kind, blob)):
            return result
    return control.init(DELETE_VOLATILE)


class Host:
    """A TPM process, and what a QEMU has of it."""

    def __init__(self, case, tpm):
        self.tpm = tpm
        self.control = case.control(tpm)
        self.guest = self.control.take_control()
        case.addCleanup(self.guest.close)

    def log_text(self):
        return pathlib.Path(self.tpm.log).read_text(errors="replace")

    def qemu_ends(self):
        self.guest.close()
        self.control.close()


class SharedImageCase(TpmCase):
    image_words = ("--tpm2",)
    tpm_words = ()

    def setUp(self):
        super().setUp()
        self.image = create(self.workspace.file("shared.img"), *self.image_words)

    def location(self):
        return self.image

    def start_host(self, *options):
        return Host(self, self.start(self.location(), options=("--shared", *self.tpm_words, *options)))

    def start_source(self):
        """One whose counter was raised."""
        source = self.start_host()
        self.assertEqual(source.control.init(), 0)
        self.assertEqual(source.guest.startup(), 0)
        source.guest.define_counter()
        source.guest.must_increment()
        return source, source.guest.counter()

    def start_target(self):
        """The image is not opened by it."""
        before = self.owner()
        target = self.start_host("--incoming")
        self.assertEqual(self.owner(), before)
        self.assertFalse(self.has_open(target))
        return target

    def has_open(self, host):
        opened = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{host.tpm.pid}/fd").iterdir()]
        return str(self.image) in opened

    def owner(self):
        found = self.info()
        return found["epoch"], found["generation"], found["owner_pid"], found["sealed"]

    def info(self):
        return info(self.image)

    def comes_to_nothing(self):
        """A migration after which the source goes on, and the target not. Returns both, and what its counter says."""
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        self.assertEqual(source.control.lock_storage(), 0)
        self.must_go_on(source, count)
        self.assertEqual(take(target.control, blobs), FAIL)  # Too late.
        self.must_go_on(source, count + 1)
        return source, target, count + 2

    def must_go_on(self, host, count):
        self.assertEqual(host.guest.counter(), count)
        host.guest.must_increment()
        self.assertEqual(host.guest.counter(), count + 1)
        self.assertFalse(self.info()["sealed"])
        self.assertEqual(self.info()["owner_pid"], host.tpm.pid)

    def must_not_go_on(self, host):
        before = self.owner()
        self.assertEqual(host.control.lock_storage(), FAIL)
        self.assertNotEqual(host.guest.increment(), 0)
        self.assertEqual(self.owner(), before)

    def refused_to_start(self, *options):
        return self.refused(self.image, "--ctrl", f"unix:{self.workspace.file('none')}", "--shared",
                            *self.tpm_words, *options)[0]
