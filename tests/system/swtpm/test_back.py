"""swtpm gets its place back: `vnvram export-swtpm --in-place`, and vnvram-swtpm-back, which calls it."""

import json
import os
import pathlib
import pwd
import shutil
import subprocess
import unittest

from harness.tpm_process import program
from harness.vnvram import info, vnvram

from .case import SwtpmCase, loop_device
from .programs import OURS, SWTPM, content

BACK = pathlib.Path(__file__).resolve().parents[3] / "contrib/swtpm/vnvram-swtpm-back"
IMAGE, KEPT = "tpm2-00.permall", "tpm2-00.permall.vnvram"
VOLATILE = "tpm2-00.volatilestate"
USAGE, IN_USE = 2, 14
UNKNOWN = 3
USER = "nobody"
SIZE = 4 << 20


class BackCase(SwtpmCase):
    def setUp(self):
        super().setUp()
        self.homes, self.kept = self.workspace.file("homes"), self.workspace.file("kept")
        self.homes.mkdir()
        self.programs_folder = self.workspace.file("programs")
        self.programs_folder.mkdir()
        self.workspace.path.chmod(0o755)  # Others run what is there.
        self.ours = self.programs_folder / "vnvram.ours"
        shutil.copy(program("vnvram"), self.ours)
        self.stand_in("vnvram", f'exec {self.ours} "$@"\n')

    def refused(self, status, *words, says=""):
        """Of the program; nothing is changed."""
        done = subprocess.run([str(program("vnvram")), *map(str, words)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(says, done.stderr)

    def back(self, *words, status=0, patience=30):
        """The script. What it said on both outputs."""
        path = f"{self.programs_folder}:{os.environ['PATH']}"
        done = subprocess.run([str(BACK), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=False,
                              env={**os.environ, "PATH": path, "VNVRAM_HOMES": str(self.homes),
                                   "VNVRAM_KEPT_IN": str(self.kept), "VNVRAM_PATIENCE_SECONDS": str(patience)})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def stand_in(self, name, text):
        place = self.programs_folder / name
        place.write_text("#!/bin/sh\n" + text)
        place.chmod(0o755)

    def home_folder(self, home="user"):
        folder = self.homes / home / ".config/libvirt/qemu/swtpm/vm1/tpm2"
        folder.mkdir(parents=True)
        return folder

    def image_in(self, folder):
        """Of a TPM that was used. Returns its facts."""
        return self.make_state(folder, name=OURS)


class InPlace(BackCase):
    def test_a_folder(self):
        folder = self.new_folder()
        known = self.image_in(folder)
        before = (folder / IMAGE).read_bytes()
        (folder / IMAGE).chmod(0o640)
        (folder / VOLATILE).write_bytes(b"older than the image")
        said = json.loads(vnvram("export-swtpm", folder / IMAGE, "--in-place", "--json"))
        self.assertEqual(said["kept"], str(folder / KEPT))
        self.assertEqual(set(content(folder)), {IMAGE, KEPT})
        self.assertEqual((folder / IMAGE).stat().st_mode & 0o7777, 0o640)
        self.assertTrue(info(folder / KEPT)["sealed"])
        self.assertEqual(len((folder / KEPT).read_bytes()), len(before))
        self.check_facts(folder, known, name=SWTPM)
        # And once more, with the image's name beside it taken.
        self.check_facts(folder, known)
        vnvram("export-swtpm", folder / IMAGE, "--in-place")
        self.assertIn(f"{KEPT}.2", content(folder))
        self.check_facts(folder, known, name=SWTPM)

    def test_what_cannot_be_done_leaves_the_image(self):
        folder = self.new_folder()
        known = self.image_in(folder)
        image = folder / IMAGE
        self.refused(USAGE, "export-swtpm", image, "--in-place", "--keep", self.workspace.file("x"))
        self.refused(USAGE, "export-swtpm", image, self.workspace.file("x"), "--in-place")
        self.refused(USAGE, "export-swtpm", image)
        link = folder / "link"
        link.symlink_to(image)
        self.refused(USAGE, "export-swtpm", link, "--in-place", says="link")
        link.unlink()
        vm_image = self.workspace.file("vm.qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", image, vm_image], check=True, timeout=60)
        before = vm_image.read_bytes()
        self.refused(USAGE, "export-swtpm", vm_image, "--in-place", says="no image begins there")
        self.assertEqual(vm_image.read_bytes(), before)
        # The name of a TPM of the other version.
        other = folder / "tpm-00.permall"
        image.rename(other)
        self.refused(USAGE, "export-swtpm", other, "--in-place", says="another TPM")
        self.assertFalse(info(other)["sealed"])
        other.rename(image)
        tpm, client = self.power_on(folder)
        self.refused(IN_USE, "export-swtpm", image, "--in-place")
        client.close()
        tpm.stop()
        self.assertEqual(set(content(folder)), {IMAGE})
        self.check_facts(folder, known)

    def test_a_file_behind_a_guard_block(self):
        file = self.new_file(SIZE)
        known = self.image_in(file)
        vnvram("export-swtpm", file, "--in-place")
        self.assertEqual(file.stat().st_size, SIZE)
        self.assertNotIn(b"vNVRAM", file.read_bytes())
        self.assertTrue(info(file.with_name(f"{file.name}.vnvram"))["sealed"])
        self.check_facts(file, known, name=SWTPM)

    def test_two_devices(self):
        devices = [pathlib.Path(loop_device(self, self.new_file(SIZE))) for _ in range(2)]
        known = [self.image_in(device) for device in devices]
        self.refused(USAGE, "export-swtpm", devices[0], "--in-place", says="--keep")
        tpm, client = self.power_on(devices[0])
        self.back(*devices, status=1)  # The first runs, and the second does not pay for it.
        client.close()
        tpm.stop()
        self.check_facts(devices[0], known[0])
        self.check_facts(devices[1], known[1], name=SWTPM)
        self.back(devices[0])
        self.check_facts(devices[0], known[0], name=SWTPM)
        copies = sorted(self.kept.iterdir())
        self.assertEqual(len(copies), 2)
        for copy in copies:
            self.assertTrue(info(copy)["sealed"])
            self.assertEqual(copy.stat().st_mode & 0o7777, 0o600)


@unittest.skipUnless(os.geteuid() == 0, "becomes other users")
class AsWhom(BackCase):
    def test_an_owner_and_a_folder_of_root(self):
        """As where swtpm's user has a group's right to the folder."""
        folder = self.new_folder()
        known = self.image_in(folder)
        shutil.chown(folder / IMAGE, USER, pwd.getpwnam(USER).pw_gid)
        (folder / IMAGE).chmod(0o640)
        shutil.chown(folder, "root", pwd.getpwnam(USER).pw_gid)
        folder.chmod(0o2770)
        (folder / ".lock").chmod(0o666)
        self.back(folder / IMAGE)
        for name in (IMAGE, KEPT):
            status = (folder / name).stat()
            self.assertEqual((status.st_uid, status.st_mode & 0o7777), (pwd.getpwnam(USER).pw_uid, 0o640), name)
        self.check_facts(folder, known, name=SWTPM)

    def test_root_does_not_work_where_others_may_write(self):
        folder = self.new_folder()
        known = self.image_in(folder)
        before = content(folder)
        folder.chmod(0o2770)
        self.assertIn("others may write", self.back(folder / IMAGE, status=1)[1])
        folder.chmod(0o700)
        shutil.chown(folder, USER)
        self.assertIn("chown", self.back(folder / IMAGE, status=1)[1])
        shutil.chown(folder, "root")
        shutil.move(folder / IMAGE, self.workspace.file("elsewhere"))
        (folder / IMAGE).symlink_to(self.workspace.file("elsewhere"))
        self.assertIn("link", self.back(folder / IMAGE, status=1)[1])
        shutil.move(self.workspace.file("elsewhere"), folder / IMAGE)
        self.assertEqual(content(folder), before)
        self.check_facts(folder, known)

    def test_a_home_leads_nowhere_else(self):
        """A folder there may be a link to another's by the time that it is entered."""
        others = self.new_folder()
        known = self.image_in(others)
        folder = self.home_folder()
        folder.rmdir()
        folder.symlink_to(others)
        shutil.chown(self.homes / "user", USER)
        before = content(others)
        self.assertIn("does not belong", self.back(folder / IMAGE, status=1)[1])
        self.assertEqual(content(others), before)
        self.check_facts(others, known)

    def test_the_folder_is_entered_once(self):
        """Between two looks at its path that leads to a folder of root's, whose modes stay."""
        folder = self.home_folder()
        self.image_in(folder)
        roots = self.new_folder()
        (roots / IMAGE).write_bytes(b"root's")
        (roots / IMAGE).chmod(0o600)
        for path in (folder, *folder.iterdir(), *list(folder.parents)[:6]):
            if self.homes in path.parents:
                shutil.chown(path, USER)
        self.homes.chmod(0o755)
        # It is exchanged by the time that something is done in it.
        self.stand_in("vnvram", f"""mv {folder} {folder}.was && ln -s {roots} {folder}
exec {self.ours} "$@"
""")
        self.back("--all")
        self.assertEqual(content(roots), {IMAGE: b"root's"})
        self.assertEqual((roots / IMAGE).stat().st_mode & 0o7777, 0o600)
        self.assertIn(KEPT, content(folder.with_name("tpm2.was")))

    def test_root_does_not_take_a_folder_for_anothers(self):
        """That its path leads to a folder of root's by the first look, and to the user's by the next."""
        folder, roots = self.home_folder(), self.new_folder() / "tpm2"
        roots.mkdir()
        self.image_in(roots)
        self.image_in(folder)
        machine = folder.parent
        real = machine.with_name("real")
        machine.rename(real)
        machine.symlink_to(roots.parent)
        subprocess.run(["chown", "-R", "--no-dereference", USER, self.homes], check=True, timeout=60)
        shutil.chown(real / "tpm2" / IMAGE, "root")  # As a hard link of a file of root's is.
        before = content(real / "tpm2"), content(roots)
        self.stand_in("stat", f"""/usr/bin/stat "$@"; status=$?
if [ -L {machine} ]; then rm {machine}; mv {real} {machine}; fi
exit $status
""")
        self.back(folder / IMAGE, status=1)
        self.assertEqual((content(folder), content(roots)), before)

    def test_a_home_of_a_user_who_has_left(self):
        """It holds nothing up."""
        folder = self.home_folder()
        known = self.image_in(folder)
        subprocess.run(["chown", "-R", "54321:54321", self.homes / "user"], check=True, timeout=60)
        self.homes.chmod(0o755)
        self.assertEqual(self.back()[0], f"{folder / IMAGE}\n")
        self.back("--all")
        self.assertEqual((folder / IMAGE).stat().st_uid, 54321)
        self.check_facts(folder, known, name=SWTPM)

    def test_the_user_keeps_no_environment_and_gets_no_rights(self):
        folder = self.home_folder()
        self.image_in(folder)
        subprocess.run(["chown", "-R", USER, self.homes], check=True, timeout=60)
        seen = self.workspace.file("seen")
        seen.mkdir()
        seen.chmod(0o777)
        self.stand_in("vnvram", f'id -u >{seen}/user; env >{seen}/environment\n'
                                f'grep -E "^(NoNewPrivs|CapEff)" /proc/self/status >{seen}/rights\n')
        self.back("--all")
        self.assertEqual((seen / "user").read_text().strip(), str(pwd.getpwnam(USER).pw_uid))
        self.assertNotIn("VNVRAM_HOMES", (seen / "environment").read_text())
        self.assertIn("NoNewPrivs:\t1", (seen / "rights").read_text())
        self.assertIn("CapEff:\t0000000000000000", (seen / "rights").read_text())


class Listed(BackCase):
    def test_names(self):
        """What would be two lines, or none, is not passed over in silence."""
        plain = self.home_folder("with a space\\c and so on") / IMAGE
        plain.write_bytes(b"vNVRAM and more")
        out, _ = self.back()
        self.assertEqual(out, f"{plain}\n")
        odd = self.home_folder("two\nlines") / IMAGE
        odd.write_bytes(b"vNVRAM and more")
        out, said = self.back(status=UNKNOWN)
        self.assertEqual(out, f"{plain}\n")
        self.assertIn("looked at", said)

    def test_what_never_answers(self):
        self.home_folder("a")
        os.mkfifo(self.home_folder("b") / IMAGE)
        self.stand_in("head", "exec sleep 1000\n")
        (self.home_folder("c") / IMAGE).write_bytes(b"vNVRAM")
        out, said = self.back(status=UNKNOWN, patience=1)
        self.assertEqual(out, "")
        self.assertIn("homes/c", said)

    def test_one_descriptor_is_for_one_image(self):
        key = "pwdfd=3,mode=aes-256-cbc"
        for name in ("a", "b"):
            (self.home_folder(name) / IMAGE).write_bytes(b"vNVRAM")
        self.assertIn("once", self.back("--swtpm-key", key, "--all", status=USAGE)[1])


if __name__ == "__main__":
    unittest.main()
