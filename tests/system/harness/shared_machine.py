"""vnvram serve --shared: a machine whose image another host sees as well."""

import sys

from .machine_process import MachineProcess


class SharedMachine(MachineProcess):
    """What has the image of it is its owner; and who dies is its host."""

    _is_killing = False

    @property
    def pid(self):
        return self.processes()["owner"]

    def kill_all(self):
        if self.child.returncode is None:
            self._is_killing = True
            super().kill_all()
            self._is_killing = False

    def kill(self):
        if self._is_killing:
            super().kill()
        else:
            self.kill_all()


if __name__ == "__main__":
    sys.exit("a part of the tests")
