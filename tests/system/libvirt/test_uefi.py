"""A machine with TPM and UEFI variables on one image: both are there again, and of one moment."""

import unittest
import xml.etree.ElementTree as ElementTree

from harness import efivars
from harness.case import COUNTER
from harness.vnvram import info, vnvram

from .libvirt_case import TEMPLATE, LibvirtCase


class Uefi(LibvirtCase):
    def test_what_is_printed_is_what_libvirt_takes(self):
        image, name = self.new_image("--tpm2", "--uefi", TEMPLATE), "printed"
        sockets = [f"unix:/run/vnvram/{name}/{each}.sock" for each in ("owner", "tpm", "nbd")]
        printed = vnvram("serve", image, "--print", "libvirt", "--control", sockets[0],
                         "--tpm", sockets[1], "--nbd", sockets[2])
        domain = ElementTree.fromstring(printed)
        parts = {key: "".join(ElementTree.tostring(each, encoding="unicode")
                              for each in domain.find(place))
                 for key, place in (("store", "os"), ("tpm", "devices"))}
        machine = self.counting(name, image=image, **parts)
        efivars.write(machine, "Kept", "printf first")
        machine.power_off()
        self.check(machine)

    def test_both_come_back_in_every_order(self):
        machine = self.counting("uefi", image=self.new_image("--tpm2", "--uefi", TEMPLATE), uefi=True)
        efivars.write(machine, "Kept", "printf first")
        self.host.must("managedsave", machine.name)
        self.assertTrue(info(machine.image)["sealed"])
        said = machine.refused("--force-boot")
        self.assertIn(f"vnvram unseal {machine.image}", said)
        vnvram("unseal", machine.image)

        machine.start()
        self.assertEqual(efivars.read(machine, "Kept"), "first")
        started = efivars.starts(machine)
        self.must_count_on(machine, 2)
        file = self.workspace.file("uefi.save")
        self.host.must("save", machine.name, file)
        machine.restore(file)
        self.assertEqual(efivars.read(machine, "Kept"), "first")
        self.assertEqual(efivars.starts(machine), started)
        efivars.write(machine, "Kept", "printf second")
        self.must_count_on(machine, 3)
        machine.power_off()
        self.check(machine)

        machine.start()
        self.assertEqual(efivars.read(machine, "Kept"), "second")
        self.assertGreater(efivars.starts(machine), started)
        self.assertEqual(int(machine.must(f"nvloop read {COUNTER}")), 3)


if __name__ == "__main__":
    unittest.main()
