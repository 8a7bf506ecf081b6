"""A machine with UEFI firmware and nothing to boot: its shell is the operating system."""

import itertools
import re
from typing import NamedTuple

from .child import Child, PATIENCE_SECONDS
from .qmp import Qmp, QmpError
from .stream import Stream

VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
_SHELL_STARTS = rb"any other key to continue"
_PROMPT = rb"Shell> "
_ESCAPE = b"\x1b"
_CONTROL = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_BYTES = re.compile(rb"Bytes:? *\s*(?:[0-9A-F]{8}: )?((?:[0-9A-F]{2}[ -]?)+)")


class Board(NamedTuple):
    """What QEMU makes the machine of, and the firmware's code."""
    command: tuple
    code: str


PC = Board(("qemu-system-x86_64", "-M", "q35", "-m", "128"), "/usr/share/OVMF/OVMF_CODE_4M.fd")
ARM = Board(("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-m", "256"),
            "/usr/share/AAVMF/AAVMF_CODE.fd")


class UefiShellMachine:
    """Starts when it is made; `uri` is its variable store."""

    _numbers = itertools.count()

    def __init__(self, workspace, uri, board=PC, options=()):
        number = next(self._numbers)
        self.console = Stream(workspace.file(f"uefi{number}"), workspace.log("uefi-shell"))
        self.qmp = Qmp(workspace.file(f"uefi-qmp{number}"))
        self.child = Child(
            [*board.command, "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none",
             *options,
             "-drive", f"if=pflash,format=raw,readonly=on,file={board.code}",
             "-drive", f"if=pflash,format=raw,file={uri}",
             "-chardev", f"socket,id=console,path={self.console.path},server=off",
             "-serial", "chardev:console",
             "-chardev", f"socket,id=qmp,path={self.qmp.path},server=off",
             "-mon", "chardev=qmp,mode=control"], workspace.log(board.command[0]))
        try:
            self.qmp.accept(self.child.pidfd)
        except BaseException:
            self.kill()
            raise

    def shell_starts(self, seconds):
        """Waits so long for it; False if it has not started by then. To be asked until it has."""
        try:
            self.console.expect(_SHELL_STARTS, seconds)
        except TimeoutError:
            return False
        return True

    def wait_ready(self, seconds=PATIENCE_SECONDS):
        """At the prompt of the shell that has started."""
        self.console.send(_ESCAPE)  # It counts down otherwise.
        self.console.expect(_PROMPT, seconds)

    def set(self, name, guid, text):
        """A non-volatile variable; the firmware has answered on return."""
        self.console.send(f'setvar {name} -guid {guid} -bs -rt -nv =L"{text}"\r'.encode())
        self.console.expect(_PROMPT)

    def get(self, name, guid):
        """A variable's bytes, as the firmware shows them: 16 at most."""
        self.console.send(f"setvar {name} -guid {guid}\r".encode())
        found = self.console.expect(_PROMPT)
        shown = _CONTROL.sub(b"", found.string[:found.start()])
        return bytes.fromhex(_BYTES.search(shown).group(1).decode())

    def suspend_to(self, path):
        """Writes the machine into a file, and ends it."""
        self._migrate("migrate", f"exec:cat > {path}")
        self.qmp.execute("quit")
        self.child.wait()
        self.kill()

    def resume_from(self, path):
        """For a machine that was started with -incoming defer: it runs on return."""
        self._migrate("migrate-incoming", f"exec:cat {path}")
        self.qmp.execute("cont")

    def _migrate(self, command, uri):
        self.qmp.execute("migrate-set-capabilities",
                         capabilities=[{"capability": "events", "state": True}])
        self.qmp.execute(command, uri=uri)
        status = None
        while status != "completed":
            status = self.qmp.wait_event("MIGRATION")["data"]["status"]
            if status in ("failed", "cancelled"):
                raise QmpError(f"{command}: migration {status}")

    def kill(self):
        self.child.kill()
        self.console.close()
        self.qmp.close()


def stored_variable(name, text):
    """What can be found of a variable in a store: its name, zero-terminated, and its content."""
    return f"{name}\0{text}".encode("utf-16-le")
