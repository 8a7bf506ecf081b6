"""A client that does what it should, beside clients that do not: one server, one image.

The hostile ones have an export of their own, and one that cannot be written. Whatever they do: the
server lives and its memory stays bounded, the other client's durable writes are answered, and
nothing changes in exports that are not theirs.

VNVRAM_HOSTILE_SEED=N has only the fuzzed conversation N."""

import os
import resource
import threading
import time

from cli.command import Case
from harness.blob_server import BlobServer
from harness.child import Deadline, PATIENCE_SECONDS
from harness.shows_logs import ShowsLogs

from . import nbd_wire
from .counting_client import CountingClient
from .nbd_fuzzer import NbdFuzzer
from .raw_nbd_client import RawNbdClient

COUNTER_BYTES = 8192
HOSTILE_BYTES = 540672
FROZEN = bytes(range(256)) * 256
BYSTANDER = bytes(reversed(range(256))) * 256

FUZZED_CONVERSATIONS = 400
BATCH = 50
# What the server may take: its own and the store's cache, and what each connection may need for a
# request of the largest size that its export has.
MEMORY_BYTES = 32 << 20
MEMORY_BYTES_PER_CONNECTION = HOSTILE_BYTES


class HostileClientTest(ShowsLogs, Case):
    def setUp(self):
        super().setUp()
        self.create("--blob", f"counter:test:{COUNTER_BYTES}",
                    "--blob", f"hostile:test:{HOSTILE_BYTES}",
                    "--blob", f"frozen:test:64K={self.file('frozen', FROZEN)}",
                    "--blob", f"bystander:test:64K={self.file('bystander', BYSTANDER)}")
        self.server = BlobServer(self.workspace, self.image, "readonly=frozen")
        self.addCleanup(self.server.kill)
        self.good = CountingClient(self.server.socket, b"counter")
        self.clients = []
        self.addCleanup(self.close_clients)

    def _callTestMethod(self, method):
        def to_the_end():
            method()
            self.must_end_well()

        super()._callTestMethod(to_the_end)

    def connect(self, export=None):
        client = RawNbdClient(self.server.socket, export)
        self.clients.append(client)
        return client

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def status(self, field):
        """A number of /proc/PID/status."""
        with open(f"/proc/{self.server.child.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"the server is gone: {self.server.child.returncode}")

    def must_be_unharmed(self):
        self.assertIsNone(self.server.child.returncode, "the server has ended")
        self.good.must_go_on()
        memory = self.status("VmRSS") * 1024
        allowed = MEMORY_BYTES + len(self.clients) * MEMORY_BYTES_PER_CONNECTION
        self.assertLess(memory, allowed, f"beside {len(self.clients)} connections")
        for export, content in (b"frozen", FROZEN), (b"bystander", BYSTANDER):
            with RawNbdClient(self.server.socket, export) as reader:
                self.assertTrue(reader.read_all() == content, f"{export} has changed")

    def must_end_well(self):
        """Everyone goes, the server ends in good order, and the image holds what it should."""
        self.must_be_unharmed()
        self.close_clients()
        counted = self.good.stop()
        self.server.stop()
        self.vnvram("check", self.image)
        self.assertTrue(self.json("info", self.image)["clean"])
        self.assertEqual(self.vnvram("get", self.image, "counter"), counted)
        self.assertEqual(self.vnvram("get", self.image, "frozen"), FROZEN)
        self.assertEqual(self.vnvram("get", self.image, "bystander"), BYSTANDER)

    def must_be_left_alone(self, threads, seconds=PATIENCE_SECONDS):
        """Waits until the server has no more threads than that: it has noticed who is gone."""
        deadline = Deadline(seconds)
        while self.status("Threads") > threads:
            self.assertFalse(deadline.passed(), f"{self.status('Threads')} threads are left")
            time.sleep(0.005)

    def test_clients_that_do_not_read_their_answers(self):
        self.must_be_unharmed()
        threads = self.status("Threads")
        whole = nbd_wire.request(nbd_wire.READ, 0, HOSTILE_BYTES)
        too_much = nbd_wire.request(nbd_wire.READ, 0, nbd_wire.REQUEST_BYTES_MAX)
        for index in range(40):
            client = self.connect(b"hostile")
            client.socket.setblocking(False)
            try:
                for _ in range(10):
                    client.socket.send((too_much if index % 4 == 3 else whole) * 500)
            except BlockingIOError:
                pass  # It is not read either, from here on.
        self.must_be_unharmed()
        # Each of them is in the middle of an answer when it goes.
        self.close_clients()
        self.must_be_left_alone(threads)
        self.must_be_unharmed()

    def test_clients_that_stop_in_the_middle_of_a_request(self):
        write = nbd_wire.request(nbd_wire.WRITE, 0, 100000, bytes(100000))
        for cut in (1, 27, 28, 29, 50028, len(write) - 1):
            for _ in range(5):
                self.connect(b"hostile").send(write[:cut])
        self.must_be_unharmed()

    def test_hundreds_of_clients_that_say_nothing(self):
        for _ in range(300):
            self.connect()
        self.must_be_unharmed()
        late = CountingClient(self.server.socket, b"hostile")
        late.must_go_on()
        late.stop()

    def test_more_clients_than_the_server_has_descriptors(self):
        self.must_be_unharmed()
        threads = self.status("Threads")
        resource.prlimit(self.server.child.pid, resource.RLIMIT_NOFILE, (64, 64))
        for _ in range(100):
            self.connect()
        self.good.must_go_on()
        self.close_clients()
        self.must_be_left_alone(threads)
        self.must_be_unharmed()

    def test_a_conversation_that_is_cut_anywhere(self):
        before = os.urandom(4096)
        with RawNbdClient(self.server.socket, b"hostile") as client:
            client.write(0, before, fua=True)
        conversation = (nbd_wire.client_flags()
                        + nbd_wire.option(nbd_wire.OPT_STRUCTURED_REPLY)
                        + nbd_wire.export_option(nbd_wire.OPT_GO, b"hostile")
                        + nbd_wire.request(nbd_wire.WRITE, 0, 4096, bytes(4096)))
        headers = len(conversation) - 4096
        self.must_be_unharmed()
        threads = self.status("Threads")
        for cut in [*range(headers + 2), *range(headers + 2, len(conversation), 300)]:
            with RawNbdClient(self.server.socket) as client:
                client.send(conversation[:cut])
        self.must_be_left_alone(threads)
        self.must_be_unharmed()
        with RawNbdClient(self.server.socket, b"hostile") as client:
            self.assertEqual(client.read(0, 4096), before, "a part of a write")

    def test_fuzzed_conversations(self):
        seeds = range(FUZZED_CONVERSATIONS)
        if "VNVRAM_HOSTILE_SEED" in os.environ:
            seeds = [int(os.environ["VNVRAM_HOSTILE_SEED"])]
        for number, seed in enumerate(seeds, 1):
            try:
                left_open = NbdFuzzer(seed, (b"hostile", b"frozen")).run(self.server.socket)
                self.assertIsNone(self.server.child.returncode, "the server has ended")
                if left_open is not None:
                    self.keep(left_open)
                if number % BATCH == 0 or number == len(seeds):
                    self.must_be_unharmed()
                    self.close_clients()
                    self.must_be_unharmed()
            except BaseException:
                print(f"VNVRAM_HOSTILE_SEED={seed}, or one of the {BATCH} before it", flush=True)
                raise
        print(f"seeds {seeds[0]} to {seeds[-1]}", flush=True)

    def keep(self, connection):
        """Open, until the clients are closed."""
        self.clients.append(connection)

    def test_a_flood_of_writes(self):
        flooding = threading.Event()
        flooding.set()
        floods = [Flood(self.server.socket, flooding, index) for index in range(4)]
        for _ in range(5):
            self.must_be_unharmed()
        flooding.clear()
        written = [flood.end() for flood in floods]
        print(f"flooded with {sum(written)} writes of {Flood.LENGTH} bytes", flush=True)
        self.assertGreater(min(written), 0)
        with RawNbdClient(self.server.socket, b"hostile") as client:
            for index, count in enumerate(written):
                self.assertEqual(client.read(index * Flood.LENGTH, Flood.LENGTH),
                                 Flood.content(index, count))


class Flood:
    """Plain writes to one place, each with another content, as fast as they are answered."""

    LENGTH = 131072

    def __init__(self, path, flooding, index):
        self._client = RawNbdClient(path, b"hostile")
        self._flooding = flooding
        self._index = index
        self._count = 0
        self._failure = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    @classmethod
    def content(cls, index, count):
        return ((count << 8) + index + 1).to_bytes(8, "big") * (cls.LENGTH // 8)

    def _main(self):
        try:
            while self._flooding.is_set():
                self._client.write(self._index * self.LENGTH,
                                   self.content(self._index, self._count + 1))
                self._count += 1
        except BaseException as failure:  # Told by end().
            self._failure = failure

    def end(self):
        """How many writes were answered."""
        self._thread.join()
        if self._failure:
            raise AssertionError("the flood was not answered") from self._failure
        self._client.disconnect()
        return self._count
