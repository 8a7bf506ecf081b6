"""The image on everything that an image may be on, and nbdkit as a daemon."""

import os
import subprocess

import nbd

from cli.command import MIB
from harness.blob_server import plugin
from harness.nbd_server import NbdServer
from harness.vm_image import programs_of, wait_until_let_go

from .blob_daemon import BlobDaemon, kill_programs_of
from .nbdkit_case import BLOBS, NbdkitCase, SIZES


class Devices(NbdkitCase):
    def use(self, image):
        """Written, killed, served again, ended in good order."""
        server = self.serve(image=image)
        client = self.connect(server, "eeprom")
        client.pwrite(b"one", 0, nbd.CMD_FLAG_FUA)
        server.kill()
        self.clients.clear()
        wait_until_let_go(image)  # By the qemu-nbd of its own.
        server.start()
        client = self.connect(server, "eeprom")
        self.assertEqual(client.pread(3, 0), b"one")
        client.pwrite(b"two", 3)
        self.stop(server)
        self.assertEqual(self.stored("eeprom", image)[:6], b"onetwo")
        self.must_be_clean(image)

    def test_file(self):
        self.use(self.image)

    def test_block_device(self):
        """As root only. The workspace lets the device go if the test cannot."""
        done = subprocess.run(["losetup", "--find", "--show", self.image], check=True,
                              capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        self.use(device)

    def test_qcow2(self):
        image = self.path("vm.qcow2")
        self.vnvram("create", image, *BLOBS)
        self.use(image)
        self.run_program("qemu-img", "check", "-q", image)

    def test_export_of_another_server(self):
        other = NbdServer(self.workspace, "nbdkit", self.file("disk", bytes(8 * MIB)))
        self.children.append(other)
        self.vnvram("create", other.uri, *BLOBS)
        self.use(other.uri)


class DaemonCase(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.daemon = BlobDaemon(self)
        self.vm_image = self.path("vm.qcow2")
        self.vnvram("create", self.vm_image, *BLOBS)

    def write(self, content, flags=0):
        client = self.connect(self.daemon, "eeprom")
        client.pwrite(content, 0, flags)
        client.shutdown()
        self.clients.clear()


class Daemon(DaemonCase):
    def end_in_good_order(self, image):
        self.write(b"by a daemon")
        self.daemon.stop()
        # Its private qemu-nbd ended before it did.
        self.assertEqual(programs_of(image), [])
        self.assertEqual(self.stored("eeprom", image)[:11], b"by a daemon")
        self.must_be_clean(image)

    def test_it_owns_the_image_and_ends_in_good_order(self):
        self.daemon.start(self.image)
        self.assertEqual(self.json("info", self.image)["owner_pid"], self.daemon.pid)
        self.assertIn(f"in use by process {self.daemon.pid}", self.refused(self.image))
        self.end_in_good_order(self.image)
        self.assertEqual(self.json("info", self.image)["owner_pid"], 0)

    def test_the_same_of_a_vm_image(self):
        """qemu-nbd was started by the process that has ended, and serves the daemon."""
        self.daemon.start(self.vm_image)
        self.assertEqual(len(programs_of(self.vm_image)), 2)
        self.assertIn("another program has this VM image open", self.refused(self.vm_image))
        self.end_in_good_order(self.vm_image)
        self.run_program("qemu-img", "check", "-q", self.vm_image)

    def test_a_killed_daemon_takes_its_qemu_nbd_with_it(self):
        self.daemon.start(self.vm_image)
        self.write(b"durable", nbd.CMD_FLAG_FUA)
        self.daemon.kill()
        wait_until_let_go(self.vm_image)
        self.assertEqual(self.stored("eeprom", self.vm_image)[:7], b"durable")
        self.vnvram("check", self.vm_image)

    def test_relative_path(self):
        """nbdkit goes to another folder when it becomes a daemon."""
        for name in ("vm.nvram", "vm.qcow2"):
            with self.subTest(name):
                self.daemon.start(name, folder=self.workspace.path)
                self.end_in_good_order(self.path(name))

    def test_what_is_wrong_is_said_before_it_becomes_one(self):
        before = self.names()
        self.assertIn("absent.nvram", self.daemon.start(self.path("absent.nvram"), status=1))
        self.assertEqual(self.names(), before)


class ForOneCommand(DaemonCase):
    """`--run`: nbdkit ends with the command."""

    def test_copy(self):
        """nbdkit's first process runs the command, and its second one serves. The first one waits
        for the second one's end, and until then has a copy of each descriptor."""
        content = os.urandom(SIZES["uefi.vars"])
        source = self.file("source", content)
        for image in (self.image, self.vm_image):
            with self.subTest(image.name):
                self.addCleanup(kill_programs_of, image)
                self.run_program("nbdkit", "--unix", "-", plugin(), image, "export=uefi.vars",
                                 "--run", f'nbdcopy {source} "$uri"')
                self.assertEqual(programs_of(image), [])
                self.assertEqual(self.stored("uefi.vars", image), content)
                self.must_be_clean(image)

    def test_the_commands_status_is_nbdkits(self):
        for image in (self.image, self.vm_image):
            with self.subTest(image.name):
                self.addCleanup(kill_programs_of, image)
                self.run_program("nbdkit", "--unix", "-", plugin(), image, "--run", "exit 3",
                                 status=3)
                self.must_be_clean(image)
