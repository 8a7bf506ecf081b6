"""Every variable store that Debian's ovmf package has boots from an export."""

import unittest

from efi.application import uefi_application
from harness.firmware import ENROLLED, OPEN, OVMF
from harness.uefi_case import BOOT_PATIENCE_SECONDS, REFUSED, STARTED, UefiCase, read_blob
from harness.vnvram import create


class Templates(UefiCase):
    def test_all_are_tried(self):
        self.assertEqual({path.name for path in OVMF.glob("OVMF_VARS*.fd")},
                         {firmware.template for firmware in (*OPEN, *ENROLLED)})

    def test_without_keys_anything_starts(self):
        for self.firmware in OPEN:
            with self.subTest(self.firmware.code):
                self.boot(lambda qemu: qemu.record.expect(STARTED, BOOT_PATIENCE_SECONDS))

    def test_with_keys_only_what_is_signed_starts(self):
        for self.firmware in ENROLLED:
            with self.subTest(self.firmware.template):
                self.boot(lambda qemu: qemu.console.expect(REFUSED, BOOT_PATIENCE_SECONDS))

    def boot(self, wait):
        self.count += 1
        image = create(self.workspace.file(f"template{self.count}.img"),
                       *self.firmware.create_options())
        server = self.serve(image)
        qemu = self.start_from_disk(server, uefi_application())
        wait(qemu)
        qemu.kill()  # The firmware may be writing, and QEMU 7.2 then does not always quit.
        server.stop()
        self.check(image)
        self.assertNotEqual(read_blob(image), self.firmware.template_path.read_bytes(),
                            "the firmware has written nothing")


if __name__ == "__main__":
    unittest.main()
