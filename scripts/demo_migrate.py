"""The demo of live migration: a machine moves while its guest counts, with its TPM and its UEFI variables.

Each side has an image of its own; no storage is shared. What the devices remember comes with the machine.
"""

import subprocess
import sys

from demo_steps import COUNTER, Demo, Failed, expect, in_guest, kept, on_host, say, seal, show
from harness.efivars import FOLDER, KEPT, OWN
from harness.firmware import PLAIN
from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe
from harness.tpm_process import program

SECRET = "travels-with-the-machine"
GREETING = f"{FOLDER}/Greeting-{OWN}"


def stored(qemu):
    return *kept(qemu), in_guest(qemu, f"tail -c +5 {GREETING}")


def play(demo):
    say("Here: an image, a TPM and UEFI variables, a machine")
    image = demo.file("here.nvram")
    on_host("create", image, "--tpm2", *PLAIN.create_options())
    here, qemu_here = demo.power_on(image)
    in_guest(qemu_here, f"nvloop define {COUNTER}")
    in_guest(qemu_here, f"nvloop increment {COUNTER}")
    seal(qemu_here, SECRET)
    in_guest(qemu_here, f"printf '{KEPT}hello' > {GREETING}")
    before = stored(qemu_here)
    expect(before[1:], (SECRET, "hello"), "what is stored")

    say("There: an image as of a new machine, and a machine that waits")
    image_there = demo.file("there.nvram")
    on_host("create", image_there, "--tpm2", *PLAIN.create_options())
    there = demo.serve(image_there, "--incoming")
    qemu_there = demo.start_machine(there, "-incoming defer ", incoming="defer")

    say("The guest counts as fast as it can from now on, and remembers the last value")
    qemu_here.start_loop(COUNTER)
    show("guest#", f"nvloop loop {COUNTER} &")
    qemu_here.wait_value(int(before[0], 16) + 100)

    say("The machine moves")
    show("$", "contrib/recipes/migrate.py source-qmp destination-qmp unix:migration",
         recipe("migrate.py", qemu_here.operator, qemu_there.operator,
                f"unix:{demo.file('migration')}"))
    record_here = qemu_here.quit()
    here.stop()
    last = values_of(record_here)[-1]
    qemu_there.wait_value(last + 100)
    qemu_there.stop_loop()

    say("The guest's own record, from both machines")
    after = stored(qemu_there)
    expect(after[1:], before[1:], "secret and variable")
    record = record_here + qemu_there.quit()
    values = values_of(record)
    if complaints_of(record) or drops_in(values):
        raise Failed(f"the guest has noticed the move: {complaints_of(record)} {drops_in(values)}")
    expect(int(after[0], 16) - values[-1] in (0, 1), True, "the counter's end")
    print(f"   it counted from {values[0]} to {last} here and from {last + 1} to {values[-1]} there, "
          "and left nothing out")
    there.stop()

    say("What is left here is sealed: nobody starts the machine from it by mistake")
    done = subprocess.run([program("vnvram"), "serve", image, "--control", "unix:owner.sock"],
                          cwd=demo.workspace.path, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    show("$", f"vnvram serve {image.name} --control unix:owner.sock", done.stderr)
    expect(done.returncode, 30, "the exit code")
    on_host("check", image_there)


if __name__ == "__main__":
    sys.exit(Demo("demo-migrate", play).run())
