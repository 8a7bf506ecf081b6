"""Images on NBD exports: every command takes a URI where it takes a path."""

import os

from harness.nbd_server import SERVERS, NbdServer

from .command import ABSENT, BLANK, Case, EXISTS, FOREIGN, MIB, UNSUPPORTED, USAGE


class NbdTest(Case):
    def serve(self, kind="nbdkit", content=bytes(8 * MIB)):
        server = NbdServer(self.workspace, kind, self.file(f"{kind}.disk", content))
        self.addCleanup(server.kill)
        return server.uri

    def test_every_command_takes_a_uri(self):
        content = os.urandom(5000)
        source, shorter = self.file("content", content), self.file("shorter", content[:100])
        for kind in SERVERS:
            with self.subTest(server=kind):
                uri = self.serve(kind)
                self.vnvram("info", uri, status=BLANK, message=uri)
                self.vnvram("create", uri, "--tpm2", "--blob", f"x:t:8K={source}")
                self.assertEqual(self.vnvram("get", uri, "x"), content)
                self.vnvram("put", uri, "x", shorter)
                self.assertEqual(self.vnvram("get", uri, "x"), content[:100])
                self.vnvram("register", uri, "--blob", "y:t:64K")
                names = [blob["name"] for blob in self.json("ls", uri)["blobs"]]
                self.assertEqual(names, ["tpm2.permanent", "tpm2.savestate", "tpm2.volatile",
                                         "x", "y"])
                self.vnvram("rm", uri, "y")
                self.vnvram("check", uri)
                self.vnvram("dump", uri)
                self.vnvram("repair", uri)
                info = self.json("info", uri)
                self.assertEqual((info["image_size_bytes"], info["clean"]), (8 * MIB, True))
                saved = self.path(f"{kind}.saved")
                self.vnvram("salvage", uri, saved)
                self.assertEqual(self.vnvram("get", saved, "x"), content[:100])

    def test_create_writes_over_nothing_of_value(self):
        uri = self.serve(content=b"mine" * (2 * MIB))
        self.vnvram("info", uri, status=FOREIGN)
        self.vnvram("create", uri, "--tpm2", status=EXISTS)
        self.assertEqual(self.path("nbdkit.disk").read_bytes(), b"mine" * (2 * MIB))
        self.vnvram("create", uri, "--tpm2", "--force")
        self.vnvram("create", uri, "--tpm2", status=EXISTS)
        self.vnvram("check", uri)

    def test_an_export_is_as_large_as_it_is(self):
        uri = self.serve()
        self.vnvram("create", uri, "--tpm2")
        self.vnvram("resize", uri, 16 * MIB, status=UNSUPPORTED, message=uri)
        self.vnvram("check", uri)

    def test_an_export_that_has_grown_can_be_used_in_full(self):
        uri = self.serve()
        self.vnvram("create", uri, "--tpm2")
        larger = self.path("nbdkit.disk").read_bytes() + bytes(8 * MIB)
        server = NbdServer(self.workspace, "qemu-nbd", self.file("larger.disk", larger))
        self.addCleanup(server.kill)
        self.vnvram("resize", server.uri)
        self.assertEqual(self.json("info", server.uri)["image_size_bytes"], 16 * MIB)
        self.vnvram("check", server.uri)

    def test_what_is_not_there(self):
        self.vnvram("info", f"nbd+unix:///?socket={self.path('nowhere')}", status=ABSENT,
                    message="cannot connect")
        self.vnvram("create", f"nbd+unix:///?socket={self.path('nowhere')}", "--tpm2",
                    status=ABSENT)
        self.vnvram("info", "nbd+unix:///no-socket", status=USAGE)
        self.assertEqual(self.names(), [])
