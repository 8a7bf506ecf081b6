#!/usr/bin/python3
"""Ends a chain of external snapshots: writes all overlays into the image below them, to which the
export then moves back, while the machine goes on. The overlays' files are not needed afterwards.

The owner of the drive may be QEMU or a qemu-storage-daemon.
"""

import argparse

import nvram_export
from qmp import Qmp

JOB = "nvram-commit"


def commit_overlays(qmp):
    top = nvram_export.top_node(qmp)
    overlays = nvram_export.chain(qmp, top)[:-1]
    qmp.execute("block-commit", job_id=JOB, device=top)  # Into the deepest image.
    qmp.wait_job(JOB, "BLOCK_JOB_READY")
    qmp.execute("block-job-complete", device=JOB)
    qmp.wait_job_end(JOB)
    for node in overlays:  # Each holds the one below it, so from the top down.
        qmp.execute("blockdev-del", node_name=node)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the drive's owner")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        commit_overlays(qmp)


if __name__ == "__main__":
    main()
