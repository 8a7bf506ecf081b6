"""A TPM's state goes from swtpm to vnvram-tpm and back, with swtpm's own control client."""

import pathlib
import struct
import unittest

from support import (GET_BLOB, SET_BLOB, ControlClient, TpmCase, TpmClient, create, receive,
                     swtpm_ioctl)

from harness.swtpm_process import SwtpmProcess

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "unit" / "convert" / "swtpm_0.7.1"
HEADER_AND_TAGS = 22
KEY_NOT_FOUND, BAD_PARAMETER, FAIL, BAD_VERSION = 0x0D, 3, 9, 0x2E
DIGEST = bytes.fromhex("5a" * 32)
REGISTER = 16


def extend(client):
    """A value into a PCR: volatile state."""
    client.must(0x182, struct.pack(">II", REGISTER, 9) + struct.pack(">IHBH", 0x40000009, 0, 0, 0)
                + struct.pack(">IH", 1, 0xB) + DIGEST, 0x8002)


def register(client):
    """What is in it."""
    return client.must(0x17E, struct.pack(">IHB", 1, 0xB, 3) + bytes([0, 0, 1]))[-32:]


class Tpm12Client(TpmClient):
    """Raw commands of a TPM 1.2, which need no owner as long as nvLocked is off."""

    def ask(self, code, body=b""):
        return self.must(code, body, 0xC1)

    def start_up(self, kind=1):
        self.ask(0x99, struct.pack(">H", kind))

    def save_state(self):
        self.ask(0x98)

    def extend(self):
        return self.ask(0x14, struct.pack(">I", 10) + b"\x5a" * 20)

    def register(self):
        return self.ask(0x15, struct.pack(">I", 10))

    def define_and_write(self, content):
        pcr_info = struct.pack(">HBBB", 3, 0, 0, 0) + b"\x1f" + bytes(20)
        public = (struct.pack(">HI", 0x18, 0x1500) + pcr_info * 2 + struct.pack(">HI", 0x17, 1)
                  + bytes(3) + struct.pack(">I", len(content)))
        self.ask(0xCC, public + bytes(20))
        self.ask(0xCD, struct.pack(">III", 0x1500, 0, len(content)) + content)

    def read_area(self, size):
        return self.ask(0xCF, struct.pack(">III", 0x1500, 0, size))[4:]


class SwtpmState(TpmCase):

    def start_swtpm(self, folder="swtpm", options=("--tpm2",)):
        server = self.workspace.file(f"{folder}.server")
        swtpm = SwtpmProcess(self.workspace, self.workspace.file(folder), options, server)
        self.children.append(swtpm)
        swtpm.server = server
        return swtpm

    def save(self, tpm, *kinds):
        """Fetches the state and ends the process."""
        files = {kind: self.workspace.file(f"{kind}{tpm.pid}") for kind in kinds}
        for kind, path in files.items():
            swtpm_ioctl(tpm, "--save", kind, path)
            self.assertEqual(path.read_bytes()[:6], bytes.fromhex("0201000a0004"), kind)
        tpm.kill()
        return files

    @staticmethod
    def load(tpm, files):
        swtpm_ioctl(tpm, "--stop")
        for kind, path in files.items():
            swtpm_ioctl(tpm, "--load", kind, path)
        swtpm_ioctl(tpm, "-i")

    def at(self, tpm, kind=TpmClient):
        client = kind(tpm.server if hasattr(tpm, "server") else self.server)
        self.addCleanup(client.close)
        return client

    def test_there_and_back(self):
        swtpm = self.start_swtpm()
        swtpm_ioctl(swtpm, "-i")
        client = self.at(swtpm)
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        for _ in range(5):
            client.must_increment()
        extend(client)
        expected = register(client)
        client.close()
        files = self.save(swtpm, "permanent", "volatile")

        tpm = self.start_server(self.new_image())
        self.load(tpm, files)
        client = self.at(tpm)
        # Resumed: without a startup command, and with what only volatile state has.
        self.assertEqual((client.counter(), register(client)), (5, expected))
        client.must_increment()
        extend(client)
        expected = register(client)
        client.close()
        files = self.save(tpm, "permanent", "volatile")
        # What was acknowledged is on the image.
        tpm = self.start_server(self.workspace.file("nvram.img"))
        self.assertEqual(self.at(tpm).counter(), 6)

        swtpm = self.start_swtpm("other")
        self.load(swtpm, files)
        client = self.at(swtpm)
        self.assertEqual((client.counter(), register(client)), (6, expected))
        client.must_increment()
        self.assertEqual(client.counter(), 7)

    def test_pieces_count_over_the_wrapped_bytes(self):
        tpm = self.start_server(self.new_image())
        control = self.control(tpm)
        result, total, blob = control.get_blob(1)
        self.assertEqual((result, total), (0, len(blob)))
        self.assertEqual(struct.unpack(">I", blob[6:10])[0], total)
        for offset in (1, 9, 16, HEADER_AND_TAGS, total - 1, total, total + 1):
            self.assertEqual(control.get_blob(1, offset)[2], blob[offset:], offset)
        # No state is no bytes, and the flag for state that is not encrypted changes nothing.
        self.assertEqual(control.get_blob(3), (0, 0, b""))
        control.sock.sendall(struct.pack(">IIII", GET_BLOB, 0, 1, 0))
        self.assertEqual(receive(control.sock, 16 + total)[16:], blob)

    def test_bare_state_of_earlier_versions_is_taken(self):
        tpm = self.start_server(self.new_image())
        client = self.client()
        client.define_counter()
        client.must_increment()
        control = self.control(tpm)
        bare = {kind: control.get_blob(kind)[2][HEADER_AND_TAGS:] for kind in (1, 2)}
        tpm.kill()
        self.workspace.file("nvram.img").unlink()
        tpm = self.start_server(self.new_image())
        control = self.control(tpm)
        self.assertEqual(control.stop(), 0)
        for kind, blob in bare.items():
            self.assertEqual(control.set_blob(kind, blob), 0)
        self.assertEqual(control.init(1), 0)
        self.assertEqual(self.client().counter(), 1)

    def test_what_is_encrypted_is_refused_as_such(self):
        tpm = self.start_server(self.new_image("--tpm12"), ("--tpm12",))
        control = self.control(tpm)
        self.assertEqual(control.stop(), 0)
        samples = {name: (SAMPLES / f"tpm12_permanent{name}.bin").read_bytes()
                   for name in ("", "_migration_key", "_state_key")}
        self.assertEqual(control.set_blob(1, samples["_migration_key"]), KEY_NOT_FOUND)
        self.assertEqual(control.set_blob(1, samples["_state_key"]), KEY_NOT_FOUND)
        flagged = struct.pack(">III", 2, 1, len(samples[""])) + samples[""]
        self.assertEqual(control.result(SET_BLOB, flagged), KEY_NOT_FOUND)
        log = tpm.log.read_text(errors="replace")
        self.assertIn("migration key, and there is no key here", log)
        self.assertIn("state's key, and there is no key here", log)

        whole = samples[""]
        self.assertEqual(control.set_blob(1, whole[:-1]), BAD_PARAMETER)
        self.assertEqual(control.set_blob(1, whole + b"\0"), BAD_PARAMETER)
        self.assertEqual(control.set_blob(1, b"\2\3" + whole[2:]), BAD_VERSION)
        self.assertEqual(control.set_blob(1, whole[:12] + b"\xff" * 4 + whole[16:]), FAIL)
        self.assertEqual(control.set_blob(1, whole), 0)
        tpm.stop()

    def test_tpm12_with_its_saved_state(self):
        options = ()
        swtpm = self.start_swtpm("swtpm12", options)
        swtpm_ioctl(swtpm, "-i")
        client = self.at(swtpm, Tpm12Client)
        client.start_up()
        client.define_and_write(b"written by swtpm")
        client.extend()
        expected = client.register()
        client.save_state()
        client.close()
        files = self.save(swtpm, "permanent", "volatile", "savestate")
        saved = {kind: files[kind] for kind in ("permanent", "savestate")}

        # Resumed from volatile state, and started up from the state that TPM_SaveState saved.
        for name, loaded in (("volatile", files), ("saved", saved)):
            server = self.workspace.file(f"{name}.server")
            image = create(self.workspace.file(f"{name}.img"), "--tpm12")
            tpm = self.start(image, server, ("--tpm12",))
            tpm.server = server
            self.load(tpm, loaded)
            client = self.at(tpm, Tpm12Client)
            if name == "saved":
                client.start_up(2)
            self.assertEqual(client.read_area(16), b"written by swtpm", name)
            self.assertEqual(client.register(), expected, name)
            if name == "volatile":
                tpm.kill()
        client.extend()
        expected = client.register()
        client.save_state()
        client.close()
        files = self.save(tpm, "permanent", "volatile", "savestate")

        swtpm = self.start_swtpm("other12", options)
        self.load(swtpm, {kind: files[kind] for kind in ("permanent", "savestate")})
        client = self.at(swtpm, Tpm12Client)
        client.start_up(2)
        self.assertEqual(client.read_area(16), b"written by swtpm")
        self.assertEqual(client.register(), expected)


if __name__ == "__main__":
    unittest.main()
