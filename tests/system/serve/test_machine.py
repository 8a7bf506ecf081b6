"""vnvram serve --tpm --nbd: a machine's devices, on one image."""

import os
import pathlib
import select
import signal
import socket
import subprocess

import nbd  # libnbd's own binding

from cli.command import NOT_FOUND, SEALED, UNSUPPORTED, USAGE
from harness.child import Child, PATIENCE_SECONDS
from harness.owner_process import OwnerProcess
from harness.tpm_process import program
from harness.vnvram import vnvram
from nbdkit.nbdkit_case import SIZES
from tpm.support import ControlClient

from .counting_clients import DurableClient, deaths
from .machine_case import Incrementer, MachineCase

PERMANENT = 1


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Machine(MachineCase):
    def test_one_image_has_both(self):
        machine = self.start_machine()
        self.assertEqual(self.exports(machine).keys(), SIZES.keys())  # And no blob of the TPM.
        tpm = self.tpm(machine)
        client = self.connect(machine, "eeprom")
        client.pwrite(b"content", 0, nbd.CMD_FLAG_FUA)
        devices = self.devices(machine)
        self.assertEqual(devices.keys(), {"tpm", "nbd"})
        self.assertIn("tpm2.permanent", devices["tpm"]["writes"])
        self.assertEqual(devices["nbd"]["writes"], ["eeprom"])
        tpm.client.must_increment()
        value = tpm.client.counter()
        tpm.off()
        self.end(machine)
        self.assertEqual(self.stored("eeprom")[:7], b"content")
        machine = self.start_machine()
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), value)
        self.end(machine)

    def seccomp_of(self, pid):
        """Of each of its threads: 2 is a filter."""
        modes = set()
        for thread in os.listdir(f"/proc/{pid}/task"):
            status = pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text("ascii")
            modes.add(int(status.partition("\nSeccomp:")[2].split()[0]))
        return modes

    def test_all_that_serve_are_confined(self):
        for options, mode in ((), 2), (("--seccomp", "off"), 0):
            machine = self.start_machine(*options)
            client = self.connect(machine, "eeprom")
            client.pwrite(b"x", 0, nbd.CMD_FLAG_FUA)
            processes = machine.processes()
            self.assertEqual(processes.keys(), {"owner", "vnvram-tpm", "nbdkit"})
            for name, pid in processes.items():
                self.assertEqual(self.seccomp_of(pid), {mode}, name)
            self.end(machine)

    def test_what_a_device_uses_nobody_else_changes(self):
        machine = self.start_machine()
        client = self.connect(machine, "eeprom")
        self.vnvram("put", machine.address, "eeprom", "-", input=b"x", status=14)
        self.vnvram("rm", machine.address, "tpm2.volatile", status=14)
        client.shutdown()
        self.clients.clear()
        self.wait_until(lambda: not self.devices(machine)["nbd"]["writes"], "it is still in use")
        self.vnvram("put", machine.address, "eeprom", "-", input=b"x")
        self.end(machine)

    def test_the_owner_dies_under_both(self):
        machine = self.start_machine()
        tpm = Incrementer(self.tpm(machine))
        flash = DurableClient(machine.socket, b"nvram")
        for _ in range(deaths()):
            tpm.must_go_on(3)
            flash.must_go_on(3, seconds=PATIENCE_SECONDS)
            os.kill(machine.processes()["owner"], signal.SIGKILL)
        tpm.must_go_on(3)
        flash.must_go_on(3, seconds=PATIENCE_SECONDS)
        count, content = tpm.stop(), flash.stop()
        self.assertEqual(tpm.tpm.client.counter(), count)
        tpm.tpm.off()
        self.end(machine)
        self.assertEqual(self.stored("nvram")[:len(content)], content)

    def test_the_owner_is_exchanged_by_word_and_by_signal(self):
        machine = self.start_machine()
        tpm = Incrementer(self.tpm(machine))
        before = machine.processes()
        self.vnvram("restart", machine.address)
        between = machine.processes()
        self.assertNotEqual(between["owner"], before["owner"])
        tpm.must_go_on(3)
        machine.child.send(signal.SIGHUP)
        self.wait_until(lambda: machine.processes().get("owner") not in (None, between["owner"]),
                        "SIGHUP has exchanged nobody")
        tpm.must_go_on(3)
        self.assertEqual(machine.processes()["vnvram-tpm"], before["vnvram-tpm"])
        count = tpm.stop()
        self.assertEqual(tpm.tpm.client.counter(), count)
        tpm.tpm.off()
        self.end(machine)

    def test_what_dies_is_started_again(self):
        machine = self.start_machine()
        value = self.tpm(machine).client.counter()
        before = machine.processes()
        os.kill(before["nbdkit"], signal.SIGKILL)
        self.connect(machine, "eeprom").pwrite(b"again", 0, nbd.CMD_FLAG_FUA)
        os.kill(before["vnvram-tpm"], signal.SIGKILL)
        tpm = self.tpm(machine, defines=False)
        self.assertEqual(tpm.client.counter(), value)
        self.assertIn("front end nbd has died", machine.log_text())
        self.assertIn("no TPM until its QEMU is started again", machine.log_text())
        self.assertEqual(machine.processes()["owner"], before["owner"])
        tpm.off()
        self.end(machine)

    def test_it_ends_while_a_client_asks_nothing(self):
        machine = self.start_machine()
        client = self.connect(machine, "eeprom")
        client.pwrite(b"answered", 0)  # And not asked to be durable.
        machine.stop()
        self.must_be_clean()
        self.assertEqual(self.stored("eeprom")[:8], b"answered")

    def test_no_write_fails_when_all_are_exchanged(self):
        """QEMU repeats what has no answer, and not what was answered with an error."""
        machine = self.start_machine()
        writes = [word for number in range(3000)
                  for word in ("-c", f"write -q -P {number % 251} {number % 16 * 16} 16")]
        image = f"driver=nbd,server.type=unix,server.path={machine.nbd},export=eeprom,reconnect-delay=60"
        for _ in range(3):
            writer = subprocess.Popen(["qemu-io", "--image-opts", image, *writes],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
            self.addCleanup(writer.kill)
            vnvram("restart", "--all", machine.address)
            said, _ = writer.communicate(timeout=PATIENCE_SECONDS)
            self.assertEqual(said, "")
            self.assertEqual(writer.returncode, 0)
        self.end(machine)

    def test_it_ends_before_it_has_begun(self):
        for _ in range(10):
            owner = OwnerProcess(self.workspace, self.image, "--tpm",
                                 f"unix:{self.workspace.file('t')}", starts=False)
            child = Child(owner.argv, owner.log)
            self.children.append(child)
            starting = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")

            def owners():  # What binds its sockets are children of a moment.
                return [pid for pid in map(int, starting.read_text().split()) if "--channel" in command_line(pid)]

            self.wait_until(owners, "no owner was started")
            first = owners()[0]
            os.kill(first, signal.SIGSTOP)
            child.send(signal.SIGTERM)
            self.wait_until(lambda: "because of SIGTERM" in owner.log.read_text(), "no signal came")
            os.kill(first, signal.SIGCONT)
            self.assertEqual(child.wait(), 0)
            self.must_be_clean()

    def test_it_ends_when_no_owner_can_come(self):
        machine = self.start_machine()
        self.connect(machine, "eeprom").pwrite(b"x", 0, nbd.CMD_FLAG_FUA)
        away = self.image.with_suffix(".away")
        self.image.rename(away)
        os.kill(machine.processes()["owner"], signal.SIGKILL)
        self.assertNotEqual(machine.child.wait(), 0)
        self.assertIn("again and again", machine.log_text())
        away.rename(self.image)
        self.vnvram("check", self.image)
        self.assertEqual(self.stored("eeprom")[:1], b"x")

    def test_an_exchange_of_the_owner_is_not_the_end_of_its_devices(self):
        machine = self.start_machine()
        tpm = self.tpm(machine)
        client = self.connect(machine, "eeprom")
        client.pwrite(b"one", 0, nbd.CMD_FLAG_FUA)
        self.assertEqual(tpm.control.get_blob(PERMANENT)[0], 0)  # QEMU saves the machine's state,
        for _ in range(3):
            vnvram("restart", machine.address)
            client.pwrite(b"two", 0, nbd.CMD_FLAG_FUA)  # and the machine goes on.
        tpm.off()
        self.end(machine)

    def test_a_death_of_its_own_ends_all_in_good_order(self):
        machine = self.start_machine()
        tpm = self.tpm(machine)
        value = tpm.client.counter()
        self.connect(machine, "eeprom").pwrite(b"kept", 0)
        left = machine.processes().values()
        pidfds = [os.pidfd_open(pid) for pid in left]
        machine.kill()
        self.clients.clear()
        tpm.off()
        for pidfd in pidfds:
            self.assertTrue(self.has_ended(pidfd))
            os.close(pidfd)
        self.assertEqual(self.stored("eeprom")[:4], b"kept")
        machine = self.start_machine()
        self.assertEqual(self.tpm(machine, defines=False).client.counter(), value)
        self.end(machine)

    @staticmethod
    def has_ended(pidfd):
        return bool(select.select([pidfd], [], [], PATIENCE_SECONDS)[0])


class HandOver(MachineCase):
    def must_fail(self, call, *arguments):
        with self.assertRaises(nbd.Error):
            call(*arguments)

    def fetch_state(self, machine):
        """What a QEMU does for a migration, and ends."""
        tpm = self.tpm(machine)
        result, total, content = tpm.control.get_blob(PERMANENT)
        self.assertEqual((result, total), (0, len(content)))
        tpm.off()

    def is_sealed(self, machine):
        return self.json("status", machine.address)["sealed"]

    def test_the_image_is_sealed_when_the_last_device_is_gone(self):
        machine = self.start_machine()
        client = self.connect(machine, "eeprom")
        self.fetch_state(machine)
        self.wait_until(lambda: self.is_sealed(machine), "the TPM has not said that it is gone")
        client.pwrite(b"the last", 0, nbd.CMD_FLAG_FUA)  # It goes on for as long as it is there.
        client.shutdown()
        self.clients.clear()
        self.wait_until(lambda: self.json("info", self.image)["sealed"], "no seal")
        self.end(machine)
        self.assertTrue(self.json("info", self.image)["sealed"])
        self.vnvram("serve", self.image, "--control", f"unix:{self.path('c')}", status=SEALED)
        devices = ("--tpm", f"unix:{self.path('t')}", "--nbd", f"unix:{self.path('n')}")
        done = self.run_vnvram("serve", self.image, "--control", f"unix:{self.path('c')}", *devices)
        self.assertEqual(done.returncode, SEALED, done.stderr)
        self.assertIn(b"--incoming, for a machine that comes back to it; or vnvram unseal",
                      done.stderr)
        self.assertEqual(self.stored("eeprom")[:8], b"the last")

    def test_a_machine_that_comes_back_takes_the_seal_off(self):
        self.vnvram("seal", self.image)
        machine = self.start_machine("--incoming")
        self.assertTrue(self.is_sealed(machine))
        # Its flash is written when QEMU lets it run; whether the TPM's state has come before is not
        # for the flash to know.
        client = self.connect(machine, "eeprom")
        client.pwrite(b"runs", 0, nbd.CMD_FLAG_FUA)
        self.assertFalse(self.is_sealed(machine))
        # It goes again, and nobody has announced the next one.
        self.fetch_state(machine)
        self.wait_until(lambda: self.is_sealed(machine), "the TPM has not said that it is gone")
        client.shutdown()
        self.clients.clear()
        self.wait_until(lambda: self.json("info", self.image)["sealed"], "no seal")
        self.must_fail(self.connect(machine, "eeprom").pwrite, b"stray", 0, nbd.CMD_FLAG_FUA)
        self.end(machine)
        self.assertEqual(self.stored("eeprom")[:5], b"runs\0")

    def test_the_operators_word_reaches_the_tpm(self):
        machine = self.start_machine()
        self.fetch_state(machine)
        self.wait_until(lambda: self.is_sealed(machine), "no seal")
        control = ControlClient(machine.control)
        self.addCleanup(control.close)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertNotEqual(client.run(0x144, b"\0\0")[0], 0)  # It is gone.
        self.vnvram("unseal", machine.address)
        self.assertFalse(self.is_sealed(machine))
        self.assertEqual(client.run(0x144, b"\0\0")[0], 0)
        client.must_increment()
        client.close()
        control.close()
        self.end(machine)


class Refusals(MachineCase):
    def refused_start(self, *devices, image=None):
        """Returns the status, and what was said."""
        done = self.run_vnvram("serve", image or self.image, "--control",
                               f"unix:{self.path('control')}", *devices)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.path("control").exists())
        return done.returncode, done.stderr.decode()

    def test_an_image_without_a_tpm(self):
        other = self.path("other.nvram")
        self.vnvram("create", other, "--blob", "eeprom:at24c:256")
        status, said = self.refused_start("--tpm", f"unix:{self.path('tpm')}", image=other)
        self.assertEqual(status, NOT_FOUND)
        self.assertIn("vnvram register", said)
        self.vnvram("check", other)

    def test_an_export_that_is_not_there(self):
        _, said = self.refused_start("--nbd", f"unix:{self.path('nbd')},export=nobody")
        self.assertIn("no blob nobody", said)

    def test_words_that_nobody_knows(self):
        status, said = self.refused_start("--tpm", f"unix:{self.path('tpm')},shiny")
        self.assertEqual(status, USAGE)
        self.assertIn("no-auto-shutdown", said)
        self.refused_start("--nbd", f"unix:{self.path('nbd')},sync=always")
        self.refused_start("--nbd", "tcp:10809")
        self.refused_start("--nbd", "fd:9")

    def test_an_owner_that_nobody_would_start_again(self):
        machine = self.start_machine(tpm=False, nbd=False)
        self.vnvram("restart", machine.address, status=UNSUPPORTED)
        machine.stop()


class InheritedSockets(MachineCase):
    """As systemd starts it: with sockets that listen, which have names."""

    def test_they_are_served(self):
        names = ("control", "tpm", "nbd")
        sockets = []
        for name in names:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(self.path(name)))
            listening.listen()
            self.addCleanup(listening.close)
            sockets.append(listening)
        argv = [str(program("vnvram")), "serve", str(self.image), "--control", "fd:control",
                "--tpm", "fd:tpm", "--nbd", "fd:nbd,export=eeprom"]
        script = "".join(f"exec {3 + index}<&{listening.fileno()}\n"
                         for index, listening in enumerate(sockets))
        script += ("export LISTEN_FDS=3 LISTEN_FDNAMES=control:tpm:nbd LISTEN_PID=$$\n"
                   'exec "$@"\n')
        log = open(self.workspace.log("inherited"), "ab")
        self.addCleanup(log.close)
        served = subprocess.Popen(["bash", "-c", script, "bash", *argv], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log,
                                  pass_fds=[listening.fileno() for listening in sockets])
        self.addCleanup(served.wait)
        self.addCleanup(served.kill)
        client = nbd.NBD()
        client.connect_uri(f"nbd+unix:///eeprom?socket={self.path('nbd')}")
        client.pwrite(b"inherited", 0, nbd.CMD_FLAG_FUA)
        client.shutdown()
        self.assertEqual(self.vnvram("get", f"unix:{self.path('control')}", "eeprom"), b"inherited")
        served.terminate()
        self.assertEqual(served.wait(PATIENCE_SECONDS), 0)
        for name in names:
            self.assertTrue(self.path(name).exists())  # Whose they are takes their names away.
        self.must_be_clean()
