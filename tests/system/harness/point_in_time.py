"""What a copy or a snapshot of an image holds, found out without changing it."""

import subprocess

from tpm.support import OWNER, TpmClient

from .tpm_process import TpmProcess
from .vnvram import must_be_clean


def make_overlay(image, overlay):
    """A qcow2 image over one that stays as it is."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", overlay],
                   check=True)
    return overlay


def counter_in(workspace, image, index):
    """The image has to be whole; its TPM is started over it and asked for its counter."""
    must_be_clean(image)
    overlay = make_overlay(image, workspace.file(f"look-{image.name}"))
    server = workspace.file("look.sock")
    tpm = TpmProcess(workspace, overlay, server)
    try:
        client = TpmClient(server)
        value = client.counter(int(index, 0), OWNER)
        client.close()
        tpm.stop()
    finally:
        tpm.kill()
    overlay.unlink()
    return value
