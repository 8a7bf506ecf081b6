"""The systemd units: they are valid, and the users that they give to two machines keep these apart."""

import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

from support import Child, Deadline, TpmCase, program, vnvram

from harness.tpm_process import REPOSITORY

UNITS = REPOSITORY / "contrib" / "systemd"
KVM = 64901  # Numbers stand for names here: a test makes no users.
USERS = {"vm1": 64911, "vm2": 64912}
QEMU = 64921


def run_as(uid, gid, *argv):
    """With no other group than this one."""
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
                           *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


class Unit:
    """What a unit says, for a machine of that name, in the workspace's folders."""

    def __init__(self, name, machine, folder):
        text = (UNITS / name).read_text("utf-8")
        text = text.replace("vnvram-%i", str(USERS[machine])).replace("%i", machine)
        text = re.sub(r"-g kvm\b", f"-g {KVM}", text)
        text = text.replace("/var/lib/vnvram", str(folder / "lib"))
        text = text.replace("/run/vnvram", str(folder / "run"))
        text = text.replace("/usr/bin/vnvram-tpm", str(program("vnvram-tpm")))
        self.lines = re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)

    def values(self, key):
        return [value for name, value in self.lines if name == key]

    def prepare(self):
        """As root: all of them are marked so."""
        for command in self.values("ExecStartPre"):
            if not command.startswith("+"):
                raise AssertionError(f"not by root: {command}")
            subprocess.run(command[1:].split(), check=True, timeout=60)

    def argv(self):
        user = self.values("User")[0]
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                *self.values("ExecStart")[0].split()]


class UnitFiles(unittest.TestCase):
    def test_one_user_for_each_machine_and_not_in_kvm(self):
        for name in ("vnvram-tpm@.service", "vnvram-nbd@.service"):
            text = (UNITS / name).read_text("utf-8")
            self.assertEqual(re.findall(r"^User=(.*)$", text, re.MULTILINE), ["vnvram-%i"])
            self.assertNotRegex(text, r"(?m)^(Group|SupplementaryGroups)=")
        users = (UNITS / "vnvram.sysusers.conf").read_text("utf-8")
        self.assertNotRegex(users, r"(?m)^m ")

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
class Verified(TpmCase):
    def test_systemd_finds_nothing_wrong(self):
        folder = self.workspace.file("units")
        folder.mkdir()
        for unit in UNITS.glob("*@.*"):
            text = unit.read_text("utf-8").replace("/usr/bin/vnvram-tpm", str(program("vnvram-tpm")))
            (folder / unit.name.replace("@.", "@vm1.")).write_text(text, "utf-8")
        units = sorted(folder.iterdir())
        self.assertEqual(len(units), 3)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                               *units], capture_output=True, text=True, timeout=60, check=False)
        complaints = [line for line in done.stderr.splitlines() if "vnvram" in line]
        self.assertEqual(complaints, [], done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "becomes other users")
class TwoMachines(TpmCase):
    def start_unit(self, machine, folder):
        unit = Unit("vnvram-tpm@.service", machine, folder)
        image = folder / "lib" / f"{machine}.img"
        vnvram("create", image, "--tpm2")
        unit.prepare()
        child = Child(unit.argv(), self.workspace.log(machine))
        self.children.append(child)
        deadline = Deadline(60)
        place = folder / "run" / machine / "tpm.sock"
        while not place.is_socket() or stat.S_IMODE(place.stat().st_mode) != 0o660:
            self.assertFalse(deadline.passed() or child.returncode is not None)
        return child

    def setUp(self):
        super().setUp()
        self.folder = self.workspace.path
        os.chmod(self.folder, 0o755)
        for name in ("lib", "run"):
            (self.folder / name).mkdir(mode=0o755)
        self.tpms = {machine: self.start_unit(machine, self.folder) for machine in USERS}

    def can_connect(self, uid, gid, path):
        script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        return run_as(uid, gid, "/usr/bin/python3", "-c", script, path).returncode == 0

    def test_qemu_reaches_the_tpm_and_nobody_else_does(self):
        for machine, user in USERS.items():
            sockets = self.folder / "run" / machine
            self.assertTrue(self.can_connect(QEMU, KVM, sockets / "tpm.sock"))
            self.assertFalse(self.can_connect(QEMU, KVM, sockets / "admin.sock"))
            self.assertFalse(self.can_connect(QEMU, QEMU, sockets / "tpm.sock"))
            other = next(number for number in USERS.values() if number != user)
            for name in ("tpm.sock", "admin.sock"):
                self.assertTrue(self.can_connect(user, user, sockets / name))
                self.assertFalse(self.can_connect(other, other, sockets / name))

    def test_no_machine_reaches_anothers_image_or_process(self):
        for machine, user in USERS.items():
            image = self.folder / "lib" / f"{machine}.img"
            self.assertEqual((image.stat().st_uid, stat.S_IMODE(image.stat().st_mode)),
                             (user, 0o600))
            other = next(number for number in USERS.values() if number != user)
            self.assertNotEqual(run_as(other, other, "cat", image).returncode, 0)
            self.assertNotEqual(run_as(other, other, "kill", "-0", self.tpms[machine].pid).returncode,
                                0)
            # Nor can one put something else in the place of its image, for root to give it away.
            self.assertNotEqual(run_as(user, user, "ln", "-sf", "/etc/shadow", image).returncode, 0)

    def test_they_end_and_start_again(self):
        for machine, child in self.tpms.items():
            self.assertEqual(child.terminate(), 0)
            self.assertEqual(list((self.folder / "run" / machine).iterdir()), [])
            image = self.folder / "lib" / f"{machine}.img"
            vnvram("check", image)
            os.chown(image, 0, 0)  # As after a restore from a backup.
            unit = Unit("vnvram-tpm@.service", machine, self.folder)
            unit.prepare()
            again = Child(unit.argv(), self.workspace.log(machine))
            self.children.append(again)
            deadline = Deadline(60)
            place = self.folder / "run" / machine / "tpm.sock"
            while not place.is_socket() or stat.S_IMODE(place.stat().st_mode) != 0o660:
                self.assertFalse(deadline.passed() or again.returncode is not None)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(place))
            self.assertEqual(again.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
