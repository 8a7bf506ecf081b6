"""A drop-in for vnvram@vm1.service, and what systemd has to say of it without running it."""

import subprocess

from .tpm_process import REPOSITORY, program

UNITS = REPOSITORY / "contrib" / "systemd"


def complaints_about(drop_in, folder):
    """What systemd-analyze says of these words, in a folder that has nothing of the unit yet."""
    folder.mkdir()
    for path in (UNITS / "vnvram@.service", *UNITS.glob("*@.socket")):
        text = path.read_text("utf-8").replace("/usr/bin/vnvram", str(program("vnvram")))
        (folder / path.name.replace("@.", "@vm1.")).write_text(text, "utf-8")
    override = folder / "vnvram@vm1.service.d" / "override.conf"
    override.parent.mkdir()
    override.write_text(drop_in, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           folder / "vnvram@vm1.service"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)
    return [line for line in done.stderr.splitlines() if override.name in line]
