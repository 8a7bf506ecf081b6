"""What is on the image when nbdkit is killed: what each request and each setting promises."""

import signal
import time

import nbd

from harness.child import Deadline, PATIENCE_SECONDS
from harness.logged_device import LoggedDevice

from .nbdkit_case import EEPROM, NbdkitCase

# Longer than any test takes: what becomes durable does so because it was asked for.
NEVER = "sync=60s"
MUCH_EARLIER = 20  # seconds


class Durability(NbdkitCase):
    def kill(self, server):
        server.kill()
        self.clients.clear()

    def wait_stored(self, content, seconds=PATIENCE_SECONDS):
        """Nothing tells when an unflushed write has arrived but the image."""
        deadline = Deadline(seconds)
        while self.stored("eeprom")[:len(content)] != content:
            self.assertFalse(deadline.passed(), f"not on the image after {seconds} s")
            time.sleep(0.002)

    def test_an_unflushed_write_stays_away_until_its_time(self):
        server = self.serve(NEVER)
        client = self.connect(server, "eeprom")
        client.pwrite(b"unflushed", 0)
        self.assertEqual(client.pread(9, 0), b"unflushed")
        self.assertEqual(self.stored("eeprom"), bytes(EEPROM))
        self.kill(server)
        self.assertEqual(self.stored("eeprom"), bytes(EEPROM))
        self.vnvram("check", self.image)

    def test_any_time_is_kept(self):
        for option in ((), ("sync=5ms",), ("sync=500us",), ("sync=1s",), ("sync=20",)):
            with self.subTest(option):
                server = self.serve(*option)
                content = repr(option).encode()
                self.connect(server, "eeprom").pwrite(content, 0)
                self.wait_stored(content)
                self.kill(server)
                self.assertEqual(self.stored("eeprom")[:len(content)], content)

    def test_each_answered_write_with_sync_always(self):
        for option in ("sync=always", "sync=0", "sync=0ms"):
            with self.subTest(option):
                server = self.serve(option)
                client = self.connect(server, "eeprom")
                client.zero(EEPROM, 0)
                client.pwrite(option.encode(), 3)
                self.kill(server)
                self.assertEqual(self.stored("eeprom").strip(b"\0"), option.encode())
                self.vnvram("check", self.image)

    def test_what_was_asked_for(self):
        """One request makes itself durable, and everything before it, on every export."""
        requests = {
            "FUA write": (lambda client: client.pwrite(b"!", 200, nbd.CMD_FLAG_FUA), b"!"),
            "FUA zero": (lambda client: client.zero(1, 200, nbd.CMD_FLAG_FUA), b"\0"),
            "flush": (lambda client: client.flush(), b"?"),
            "flush of another connection": (lambda _: self.clients[1].flush(), b"?"),
        }
        for number, (name, (request, then)) in enumerate(requests.items()):
            with self.subTest(name):
                server = self.serve(NEVER)
                client, other = self.connect(server, "eeprom"), self.connect(server, "nvram")
                content = f"{number} before it".encode()
                client.pwrite(content, 0)
                client.pwrite(b"?", 200)
                other.pwrite(content, 0)
                request(client)
                self.kill(server)
                self.assertEqual(self.stored("eeprom")[:len(content)], content)
                self.assertEqual(self.stored("eeprom")[200:201], then)
                self.assertEqual(self.stored("nvram")[:len(content)], content)

    def test_disconnecting(self):
        """Of one client, while another one stays. Only then does the client's end have an event."""
        server = self.serve(NEVER)
        self.connect(server, "nvram")
        client = nbd.NBD()
        client.connect_uri(server.uri("eeprom"))
        client.pwrite(b"disconnected", 0)
        client.shutdown()
        self.wait_stored(b"disconnected", MUCH_EARLIER)
        self.kill(server)
        self.assertEqual(self.stored("eeprom")[:12], b"disconnected")

    def test_a_reader_that_disconnects(self):
        """It has nothing to make durable, and does not decide when others' writes are."""
        server = self.serve(NEVER)
        client = self.connect(server, "eeprom")
        client.pwrite(b"unflushed", 0)
        for export in ("eeprom", "nvram"):
            self.run_program("nbdcopy", server.uri(export), "/dev/null")
        self.assertEqual(client.pread(9, 0), b"unflushed")
        self.kill(server)
        self.assertEqual(self.stored("eeprom"), bytes(EEPROM))

    def test_a_client_that_vanishes(self):
        """Without saying that it goes: its connection just ends."""
        server = self.serve(NEVER)
        client = nbd.NBD()
        client.connect_uri(server.uri("eeprom"))
        client.pwrite(b"vanished", 0)
        del client
        self.wait_stored(b"vanished", MUCH_EARLIER)

    def test_sigterm_without_clients(self):
        server = self.serve(NEVER)
        client = self.connect(server, "eeprom")
        client.pwrite(b"the last one", 0)
        self.stop(server)
        self.assertEqual(self.stored("eeprom")[:12], b"the last one")
        self.must_be_clean()

    def test_sigterm_under_a_connected_client(self):
        """nbdkit refuses what comes then, closes the connection, and ends."""
        server = self.serve(NEVER)
        client = self.connect(server, "eeprom")
        client.pwrite(b"the last one", 0)
        server.child.send(signal.SIGTERM)
        deadline = Deadline(60)
        accepted = b""
        try:
            while not deadline.passed():
                client.pwrite(b"?", 100)
                accepted = b"?"
        except nbd.Error:
            pass
        self.assertEqual(server.child.wait(), 0)
        self.assertEqual(self.stored("eeprom")[:12], b"the last one")
        self.assertEqual(self.stored("eeprom")[100:101], accepted or b"\0")
        self.must_be_clean()


class Merging(NbdkitCase):
    """256 writes of one byte each, sent at once as a device model without a cache does."""

    def burst(self, client):
        """Returns how many seconds it took until all are durable."""
        start = time.monotonic()
        buffers = [nbd.Buffer.from_bytearray(bytes([value])) for value in range(256)]
        cookies = [client.aio_pwrite(buffer, offset) for offset, buffer in enumerate(buffers)]
        for cookie in cookies:
            while not client.aio_command_completed(cookie):
                client.poll(-1)
        client.flush()
        return time.monotonic() - start

    def cost_of_a_burst(self, interval, *options):
        """At most one flush of the device for each interval, and one for the client's. Returns how
        many there were."""
        device = LoggedDevice(self.workspace, self.image)
        self.children.append(device)
        server = self.serve(*options, image=device.uri)
        client = self.connect(server, "eeprom")
        client.zero(EEPROM, 0, nbd.CMD_FLAG_FUA)
        before = device.flush_count()
        seconds = self.burst(client)
        cost = device.flush_count() - before
        print(f"256 writes of a byte in {seconds * 1000:.1f} ms: {cost} flushes of the device")
        self.assertLessEqual(cost, int(seconds / interval) + 2)
        self.stop(server)
        device.kill()
        self.assertEqual(self.stored("eeprom"), bytes(range(256)))
        self.must_be_clean()
        return cost

    def test_a_burst_of_single_bytes(self):
        """4 flushes are enough with the default of 10 ms, when this machine has nothing else to do
        for so long."""
        deadline = Deadline(120)
        while self.cost_of_a_burst(0.010) > 4:
            self.assertFalse(deadline.passed(), "it always takes more than 4")

    def test_a_burst_within_one_interval(self):
        """However slow this machine is just now."""
        self.assertLessEqual(self.cost_of_a_burst(10, "sync=10s"), 4)
