"""The table "Model, engine, tests" in docs/design.md names only what is there.

Of each row: the tag is beside an assertion of the model, it is a comment in each source file that is named, the
functions are defined there, the tests are in the files named for them, and there is one. And no tag is left out of the
table.
"""

import re
import sys
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "scripts"))

import mutants  # noqa: E402
from check_model import searched  # noqa: E402
TAG = re.compile(r"\bINV\d+[a-z]\b")


def rows():
    text = (SOURCE / "docs/design.md").read_text()
    section = text.split("## Model, engine, tests\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if re.match(r"\| \d+ \|", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def places(cell):
    """`a`, `b` in `file`; `c` in `other`: the names and the file of each part."""
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        names, file = part.split(" in ")
        yield re.findall(r"`([^`]+)`", names), file.strip("`")


class Links(unittest.TestCase):
    def test_every_invariant_has_a_row(self):
        self.assertEqual({row[0] for row in rows()}, {*"123456789", "12"})

    def test_every_name_is_where_the_table_says(self):
        checked = 0
        for row in rows():
            self.assertTrue(row[4], f"no test: {row}")
            modelled = row[1].startswith("`")
            for names, file in places(row[4]):
                for name in names:
                    self.assertRegex((SOURCE / file).read_text(), rf"TEST(_F|_P)?\(\w+, {name}\)")
            if not modelled:
                continue
            [[[tag], model]] = list(places(row[1]))
            self.assertRegex((SOURCE / model).read_text(), rf"assert\([^\n]*{tag}\b", row)
            for functions, file in places(row[3]):
                text = (SOURCE / file).read_text()
                self.assertRegex(text, rf"//[^\n]*\b{tag}\b", row)
                for function in functions:
                    self.assertRegex(text, rf"(?m)^[\w:<> ]*\b{re.escape(function)}\(", row)
            checked += 1
        self.assertEqual(checked, 33)

    def test_each_barrier_has_a_test_that_misses_it(self):
        self.assertEqual(mutants.EXPECTED.keys(), mutants.barriers().keys())

    def test_this_very_model_was_searched(self):
        self.assertEqual((SOURCE / "model" / "searched").read_text(), searched(),
                         "the model has changed: `./dev model` searches it, and notes that in model/searched")

    def test_no_tag_is_left_out(self):
        named = {tag for row in rows() for tag in TAG.findall(row[1])}
        files = [*(SOURCE / "model").glob("*.pml"), *(SOURCE / "src").rglob("*.cc")]
        used = {tag for file in files for tag in TAG.findall(file.read_text())}
        self.assertEqual(used, named)


if __name__ == "__main__":
    unittest.main()
