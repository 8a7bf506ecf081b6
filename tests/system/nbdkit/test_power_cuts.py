"""What a power cut leaves of a client's writes, on the real plugin: its device calls are recorded,
and then the power is cut at every one of them."""

import struct
import time

import nbd

from harness.blob_server import plugin
from harness.child import Child, Deadline
from harness.tpm_process import program

from .nbdkit_case import dice_of_a_seed, NbdkitCase, SIZES

HEADER = struct.Struct("=Q QQ")  # Kind (padded), offset, length: tests/powercut/trace.h.
WRITE, WRITE_DURABLE = 1, 2
BLOBS = ("eeprom", "nvram")


class PowerCuts(NbdkitCase):
    def serve_recorded(self):
        """It ends with its last client."""
        socket, pid_file = self.path("nbd.sock"), self.path("nbd.pid")
        self.trace = self.path("trace")
        server = Child([program("vnvram-powercut"), "record", self.trace, self.image, "--",
                        "nbdkit", "--foreground", "--filter=exitlast", "--unix", socket,
                        "--pidfile", pid_file, plugin(), self.image, "sync=2ms"],
                       self.workspace.log("nbdkit"))
        self.children.append(server)
        deadline = Deadline(60)
        while not pid_file.exists():  # It writes it when it listens, and says nothing else.
            self.assertIsNone(server.returncode, "nbdkit did not start")
            self.assertFalse(deadline.passed(), "nbdkit does not listen")
            time.sleep(0.005)
        for name in BLOBS:
            client = nbd.NBD()
            client.connect_uri(f"nbd+unix:///{name}?socket={socket}")
            self.clients.append(client)
        return server

    def trace_size(self):
        return (self.trace / "operations").stat().st_size

    def write_for_a_while(self, dice):
        """Returns the blobs' contents after each write, and how many writes were durable for sure
        when the trace was how long."""
        contents = [bytearray(SIZES[name]) for name in BLOBS]
        states, acknowledged = [[bytes(content) for content in contents]], []
        for _ in range(400):
            which = dice.randrange(len(BLOBS))
            client, content = self.clients[which], contents[which]
            offset = dice.randrange(len(content))
            size = min(dice.choice((1, 1, 7, 512, 9000, 1 << 16)), len(content) - offset)
            flags = nbd.CMD_FLAG_FUA if dice.random() < 0.06 else 0
            if dice.random() < 0.1:
                client.zero(size, offset, flags)
                content[offset:offset + size] = bytes(size)
            else:
                written = dice.randbytes(size)
                client.pwrite(written, offset, flags)
                content[offset:offset + size] = written
            states.append([bytes(content) for content in contents])
            flush = dice.random() < 0.06
            if flush:
                client.flush()
            if flush or flags:
                acknowledged.append((self.trace_size(), len(states) - 1))
        return states, acknowledged

    def images(self):
        """The image after each durable write, and how long the trace is there."""
        content = (self.trace / "operations").read_bytes()
        image, at = bytearray((self.trace / "base").read_bytes()), 8
        while at < len(content):
            kind, offset, length = HEADER.unpack_from(content, at)
            at += HEADER.size
            if kind & 0xFF in (WRITE, WRITE_DURABLE):
                image[offset:offset + length] = content[at:at + length]
                at += length
            if kind & 0xFF == WRITE_DURABLE:
                yield at, image

    def test_every_cut_leaves_a_prefix_of_the_writes(self):
        server = self.serve_recorded()
        states, acknowledged = self.write_for_a_while(dice_of_a_seed())
        for client in self.clients:
            client.shutdown()
        self.assertEqual(server.wait(), 0)
        # Whatever of the unflushed sectors is lost, an image of one generation is left ...
        said = self.run_program(program("vnvram-powercut"), "replay", self.trace, "--images", "4")
        self.assertIn("no failure", said)
        # ... and each generation is what some number of writes has made, in their order.
        found, generations = 0, 0
        for size, image in self.images():
            path = self.file("generation", image)
            state = [self.stored(name, path) for name in BLOBS]
            least = max([0, *(count for traced, count in acknowledged if traced <= size)])
            self.assertIn(state, states[max(found, least):], f"after {size} bytes of the trace")
            found = states.index(state, max(found, least))
            generations += 1
        self.assertEqual(found, len(states) - 1)
        self.assertGreater(generations, 20)
