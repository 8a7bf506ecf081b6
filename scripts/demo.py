"""The demo: one image, encrypted, has a machine's TPM and its UEFI variables. The power is cut, and
both are there; a copy of the image is put back, and both are of the moment of the copy.

Real QEMU, Debian's OVMF, a real Linux kernel and its own tpm2-tools; nothing is installed, nothing
is left behind.
"""

import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

from demo_steps import COUNTER, INCREMENT, Demo, Failed, change, define_counter
from demo_steps import expect, in_guest, kept, on_host, on_owner, say, seal, show, with_tool
from harness.efivars import FOLDER, KEPT, MONOTONIC_COUNTER, OWN
from harness.firmware import PLAIN
from harness.tpm_process import program
from harness.uefi_case import wait_until_durable
from harness.vnvram import info

COMMITS = 200
HOLD_SECONDS = 60
GREETING, LARGE = f"{FOLDER}/Greeting-{OWN}", f"{FOLDER}/Large-{OWN}"
READ_GREETING = f"tail -c +5 {GREETING}"
STARTS = f"tail -c +5 {FOLDER}/{MONOTONIC_COUNTER} | hexdump -v -e '/4 \"%u\"'"
VARIABLES = f"(cd {FOLDER}; sha256sum * | grep -v {MONOTONIC_COUNTER} | sha256sum)"


class Stored(NamedTuple):
    """What the guest finds."""
    counter: str
    secret: str
    greeting: str
    variables: str  # A digest of all of them, but for the firmware's count of its starts.


def stored(qemu):
    counter, secret = kept(qemu)
    return Stored(counter, secret, in_guest(qemu, READ_GREETING), in_guest(qemu, VARIABLES))


def bytes_written(pid):
    """What the process has sent to the storage layer, as the kernel counts it."""
    text = pathlib.Path(f"/proc/{pid}/io").read_text("ascii")
    return int(re.search(r"^write_bytes: (\d+)", text, re.MULTILINE).group(1))


def measure_commits(owner, qemu, image, key):
    """Counts up in the guest, and looks at what reached the image for it."""
    bytes_before, generation_before = bytes_written(owner), info(image, *key)["generation"]
    qemu.must(f"i=0; while [ $i -lt {COMMITS} ]; do nvloop increment {COUNTER} || break; "
              "i=$((i+1)); done >counted && [ $i = " + str(COMMITS) + " ]")
    commits = info(image, *key)["generation"] - generation_before
    written = bytes_written(owner) - bytes_before
    if commits < COMMITS:
        raise Failed(f"{COMMITS} increments were answered, but {commits} commits are durable")
    print(f"   {COMMITS} increments in the guest: {commits} commits, {written} bytes written to the "
          f"image: {written / commits:.0f} bytes per commit, checkpoints included")


def show_bench(folder):
    bench = program("vnvram-bench")
    done = subprocess.run([bench, "--quick", "--dir", folder], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failed(f"{bench}: status {done.returncode}: {done.stdout}{done.stderr}")
    show("$", "vnvram-bench --quick", done.stdout)


def store_both(qemu):
    """In the TPM a counter and a secret; beside what the firmware has written, two variables."""
    define_counter(qemu)
    for _ in range(3):
        in_guest(qemu, INCREMENT)
    seal(qemu, "correct-horse-battery-staple")
    in_guest(qemu, f"printf '{KEPT}hello' > {GREETING}")
    in_guest(qemu, f"(printf '{KEPT}'; yes vNVRAM | head -c 4000) > value; cat value > {LARGE}")


def cut_power(machine, qemu):
    """SIGKILL to all of it: the machine, and whatever serves its image."""
    processes = [qemu.child.pid, machine.pid, *machine.processes().values()]
    qemu.kill()
    machine.kill_all()
    show("$", f"kill -9 {' '.join(map(str, processes))}")


def show_power_cut(demo, image, key):
    """Returns the machine, which is on again, and what it has kept."""
    machine, qemu = demo.power_on(image, key=key)
    say("The firmware has written variables: boot entries, and how often it has started")
    in_guest(qemu, f"ls {FOLDER} | grep -e ^Boot -e ^MTC")
    starts = int(in_guest(qemu, STARTS))
    say("Linux stores a counter and a secret in the TPM, and variables")
    store_both(qemu)
    say("What a change costs")
    measure_commits(machine.processes()["owner"], qemu, image, key)
    before = stored(qemu)
    wait_until_durable(machine, image, *key)
    print("   nobody has asked for it, and all of the variables is on the image by now")

    say("The power is cut: SIGKILL to QEMU, to `vnvram serve` and to all that it has started")
    cut_power(machine, qemu)
    on_host("check", image, *key)

    say("The power is back")
    machine, qemu = demo.power_on(image, key=key)
    expect(stored(qemu), before, "what the guest finds")
    expect(int(in_guest(qemu, STARTS)), starts + 1, "the firmware's count of its starts")
    print("   counter, secret and all variables are there, Linux's and the firmware's")
    return machine, qemu, before


def show_revert(demo, image, key, machine, qemu, before):
    copy = demo.file("before-upgrade.nvram")
    say("A copy of the image while the machine runs: no device changes anything meanwhile")
    on_owner("hold", machine, "--seconds", HOLD_SECONDS)
    with_tool("cp", "--sparse=never", image, copy)
    on_owner("release", machine)
    on_host("check", copy, *key)
    say("The guest counts on, and has another secret and another variable")
    change(qemu, "the-second-secret")
    in_guest(qemu, f"chattr -i {GREETING}; printf '{KEPT}goodbye' > {GREETING}")
    after = stored(qemu)
    expect(after[1:3], ("the-second-secret", "goodbye"), "what has changed")
    expect(int(after.counter, 16), int(before.counter, 16) + 5, "the counter")

    say("The machine is off, and the copy is put in the image's place")
    qemu.quit()
    machine.stop()
    with_tool("cp", "--sparse=never", copy, image)
    machine, qemu = demo.power_on(image, key=key)
    expect(stored(qemu), before, "what the guest finds")
    print("   TPM and variables are both of the moment of the copy")
    qemu.quit()
    machine.stop()


def make_key(demo):
    """What opens the image, as options: without it nobody reads anything of it."""
    key = demo.file("host.key")
    with_tool("dd", "if=/dev/urandom", f"of={key}", "bs=32", "count=1", "status=none")
    return "--key", f"file:{key}"


def play(demo):
    image = demo.file("vm.nvram")
    say("One image for all that a machine remembers, its TPM and its UEFI variables, encrypted")
    key = make_key(demo)
    on_host("create", image, "--tpm2", *PLAIN.create_options(), "--encrypt", *key, "--label", "host")
    on_host("key", "ls", image)
    say("A machine with both, which one command serves from that image")
    machine, qemu, before = show_power_cut(demo, image, key)
    show_revert(demo, image, key, machine, qemu, before)
    say("What the image holds, and whether every byte of it is sound")
    on_host("ls", image, *key)
    on_host("check", image, *key)
    say("The cost of a commit on the device")
    show_bench(demo.workspace.path)


if __name__ == "__main__":
    sys.exit(Demo("demo", play).run())
