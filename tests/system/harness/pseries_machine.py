"""A pSeries machine at the prompt of its firmware, SLOF, with QEMU's spapr-nvram over an NBD
export."""

import itertools
import re

from .child import Child, PATIENCE_SECONDS
from .qmp import Qmp
from .stream import Stream

_PROMPT = rb"\r\n\d+ > "
_TERMINAL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])")


class PseriesMachine:
    """At the prompt when it is made."""

    _numbers = itertools.count()

    def __init__(self, workspace, uri, seconds=300):
        number = next(self._numbers)
        self.console = Stream(workspace.file(f"slof{number}"), workspace.log("slof"))
        self.qmp = Qmp(workspace.file(f"slof-qmp{number}"))
        self.child = Child(
            ["qemu-system-ppc64", "-accel", "tcg", "-M", "pseries", "-m", "256",
             "-nodefaults", "-no-user-config", "-display", "none",
             "-chardev", f"socket,id=console,path={self.console.path},server=off",
             "-serial", "chardev:console",
             "-chardev", f"socket,id=qmp,path={self.qmp.path},server=off",
             "-mon", "chardev=qmp,mode=control",
             "-drive", f"if=pflash,format=raw,file={uri}"],
            workspace.log("qemu-system-ppc64"))
        try:
            self.qmp.accept(self.child.pidfd)
            self.console.expect(_PROMPT, seconds)
        except BaseException:
            self.kill()
            raise

    def run(self, line, seconds=PATIENCE_SECONDS):
        """Types the line; returns what the firmware says to it."""
        self.console.send(line.encode() + b"\r")
        found = self.console.expect(rb"(?s)(.*?)" + _PROMPT, seconds)
        return _TERMINAL.sub("", found.group(1).decode(errors="replace"))

    def set(self, name, value):
        self.run(f"setenv {name} {value}")

    def value(self, name):
        """What the variable is set to."""
        said = self.run(f"printenv {name}")
        found = re.search(r"Current: *(.*?) *\r?\n", said)
        if not found:
            raise AssertionError(f"printenv {name}: {said}")
        return found.group(1)

    def flush(self):
        """By stopping the machine for a moment: QEMU flushes its drives then."""
        self.qmp.execute("stop")
        self.qmp.execute("cont")

    def kill(self):
        self.child.kill()
        self.console.close()
        self.qmp.close()
