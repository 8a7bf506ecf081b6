"""A machine without a guest: it stands still, and the test is its CPU."""

import itertools

from .child import Child
from .qmp import Qmp
from .qtest import Qtest


class DeviceMachine:
    """`emulator` is QEMU's program, `options` the machine and its devices."""

    _numbers = itertools.count()

    def __init__(self, workspace, emulator, *options):
        number = next(self._numbers)
        self.workspace = workspace
        self.qmp = Qmp(workspace.file(f"device-qmp{number}"))
        self.qtest = Qtest(workspace.file(f"qtest{number}"))
        self.child = Child(
            [emulator, "-accel", "tcg", "-S", "-nodefaults", "-no-user-config", "-display", "none",
             "-chardev", f"socket,id=qmp,path={self.qmp.path},server=off",
             "-mon", "chardev=qmp,mode=control",
             "-qtest", f"unix:{self.qtest.path}", "-qtest-log", "none", *options],
            workspace.log(emulator))
        try:
            self.qmp.accept(self.child.pidfd)
            self.qtest.accept(self.child.pidfd)
        except BaseException:
            self.kill()
            raise

    def flush(self):
        """QEMU flushes all of its drives when a machine is stopped, also one that stands still."""
        self.qmp.execute("stop")

    def kill(self):
        """SIGKILL: nothing that QEMU had in hand is flushed."""
        self.child.kill()
        self.qmp.close()
        self.qtest.close()
