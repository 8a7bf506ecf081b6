"""What is not started, and what `virsh start` says of it. Nothing is made, changed or left running."""

import subprocess
import unittest

from harness.owner_process import OwnerProcess
from harness.vnvram import vnvram

from .libvirt_case import TEMPLATE, LibvirtCase, content_of

SWTPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


class Refusals(LibvirtCase):
    def must_be_refused(self, machine, *words):
        said = machine.refused()
        for word in words:
            self.assertIn(word, said)

    def test_no_image(self):
        machine = self.machine("absent", image=self.workspace.file("absent.nvram"))
        self.must_be_refused(machine, "cannot open", "gets no new one", "vnvram create")
        self.assertFalse(machine.image.exists())

    def test_a_damaged_image(self):
        image = self.new_image()
        with open(image, "r+b") as file:
            file.write(b"x" * 8192)
        before = content_of(image)
        self.must_be_refused(self.machine("damaged", image=image), "vnvram repair")
        self.assertEqual(content_of(image), before)

    def test_an_image_of_another_kind(self):
        image = self.workspace.file("foreign.nvram")
        image.write_bytes(b"not an image" * 100000)
        before = content_of(image)
        self.must_be_refused(self.machine("foreign", image=image), str(image))
        self.assertEqual(content_of(image), before)

    def test_an_image_in_use(self):
        machine = self.machine("in-use")
        owner = OwnerProcess(self.workspace, machine.image)
        self.addCleanup(owner.kill)
        self.assertIn(f"in use by process {owner.pid}", machine.refused())
        owner.stop()
        machine.start()

    def test_a_sealed_image(self):
        machine = self.machine("sealed")
        vnvram("seal", machine.image)
        self.must_be_refused_as_sealed(machine)

    def test_an_image_without_a_tpm(self):
        machine = self.machine("no-tpm", image=self.new_image("--blob", "notes:text:100"))
        self.must_be_refused(machine, "vnvram register")

    def test_a_machine_without_what_the_image_holds(self):
        """It would boot, and with a new TPM, or new variables, or none."""
        both = self.new_image("--tpm2", "--uefi", TEMPLATE)
        self.must_be_refused(self.machine("loses-store", image=both), "its UEFI variables (uefi.vars)",
                             "/run/vnvram/loses-store/nbd.sock")
        for name, tpm in (("loses-tpm", ""), ("other-tpm", SWTPM)):
            self.must_be_refused(self.machine(name, image=both, uefi=True, tpm=tpm),
                                 "holds its TPM", f"/run/vnvram/{name}/tpm.sock")
        self.must_be_refused(self.machine("loses-all", tpm=""), "none of its devices",
                             "/run/vnvram/loses-all/tpm.sock")

    def test_a_copy_of_a_machine_that_runs(self):
        machine = self.counting("original")
        copy = self.machine("copy", image=machine.image, folder=machine.folder)
        said = self.host.refuses("start", copy.name)
        self.assertIn("is this one a copy of it?", said)
        self.must_count_on(machine, 2)
        copy = self.machine("copy-with-folder", image=machine.image)
        self.assertIn("in use by process", copy.refused())
        self.must_count_on(machine, 3)

    def test_words_that_mean_nothing(self):
        def image(attributes):
            return f"<v:image xmlns:v='https://vnvram.org/libvirt/1' {attributes}/>"
        for number, (attributes, word) in enumerate((("", "absolute path"), ("location='vm.nvram'", "absolute path"),
                                 ("location='/x' without='all'", "without="),
                                 ("location='/x' group='nobody-has-this'", "no such group"),
                                 ("location='/x' user='nobody-is-this'", "/x"))):
            machine = self.machine(f"words{number}", metadata=image(attributes))
            self.assertIn(word, machine.refused(), attributes)

    def test_a_machine_that_is_not_ours(self):
        machine = self.machine("stranger", metadata="", tpm="").start()
        self.assertFalse(self.host.inside(machine.folder).exists())
        self.host.must("destroy", machine.name)
        machine = self.machine("without-metadata", metadata="")
        machine.listen()
        self.assertIn("tpm.sock", self.host.refuses("start", machine.name))  # By QEMU.

    def test_where_no_libvirt_is(self):
        done = subprocess.run([self.host.HOOK], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("NAME OPERATION", done.stderr)


if __name__ == "__main__":
    unittest.main()
