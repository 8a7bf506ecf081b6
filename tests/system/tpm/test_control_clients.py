"""The control socket: several clients, messages in pieces, and clients that mean harm."""

import os
import struct
import unittest

from support import (BAD_ORDINAL, BUFFER_SIZE, CANCEL, CONFIG, DATA_FD, DISABLED, ESTABLISHED,
                     GET_BLOB, HASH_DATA, HASH_END, HASH_START, INFO, INIT, LOCALITY,
                     LOCK_STORAGE, RESET_ESTABLISHED, SET_BLOB, SHUTDOWN, STOP, STORE_VOLATILE,
                     TpmCase, TpmClient, receive)

FAILURE = 0x101


class ControlClients(TpmCase):

    def test_as_qemu_does(self):
        """QEMU's sequence from start to end, twice, with one process."""
        tpm = self.start(self.new_image())
        for round_number in range(2):
            qemu = self.control(tpm)
            command = qemu.take_control()
            # Before INIT: the tag is what tells the version.
            self.assertEqual(command.read_clock(), FAILURE)
            self.assertEqual(qemu.capability() & 0x1348F, 0x1348F)
            for size in (0, 3968):
                self.assertEqual(qemu.result(STOP), 0)
                self.assertEqual(qemu.ask(BUFFER_SIZE, struct.pack(">I", size), 16)[0], 0)
            self.assertEqual(qemu.init(), 0)
            self.assertEqual(qemu.ask(ESTABLISHED, b"", 8)[0], 0)
            self.assertEqual(qemu.result(LOCALITY, b"\0"), 0)
            self.assertEqual(command.startup(), 0)
            if round_number == 0:
                command.define_counter()
            self.assertEqual(command.increment(), 0)
            self.assertEqual(command.counter(), round_number + 1)
            self.assertEqual(qemu.result(SHUTDOWN), 0)
            self.assertEqual(command.read_clock(), FAILURE)
            command.close()
            qemu.close()
        tpm.stop()

    def test_others_may_ask_and_not_change(self):
        tpm = self.start(self.new_image())
        qemu, other = self.control(tpm), self.control(tpm)
        command = qemu.take_control()
        self.addCleanup(command.close)
        self.assertEqual(qemu.init(), 0)
        self.assertEqual(command.startup(), 0)

        self.assertEqual(other.capability() & 0x10000, 0x10000)
        self.assertEqual(other.ask(ESTABLISHED, b"", 8)[0], 0)
        self.assertEqual(other.ask(CONFIG, b"", 8)[0], 0)
        self.assertEqual(other.ask(BUFFER_SIZE, struct.pack(">I", 0), 16)[0], 0)
        result, head = other.ask(INFO, struct.pack(">QII", 1, 0, 0), 12)
        self.assertEqual(result, 0)
        self.assertIn(b'"2.0"', receive(other.sock, struct.unpack(">I", head[4:])[0]))
        for kind in (1, 2, 3):
            self.assertEqual(other.get_blob(kind)[0], 0)

        for refused in ((INIT, struct.pack(">I", 0)), (SHUTDOWN,), (STOP,), (LOCALITY, b"\1"),
                        (HASH_START,), (HASH_DATA, struct.pack(">I", 3) + b"abc"), (HASH_END,),
                        (CANCEL,), (STORE_VOLATILE,), (RESET_ESTABLISHED, b"\3"),
                        (SET_BLOB, struct.pack(">III", 0, 1, 5) + b"hello"),
                        (LOCK_STORAGE, struct.pack(">I", 0))):
            self.assertEqual(other.result(*refused), DISABLED, refused)
        self.assertEqual(other.ask(BUFFER_SIZE, struct.pack(">I", 4000), 16)[0], DISABLED)
        with self.assertRaises(PermissionError):
            other.take_control()
        self.assertEqual(command.read_clock(), 0)  # Nothing of it reached the TPM.

        command.close()
        qemu.close()
        # The controller has gone; whoever comes next may take over, once that has been noticed.
        for _ in range(1000):
            try:
                other.take_control().close()
                break
            except PermissionError:
                continue
        else:
            self.fail("the controller never went away")
        self.assertEqual(other.result(STOP), 0)
        tpm.stop()

    def test_state_blobs_in_one_message(self):
        tpm = self.start_server(self.new_image())
        control = self.control(tpm)
        result, total, blob = control.get_blob(1)
        self.assertEqual((result, total), (0, len(blob)))
        self.assertEqual(control.get_blob(1, 1000), (0, total, blob[1000:]))
        self.assertEqual(control.get_blob(1, total), (0, total, b""))
        self.assertEqual(control.get_blob(1, 0xFFFFFFFF), (0, total, b""))
        self.assertEqual(control.get_blob(9), (3, 0, b""))
        self.assertEqual(control.result(STOP), 0)
        # Byte by byte: a message is where its length says, not where a packet ends.
        message = struct.pack(">IIII", SET_BLOB, 0, 1, total) + blob
        for index in range(0, 64):
            control.sock.send(message[index:index + 1])
        control.sock.send(message[64:])
        self.assertEqual(receive(control.sock, 4), bytes(4))
        # Several requests at once are answered one by one.
        control.sock.send(struct.pack(">II", STOP, STOP) + struct.pack(">II", INIT, 0))
        self.assertEqual(receive(control.sock, 12), bytes(12))
        tpm.stop()

    def test_padding_behind_a_byte(self):
        """QEMU sends a locality in four bytes, tpm2-tools in one."""
        tpm = self.start_server(self.new_image())
        control = self.control(tpm)
        for padding in (b"\0\0\0", b"", b"\xde\xad\xbe", b"", b"\0\0\x0e"):
            self.assertEqual(control.result(LOCALITY, b"\1" + padding), 0)
            self.assertEqual(control.result(LOCALITY, b"\0" + padding), 0)
            self.assertEqual(control.result(RESET_ESTABLISHED, b"\3" + padding), 0)
            self.assertEqual(control.get_blob(1)[0], 0)
            self.assertEqual(control.result(LOCALITY, b"\0" + padding), 0)
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
        tpm.stop()

    def test_lengths_that_lie(self):
        tpm = self.start(self.new_image())
        control = self.control(tpm)
        # The body is longer than the blob may ever be: dropped, and the stream goes on behind it.
        length = 3 << 20
        self.assertNotEqual(control.result(SET_BLOB, struct.pack(">III", 0, 1, length)
                                           + bytes(length)), 0)
        self.assertEqual(control.init(), 0)
        # Announces 4 GiB and sends little: no memory is taken for it, nobody else waits.
        before = self.resident_kib(tpm)
        liars = [self.control(tpm) for _ in range(8)]
        for liar in liars:
            liar.sock.send(struct.pack(">IIII", SET_BLOB, 0, 1, 0xFFFFFFFF) + bytes(1000))
            liar.close()
        for kind in (0, 4, 0xFFFFFFFF):
            self.assertNotEqual(control.result(SET_BLOB, struct.pack(">III", 0, kind, 4) + b"1234"),
                                0)
        self.assertEqual(control.result(0xDEAD), BAD_ORDINAL)
        self.assertEqual(control.result(0), BAD_ORDINAL)
        self.assertLess(self.resident_kib(tpm), before + 4096)
        for noise in (b"\0", os.urandom(5000), b"\0\0\0\x0d", b"\0\0\0\x12" * 100):
            client = self.control(tpm)
            client.sock.send(noise)
            client.close()
        self.assertEqual(control.ask(ESTABLISHED, b"", 8)[0], 0)
        tpm.stop()

    @staticmethod
    def resident_kib(tpm):
        with open(f"/proc/{tpm.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def test_descriptors_that_are_none(self):
        tpm = self.start(self.new_image())
        control = self.control(tpm)
        self.assertNotEqual(control.result(DATA_FD), 0)
        with open("/dev/null", "rb") as null:
            self.assertNotEqual(control.ask(DATA_FD, b"", 4, [null.fileno()])[0], 0)
        # With requests that want none they are closed: nothing accumulates.
        control.capability()
        before = len(os.listdir(f"/proc/{tpm.pid}/fd"))
        for _ in range(20):
            with open("/dev/null", "rb") as null:
                control.ask(1, b"", 8, [null.fileno()])
        control.capability() # Behind it the last one is closed, which need not be before its answer.
        # One more is its spare one, closed while it serves a client: it answers before it has that again.
        self.assertLessEqual(len(os.listdir(f"/proc/{tpm.pid}/fd")), before + 1)
        tpm.stop()

    def test_command_socket_beside_a_machine(self):
        """The server's own control socket sets its own locality, and no more while QEMU is there."""
        tpm = self.start_server(self.new_image())
        qemu = self.control(tpm)
        command = qemu.take_control()
        self.addCleanup(command.close)
        beside = type(qemu)(f"{self.server}.ctrl")
        self.addCleanup(beside.close)
        self.assertEqual(beside.result(LOCALITY, b"\2"), 0)
        self.assertEqual(beside.result(STOP), DISABLED)
        # PCR 20 can be reset from localities 2 and 4 only.
        reset = struct.pack(">I", 20) + struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
        self.assertEqual(self.client().run(0x13D, reset, 0x8002)[0], 0)
        self.assertEqual(command.run(0x13D, reset, 0x8002)[0], 0x907)
        with self.assertRaises(PermissionError):
            beside.take_control()
        tpm.stop()

    def test_nonsense_on_the_command_socket(self):
        tpm = self.start_server(self.new_image())
        client = self.client()
        client.sock.sendall(struct.pack(">HII", 0x8001, 0xFFFFFFFF, 0x181))
        self.assertEqual(client.response()[0], 0x142)
        client.close()
        for noise in (b"\x80", os.urandom(20000), b"\0" * 4096):
            other = TpmClient(self.server)
            other.sock.sendall(noise)
            other.close()
        self.assertEqual(self.client().read_clock(), 0)
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
