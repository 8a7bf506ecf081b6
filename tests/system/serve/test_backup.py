"""Exports of an image that is in use, increments, and what is made of them."""

import json
import os
import pathlib
import re
import subprocess

from cli.command import CORRUPT, EXISTS, IO, MIB, OK, SEALED, USAGE
from harness.tpm_process import REPOSITORY, program

from .backup_case import PAGE, BackupCase, Writer


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


class Live(BackupCase):
    def test_info_and_check_say_what_they_say_of_the_image(self):
        self.put("eeprom", b"content")
        self.vnvram("hold", self.owner.address, "--seconds", "600")  # All of it is on the image.
        live, image = self.json("info", self.owner.address), self.json("info", self.image)
        self.assertEqual(set(image) - set(live), {"image_format", "locked", "lost_file", "owner_seems_alive",
                                                  "moved_to", "moved_from", "reservation"})
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
