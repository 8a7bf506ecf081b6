"""A virtual machine: real QEMU, a real kernel, a shell on the serial console."""

import itertools
import re
import subprocess

from .child import Child
from .guest_shell import GuestShell
from .qmp import Qmp, QmpError
from .stream import Stream


def make_disk(path):
    """A small drive that can hold snapshots of the machine. Its node is called `state`."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    return path


class Qemu(GuestShell):
    """Boots when it is made. The software CPU (TCG) only: results must not depend on the host's.

    The guest's console is `console`. `record` is its debug port: a byte is here as soon as the
    guest's `out` instruction is done, and none of them is lost when QEMU is killed.
    """

    _numbers = itertools.count()

    def __init__(self, workspace, image, tpm_path=None, model="tpm-crb", disk=None, incoming=None,
                 options=()):
        number = next(self._numbers)
        self.console = Stream(workspace.file(f"console{number}"), workspace.log("console"))
        self.record = Stream(workspace.file(f"record{number}"), workspace.log("record"))
        self.qmp = Qmp(workspace.file(f"qmp{number}"))
        self.operator = workspace.file(f"operator{number}")
        argv = [*self._argv(image), *self._options(tpm_path, model, disk, incoming), *options]
        self.child = Child(argv, workspace.log("qemu"))
        try:
            self.qmp.accept(self.child.pidfd)
        except BaseException:
            self.kill()
            raise

    def _argv(self, image):
        sockets = {"console": self.console, "record": self.record, "qmp": self.qmp}
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults",
                "-no-user-config", "-display", "none"]
        if image.kernel:
            argv += ["-kernel", image.kernel]
        if image.initramfs:
            # A busy host makes the kernel's look at its timer fail, and the guest hang.
            argv += ["-initrd", image.initramfs,
                     "-append", "console=ttyS0 quiet panic=-1 no_timer_check"]
        for name, end in sockets.items():
            argv += ["-chardev", f"socket,id={name},path={end.path},server=off"]
        return argv + ["-serial", "chardev:console", "-device", "isa-debugcon,chardev=record",
                       "-mon", "chardev=qmp,mode=control",
                       "-chardev", f"socket,id=operator,path={self.operator},server=on,wait=off",
                       "-mon", "chardev=operator,mode=control"]

    @staticmethod
    def _options(tpm_path, model, disk, incoming):
        options = []
        if tpm_path:
            options += ["-chardev", f"socket,id=tpm,path={tpm_path}",
                        "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                        "-device", f"{model},tpmdev=tpm0"]
        if disk:
            options += ["-drive", f"if=none,id=disk,node-name=state,format=qcow2,file={disk}"]
        if incoming:
            options += ["-incoming", incoming]
        return options

    def start_loop(self, index):
        """Starts the loop that increments a TPM 2.0 counter for ever; it reports to `record`."""
        self.must(f"nvloop loop {index} >/dev/null 2>&1 &")

    def stop_loop(self):
        """Ends it between two commands of its, or within one; it must not have ended by itself."""
        self.must("kill $! && ! wait $!")

    def value_now(self):
        """The newest value in the record; the guest may be ahead of it."""
        return values_of(self.record.content(max(0, self.record.size() - 200)))[-1]

    def wait_value(self, least, start=0):
        """Waits until the guest has reported a value of at least `least`, behind byte `start` of
        the record."""
        def seen(content):
            if complaints := complaints_of(content):
                raise AssertionError(f"the guest has stopped counting: {complaints}")
            values = values_of(content[-200:])
            return values and values[-1] >= least
        self.record.wait_until(seen, start)

    def save(self, name):
        self.qmp.monitor(f"savevm {name}")

    def load(self, name):
        self.qmp.monitor(f"loadvm {name}")

    def suspend_to(self, path):
        """Writes the machine into a file; it is stopped on return."""
        self._migrate("migrate", f"exec:cat > {path}")

    def resume_from(self, path):
        """For a machine started with incoming="defer": it runs on return."""
        self._migrate("migrate-incoming", f"exec:cat {path}")
        self.qmp.execute("cont")

    def _migrate(self, command, uri):
        self.qmp.execute("migrate-set-capabilities",
                         capabilities=[{"capability": "events", "state": True}])
        self.qmp.execute(command, uri=uri)
        while True:
            status = self.qmp.wait_event("MIGRATION")["data"]["status"]
            if status in ("failed", "cancelled"):
                raise QmpError(f"{command}: migration {status}")
            if status == "completed":
                return

    def quit(self):
        """An orderly end, as an operator's. Returns the guest's complete record."""
        self.qmp.execute("quit")
        return self.ended()

    def ended(self):
        """The same, when somebody else has told it to end."""
        status = self.child.wait()
        record = self.record.wait_end()
        self.close()
        if status != 0:
            raise AssertionError(f"QEMU ended with status {status}")
        return record

    def kill(self):
        """SIGKILL. Returns the guest's complete record."""
        self.child.kill()
        record = self.record.wait_end() if self.record.connected() else b""
        self.close()
        return record

    def close(self):
        self.child.kill()
        for end in (self.console, self.record, self.qmp):
            end.close()


def values_of(record):
    """The acknowledged counter values in a record, in order; halves of records are left out."""
    pairs = re.findall(rb"<(\d+):(\d+)>", record)
    return [int(first) for first, second in pairs if first == second]


def complaints_of(record):
    """What nvloop said when it gave up."""
    return [line.decode(errors="replace") for line in re.findall(rb"!([^\n]*)\n", record)]


def drops_in(values):
    """Where a sequence goes back: [(last value before, first value after)]. It may do nothing else
    than count and go back."""
    drops = []
    for before, after in zip(values, values[1:]):
        if after > before + 1:
            raise AssertionError(f"the counter jumped from {before} to {after}")
        if after != before + 1:
            drops.append((before, after))
    return drops
