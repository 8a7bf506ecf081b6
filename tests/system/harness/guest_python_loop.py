"""What harness/guest_python.py runs in the guest: reads an expression, and writes its value."""

import ast
import importlib
import sys


def answer_of(expression, names):
    try:
        exec(f"_ = ({expression})", names)  # pylint: disable=exec-used
    except Exception as error:  # pylint: disable=broad-exception-caught
        return f"! {type(error).__name__}: {error}"
    try:
        ast.literal_eval(repr(names["_"]))
    except (SyntaxError, ValueError):
        return "None"
    return repr(names["_"])


def main():
    sys.path.insert(0, sys.argv[1])
    names = {}
    for module in sys.argv[2:]:
        names.update(vars(importlib.import_module(module)))
    with open("/python.ready", "wb"):
        pass
    while True:
        with open("/python.in", encoding="utf-8") as asked:
            expression = asked.read().strip()
        said = answer_of(expression, names)
        with open("/python.out", "w", encoding="utf-8") as answer:
            print(said, file=answer)


if __name__ == "__main__":
    main()
