"""The scripts of contrib/recipes, run as an operator runs them or step by step."""

import os
import pathlib
import subprocess
import sys

from .tpm_process import REPOSITORY, program

RECIPES = REPOSITORY / "contrib" / "recipes"
# For tests that do something in between: their steps are modules.
sys.path.insert(0, str(RECIPES))
# They call `vnvram`.
os.environ["PATH"] = f"{program('vnvram').parent}{os.pathsep}{os.environ['PATH']}"

# pylint: disable=wrong-import-position
from tpm_admin import tpm as tpm_admin

__all__ = ["RECIPES", "RecipeFailed", "recipe", "tpm_admin"]


class RecipeFailed(AssertionError):
    """It ended with another status than 0; the message has what it said."""


def recipe(name, *words, seconds=180):
    """Runs it to its end; returns what it printed."""
    argv = [str(pathlib.Path(RECIPES, name)), *map(str, words)]
    done = subprocess.run(["setpriv", "--pdeathsig", "KILL", "--", *argv], timeout=seconds,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RecipeFailed(f"{' '.join(argv)}: status {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
    return done.stdout.strip()
