"""A host of virtual machines: a real libvirtd, with our hook."""

import pathlib
import subprocess
import time
from typing import NamedTuple

from harness.child import Deadline, PATIENCE_SECONDS
from harness.notified_child import start_notified
from harness.tpm_process import REPOSITORY, program

SCRIPT = pathlib.Path(__file__).with_name("host.sh")
SPACES = ("--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")


class Said(NamedTuple):
    """How a command of virsh's ended, and what it printed."""
    status: int
    text: str


class Host:
    """Needs root. What it has started ends with it, and it ends with the test."""

    HOOK = REPOSITORY / "contrib" / "libvirt" / "vnvram"

    def __init__(self, workspace, name, swtpm=None, preload=None):
        """`swtpm`: the program that it has by that name; Debian's unless given. `preload`: a library
        that comes before libvirtd's own."""
        self.folder = workspace.file(name)
        self.folder.mkdir()
        self.log = workspace.log(f"libvirtd-{name}")
        self._workspace = workspace
        self._swtpm = [swtpm] if swtpm else []
        self._env = ["env", f"LD_PRELOAD={preload}"] if preload else []
        self.name = name
        self.start()

    def start(self):
        self._child = start_notified(
            ["unshare", *SPACES, *self._env, "sh", SCRIPT, self.folder, self.name, self.HOOK,
             program("vnvram").parent, self.log, *self._swtpm],
            self._workspace.log(f"host-{self.name}"),
            self._workspace.file(f"{self.name}.notify"))

    @property
    def uri(self):
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock"

    def virsh(self, *words, seconds=300):
        argv = ["virsh", "--connect", self.uri, *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
        return Said(done.returncode, done.stdout)

    def must(self, *words, seconds=300):
        """It has to succeed; returns what it printed."""
        said = self.virsh(*words, seconds=seconds)
        if said.status != 0:
            raise AssertionError(f"virsh {' '.join(map(str, words))}: {said.text}{self.logs_text()}")
        return said.text

    def refuses(self, *words):
        """It has to fail; returns what it printed."""
        said = self.virsh(*words)
        if said.status == 0:
            raise AssertionError(f"virsh {' '.join(map(str, words))} succeeded: {said.text}")
        return said.text

    def inner(self, *argv, stdin=""):
        """Runs a program among the host's processes; it must succeed. Also where all of this is in a
        chroot, as in scripts/bare-debian.sh."""
        (first,) = pathlib.Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children"
                                ).read_text("ascii").split()
        subprocess.run(["nsenter", f"--target={first}", "--mount", "--pid", "--root", "--",
                        *map(str, argv)],
                       input=stdin, text=True, timeout=60, check=True)

    def inside(self, path):
        """Where a path of its /run is for us."""
        return self.folder / path.lstrip("/")

    def logs_text(self, tail_bytes=3000):
        """Of the machines' QEMUs, of their TPMs, and of what served them."""
        parts = []
        for log in (*self.folder.glob("var/log/libvirt/qemu/*.log"),
                    *self.folder.glob("var/log/swtpm/libvirt/qemu/*.log"),
                    *self.folder.glob("run/vnvram/*/serve.log")):
            text = log.read_bytes()[-tail_bytes:].decode(errors="replace")
            parts.append(f"---- {log}\n{text}")
        return "\n".join(parts)

    def kill_process(self, pid_file):
        """SIGKILL."""
        self.inner("kill", "-KILL", self.inside(pid_file).read_text("ascii").split()[0])

    def kill_libvirtd(self):
        """It is started again; returns when it answers."""
        self.kill_process("/run/libvirtd.pid")
        deadline = Deadline(PATIENCE_SECONDS)
        while self.virsh("list").status != 0:
            if deadline.passed():
                raise TimeoutError(f"libvirtd does not answer: {self.log.read_text(errors='replace')}")
            time.sleep(0.05)

    def kill(self):
        """As when the host loses its power, but for what is on its disks."""
        self._child.kill()
