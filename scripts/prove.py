#!/usr/bin/env python3
"""The proof in one run: crash images, faults, removed barriers, the model, fuzzing, owners that die
under their front ends, all tests on Debian 13, packages from bare to bare Debian 12; one summary.

Called by ./dev prove, which has built everything. Ends with 0 only if each part found what it must.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
PARTS = ["explorer", "faults", "mutants", "model", "fuzz", "owners", "packages", "debian13"]


class Part:
    """One program that leaves JSON behind; its own output goes through."""

    def __init__(self, title, argv, output=None):
        self.title, self.argv, self.output = title, [str(word) for word in argv], output

    def run(self):
        print(f"\n== {self.title}\n   $ {' '.join(self.argv)}", flush=True)
        start = time.monotonic()
        capture = {} if self.output else {"stdout": subprocess.PIPE, "text": True}
        done = subprocess.run(self.argv, cwd=ROOT, check=False, **capture)
        if self.output:
            found = json.loads(self.output.read_text()) if self.output.exists() else None
        else:
            lines = done.stdout.splitlines()
            found = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        print(f"   {time.monotonic() - start:.0f} s, "
              f"{'as it must be' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode != 0 and not self.output:
            print(done.stdout)
        return found, done.returncode == 0 and found is not None


def faults(report):
    """Of a GoogleTest report: the tests say themselves how many they tried."""
    tests = [test for suite in report["testsuites"] for test in suite["testsuite"]]
    return sum(int(test.get("faults", 0)) for test in tests)


def summarize(found):
    """One line for each figure; a part that failed has none."""
    summary = {}
    if found["explorer"]:
        summary["cut images tried"] = found["explorer"]["images"]
        summary["of them of a store that is served"] = found["explorer"]["served"]
    if found["faults"]:
        summary["faults tried"] = faults(found["faults"])
    if found["mutants"]:
        removals = found["mutants"]["removals"]
        caught = sum(1 for removal in removals if removal["caught_by"])
        summary["removed barriers caught"] = f"{caught} of {len(removals)}"
    if found["model"]:
        holding = [run for run in found["model"] if run["expected"] == "holds"]
        refuted = [run for run in found["model"] if run["expected"] == "refuted"]
        summary["states of the model"] = sum(run["states"] for run in holding)
        summary["wrong variants refuted"] = (
            f"{sum(run['verdict'] == 'refuted' for run in refuted)} of {len(refuted)}")
    if found["fuzz"]:
        summary["fuzz executions"] = sum(run["executions"] for run in found["fuzz"])
        summary["fuzz findings"] = sum(run["findings"] for run in found["fuzz"])
    if found["owners"]:
        summary["owners killed under front ends that go on"] = found["owners"]["deaths"]
    if found["packages"]:
        summary["Debian packages built, installed and removed"] = found["packages"]["packages"]
    if found["debian13"]:
        tests = found["debian13"]
        summary["tests passed on Debian 13"] = (
            f"{tests['tests'] - tests['failed']} of {tests['tests']}")
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explore-seconds", type=int, default=240)
    parser.add_argument("--fuzz-seconds", type=int, default=60, help="of each target")
    parser.add_argument("--owner-deaths", type=int, default=200)
    parser.add_argument("--json", type=pathlib.Path, help="the summary for programs")
    parser.add_argument("--parts", metavar="PART[,PART]...", type=lambda words: words.split(","),
                        help="only these, in this order: " + ", ".join(PARTS))
    options = parser.parse_args()
    chosen = options.parts or PARTS
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        def out(name):
            return pathlib.Path(folder) / f"{name}.json"
        parts = {
            "explorer": Part("Power cuts and deaths at every operation",
                             [BIN / "vnvram-powercut", "explore", "--json", "--seconds",
                              options.explore_seconds]),
            "faults": Part("Failing devices, rotten, stale and misplaced blocks, rescue",
                           [BIN / "damage_test", f"--gtest_output=json:{out('faults')}",
                            "--gtest_brief=1"], out("faults")),
            "mutants": Part("The store without one of its barriers",
                            ["scripts/mutants.py", "--json", out("mutants")], out("mutants")),
            "model": Part("The protocol's model, every state of it",
                          ["scripts/check-model.sh", "--deep", "--json", out("model")], out("model")),
            "fuzz": Part("Fuzzing, under the address and undefined sanitizers",
                         ["scripts/fuzz.sh", "--seconds", options.fuzz_seconds, "--json",
                          out("fuzz")], out("fuzz")),
            "owners": Part("Owners killed under load, while their front ends go on",
                           ["env", f"VNVRAM_OWNER_DEATHS={options.owner_deaths}",
                            f"VNVRAM_OWNER_DEATHS_JSON={out('owners')}", f"VNVRAM_BIN_DIR={BIN}",
                            "PYTHONPATH=tests/system", "PYTHONDONTWRITEBYTECODE=1",
                            "/usr/bin/python3", "-m", "unittest", "-v", "serve.test_restarts"],
                           out("owners")),
            "packages": Part("Debian packages, built in a bare Debian 12 and tried in another",
                             ["scripts/package.sh", "--json", out("packages")], out("packages")),
            "debian13": Part("The demo and all tests in a bare Debian 13",
                             ["scripts/bare-debian.sh", "--json", out("debian13"), "trixie",
                              "./dev demo", "./dev build",
                              "env VNVRAM_LONG_TESTS=1 ctest --preset release -j $(nproc)"],
                             out("debian13")),
        }
        start = time.monotonic()
        results = {name: parts[name].run() for name in chosen}
    summary = summarize({name: results.get(name, (None, False))[0] for name in PARTS})
    failed = [name for name, (_, good) in results.items() if not good]
    print("\n== Summary")
    for line, value in summary.items():
        print(f"   {line + ':':<46} {value}")
    print(f"   {'minutes:':<46} {(time.monotonic() - start) / 60:.1f}")
    verdict = "FAILED: " + ", ".join(failed) if failed else "PASS"
    print(f"prove: {verdict}{'' if chosen == PARTS else ', of ' + ', '.join(chosen) + ' alone'}")
    if options.json:
        options.json.write_text(json.dumps({"failed": failed, **summary}, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
