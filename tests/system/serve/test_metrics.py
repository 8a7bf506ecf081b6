"""What an owner says of itself to Prometheus: read by Prometheus's own client."""

import contextlib
import http.client
import os
import signal
import socket
import stat
import time

from prometheus_client.parser import text_string_to_metric_families

from cli.command import ABSENT, IN_USE, IO, USAGE
from harness.child import Deadline, PATIENCE_SECONDS

from .serve_case import ServeCase

SERVED = {"eeprom": 256, "nvram": 65536, "uefi.vars": 540672}
TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def parsed(text):
    """The families by their names; a counter's has no _total."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families, name, **labels):
    """Of one sample."""
    for family in families.values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Metrics(ServeCase):
    def metrics(self):
        return parsed(self.vnvram("metrics", self.owner.address).decode())

    def ask(self, connection, path="/metrics", method="GET"):
        with contextlib.closing(connection):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer, answer.read().decode()

    def test_they_are_prometheus_text(self):
        text = self.vnvram("metrics", self.owner.address).decode()
        families = parsed(text)
        self.assertGreater(len(families), 30)
        for name, family in families.items():
            self.assertRegex(name, r"^vnvram_[a-z][a-z_]*[a-z]$")
            self.assertIn(family.type, ("counter", "gauge", "histogram"), name)
            self.assertRegex(family.documentation, r"^[A-Z0-9].*\.$", name)
            self.assertIn(f"# TYPE {name}{'_total' if family.type == 'counter' else ''} ", text)
        seconds = [name for name in families if "duration" in name or "timestamp" in name]
        self.assertTrue(all(name.endswith("_seconds") for name in seconds), seconds)

    def test_they_count_what_a_device_does(self):
        before = self.metrics()
        client = self.connect(self.export(), "nvram")
        for number in range(10):
            client.pwrite(bytes([number + 1]) * 4096, 0)
            client.flush()
        after = self.metrics()

        def grown(name):
            return value(after, name) - value(before, name)
        self.assertGreaterEqual(grown("vnvram_deferred_writes_total"), 10)
        self.assertGreaterEqual(grown("vnvram_records_total"), 10)
        self.assertGreaterEqual(grown("vnvram_device_durable_writes_total"), 10)
        self.assertGreaterEqual(grown("vnvram_device_written_bytes_total"), 10 * 4096)
        self.assertGreaterEqual(grown("vnvram_sessions_total"), 2)
        status = self.json("status", self.owner.address)
        self.assertEqual(value(after, "vnvram_generation"), status["generation"])
        self.assertEqual(value(after, "vnvram_space_free_bytes"), status["space_free_bytes"])
        self.assertEqual(value(after, "vnvram_blob_writer_session", blob="nvram"),
                         status["sessions"][0]["number"])
        for blob, size in SERVED.items():
            sizes = {sample.labels["blob"]: sample.value
                     for sample in after["vnvram_blob_size_max_bytes"].samples}
            self.assertEqual(sizes[blob], size)

    def test_commits_have_durations(self):
        for _ in range(3):
            self.vnvram("put", self.owner.address, "eeprom", "-", input=os.urandom(100))
        buckets = self.metrics()["vnvram_commit_duration_seconds"].samples
        counts = [sample.value for sample in buckets if sample.name.endswith("_bucket")]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], 3)

    def test_the_space_of_uefi_variables_is_known(self):
        self.vnvram("rm", self.owner.address, "uefi.vars")
        self.vnvram("register", self.owner.address, "--uefi", TEMPLATE)
        families = self.metrics()
        self.assertEqual(value(families, "vnvram_uefi_variables_size_bytes", blob="uefi.vars"),
                         0x40000 - 72 - 28)
        self.assertIsNotNone(
            value(families, "vnvram_uefi_variables_used_bytes", blob="uefi.vars"))

    def test_a_file_for_a_collector_is_complete_and_everyones_to_read(self):
        folder = self.path("collector")
        folder.mkdir()
        file = folder / "vm1.prom"
        for _ in range(2):
            self.vnvram("metrics", self.owner.address, "--output", file)
            self.assertIn("vnvram_commits", parsed(file.read_text(encoding="utf-8")))
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o644)
            self.assertEqual(self.names(folder), ["vm1.prom"])
        before = file.read_bytes()
        self.owner.stop()
        self.vnvram("metrics", self.owner.address, "--output", file, status=ABSENT)
        self.assertEqual(file.read_bytes(), before)
        self.owner.start()
        self.vnvram("metrics", self.owner.address, "--output", folder / "no" / "file", status=IO)

    def test_they_are_served_on_a_unix_socket(self):
        self.owner.stop()
        path = self.path("metrics.sock")
        self.owner = self.start_owner("--metrics", f"unix:{path}", "--metrics-mode", "0666")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o666)
        answer, text = self.ask(UnixConnection(path))
        self.assertEqual(answer.status, 200)
        self.assertIn("version=0.0.4", answer.getheader("Content-Type"))
        self.assertEqual(value(parsed(text), "vnvram_image_attached"), 1)
        self.assertEqual(self.ask(UnixConnection(path), "/")[0].status, 404)
        self.assertEqual(self.ask(UnixConnection(path), method="POST")[0].status, 405)
        with socket.socket(socket.AF_UNIX) as silent:  # It is not waited for at the end.
            silent.connect(str(path))
            self.must_end_clean()
        self.assertFalse(path.exists())

    def test_the_owner_that_a_machine_has_serves_them_and_so_does_the_next(self):
        self.owner.stop()
        path = self.path("metrics.sock")
        self.owner = self.start_owner("--nbd", f"unix:{self.path('nbd.sock')}",
                                      "--metrics", f"unix:{path}", "--rate-bytes", "100000000")
        answer, text = self.ask(UnixConnection(path))
        self.assertEqual(answer.status, 200)
        epoch = value(parsed(text), "vnvram_epoch")
        self.owner.child.send(signal.SIGHUP)
        deadline = Deadline(PATIENCE_SECONDS)
        while True:
            self.assertFalse(deadline.passed(), "the next owner's metrics")
            try:
                if value(parsed(self.ask(UnixConnection(path))[1]), "vnvram_epoch") == epoch + 1:
                    break
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)  # Neither the one nor the other.

    def test_they_are_served_on_this_host_and_to_no_other(self):
        self.owner.stop()
        port = free_port()
        self.owner = self.start_owner("--metrics", f"tcp:127.0.0.1:{port}")
        answer, text = self.ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60))
        self.assertEqual(answer.status, 200)
        self.assertIn("vnvram_commits", parsed(text))
        other = self.path("other.nvram")
        self.vnvram("create", other)
        control = f"unix:{self.path('other.sock')}"
        for address in ("tcp:0.0.0.0:9100", "tcp:[::]:9100", "tcp:192.0.2.1:9100"):
            self.vnvram("serve", other, "--control", control, "--metrics", address, status=USAGE,
                        message="127.0.0.1")
        self.vnvram("serve", other, "--control", control, "--metrics", "nowhere", status=USAGE)
        self.vnvram("serve", other, "--control", control, "--metrics", f"tcp:127.0.0.1:{port}",
                    status=IN_USE)
        self.vnvram("serve", other, "--control", control, "--metrics", f"unix:{self.path('x')}",
                    "--metrics-mode", "rw", status=USAGE)
