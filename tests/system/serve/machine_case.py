"""One image for a whole machine, served by one command."""

import threading

from harness.child import PATIENCE_SECONDS, Deadline
from harness.machine_process import MachineProcess
from nbdkit.nbdkit_case import BLOBS, NbdkitCase
from tpm.support import ControlClient


class TpmMachine:
    """What a QEMU does with a TPM, without one: it is on, and has a counter."""

    def __init__(self, case, machine, defines=True, path=None):
        self.control = ControlClient(path or machine.control)
        case.addCleanup(self.control.close)
        self.client = self.control.take_control()
        case.addCleanup(self.client.close)
        case.assertEqual(self.control.init(), 0)
        case.assertEqual(self.client.startup(), 0)
        if defines:
            self.client.define_counter()
            self.client.must_increment()

    def off(self):
        """QEMU ends."""
        self.client.close()
        self.control.close()


class Incrementer:
    """Counts with the TPM until stop(); every number that it has was acknowledged."""

    def __init__(self, tpm):
        self.tpm = tpm
        self.count = tpm.client.counter()
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._failure = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        try:
            while not self._stop.is_set():
                self.tpm.client.must_increment()
                with self._changed:
                    self.count += 1
                    self._changed.notify_all()
        except BaseException as failure:  # Told by must_go_on() and stop().
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def must_go_on(self, rounds, seconds=PATIENCE_SECONDS):
        with self._changed:
            target = self.count + rounds
            went_on = self._changed.wait_for(
                lambda: self._failure is not None or self.count >= target, seconds)
        if self._failure is not None or not went_on:
            raise AssertionError(f"the TPM stands at {self.count}") from self._failure

    def stop(self):
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        if self._failure is not None:
            raise AssertionError("the TPM failed") from self._failure
        return self.count


class MachineCase(NbdkitCase):
    image_options = ("--tpm2", *BLOBS)

    def create(self, *_options):
        return super().create(*self.image_options)

    def start_machine(self, *options, **more):
        machine = MachineProcess(self.workspace, self.image, *options, **more)
        self.children.append(machine)
        return machine

    def tpm(self, machine, defines=True, path=None):
        """`path`: of its socket, if it is not the machine's only one."""
        return TpmMachine(self, machine, defines, path)

    def wait_until(self, holds, what):
        deadline = Deadline(PATIENCE_SECONDS)
        while not holds():
            self.assertFalse(deadline.passed(), what)

    def devices(self, machine):
        """What the sessions are to the machine, but for those that came by themselves."""
        sessions = self.json("status", machine.address)["sessions"]
        return {session["device"]: session for session in sessions if session["device"]}

    def end(self, machine):
        for client in self.clients:
            client.shutdown()
        self.clients.clear()
        machine.stop()
        self.must_be_clean()
