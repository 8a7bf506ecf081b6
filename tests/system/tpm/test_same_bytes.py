"""The same bytes everywhere: one image goes round raw file, loop device, qcow2, VMDK, VHDX, VDI and
NBD, by the tools that people copy disks with, and is used in every place."""

import os
import pathlib
import subprocess
import unittest

from support import TpmCase, program, vnvram

from harness.nbd_server import NbdServer
from harness.vm_image import image_format, qemu_img, wait_until_let_go
from harness.vnvram import info

# No multiple of what formats and devices like to round up to.
SIZE_KIB = 4100
BLOBS = ("tpm2.permanent", "tpm2.volatile", "tpm2.savestate", "vars")


class SameBytes(TpmCase):
    def setUp(self):
        super().setUp()
        self.count = 0
        self.expected = None

    def content(self, image):
        """All that is in it."""
        blobs = {name: subprocess.run(
            [program("vnvram"), "get", image, name], check=True, capture_output=True).stdout
            for name in BLOBS}
        described = info(image)
        # Whatever it lies on, the image is as long as it was made.
        return blobs, described["uuid"], described["generation"], described["image_size_bytes"]

    def use(self, image):
        """It holds what it held before the step, and a TPM goes on with it."""
        image = str(image)
        vnvram("check", image)
        content = self.content(image)
        if self.expected is not None:
            self.assertEqual(content, self.expected)
        tpm = self.start_server(image)
        client = self.client()
        if self.count == 0:
            client.define_counter()
        else:
            self.assertEqual(client.counter(), self.count)
        for _ in range(3):
            self.assertEqual(client.increment(), 0)
        self.count = client.counter()
        client.sock.close()
        tpm.stop()
        wait_until_let_go(image)
        vnvram("check", image)
        self.expected = self.content(image)

    def loop_device(self, raw):
        """The image on a block device, a little larger than it."""
        backing = self.workspace.file("backing")
        with open(backing, "wb") as file:
            file.truncate(5 << 20)
        done = subprocess.run(["losetup", "--find", "--show", backing], check=True,
                              capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=True)
        qemu_img("convert", "-n", "-f", "raw", "-O", "raw", raw, device)
        return device

    def convert(self, source, source_format, target_format):
        target = self.workspace.file(f"copy.{target_format}")
        qemu_img("convert", "-f", source_format, "-O", target_format, source, target)
        self.assertEqual(image_format(target), target_format)
        return target

    def test_round_trip(self):
        raw = self.workspace.file("vm.nvram")
        vars_file = self.workspace.file("vars.bin")
        vars_file.write_bytes(os.urandom(100_000))
        vnvram("create", raw, "--size", f"{SIZE_KIB}K", "--tpm2", "--blob",
               f"vars:uefi-vars:128K={vars_file}")
        self.use(raw)
        source, source_format = raw, "raw"
        if os.geteuid() == 0 and pathlib.Path("/dev/loop-control").exists():
            source = self.loop_device(raw)
            self.use(source)
        for target_format in ("qcow2", "vmdk", "vhdx", "vdi"):
            source = self.convert(source, source_format, target_format)
            source_format = target_format
            self.use(source)
        for kind in ("nbdkit", "qemu-nbd"):
            disk = self.workspace.file(f"{kind}.disk")
            disk.write_bytes(bytes(8 << 20))
            server = NbdServer(self.workspace, kind, disk)
            self.children.append(server)
            self.copy(source, source_format, server.uri)
            source, source_format = server.uri, "nbd"
            self.use(source)
        back = self.workspace.file("back.nvram")
        self.copy(source, source_format, back)
        self.use(back)

    @staticmethod
    def copy(source, source_format, target):
        """By nbdcopy, which has a qemu-nbd of its own for what is no NBD server."""
        if source_format != "nbd":
            source = ["[", "qemu-nbd", "--read-only", "--format", source_format, source, "]"]
        else:
            source = [source]
        subprocess.run(["nbdcopy", "--", *map(str, source), str(target)], check=True, timeout=120)


if __name__ == "__main__":
    unittest.main()
