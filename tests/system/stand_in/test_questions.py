"""What callers ask before they start a TPM: capabilities, versions, help."""

import json
import shutil
import subprocess
import unittest

from .programs import OURS, SWTPM, run

# What a swtpm with a newer libtpms has, and what is not done here.
NOT_SERVED = {"cmdarg-profile", "cmdarg-print-profiles", "profile-opt-remove-disabled",
              "cmdarg-print-info", "tpmstate-dir-backend-opt-backup",
              "tpmstate-dir-backend-opt-fsync", "cmdarg-pcap", "systemd-notify"}


def capabilities(name, *words):
    done = run(name, *words, "--print-capabilities")
    if done.returncode != 0 or done.stderr:
        raise AssertionError(done)
    return json.loads(done.stdout)


class QuestionsTest(unittest.TestCase):
    def test_capabilities_are_swtpms_and_more(self):
        for words in (["socket"], ["socket", "--tpm2"], ["chardev"], ["chardev", "--tpm2"]):
            with self.subTest(words):
                theirs, ours = capabilities(SWTPM, *words), capabilities(OURS, *words)
                self.assertLessEqual(set(theirs["features"]) - NOT_SERVED, set(ours["features"]))
                self.assertEqual(set(ours["features"]) & NOT_SERVED, set())
                self.assertEqual(len(ours["features"]), len(set(ours["features"])))
                self.assertEqual(ours["type"], "swtpm")
                self.assertRegex(ours["version"], r"^\d+\.\d+\.\d+$")
                self.assertIn("vnvram-swtpm", ours["program"])

    def test_key_sizes_are_the_librarys(self):
        def sizes(name, *words):
            return [feature for feature in capabilities(name, "socket", *words)["features"]
                    if feature.startswith("rsa-keysize-")]

        self.assertEqual(sizes(OURS, "--tpm2"), sizes(SWTPM, "--tpm2"))
        self.assertEqual(sizes(OURS), sizes(SWTPM))

    def test_swtpm_setup_finds_what_it_asks_for(self):
        def setup(name):
            done = subprocess.run(["swtpm_setup", "--tpm", f"{name} socket", "--tpm2",
                                   "--print-capabilities"], capture_output=True, text=True,
                                  timeout=60, check=True)
            return json.loads(done.stdout)

        self.assertEqual(setup(OURS), setup(shutil.which(SWTPM)))
        self.assertIn("tpm2-rsa-keysize-2048", setup(OURS)["features"])

    def test_version(self):
        pattern = r"\ATPM emulator version \d+\.\d+\.\d+, .*\n\Z"
        for option in ("--version", "-v"):
            theirs, ours = run(SWTPM, option), run(OURS, option)
            self.assertEqual((ours.returncode, ours.stderr), (theirs.returncode, theirs.stderr))
            self.assertRegex(theirs.stdout, pattern)
            self.assertRegex(ours.stdout, pattern)
            self.assertIn("vnvram-swtpm", ours.stdout)

    def test_help_names_every_option_that_swtpm_has(self):
        for interface in ("socket", "chardev"):
            theirs, ours = run(SWTPM, interface, "--help"), run(OURS, interface, "--help")
            self.assertEqual((ours.returncode, ours.stderr), (0, ""))
            options = {word.partition("|")[2] if word.startswith("-") and "|" in word[:3] else word
                       for word in (line.split()[0] for line in theirs.stdout.splitlines()
                                    if line.startswith("-"))}
            self.assertGreater(len(options), 15)
            for option in options - {"--print-capabilites"}: # 0.7.1 does not spell it as it takes it.
                self.assertIn(option, ours.stdout)
        self.assertEqual(run(OURS, "--help").returncode, 0)

    def test_what_libtpms_says_of_itself(self):
        done = run(OURS, "socket", "--tpm2", "--print-info", "7")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(set(json.loads(done.stdout)),
                         {"TPMSpecification", "TPMAttributes", "TPMFeatures"})


if __name__ == "__main__":
    unittest.main()
