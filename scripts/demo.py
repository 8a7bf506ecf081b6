"""The demo: a guest stores things in its TPM, the power is cut, they are still there.

Real QEMU, a real Linux kernel and its own tpm2-tools; nothing is installed, nothing is left behind.
"""

import pathlib
import re
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "system"))

from guest.guest_image import guest_image
from harness.qemu import Qemu
from harness.tpm_process import TpmProcess, program
from harness.vnvram import info, vnvram
from harness.workspace import Workspace

COUNTER, SEALED = "0x1500001", "0x81000010"
SECRET = "correct-horse-battery-staple"
READ_COUNTER = f"tpm2_nvread {COUNTER} -C o -s 8 | hexdump -v -e '/1 \"%02x\"'"
UNSEAL = f"tpm2_unseal -c {SEALED}"
COMMITS = 200


class Failed(Exception):
    """The demo did not show what it promises."""


def say(text):
    print(f"\n== {text}", flush=True)


def show(prompt, command, output):
    print(f"   {prompt} {command}")
    for line in output.rstrip().splitlines():
        print(f"      {line}")
    sys.stdout.flush()


def in_guest(qemu, command):
    output = qemu.must(command)
    show("guest#", command, output)
    return output


def on_host(*words):
    output = vnvram(*words)
    show("$", " ".join(["vnvram", *(pathlib.Path(str(word)).name for word in words)]), output)
    return output


def power_on(workspace, image, children):
    """Returns vnvram-tpm and a machine whose guest is up."""
    start = time.monotonic()
    tpm = TpmProcess(workspace, image)
    children.append(tpm)
    show("$", "vnvram-tpm nvram.img --ctrl unix:tpm.sock &", "")
    qemu = Qemu(workspace, guest_image(), tpm.control)
    children.append(qemu)
    show("$", "qemu-system-x86_64 ... -chardev socket,id=tpm,path=tpm.sock "
         "-tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0 &", "")
    qemu.wait_ready()
    print(f"   the guest is up after {time.monotonic() - start:.1f} s")
    return tpm, qemu


def store(qemu):
    in_guest(qemu, f"tpm2_nvdefine {COUNTER} -C o -s 8 -a 'nt=counter|ownerwrite|ownerread'")
    for _ in range(3):
        in_guest(qemu, f"tpm2_nvincrement {COUNTER} -C o")
    in_guest(qemu, "tpm2_createprimary -Q -C o -G ecc -c primary")
    in_guest(qemu, f"printf %s {SECRET} > secret; "
             "tpm2_create -Q -C primary -i secret -u public -r private")
    in_guest(qemu, "tpm2_load -Q -C primary -u public -r private -c sealed")
    in_guest(qemu, f"tpm2_evictcontrol -Q -C o -c sealed {SEALED}")


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


def demo(workspace, children):
    image = workspace.file("nvram.img")
    say("An image for the NVRAM of one machine, with room for a TPM 2.0")
    on_host("create", image, "--tpm2")
    say("A machine with a TPM whose memory is in that image")
    tpm, qemu = power_on(workspace, image, children)
    say("Its guest defines a counter and stores a secret, with its own tpm2-tools")
    store(qemu)
    say("What a change costs")
    measure_commits(tpm, qemu, image)
    counter = in_guest(qemu, READ_COUNTER)
    if in_guest(qemu, UNSEAL) != SECRET:
        raise Failed("the secret is not what was stored")

    say("The power is cut: SIGKILL to QEMU and to vnvram-tpm")
    qemu.kill()
    tpm.kill()
    show("$", f"kill -9 {qemu.child.pid} {tpm.pid}", "")

    say("The power is back")
    tpm, qemu = power_on(workspace, image, children)
    if in_guest(qemu, READ_COUNTER) != counter:
        raise Failed(f"the counter is not {counter} any more")
    if in_guest(qemu, UNSEAL) != SECRET:
        raise Failed("the secret is lost")
    print("   the counter and the secret are both there")
    qemu.quit()
    tpm.stop()

    say("What the image holds, and whether every byte of it is sound")
    on_host("ls", image)
    on_host("check", image)
    say("The cost of a commit on the device")
    show_bench(workspace.path)


def main():
    children = []
    with Workspace() as workspace:
        try:
            demo(workspace, children)
        except Exception as error:
            print(workspace.logs_text(), flush=True)
            print(f"\ndemo: FAILED: {error}", flush=True)
            return 1
        finally:
            for child in reversed(children):
                child.kill()
    print("\ndemo: PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
