"""The command `vnvram`."""

import json
import subprocess

from .tpm_process import program


def vnvram(*words):
    """Runs it; it must exit 0. Returns its output."""
    argv = [str(program("vnvram")), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def create(image, *options):
    vnvram("create", image, *options)
    return image


def must_be_clean(image):
    vnvram("check", image)


def info(image, *options):
    return json.loads(vnvram("info", "--json", image, *options))
