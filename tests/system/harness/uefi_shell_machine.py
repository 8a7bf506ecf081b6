"""A PC with UEFI firmware and nothing to boot: its shell is the operating system."""

import itertools

from .child import Child
from .qmp import Qmp
from .stream import Stream

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
_SHELL_STARTS = rb"any other key to continue"
_PROMPT = rb"Shell> "
_ESCAPE = b"\x1b"


class UefiShellMachine:
    """Starts when it is made; `uri` is its variable store."""

    _numbers = itertools.count()

    def __init__(self, workspace, uri):
        number = next(self._numbers)
        self.console = Stream(workspace.file(f"uefi{number}"), workspace.log("uefi-shell"))
        self.qmp = Qmp(workspace.file(f"uefi-qmp{number}"))
        self.child = Child(
            ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", "128", "-nodefaults",
             "-no-user-config", "-display", "none",
             "-drive", f"if=pflash,format=raw,readonly=on,file={CODE}",
             "-drive", f"if=pflash,format=raw,file={uri}",
             "-chardev", f"socket,id=console,path={self.console.path},server=off",
             "-serial", "chardev:console",
             "-chardev", f"socket,id=qmp,path={self.qmp.path},server=off",
             "-mon", "chardev=qmp,mode=control"], workspace.log("qemu-system-x86_64"))
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

    def wait_ready(self, seconds=60):
        """At the prompt of the shell that has started."""
        self.console.send(_ESCAPE)  # It counts down otherwise.
        self.console.expect(_PROMPT, seconds)

    def set(self, name, guid, text):
        """A non-volatile variable; the firmware has answered on return."""
        self.console.send(f'setvar {name} -guid {guid} -bs -rt -nv =L"{text}"\r'.encode())
        self.console.expect(_PROMPT)

    def kill(self):
        self.child.kill()
        self.console.close()
        self.qmp.close()


def stored_variable(name, text):
    """What can be found of a variable in a store: its name, zero-terminated, and its content."""
    return f"{name}\0{text}".encode("utf-16-le")
