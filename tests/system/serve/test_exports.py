"""nbdkit as the front end of an owner: the same exports as with an image of its own."""

from cli.command import IN_USE
from harness.blob_server import plugin
from nbdkit.blob_daemon import BlobDaemon
from nbdkit.counting_client import CountingClient
from nbdkit.nbdkit_case import EEPROM, NVRAM, SIZES

from .serve_case import ServeCase


class Exports(ServeCase):
    def test_they_are_the_blobs(self):
        server = self.export()
        self.assertEqual({name: export["export-size"] for name, export in
                          self.exports(server).items()}, SIZES)
        client = self.connect(server, "eeprom")
        client.pwrite(b"content", 3)
        self.assertEqual(client.pread(7, 3), b"content")
        client.flush()
        client.zero(2, 3)
        self.stop(server)
        self.assertEqual(self.vnvram("get", self.owner.address, "eeprom"), bytes(5) + b"ntent")
        self.must_end_clean()
        self.assertEqual(self.stored("eeprom"), (bytes(5) + b"ntent").ljust(EEPROM, b"\0"))

    def test_each_answered_write_with_sync_always(self):
        client = self.connect(self.export("sync=always"), "eeprom")
        client.pwrite(b"durable", 0)
        self.owner.kill()
        self.assertEqual(self.stored("eeprom")[:7], b"durable")

    def test_two_front_ends_have_an_image_together(self):
        first, second = self.export(), self.export()
        one, other = self.connect(first, "eeprom"), self.connect(second, "nvram")
        one.pwrite(b"one", 0)
        other.pwrite(b"other", 0)
        self.must_fail(self.connect, second, "eeprom")  # It is the other one's.
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"x", status=IN_USE)
        self.stop(first)
        self.connect(second, "eeprom").pwrite(b"now", 0)
        self.stop(second)
        self.must_end_clean()
        self.assertEqual(self.stored("eeprom")[:3], b"now")
        self.assertEqual(self.stored("nvram")[:5], b"other")

    def test_many_connections_share_a_session(self):
        server = self.export()
        clients = [CountingClient(server.socket, name) for name in (b"nvram", b"uefi.vars")]
        for client in clients:
            client.must_go_on(rounds=200)
        self.vnvram("put", self.owner.address, "nvram", "-", input=b"", status=IN_USE)
        contents = [client.stop() for client in clients]
        self.stop(server)
        self.assertEqual(self.vnvram("get", self.owner.address, "nvram"), contents[0])
        self.assertEqual(self.vnvram("get", self.owner.address, "uefi.vars"), contents[1])
        self.must_end_clean()

    def test_as_a_daemon_with_a_relative_address(self):
        daemon = BlobDaemon(self)
        daemon.start(f"unix:{self.owner.socket.name}", "export=eeprom", folder=self.workspace.path)
        client = self.connect(daemon, "eeprom")
        client.pwrite(b"daemon", 0)
        client.flush()
        session = self.json("status", self.owner.address)["sessions"][0]
        self.assertEqual(session["pid"], daemon.pid)
        client.shutdown()
        daemon.stop()
        self.assertEqual(self.vnvram("get", self.owner.address, "eeprom"), b"daemon")

    def test_the_other_plugin_names_this_one(self):
        said = self.run_program("nbdkit", "--unix", self.path("other.sock"), plugin(),
                                self.owner.address, status=1)
        self.assertIn(f"nbdkit vnvram-owner {self.owner.address}", said)

    def test_without_an_owner(self):
        said = self.refused(f"unix:{self.path('nowhere')}")
        self.assertIn("nowhere", said)
        self.assertIn("owner", said)
        self.refused(self.owner.address, "export=nobody")
        for option in ("sync=1s", "space=warn", "image-key=/dev/null", "image-format=raw"):
            self.assertIn(option.split("=")[0], self.refused(self.owner.address, option))
        self.must_fail(self.connect(self.export(), "nvram", check_here=False).pwrite, b"x" * 10, NVRAM)
