#!/usr/bin/python3
"""Saves, loads or deletes snapshot NAME of a machine, with its TPM and its UEFI variables, as
`vnvram serve` serves them; the image itself is on no drive of QEMU's, and in no snapshot.

TPM and variables are part of the machine's own state, and when the loaded machine goes on they are
written back to the image. QEMU's snapshot jobs are told the drives, because plain `savevm` refuses a
raw one that is written to, like the variables' export. The machine is stopped meanwhile, with nothing
under way: with a tpm-crb an answer could be missing otherwise.
"""

import argparse

from idle_tpm import wait_idle
from qmp import Qmp, QmpError

JOB = "vnvram-snapshot"


def run(qmp, verb, name, nodes):
    """The machine's state goes into the first of the drives."""
    state = {} if verb == "delete" else {"vmstate": nodes[0]}
    qmp.execute(f"snapshot-{verb}", job_id=JOB, tag=name, devices=nodes, **state)
    while True:
        status = qmp.wait_event("JOB_STATUS_CHANGE")["data"]
        if status == {"id": JOB, "status": "concluded"}:
            break
    (job,) = (job for job in qmp.execute("query-jobs") if job["id"] == JOB)
    qmp.execute("job-dismiss", id=JOB)
    if "error" in job:
        raise QmpError(f"{qmp.path}: snapshot-{verb} {name}: {job['error']}")


def stop(qmp):
    """Returns whether it ran."""
    running = qmp.execute("query-status")["running"]
    qmp.execute("stop")
    return running


def save(qmp, name, nodes):
    """The machine runs on afterwards if it ran before, also if this fails."""
    running = stop(qmp)
    try:
        wait_idle(qmp)
        run(qmp, "save", name, nodes)
    finally:
        if running:
            qmp.execute("cont")


def load(qmp, name, nodes):
    """The machine runs on afterwards if it ran before. If it fails, it stays stopped."""
    running = stop(qmp)
    run(qmp, "load", name, nodes)
    if running:
        qmp.execute("cont")


def delete(qmp, name, nodes):
    """The machine does not notice."""
    run(qmp, "delete", name, nodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of QEMU")
    parser.add_argument("verb", choices=("save", "load", "delete"))
    parser.add_argument("name", help="of the snapshot")
    parser.add_argument("nodes", nargs="+", metavar="node",
                        help="names of all drives that are in it, qcow2; not the variables'")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        {"save": save, "load": load, "delete": delete}[options.verb](qmp, options.name, options.nodes)


if __name__ == "__main__":
    main()
