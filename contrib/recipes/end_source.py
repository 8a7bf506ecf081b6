#!/usr/bin/python3
"""After a migration: ends QEMU at the source, and seals the IMAGE that its TPM has left there, so that
nobody starts the machine from it by mistake. Send vnvram-tpm a SIGTERM afterwards.

A TPM that has its image still seals it when QEMU goes; for one that has given up QEMU's own drive it
is done here, with a --key of the image if it is encrypted. Its anchor, which is the destination's now, has
no part in that.
"""

import argparse
import json
import subprocess

from qmp import Qmp
from tpm_admin import tpm


def end_source(qmp, admin, image, keys=()):
    qmp.quit()
    if json.loads(tpm("status", admin, "--json"))["attached"]:
        tpm("resume", admin)
    else:
        with_keys = [word for key in keys for word in ("--key", key)]
        subprocess.run(["vnvram", "seal", image, *with_keys], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of the source's QEMU")
    parser.add_argument("admin", help="admin socket of the source's vnvram-tpm")
    parser.add_argument("image", help="what the source's TPM had")
    parser.add_argument("--key", action="append", default=[], help="as vnvram has it, if the image is encrypted")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        end_source(qmp, options.admin, options.image, options.key)


if __name__ == "__main__":
    main()
