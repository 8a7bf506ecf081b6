"""A device that fails under nbdkit: what clients are answered, and what is there afterwards."""

import errno
import time

import nbd

from harness.child import Deadline

from .failing_device import FailingDevice
from .nbdkit_case import NbdkitCase


class Failing(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.device = FailingDevice(self.workspace, self.image)
        self.children.append(self.device)

    def must_fail(self, request, *arguments):
        with self.assertRaises(nbd.Error) as failed:
            request(*arguments)
        self.assertEqual(failed.exception.errnum, errno.EIO)

    def must_be_refused(self, client):
        self.must_fail(client.pwrite, b"later", 100)
        self.must_fail(client.pwrite, b"later", 100, nbd.CMD_FLAG_FUA)
        self.must_fail(client.zero, 1, 0)
        self.must_fail(client.flush)

    def fail_with(self, server, request):
        """From the failure on, nothing is written until nbdkit has been started again: neither by
        who saw it nor by others, those who come later included, and not by a device that works
        again. What is read is right: nobody has written there."""
        eeprom, nvram = (self.connect(server, name) for name in ("eeprom", "nvram"))
        eeprom.pwrite(b"before", 0, nbd.CMD_FLAG_FUA)
        nvram.pwrite(b"other", 0, nbd.CMD_FLAG_FUA)
        self.device.fail()
        request(eeprom)
        self.must_be_refused(eeprom)
        self.must_be_refused(nvram)
        self.device.work_again()
        self.must_be_refused(eeprom)
        self.must_be_refused(self.connect(server, "nvram"))
        self.assertEqual(eeprom.pread(6, 0), b"before")
        self.assertEqual(self.connect(server, "nvram").pread(5, 0), b"other")
        said = server.log.read_text()
        for word in (self.device.uri, "a commit failed", "cannot durably write",
                     "Input/output error", "open the image again"):
            self.assertIn(word, said)

    def start_again(self, server):
        """Returns the eeprom's first bytes."""
        server.start()
        client = self.connect(server, "eeprom")
        found = client.pread(6, 0)
        self.assertEqual(self.connect(server, "nvram").pread(5, 0), b"other")
        client.pwrite(b"works again", 200)
        self.stop(server)
        self.device.kill()
        self.must_be_clean()
        self.assertEqual(self.stored("eeprom")[200:211], b"works again")
        self.assertEqual(self.stored("eeprom")[:6], found)
        return found

    def test_a_durable_write(self):
        server = self.serve(image=self.device.uri)
        self.fail_with(server, lambda client: self.must_fail(client.pwrite, b"failed", 50,
                                                             nbd.CMD_FLAG_FUA))
        self.stop(server)
        self.assertEqual(self.start_again(server), b"before")

    def test_the_flush_after_a_write(self):
        def request(client):
            client.pwrite(b"failed", 50)
            self.must_fail(client.flush)
        server = self.serve("sync=60s", image=self.device.uri)
        self.fail_with(server, request)
        # Readers are not told yet that it is lost.
        self.assertEqual(self.connect(server, "eeprom").pread(6, 50), b"failed")
        server.kill()
        self.clients.clear()
        self.assertEqual(self.start_again(server), b"before")
        self.assertEqual(self.stored("eeprom")[50:56], bytes(6))

    def test_the_log_tells_of_a_write_that_nobody_waits_for(self):
        server = self.serve("sync=10ms", image=self.device.uri)
        client = self.connect(server, "eeprom")
        client.pwrite(b"before", 0, nbd.CMD_FLAG_FUA)
        self.device.fail()
        client.pwrite(b"failed", 0)
        deadline = Deadline(60)
        while "open the image again" not in server.log.read_text():
            self.assertFalse(deadline.passed(), "it logs nothing")
            time.sleep(0.005)
        said = server.log.read_text()
        self.assertIn("a commit failed", said)
        self.assertEqual(said.count("open the image again"), 1, said)
        self.must_be_refused(client)

    def test_ending_it_says_what_is_lost(self):
        """SIGTERM is nbdkit's good end, and its status stays 0."""
        server = self.serve("sync=60s", image=self.device.uri)
        self.connect(server, "nvram").pwrite(b"other", 0, nbd.CMD_FLAG_FUA)
        client = self.connect(server, "eeprom")
        client.pwrite(b"before", 0, nbd.CMD_FLAG_FUA)
        client.pwrite(b"lost..", 0)
        self.device.fail()
        self.stop(server)
        self.assertIn("a commit failed", server.log.read_text())
        self.device.work_again()
        self.assertEqual(self.start_again(server), b"before")
