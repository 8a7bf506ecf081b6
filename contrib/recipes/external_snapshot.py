#!/usr/bin/python3
"""Takes an external snapshot of the NVRAM's drive while the machine goes on: FILE becomes an overlay to
which everything is written from now on, and what was the top image before is the snapshot.

The owner of the drive may be QEMU or a qemu-storage-daemon. The export moves to the overlay by
itself; the TPM sees a pause of some milliseconds. Prints the snapshot's file.
"""

import argparse
import pathlib
import subprocess

import nvram_export
from qmp import Qmp


def take_snapshot(qmp, overlay):
    base = nvram_export.top_node(qmp)
    image = nvram_export.image_of(qmp, base)
    base_file = pathlib.Path(image["filename"])
    if not base_file.is_absolute():
        raise SystemExit(f"{base_file}: the drive's owner knows it by a relative name, which an "
                         "overlay must not keep: start the owner with the absolute one")
    overlay = pathlib.Path(overlay).resolve()
    # Nobody looks into the base (-u), which is in use: its size is given instead.
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", base_file,
                    "-F", image["format"], overlay, str(image["virtual-size"])], check=True,
                   umask=0o077)  # It will hold the TPM's secrets.
    qmp.execute("blockdev-add", driver="qcow2", node_name=overlay.stem,
                file={"driver": "file", "filename": str(overlay)}, backing=None)
    qmp.execute("blockdev-snapshot", node=base, overlay=overlay.stem)
    return base_file


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the drive's owner")
    parser.add_argument("file", help="the overlay to make; its name without the ending is its node")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        print(take_snapshot(qmp, options.file))


if __name__ == "__main__":
    main()
