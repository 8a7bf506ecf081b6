"""The owner dies, or is replaced, while its front ends' clients go on: they see a delay, no error."""

import json
import os
import pathlib
import statistics
import time

from harness.child import PATIENCE_SECONDS
from nbdkit.nbdkit_case import dice_of_a_seed

from .counting_clients import DeferringClient, DurableClient, Reader, deaths, number_of
from .serve_case import ServeCase


class Restarts(ServeCase):
    def begin(self):
        server = self.export()
        self.writers = {"nvram": DurableClient(server.socket, b"nvram"),
                        "uefi.vars": DeferringClient(server.socket, b"uefi.vars")}
        self.readers = [Reader(server.socket, name.encode()) for name in self.writers]
        self.go_on(20)
        return server

    def go_on(self, rounds):
        for writer in self.writers.values():
            writer.must_go_on(rounds, seconds=PATIENCE_SECONDS)

    def end(self, server):
        for reader in self.readers:
            reader.stop()
        contents = {name: writer.stop() for name, writer in self.writers.items()}
        self.stop(server)
        self.must_end_clean()
        for name, content in contents.items():
            self.assertEqual(self.stored(name)[:len(content)], content)

    def test_kill_9_of_the_owner_under_load(self):
        dice = dice_of_a_seed()
        server = self.begin()
        beyond = []
        for _ in range(deaths()):
            self.go_on(dice.randrange(1, 60))
            durable = {name: writer.durable for name, writer in self.writers.items()}
            self.owner.kill()
            for name, number in durable.items():
                self.assertGreaterEqual(number_of(self.stored(name)), number)
            self.owner.start()
            ready = time.monotonic()
            self.go_on(1)
            beyond.append((time.monotonic() - ready) * 1000)
        print(f"{len(beyond)} deaths; served again after the owner was ready: median "
              f"{statistics.median(beyond):.0f} ms, at most {max(beyond):.0f} ms", flush=True)
        if "VNVRAM_OWNER_DEATHS_JSON" in os.environ:
            pathlib.Path(os.environ["VNVRAM_OWNER_DEATHS_JSON"]).write_text(
                json.dumps({"deaths": len(beyond)}))
        self.end(server)

    def test_an_owner_that_is_replaced_in_good_order(self):
        server = self.begin()
        for _ in range(5):
            self.go_on(20)
            self.owner.stop()
            self.must_be_clean()
            self.owner.start()
        self.go_on(1)
        self.end(server)
