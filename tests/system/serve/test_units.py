"""The systemd units: they are valid, and the users that they give to two machines keep these apart."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

import nbd  # libnbd's own binding

from harness.notified_child import start_notified
from harness.shows_logs import ShowsLogs
from harness.tpm_process import REPOSITORY, program
from harness.vnvram import must_be_clean, vnvram
from harness.workspace import Workspace
from tpm.support import ControlClient

UNITS = REPOSITORY / "contrib" / "systemd"
SERVICE = "vnvram@.service"
SOCKETS = ["vnvram-control@.socket", "vnvram-tpm@.socket", "vnvram-nbd@.socket"]
KVM = 64901  # Numbers stand for names here: a test makes no users.
USERS = {"vm1": 64911, "vm2": 64912}
QEMU = 64921
# What systemd does: the sockets are descriptors from 3 on, and the process is told so.
ACTIVATE = """
umask 077
export LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=$1
shift
exec "$@"
"""


def run_as(uid, gid, *argv):
    """With no other group than this one."""
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
                           *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


class Unit:
    """What a unit says, for a machine of that name, in the workspace's folders."""

    def __init__(self, name, machine, folder):
        text = (UNITS / name).read_text("utf-8")
        text = re.sub(r"vnvram-%i\b", str(USERS[machine]), text).replace("%i", machine)
        text = text.replace("/var/lib/vnvram", str(folder / "lib"))
        text = text.replace("/run/vnvram", str(folder / "run"))
        text = text.replace("/usr/bin/vnvram", str(program("vnvram")))
        self.lines = re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)

    def values(self, key):
        return [value for name, value in self.lines if name == key]

    def value(self, key, otherwise=None):
        return next(iter(self.values(key)), otherwise)


class MachineUnits:
    """The service and its sockets, as systemd starts them."""

    def __init__(self, machine, workspace, options=""):
        """`options`: what VNVRAM_OPTIONS= says."""
        self.workspace = workspace
        self.machine = machine
        self.options = options
        self.image = workspace.path / "lib" / f"{machine}.img"
        self.service = Unit(SERVICE, machine, workspace.path)
        self.sockets = {}
        self.child = None
        for name in SOCKETS:
            self._listen(Unit(name, machine, workspace.path))

    def _listen(self, unit):
        path = pathlib.Path(unit.value("ListenStream"))
        path.parent.mkdir(mode=int(unit.value("DirectoryMode"), 8), exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        group = KVM if unit.value("SocketGroup") == "kvm" else 0
        os.chown(path, int(unit.value("SocketUser", "0")), group)
        os.chmod(path, int(unit.value("SocketMode"), 8))
        listening.listen()
        self.sockets[unit.value("FileDescriptorName")] = listening

    def start(self):
        """It is ready when this returns."""
        for command in self.service.values("ExecStartPre"):
            if not command.startswith("+"):
                raise AssertionError(f"not by root: {command}")
            subprocess.run(command[1:].split(), check=True, timeout=60)
        user = self.service.value("User")
        command = self.service.value("ExecStart").replace("$VNVRAM_OPTIONS", self.options).split()
        numbers = [listening.fileno() for listening in self.sockets.values()]
        places = "".join(f"exec {3 + index}<&{number}\n" for index, number in enumerate(numbers))
        argv = ["bash", "-c", places + ACTIVATE, "bash", ":".join(self.sockets), "setpriv",
                f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=KILL", *command]
        notify = self.workspace.file(f"{self.machine}.notify")
        notify.unlink(missing_ok=True)
        mask = os.umask(0)  # It is another user who says there that it is ready.
        try:
            self.child = start_notified(argv, self.workspace.log(self.machine), notify, numbers)
        finally:
            os.umask(mask)

    def path(self, name):
        return self.workspace.path / "run" / self.machine / f"{name}.sock"

    def kill(self):
        if self.child is not None:
            self.child.kill()
        for listening in self.sockets.values():
            listening.close()


class UnitFiles(unittest.TestCase):
    def test_one_user_for_each_machine_and_not_in_kvm(self):
        text = (UNITS / SERVICE).read_text("utf-8")
        self.assertEqual(re.findall(r"^User=(.*)$", text, re.MULTILINE), ["vnvram-%i"])
        self.assertNotRegex(text, r"(?m)^(Group|SupplementaryGroups)=")
        users = (UNITS / "vnvram.sysusers.conf").read_text("utf-8")
        self.assertNotRegex(users, r"(?m)^m ")

    def test_the_service_has_all_sockets_by_their_names(self):
        service = Unit(SERVICE, "vm1", pathlib.Path("/"))
        self.assertEqual(service.value("Sockets").split(),
                         [name.replace("@.", "@vm1.") for name in SOCKETS])
        command = service.value("ExecStart").split()
        for name in SOCKETS:
            unit = Unit(name, "vm1", pathlib.Path("/"))
            self.assertEqual(unit.value("Service"), "vnvram@vm1.service")
            self.assertIn(f"fd:{unit.value('FileDescriptorName')}", command)

    @unittest.skipUnless(shutil.which("systemd-sysusers"), "systemd is not there")
    def test_the_users_can_be_made(self):
        with tempfile.TemporaryDirectory(prefix="vnvram-users-") as root:
            (pathlib.Path(root) / "etc").mkdir()
            subprocess.run(["systemd-sysusers", f"--root={root}", "--inline", "g kvm",
                            "u vnvram-vm1"], check=True, capture_output=True, timeout=60)
            made = (pathlib.Path(root) / "etc" / "passwd").read_text("utf-8")
            self.assertRegex(made, r"(?m)^vnvram-vm1:")
            group = (pathlib.Path(root) / "etc" / "group").read_text("utf-8")
            self.assertRegex(group, r"(?m)^kvm:x:\d+:$")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not there")
    def test_systemd_finds_nothing_wrong(self):
        with tempfile.TemporaryDirectory(prefix="vnvram-units-") as name:
            folder = pathlib.Path(name)
            for unit in UNITS.glob("*@.*"):
                text = unit.read_text("utf-8").replace("/usr/bin/vnvram", str(program("vnvram")))
                (folder / unit.name.replace("@.", "@vm1.")).write_text(text, "utf-8")
            units = sorted(folder.iterdir())
            self.assertEqual(len(units), 4)
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                                   *units], capture_output=True, text=True, timeout=60, check=False)
        complaints = [line for line in done.stderr.splitlines() if "vnvram" in line]
        self.assertEqual(complaints, [], done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "becomes other users")
class TwoMachines(ShowsLogs, unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        os.chmod(self.workspace.path, 0o755)
        for name in ("lib", "run"):
            self.workspace.file(name).mkdir(mode=0o755)
        self.machines = {name: MachineUnits(name, self.workspace) for name in USERS}
        for machine in self.machines.values():
            self.addCleanup(machine.kill)
            vnvram("create", machine.image, "--tpm2", "--blob", "eeprom:at24c:512")
            machine.start()

    def can_connect(self, uid, gid, path):
        script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        return run_as(uid, gid, "/usr/bin/python3", "-c", script, path).returncode == 0

    def write(self, machine, content):
        client = nbd.NBD()
        client.connect_uri(f"nbd+unix:///eeprom?socket={machine.path('nbd')}")
        client.pwrite(content, 0, nbd.CMD_FLAG_FUA)
        client.shutdown()

    def test_tpm_and_exports_are_served(self):
        for machine in self.machines.values():
            self.write(machine, b"content")
            with contextlib.closing(ControlClient(machine.path("tpm"))) as control:
                self.assertEqual(control.init(), 0)
            self.assertIn("eeprom", vnvram("ls", f"unix:{machine.path('owner')}"))

    def test_qemu_reaches_its_sockets_and_nobody_else_does(self):
        for name, user in USERS.items():
            machine = self.machines[name]
            other = next(number for number in USERS.values() if number != user)
            for device in ("tpm", "nbd"):
                self.assertTrue(self.can_connect(QEMU, KVM, machine.path(device)))
                self.assertFalse(self.can_connect(QEMU, QEMU, machine.path(device)))
                self.assertFalse(self.can_connect(other, other, machine.path(device)))
            # Neither can what serves the machine ask for more than it was given.
            for number in (QEMU, user, other):
                self.assertFalse(self.can_connect(number, KVM, machine.path("owner")))

    def test_no_machine_reaches_anothers_image_or_process(self):
        for name, user in USERS.items():
            machine = self.machines[name]
            status = machine.image.stat()
            self.assertEqual((status.st_uid, stat.S_IMODE(status.st_mode)), (user, 0o600))
            other = next(number for number in USERS.values() if number != user)
            self.assertNotEqual(run_as(other, other, "cat", machine.image).returncode, 0)
            self.assertNotEqual(run_as(other, other, "kill", "-0", machine.child.pid).returncode, 0)
            # Nor can one put something else in the place of its image, for root to give it away.
            done = run_as(user, user, "ln", "-sf", "/etc/shadow", machine.image)
            self.assertNotEqual(done.returncode, 0)

    def test_they_end_and_start_again(self):
        for name, machine in self.machines.items():
            self.write(machine, name.encode())
            self.assertEqual(machine.child.terminate(), 0)
            must_be_clean(machine.image)
            os.chown(machine.image, 0, 0)  # As after a restore from a backup.
            machine.start()
            self.assertEqual(vnvram("get", f"unix:{machine.path('owner')}", "eeprom")[:3], name)
            self.assertEqual(machine.child.terminate(), 0)
            for device in ("owner", "tpm", "nbd"):
                self.assertTrue(machine.path(device).is_socket())  # They are systemd's.


if __name__ == "__main__":
    unittest.main()
