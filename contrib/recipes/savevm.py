#!/usr/bin/python3
"""Saves a machine as snapshot NAME, where the NVRAM's drive is QEMU's own, and in the snapshot then.
(snapshot.py is for all others.)

Stopped and with nothing under way. QEMU serves nobody while it saves, so a TPM command that waited
for its drive then would wait for ever, and QEMU for it.
"""

import argparse

from qmp import Qmp
from tpm_admin import tpm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of QEMU")
    parser.add_argument("admin", help="admin socket of vnvram-tpm")
    parser.add_argument("name", help="of the snapshot; one of this name is replaced")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        qmp.execute("stop")
        tpm("hold", options.admin)
        try:
            qmp.monitor(f"savevm {options.name}")
        finally:
            tpm("resume", options.admin)
            qmp.execute("cont")


if __name__ == "__main__":
    main()
