"""The image on everything that an image may be on, and nbdkit as a daemon."""

import os
import select
import signal
import subprocess
import time

import nbd

from cli.command import MIB
from harness.blob_server import plugin
from harness.child import Deadline
from harness.nbd_server import NbdServer

from .nbdkit_case import BLOBS, NbdkitCase


class Devices(NbdkitCase):
    def use(self, image):
        """Written, killed, served again, ended in good order."""
        server = self.serve(image=image)
        client = self.connect(server, "eeprom")
        client.pwrite(b"one", 0, nbd.CMD_FLAG_FUA)
        server.kill()
        self.clients.clear()
        server.start()
        client = self.connect(server, "eeprom")
        self.assertEqual(client.pread(3, 0), b"one")
        client.pwrite(b"two", 3)
        self.stop(server)
        self.assertEqual(self.stored("eeprom", image)[:6], b"onetwo")
        self.must_be_clean(image)

    def test_file(self):
        self.use(self.image)

    def test_relative_path(self):
        """nbdkit goes to another folder when it becomes a daemon."""
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.workspace.path)
        server = self.serve(image="vm.nvram")
        self.connect(server, "eeprom").pwrite(b"x", 0)
        self.stop(server)
        self.must_be_clean()

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


class Daemon(NbdkitCase):
    def test_it_owns_the_image_and_ends_in_good_order(self):
        socket, pid_file = self.path("daemon.sock"), self.path("daemon.pid")
        self.run_program("nbdkit", "--unix", socket, "--pidfile", pid_file, plugin(), self.image)
        deadline = Deadline(60)
        while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
            self.assertFalse(deadline.passed(), "nbdkit wrote no pid file")
            time.sleep(0.005)
        pid = int(pid_file.read_text())
        pidfd = os.pidfd_open(pid)
        self.addCleanup(self._end, pidfd)
        self.assertEqual(self.json("info", self.image)["owner_pid"], pid)
        self.assertIn(f"in use by process {pid}", self.refused(self.image))
        client = nbd.NBD()
        client.connect_uri(f"nbd+unix:///eeprom?socket={socket}")
        client.pwrite(b"by a daemon", 0)
        client.shutdown()
        self._end(pidfd)
        self.assertEqual(self.stored("eeprom")[:11], b"by a daemon")
        self.must_be_clean()
        self.assertEqual(self.json("info", self.image)["owner_pid"], 0)

    def _end(self, pidfd, seconds=60):
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        except ProcessLookupError:
            return
        self.assertTrue(select.select([pidfd], [], [], seconds)[0], "nbdkit did not end")

    def test_what_is_wrong_is_said_before_it_becomes_one(self):
        said = self.run_program("nbdkit", "--unix", self.path("daemon.sock"), plugin(),
                                self.path("absent.nvram"), status=None)
        self.assertIn("absent.nvram", said)
        self.assertEqual(self.names(), ["vm.nvram"])
