"""vnvram restart --all: a TPM goes on in another process while its machine runs."""

import os
import pwd
import shutil
import signal
import threading
import unittest
from unittest import mock

import nbd  # libnbd's own binding

from cli.command import IO
from harness.child import PATIENCE_SECONDS
from harness.tpm_process import program
from tpm.support import BUFFER_SIZE, ESTABLISHED

from .loaded_tpm import Load, LoadedTpm
from .machine_case import MachineCase

SUCCESSIONS = 20
OWNER_DEATHS = 8
PERMANENT = 1

# A vnvram-tpm that does what `body` says with `predecessor`, the socket to the one that runs.
PRETENDER = """#!/usr/bin/python3
import os, socket, sys, time
if "--predecessor" not in sys.argv:
    os.execv("{real}", sys.argv)
predecessor = socket.socket(fileno=int(sys.argv[sys.argv.index("--predecessor") + 1]))
{body}
"""
# Takes all that is said of the TPM, and its sockets.
TAKES_ALL = """
predecessor.send(b"r")
while socket.recv_fds(predecessor, 65536, 1)[0] != b"e":
    pass
"""
# Takes it, says so, and waits for a file to be there before it ends.
WAITS = TAKES_ALL + """
open("{told}", "w").close()
while not os.path.exists("{go_on}"):
    time.sleep(0.01)
"""
# Between the one that runs and one that is as it should be: kills the first when all was said.
KILLS = """
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.fork() == 0:
    theirs.close()
    predecessor.send(ours.recv(65536))
    said = b""
    while said != b"e":
        said, descriptors, _, _ = socket.recv_fds(predecessor, 65536, 1)
        socket.send_fds(ours, [said], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    assert ours.recv(65536) == b"t"
    os.kill({victim}, 9)
    ours.close()
    os._exit(0)
os.dup2(theirs.fileno(), predecessor.fileno())
ours.close()
theirs.close()
os.execv("{real}", sys.argv)
"""


class SuccessionCase(MachineCase):
    def start(self, *options, nbd=False):
        """A machine whose TPM is under load."""
        machine = self.start_machine(*options, nbd=nbd)
        self.machine = self.tpm(machine)
        return machine, Load(LoadedTpm(self.machine.client))

    def tpm_of(self, machine):
        return machine.processes()["vnvram-tpm"]

    def hand_over(self, machine):
        """It must be another process afterwards."""
        before = self.tpm_of(machine)
        self.vnvram("restart", "--all", machine.address)
        self.assertNotEqual(self.tpm_of(machine), before)

    def control_must_answer(self):
        self.assertEqual(self.machine.control.ask(ESTABLISHED, b"", 8)[0], 0)

    def finish(self, machine):
        self.machine.off()
        self.end(machine)


class Succession(SuccessionCase):
    def test_under_load(self):
        machine, load = self.start()
        for _ in range(SUCCESSIONS):
            load.must_go_on()
            self.hand_over(machine)
            self.control_must_answer()
        load.must_go_on()
        load.stop()
        count = load.tpm.count
        self.finish(machine)
        machine = self.start_machine(nbd=False)
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), count)
        self.end(machine)

    def test_all_front_ends(self):
        machine, load = self.start(nbd=True)
        before = machine.processes()
        client = self.connect(machine, "eeprom")
        client.pwrite(b"deferred", 0)
        self.vnvram("restart", "--all", machine.address)
        after = machine.processes()
        self.assertEqual(before.keys(), after.keys())
        self.assertFalse(set(before.values()) & set(after.values()), "somebody was not exchanged")
        self.clients.clear()
        again = self.connect(machine, "eeprom")
        self.assertEqual(again.pread(8, 0), b"deferred")
        again.pwrite(b"after", 0, nbd.CMD_FLAG_FUA)
        load.must_go_on()
        load.stop()
        self.finish(machine)
        self.assertEqual(self.stored("eeprom")[:8], b"afterred")

    def test_without_a_machine_and_without_power(self):
        machine = self.start_machine(nbd=False)
        self.hand_over(machine)
        control = self.tpm(machine)
        value = control.client.counter()
        control.off()
        self.hand_over(machine)
        control = self.tpm(machine, defines=False)
        self.assertEqual(control.client.counter(), value)
        self.assertEqual(control.control.stop(), 0)
        size = control.control.ask(BUFFER_SIZE, (2048).to_bytes(4, "big"), 16)
        self.hand_over(machine)
        self.assertEqual(control.control.ask(BUFFER_SIZE, bytes(4), 16), size)
        self.assertNotEqual(control.client.read_clock(), 0)  # It is off still.
        self.assertEqual(control.control.init(), 0)
        self.assertEqual(control.client.startup(), 0)
        self.assertEqual(control.client.counter(), value)
        control.off()
        self.end(machine)

    def test_a_command_that_has_come_in_part(self):
        machine = self.start_machine(nbd=False)
        tpm = self.tpm(machine)
        command = bytes.fromhex("80010000000a00000181")
        tpm.client.sock.sendall(command[:4])
        self.hand_over(machine)
        tpm.client.sock.sendall(command[4:] + command)
        for _ in range(2):
            self.assertEqual(tpm.client.response()[0], 0)
        tpm.off()
        self.end(machine)

    def test_what_qemu_has_fetched(self):
        machine, load = self.start()
        load.must_go_on()
        load.stop()
        control = self.machine.control
        _, total, content = control.get_blob(PERMANENT)
        self.assertEqual(total, len(content))
        self.hand_over(machine)
        self.assertEqual(control.get_blob(PERMANENT, 100)[2], content[100:])  # It reads on.
        self.assertTrue(self.json("status", machine.address)["sealed"])
        self.assertEqual(control.lock_storage(), 0)
        load.tpm.check()
        load.tpm.go_on()
        self.assertFalse(self.json("status", machine.address)["sealed"])
        control.get_blob(PERMANENT)
        self.machine.off()
        self.hand_over(machine)
        machine.stop()
        self.assertTrue(self.json("info", self.image)["sealed"])

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_as_another_user(self):
        machine, load = self.start("--user", "nobody")
        sessions = self.json("status", machine.address)["sessions"]
        users = {session["device"]: session["uid"] for session in sessions if "device" in session}
        self.assertEqual(users["tpm"], pwd.getpwnam("nobody").pw_uid)
        for _ in range(2):
            self.hand_over(machine)
            load.must_go_on()
        load.stop()
        self.finish(machine)


class OtherPrograms(SuccessionCase):
    """What is installed when the successor is started is not what was installed at first."""

    def setUp(self):
        super().setUp()
        folder = self.path("installed")
        (folder / "bin").mkdir(parents=True)
        real = program("vnvram").resolve().parent
        shutil.copy(real / "vnvram", folder / "bin")
        (folder / "lib").symlink_to(real.parent / "lib")
        self.real = real / "vnvram-tpm"
        self.installed = folder / "bin" / "vnvram-tpm"
        self.installed.symlink_to(self.real)
        changed = mock.patch.dict(os.environ, VNVRAM_BIN_DIR=str(folder / "bin"))
        changed.start()
        self.addCleanup(changed.stop)

    def install(self, text):
        self.installed.unlink()
        self.installed.write_text(text)
        self.installed.chmod(0o755)

    def pretend(self, body, **words):
        self.install(PRETENDER.format(real=self.real,
                                      body=body.format(real=self.real, **words)))

    def install_the_real_one(self):
        self.installed.unlink()
        self.installed.symlink_to(self.real)

    def must_be_refused(self, machine, load, said):
        before = self.tpm_of(machine)
        done = self.run_vnvram("restart", "--all", machine.address)
        self.assertEqual(done.returncode, IO, done.stderr)
        self.assertIn(said, done.stderr.decode())
        self.assertEqual(self.tpm_of(machine), before)
        load.must_go_on()
        self.control_must_answer()

    def test_that_fail(self):
        machine, load = self.start()
        self.install("#!/bin/sh\nexit 7\n")
        self.must_be_refused(machine, load, "ended with code 7, and the one that runs goes on")
        self.install("#!/nowhere/at/all\n")
        self.must_be_refused(machine, load, "cannot be started")
        self.pretend(TAKES_ALL + "os._exit(9)")
        self.must_be_refused(machine, load, "ended with code 9")
        self.pretend(TAKES_ALL + "os.kill(os.getpid(), 11)")
        self.must_be_refused(machine, load, "ended with code 139")
        self.pretend(TAKES_ALL + 'predecessor.send(b"t" * 100); predecessor.recv(1)')
        self.must_be_refused(machine, load, "ended with code 0")
        self.pretend(TAKES_ALL + 'predecessor.send(b"t"); predecessor.recv(1); os._exit(3)')
        self.must_be_refused(machine, load, "ended with code 3")
        self.install_the_real_one()
        self.hand_over(machine)
        load.must_go_on()
        load.stop()
        self.finish(machine)

    def test_that_wait_while_the_owner_dies(self):
        machine, load = self.start()
        load.must_go_on()
        told, go_on = self.path("told"), self.path("go_on")
        self.pretend(WAITS, told=told, go_on=go_on)
        before = self.tpm_of(machine)
        asks = threading.Thread(
            target=self.run_vnvram, args=("restart", "--all", machine.address))
        asks.start()
        self.wait_until(told.exists, "nobody has come")
        os.kill(machine.processes()["owner"], signal.SIGKILL)
        go_on.touch()
        asks.join()
        load.must_go_on()
        self.assertEqual(self.tpm_of(machine), before)
        self.install_the_real_one()
        self.hand_over(machine)
        load.must_go_on()
        load.stop()
        self.finish(machine)

    def test_that_outlive_the_one_that_ran(self):
        machine, load = self.start()
        load.must_go_on()
        self.pretend(KILLS, victim=self.tpm_of(machine))
        self.hand_over(machine)
        load.must_go_on()
        load.stop()
        self.assertIn("goes on without its last word", machine.log_text())
        self.finish(machine)


class OwnerDies(SuccessionCase):
    def test_at_any_moment(self):
        machine, load = self.start()
        for _ in range(OWNER_DEATHS):
            asks = threading.Thread(
                target=self.run_vnvram, args=("restart", "--all", machine.address))
            owner = machine.processes()["owner"]
            asks.start()
            self.wait_until(lambda old=owner: machine.processes().get("owner") not in (None, old),
                            "no other owner")
            load.must_go_on(1)
            os.kill(machine.processes().get("owner", owner), signal.SIGKILL)
            asks.join(PATIENCE_SECONDS)
            load.must_go_on()
        load.stop()
        self.finish(machine)

    def test_all_ends_in_the_middle(self):
        machine, load = self.start()
        load.must_go_on()
        load.stop()
        asks = threading.Thread(
            target=self.run_vnvram, args=("restart", "--all", machine.address))
        asks.start()
        self.wait_until(lambda: "starts process" in machine.log_text(), "no successor is started")
        machine.child.send(signal.SIGTERM)
        self.assertEqual(machine.child.wait(), 0)
        asks.join()
        self.machine.off()
        self.must_be_clean()
