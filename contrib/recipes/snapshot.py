#!/usr/bin/python3
"""Saves, loads or deletes snapshot NAME of a machine for which plain `savevm` refuses: a raw drive
that is written to, like UEFI variables on an NBD export, "does not support snapshots".

QEMU's snapshot jobs are told the drives instead. The variables do not need to be among them: a
machine's flash is part of its saved state, and QEMU writes it back to the export when the loaded
machine goes on.
"""

import argparse

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


def load(qmp, name, nodes):
    """The machine runs on afterwards if it ran before. If it fails, it stays stopped."""
    running = qmp.execute("query-status")["running"]
    qmp.execute("stop")
    run(qmp, "load", name, nodes)
    if running:
        qmp.execute("cont")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qmp", help="socket of QEMU")
    parser.add_argument("verb", choices=("save", "load", "delete"))
    parser.add_argument("name", help="of the snapshot")
    parser.add_argument("nodes", nargs="+", metavar="node",
                        help="names of all drives that are in it, qcow2; not the variables'")
    options = parser.parse_args()
    with Qmp(options.qmp) as qmp:
        if options.verb == "load":
            load(qmp, options.name, options.nodes)
        else:
            run(qmp, options.verb, options.name, options.nodes)


if __name__ == "__main__":
    main()
