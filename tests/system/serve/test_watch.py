"""What an owner tells who watches it, and how fast its sessions may ask."""

import json
import signal
import threading

import nbd  # libnbd's own binding

from cli.command import ABSENT, IO, USAGE
from harness.watch_process import WatchProcess

from .serve_case import ServeCase


class Watch(ServeCase):
    def watch(self, *options):
        watch = WatchProcess(self.owner.address, *options)
        self.children.append(watch)
        return watch

    def put(self, blob, size, **options):
        self.vnvram("put", self.owner.address, blob, "-", input=b"x" * size, **options)

    def generation(self):
        return self.json("status", self.owner.address)["generation"]

    def test_each_line_is_what_has_happened(self):
        watch = self.watch()
        self.assertEqual(watch.line(), f"generation {self.generation()}")
        self.put("eeprom", 10)
        self.assertEqual(watch.line(), f"generation {self.generation()}")
        self.assertEqual(watch.end(), (0, ""))

    def test_a_script_reads_json(self):
        watch = self.watch("--json")
        self.assertEqual(json.loads(watch.line()),
                         {"event": "generation", "generation": self.generation()})
        client = self.connect(self.export(), "nvram")
        client.pwrite(b"x" * 4096, 0)
        client.flush()
        self.assertEqual(watch.event("generation")["generation"], self.generation())
        self.assertEqual(watch.end(signal.SIGINT), (0, ""))

    def test_who_reads_slowly_gets_the_newest(self):
        watch = self.watch("--json")
        watch.line()
        watch.narrow_output()
        client = self.connect(self.export(), "nvram")
        for number in range(1000):
            client.pwrite(number.to_bytes(4, "big") * 128, 0, nbd.CMD_FLAG_FUA)
        newest, lines = self.generation(), 0
        while True:
            lines += 1
            if watch.event("generation")["generation"] == newest:
                break
        self.assertLess(lines, 900)
        watch.narrow_output()
        client.pwrite(b"not read any more", 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(watch.end()[0], 0)

    def test_it_ends_with_its_owner(self):
        for end in (self.owner.stop, self.owner.kill):
            watch = self.watch()
            watch.line()
            end()
            status, errors = watch.wait()
            self.assertEqual(status, IO, errors)
            self.assertIn("cannot be reached", errors)
            self.owner.start()
        self.owner.stop()
        self.vnvram("watch", self.owner.address, status=ABSENT, message="vnvram serve")
        self.vnvram("watch", self.image, status=USAGE, message="unix:PATH")

    def test_it_ends_with_its_reader(self):
        watch = self.watch()
        watch.line()
        self.assertEqual(watch.close_output(), IO)

    def test_a_blob_that_fills_up_is_in_the_log_once(self):
        watch = self.watch("--json")
        for size in (100, 240, 250):
            self.put("eeprom", size)
        event = watch.event("nearly_full")
        self.assertEqual({key: event[key] for key in ("blob", "used_bytes", "size_bytes")},
                         {"blob": "eeprom", "used_bytes": 240, "size_bytes": 256})
        self.assertIn("grew by 140 bytes", event["forecast"])
        self.put("eeprom", 100)
        self.put("eeprom", 256)
        self.assertIn("is full", watch.event("nearly_full")["forecast"])
        log = self.owner.log.read_text(encoding="utf-8")
        self.assertEqual(log.count("blob eeprom: "), 2, log)

    def test_a_session_that_asks_too_fast_waits_alone(self):
        self.owner.stop()
        self.owner = self.start_owner("--rate-bytes", "2048", "--rate-requests", "100000")
        export = self.export()
        client = self.connect(export, "nvram")
        written = []

        def flood():  # At the rate that it has, for minutes.
            try:
                for number in range(12):
                    client.pwrite(bytes([number]) * 65536, 0)
                    written.append(number)
            except nbd.Error:
                pass
        flooder = threading.Thread(target=flood)
        flooder.start()
        try:
            for number in range(5):
                self.put("eeprom", number + 1)
            self.assertLess(len(written), 12)
        finally:
            export.kill()
            flooder.join()
        self.put("nvram", 1)  # Who is gone is not waited for that long.

    def test_rates_are_numbers(self):
        for words in (("--rate-bytes", "fast"), ("--rate-requests", "-1")):
            done = self.run_vnvram("serve", self.image, "--control", "unix:/nowhere", *words)
            self.assertEqual(done.returncode, USAGE)
