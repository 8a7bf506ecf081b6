#!/usr/bin/python3
"""Live migration with one image that both hosts see, of a machine without a TPM: `vnvram serve --shared` on each of
them, the destination's with --incoming. With a TPM migrate.py is enough: the image goes with the TPM's state.

Before this: QEMU with `-incoming defer` at the destination. Its guest does not run before the image is there: what
QEMU's flash has comes in QEMU's stream, and is written as soon as the guest runs.

Whatever fails before the destination has the image, the source takes it back, and the guest goes on there. Once it has it, and
is not heard of, nobody takes it from there: run `vnvram go-on` and `cont` there by hand, or start the machine anew.
"""

import json
import subprocess
import sys

from migrate import Migration, microseconds, migration_parser
from qmp import Qmp, QmpError

ANSWER_SECONDS = 60
TRIES = 2  # Both verbs may be asked again: an answer may have been lost.


class VerbFailed(Exception):
    """What it said."""


def owner(verb, control, *words):
    """Returns what it prints."""
    said = ""
    for _ in range(TRIES):
        try:
            done = subprocess.run(["vnvram", verb, control, *words], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=ANSWER_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            said = f"vnvram {verb} {control} has not answered within {ANSWER_SECONDS} seconds"
        else:
            if done.returncode == 0:
                return done.stdout.strip()
            said = done.stderr.strip()
    raise VerbFailed(said)


class SharedMigration(Migration):
    """With the control sockets of the image's two owners."""

    def __init__(self, source, destination, source_control, destination_control):
        super().__init__(source, destination)
        self.source_control = source_control
        self.destination_control = destination_control
        self.runs = source.execute("query-status")["running"]

    def check_owners(self):
        """Before the guest is stopped, and cannot go on without one of them."""
        for control, stands_by in ((self.source_control, False), (self.destination_control, True)):
            if json.loads(owner("status", control, "--json")).get("stands_by") != stands_by:
                raise VerbFailed(f"{control}: the image is {'here' if stands_by else 'not here'}: are the sockets in the right order?")

    def start(self, uri, **parameters):
        self.destination.execute("stop")  # It is not to start by itself when it has come.
        super().start(uri, **parameters)

    def hand_over(self):
        """With the guest stopped. Returns the token; the image is let go."""
        return owner("hand-over", self.source_control)

    def send_state(self):
        """The machine is at the destination, stopped."""
        self.source.execute("migrate-continue", state="pre-switchover")
        self.wait_status(self.source, "completed")
        self.wait_status(self.destination, "completed")

    def go_on(self, token):
        """Returns for how many milliseconds the guest did not run. From here on nothing is taken back."""
        owner("go-on", self.destination_control, "--from", token)
        if not self.runs:
            return None
        self.destination.execute("cont")
        stopped, resumed = self.source.wait_event("STOP"), self.destination.wait_event("RESUME")
        return (microseconds(resumed) - microseconds(stopped)) / 1000

    def go_back(self):
        """First the image, without which the guest must not run here, and which the destination cannot have from then on."""
        owner("go-on", self.source_control)
        if not self.cancel():
            self.end_destination()
            if self.runs:
                self.source.execute("cont")

    def end_destination(self):
        """It has the guest, without an image."""
        try:
            self.destination.quit()
        except OSError:
            pass  # It is gone.


def migrate(migration, uri):
    migration.check_owners()
    try:
        migration.start(uri)
        migration.wait_for_switchover()
        token = migration.hand_over()
        migration.send_state()
        return migration.go_on(token)
    except BaseException:
        migration.go_back()
        raise


def main():
    parser = migration_parser(__doc__)
    parser.add_argument("--source-control", required=True, help="unix:PATH, what vnvram serve has behind --control")
    parser.add_argument("--destination-control", required=True, help="the same of the destination's")
    options = parser.parse_args()
    with Qmp(options.source) as source, Qmp(options.destination) as destination:
        migration = SharedMigration(source, destination, options.source_control, options.destination_control)
        try:
            stopped_ms = migrate(migration, options.uri)
        except (VerbFailed, QmpError, OSError) as failure:
            for each in (failure.__context__, failure):  # Also why it was to go back, if that has failed.
                if each is not None:
                    print(each, file=sys.stderr)
            return 1
    print("migrated" if stopped_ms is None else f"migrated; the guest was stopped for {stopped_ms:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
