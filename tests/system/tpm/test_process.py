"""vnvram-tpm as a process: its files, its end, what it gives up, TPM 1.2."""

import grp
import json
import os
import pathlib
import select
import signal
import stat
import struct
import unittest

from support import ControlClient, Deadline, TpmCase, swtpm_ioctl, vnvram


class Process(TpmCase):

    def status_of(self, tpm):
        text = pathlib.Path(f"/proc/{tpm.pid}/status").read_text("ascii")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def test_files_and_clean_end(self):
        image, pid_file = self.new_image(), self.workspace.file("pid")
        group = grp.getgrgid(os.getgid()).gr_name
        for number in (signal.SIGTERM, signal.SIGINT):
            tpm = self.start_server(image, ["--pid", pid_file, "--mode", "0640", "--group", group])
            self.assertEqual(pid_file.read_text("ascii"), f"{tpm.pid}\n")
            for path in (tpm.control, self.server, self.workspace.file("server.ctrl")):
                status = os.stat(path)
                self.assertEqual(stat.S_IMODE(status.st_mode), 0o640, path)
                self.assertEqual(status.st_gid, os.getgid())
            tpm.child.send(number)
            self.assertEqual(tpm.child.wait(), 0)
            for path in (pid_file, tpm.control, self.server, self.workspace.file("server.ctrl")):
                self.assertFalse(path.exists(), path)
            vnvram("check", image)

    def test_no_new_privileges_and_a_filter(self):
        tpm = self.start(self.new_image())
        status = self.status_of(tpm)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        tasks = list(pathlib.Path(f"/proc/{tpm.pid}/task").iterdir())
        self.assertGreater(len(tasks), 1)
        for task in tasks:
            self.assertIn("Seccomp:\t2", (task / "status").read_text("ascii"))
        tpm.stop()
        tpm = self.start(self.workspace.file("nvram.img"), options=["--seccomp", "off"])
        self.assertEqual(self.status_of(tpm)["Seccomp"], "0")
        tpm.stop()

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_other_user(self):
        image = self.new_image()
        os.chmod(image, 0o600)  # Root's own; it is open when the privileges go.
        tpm = self.start_server(image, ["--user", "nobody"])
        status = self.status_of(tpm)
        self.assertEqual(set(status["Uid"].split()), {"65534"})
        self.assertEqual(set(status["Gid"].split()), {"65534"})
        self.assertEqual(int(status["CapEff"], 16), 0)
        client = self.client()
        client.define_counter()
        for _ in range(50):
            self.assertEqual(client.increment(), 0)
        swtpm_ioctl(tpm, "--stop")
        swtpm_ioctl(tpm, "-i")
        tpm.stop()
        self.start_server(image)
        self.assertEqual(self.client().counter(), 50)

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_files_of_another_user_are_removed_at_the_end(self):
        """From a folder that only root may change, as /run is."""
        image, pid_file = self.new_image(), self.workspace.file("pid")
        for number in (signal.SIGTERM, signal.SIGINT):
            tpm = self.start_server(image, ["--user", "nobody", "--pid", pid_file])
            names = (pid_file, tpm.control, self.server, self.workspace.file("server.ctrl"))
            for path in names:
                self.assertTrue(path.exists(), path)
            tpm.child.send(number)
            self.assertEqual(tpm.child.wait(), 0)
            for path in names:
                self.assertFalse(path.exists(), path)

    def test_what_took_a_name_over_stays(self):
        image, pid_file = self.new_image(), self.workspace.file("pid")
        tpm = self.start_server(image, ["--pid", pid_file])
        pid_file.unlink()
        pid_file.write_text("another's", "ascii")
        tpm.stop()
        self.assertEqual(pid_file.read_text("ascii"), "another's")
        self.assertFalse(self.server.exists())

    def test_nothing_holds_the_image_or_lives_on_after_a_kill(self):
        image = self.new_image()
        for _ in range(20):
            tpm = self.start_server(image)
            helpers = self.children_of(tpm.pid)
            self.assertEqual(len(helpers), 1)
            for descriptor in pathlib.Path(f"/proc/{helpers[0]}/fd").iterdir():
                self.assertNotEqual(os.readlink(descriptor), str(image))
            watched = os.pidfd_open(helpers[0])
            self.addCleanup(os.close, watched)
            tpm.kill()
            ready, _, _ = select.select([watched], [], [], 60)
            self.assertEqual(ready, [watched])

    @staticmethod
    def children_of(pid):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
        return [int(word) for word in text.split()]

    def test_idle_commands_cost_no_device(self):
        image = self.new_image()
        self.start_server(image)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        before = vnvram("info", "--json", image)
        for _ in range(200):
            self.assertEqual(client.read_clock(), 0)
        self.assertEqual(client.counter(), 1)
        self.assertEqual(self.generation(vnvram("info", "--json", image)), self.generation(before))

    @staticmethod
    def generation(text):
        return json.loads(text)["generation"]

    def test_what_control_commands_change_becomes_durable_by_itself(self):
        """No TPM command comes that would wait for it."""
        image = self.new_image()
        tpm = self.start(image)
        swtpm_ioctl(tpm, "-i")
        self.assertEqual(self.volatile_bytes(image), 0)
        swtpm_ioctl(tpm, "-v")
        deadline = Deadline(60)
        while self.volatile_bytes(image) == 0:
            self.assertFalse(deadline.passed())
        tpm.kill()
        self.assertGreater(self.volatile_bytes(image), 1000)

    @staticmethod
    def volatile_bytes(image):
        blobs = json.loads(vnvram("ls", "--json", image))
        return next(b["size_bytes"] for b in blobs["blobs"] if b["name"] == "tpm2.volatile")

    def test_startup_is_kept_apart(self):
        """Without --startup it is the client's business, as on a machine."""
        tpm = self.start(self.new_image(), options=["--server", f"unix:{self.server}"])
        client = self.client()
        self.assertEqual(client.read_clock(), 0x101)
        swtpm_ioctl(tpm, "-i")
        self.assertEqual(client.read_clock(), 0x100)
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.read_clock(), 0)
        tpm.stop()


class Tpm12(TpmCase):
    image_options = ("--tpm12",)

    @staticmethod
    def run_tpm12(client, code, body=b""):
        client.send(code, body, 0x00C1)
        return client.response()

    def test_state_survives(self):
        image = self.new_image()
        index = struct.pack(">I", 0x1500)
        pcrs = struct.pack(">HBBBB", 3, 0, 0, 0, 0x1F) + bytes(20)
        area = (struct.pack(">H", 0x18) + index + pcrs + pcrs + struct.pack(">HI", 0x17, 1)
                + struct.pack(">BBBI", 0, 0, 0, 16) + bytes(20))
        tpm = self.start_server(image)
        client = self.client()
        self.assertEqual(self.run_tpm12(client, 0xCC, area)[0], 0)
        self.assertEqual(self.run_tpm12(client, 0xCD, index + struct.pack(">II", 0, 16)
                                        + b"kept in the area")[0], 0)
        self.assertIn("0x17fff", swtpm_ioctl(tpm, "-c"))
        self.assertIn('"1.2"', swtpm_ioctl(tpm, "--info", "1"))
        swtpm_ioctl(tpm, "-v")
        tpm.kill()
        tpm = self.start_server(image)
        code, data = self.run_tpm12(self.client(), 0xCF, index + struct.pack(">II", 0, 16))
        self.assertEqual((code, data[4:]), (0, b"kept in the area"))
        tpm.stop()

    def test_probe_before_init(self):
        tpm = self.start(self.new_image())
        control = ControlClient(tpm.control)
        command = control.take_control()
        command.send(0x181)  # As QEMU asks a TPM 2.0.
        self.assertEqual(command.sock.recv(100).hex(), "00c40000000a00000009")
        self.assertEqual(control.init(), 0)
        self.assertEqual(self.run_tpm12(command, 0x99, b"\0\1")[0], 0)
        command.close()
        control.close()
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
