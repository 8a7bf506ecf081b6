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

from idle_tpm import wait_idle
from qmp import Qmp, QmpError


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="QMP socket of the QEMU that runs the guest")
    parser.add_argument("destination", help="QMP socket of the QEMU that is to run it")
    parser.add_argument("uri", help="between the two, e.g. tcp:HOST:PORT or unix:PATH")
    options = parser.parse_args()
    with Qmp(options.source) as source, Qmp(options.destination) as destination:
        stopped_ms = migrate(Migration(source, destination), options.uri)
    print(f"migrated; the guest was stopped for {stopped_ms:.0f} ms")


if __name__ == "__main__":
    main()
