"""An image in a Ceph cluster is taken over from an owner that is silent, and may come back to life."""

import os
import signal
import time
import unittest

import nbd  # libnbd's own binding

from cli.command import IN_USE, WRONG_KEY
from serve.machine_case import MachineCase

from .ceph_case import OnCeph


class TakeoverTest(OnCeph, MachineCase):
    def setUp(self):
        self.rbd_name = self.new_name()
        super().setUp()

    def create(self, *_options):
        self.image = self.location(self.rbd_name)
        return super().create()

    def write(self, client, number):
        client.pwrite(number.to_bytes(8, "big"), 0, nbd.CMD_FLAG_FUA)

    def silence(self, machine):
        """Its host is not heard of any more: its owner is stopped in the middle of what it does."""
        pids = [machine.pid, machine.processes()["owner"]]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self._go_on, pid)
        return pids

    @staticmethod
    def _go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def number_in_image(self):
        return int.from_bytes(self.vnvram("get", self.image, "nvram")[:8], "big")

    def test_it_is_shut_out_and_commits_nothing_when_it_comes_back(self):
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        self.write(client, 1)
        owned = self.json("info", self.image)
        pids = self.silence(machine)
        begin = time.monotonic()
        found = self.json("takeover", self.image)
        print(f"took {time.monotonic() - begin:.1f} s", flush=True)
        self.assertEqual((found["taken_over"], found["owner_pid"]), (True, owned["owner_pid"]))
        self.assertGreater(found["epoch"], owned["epoch"])
        self.assertEqual(self.number_in_image(), 1)
        for pid in pids:
            self._go_on(pid)
        with self.assertRaises(nbd.Error):
            self.write(client, 2)
        self.assertEqual(self.number_in_image(), 1)
        self.assertIn("shut this client out", machine.log_text())
        self.vnvram("put", self.image, "eeprom", "-", input=b"the next one's")
        self.vnvram("check", self.image)

    def test_for_a_wrong_key_nobody_is_shut_out(self):
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        self.write(client, 1)
        key = self.file("key", b"a key that nobody guesses")
        self.vnvram("takeover", self.image, "--key", f"file:{key}", status=WRONG_KEY)
        self.write(client, 2)
        self.assertEqual(self.number_in_image(), 2)

    def test_a_machine_takes_over_from_one_that_is_alive(self):
        """Two hosts, and who is told to go on does; the other never says success again."""
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        self.write(client, 1)
        other = self.start_machine("--take-over", tpm=False)
        with self.assertRaises(nbd.Error):
            self.write(client, 2)
        there = self.connect(other, "nvram")
        self.assertEqual(int.from_bytes(there.pread(8, 0), "big"), 1)
        self.write(there, 3)
        self.vnvram("restart", other.address)  # The owner after it takes nothing over, and opens it.
        self.write(there, 4)
        self.clients.clear()
        other.stop()
        self.assertEqual(self.number_in_image(), 4)
        # And it is not started again on it, as a client that the cluster knows nothing of.
        os.kill(machine.processes()["owner"], signal.SIGKILL)
        self.assertEqual(machine.child.wait(), IN_USE)
        self.assertEqual(self.number_in_image(), 4)

    def test_without_the_feature_whoever_watches_is_shut_out(self):
        self.rbd_name = self.new_name()
        self.cluster.rbd("create", self.rbd_name, "--size", "8M", "--image-feature", "layering")
        self.create()
        machine = self.start_machine(tpm=False)
        client = self.connect(machine, "nvram")
        self.write(client, 1)
        pids = self.silence(machine)
        self.vnvram("takeover", self.image)  # No word is needed.
        for pid in pids:
            self._go_on(pid)
        with self.assertRaises(nbd.Error):
            self.write(client, 2)
        self.assertEqual(self.number_in_image(), 1)


if __name__ == "__main__":
    unittest.main()
