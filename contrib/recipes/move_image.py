#!/usr/bin/python3
"""Moves the NVRAM's drive into a new qcow2 FILE, for example on other storage, while the machine goes on:
a mirror that follows every write, and then the switch.

The owner of the drive may be QEMU or a qemu-storage-daemon. The old image is not used any more when
this ends, and holds what it held at the switch.
"""

import argparse
import pathlib

import nvram_export
from backup import add_target
from qmp import Qmp

JOB = "nvram-move"


def start_mirror(qmp, source, target, job):
    """Returns when the target has everything; from then on each write is on both before the TPM's
    answer."""
    qmp.execute("blockdev-mirror", job_id=job, device=source, target=target, sync="full",
                copy_mode="write-blocking")
    qmp.wait_job(job, "BLOCK_JOB_READY")


def move_image(qmp, file):
    top = nvram_export.top_node(qmp)
    old = nvram_export.chain(qmp, top)
    node = pathlib.Path(file).stem
    add_target(qmp, file, node, nvram_export.image_of(qmp, top)["virtual-size"])
    start_mirror(qmp, top, node, JOB)
    qmp.execute("block-job-complete", device=JOB)  # The export goes to the new image.
    qmp.wait_job_end(JOB)
    for left in old:
        qmp.execute("blockdev-del", node_name=left)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the drive's owner")
    parser.add_argument("file", help="the new image; its name without the ending is its node")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        move_image(qmp, options.file)


if __name__ == "__main__":
    main()
