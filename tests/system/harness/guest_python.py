"""Python within a guest, which does there what a test is told to do: for what no shell can, such as passing descriptors.

A guest has no Python. What is copied into it is this host's, with the modules that are asked for and all that they import.
"""

import ast
import json
import pathlib
import subprocess
import sys

from guest.guest_image import libraries_of

PYTHON = "/usr/bin/python3"
TESTS = pathlib.Path(__file__).resolve().parents[1]
LOOP = pathlib.Path(__file__).with_name("guest_python_loop.py")

# Without the packages of this host (-S) and its environment (-E).
_LIST = """
import importlib, json, os, sys
sys.path.insert(0, {tests!r})
for name in {modules!r}:
    importlib.import_module(name)
files = {{module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)}}
print(json.dumps([os.path.realpath(sys.executable), sorted(files)]))
"""


def python_files(*modules):
    """What the guest has to have: {path in the guest: content}. `modules` are the tests' own, or the library's."""
    script = _LIST.format(tests=str(TESTS), modules=["encodings.ascii", "ast", "fcntl", *modules])
    listed = subprocess.run([PYTHON, "-S", "-E", "-B", "-c", script], capture_output=True, text=True, check=True)
    interpreter, files = json.loads(listed.stdout)
    extensions = [path for path in files if path.endswith(".so")]
    paths = {"bin/python3": interpreter, "guest_python_loop": str(LOOP),
             **{path.lstrip("/"): path for path in [*files, *libraries_of(interpreter, *extensions)]}}
    return {path: pathlib.Path(source).read_bytes() for path, source in paths.items()}


class GuestPython:
    """One process in the guest, which evaluates what it is asked and remembers names."""

    def __init__(self, guest, *modules):
        self.guest = guest
        guest.must("mkfifo /python.in /python.out")
        pid = guest.must(f"PYTHONHOME=/usr python3 -S -B /guest_python_loop {TESTS} {' '.join(modules)} >/python.log 2>&1 & echo $!")
        self.lives = f"{{ kill -0 {pid} || {{ cat /python.log; false; }}; }}"
        guest.must(f"until [ -e /python.ready ]; do {self.lives} || exit 1; sleep 0.2; done")

    def ask(self, expression):
        """The value of a Python expression (`name := expression` keeps it), if it is made of plain values; else None."""
        assert "'" not in expression and "\n" not in expression, expression
        answer = self.guest.must(f"{self.lives} && echo '{expression}' >/python.in && cat /python.out")
        if answer.startswith("!"):
            raise AssertionError(f"in the guest: {expression}: {answer}")
        return ast.literal_eval(answer)


if __name__ == "__main__":
    sys.exit("a part of the tests")
