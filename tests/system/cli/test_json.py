"""--json, help and plain text: what scripts and people are promised."""

import re
import subprocess
import time

from harness.tpm_process import REPOSITORY, program

from .command import Case, MIB
from .owner import Owner


class JsonTest(Case):
    def test_ls(self):
        self.create("--tpm2", "--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"12345")
        blobs = self.json("ls", self.image)["blobs"]
        self.assertEqual([blob["name"] for blob in blobs],
                         ["a", "tpm2.permanent", "tpm2.savestate", "tpm2.volatile"])
        self.assertEqual(set(blobs[0]), {"name", "type", "size_bytes", "size_max_bytes",
                                         "generation", "registered_generation", "producer",
                                         "attributes"})
        self.assertEqual((blobs[0]["type"], blobs[0]["size_bytes"], blobs[0]["size_max_bytes"]),
                         ("t", 5, 65536))
        self.assertEqual(blobs[0]["generation"], self.json("info", self.image)["generation"])
        text = self.vnvram("ls", self.image).decode().splitlines()
        self.assertRegex(text[0], r"^NAME +TYPE +SIZE +MAX +GENERATION +PRODUCER$")
        self.assertRegex(text[1], r"^a +t +5 +65536 +\d+$")
        self.assertEqual(len(text), 5)

    def test_info(self):
        self.create("--tpm12")
        info = self.json("info", self.image)
        self.assertEqual(set(info), {
            "uuid", "format_version", "generation", "epoch", "image_size_bytes", "ring_size_bytes",
            "ring_used_bytes", "space_size_bytes", "space_free_bytes", "blob_size_max_bytes",
            "blob_count", "clean", "owner_pid", "owner_host", "sealed", "encrypted", "image_format",
            "owner_since_seconds", "owner_seems_alive", "hand_over", "locked", "lost_file",
            "moved_to", "moved_from", "reservation"})
        self.assertFalse(info["locked"])
        self.assertIsNone(info["reservation"])  # Of a file there is none.
        self.assertEqual((info["owner_since_seconds"], info["owner_seems_alive"], info["hand_over"]),
                         (0, None, None))
        self.assertIsNone(info["lost_file"])
        self.assertEqual((info["moved_to"], info["moved_from"]), (None, None))
        self.assertEqual(info["image_format"], "raw")
        self.assertRegex(info["uuid"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        self.assertEqual((info["format_version"], info["blob_count"], info["clean"]), (1, 3, True))
        with Owner(self, self.image) as owner:
            used = self.json("info", self.image)
            self.assertEqual((used["clean"], used["owner_pid"]), (False, owner.pid))
            self.assertEqual(used["epoch"], info["epoch"] + 1)
            self.assertTrue(used["owner_seems_alive"])
            self.assertAlmostEqual(used["owner_since_seconds"], time.time(), delta=600)
            self.assertRegex(self.vnvram("info", self.image).decode(), r" since 2\d\d\d-.* UTC; somebody")
            self.assertIn(f"in use by process {owner.pid} ", self.vnvram("info", self.image).decode())
            self.assertTrue(used["locked"])
            owner.kill()
        self.assertFalse(self.json("info", self.image)["locked"])
        self.assertIn("nobody has its lock", self.vnvram("info", self.image).decode())
        self.vnvram("register", self.image, "--blob", "a:t:1K")
        text = self.vnvram("info", self.image).decode()
        self.assertRegex(text, r"(?m)^state: +clean$")
        self.assertRegex(text, r"(?m)^image: +4 MiB$")

    def test_size_and_check(self):
        self.assertEqual(set(self.json("size", "--tpm2")), {"required_bytes", "recommended_bytes"})
        self.create("--tpm2", "--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=bytes(range(256)) * 256)
        report = self.json("check", self.image)
        self.assertEqual(set(report), {"clean", "blobs", "generation", "blobs_checked",
                                       "pages_checked", "records_checked", "problems",
                                       "notes"})
        self.assertEqual((report["clean"], report["problems"], report["blobs_checked"]),
                         (True, [], 4))
        self.assertGreaterEqual(report["pages_checked"], 16)
        self.assertIn("no damage", self.vnvram("check", self.image).decode())

    def test_dump(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", 5000) as owner:
            owner.commit("x")
            owner.commit("y")
            dump = self.json("dump", self.image)
            owner.kill()
        self.assertEqual(set(dump), {"device_size_bytes", "superblocks", "records", "table",
                                     "pages", "directory", "remarks"})
        self.assertEqual(dump["device_size_bytes"], 4 * MIB)
        self.assertEqual([s["copy"] for s in dump["superblocks"]], ["A", "B", "C"])
        self.assertEqual([s["valid"] for s in dump["superblocks"]], [True, True, True])
        self.assertEqual(sum(s["current"] for s in dump["superblocks"]), 1)
        counting = [record for record in dump["records"] if record["counts"]]
        self.assertEqual(len(counting), 2)
        self.assertTrue(all(record["valid"] for record in counting))
        self.assertEqual(counting[1]["chain"], counting[0]["checksum"])
        entry = dump["directory"][0]
        self.assertEqual((entry["name"], entry["type"], entry["size_bytes"],
                          entry["size_max_bytes"], entry["valid"]), ("a", "t", 5000, 65536, True))
        self.assertEqual(entry["generation"], counting[1]["generation"])
        self.assertEqual(sum(run["page_count"] for run in entry["page_runs"]), 16)
        self.assertEqual(dump["remarks"], [])
        text = self.vnvram("dump", self.image).decode()
        for part in ("superblock A: valid", "superblock B: valid", "ring records:", ", counts",
                     "index 0 in block", "leaf 0 in block", "a (type t): 5000 of 65536 bytes"):
            self.assertIn(part, text)

    def test_dump_of_clean_image_with_pages(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"q" * 20000)
        dump = self.json("dump", self.image)
        self.assertEqual([record for record in dump["records"] if record["counts"]], [])
        self.assertGreaterEqual(len(dump["pages"]), 6)
        self.assertTrue(all(item["valid"] for item in dump["pages"] + dump["table"]))


class HelpTest(Case):
    def test_every_command_has_help_with_an_example(self):
        overview = self.vnvram("--help").decode()
        names = re.findall(r"(?m)^  ([a-z][a-z-]+) ", overview.split("Subcommands:")[1].split("Exit codes:")[0])
        self.assertGreaterEqual(set(names), {"create", "size", "register", "ls", "info", "get",
                                             "put", "rm", "check", "repair", "salvage", "dump",
                                             "resize", "seal", "unseal", "tpm", "serve", "status",
                                             "hold", "release", "hand-over", "go-on", "restart", "export", "import",
                                             "metrics", "watch", "import-swtpm", "export-swtpm"})
        for name in set(names) - {"vnvram"}:
            self.assertRegex(self.vnvram(name, "--help").decode(), rf"(?m)^  .*vnvram {name} ")
        self.assertRegex(self.vnvram("--version").decode(), r"^vnvram \d+\.\d+\.\d+\n$")

    def test_exit_codes_in_help_and_manual_are_those_of_the_header(self):
        header = (REPOSITORY / "src/base/exit_code.h").read_text(encoding="utf-8")
        codes = set(re.findall(r"= (\d+)[,;]", header))
        self.assertGreater(len(codes), 15)
        section = self.vnvram("--help").decode().split("Exit codes:")[1].split("A TPM for")[0]
        self.assertEqual(set(re.findall(r"(?:^|\s)(\d+) [a-z]", section)), codes)
        manual = (REPOSITORY / "man/vnvram.1").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"(?m)^\.IP (\d+) ", manual)), codes)

    def test_manual_pages_have_no_errors(self):
        pages = list((REPOSITORY / "man").iterdir())
        self.assertGreaterEqual(len(pages), 4)
        for page in pages:
            done = subprocess.run(["groff", "-t", "-man", "-ww", "-Tutf8", "-z", page],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    def test_program_is_where_the_build_says(self):
        self.assertTrue(program("vnvram").is_file())
