"""Exports of an image that is in use, increments, and what is made of them."""

import json
import os
import pathlib
import re
import select
import socket
import subprocess
import threading

from cli.command import (ABSENT, CORRUPT, EXISTS, IO, MIB, NO_SPACE, OK, SEALED, TOO_NEW,
                         TYPE_MISMATCH, USAGE)
from harness.child import PATIENCE_SECONDS
from harness.small_file_system import SmallFileSystem
from harness.tpm_process import REPOSITORY, program

from .serve_case import ServeCase

PAGE = 4096


class Writer:
    """An NBD client that writes without pause. Each round writes its number to two pages of a blob, one
    after the other, so that whatever is of one moment has the same number in both, or one less in
    the second."""

    def __init__(self, client):
        self._client = client
        self._stop = threading.Event()
        self._went_on = threading.Condition()
        self.count = 0
        self.error = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                page = (self.count + 1).to_bytes(8, "big") * (PAGE // 8)
                self._client.pwrite(page, 0)
                self._client.pwrite(page, PAGE)
                with self._went_on:
                    self.count += 1
                    self._went_on.notify_all()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def must_go_on(self):
        with self._went_on:
            seen = self.count
            if not self._went_on.wait_for(lambda: self.count > seen + 3, PATIENCE_SECONDS):
                raise AssertionError(f"no write is answered any more: {self.error}")

    def stop(self):
        self._stop.set()
        self._thread.join()
        if self.error:
            raise self.error

    @staticmethod
    def number_in(content):
        """The number that this has; it must be of one moment."""
        first, second = (int.from_bytes(content[at:at + 8], "big") for at in (0, PAGE))
        for at, number in ((0, first), (PAGE, second)):
            if content[at:at + PAGE] != number.to_bytes(8, "big") * (PAGE // 8):
                raise AssertionError(f"page {at // PAGE} is a mixture")
        if first not in (second, second + 1):
            raise AssertionError(f"of two moments: {first} and {second}")
        return first


class BackupCase(ServeCase):
    def export_to(self, out, *options, image=None, **expected):
        return json.loads(self.vnvram("export", image or self.owner.address, out, *options,
                                      "--json", **expected) or "null")

    def put(self, blob, content):
        self.vnvram("put", self.owner.address, blob, "-", input=content)

    def listed(self, image):
        """What ls says, but for generations, which are the image's own, and the manifest."""
        blobs = self.json("ls", image)["blobs"]
        for blob in blobs:
            blob["generation"] = blob["generation"] > 0
            del blob["registered_generation"]
        return [blob for blob in blobs if blob["name"] != "vnvram/export"]

    def must_be_the_same(self, one, other):
        self.assertEqual(self.listed(one), self.listed(other))
        for blob in self.listed(one):
            self.assertEqual(self.vnvram("get", one, blob["name"]),
                             self.vnvram("get", other, blob["name"]), blob["name"])

    def must_leave_nothing(self, folder=None):
        """Neither OUT nor what it was to be made of."""
        self.assertEqual([name for name in self.names(folder)
                          if name.startswith((".vnvram", "out"))], [])

    def writer(self, blob="nvram"):
        client = self.connect(self.export(), blob)
        writer = Writer(client)
        self.addCleanup(writer._thread.join)
        self.addCleanup(writer._stop.set)
        return writer


def recipe_of_the_manual():
    text = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    section = text.split("### Backup of an image that is served")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.S).group(1)
    return [line for line in block.splitlines() if not line.startswith("#")]


class Recipe(BackupCase):
    def run_line(self, line):
        folder = str(pathlib.Path(program("vnvram")).parent)
        done = subprocess.run(
            ["sh", "-c", line.replace("unix:/run/vm1/owner.sock", self.owner.address)],
            cwd=self.workspace.path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")

    def test_the_manuals_lines_while_the_machine_writes(self):
        writer = self.writer()
        lines = recipe_of_the_manual()
        self.assertEqual([line.split()[1] for line in lines],
                         ["export", "export", "export", "import", "check"])
        numbers = []
        for number, line in enumerate(lines):
            self.put("eeprom", f"before line {number}".encode())
            writer.must_go_on()
            numbers.append(writer.count)
            self.run_line(line)
        writer.must_go_on()
        writer.stop()
        restored = self.path("restored.img")
        self.assertEqual(self.vnvram("get", restored, "eeprom"), b"before line 2")
        found = Writer.number_in(self.vnvram("get", restored, "nvram"))
        self.assertGreaterEqual(found, numbers[2])  # What was written before Tuesday's export...
        self.assertLessEqual(found, numbers[3] + 1)  # ...and nothing of what came behind it.
        self.assertEqual([blob["name"] for blob in self.json("ls", self.path("monday.nvram"))["blobs"]],
                         ["eeprom", "nvram", "vnvram/export"])
        # In the lost one's place.
        owner = self.start_owner(image=restored)
        client = self.connect(self.serve(image=owner.address), "nvram")
        self.assertEqual(Writer.number_in(client.pread(2 * PAGE, 0)), found)
        client.pwrite(b"on", 0)
        client.flush()
        self.assertEqual(self.vnvram("get", owner.address, "nvram")[:2], b"on")


class Exports(BackupCase):
    def test_a_chain_is_what_a_full_export_is(self):
        address = self.owner.address
        parts = [self.path(f"part{number}") for number in range(4)]
        self.put("eeprom", b"one")
        first = self.export_to(parts[0])
        self.assertEqual(first["blobs"], 3)
        self.assertEqual(first["bytes_written"], 3)
        self.assertIsNone(first["since"])
        self.put("nvram", os.urandom(30000))
        second = self.export_to(parts[1], "--since", f"{first['uuid']}:{first['generation']}")
        self.assertEqual((second["blobs_written"], second["bytes_written"]), (1, 30000))
        self.vnvram("rm", address, "uefi.vars")
        self.vnvram("register", address, "--tpm2", "--blob", "eeprom:at24c:300")
        self.export_to(parts[2], "--since", parts[1])
        third = self.json("info", address)["generation"]
        self.put("eeprom", b"x" * 300)
        last = self.export_to(parts[3], "--since", str(third))
        whole, restored = self.path("whole"), self.path("restored.qcow2")
        self.export_to(whole)
        made = self.json("import", *parts, "--out", restored)
        self.assertEqual((made["uuid"], made["generation"]), (last["uuid"], last["generation"]))
        self.must_be_the_same(restored, whole)
        self.must_end_clean()
        self.must_be_the_same(self.image, whole)

    def test_of_an_image_that_nobody_has_open(self):
        self.put("eeprom", b"content")
        served, closed = self.path("served"), self.path("closed.vhdx")
        self.export_to(served)
        beside = self.export_to(self.path("beside"), image=self.image)  # It reads, as ls does.
        self.must_end_clean()
        self.assertEqual(self.export_to(closed, image=self.image), beside)
        self.must_be_the_same(served, closed)
        self.assertEqual(self.export_to(self.path("increment"), "--since", served,
                                        image=self.image)["blobs_written"], 0)
        self.vnvram("export", self.image, self.image, "--force", status=USAGE, message="the same")

    def test_to_standard_output(self):
        self.put("eeprom", b"content")
        with open(self.path("out.nvram"), "wb") as out:
            done = self.run_vnvram("export", self.owner.address, "-", "--json", stdout=out)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(json.loads(done.stderr)["blobs"], 3)
        self.must_be_the_same(self.path("out.nvram"), self.owner.address)
        with open("/dev/full", "wb") as full:
            done = self.run_vnvram("export", self.owner.address, "-", stdout=full)
        self.assertEqual(done.returncode, IO, done.stderr)

    def test_a_machine_that_writes_goes_on(self):
        writer = self.writer()
        for number in range(5):
            writer.must_go_on()
            out = self.path(f"full{number}")
            self.export_to(out)
            self.vnvram("check", out)
            Writer.number_in(self.vnvram("get", out, "nvram"))
        writer.must_go_on()
        writer.stop()
        self.assertFalse(self.json("status", self.owner.address)["held"])

    def test_while_changes_are_held(self):
        self.put("eeprom", b"content")
        self.vnvram("hold", self.owner.address, "--seconds", "600")
        self.export_to(self.path("held"))
        self.assertTrue(self.json("status", self.owner.address)["held"])
        self.vnvram("release", self.owner.address)
        self.must_be_the_same(self.path("held"), self.owner.address)

    def test_what_is_there_already(self):
        out = self.file("out", b"somebody's")
        self.vnvram("export", self.owner.address, out, status=EXISTS)
        self.assertEqual(out.read_bytes(), b"somebody's")
        self.export_to(out, "--force", "--size", "6M")
        self.assertEqual(out.stat().st_size, 6 * MIB)
        part = self.path("part")
        self.export_to(part)
        self.vnvram("import", part, "--out", out, status=EXISTS)
        self.vnvram("import", part, "--out", part, "--force", status=USAGE)
        self.vnvram("import", part, "--out", out, "--force")

    def test_an_image_that_is_sealed(self):
        self.put("eeprom", b"content")
        self.must_end_clean()
        self.vnvram("seal", self.image)
        out = self.path("sealed")
        self.assertTrue(self.export_to(out, image=self.image)["sealed"])
        self.vnvram("put", out, "eeprom", "-", input=b"x", status=SEALED)
        self.vnvram("unseal", out)
        self.vnvram("put", out, "eeprom", "-", input=b"x")

    def test_encrypted(self):
        key = self.file("key", b"0123456789abcdef")
        full, increment, out = (self.path(f"{name}.luks") for name in ("full", "increment", "back"))
        self.export_to(full, "--out-key", key)
        self.put("eeprom", b"content")
        self.export_to(increment, "--since", full, "--image-key", key, "--out-key", key)
        self.vnvram("import", full, increment, "--image-key", key, "--out", out, "--out-key", key)
        self.assertEqual(self.vnvram("get", out, "eeprom", "--image-key", key), b"content")


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


class Live(BackupCase):
    def test_info_and_check_say_what_they_say_of_the_image(self):
        self.put("eeprom", b"content")
        self.vnvram("hold", self.owner.address, "--seconds", "600")  # All of it is on the image.
        live, image = self.json("info", self.owner.address), self.json("info", self.image)
        self.assertEqual(set(image) - set(live), {"image_format", "locked", "lost_file", "owner_seems_alive",
                                                  "moved_to", "moved_from"})
        self.assertEqual({**image, **live}, image)
        self.assertEqual(live["owner_pid"], self.owner.pid)
        self.assertFalse(live["clean"])
        text = self.vnvram("info", self.owner.address)
        self.assertIn(b", which says so itself", text)
        self.assertEqual(text.replace(b", which says so itself", b"; somebody has its lock"), self.vnvram("info", self.image))
        self.assertEqual(self.json("check", self.owner.address), self.json("check", self.image))
        self.assertEqual(
            self.vnvram("check", self.owner.address).decode(),
            self.vnvram("check", self.image).decode().replace(str(self.image), self.owner.address))

    def test_check_finds_what_is_damaged_under_a_running_owner(self):
        self.put("eeprom", b"needle" * 30)
        self.vnvram("hold", self.owner.address, "--seconds", "600")
        content = self.image.read_bytes()
        with open(self.image, "r+b") as image:
            for at in re.finditer(b"needle" * 30, content):
                image.seek(at.start())
                image.write(b"N")
        self.vnvram("release", self.owner.address)
        report = self.json("check", self.owner.address, status=CORRUPT)
        self.assertEqual(report["problems"][0]["blobs"], ["eeprom"])
        self.assertFalse(report["clean"])
        self.assertIn(b"eeprom: DAMAGED", self.vnvram("check", self.owner.address, status=CORRUPT))

    def test_check_beside_a_machine_that_writes(self):
        writer = self.writer()
        for _ in range(10):
            writer.must_go_on()
            report = self.json("check", self.owner.address)
            self.assertEqual(report["problems"], [])
        writer.must_go_on()
        writer.stop()
