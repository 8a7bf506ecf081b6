#!/usr/bin/python3
"""Live migration (a): each side has an image of its own, and what the TPM and the UEFI variables
remember travels in QEMU's migration stream, the TPM's volatile state included.

Before this: on the destination an image with the same blobs (`vnvram create`; what it holds is
replaced), `vnvram serve --incoming` on it, and QEMU with `-incoming defer`. The TPM finishes what is
under way between the guest's last instruction and the last of its memory, so that every answer travels
with the guest.

Afterwards QEMU and `vnvram serve` at the source can be ended; the image there is sealed. If the migration
fails the guest goes on at the source.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys
import tempfile

from idle_tpm import wait_idle
from qmp import Qmp, QmpError


# A look at an image, and a copy of one, by its owner, from another host maybe.
ANSWER_SECONDS = 60
COPY_SECONDS = 600


class Migration:
    """The steps, in this order. Whatever fails before the end, the source is the one to go on."""

    def __init__(self, source, destination):
        self.source = source
        self.destination = destination

    def start(self, uri, **parameters):
        """The guest goes on while its memory is sent."""
        for end in (self.source, self.destination):
            end.execute("migrate-set-capabilities",
                        capabilities=[{"capability": name, "state": True}
                                      for name in ("events", "pause-before-switchover")])
        if parameters:
            self.source.execute("migrate-set-parameters", **parameters)
        self.destination.execute("migrate-incoming", uri=uri)
        self.source.execute("migrate", uri=uri)

    def wait_for_switchover(self):
        """The guest is stopped then; its devices' state, the TPM's among it, is not sent yet."""
        self.wait_status(self.source, "pre-switchover")

    def switch_over(self):
        """Returns for how many milliseconds the guest did not run."""
        self.source.execute("migrate-continue", state="pre-switchover")
        self.wait_status(self.source, "completed")
        self.wait_status(self.destination, "completed")
        stopped, resumed = self.source.wait_event("STOP"), self.destination.wait_event("RESUME")
        return (microseconds(resumed) - microseconds(stopped)) / 1000

    def cancel(self):
        """The guest goes on at the source, and the destination's QEMU ends. False: it was too late,
        the source has handed over, and whether the destination runs is for the operator to see."""
        self.source.execute("migrate_cancel")
        while True:
            status = self.source.execute("query-migrate").get("status", "none")
            if status in ("none", "cancelled", "failed", "completed"):
                return status != "completed"
            self.source.wait_event("MIGRATION")

    @staticmethod
    def wait_status(end, wanted):
        while True:
            try:
                status = end.wait_event("MIGRATION")["data"]["status"]
            except TimeoutError:
                if end.execute("query-migrate").get("status") in ("setup", "active"):
                    continue  # There is much memory to send.
                raise
            if status == wanted:
                return
            if status in ("failed", "cancelled", "completed"):
                raise QmpError(f"{end.path}: migration {status}, not {wanted}")


def microseconds(event):
    return event["timestamp"]["seconds"] * 1_000_000 + event["timestamp"]["microseconds"]


def migrate(migration, uri):
    try:
        migration.start(uri)
        migration.wait_for_switchover()
        wait_idle(migration.source)
        return migration.switch_over()
    except BaseException:
        migration.cancel()
        raise


def vnvram(*words, seconds):
    """Whether it ends with 0. What is wrong it says itself."""
    child = subprocess.Popen(["vnvram", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        printed, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        print(f"vnvram {words[0]} has not answered within {seconds} seconds: does its storage answer?",
              file=sys.stderr)
        return False
    finally:
        if child.poll() is None:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1)  # Not without end: who waits for storage in the kernel does not die.
    if child.returncode != 0:
        print(printed, end="", file=sys.stderr)
    return child.returncode == 0


def can_run(image, options):
    return vnvram("can-run", "--incoming", image, *options, seconds=ANSWER_SECONDS)


def probe_can_run(probe, options):
    """With the machine's own TPM, which is in QEMU's stream later, and in nobody's sight."""
    if not probe.startswith("unix:"):
        return can_run(probe, options)
    with tempfile.TemporaryDirectory(prefix="vnvram-probe-") as folder:
        copy = str(pathlib.Path(folder, "probe.nvram"))
        return vnvram("copy", probe, copy, seconds=COPY_SECONDS) and can_run(copy, options)


def each_with(option, values):
    return [word for value in values for word in (option, value)]


def migration_parser(description):
    """With what every migration has to be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("source", help="QMP socket of the QEMU that runs the guest")
    parser.add_argument("destination", help="QMP socket of the QEMU that is to run it")
    parser.add_argument("uri", help="between the two, e.g. tcp:HOST:PORT or unix:PATH")
    return parser


def main():
    parser = migration_parser(__doc__)
    parser.add_argument("--image", help="the destination's, if this is run there: asked first whether it can run")
    parser.add_argument("--key", action="append", default=[], help="of --image, if that is encrypted: as vnvram takes it")
    parser.add_argument("--image-key", help="of --image, if that is an encrypted VM image")
    parser.add_argument("--probe", help="a copy of the source's image, or unix:PATH, the socket of its owner, which is "
                        "copied here for a moment: asked whether it could run here")
    parser.add_argument("--probe-key", action="append", default=[], help="of --probe, if that is encrypted")
    options = parser.parse_args()
    image_key = each_with("--image-key", [options.image_key] if options.image_key else [])
    if options.image and not can_run(options.image, [*each_with("--key", options.key), *image_key]):
        return 1
    if options.probe and not probe_can_run(options.probe, each_with("--key", options.probe_key)):
        return 1
    with Qmp(options.source) as source, Qmp(options.destination) as destination:
        stopped_ms = migrate(Migration(source, destination), options.uri)
    print(f"migrated; the guest was stopped for {stopped_ms:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
