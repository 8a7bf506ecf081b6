"""The demo of live migration: a machine moves while its guest counts, and its NVRAM's image with it.

The image belongs to a qemu-storage-daemon on each side; no storage is shared. A mirror copies it
over NBD while the TPM goes on committing.
"""

import subprocess
import sys

from demo_steps import COUNTER, Demo, Failed, expect, in_guest, kept, on_host, say, seal, show
from demo_steps import with_tool
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe
from harness.storage_daemon import StorageDaemon
from harness.tpm_process import program

SECRET = "travels-with-the-machine"
SIZE = "4M"


class Side:
    """An image, the daemon that owns it, a TPM on the daemon's export, and a machine."""

    def __init__(self, demo, image, *tpm_options, **machine_options):
        self.image = image
        self.daemon = demo.start(StorageDaemon(demo.workspace, image))
        show("$", f"contrib/recipes/storage-daemon.sh {image.name} . &")
        self.tpm = demo.start_tpm(self.daemon.uri, tpm_options, admin=True)
        words = "-incoming defer " if machine_options else ""
        self.qemu = demo.start_machine(self.tpm, words, **machine_options)


def play(demo):
    say("Here: a qcow2 image, a storage daemon that owns it, a TPM, a machine")
    image = demo.file("here.qcow2")
    on_host("create", image, "--tpm2")
    here = Side(demo, image)
    here.qemu.wait_ready()
    in_guest(here.qemu, f"nvloop define {COUNTER}")
    in_guest(here.qemu, f"nvloop increment {COUNTER}")
    seal(here.qemu, SECRET)
    before = kept(here.qemu)
    expect(before[1], SECRET, "the secret")

    say("There: an empty image, and a machine that waits")
    image = demo.file("there.qcow2")
    with_tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=full", image, SIZE)
    there = Side(demo, image, "--detached", "--incoming", "--tpm2", incoming="defer")

    say("The guest counts as fast as it can from now on, and remembers the last value")
    here.qemu.start_loop(COUNTER)
    show("guest#", f"nvloop loop {COUNTER} &")
    here.qemu.wait_value(int(before[0], 16) + 100)

    say("The image and the machine move")
    words = ("--source-admin", here.tpm.admin, "--destination-admin", there.tpm.admin,
             "--source-daemon", here.daemon.qmp, "--nbd", there.daemon.nbd)
    show("$", "contrib/recipes/migrate_with_image.py source-qmp destination-qmp unix:migration ...",
         recipe("migrate_with_image.py", here.qemu.operator, there.qemu.operator,
                f"unix:{demo.file('migration')}", *words))
    recipe("end_source.py", here.qemu.operator, here.tpm.admin, here.image)
    record_here = here.qemu.ended()
    here.tpm.stop()
    here.daemon.stop()
    last = values_of(record_here)[-1]
    there.qemu.wait_value(last + 100)
    there.qemu.stop_loop()

    say("The guest's own record, from both machines")
    after = kept(there.qemu)
    expect(after[1], SECRET, "the secret")
    record = record_here + there.qemu.quit()
    values = values_of(record)
    if complaints_of(record) or drops_in(values):
        raise Failed(f"the guest has noticed the move: {complaints_of(record)} {drops_in(values)}")
    expect(int(after[0], 16) - values[-1] in (0, 1), True, "the counter's end")
    print(f"   it counted from {values[0]} to {last} here and from {last + 1} to {values[-1]} there, "
          "and left nothing out")
    there.tpm.stop()
    there.daemon.stop()

    say("What is left here is sealed: nobody starts the machine from it by mistake")
    done = subprocess.run([program("vnvram-tpm"), here.image, "--ctrl", "unix:tpm.sock"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    show("$", f"vnvram-tpm {here.image.name} --ctrl unix:tpm.sock", done.stderr)
    expect(done.returncode, 30, "the exit code")
    on_host("check", there.image)


if __name__ == "__main__":
    sys.exit(Demo("demo-migrate", play).run())
