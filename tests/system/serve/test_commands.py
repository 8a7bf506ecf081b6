"""What an operator does with an image that is in use: by its owner's control socket."""

import grp
import os
import shutil
import stat
import subprocess
import threading
import time

from cli.command import ABSENT, EXISTS, IN_USE, NOT_FOUND, POISONED, STALE, TOO_LARGE, UNSUPPORTED, USAGE
from harness.child import Deadline, PATIENCE_SECONDS
from harness.tpm_process import program

from .serve_case import ServeCase

TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"


class Commands(ServeCase):
    def status(self):
        return self.json("status", self.owner.address)

    def test_they_say_what_they_say_of_the_image(self):
        self.vnvram("put", self.owner.address, "eeprom", self.file("content", b"content"))
        served = [self.vnvram(*words, self.owner.address, *rest) for words, rest in (
            (("ls",), ()), (("ls", "--json"), ()), (("get",), ("eeprom",)), (("get",), ("nvram",)))]
        self.must_end_clean()
        closed = [self.vnvram(*words, self.image, *rest) for words, rest in (
            (("ls",), ()), (("ls", "--json"), ()), (("get",), ("eeprom",)), (("get",), ("nvram",)))]
        self.assertEqual(served, closed)
        self.assertEqual(served[2], b"content")

    def test_blobs_come_and_go(self):
        address = self.owner.address
        self.vnvram("rm", address, "uefi.vars")
        self.vnvram("register", address, "--blob", "more:test:100", "--uefi", TEMPLATE)
        with open(TEMPLATE, "rb") as template:
            self.assertEqual(self.vnvram("get", address, "uefi.vars"), template.read())
        self.vnvram("put", address, "more", "-", input=b"x" * 100)
        self.vnvram("put", address, "more", "-", input=b"x" * 101, status=TOO_LARGE)
        self.vnvram("rm", address, "eeprom")
        self.vnvram("rm", address, "eeprom", status=NOT_FOUND)
        self.must_end_clean()
        self.assertEqual([blob["name"] for blob in self.json("ls", self.image)["blobs"]],
                         ["more", "nvram", "uefi.vars"])

    def test_what_cannot_be(self):
        address = self.owner.address
        self.vnvram("get", address, "nobody", status=NOT_FOUND)
        self.vnvram("put", address, "nobody", "-", input=b"", status=NOT_FOUND)
        self.vnvram("ls", f"unix:{self.path('nowhere')}", status=ABSENT, message="vnvram serve")
        self.vnvram("status", self.image, status=USAGE, message="unix:PATH")
        self.vnvram("dump", address, status=UNSUPPORTED, message="is not the image")
        self.vnvram("put", self.image, "eeprom", "-", input=b"x", status=IN_USE)
        self.vnvram("serve", self.image, "--control", f"unix:{self.path('two')}", status=IN_USE)
        self.vnvram("serve", self.image, "--control", "tcp:1", status=USAGE)
        for words in (("--mode", "0888"), ("--group", "nobody-has-this-group")):
            self.vnvram("serve", self.image, "--control", address, *words, status=USAGE)
        for seconds in ("0", "3601", "soon"):
            self.vnvram("hold", address, "--seconds", seconds, status=USAGE)
        for words in (("ls",), ("get", "eeprom"), ("put", "eeprom", "-"), ("rm", "eeprom"),
                      ("register", "--tpm2"), ("info",), ("check",),
                      ("export", self.path("out"))):
            self.vnvram(words[0], address, *words[1:], "--image-key", self.image, status=USAGE,
                        message="its owner was told")

    def test_a_control_socket_is_taken_over_from_the_dead_only(self):
        other = self.path("other.nvram")
        self.vnvram("create", other)
        self.vnvram("serve", other, "--control", self.owner.address, status=IN_USE)
        occupied = self.file("occupied", b"")
        self.vnvram("serve", other, "--control", f"unix:{occupied}", status=EXISTS)
        self.owner.kill()
        self.assertTrue(self.owner.socket.exists())
        self.owner.start()
        self.vnvram("ls", self.owner.address)
        self.owner.stop()
        self.assertFalse(self.owner.socket.exists())

    def test_who_may_connect(self):
        self.assertEqual(stat.S_IMODE(self.owner.socket.stat().st_mode), 0o600)
        self.owner.stop()
        owner = self.start_owner("--mode", "0660", "--group", "kvm")
        self.assertEqual(stat.S_IMODE(owner.socket.stat().st_mode), 0o660)
        self.assertEqual(owner.socket.stat().st_gid, grp.getgrnam("kvm").gr_gid)
        nobody = subprocess.run(
            ["setpriv", "--reuid", "nobody", "--clear-groups", program("vnvram"), "ls",
             owner.address], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False)
        self.assertNotEqual(nobody.returncode, 0)
        self.assertIn("cannot connect", nobody.stderr)

    def test_a_hold_lets_changes_wait_and_a_copy_of_the_image_is_whole(self):
        client = self.connect(self.export(), "nvram")
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                client.pwrite(number.to_bytes(8, "big") * 512, 0)
                client.pwrite(number.to_bytes(8, "big") * 512, 8192)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(10):
                self.vnvram("hold", self.owner.address, "--seconds", "60")
                self.assertTrue(self.status()["held"])
                copy = self.path(f"copy{number}")
                shutil.copyfile(self.image, copy)
                before = self.vnvram("get", self.owner.address, "nvram")
                self.vnvram("release", self.owner.address)
                self.vnvram("release", self.owner.address, status=STALE, message="copy it again")
                self.vnvram("check", copy)
                content = self.vnvram("get", copy, "nvram")
                self.assertEqual(content, before)
                self.assertEqual(len(set(content[:4096])), len(set(content[:8])))
        finally:
            stop.set()
            writer.join()
        self.assertFalse(self.status()["held"])

    def test_a_hold_ends_by_itself(self):
        self.vnvram("hold", self.owner.address, "--seconds", "0.05")
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"behind it")
        self.assertFalse(self.status()["held"])
        self.vnvram("hold", self.owner.address, "--seconds", "3600")
        self.owner.stop()  # It does not wait for that.
        self.must_be_clean()

    def test_what_fails_by_itself_is_in_the_log(self):
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"x")
        os.unlink(self.image)
        deadline = Deadline(PATIENCE_SECONDS)
        while "removed" not in self.owner.log.read_text(encoding="utf-8"):
            self.assertFalse(deadline.passed(), self.owner.log.read_text(encoding="utf-8"))
            time.sleep(0.01)
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"y", status=POISONED)

    def test_the_status_names_who_writes(self):
        client = self.connect(self.export(), "eeprom")
        client.pwrite(b"x", 0)
        sessions = self.status()["sessions"]
        self.assertEqual([session["writes"] for session in sessions], [["eeprom"], []])
        self.assertEqual(sessions[0]["uid"], os.getuid())
        self.vnvram("put", self.owner.address, "eeprom", "-", input=b"x", status=IN_USE,
                    message="session")
        self.vnvram("rm", self.owner.address, "eeprom", status=IN_USE)
        self.assertIn(b"writes eeprom", self.vnvram("status", self.owner.address))
