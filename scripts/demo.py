"""The demo: a guest stores things in its TPM, the power is cut, they are still there.

Real QEMU, a real Linux kernel and its own tpm2-tools; nothing is installed, nothing is left behind.
"""

import pathlib
import re
import subprocess
import sys

from demo_steps import COUNTER, INCREMENT, READ_COUNTER, UNSEAL, Demo, Failed, define_counter
from demo_steps import expect, in_guest, on_host, say, seal, show
from harness.tpm_process import program
from harness.vnvram import info

SECRET = "correct-horse-battery-staple"
COMMITS = 200


def bytes_written(pid):
    """What the process has sent to the storage layer, as the kernel counts it."""
    text = pathlib.Path(f"/proc/{pid}/io").read_text("ascii")
    return int(re.search(r"^write_bytes: (\d+)", text, re.MULTILINE).group(1))


def measure_commits(tpm, qemu, image):
    """Counts up in the guest, and looks at what reached the image for it."""
    bytes_before, generation_before = bytes_written(tpm.pid), info(image)["generation"]
    qemu.must(f"i=0; while [ $i -lt {COMMITS} ]; do nvloop increment {COUNTER} || break; "
              "i=$((i+1)); done >counted && [ $i = " + str(COMMITS) + " ]")
    commits = info(image)["generation"] - generation_before
    written = bytes_written(tpm.pid) - bytes_before
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


def play(demo):
    image = demo.file("nvram.img")
    say("An image for the NVRAM of one machine, with room for a TPM 2.0")
    on_host("create", image, "--tpm2")
    say("A machine with a TPM whose memory is in that image")
    tpm, qemu = demo.power_on(image)
    say("Its guest defines a counter and stores a secret, with its own tpm2-tools")
    define_counter(qemu)
    for _ in range(3):
        in_guest(qemu, INCREMENT)
    seal(qemu, SECRET)
    say("What a change costs")
    measure_commits(tpm, qemu, image)
    counter = in_guest(qemu, READ_COUNTER)
    expect(in_guest(qemu, UNSEAL), SECRET, "the secret")

    say("The power is cut: SIGKILL to QEMU and to vnvram-tpm")
    qemu.kill()
    tpm.kill()
    show("$", f"kill -9 {qemu.child.pid} {tpm.pid}")

    say("The power is back")
    tpm, qemu = demo.power_on(image)
    expect(in_guest(qemu, READ_COUNTER), counter, "the counter")
    expect(in_guest(qemu, UNSEAL), SECRET, "the secret")
    print("   the counter and the secret are both there")
    qemu.quit()
    tpm.stop()

    say("What the image holds, and whether every byte of it is sound")
    on_host("ls", image)
    on_host("check", image)
    say("The cost of a commit on the device")
    show_bench(demo.workspace.path)


if __name__ == "__main__":
    sys.exit(Demo("demo", play).run())
