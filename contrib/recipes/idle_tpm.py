"""When a machine's TPM has nothing under way, as its QEMU sees it; whoever serves the TPM.

QEMU 7.2 saves and sends a machine's RAM before it waits for the TPM's answer, and with a tpm-crb the
answer goes into RAM. One that comes in between is in nothing that was saved, and the guest that is
brought back reads its own command as the answer. A tpm-tis has its answer in a place that is saved later.
"""

import time

START_REGISTER = 0xFED4004C  # Of a tpm-crb: 1 from the guest's word until the answer is there.


def wait_idle(qmp, seconds=120):
    """For a machine that is stopped, so that no command comes after the one that is under way."""
    if not any(tpm["model"] == "tpm-crb" for tpm in qmp.execute("query-tpm")):
        return
    deadline = time.monotonic() + seconds  # Making a key can take the TPM long.
    while start_register(qmp) != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{qmp.path}: the TPM has not answered for {seconds} s")
        time.sleep(0.001)


def start_register(qmp):
    """QEMU prints the address, and the value behind it."""
    line = qmp.execute("human-monitor-command", command_line=f"xp /1wx {START_REGISTER:#x}")
    return int(line.split()[-1], 16)
