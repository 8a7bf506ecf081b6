"""vnvram serve --print: what is printed is what QEMU and libvirt take."""

import json
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

from cli.command import NOT_FOUND, USAGE
from harness.firmware import PLAIN

from .machine_case import MachineCase

SKELETON = """<domain type='qemu'><name>printed</name><memory unit='MiB'>256</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices/></domain>"""


class Printed(MachineCase):
    image_options = ("--tpm2", *PLAIN.create_options(), "--blob", "board/eeprom:at24c:512")

    def setUp(self):
        super().setUp()
        # A path that means something to a shell and in XML.
        self.folder = self.path("a b & 'c'")
        self.folder.mkdir()

    def options(self, *words):
        return ("serve", self.image, "--control", f"unix:{self.folder}/owner.sock", *words)

    def print(self, who, *words):
        """Returns what it prints, and what it says beside that."""
        done = self.run_vnvram(*self.options("--print", who, *words))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def devices(self, folder=None):
        folder = folder or self.folder
        return ("--tpm", f"unix:{folder}/tpm.sock", "--nbd", f"unix:{folder}/nbd.sock")

    def serve_there(self):
        machine = self.start_machine(*self.devices(), tpm=False, nbd=False)
        machine.socket = self.folder / "nbd.sock"
        return machine

    def ask_qemu(self, arguments, *commands):
        """Starts a real one with what was printed, as a shell does, and asks it."""
        script = ("eval \"exec qemu-system-x86_64 -machine q35 -accel tcg -m 64 -nodefaults "
                  f"-display none -S -qmp stdio $1\"")
        asked = [{"execute": name} for name in ("qmp_capabilities", *commands, "quit")]
        done = subprocess.run(["sh", "-c", script, "sh", arguments], capture_output=True, text=True,
                              input="".join(json.dumps(each) for each in asked), timeout=300,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return [each["return"] for each in answers if "return" in each][1:-1]

    def test_qemu_takes_the_arguments(self):
        arguments, said = self.print("qemu", *self.devices())
        self.assertIn("drive=nvram-board-eeprom", said)
        self.assertEqual(arguments.count("reconnect-delay=60"), 2)
        machine = self.serve_there()
        tpms, blocks = self.ask_qemu(arguments, "query-tpm", "query-block")
        self.assertEqual([(tpm["model"], tpm["options"]["type"]) for tpm in tpms],
                         [("tpm-crb", "emulator")])
        by_name = {block["device"]: block["inserted"] for block in blocks if "inserted" in block}
        self.assertEqual(by_name.keys(), {"pflash0", "pflash1", "nvram-board-eeprom"})
        self.assertTrue(by_name["pflash0"]["ro"])
        self.assertFalse(by_name["pflash1"]["ro"])
        self.assertEqual(by_name["pflash1"]["image"]["virtual-size"], 540672)
        self.assertIn("board/eeprom", json.dumps(by_name["nvram-board-eeprom"]))
        self.end(machine)

    def test_libvirt_takes_the_xml(self):
        printed, said = self.print("libvirt", *self.devices())
        self.assertIn("board/eeprom: libvirt has no element", said)
        elements = ElementTree.fromstring(printed)
        domain = ElementTree.fromstring(SKELETON)
        for place in ("os", "devices"):
            domain.find(place).extend(elements.find(place))
        self.assertEqual(domain.find("devices/tpm/backend/source").get("path"),
                         f"{self.folder}/tpm.sock")
        self.assertEqual(domain.find("os/nvram/source/host").get("socket"),
                         f"{self.folder}/nbd.sock")
        path = self.path("printed.xml")
        path.write_bytes(ElementTree.tostring(domain))
        self.run_program("virt-xml-validate", path, "domain")

    def test_it_has_exactly_what_the_options_name(self):
        nbd = f"unix:{self.folder}/nbd.sock"
        arguments, _ = self.print("qemu", "--nbd", f"{nbd},export=uefi.vars")
        self.assertNotIn("tpm", arguments)
        self.assertNotIn("eeprom", arguments)
        arguments, _ = self.print("qemu", "--nbd", f"{nbd},export=board/eeprom,"
                                                   "readonly=board/eeprom")
        self.assertIn("readonly=on", arguments)
        self.assertNotIn("pflash", arguments)
        arguments, _ = self.print("qemu", "--tpm", f"unix:{self.folder}/tpm.sock")
        self.assertNotIn("drive", arguments)
        self.assertEqual(self.print("qemu")[0], "")

    def test_it_needs_no_image_of_its_own_and_leaves_nothing(self):
        machine = self.serve_there()
        before = self.names()
        self.print("qemu", *self.devices())
        self.assertEqual(self.names(), before)
        self.end(machine)
        self.assertEqual(list(pathlib.Path(self.folder).iterdir()), [])

    def test_a_tpm_of_another_version(self):
        self.vnvram("register", self.image, "--tpm12=old/")
        arguments, _ = self.print("qemu", "--tpm", f"unix:{self.folder}/tpm.sock,blobs=old/")
        self.assertIn("-device tpm-tis,tpmdev=tpm0", arguments)

    def test_arm(self):
        image = self.path("arm.nvram")
        self.vnvram("create", image, "--tpm2", "--uefi", "/usr/share/AAVMF/AAVMF_VARS.fd")
        self.image = image
        arguments, _ = self.print("qemu", *self.devices())
        self.assertIn("tpm-tis-device", arguments)
        self.assertIn("AAVMF_CODE.fd", arguments)

    def test_the_image_may_stand_behind_its_devices(self):
        """One address is all that belongs to an option."""
        words = ("serve", "--control", f"unix:{self.folder}/owner.sock", *self.devices(), self.image, "--print", "qemu")
        self.assertEqual(self.vnvram(*words).decode(), self.print("qemu", *self.devices())[0])

    def test_what_cannot_be_said(self):
        tpm = f"unix:{self.folder}/tpm.sock"
        self.vnvram("register", self.image, "--tpm2=other/")
        for status, words in ((NOT_FOUND, ("--tpm", f"{tpm},blobs=nobody/")),
                              (NOT_FOUND, ("--nbd", f"{tpm},export=nobody")),
                              (USAGE, ("--tpm", tpm, "--tpm", f"{tpm}2,blobs=other/")),
                              (USAGE, ("--tpm", "fd:9")), (USAGE, ("--tpm", f"{tpm},shiny"))):
            self.vnvram(*self.options("--print", "qemu", *words), status=status)
        self.vnvram(*self.options("--print", "xen"), status=USAGE)
