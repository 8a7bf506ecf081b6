"""The demo of UEFI variables: firmware and Linux write some, the power is cut, all are still there.

Real QEMU, Debian's OVMF and kernel; nothing is installed, nothing is left behind.
"""

import sys
import time

from demo_steps import Demo, expect, guest_image, in_guest, on_host, say, short, show
from harness.blob_server import BlobServer
from harness.efivars import FOLDER, KEPT, MONOTONIC_COUNTER, OWN
from harness.firmware import PLAIN
from harness.qemu import Qemu
from harness.uefi_case import wait_until_durable

SMALL, LARGE = f"Greeting-{OWN}", f"Large-{OWN}"
READ_SMALL = f"tail -c +5 {SMALL}"
STARTS = f"tail -c +5 {MONOTONIC_COUNTER} | hexdump -v -e '/4 \"%u\"'"
EVERYTHING = f"sha256sum * | grep -v {MONOTONIC_COUNTER} | sha256sum"


def power_on(demo, image):
    """Returns the server and a machine whose guest is up, in the folder of its variables."""
    start = time.monotonic()
    server = demo.start(BlobServer(demo.workspace, image))
    show("$", f"nbdkit --unix uefi.sock vnvram {short(image)} &")
    options = PLAIN.machine_options(server.socket)
    qemu = demo.start(Qemu(demo.workspace, guest_image(), options=options))
    words = " ".join(options).replace(str(server.socket), "uefi.sock")
    show("$", f"qemu-system-x86_64 ... {words} &")
    qemu.wait_ready()
    print(f"   firmware and Linux are up after {time.monotonic() - start:.1f} s")
    in_guest(qemu, f"cd {FOLDER}; ls | wc -l")
    return server, qemu


def play(demo):
    image = demo.file("nvram.img")
    say("An image for the NVRAM of one machine, with the variables that a new machine begins with")
    on_host("create", image, *PLAIN.create_options())
    say("A machine whose UEFI variables are in that image")
    server, qemu = power_on(demo, image)
    say("The firmware has written variables: boot entries, and how often it has started")
    in_guest(qemu, "ls | grep -e ^Boot -e ^Con -e ^MTC")
    starts = int(in_guest(qemu, STARTS))
    say("Linux writes some more")
    in_guest(qemu, f"printf '{KEPT}hello' > {SMALL}")
    in_guest(qemu, f"(printf '{KEPT}'; yes vNVRAM | head -c 4000) > /value; cat /value > {LARGE}")
    everything = in_guest(qemu, EVERYTHING)
    wait_until_durable(server, image)
    print("   nobody has asked for it, and all of that is on the image by now")

    say("The power is cut: SIGKILL to QEMU and to nbdkit")
    qemu.kill()
    server.kill()
    show("$", f"kill -9 {qemu.child.pid} {server.child.pid}")
    on_host("check", image)

    say("The power is back")
    server, qemu = power_on(demo, image)
    expect(in_guest(qemu, READ_SMALL), "hello", "the variable")
    expect(in_guest(qemu, EVERYTHING), everything, "the digest of all variables")
    expect(int(in_guest(qemu, STARTS)), starts + 1, "the firmware's count of its starts")
    print("   all variables are there, Linux's and the firmware's")
    qemu.quit()
    server.stop()

    say("What the image holds, and whether every byte of it is sound")
    on_host("ls", image)
    on_host("check", image)


if __name__ == "__main__":
    sys.exit(Demo("demo-uefi", play).run())
