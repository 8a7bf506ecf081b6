"""What the tests of manufactured TPMs need: an authority of their own, and who looks at certificates."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import unittest

from harness.certificate_authority import make_authority
from harness.child import PATIENCE_SECONDS
from harness.shows_logs import ShowsLogs
from harness.tpm_process import TpmProcess, program
from harness.vm_image import programs_of
from harness.vnvram import vnvram
from harness.workspace import Workspace

# Where swtpm_setup leaves its keys.
HANDLES = {"rsa2048": "0x81010001", "p384": "0x81010016"}


def run(*words, env=None, status=0, text=True):
    """Returns what it printed."""
    done = subprocess.run([*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=text, timeout=PATIENCE_SECONDS, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != status:
        raise AssertionError(f"{words}: status {done.returncode}, not {status}\n{done.stdout}")
    return done.stdout


def der_of(pem):
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


class ManufactureCase(ShowsLogs, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        workspace = Workspace()
        cls.addClassCleanup(workspace.close)
        cls.authority = workspace.file("authority")
        cls.authority.mkdir()
        cls.config = make_authority(cls.authority)

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.image = self.workspace.file("vm.nvram")
        self.temporary = self.workspace.file("tmp")
        self.temporary.mkdir()
        self.env = {"TMPDIR": str(self.temporary)}
        self.addCleanup(self.end_left)

    def end_left(self):
        """What should have ended: where it works is known to this test alone."""
        for pid in programs_of(self.temporary):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def command(self, image, *words):
        if not any(str(word).startswith("--tpm2") for word in words):
            words = ("--tpm2", *words)
        if "--config" not in words:
            words = ("--config", self.config, *words)
        return (program("vnvram"), "create", image, "--manufacture", *words)

    def create(self, *words, image=None, status=0):
        """Returns what it said; nothing is left of what was made on the way."""
        said = run(*self.command(image or self.image, *words), env=self.env, status=status)
        self.assertEqual(list(self.temporary.iterdir()), [])
        return said

    def identity(self, image, *words):
        return json.loads(vnvram("tpm", "identity", "--json", image, *words))

    def file_of(self, text):
        self.files = getattr(self, "files", 0) + 1
        file = self.workspace.file(f"text{self.files}.pem")
        file.write_text(text, "utf-8")
        return file

    def check_certificate(self, pem):
        """It is the authority's."""
        run("openssl", "verify", "-ignore_critical", "-CAfile",
            self.authority / "swtpm-localca-rootca-cert.pem", "-untrusted",
            self.authority / "issuercert.pem", self.file_of(pem))

    def check_identity(self, image, *words, prefix=""):
        """All that an image says of its TPM is of one TPM, and certified. Returns it."""
        identity = self.identity(image, *words)
        self.assertEqual(identity["known_from"], "state")
        self.assertEqual([key["kind"] for key in identity["endorsement_keys"]], ["rsa2048", "p384"])
        for key in identity["endorsement_keys"]:
            self.check_certificate(key["certificate"])
            self.assertEqual(run("openssl", "x509", "-noout", "-pubkey", "-in",
                                 self.file_of(key["certificate"])), key["public_key"])
            self.assertEqual(key["certificate_sha256"],
                             hashlib.sha256(der_of(key["certificate"])).hexdigest())
            self.assertEqual(key["key_in_tpm"], "the same")
            name = f"{prefix}tpm.ek.{key['kind']}"
            self.assertEqual(vnvram("meta", "get", image, f"{name}.certificate.sha256"),
                             key["certificate_sha256"])
            self.assertEqual(vnvram("meta", "get", image, f"{name}.public-key"), key["public_key"])
        self.check_certificate(identity["platform_certificate"])
        return identity

    def tools(self, image, *options):
        """The TPM is on; returns who runs a program of tpm2-tools on it, in a folder for its files."""
        server = self.workspace.file("tpm.sock")
        tpm = TpmProcess(self.workspace, image, server, options)
        self.addCleanup(tpm.kill)

        def tool(name, *words, status=0):
            return run(f"tpm2_{name}", *words, status=status,
                       env={"TPM2TOOLS_TCTI": f"swtpm:path={server}"})
        tool.stop = tpm.stop
        return tool

    def check_keys(self, tool, identity):
        """The TPM makes the key that is certified, and keeps both."""
        made = self.workspace.file("made.pem")
        tool("createek", "-Q", "-G", "rsa", "-c", self.workspace.file("ek.ctx"), "-f", "pem", "-u", made)
        tool("flushcontext", "-t")
        keys = {key["kind"]: key["public_key"] for key in identity["endorsement_keys"]}
        self.assertEqual(made.read_text("utf-8"), keys["rsa2048"])
        for kind, public_key in keys.items():
            tool("readpublic", "-Q", "-c", HANDLES[kind], "-f", "pem", "-o", made)
            self.assertEqual(made.read_text("utf-8"), public_key)
