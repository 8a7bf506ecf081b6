"""As packages have it installed: who manufactures with whose authority, which root shares with libvirt's swtpm_setup."""

import os
import pwd
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness.tpm_process import program

from .case import run

USER = "tss"
AUTHORITY = "/var/lib/swtpm-localca"
# In a mount namespace of its own, so that the host's authority stays as it is.
FRESH_HOST = """set -eu
mount -t tmpfs -o mode=750,uid={uid},gid=0 none {authority}
{before}
{bin}/vnvram create {folder}/vm.nvram --tpm2 --manufacture
stat -c %U {authority}/* {authority}/.lock* | sort -u
mkdir {folder}/state
chown {user} {folder}/state
setpriv --reuid={uid} --regid={gid} --init-groups \\
  swtpm_setup --tpm2 --tpm-state {folder}/state --createek --create-ek-cert --logfile {folder}/state/log
"""


def can_try():
    if os.geteuid() != 0 or not os.path.isdir(AUTHORITY) or not os.path.exists("/etc/swtpm_setup.conf"):
        return False
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", AUTHORITY], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(can_try(), "needs root, who may mount, and Debian's swtpm-tools")
class AsRoot(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vnvram-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o711)
        # Where the other user sees them, wherever this tree is.
        for name, place in (("vnvram", "bin"), ("vnvram-swtpm", "libexec/vnvram")):
            run("install", "-D", "-m", "755", program(name), self.folder / place / name)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)
        self.env = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "no-config"),
                    "TMPDIR": str(self.temporary)}
        self.account = pwd.getpwnam(USER)

    def on_a_fresh_host(self, before="", status=0):
        script = FRESH_HOST.format(uid=self.account.pw_uid, gid=self.account.pw_gid, authority=AUTHORITY,
                                   before=before, bin=self.folder / "bin", folder=self.folder, user=USER)
        said = run("unshare", "-m", "sh", "-c", script, env=self.env, status=status)
        self.assertEqual([path for path in self.temporary.iterdir() if path.name.startswith("vnvram")], [])
        return said

    def test_the_authority_is_its_folders_owners(self):
        self.assertEqual(self.on_a_fresh_host().splitlines()[0], USER)
        self.assertEqual((self.folder / "vm.nvram").stat().st_uid, 0)
        self.assertIn("BEGIN CERTIFICATE",
                      run(self.folder / "bin" / "vnvram", "tpm", "identity", self.folder / "vm.nvram"))

    def test_one_that_root_has_made_is_complained_of(self):
        said = self.on_a_fresh_host(before=f"install -m 600 /dev/null {AUTHORITY}/.lock.swtpm-localca", status=21)
        self.assertIn(f"whose the authority's folder is: the files in it have to be {USER}'s as well", said)
        self.assertFalse((self.folder / "vm.nvram").exists())

    def test_nobody_is_told_how_to_have_one(self):
        image = self.temporary / "vm.img"
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
                  f"XDG_CONFIG_HOME={self.temporary}/config", f"HOME={self.temporary}")
        words = (self.folder / "bin" / "vnvram", "create", image, "--tpm2", "--manufacture")
        said = run(*nobody, *words, env=self.env, status=21)
        self.assertIn(f"rights on statedir {AUTHORITY}", said)
        self.assertIn("swtpm_setup --create-config-files", said)
        self.assertNotRegex(said, "[0-9a-f]{40}")
        run(*nobody, "swtpm_setup", "--create-config-files", env=self.env)
        run(*nobody, *words, env=self.env)
        self.assertEqual(image.stat().st_uid, 65534)


if __name__ == "__main__":
    unittest.main()
