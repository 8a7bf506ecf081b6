"""What calls swtpm, and finds ours by that name: its command lines, and what it looks at afterwards."""

import os
import pathlib
import signal
import subprocess
import unittest

from harness.certificate_authority import make_authority
from harness.child import Child, Deadline, PATIENCE_SECONDS
from harness.tpm_process import program
from harness.workspace import Workspace
from tpm.support import SHUTDOWN, ControlClient


class CallerCase(unittest.TestCase):
    """`swtpm` is ours in what these start. Ends every process, in any case; shows all logs on failure."""

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        programs = self.workspace.file("bin")
        programs.mkdir()
        (programs / "swtpm").symlink_to(program("vnvram-swtpm"))
        self.env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        except BaseException:
            self.workspace.show_failure()
            raise

    def folder(self, name):
        folder = self.workspace.file(name)
        folder.mkdir()
        return folder

    def setup_options(self):
        """swtpm_setup's, for an authority of certificates that is this test's own."""
        folder = self.workspace.file("certification")
        if not folder.exists():
            folder.mkdir()
            self.authority = make_authority(folder)
        return ("--config", self.authority)

    def run_program(self, *words, cwd=None):
        return subprocess.run([*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS,
                              check=False, env=self.env, cwd=cwd)

    def must(self, *words, cwd=None):
        done = self.run_program(*words, cwd=cwd)
        if done.returncode != 0:
            raise AssertionError(f"{words}: status {done.returncode}: {done.stdout}")
        return done.stdout

    def start(self, *words, before=()):
        """In the foreground."""
        child = Child([*before, *words], self.workspace.log("swtpm"), self.env)
        self.addCleanup(child.kill)
        return child

    def ends_with_the_test(self, pid):
        """Of a daemon. Returns its pidfd."""
        pidfd = os.pidfd_open(pid)

        def end():
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.close(pidfd)
        self.addCleanup(end)
        return pidfd

    def wait_for(self, path, child):
        deadline = Deadline(PATIENCE_SECONDS)
        while not pathlib.Path(path).exists():
            if child.returncode is not None or deadline.passed():
                raise AssertionError(f"{path} does not come: {child.log.read_text(errors='replace')}")

    def power_on(self, path):
        """As QEMU does it. Returns what controls the TPM, and what sends it commands."""
        control = ControlClient(path)
        self.addCleanup(control.close)
        commands = control.take_control()
        self.addCleanup(commands.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(commands.startup(), 0)
        return control, commands

    def power_off(self, control, commands):
        self.assertEqual(control.result(SHUTDOWN), 0)
        commands.close()
        control.close()
