"""nbdkit with our plugin, and clients that know nothing of it."""

import json
import os
import random
import subprocess

import nbd  # libnbd's own binding

from cli.command import Case
from harness.blob_server import BlobServer, plugin
from harness.shows_logs import ShowsLogs

EEPROM, NVRAM, VARIABLES = 256, 64 << 10, 540672
SIZES = {"eeprom": EEPROM, "nvram": NVRAM, "uefi.vars": VARIABLES}
TYPES = {"eeprom": "at24c", "nvram": "spapr-nvram", "uefi.vars": "uefi-vars"}
BLOBS = [word for name, size in SIZES.items()
         for word in ("--blob", f"{name}:{TYPES[name]}:{size}")]


def dice_of_a_seed():
    """The seed that VNVRAM_SEED names, or another one each time."""
    seed = int(os.environ.get("VNVRAM_SEED", random.randrange(1 << 32)))
    print(f"VNVRAM_SEED={seed}", flush=True)
    return random.Random(seed)


class NbdkitCase(ShowsLogs, Case):
    """One image with three blobs; ends every process it started, and shows logs on failure."""

    def setUp(self):
        super().setUp()
        self.children = []
        self.clients = []
        self.addCleanup(self._end_children)
        self.create(*BLOBS)

    def _end_children(self):
        for child in reversed(self.children):
            child.kill()

    def serve(self, *options, image=None):
        server = BlobServer(self.workspace, image or self.image, *options)
        self.children.append(server)
        return server

    def connect(self, server, name, check_here=True):
        """`check_here`: requests that the server would refuse are not even sent."""
        client = nbd.NBD()
        if not check_here:
            client.set_strict_mode(0)
        client.connect_uri(server.uri(name))
        self.clients.append(client)
        return client

    def stop(self, server):
        """nbdkit waits for its clients to go, whatever the plugin."""
        for client in self.clients:
            client.shutdown()
        self.clients.clear()
        server.stop()

    def run_program(self, *argv, status=0, folder=None):
        """It must end with this status. Returns its output; of a failure what it said."""
        done = subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120, check=False, cwd=folder)
        self.assertEqual(done.returncode, status, f"{' '.join(map(str, argv))}: "
                                                  f"{done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def exports(self, server):
        """What nbdinfo says about each, by name."""
        listed = self.run_program("nbdinfo", "--list", "--json", server.uri(""))
        return {export["export-name"]: export for export in json.loads(listed)["exports"]}

    def refused(self, *words, nbdkit_options=()):
        """Starts nbdkit, which must not come up and must leave nothing behind; returns what it
        said."""
        before = self.names()
        said = self.run_program(
            "nbdkit", "--foreground", "--unix", self.path("refused.sock"),
            "--pidfile", self.path("refused.pid"), *nbdkit_options, plugin(*words[:1]), *words,
            status=1)
        self.assertEqual(self.names(), before)
        self.assertTrue(said.startswith("nbdkit: "), said)
        return said

    def stored(self, name, image=None):
        """The export's bytes as the image has them: zeros follow a blob's current size."""
        return self.vnvram("get", image or self.image, name).ljust(SIZES[name], b"\0")

    def must_be_clean(self, image=None):
        self.vnvram("check", image or self.image)
        self.assertTrue(self.json("info", image or self.image)["clean"])
