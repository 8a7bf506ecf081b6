#!/usr/bin/python3
"""Copies the NVRAM's drive as it is at one moment into a new qcow2 FILE while the machine goes on.

The owner of the drive may be QEMU or a qemu-storage-daemon. The file can be opened when this ends.
"""

import argparse
import pathlib
import subprocess

import nvram_export
from qmp import Qmp

JOB = "nvram-backup"


def add_target(qmp, file, node, size_bytes):
    """A new qcow2 image as a node; all of it has its space, and no later write fails for any."""
    file = pathlib.Path(file).resolve()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=full", file,
                    str(size_bytes)], check=True, umask=0o077)  # The TPM's secrets come in.
    qmp.execute("blockdev-add", driver="qcow2", node_name=node,
                file={"driver": "file", "filename": str(file)})


def take_backup(qmp, file):
    top = nvram_export.top_node(qmp)
    add_target(qmp, file, JOB, nvram_export.image_of(qmp, top)["virtual-size"])
    try:
        qmp.execute("blockdev-backup", job_id=JOB, device=top, target=JOB, sync="full")
        qmp.wait_job_end(JOB)
    finally:
        qmp.execute("blockdev-del", node_name=JOB)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the drive's owner")
    parser.add_argument("file", help="the copy to make")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        take_backup(qmp, options.file)


if __name__ == "__main__":
    main()
