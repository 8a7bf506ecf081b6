"""The demo of snapshots: a machine's TPM and its UEFI variables, in a qcow2 image, go back together.

Twice: a snapshot of the running machine, and one of the image while the machine is off.
"""

import sys

from demo_steps import INCREMENT, Demo, change, define_counter, expect, in_guest, kept, on_host
from demo_steps import say, seal, show, with_tool
from harness.efivars import FOLDER, KEPT, OWN
from harness.firmware import PLAIN
from harness.qemu import make_disk
from harness.recipe import recipe

GREETING = f"{FOLDER}/Greeting-{OWN}"


def greet(qemu, word):
    in_guest(qemu, f"if [ -e {GREETING} ]; then chattr -i {GREETING}; fi; printf '{KEPT}{word}' > {GREETING}")


def stored(qemu):
    return *kept(qemu), in_guest(qemu, f"tail -c +5 {GREETING}")


def snapshot(qemu, verb):
    recipe("snapshot.py", qemu.operator, verb, "one", "state")
    show("$", f"contrib/recipes/snapshot.py qmp.sock {verb} one state")


def play(demo):
    image = demo.file("vm.qcow2")
    say("A qcow2 image for all that one machine remembers, and a drive for the machine's snapshots")
    on_host("create", image, "--tpm2", *PLAIN.create_options())
    machine, qemu = demo.power_on(image, disk=make_disk(demo.file("disk.qcow2")))
    say("Its guest counts to three, seals a secret, and sets a UEFI variable")
    define_counter(qemu)
    for _ in range(3):
        in_guest(qemu, INCREMENT)
    seal(qemu, "the-first-secret")
    greet(qemu, "hello")
    first = stored(qemu)

    say("A snapshot of the running machine")
    snapshot(qemu, "save")
    say("The guest counts on, and replaces the secret and the variable")
    change(qemu, "the-second-secret")
    greet(qemu, "goodbye")
    second = stored(qemu)
    expect(second[1:], ("the-second-secret", "goodbye"), "what has changed")
    expect(int(second[0], 16), int(first[0], 16) + 5, "the counter")

    say("Back to the snapshot: memory, disk, TPM and variables together")
    snapshot(qemu, "load")
    expect(stored(qemu), first, "what the guest has kept")
    qemu.quit()
    machine.stop()

    say("The machine is off. A snapshot of the image alone, by qemu-img")
    with_tool("qemu-img", "snapshot", "-c", "before-upgrade", image)
    machine, qemu = demo.power_on(image)
    change(qemu, "the-third-secret")
    greet(qemu, "later")
    expect(stored(qemu)[1:], ("the-third-secret", "later"), "what has changed")
    qemu.quit()
    machine.stop()
    with_tool("qemu-img", "snapshot", "-l", image)
    with_tool("qemu-img", "snapshot", "-a", "before-upgrade", image)
    on_host("check", image)
    machine, qemu = demo.power_on(image)
    expect(stored(qemu), first, "what the guest has kept")
    print("   counter, secret and variable are those of the snapshot")
    qemu.quit()
    machine.stop()


if __name__ == "__main__":
    sys.exit(Demo("demo-snapshot", play).run())
