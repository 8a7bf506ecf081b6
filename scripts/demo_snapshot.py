"""The demo of snapshots: a machine's TPM, in a qcow2 image, goes back with the machine.

Twice: a snapshot of the running machine, and one of the image while the machine is off.
"""

import sys

from demo_steps import INCREMENT, Demo, change, define_counter, expect, in_guest, kept, on_host
from demo_steps import say, seal, show, with_tool
from harness.qemu import make_disk


def play(demo):
    image = demo.file("vm.qcow2")
    say("A qcow2 image for the NVRAM of one machine, with room for a TPM 2.0")
    on_host("create", image, "--tpm2")
    tpm, qemu = demo.power_on(image, disk=make_disk(demo.file("disk.qcow2")))
    say("Its guest counts to three, and seals a secret")
    define_counter(qemu)
    for _ in range(3):
        in_guest(qemu, INCREMENT)
    seal(qemu, "the-first-secret")
    first = kept(qemu)

    say("A snapshot of the running machine")
    qemu.save("one")
    show("(qemu)", "savevm one")
    say("The guest counts on, and replaces the secret")
    change(qemu, "the-second-secret")
    second = kept(qemu)
    expect(second[1], "the-second-secret", "the secret")
    expect(int(second[0], 16), int(first[0], 16) + 5, "the counter")

    say("Back to the snapshot: memory, disk and TPM together")
    qemu.load("one")
    show("(qemu)", "loadvm one")
    expect(kept(qemu), first, "what the guest has kept")
    qemu.quit()
    tpm.stop()

    say("The machine is off. A snapshot of the image alone, by qemu-img")
    with_tool("qemu-img", "snapshot", "-c", "before-upgrade", image)
    tpm, qemu = demo.power_on(image)
    change(qemu, "the-third-secret")
    expect(kept(qemu)[1], "the-third-secret", "the secret")
    qemu.quit()
    tpm.stop()
    with_tool("qemu-img", "snapshot", "-l", image)
    with_tool("qemu-img", "snapshot", "-a", "before-upgrade", image)
    on_host("check", image)
    tpm, qemu = demo.power_on(image)
    expect(kept(qemu), first, "what the guest has kept")
    print("   the counter and the secret are those of the snapshot")
    qemu.quit()
    tpm.stop()


if __name__ == "__main__":
    sys.exit(Demo("demo-snapshot", play).run())
