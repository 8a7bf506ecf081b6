"""`vnvram serve` and nbdkit on an image in a Ceph cluster, confined as they are by default."""

import os
import signal
import subprocess
import time
import unittest

import nbd  # libnbd's own binding

from cli.command import SEALED
from harness.blob_server import plugin
from harness.child import PATIENCE_SECONDS, Deadline
from harness.long_test import long_test
from serve.machine_case import Incrementer, MachineCase

from .ceph_case import OnCeph


class ServeTest(OnCeph, MachineCase):
    def setUp(self):
        self.rbd_name = self.new_name()
        super().setUp()

    def create(self, *_options):
        self.image = self.location(self.rbd_name)
        return super().create()

    def must_be_clean(self):
        self.vnvram("check", self.image)
        self.assertTrue(self.json("info", self.image)["clean"])

    def write(self, client, number):
        client.pwrite(number.to_bytes(8, "big"), 0, nbd.CMD_FLAG_FUA)

    def number(self, client):
        return int.from_bytes(client.pread(8, 0), "big")

    @long_test
    def test_a_machine_lives_through_an_osds_death(self):
        machine = self.start_machine()
        counter = Incrementer(self.tpm(machine))
        client = self.connect(machine, "nvram")
        for number in range(1, 3):
            counter.must_go_on(10)
            self.write(client, number)
            self.cluster.kill_osd()
            self.cluster.restart_osd()
            self.assertEqual(self.number(client), number)
        counter.must_go_on(10)
        count = counter.stop()
        self.assertEqual(counter.tpm.client.counter(), count)
        self.assertEqual(int.from_bytes(self.vnvram("get", machine.address, "nvram")[:8], "big"), 2)
        counter.tpm.off()
        self.end(machine)

    @long_test
    def test_what_librbd_does_by_itself_ends_nobody(self):
        """Half a minute behind a lock that it has broken it is a timer; when the cluster does not answer, all that
        it can think of."""
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        os.kill(machine.processes()["owner"], signal.SIGKILL)
        self.write(client, 1)
        owner = machine.processes()["owner"]
        deadline = Deadline(40)
        while not deadline.passed():
            self.assertEqual(machine.processes().get("owner"), owner, machine.log_text())
            time.sleep(1)
        self.cluster.kill_osd()
        try:
            with self.assertRaises(nbd.Error):
                self.write(client, 2)
        finally:
            self.cluster.restart_osd()
        self.assertEqual(machine.processes().get("owner"), owner, machine.log_text())
        self.vnvram("restart", machine.address)
        self.write(client, 3)
        self.clients.clear()
        self.end(machine)

    @long_test
    def test_the_next_owner_has_all_that_a_killed_one_has_answered(self):
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        for number in range(1, 21):
            self.write(client, number)
        machine.kill_all()
        self.clients.clear()
        machine = self.start_machine(tpm=False)  # When the cluster has let go of the lock.
        self.assertEqual(self.number(self.connect(machine, "nvram")), 20)
        self.end(machine)

    def test_a_fenced_owner_answers_nothing_more(self):
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        self.write(client, 1)
        self.shut_out(self.rbd_name)
        with self.assertRaises(nbd.Error):
            self.write(client, 2)
        self.vnvram("put", self.image, "eeprom", "-", input=b"the next one's")
        with self.assertRaises(nbd.Error):
            self.write(client, 3)
        self.assertEqual(int.from_bytes(self.vnvram("get", self.image, "nvram")[:8], "big"), 1)
        self.vnvram("check", self.image)

    def test_nbdkit_becomes_a_daemon(self):
        """What librbd has begun does not survive a fork: it is begun anew."""
        socket, pid_file = self.path("nbd.sock"), self.path("nbd.pid")
        environment = {**os.environ, "CEPH_CONF": str(self.cluster.conf)}
        self.run_program("env", f"CEPH_CONF={environment['CEPH_CONF']}", "nbdkit", "--unix", socket,
                         "--pidfile", pid_file, plugin(), f"image=rbd:rbd/{self.rbd_name}")
        pidfd = os.pidfd_open(int(pid_file.read_text("ascii")))
        self.addCleanup(self._kill, pidfd)
        client = nbd.NBD()
        client.connect_uri(f"nbd+unix:///nvram?socket={socket}")
        self.write(client, 7)
        self.assertEqual(self.number(client), 7)
        client.shutdown()
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        deadline = Deadline(PATIENCE_SECONDS)
        while self.owner_of(self.rbd_name) is not None:
            self.assertFalse(deadline.passed(), "it does not end")
        self.assertEqual(int.from_bytes(self.vnvram("get", self.image, "nvram")[:8], "big"), 7)
        self.must_be_clean()

    def test_nbdkit_takes_no_file_that_a_daemon_would_not_find(self):
        for option in ("conf=ceph.conf", "keyring=keys", "keyfile=key"):
            done = subprocess.run(["nbdkit", "--unix", str(self.path("no.sock")), str(plugin()),
                                   f"image=rbd:rbd/{self.rbd_name}:{option}"], check=False,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"another folder", done.stderr)

    @staticmethod
    def _kill(pidfd):
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(pidfd)

class MoveTest(OnCeph, MachineCase):
    """From a file into the cluster, within it, and out of it, under a machine that runs."""

    def test_a_machine_goes_on_in_the_cluster(self):
        machine = self.start_machine()
        counter = Incrementer(self.tpm(machine))
        client = self.connect(machine, "nvram")
        places = [self.image, self.location(self.new_name()), self.location(self.new_name()), self.path("out.nvram")]
        for old, new in zip(places, places[1:]):
            counter.must_go_on(5)
            client.pwrite(b"before", 0, nbd.CMD_FLAG_FUA)
            self.vnvram("move", machine.address, new)
            counter.must_go_on(5)
            self.assertEqual(client.pread(6, 0), b"before")
            self.assertEqual(self.json("status", machine.address)["location"], str(new))
            self.vnvram("put", old, "eeprom", "-", input=b"x", status=SEALED, message=str(new))
        count = counter.stop()
        self.assertEqual(counter.tpm.client.counter(), count)
        counter.tpm.off()
        self.clients.clear()
        machine.stop()
        self.vnvram("check", places[-1])


if __name__ == "__main__":
    unittest.main()
