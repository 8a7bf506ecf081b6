#!/usr/bin/python3
"""After a migration: ends QEMU at the source, and seals the IMAGE that its TPM has left there, so that
nobody starts the machine from it by mistake. Send vnvram-tpm a SIGTERM afterwards.

A TPM that has its image still seals it when QEMU goes; one that has given up QEMU's own drive is
told here where the image is.
"""

import argparse
import json

from qmp import Qmp
from tpm_admin import tpm


def end_source(qmp, admin, image):
    qmp.quit()
    if not json.loads(tpm("status", admin, "--json"))["attached"]:
        tpm("attach", admin, image)
    tpm("resume", admin)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the source's QEMU")
    parser.add_argument("admin", help="admin socket of the source's vnvram-tpm")
    parser.add_argument("image", help="what the source's TPM had")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        end_source(qmp, options.admin, options.image)


if __name__ == "__main__":
    main()
