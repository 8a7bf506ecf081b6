"""The usual NBD clients: whole blobs in and out, single bytes, random writes that are verified."""

import itertools
import json
import os
import threading

import nbd

from harness.child import Deadline

from .nbdkit_case import dice_of_a_seed, EEPROM, NVRAM, NbdkitCase, VARIABLES


class Clients(NbdkitCase):
    def test_nbdcopy(self):
        content = os.urandom(VARIABLES)
        server = self.serve()
        uri, copied = server.uri("uefi.vars"), self.path("copied")
        self.run_program("nbdcopy", self.file("content", content), uri)
        self.run_program("nbdcopy", uri, copied)
        self.assertEqual(copied.read_bytes(), content)
        self.assertEqual(self.vnvram("get", self.image, "uefi.vars"), content)

    def test_qemu_img(self):
        server = self.serve()
        text = self.run_program("qemu-img", "info", "--output=json", server.uri("uefi.vars"))
        self.assertEqual((json.loads(text)["virtual-size"], json.loads(text)["format"]),
                         (VARIABLES, "raw"))
        # QEMU rounds all sizes up to 512 bytes, whoever serves.
        text = self.run_program("qemu-img", "info", "--output=json", server.uri("eeprom"))
        self.assertEqual(json.loads(text)["virtual-size"], 512)
        content = os.urandom(NVRAM)
        self.run_program("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw",
                         self.file("content", content), server.uri("nvram"))
        self.run_program("qemu-img", "compare", "-f", "raw", "-F", "raw",
                         self.path("content"), server.uri("nvram"))
        self.stop(server)
        self.assertEqual(self.stored("nvram"), content)

    def test_qemu_io(self):
        server = self.serve()
        for command in ("write -P 0x5a 3 7", "write -f -P 0x11 100 1", "flush",
                        "write -z 4 2", "read -P 0x5a 3 1", "read -P 0 4 2", "read -P 0x5a 6 4",
                        "write -z -f 7 1", "read -P 0 0 3", "aio_write -P 0x77 255 1",
                        "aio_flush", "read -P 0x77 255 1"):
            said = self.run_program("qemu-io", "-f", "raw", "-c", command, server.uri("eeprom"))
            self.assertNotIn("failed", said, command)
        self.run_program("qemu-io", "-f", "raw", "-c", "write -P 1 256 1", server.uri("eeprom"),
                         status=1)
        self.stop(server)
        expected = bytearray(EEPROM)
        expected[3:10] = b"\x5a\0\0\x5a\0\x5a\x5a"
        expected[100], expected[255] = 0x11, 0x77
        self.assertEqual(self.stored("eeprom"), expected)

    def test_fio(self):
        """Random places and odd sizes; it reads back what it wrote and compares."""
        server = self.serve()
        for rounds, options in (("aligned", ["--bs=512"]),
                                ("unaligned", ["--bsrange=128-8k", "--bs_unaligned=1"])):
            with self.subTest(rounds):
                said = self.run_program(
                    "fio", f"--name={rounds}", "--ioengine=nbd", f"--uri={server.uri('uefi.vars')}",
                    "--rw=randwrite", f"--size={VARIABLES}", "--iodepth=16", "--fsync=64",
                    "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                    "--output-format=json", *options)
                report = json.loads(said[said.index("{"):said.rindex("}") + 1])["jobs"][0]
                self.assertEqual(report["error"], 0)
                self.assertGreater(report["write"]["total_ios"], 20)
                self.assertGreater(report["read"]["total_ios"], 20)
        self.stop(server)
        self.must_be_clean()

    def test_any_bytes_at_any_place(self):
        """Two connections take turns, and each sees at once what the other one wrote."""
        dice, model = dice_of_a_seed(), bytearray(NVRAM)
        server = self.serve("sync=1ms")
        clients = [self.connect(server, "nvram") for _ in range(2)]
        for _ in range(600):
            client = dice.choice(clients)
            offset = dice.randrange(NVRAM)
            size = min(dice.choice((1, 3, 300, 5000)), NVRAM - offset)
            flags = nbd.CMD_FLAG_FUA if dice.random() < 0.1 else 0
            kind = dice.random()
            if kind < 0.5:
                content = dice.randbytes(size)
                client.pwrite(content, offset, flags)
                model[offset:offset + size] = content
            elif kind < 0.7:
                client.zero(size, offset, flags)
                model[offset:offset + size] = bytes(size)
            elif kind < 0.98:
                self.assertEqual(client.pread(size, offset), model[offset:offset + size])
            else:
                client.flush()
                self.assertEqual(self.stored("nvram"), model)
        self.stop(server)
        self.assertEqual(self.stored("nvram"), model)
        self.must_be_clean()


class WholeExports(NbdkitCase):
    """QEMU writes a whole export when a machine is restored or has migrated."""

    def generation(self):
        return self.json("info", self.image)["generation"]

    def test_a_write_is_one_commit(self):
        client = self.connect(self.serve("sync=60s"), "uefi.vars")
        first, second = os.urandom(VARIABLES), os.urandom(VARIABLES)
        before = self.generation()
        client.pwrite(first, 0)
        self.assertEqual(self.generation(), before)
        client.flush()
        self.assertEqual(self.generation(), before + 1)
        self.assertEqual(self.stored("uefi.vars"), first)
        client.pwrite(second, 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(self.generation(), before + 2)
        self.assertEqual(self.stored("uefi.vars"), second)

    def test_a_half_written_one_is_never_seen(self):
        """Neither by another connection nor on the image, nor after the server's sudden end."""
        server = self.serve()
        contents = [bytes([value]) * VARIABLES for value in range(4)]
        seen = {"connection": set(), "image": set()}
        reader = self.connect(server, "uefi.vars")
        writer = Writer(self.connect(server, "uefi.vars"), contents)
        self.addCleanup(writer.stop)
        deadline = Deadline(60)
        while min(map(len, seen.values())) < 3:  # A look or two may come before the first write.
            self.assertFalse(deadline.passed(), "the writes do not become visible")
            for where, found in (("connection", bytes(reader.pread(VARIABLES, 0))),
                                 ("image", self.stored("uefi.vars"))):
                self.assertIn(found, contents, where)
                seen[where].add(found[0])
        server.kill()
        writer.stop()
        self.clients.clear()
        self.assertIn(self.stored("uefi.vars"), contents)
        self.vnvram("check", self.image)


class Writer:
    """Writes one content after the other, durably and for ever, on a thread of its own."""

    def __init__(self, client, contents):
        self._client, self._contents = client, contents
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        try:
            for number in itertools.count(1):
                if self._stop.is_set():
                    break
                self._client.pwrite(self._contents[number % len(self._contents)], 0,
                                    nbd.CMD_FLAG_FUA)
        except nbd.Error:
            pass  # The server was killed. Whoever waits for a content notices any other reason.

    def stop(self):
        self._stop.set()
        self._thread.join(60)
