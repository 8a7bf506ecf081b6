#!/usr/bin/python3
"""Reverts a machine, its disks and its NVRAM to snapshot NAME, where the NVRAM's drive is QEMU's own.

The TPM lets go of the drive and the export is taken away, so that no write of the present can land
on the past. If this fails in between, the machine stays stopped, and the TPM writes nothing.
"""

import argparse

import nvram_export
from qmp import Qmp
from tpm_admin import tpm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of QEMU")
    parser.add_argument("admin", help="admin socket of vnvram-tpm")
    parser.add_argument("name", help="of the snapshot")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        qmp.execute("stop")
        tpm("hold", options.admin)
        tpm("detach", options.admin)
        node = nvram_export.top_node(qmp)
        nvram_export.remove(qmp)
        qmp.monitor(f"loadvm {options.name}")
        nvram_export.add(qmp, node)
        tpm("attach", options.admin)
        tpm("resume", options.admin)
        qmp.execute("cont")


if __name__ == "__main__":
    main()
