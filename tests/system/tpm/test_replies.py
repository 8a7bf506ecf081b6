"""Replies on the control channel are as long as swtpm's, for good requests and bad ones, and clients
that read like QEMU's old and new versions stay in step."""

import select
import struct
import unittest

from support import (BAD_ORDINAL, BUFFER_SIZE, CANCEL, CONFIG, DATA_FD, ESTABLISHED, GET_BLOB,
                     HASH_DATA, HASH_END, HASH_START, INFO, INIT, LOCALITY, LOCK_STORAGE,
                     RESET_ESTABLISHED, SET_BLOB, SHUTDOWN, STOP, STORE_VOLATILE, Deadline, TpmCase,
                     receive)

from harness.swtpm_process import SwtpmProcess

CAPABILITY = 1
UNKNOWN = 0x99


def words(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


# In this order, on one connection. (name, command, body)
STOPPED = [
    ("established", ESTABLISHED, b""),
    ("config", CONFIG, b""),
    ("hash start", HASH_START, b""),
    ("hash data", HASH_DATA, words(3) + b"abc"),
    ("hash end", HASH_END, b""),
    ("buffer size", BUFFER_SIZE, words(0)),
    ("buffer size", BUFFER_SIZE, words(3500)),
    ("information", INFO, struct.pack(">QII", 7, 0, 0)),
    ("information from the middle", INFO, struct.pack(">QII", 7, 20, 0)),
    ("information from far behind its end", INFO, struct.pack(">QII", 7, 100000, 0)),
    ("no command", UNKNOWN, b""),
    ("lock storage", LOCK_STORAGE, words(0)),
    ("no descriptor", DATA_FD, b""),
    ("garbage as state", SET_BLOB, words(0, 1, 4) + b"abcd"),
    ("state of no kind", SET_BLOB, words(0, 9, 4) + b"abcd"),
    ("state of another kind", SET_BLOB, words(0, 2, 12) + bytes.fromhex("0201000a00040000000cffff")),
    ("encrypted state", SET_BLOB, words(0, 1, 12) + bytes.fromhex("0201000a00060000000cffff")),
    ("state with a flag", SET_BLOB, words(2, 1, 12) + bytes.fromhex("0201000a00040000000cffff")),
    ("cancel", CANCEL, b""),
    ("store volatile state", STORE_VOLATILE, b""),
    ("reset establishment", RESET_ESTABLISHED, b"\3"),
    ("locality", LOCALITY, b"\0"),
    ("locality 9", LOCALITY, b"\x09"),
    ("stop", STOP, b""),
    ("init", INIT, words(0)),
]
RUNNING = [
    ("established", ESTABLISHED, b""),
    ("config", CONFIG, b""),
    ("buffer size", BUFFER_SIZE, words(0)),
    ("buffer size while it runs", BUFFER_SIZE, words(3000)),
    ("permanent state", GET_BLOB, words(1, 1, 0)),
    ("volatile state", GET_BLOB, words(0, 2, 0)),
    ("saved state", GET_BLOB, words(1, 3, 0)),
    ("state from an offset", GET_BLOB, words(1, 1, 100)),
    ("state from behind its end", GET_BLOB, words(1, 1, 10000000)),
    ("state of no kind", GET_BLOB, words(1, 9, 0)),
    ("set state while it runs", SET_BLOB, words(0, 1, 4) + b"abcd"),
    ("cancel", CANCEL, b""),
    ("store volatile state", STORE_VOLATILE, b""),
    ("hash start", HASH_START, b""),
    ("hash data", HASH_DATA, words(3) + b"abc"),
    ("hash end", HASH_END, b""),
    ("reset establishment", RESET_ESTABLISHED, b"\3"),
    ("reset establishment from 9", RESET_ESTABLISHED, b"\x09"),
    ("locality 9", LOCALITY, b"\x09"),
    ("stop", STOP, b""),
    ("stop", STOP, b""),
    ("init", INIT, words(0)),
    ("shutdown", SHUTDOWN, b""),
]


class Replies(TpmCase):

    def reply(self, control, command, body):
        """All of it, whatever its length: the next one, to a question whose answer is known, begins
        where it ends. That is asked when this one is there, because swtpm reads what there is."""
        control.sock.sendall(struct.pack(">I", command) + body)
        begin = receive(control.sock, 4)
        if command == SHUTDOWN:  # swtpm ends.
            return begin
        control.sock.sendall(struct.pack(">I", CAPABILITY))
        content, deadline = bytearray(begin), Deadline(60)
        while not content.endswith(self.capability) or len(content) < 4 + len(self.capability):
            ready, _, _ = select.select([control.sock], [], [], deadline.left())
            self.assertTrue(ready, f"command {command}: {bytes(content[:64]).hex()}")
            piece = control.sock.recv(1 << 16)
            self.assertTrue(piece, f"command {command}: closed")
            content += piece
        return bytes(content[:-len(self.capability)])

    def replies(self, tpm):
        control = self.control(tpm)
        control.sock.sendall(struct.pack(">I", CAPABILITY))
        self.capability = receive(control.sock, 8)
        return [(name, self.reply(control, command, body))
                for name, command, body in STOPPED + RUNNING]

    def compare(self, version):
        swtpm = SwtpmProcess(self.workspace, self.workspace.file("swtpm"),
                             ("--tpm2",) if version == "--tpm2" else ())
        self.children.append(swtpm)
        theirs = self.replies(swtpm)
        ours = self.replies(self.start(self.new_image(version)))
        for (name, their_reply), (_, our_reply) in zip(theirs, ours):
            with self.subTest(version=version, request=name):
                self.assertEqual(our_reply[:4] == bytes(4), their_reply[:4] == bytes(4)
                                 or name in ("lock storage", "saved state"))
                if name in ("permanent state", "volatile state", "state from an offset"):
                    # The states differ. Each says how long it is.
                    for reply in (their_reply, our_reply):
                        self.assertEqual(len(reply) - 16, struct.unpack(">I", reply[12:16])[0])
                else:
                    self.assertEqual(len(our_reply), len(their_reply),
                                     f"{our_reply.hex()} instead of {their_reply.hex()}")

    def test_as_long_as_those_of_swtpm(self):
        self.compare("--tpm2")

    def test_as_long_as_those_of_swtpm_for_tpm12(self):
        self.compare("--tpm12")

    def test_a_client_that_reads_in_two_steps_stays_in_step(self):
        """As QEMU 9.2 and newer does, through errors of all kinds."""
        sizes = {ESTABLISHED: 8, CONFIG: 8, BUFFER_SIZE: 16, GET_BLOB: 16, INFO: 12}
        for controls in (False, True):
            tpm = self.start(self.new_image())
            control = self.control(tpm)
            if controls:
                self.addCleanup(control.take_control().close)
            for name, command, body in STOPPED[1:] + RUNNING:
                with self.subTest(name, controls=controls):
                    _, rest = control.ask(command, body, sizes.get(command, 4))
                    if command in (GET_BLOB, INFO) and rest:
                        receive(control.sock, struct.unpack(">I", rest[-4:])[0])
                    self.assertEqual(control.capability(), 0x1FFFF)
            tpm.kill()
            self.workspace.file("nvram.img").unlink()

    def test_what_every_qemu_waits_for_is_there(self):
        """QEMU's own commands, in every state of a TPM, in QEMU's order: the whole reply comes, also
        where swtpm would have sent four bytes and QEMU would have waited for ever."""
        tpm = self.start(self.new_image())
        qemu = self.control(tpm)
        self.addCleanup(qemu.take_control().close)

        def must_be_whole():
            qemu.sock.sendall(struct.pack(">I", ESTABLISHED))
            self.assertEqual(receive(qemu.sock, 8), bytes(8))
            for kind in (1, 2, 3):
                qemu.sock.sendall(struct.pack(">IIII", GET_BLOB, 1, kind, 0))
                head = receive(qemu.sock, 16)
                receive(qemu.sock, struct.unpack(">I", head[12:])[0])
            self.assertEqual(qemu.lock_storage(), 0)
            for size in (0, 4096):
                self.assertEqual(qemu.stop(), 0)
                qemu.sock.sendall(struct.pack(">II", BUFFER_SIZE, size))
                self.assertEqual(receive(qemu.sock, 16)[:4], bytes(4))

        must_be_whole()
        self.assertEqual(qemu.init(), 0)
        must_be_whole()
        self.assertEqual(qemu.result(SHUTDOWN), 0)
        must_be_whole()
        # Others are answered as by swtpm, so that swtpm_ioctl says that it does not run.
        other = self.control(tpm)
        other.sock.sendall(struct.pack(">I", ESTABLISHED))
        self.assertEqual(receive(other.sock, 4), struct.pack(">I", BAD_ORDINAL))
        self.assertEqual(other.capability(), 0x1FFFF)


if __name__ == "__main__":
    unittest.main()
