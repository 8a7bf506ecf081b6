"""What a client sees of a blob: name, description, size, what it may do."""

import errno

import nbd

from cli.command import IN_USE, MIB

from .nbdkit_case import EEPROM, NbdkitCase, SIZES, TYPES

REFUSALS = (errno.EPERM, errno.EROFS)


class Exports(NbdkitCase):
    def test_every_blob_is_an_export(self):
        self.assertEqual(EEPROM, 256)
        exports = self.exports(self.serve())
        self.assertEqual({name: export["export-size"] for name, export in exports.items()}, SIZES)
        for name, export in exports.items():
            with self.subTest(export=name):
                self.assertIn("vNVRAM", export["description"])
                self.assertIn(TYPES[name], export["description"])
                self.assertEqual(export["block_size_minimum"], 1)
                self.assertEqual(export["block_size_preferred"], 4096)
                self.assertEqual(export["block_size_maximum"], 32 * MIB)
                can = {word for word, value in export.items() if value is True}
                self.assertLessEqual({"can_flush", "can_fua", "can_zero", "can_multi_conn"}, can)
                self.assertFalse(export["is_read_only"] or export["is_rotational"]
                                 or export["can_trim"])

    def test_none_of_several_is_the_default(self):
        server = self.serve()
        for name in ("", "no-such"):
            with self.assertRaises(nbd.Error):
                self.connect(server, name)
        self.assertIn("eeprom, nvram, uefi.vars", server.log.read_text())

    def test_the_only_blob_is_the_default(self):
        image = self.path("one.nvram")
        self.vnvram("create", image, "--blob", f"eeprom:at24c:{EEPROM}")
        client = self.connect(self.serve(image=image), "")
        self.assertEqual(client.get_size(), EEPROM)

    def test_only_the_exports_that_were_named(self):
        server = self.serve("export=nvram", "export=eeprom")
        self.assertEqual(set(self.exports(server)), {"nvram", "eeprom"})
        self.assertEqual(self.connect(server, "").get_size(), SIZES["nvram"])
        with self.assertRaises(nbd.Error):
            self.connect(server, "uefi.vars")

    def test_read_only_exports(self):
        server = self.serve("readonly=nvram,uefi.vars")
        self.assertEqual({name: export["is_read_only"]
                          for name, export in self.exports(server).items()},
                         {"eeprom": False, "nvram": True, "uefi.vars": True})
        client = self.connect(server, "nvram", check_here=False)
        for request in (lambda: client.pwrite(b"x", 0), lambda: client.zero(1, 0)):
            with self.assertRaises(nbd.Error) as refused:
                request()
            self.assertIn(refused.exception.errnum, REFUSALS)
        self.assertEqual(client.pread(4, 0), bytes(4))
        self.connect(server, "eeprom").pwrite(b"x", 0)
        said = self.run_program("nbdcopy", self.file("new", bytes(16)), server.uri("nvram"),
                                status=1)
        self.assertIn("read-only", said)
        self.stop(server)
        self.assertEqual(self.blob("nvram")["generation"], 0)

    def test_nbdkits_own_read_only_switch(self):
        server = self.serve("--readonly")
        self.assertTrue(all(export["is_read_only"] for export in self.exports(server).values()))

    def test_other_commands_beside_it(self):
        server = self.serve()
        self.assertEqual(self.json("info", self.image)["owner_pid"], server.child.pid)
        self.connect(server, "eeprom").pwrite(b"kept", 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(self.vnvram("get", self.image, "eeprom"), b"kept")
        self.vnvram("check", self.image)
        self.vnvram("put", self.image, "eeprom", "/dev/null", status=IN_USE, message="in use")
        self.stop(server)
        self.must_be_clean()
