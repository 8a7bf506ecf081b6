"""The house stands: what a source includes is of its own layer or of one that its layer may see, and
what a header declares is used.

CMake writes down what each layer may see (cmake/layer.cmake). Called with the sources' folder and
that file.
"""

import pathlib
import sys
import tempfile
import unittest

from house import House, LINES_MAX, METHODS_MAX, METHODS_REASON

SOURCE = pathlib.Path(sys.argv[1])
LAYERS = pathlib.Path(sys.argv[2])


# How a small house has verbs.
VERBS = {f"src/cli/{verb}_command.cc": f': Command(\n          parent, "{verb}", "what it does") {{}}\n'
         for verb in ("repair", "ls")}


class OneFault(unittest.TestCase):
    """For tests that a fault of each kind is seen."""

    def house_of(self, files, layers="base: \nstore: base\ncli: base\n"):
        """A small house: {name: content}."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        (root / "layers.txt").write_text(layers)
        return House(root, root / "layers.txt")


class OurHouse(unittest.TestCase):
    """What there is."""

    def setUp(self):
        self.house = House(SOURCE, LAYERS)

    def test_every_folder_is_a_layer(self):
        self.assertEqual(sorted(self.house.sees),
                         sorted(path.name for path in (SOURCE / "src").iterdir() if path.is_dir()))

    def test_no_layer_sees_one_above_it(self):
        self.assertEqual(self.house.upward_layers(), [])

    def test_no_include_points_upwards(self):
        self.assertEqual(self.house.foreign_includes(), [])

    def test_what_a_header_declares_is_used(self):
        self.assertEqual(self.house.unused_declarations(), [])

    def test_no_file_is_too_long(self):
        self.assertEqual(self.house.long_files(), [])

    def test_no_class_is_too_large(self):
        self.assertEqual(self.house.large_classes(), [])

    def test_only_front_ends_quote_command_lines(self):
        self.assertGreater(len(self.house.verbs()), 30)
        self.assertEqual(self.house.command_lines_below(), [])

    def test_each_operation_of_a_remedy_is_a_command_to_operators(self):
        self.assertEqual(self.house.operations_without_a_command(), [])

    def test_every_test_with_real_programs_is_run(self):
        self.assertEqual(self.house.tests_of_nobody(), [])


class FaultsAreSeen(OneFault):
    """A house with one fault of each kind."""

    def test_an_include_of_an_upper_layer(self):
        house = self.house_of({"src/base/a.h": '#include "store/b.h"\n', "src/store/b.h": "",
                               "src/cli/c.cc": '#include "store/b.h"\n#include "base/a.h"\n'})
        self.assertEqual(house.foreign_includes(),
                         ["src/base/a.h: store/b.h: base may see: nothing",
                          "src/cli/c.cc: store/b.h: cli may see: base"])

    def test_an_include_that_is_written_in_another_way(self):
        house = self.house_of({"src/base/a.cc": '#include <store/b.h>\n  # include "store/c.h"\n'
                                                '#include "../store/d.h"\n#include <sys/socket.h>\n'})
        self.assertEqual(house.foreign_includes(),
                         [f"src/base/a.cc: {name}: base may see: nothing"
                          for name in ("store/b.h", "store/c.h", "../store/d.h")])

    def test_a_header_of_a_package_is_not_of_the_layer_that_is_called_so(self):
        house = self.house_of({"src/base/a.cc": '#include <swtpm/tpm_ioctl.h>\n'
                                                '#include <swtpm/serve.h>\n'},
                              "base: \nswtpm: base\n")
        self.assertEqual(house.foreign_includes(),
                         ["src/base/a.cc: swtpm/serve.h: base may see: nothing"])

    def test_a_layer_that_sees_an_upper_one(self):
        self.assertEqual(self.house_of({}, "base: store\nstore: base\n").upward_layers(),
                         ["base sees store, which is not below it"])

    def test_a_declaration_that_nobody_uses(self):
        house = self.house_of({
            "src/base/a.h": "class A {\npublic:\n  void used();\n  int unused_one() const;\n"
                            "  int of_a_library(int number) override;\n};\n"
                            "Status lonely(int argument);\n",
            "src/base/a.cc": "void A::used() {}\nint A::unused_one() const { return 1; }\n"
                             "Status lonely(int argument) { return {}; }\n",
            "src/store/b.cc": "a.used();\n"})
        self.assertEqual(house.unused_declarations(),
                         ["src/base/a.h: lonely", "src/base/a.h: unused_one"])

    def test_a_long_file(self):
        names = ("src/base/a.cc", "tests/unit/b.h", "tests/system/c.py")
        house = self.house_of({name: "x\n" * (LINES_MAX + 1) for name in names})
        self.assertEqual(house.long_files(), [f"{name}: {LINES_MAX + 1} lines" for name in names])

    def test_a_command_line_below_the_front_ends(self):
        quoting = 'return Error{kind, cause, "first vnvram repair, then try again"};\n'
        house = self.house_of({"src/store/a.cc": quoting, "src/cli/b.cc": quoting, **VERBS})
        self.assertEqual(house.command_lines_below(),
                         ['src/store/a.cc: "first vnvram repair'])

    def test_the_producer_of_a_blob_is_no_command_line(self):
        house = self.house_of({"src/store/a.cc": 'spec = {.producer = "vnvram repair"};\n', **VERBS})
        self.assertEqual(house.command_lines_below(), [])

    def test_an_operation_that_operators_are_told_no_command_for(self):
        house = self.house_of({"src/base/operator_text.cc": 'operations = {"repair"};\n',
                               "src/store/a.cc": 'x = "`repair` mends it; `ls --json` shows it, `-` is a name";\n', **VERBS})
        self.assertEqual(house.operations_without_a_command(), ["src/store/a.cc: ls"])

    def test_a_command_line_that_goes_on_in_the_next_line_or_is_behind_an_address(self):
        house = self.house_of({"src/store/a.cc": 'x = "first vnvram "\n    "repair, then more";\n',
                               "src/store/b.cc": 'x = "an nbd+unix:// is no file: vnvram ls";\n', **VERBS})
        self.assertEqual(house.command_lines_below(),
                         ['src/store/a.cc: "first vnvram repair',
                          'src/store/b.cc: "an nbd+unix:// is no file: vnvram ls'])

    def test_a_test_that_nobody_runs(self):
        house = self.house_of({"tests/system/serve/CMakeLists.txt": "foreach(name move)\nserve.test_${name}\n",
                               "tests/system/serve/test_move.py": "", "tests/system/serve/test_moved.py": "",
                               "tests/system/guest/CMakeLists.txt": "run(test_power.Cycle)\n",
                               "tests/system/test_power.py": "", "tests/system/test_move.py": ""})
        self.assertEqual(house.tests_of_nobody(),
                         ["tests/system/serve/test_moved.py", "tests/system/test_move.py"])

    def test_a_class_of_too_many_methods(self):
        methods = "  [[nodiscard]] int one() const { return {1}; }\n" * METHODS_MAX
        large = "class Large {\npublic:\n" + methods + "  Large();\n  int number_ = 0;\n};\n"
        self.assertEqual(self.house_of({"src/base/a.h": large}).large_classes(),
                         [f"src/base/a.h: Large: {METHODS_MAX + 1} methods"])
        self.assertEqual(self.house_of({
            "src/base/a.h": f"/// {METHODS_REASON} of the moon.\n" + large,
            "src/base/b.h": large.replace("  Large();\n", "  Large() = default;\n"),
        }).large_classes(), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
