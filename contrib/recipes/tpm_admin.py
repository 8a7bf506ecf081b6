"""`vnvram tpm`: the operator's way to a running vnvram-tpm, by its --admin socket."""

import subprocess


def tpm(verb, admin, *words):
    """Runs `vnvram tpm VERB ADMIN ...`, which has to succeed; returns what it prints."""
    done = subprocess.run(["vnvram", "tpm", verb, str(admin), *map(str, words)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
