"""The lines for AppArmor are in the profile that libvirt makes for a machine, and it compiles.

Nothing is enforced: not every kernel has AppArmor, and profiles are not loaded here.
"""

import re
import shutil
import subprocess
import unittest

from guest.guest_image import unpack_package
from harness.tpm_process import REPOSITORY
from harness.workspace import Workspace

LINES = REPOSITORY / "contrib" / "libvirt" / "apparmor"
MACHINE = REPOSITORY / "contrib" / "libvirt" / "machine.xml"
UUID = "11111111-2222-3333-4444-555555555555"
NAME = f"libvirt-{UUID}"
ABSTRACTION = "abstractions/libvirt-qemu"
SAYS = {"vm1/tpm.sock", "vm1/nbd.sock"}  # Of the machine.


def run(*words, **more):
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{words}: status {done.returncode}: {done.stdout}")
    return done.stdout


class AppArmor(unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.policy = self.workspace.file("apparmor.d")
        shutil.copytree("/etc/apparmor.d", self.policy)
        if not (self.policy / ABSTRACTION).exists():
            # Debian 12 has it in a package that also starts a libvirtd.
            folder = self.workspace.file("package")
            folder.mkdir()
            unpack_package(lambda _: "libvirt-daemon-system", folder)
            shutil.copytree(folder / "etc" / "apparmor.d", self.policy, dirs_exist_ok=True)

    def files_of_the_machine(self):
        """What libvirt lets QEMU open because its XML names it."""
        domain = MACHINE.read_text("utf-8").replace(
            "<name>vm1</name>", f"<name>vm1</name><uuid>{UUID}</uuid><memory>262144</memory>")
        said = run("/usr/lib/libvirt/virt-aa-helper", "--create", "--dryrun", "--uuid", NAME,
                   input=domain)
        return "".join(line for line in said.splitlines(keepends=True)
                       if re.match(r'  (deny )?"', line))

    def add_lines(self):
        """As docs/operations.md says."""
        folder = self.policy / f"{ABSTRACTION}.d"
        if f"<{ABSTRACTION}.d>" in (self.policy / ABSTRACTION).read_text("utf-8"):
            folder.mkdir(exist_ok=True)
            shutil.copy(LINES, folder / "vnvram")
            return
        local = self.policy / "local" / ABSTRACTION
        local.parent.mkdir(parents=True, exist_ok=True)
        with open(local, "a", encoding="utf-8") as file:
            file.write(LINES.read_text("utf-8"))

    def profile(self):
        profile = self.policy / "libvirt" / NAME
        text = (self.policy / "libvirt" / "TEMPLATE.qemu").read_text("utf-8")
        profile.write_text(text.replace("LIBVIRT_TEMPLATE", NAME).replace(
            f"<{ABSTRACTION}>\n", f"<{ABSTRACTION}>\n{self.files_of_the_machine()}"), "utf-8")
        return profile

    def test_a_machines_profile(self):
        files = self.files_of_the_machine()
        self.assertIn('"/usr/share/OVMF/OVMF_CODE_4M.fd" rk', files)
        for socket in SAYS:
            self.assertNotIn(socket, files)  # Else the lines would not be needed.
        self.add_lines()
        profile = self.profile()
        parser = ("/sbin/apparmor_parser", "--base", self.policy)
        whole = run(*parser, "--preprocess", profile)
        lines = [line for line in map(str.strip, LINES.read_text("utf-8").splitlines())
                 if line and not line.startswith("#")]
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertIn(line, whole)
        compiled = self.workspace.file("compiled")
        run(*parser, "--skip-kernel-load", "--skip-cache", "--ofile", compiled, profile)
        self.assertGreater(compiled.stat().st_size, 0)


if __name__ == "__main__":
    unittest.main()
