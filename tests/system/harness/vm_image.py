"""VM images, and the programs that have them open."""

import json
import os
import pathlib
import re
import subprocess
import time

from .child import Deadline, PATIENCE_SECONDS

FORMATS = ("qcow2", "vmdk", "vhdx", "vdi")


def programs_of(path):
    """The process numbers of all programs that name the path on their command line, but for the
    workspace's own shell."""
    found = []
    named = re.compile(re.escape(os.fsencode(path)) + rb"(?!\d)")  # /dev/loop1 is not /dev/loop12.
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
                if named.search(words) and not words.startswith(b"sh\0"):
                    found.append(int(folder.name))
            except OSError:
                pass  # It has just ended.
    return found


def locks_of(path):
    """The kernel's lines on locks of the file, or of the files in the folder."""
    path = pathlib.Path(path)
    ours = set()
    for file in [path, *path.rglob("*")]:
        try:
            status = file.stat()
        except OSError:
            continue  # It is an address, or it has just gone.
        ours.add(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}")
    lines = pathlib.Path("/proc/locks").read_text("ascii").splitlines()
    return [line for line in lines if not ours.isdisjoint(line.split())]


def wait_until_let_go(path, seconds=PATIENCE_SECONDS):
    """Until no program has the path on its command line any more, nor a lock of it: one that is
    killed has no command line, and keeps its locks, as long as a thread of it waits for the disk."""
    deadline = Deadline(seconds)
    while left := programs_of(path) or locks_of(path):
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
