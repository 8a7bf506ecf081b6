"""What a QEMU has of its TPM process, in a guest that runs the process itself (guest/nvmachine.c)."""

import pathlib
import subprocess

from guest.guest_image import HERE


def nv_machine_files(workspace):
    """What the guest needs for it: {path in the guest: content}."""
    program = workspace.file("nvmachine")
    subprocess.run(["cc", "-std=c11", "-O2", "-static", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-s", "-o", program,
                    HERE / "nvmachine.c", HERE / "tpm_commands.c"], check=True)
    return {"bin/nvmachine": pathlib.Path(program).read_bytes()}


class NvMachine:
    """One of them, connected to the control socket of a TPM process. `guest`: the shell of the guest that both are in."""

    def __init__(self, guest, control, name):
        self._guest = guest
        self._pipes = f"/run/{name}.requests", f"/run/{name}.answers"
        guest.must(f"rm -f {' '.join(self._pipes)}; mkfifo {' '.join(self._pipes)}")
        self._pid = guest.must(f"nvmachine {control} {' '.join(self._pipes)} >/run/{name}.said 2>&1 & echo $!")

    def ask(self, words, seconds=120):
        """Its result, and a value."""
        answer = self._guest.must(f"echo {words} >{self._pipes[0]}; read -r line <{self._pipes[1]}; echo $line", seconds)
        result, value = answer.split()
        return int(result), int(value)

    def must(self, words):
        result, value = self.ask(words)
        if result != 0:
            raise AssertionError(f"{words}: {result:#x}")
        return value

    def end(self):
        self._guest.must(f"kill {self._pid}; wait {self._pid}; true")
