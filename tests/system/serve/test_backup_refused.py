"""What is no export, no increment and no chain: refused, and nothing is left of it."""

import json
import os
import re
import select
import socket
import threading

from cli.command import ABSENT, CORRUPT, IO, MIB, NO_SPACE, SEALED, TYPE_MISMATCH, USAGE
from harness.small_file_system import SmallFileSystem

from .backup_case import PAGE, BackupCase


class Refused(BackupCase):
    def test_what_is_no_earlier_state(self):
        other = self.path("other")
        self.vnvram("create", other, "--blob", "a:t:1")
        self.export_to(self.path("of-other"), image=other)
        out = self.path("out")
        for since, message in (("999", "full export"), (self.path("of-other"), "of image"),
                               ("01234567-89ab-cdef-0123-456789abcdef:1", "of image"),
                               (other, "not an export")):
            self.vnvram("export", self.owner.address, out, "--since", since, status=USAGE,
                        message=message)
        self.vnvram("export", self.owner.address, out, "--since", self.path("nothing"),
                    status=ABSENT)
        self.must_leave_nothing()

    def test_an_older_state_that_was_put_back(self):
        self.put("eeprom", b"before")
        self.must_end_clean()
        older = self.image.read_bytes()
        self.owner.start()
        self.put("eeprom", b"one way")
        full = self.path("full")
        made = self.export_to(full)
        self.must_end_clean()
        self.image.write_bytes(older)
        self.owner.start()
        self.put("eeprom", b"another")  # The same blob, size and generation.
        self.put("nvram", b"more")
        increment = self.path("increment")
        self.vnvram("export", self.owner.address, self.path("out"), "--since", full,
                    status=CORRUPT, message="full export")
        self.export_to(increment, "--since", str(made["generation"]))
        self.vnvram("import", full, increment, "--out", self.path("out"), status=CORRUPT,
                    message="full export")
        self.must_leave_nothing()

    def test_parts_that_are_damaged_or_do_not_fit(self):
        full, one, two, out = (self.path(name) for name in ("full", "one", "two", "out"))
        self.put("eeprom", b"needle" * 30)
        self.export_to(full)
        self.put("nvram", b"1")
        self.export_to(one, "--since", full)
        self.put("nvram", b"2")
        self.export_to(two, "--since", one)
        for parts, message in (((full, two), "missing in between"), ((full, two, one), "missing"),
                               ((one, two), "begin with a full export"),
                               ((full, one, one), "further in front"),
                               ((full, self.image), "not an export")):
            self.vnvram("import", *parts, "--out", out, status=USAGE, message=message)
        bytes_of_it = full.read_bytes()
        for at in re.finditer(b"needle" * 30, bytes_of_it):
            damaged = bytearray(full.read_bytes())
            damaged[at.start()] ^= 1
            full.write_bytes(damaged)
        self.vnvram("import", full, one, two, "--out", out, status=CORRUPT)
        full.write_bytes(bytes_of_it[:PAGE * 30])
        self.vnvram("import", full, one, two, "--out", out, status=CORRUPT)
        full.write_bytes(bytes_of_it)
        self.vnvram("put", one, "nvram", "-", input=b"x", status=SEALED)
        self.must_leave_nothing()
        self.vnvram("import", full, one, two, "--out", out)

    def test_a_part_of_somebody_who_means_harm(self):
        full, out = self.path("full"), self.path("out")
        self.export_to(full)
        manifest = json.loads(self.vnvram("get", full, "vnvram/export"))
        for harm in ({"generation": -1}, {"blobs": [{}]}, {"uuid": "x" * 36}, {"since": 2 ** 64},
                     {"blobs": manifest["blobs"] * 2},
                     {"blobs": [dict(manifest["blobs"][0], name="../../x")]},
                     {"blobs": [dict(manifest["blobs"][0], size_max_bytes=2 ** 63)]},
                     {"blobs": [dict(blob, digest="0" * 16) for blob in manifest["blobs"]]}):
            text = json.dumps({**manifest, **harm}).encode()
            hostile = self.path("hostile")
            self.vnvram("create", hostile, "--force", "--blob",
                        f"vnvram/export:vnvram-export:{len(text)}={self.file('text', text)}",
                        *(word for blob in manifest["blobs"] for word in
                          ("--blob", f"{blob['name']}:{blob['type']}:{blob['size_max_bytes']}")))
            self.vnvram("import", hostile, "--out", out, status=CORRUPT)
        self.vnvram("create", self.path("deep"), "--blob",
                    f"vnvram/export:vnvram-export:1M={self.file('text', b'[' * MIB)}")
        self.vnvram("import", self.path("deep"), "--out", out, status=CORRUPT)
        self.must_leave_nothing()

    def test_a_socket_that_is_no_owners(self):
        path = self.path("garbage.sock")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.listen(1)

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(os.urandom(1 << 16))
        thread = threading.Thread(target=answer)
        thread.start()
        self.vnvram("export", f"unix:{path}", self.path("out"), status=IO)
        thread.join()
        self.must_leave_nothing()

    def test_a_full_disk(self):
        file_system = SmallFileSystem(self.workspace, "tmpfs")
        self.put("nvram", os.urandom(60000))
        full = self.path("full")
        self.export_to(full)
        file_system.fill()
        filler = file_system.file("filler")
        for room in (0, 128 << 10, 2 * MIB):  # For nothing; for the contents, and not for the image.
            os.truncate(filler, filler.stat().st_size - room)
            for words in (("export", self.owner.address, file_system.file("out")),
                          ("export", self.owner.address, file_system.file("out.qcow2")),
                          ("import", full, "--out", file_system.file("out"))):
                self.vnvram(*words, status=NO_SPACE)
                self.assertEqual(self.names(file_system.path), ["filler"])
        filler.unlink()
        self.export_to(file_system.file("out"))

    def test_names_that_are_kept(self):
        self.vnvram("register", self.owner.address, "--blob", "vnvram/export:mine:10")
        self.vnvram("export", self.owner.address, self.path("out"), status=TYPE_MISMATCH)
        self.must_leave_nothing()

    def test_an_owner_that_goes_meanwhile(self):
        """A relay that ends in the middle of what the owner says."""
        self.put("uefi.vars", os.urandom(500000))
        path = self.path("relay.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            thread = threading.Thread(target=self.relay, args=(listener, 100000))
            thread.start()
            self.vnvram("export", f"unix:{path}", self.path("out"), status=IO)
            thread.join()
        self.must_leave_nothing()

    def relay(self, listener, left):
        client, _ = listener.accept()
        with client, socket.socket(socket.AF_UNIX) as owner:
            owner.connect(str(self.owner.socket))
            while left > 0:
                for ready in select.select([client, owner], [], [])[0]:
                    data = ready.recv(65536)
                    (owner if ready is client else client).sendall(data)
                    left -= len(data) if ready is owner else 0
