"""A TPM goes from swtpm's files into an image, and back: `vnvram import-swtpm` and `export-swtpm`."""

import hashlib
import json
import pathlib
import struct
import subprocess
import unittest

from support import (EMPTY_PASSWORD, OWNER, TpmCase, TpmClient, create, program, swtpm_ioctl, vnvram)

from harness.swtpm_process import SwtpmProcess
from harness.vnvram import info

USAGE, ABSENT, FOREIGN, CORRUPT, IN_USE, KEY_NEEDED, WRONG_KEY, IO, NOT_FOUND, EXISTS, SEALED = (
    2, 10, 12, 13, 14, 15, 16, 21, 25, 26, 30)
PERSISTENT = 0x81000001
REGISTER = 16
STORAGE_KEY = bytes.fromhex("0023000b00030072000000060080004300100003001000000000")
LINEAR, FOLDER = True, False


def make_persistent_key(client):
    body = struct.pack(">I", OWNER) + EMPTY_PASSWORD + bytes.fromhex("000400000000")
    body += struct.pack(">H", len(STORAGE_KEY)) + STORAGE_KEY + bytes(6)
    handle = client.must(0x131, body, 0x8002)[:4]
    client.must(0x120, struct.pack(">I", OWNER) + handle + EMPTY_PASSWORD
                + struct.pack(">I", PERSISTENT), 0x8002)


def public_key(client):
    return client.must(0x173, struct.pack(">I", PERSISTENT))


def extend(client):
    """A value into a PCR: volatile state."""
    client.must(0x182, struct.pack(">II", REGISTER, 9) + struct.pack(">IHBH", 0x40000009, 0, 0, 0)
                + struct.pack(">IH", 1, 0xB) + b"\x5a" * 32, 0x8002)


def register(client):
    return client.must(0x17E, struct.pack(">IHB", 1, 0xB, 3) + bytes([0, 0, 1]))[-32:]


def files_of(place):
    """All that a refused command must not change; swtpm's lock is made by swtpm."""
    if place.is_dir():
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in place.iterdir()}
    return hashlib.sha256(place.read_bytes()).hexdigest() if place.exists() else None


class SwtpmFiles(TpmCase):

    def setUp(self):
        super().setUp()
        self.image = self.workspace.file("vm.nvram")
        self.digits = self.secret("key", "0x" + "0123456789abcdef" * 4)
        self.phrase = self.secret("phrase", "a passphrase\n")

    def secret(self, name, content):
        path = self.workspace.file(name)
        path.write_text(content)
        return path

    def start_swtpm(self, place, linear=FOLDER, key=None, version=("--tpm2",)):
        options = [*version, *(["--key", key] if key else [])]
        server = self.workspace.file(f"{place.name}.server")
        server.unlink(missing_ok=True)
        swtpm = SwtpmProcess(self.workspace, place, options, server, linear)
        self.children.append(swtpm)
        swtpm_ioctl(swtpm, "-i")
        return swtpm, TpmClient(server)

    @staticmethod
    def end_swtpm(swtpm, client, volatile=False):
        client.close()
        if volatile:
            swtpm_ioctl(swtpm, "-v")
        swtpm_ioctl(swtpm, "-s")
        swtpm.wait()

    def make_state(self, place, linear=FOLDER, key=None, volatile=False):
        """Returns what only a TPM that goes on from it can say."""
        swtpm, client = self.start_swtpm(place, linear, key)
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        for _ in range(5):
            client.must_increment()
        make_persistent_key(client)
        extend(client)
        known = public_key(client), register(client)
        self.end_swtpm(swtpm, client, volatile)
        return known

    def go_on(self, image):
        """vnvram-tpm as QEMU starts it: with the volatile state, if there is any."""
        tpm = self.start(image)
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(1), 0)
        return tpm, control, client

    def refused_by(self, status, *words, message=""):
        """Nothing that it names is changed."""
        places = [word for word in words if hasattr(word, "is_dir")]
        before = [files_of(place) for place in places]
        argv = [str(program("vnvram")), *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual([files_of(place) for place in places], before, argv)

    def keys(self):
        return {"plain": None, "key": f"file={self.digits},mode=aes-256-cbc",
                "phrase": f"pwdfile={self.phrase}",
                "digest": f"pwdfile={self.phrase},mode=aes-256-cbc,kdf=sha512"}

    def test_there_and_back(self):
        for name, key in self.keys().items():
            for linear in (FOLDER, LINEAR):
                with self.subTest(name, linear=linear):
                    self.go_there_and_back(f"{name}{linear:d}", key, linear)

    def go_there_and_back(self, name, key, linear):
        place = self.workspace.file(f"{name}.swtpm")
        back = self.workspace.file(f"{name}.back")
        image = self.workspace.file(f"{name}.nvram")
        known = self.make_state(place, linear, key, volatile=True)
        before = files_of(place)
        options = ("--swtpm-key", key) if key else ()

        said = json.loads(vnvram("import-swtpm", place, image, "--json", *options))
        self.assertEqual((said["version"], said["created"], said["was_encrypted"]),
                         ("2.0", True, key is not None))
        self.assertEqual([state["swtpm"] for state in said["states"]], ["permall", "volatilestate"])
        self.assertEqual(files_of(place), before)

        # The bytes themselves come back before anything has run on them.
        copy = self.workspace.file(f"{name}.copy")
        as_it_was = ["--linear"] if linear else []
        vnvram("export-swtpm", image, copy, "--no-seal", *as_it_was)
        if key is None and linear:
            self.assertEqual(copy.read_bytes(), place.read_bytes())
        elif key is None:
            self.assertEqual(files_of(copy),
                             {path: digest for path, digest in before.items() if path != ".lock"})

        tpm, control, client = self.go_on(image)
        self.assertEqual((client.counter(), public_key(client), register(client)), (5, *known))
        client.must_increment()
        extend(client)
        extended = register(client)
        self.assertEqual(control.result(10), 0)  # CMD_STORE_VOLATILE
        tpm.stop()

        vnvram("export-swtpm", image, back, *options, *as_it_was)
        swtpm, client = self.start_swtpm(back, linear, key)
        self.assertEqual((client.counter(), public_key(client), register(client)),
                         (6, known[0], extended))
        client.must_increment()
        self.assertEqual(client.counter(), 7)
        self.end_swtpm(swtpm, client)

    def test_only_its_key_opens_it(self):
        keys = self.keys()
        for linear in (FOLDER, LINEAR):
            place = self.workspace.file(f"state{linear:d}")
            self.make_state(place, linear, keys["key"])
            self.refused_by(KEY_NEEDED, "import-swtpm", place, self.image,
                            message="swtpm has encrypted it")
            self.refused_by(WRONG_KEY, "import-swtpm", place, self.image, "--swtpm-key",
                            keys["phrase"], message="256 bits")
            self.refused_by(WRONG_KEY, "import-swtpm", place, self.image, "--swtpm-key",
                            keys["digest"])
            plain = self.workspace.file(f"plain{linear:d}")
            self.make_state(plain, linear)
            self.refused_by(WRONG_KEY, "import-swtpm", plain, self.image, "--swtpm-key",
                            keys["key"], message="not encrypted it")
        self.refused_by(USAGE, "import-swtpm", place, self.image, "--swtpm-key", "file=k,mode=des",
                        message="mode cannot be that")
        self.refused_by(IO, "import-swtpm", place, self.image, "--swtpm-key", "file=/absent/key")
        self.assertFalse(self.image.exists())

    def test_what_is_damaged_is_refused(self):
        place = self.workspace.file("state")
        key = self.keys()["key"]
        self.make_state(place, FOLDER, key, volatile=True)
        linear = self.workspace.file("linear")
        self.make_state(linear, LINEAR)
        existing = create(self.workspace.file("there.nvram"), "--tpm2")
        names = ["tpm2-00.permall", "tpm2-00.volatilestate"]
        wholes = {place / name: (place / name).read_bytes() for name in names}
        for path, whole in wholes.items():
            half = len(whole) // 2
            for damaged in (b"", whole[:9], whole[:half], whole[:-1], whole + b"\0",
                            whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1:]):
                path.write_bytes(damaged)
                for image in (self.image, existing):
                    status = WRONG_KEY if len(damaged) == len(whole) or 0 < len(damaged) < 10 else CORRUPT
                    self.refused_by(status, "import-swtpm", place, image, "--swtpm-key", key)
            path.write_bytes(whole)
        whole = linear.read_bytes()
        for damaged in (whole[:100], whole[:300], whole[:12] + b"\xff\xff\xff\x7f" + whole[16:]):
            linear.write_bytes(damaged)
            self.refused_by(CORRUPT, "import-swtpm", linear, self.image)
        # What its format does not prove libtpms does.
        linear.write_bytes(whole[:300] + bytes(200) + whole[500:])
        self.refused_by(CORRUPT, "import-swtpm", linear, self.image)
        self.assertFalse(self.image.exists())
        vnvram("import-swtpm", place, existing, "--swtpm-key", key)

    def test_a_volatile_state_of_another_tpm_is_refused(self):
        place, other = self.workspace.file("state"), self.workspace.file("other")
        self.make_state(place, volatile=True)
        self.make_state(other, volatile=True)
        name = "tpm2-00.volatilestate"
        (place / name).write_bytes((other / name).read_bytes()[:-8] + bytes(8))
        self.refused_by(CORRUPT, "import-swtpm", place, self.image)

    def test_a_running_tpm_is_refused(self):
        place = self.workspace.file("state")
        self.make_state(place)
        swtpm, client = self.start_swtpm(place)
        self.refused_by(IN_USE, "import-swtpm", place, self.image, message="swtpm has it locked")
        self.end_swtpm(swtpm, client)
        vnvram("import-swtpm", place, self.image)
        tpm = self.start(self.image)
        out = self.workspace.file("out")
        self.refused_by(IN_USE, "export-swtpm", self.image, out)
        self.refused_by(IN_USE, "import-swtpm", place, self.image, "--replace")
        self.assertFalse(out.exists())
        vnvram("export-swtpm", self.image, out, "--no-seal")
        tpm.stop()

    def test_a_tpm_that_was_used_is_kept(self):
        place = self.workspace.file("state")
        self.make_state(place)
        used = self.new_image()
        tpm = self.start_server(used)
        self.client().define_counter()
        tpm.stop()
        self.refused_by(EXISTS, "import-swtpm", place, used, message="--replace")
        self.refused_by(EXISTS, "import-swtpm", place, used, "--tpm2")
        vnvram("import-swtpm", place, used, "--blobs", "second/")
        vnvram("import-swtpm", place, used, "--replace")
        self.server.unlink(missing_ok=True)
        tpm = self.start_server(used)
        self.assertEqual(self.client().counter(), 5)
        tpm.stop()
        out = self.workspace.file("out")
        vnvram("export-swtpm", used, out, "--blobs", "second/")
        self.assertEqual((out / "tpm2-00.permall").read_bytes(), (place / "tpm2-00.permall").read_bytes())

    def test_an_image_that_was_prepared(self):
        place = self.workspace.file("state")
        self.make_state(place)
        key = f"file:{self.digits}"
        create(self.image, "--tpm2", "--blob", "other:test:8K", "--encrypt", "--key", key)
        self.refused_by(KEY_NEEDED, "import-swtpm", place, self.image)
        said = json.loads(vnvram("import-swtpm", place, self.image, "--key", key, "--json"))
        self.assertEqual((said["created"], said["encrypted"]), (False, True))
        out = self.workspace.file("out")
        vnvram("export-swtpm", self.image, out, "--key", key)
        self.assertEqual(files_of(out)["tpm2-00.permall"], files_of(place)["tpm2-00.permall"])
        # An image that would be plain is not made where a key was given.
        absent = self.workspace.file("absent.nvram")
        self.refused_by(USAGE, "import-swtpm", place, absent, "--key", key, message="neither a key")
        self.assertFalse(absent.exists())

    def test_export_seals_and_overwrites_nothing(self):
        place = self.workspace.file("state")
        self.make_state(place)
        self.refused_by(NOT_FOUND, "export-swtpm", self.new_image(), self.workspace.file("none"))
        vnvram("import-swtpm", place, self.image)
        full = self.workspace.file("full")
        full.write_bytes(b"something")
        folder = self.workspace.file("folder")
        folder.mkdir()
        for words in ((full,), (full, "--linear"), (folder, "--linear"), (place,)):
            self.refused_by(EXISTS, "export-swtpm", self.image, *words)
        # What is found only when it is written takes the seal off again.
        absent = self.workspace.file("absent") / "folder"
        done = subprocess.run([str(program("vnvram")), "export-swtpm", str(self.image), str(absent)],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(info(self.image)["sealed"])
        vnvram("export-swtpm", self.image, folder)
        self.assertEqual(oct((folder / "tpm2-00.permall").stat().st_mode & 0o7777), "0o600")
        _, said = self.refused(self.image, "--ctrl", f"unix:{self.workspace.file('no.ctrl')}")
        self.assertIn("sealed", said)
        self.refused_by(SEALED, "export-swtpm", self.image, self.workspace.file("again"))
        self.refused_by(SEALED, "import-swtpm", place, self.image, "--replace")

    def attach(self, backing):
        """As root only."""
        done = subprocess.run(["losetup", "--find", "--show", backing], check=True,
                              capture_output=True, text=True)
        device = pathlib.Path(done.stdout.strip())
        self.addCleanup(subprocess.run, ["losetup", "--detach", str(device)], check=True)
        return device

    def test_block_devices(self):
        """Of 4 MiB, as Proxmox makes them."""
        devices = []
        for name in ("there", "back"):
            backing = self.workspace.file(name)
            backing.write_bytes(bytes(4 << 20))
            devices.append(self.attach(backing))
        there, back = devices
        key = self.keys()["key"]
        self.make_state(there, LINEAR, key, volatile=True)
        before = there.read_bytes()
        vnvram("import-swtpm", there, self.image, "--swtpm-key", key)
        self.assertEqual(there.read_bytes(), before)
        self.refused_by(EXISTS, "export-swtpm", self.image, there, message="not blank")
        vnvram("export-swtpm", self.image, back, "--swtpm-key", key)
        swtpm, client = self.start_swtpm(back, LINEAR, key)
        self.assertEqual(client.counter(), 5)
        self.end_swtpm(swtpm, client)

    def test_put_names_the_way(self):
        place, linear = self.workspace.file("state"), self.workspace.file("linear")
        self.make_state(place)
        self.make_state(linear, LINEAR)
        image = self.new_image()
        for path in (place / "tpm2-00.permall", linear):
            self.refused_by(USAGE, "put", image, "tpm2.permanent", path, message="vnvram import-swtpm")
        self.refused_by(FOREIGN, "import-swtpm", place / "tpm2-00.permall", self.image,
                        message="name the folder")
        self.refused_by(IO, "import-swtpm", self.workspace.file("absent"), self.image)

    def test_tpm12(self):
        place = self.workspace.file("state12")
        swtpm, client = self.start_swtpm(place, version=())
        client.must(0x99, struct.pack(">H", 1), 0xC1)
        client.must(0x14, struct.pack(">I", 10) + b"\x5a" * 20, 0xC1)
        expected = client.must(0x15, struct.pack(">I", 10), 0xC1)
        client.must(0x98, b"", 0xC1)  # TPM_SaveState
        self.end_swtpm(swtpm, client)
        said = json.loads(vnvram("import-swtpm", place, self.image, "--json"))
        self.assertEqual(said["version"], "1.2")
        self.assertIn("savestate", [state["swtpm"] for state in said["states"]])
        back = self.workspace.file("back12")
        vnvram("export-swtpm", self.image, back)
        swtpm, client = self.start_swtpm(back, version=())
        client.must(0x99, struct.pack(">H", 2), 0xC1)  # From the state that was saved.
        self.assertEqual(client.must(0x15, struct.pack(">I", 10), 0xC1), expected)
        self.end_swtpm(swtpm, client)


if __name__ == "__main__":
    unittest.main()
