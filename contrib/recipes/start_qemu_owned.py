#!/usr/bin/python3
"""Starts a machine whose NVRAM drive is QEMU's own, so that the machine's snapshots hold it.

Before this: vnvram-tpm with --admin and --detached, because QEMU wants its control socket, and QEMU
with --preconfig and the drive as the node `nvram`. QEMU exports the drive, the TPM opens it, and only
then QEMU builds the machine and switches the TPM on.
"""

import argparse

import nvram_export
from qmp import Qmp
from tpm_admin import tpm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of QEMU")
    parser.add_argument("admin", help="admin socket of vnvram-tpm")
    parser.add_argument("nbd", help="socket that QEMU is to export the drive on")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        tpm("detach", options.admin)  # From the drive of a QEMU that has ended.
        nvram_export.serve(qmp, options.nbd)
        nvram_export.add(qmp)
        tpm("attach", options.admin, nvram_export.uri(options.nbd))
        qmp.execute("x-exit-preconfig")


if __name__ == "__main__":
    main()
