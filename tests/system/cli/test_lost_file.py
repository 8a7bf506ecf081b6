"""An image's file that is removed, or that another one replaces, while a program has it open: whoever
asks by its name is told who has it, and what is in it can be saved."""

import subprocess

from harness.blob_server import BlobServer
from harness.tpm_process import TpmProcess
from harness.vm_image import wait_until_let_go

from .command import ABSENT, Case


class LostFileTest(Case):
    def setUp(self):
        super().setUp()
        self.create("--tpm2", "--blob", "a:t:4K")
        self.vnvram("put", self.image, "a", "-", input=b"kept")

    def nbdkit(self, image):
        server = BlobServer(self.workspace, image)
        self.addCleanup(server.kill)
        return server, server.child.pid, "nbdkit"

    def tpm(self, image):
        tpm = TpmProcess(self.workspace, image)
        self.addCleanup(tpm.kill)
        return tpm, tpm.pid, "vnvram-tpm"

    def save(self, lost, pid, program):
        """What the owner has can be copied, and holds what was acknowledged."""
        self.assertEqual((lost["pid"], lost["program"]), (pid, program))
        self.assertTrue(lost["copy_from"].startswith(f"/proc/{pid}/fd/"), lost)
        saved = self.path("saved.nvram")
        subprocess.run(["cp", "--sparse=never", lost["copy_from"], saved], check=True)
        self.assertEqual(self.vnvram("get", saved, "a"), b"kept")

    def test_removed(self):
        for start in (self.nbdkit, self.tpm):
            with self.subTest(start.__name__):
                owner, pid, program = start(self.image)
                self.assertIsNone(self.json("info", self.image)["lost_file"])
                other_name = self.path("other-name")
                other_name.hardlink_to(self.image)  # To have it again below.
                self.image.unlink()
                self.assertIn(f"process {pid} ({program})",
                              self.run_vnvram("info", self.image).stderr.decode())
                lost = self.json("info", self.image, status=ABSENT)
                self.assertEqual(set(lost), {"lost_file"})
                self.save(lost["lost_file"], pid, program)
                said = f"cp --sparse=never {lost['lost_file']['copy_from']} COPY"
                for words in (("info",), ("ls",), ("get", "a"), ("check",), ("rm", "a")):
                    command, *rest = words
                    self.vnvram(command, self.image, *rest, status=ABSENT, message=said)
                owner.kill()
                done = self.run_vnvram("info", self.image, "--json")
                self.assertEqual((done.returncode, done.stdout), (ABSENT, b""))
                self.assertNotIn(b"process", done.stderr)
                other_name.rename(self.image)

    def test_replaced(self):
        for start in (self.nbdkit, self.tpm):
            with self.subTest(start.__name__):
                owner, pid, program = start(self.image)
                other = self.path("other.nvram")
                self.vnvram("create", other, "--blob", "a:t:4K", "--tpm2")
                self.vnvram("put", other, "a", "-", input=b"kept")
                other.rename(self.image)
                info = self.json("info", self.image)
                self.assertTrue(info["clean"])
                self.save(info["lost_file"], pid, program)
                self.assertRegex(self.vnvram("info", self.image).decode(),
                                 rf"(?m)^trouble: +process {pid} \({program}\) .*/proc/{pid}/fd/")
                owner.kill()
                self.assertIsNone(self.json("info", self.image)["lost_file"])

    def test_by_other_names(self):
        """A relative one, and a link, which leads nowhere now."""
        link = self.path("link.nvram")
        link.symlink_to(self.image.name)
        _, pid, _ = self.tpm(link)
        self.image.unlink()
        for name in ("vm.nvram", "./vm.nvram", "link.nvram"):
            done = self.run_vnvram("info", name, cwd=self.workspace.path)
            self.assertEqual(done.returncode, ABSENT, done)
            self.assertIn(f"process {pid} ", done.stderr.decode(), name)

    def test_a_vm_image(self):
        """QEMU's program has it; it is copied as the VM image that it is."""
        image = self.path("vm.qcow2")
        self.addCleanup(wait_until_let_go, self.workspace.path)
        self.vnvram("create", image, "--blob", "a:t:4K")
        self.nbdkit(image)
        image.unlink()
        lost = self.json("info", image, status=ABSENT)["lost_file"]
        self.assertEqual(lost["program"], "qemu-nbd")
        with open(lost["copy_from"], "rb") as file:
            self.assertEqual(file.read(4), b"QFI\xfb")

    def test_what_only_looks_like_it(self):
        """A file that is only read is nobody's image; nor is one that still has its name."""
        reader = self.path("vm.nvram (deleted)")
        reader.write_bytes(b"mine")
        with open(reader, "r+b"), open(self.image, "rb"):
            self.image.unlink()
            reader_of_another = self.run_vnvram("info", self.image, "--json")
        self.assertEqual((reader_of_another.returncode, reader_of_another.stdout), (ABSENT, b""))
