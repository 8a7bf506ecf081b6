"""VM images, and the programs that have them open."""

import json
import pathlib
import subprocess
import time

from .child import Deadline

FORMATS = ("qcow2", "vmdk", "vhdx", "vdi")


def programs_of(path):
    """The process numbers of all programs that name the path on their command line, but for the
    workspace's own shell."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
                if str(path).encode() in words and not words.startswith(b"sh\0"):
                    found.append(int(folder.name))
            except OSError:
                pass  # It has just ended.
    return found


def wait_until_let_go(path, seconds=30):
    """Until no program has the path on its command line any more."""
    deadline = Deadline(seconds)
    while left := programs_of(path):
        if deadline.passed():
            raise AssertionError(f"{path} is still used by {left}")
        time.sleep(0.001)


def qemu_img(*words):
    done = subprocess.run(["qemu-img", *map(str, words)], capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"qemu-img {words}: {done.stdout}{done.stderr}")
    return done.stdout


def image_format(path):
    return json.loads(qemu_img("info", "--output=json", path))["format"]


def space_of(path):
    """The file's length and the space that it takes."""
    status = pathlib.Path(path).stat()
    return status.st_size, status.st_blocks
