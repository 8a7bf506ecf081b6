"""vnvram serve fd:N: an image that who starts it has opened."""

import os
import signal
import subprocess
import unittest

import nbd  # libnbd's own binding

from cli.command import ABSENT, IN_USE, OK, READ_ONLY, UNSUPPORTED
from harness.child import PATIENCE_SECONDS
from harness.machine_process import MachineProcess
from harness.notified_child import start_notified
from harness.tpm_process import program

from .counting_clients import DurableClient, deaths
from .machine_case import Incrementer, MachineCase

NOBODY = 65534


class DescriptorMachine(MachineProcess):
    """Has the image's descriptor, and may have nothing else of it."""

    def __init__(self, workspace, image, *options, before=(), **more):
        self._path, self._before = image, before
        self._descriptor = os.open(image, os.O_RDWR)
        super().__init__(workspace, f"fd:{self._descriptor}", *options, **more)

    def start(self):
        try:
            self.child = start_notified([*self._before, *self.argv], self.log, self._notify_path,
                                        [self._descriptor])
        finally:
            os.close(self._descriptor)


class Descriptor(MachineCase):
    def start_machine(self, *options, **more):
        machine = DescriptorMachine(self.workspace, self.image, *options, **more)
        self.children.append(machine)
        return machine

    def files_of(self, pid):
        folder = f"/proc/{pid}/fd"
        return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]

    def must_survive(self, machine):
        """Deaths of its owner, and then a power cut."""
        tpm = Incrementer(self.tpm(machine))
        flash = DurableClient(machine.socket, b"nvram")
        for _ in range(deaths()):
            tpm.must_go_on(3)
            flash.must_go_on(3, seconds=PATIENCE_SECONDS)
            os.kill(machine.processes()["owner"], signal.SIGKILL)
        tpm.must_go_on(3)
        flash.must_go_on(3, seconds=PATIENCE_SECONDS)
        count, content = tpm.stop(), flash.stop()
        tpm.tpm.off()
        machine.kill_all()
        self.vnvram("check", self.image)
        self.assertEqual(self.stored("nvram")[:len(content)], content)
        return count

    def test_the_owner_dies_and_then_the_power(self):
        machine = self.start_machine()
        status = self.json("status", machine.address)
        self.assertEqual(status["location"], str(self.image))
        processes = machine.processes()
        self.assertIn(str(self.image), self.files_of(processes.pop("owner")))
        for name, pid in processes.items():
            self.assertNotIn(str(self.image), self.files_of(pid), name)
        count = self.must_survive(machine)
        machine = self.start_machine()
        tpm = self.tpm(machine, defines=False)
        self.assertEqual(tpm.client.counter(), count)
        tpm.off()
        self.end(machine)

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes somebody else")
    def test_by_somebody_who_may_not_open_it(self):
        os.chmod(self.image, 0o600)
        self.workspace.path.chmod(0o777)
        self.addCleanup(os.umask, os.umask(0))
        before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        denied = subprocess.run([*before, program("vnvram"), "ls", self.image], check=False,
                                stderr=subprocess.DEVNULL)
        self.assertNotEqual(denied.returncode, OK)
        machine = self.start_machine(before=before)
        self.vnvram("put", self.image, "eeprom", "-", input=b"x", status=IN_USE)
        self.must_survive(machine)
        machine = self.start_machine(before=before)
        self.end(machine)

    def test_it_is_locked_by_its_name_too(self):
        machine = self.start_machine()
        self.vnvram("put", self.image, "eeprom", "-", input=b"x", status=IN_USE)
        client = self.connect(machine, "eeprom")
        client.pwrite(b"here", 0, nbd.CMD_FLAG_FUA)
        self.end(machine)
        self.vnvram("put", self.image, "eeprom", "-", input=b"there")

    def with_descriptor(self, flags, *words, path=None, **options):
        """Runs it with the image as fd:N in the place of its name."""
        descriptor = os.open(path or self.image, flags)
        try:
            named = [f"fd:{descriptor}" if word == "IMAGE" else word for word in words]
            return self.run_vnvram(*named, pass_fds=[descriptor], **options)
        finally:
            os.close(descriptor)

    def test_other_commands_take_one(self):
        for flags, words in ((os.O_RDONLY, ("ls", "IMAGE")), (os.O_RDONLY, ("info", "IMAGE")),
                             (os.O_RDWR, ("put", "IMAGE", "eeprom", "-")),
                             (os.O_RDONLY, ("check", "IMAGE")),
                             (os.O_RDWR, ("register", "IMAGE", "--tpm2=more/"))):
            done = self.with_descriptor(flags, *words, input=b"content")
            self.assertEqual(done.returncode, OK, f"{words}: {done.stderr}")
        self.assertEqual(self.with_descriptor(os.O_RDONLY, "get", "IMAGE", "eeprom").stdout,
                         b"content")
        self.must_be_clean()

    def serve_words(self):
        return ("serve", "IMAGE", "--control", f"unix:{self.path('c')}",
                "--nbd", f"unix:{self.path('n')}")

    def refused(self, flags, status, path=None, words=None):
        done = self.with_descriptor(flags, *(words or self.serve_words()), path=path, input=b"x")
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual([name for name in ("c", "n") if self.path(name).exists()], [])
        return done.stderr.decode()

    def test_what_cannot_be_written_at_any_place(self):
        put = ("put", "IMAGE", "eeprom", "-")
        for words in (None, put):
            said = self.refused(os.O_RDONLY, READ_ONLY, words=words)
            self.assertIn("open it for both: 3<>vm.nvram", said)
            self.assertIn(str(self.image), said)
            self.refused(os.O_RDWR | os.O_APPEND, UNSUPPORTED, words=words)
        self.refused(os.O_WRONLY, READ_ONLY)
        self.must_be_clean()

    def test_what_is_no_raw_image(self):
        self.refused(os.O_RDWR, UNSUPPORTED, path="/dev/null")
        other = self.path("other.qcow2")
        self.vnvram("create", other, "--tpm2")
        self.assertIn("a qcow2 image", self.refused(os.O_RDWR, UNSUPPORTED, path=other))
        self.refused(os.O_RDWR, UNSUPPORTED, words=("create", "IMAGE", "--tpm2", "--force"))

    def test_what_is_not_open(self):
        for name in ("fd:99", "fd:1", "fd:name"):
            words = [name if word == "IMAGE" else word for word in self.serve_words()]
            done = self.run_vnvram(*words)
            self.assertEqual(done.returncode, ABSENT, done.stderr)
            self.assertIn(b"no such open descriptor", done.stderr)
