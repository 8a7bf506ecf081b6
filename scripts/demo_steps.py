"""What the demos share. Each shows the commands that it runs, and what they print.

Real QEMU, a real Linux kernel and its own tpm2-tools; nothing is installed, nothing is left behind.
"""

import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from guest.guest_image import guest_image
from harness.firmware import PLAIN
from harness.machine_process import MachineProcess
from harness.qemu import Qemu
from harness.vnvram import vnvram
from harness.workspace import Workspace

COUNTER, SEALED = "0x1500001", "0x81000010"
INCREMENT = f"tpm2_nvincrement {COUNTER} -C o"
READ_COUNTER = f"tpm2_nvread {COUNTER} -C o -s 8 | hexdump -v -e '/1 \"%02x\"'"
UNSEAL = f"tpm2_unseal -c {SEALED}"
TPM_OPTIONS = ("... -chardev socket,id=tpm,path=tpm.sock -tpmdev emulator,id=tpm0,chardev=tpm "
               "-device tpm-crb,tpmdev=tpm0")


class Failed(Exception):
    """The demo did not show what it promises."""


def say(text):
    print(f"\n== {text}", flush=True)


def show(prompt, command, output=""):
    print(f"   {prompt} {command}")
    for line in output.rstrip().splitlines():
        print(f"      {line}")
    sys.stdout.flush()


def expect(found, expected, what):
    if found != expected:
        raise Failed(f"{what} is {found}, not {expected}")


def in_guest(qemu, command):
    output = qemu.must(command)
    show("guest#", command, output)
    return output


def on_host(*words):
    """A command of ours."""
    output = vnvram(*words)
    show("$", " ".join(["vnvram", *map(short, words)]), output)
    return output


def on_owner(verb, machine, *words):
    """The same, asked of who has the image."""
    output = vnvram(verb, machine.address, *words)
    show("$", " ".join(["vnvram", verb, "unix:owner.sock", *map(str, words)]), output)


def with_tool(*words):
    """Somebody else's."""
    done = subprocess.run([*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, check=True)
    show("$", " ".join(map(short, words)), done.stdout)


def short(word):
    """Without the folder, which the demo has made for itself."""
    scheme, _, path = str(word).rpartition(":/")
    return f"{scheme}:{short('/' + path)}" if scheme else (
        pathlib.Path(str(word)).name if str(word).startswith("/") else str(word))


def define_counter(qemu):
    in_guest(qemu, f"tpm2_nvdefine {COUNTER} -C o -s 8 -a 'nt=counter|ownerwrite|ownerread'")


def seal(qemu, secret):
    in_guest(qemu, "tpm2_createprimary -Q -C o -G ecc -c primary")
    in_guest(qemu, f"printf %s {secret} > secret; "
             "tpm2_create -Q -C primary -i secret -u public -r private")
    in_guest(qemu, "tpm2_load -Q -C primary -u public -r private -c sealed")
    in_guest(qemu, f"tpm2_evictcontrol -Q -C o -c sealed {SEALED}")


def change(qemu, secret):
    """Five increments, and another secret in the place of the one before."""
    for _ in range(5):
        in_guest(qemu, INCREMENT)
    in_guest(qemu, f"tpm2_evictcontrol -Q -C o -c {SEALED}")
    seal(qemu, secret)


def kept(qemu):
    """The guest's own view: its counter and its secret."""
    return in_guest(qemu, READ_COUNTER), in_guest(qemu, UNSEAL)


class Demo:
    """Has a folder for what it makes, and ends all that it has started."""

    def __init__(self, name, play):
        self._name = name
        self._play = play
        self._children = []
        self.workspace = None

    def run(self):
        """Returns the exit status."""
        with Workspace() as self.workspace:
            try:
                self._play(self)
            except Exception as error:
                print(self.workspace.logs_text(), flush=True)
                print(f"\n{self._name}: FAILED: {error}", flush=True)
                return 1
            finally:
                for child in reversed(self._children):
                    child.kill()
        print(f"\n{self._name}: PASS")
        return 0

    def file(self, name):
        return self.workspace.file(name)

    def start(self, child):
        """It ends with the demo."""
        self._children.append(child)
        return child

    def serve(self, image, *words):
        """`vnvram serve`, with TPM and UEFI variables."""
        machine = self.start(MachineProcess(self.workspace, image, *words))
        show("$", " ".join(["vnvram serve", short(image), "--control unix:owner.sock", "--tpm unix:tpm.sock",
                            "--nbd unix:nbd.sock", *map(short, words), "&"]))
        return machine

    def start_machine(self, machine, words="", **more):
        options = PLAIN.machine_options(machine.socket)
        shown = " ".join(options).replace(str(machine.socket), "nbd.sock")
        qemu = self.start(Qemu(self.workspace, guest_image(), machine.control, options=options, **more))
        show("$", f"qemu-system-x86_64 {TPM_OPTIONS} {shown} {words}&")
        return qemu

    def power_on(self, image, words="", key=(), **more):
        """Returns `vnvram serve` and a machine whose guest is up."""
        start = time.monotonic()
        machine = self.serve(image, *key)
        qemu = self.start_machine(machine, words, **more).wait_ready()
        print(f"   firmware and Linux are up after {time.monotonic() - start:.1f} s")
        return machine, qemu
