"""The process: how it begins and ends, what it leaves, where it says what is wrong."""

import os
import pathlib
import signal
import subprocess
import unittest

from harness.child import PATIENCE_SECONDS
from tpm.support import ControlClient, SHUTDOWN, TpmClient

from .case import SwtpmCase
from .programs import OURS, place_options, wait_gone, wait_listening, wait_there

NOBODY = 65534


class Process(SwtpmCase):

    def setUp(self):
        super().setUp()
        self.folder = self.new_folder()
        self.path = self.workspace.file("c")
        self.pid_file = self.workspace.file("pid")

    def words(self, *more):
        return [OURS, "socket", "--tpm2", *place_options(self.folder), *map(str, more)]

    def run_daemon(self, *more):
        """Returns the pid and a descriptor of it: it is no child of ours."""
        done = subprocess.run(self.words("--daemon", "--pid", f"file={self.pid_file}", *more),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS, check=False, cwd=self.workspace.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(self.path.exists())
        pid = int(self.pid_file.read_text())
        pidfd = os.pidfd_open(pid)
        self.addCleanup(os.close, pidfd)
        self.addCleanup(kill, pidfd)
        return pid, pidfd

    def check_gone(self):
        self.assertFalse(self.path.exists())
        self.assertFalse(self.pid_file.exists())

    def test_a_daemon_serves_when_its_parent_has_ended(self):
        pid, pidfd = self.run_daemon("--ctrl", f"type=unixio,path={self.path}")
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual({os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)}, {"/dev/null"})
        self.assertEqual(os.getsid(pid), pid)
        control = ControlClient(self.path)
        self.assertEqual(control.init(), 0)
        self.assertEqual(control.result(SHUTDOWN), 0)
        control.close()
        wait_gone(pidfd)
        self.check_gone()

    def test_relative_paths_of_a_daemon(self):
        self.folder = pathlib.Path(self.folder.name)
        done = subprocess.run([OURS, "socket", "--tpm2", "--tpmstate", f"dir={self.folder}",
                               "--daemon", "--pid", "file=pid", "--ctrl", "type=unixio,path=c"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=PATIENCE_SECONDS, cwd=self.workspace.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        pidfd = os.pidfd_open(int(self.pid_file.read_text()))
        self.addCleanup(os.close, pidfd)
        self.addCleanup(kill, pidfd)
        control = ControlClient(self.path)
        self.assertEqual(control.init(), 0)
        control.close()
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        wait_gone(pidfd)
        self.check_gone()

    def test_a_daemon_that_cannot_start_says_so(self):
        log = self.workspace.file("log")
        done = subprocess.run(
            self.words("--daemon", "--pid", f"file={self.pid_file}", "--log", f"file={log}",
                       "--ctrl", f"type=unixio,path={self.workspace.file('no/c')}"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file or directory", done.stderr)
        self.assertIn("No such file or directory", log.read_text())
        self.check_gone()

    def test_a_state_that_cannot_be_started_is_said_where_init_is_not_needed(self):
        (self.folder / "tpm2-00.permall").write_bytes(b"garbage" * 1000)
        log = self.workspace.file("log")
        for daemon in ([], ["--daemon"]):
            done = subprocess.run(
                self.words("--flags", "not-need-init", "--log", f"file={log}", *daemon,
                           "--ctrl", f"type=unixio,path={self.path}"),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                timeout=PATIENCE_SECONDS)
            self.assertEqual(done.returncode, 1)
            self.assertIn("tpm2-00.permall", done.stderr)
            self.assertIn("tpm2-00.permall", log.read_text())
            self.check_gone()

    def start_program(self, *more):
        tpm = self.start(self.folder, ("--pid", f"file={self.pid_file}", *more))
        self.path = tpm.control
        return tpm

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            tpm = self.start_program()
            self.assertEqual(self.init(tpm), 0)
            self.assertEqual(int(self.pid_file.read_text()), tpm.pid)
            tpm.child.send(number)
            self.assertEqual(tpm.child.wait(), 0)
            self.check_gone()
            self.assertFalse(tpm.server.exists())

    def test_shutdown(self):
        tpm = self.start_program()
        control = self.control(tpm)
        self.assertEqual(control.result(SHUTDOWN), 0)
        self.assertEqual(tpm.child.wait(), 0)
        self.check_gone()

    def test_it_ends_with_the_data_client(self):
        tpm = self.start_program("--terminate")
        self.assertEqual(self.init(tpm), 0)
        client = tpm.client()
        self.assertEqual(client.startup(), 0)
        client.close()
        self.assertEqual(tpm.child.wait(), 0)
        self.check_gone()

    def test_it_ends_with_the_machine(self):
        """QEMU's own socket for commands came by the control channel."""
        tpm = self.start_program("--terminate")
        control = self.control(tpm)
        commands = control.take_control()
        self.assertEqual(control.init(), 0)
        self.assertEqual(commands.startup(), 0)
        control.close()
        commands.close()
        self.assertEqual(tpm.child.wait(), 0)
        self.check_gone()

    def test_it_ends_with_the_control_client(self):
        words = self.words("--ctrl", f"type=unixio,path={self.path},terminate")
        child = self.start_child(words)
        wait_there(self.path, child)
        control = ControlClient(self.path)  # The only client that there will be.
        self.assertEqual(control.init(), 0)
        control.close()
        self.assertEqual(child.wait(), 0)
        self.check_gone()

    def test_without_it_clients_come_and_go(self):
        tpm = self.start_program()
        for _ in range(3):
            self.assertEqual(self.init(tpm), 0)
            client = tpm.client()
            self.assertEqual(client.startup(), 0)
            client.close()
        tpm.stop()

    def test_started_at_once(self):
        for flags, startup in (("not-need-init", 0), ("startup-clear", 0x100)):
            tpm = self.start_program("--flags", flags)
            client = tpm.client()
            self.assertEqual(client.startup(), startup)
            client.read_clock()
            client.close()
            tpm.stop()

    def test_one_that_is_not_started_answers_a_failure(self):
        tpm = self.start_program()
        client = tpm.client()
        self.assertNotEqual(client.startup(), 0)
        client.close()
        tpm.stop()

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_another_user_in_another_root(self):
        os.chmod(self.workspace.path, 0o711)
        self.make_state(self.folder)  # It is taken over where there is no /proc.
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        words = [OURS, "socket", "--tpm2", "--chroot", self.folder, "--runas", NOBODY,
                 "--tpmstate", "dir=/", "--ctrl", "type=unixio,path=/c", "--server",
                 "type=unixio,path=/s", "--flags", "startup-clear", "--pid", "file=/pid"]
        child = self.start_child(words)
        wait_listening(self.folder / "c", child)
        wait_there(self.folder / "s", child)
        client = TpmClient(self.folder / "s")
        client.must_increment()
        self.assertEqual(client.counter(), 4)
        client.close()
        self.assertEqual((self.folder / "tpm2-00.permall").stat().st_uid, NOBODY)
        child.send(signal.SIGTERM)
        self.assertEqual(child.wait(), 0)
        self.assertEqual({path.name for path in self.folder.iterdir()},
                         {".lock", "tpm2-00.permall", "tpm2-00.permall.swtpm"})


def kill(pidfd):
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    unittest.main()
