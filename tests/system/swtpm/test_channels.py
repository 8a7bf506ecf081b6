"""Where commands and control requests come from: descriptors, TCP, and both by one program."""

import os
import select
import socket
import struct
import tty
import unittest

from harness.child import PATIENCE_SECONDS

from tpm.support import ControlClient, LOCALITY, SHUTDOWN, STOP, TpmClient, two_free_ports

from . import facts
from .case import SwtpmCase
from .programs import OURS, SWTPM, TPM2, TPM12, place_options
from .test_wire import AS_STORED, PERMANENT, VOLATILE, get_blob, set_blob

REGISTER_OF_LOCALITY_2, RESET, BAD_LOCALITY = 20, 0x13D, 0x907
BAD_LOCALITY_RESULT = 0x3D
SET_LOCALITY = 0x20001000
STARTUP = struct.pack(">HIIH", 0x8001, 12, 0x144, 0)
GET_RANDOM_OF_NONE = struct.pack(">HIIH", 0x8001, 12, 0x17B, 0)


class OpenControl(ControlClient):
    """On a socket that is connected."""

    def __init__(self, sock): # pylint: disable=super-init-not-called
        self.sock = sock


def reset(client):
    """Of a register that only locality 2 may reset: the response code."""
    return client.run(RESET, struct.pack(">I", REGISTER_OF_LOCALITY_2) + facts.EMPTY_PASSWORD,
                      0x8002)[0]


class Channels(SwtpmCase):

    def setUp(self):
        super().setUp()
        self.folder = self.new_folder()

    def start_words(self, *words, name=OURS, inherits=()):
        return self.start_child([name, "socket", "--tpm2", *place_options(self.folder), *words],
                                inherits)

    def connection(self, kind, address):
        sock = socket.socket(kind)
        try:
            sock.connect(address)
        except OSError:
            sock.close()  # It is tried a thousand times where the other one is slow to start.
            raise
        self.addCleanup(sock.close)
        return sock

    def listener(self, name):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.workspace.file(name)))
        listener.listen()
        return listener

    def test_sockets_that_listen(self):
        with self.listener("c") as control, self.listener("s") as server:
            child = self.start_words("--ctrl", f"type=unixio,fd={control.fileno()}",
                                     "--server", f"type=unixio,fd={server.fileno()}",
                                     inherits=(control.fileno(), server.fileno()))
        control = ControlClient(self.workspace.file("c"))
        self.assertEqual(control.init(), 0)
        client = TpmClient(self.workspace.file("s"))
        self.assertEqual(client.startup(), 0)
        client.close()
        self.assertEqual(control.result(SHUTDOWN), 0)
        control.close()
        self.assertEqual(child.wait(), 0)
        # Who has made them removes them.
        self.assertTrue(self.workspace.file("c").exists())

    def test_connections(self):
        control, theirs = socket.socketpair()
        commands, their_commands = socket.socketpair()
        self.addCleanup(commands.close)
        with theirs, their_commands:
            child = self.start_words("--ctrl", f"type=unixio,clientfd={theirs.fileno()}",
                                     "--fd", str(their_commands.fileno()),
                                     inherits=(theirs.fileno(), their_commands.fileno()))
        control = OpenControl(control)
        self.addCleanup(control.close)
        self.assertEqual(control.init(), 0)
        client = TpmClient(commands)
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        self.assertEqual(control.result(SHUTDOWN), 0)
        self.assertEqual(child.wait(), 0)

    def test_the_end_of_the_only_connections(self):
        control, theirs = socket.socketpair()
        with theirs:
            child = self.start_words("--ctrl", f"type=unixio,clientfd={theirs.fileno()},terminate",
                                     inherits=(theirs.fileno(),))
        control = OpenControl(control)
        self.assertEqual(control.init(), 0)
        control.close()
        self.assertEqual(child.wait(), 0)

    def start_tcp(self, name=OURS):
        port = two_free_ports()
        child = self.start_words("--server", f"type=tcp,port={port}", "--ctrl",
                                 f"type=tcp,port={port + 1}", name=name)
        return child, port

    def over_tcp(self, child, port):
        """As soon as somebody is there."""
        while True:
            try:
                return self.connection(socket.AF_INET, ("127.0.0.1", port))
            except ConnectionRefusedError:
                self.assertIsNone(child.returncode)

    def test_state_and_locality_over_tcp(self):
        child, port = self.start_tcp()
        control = OpenControl(self.over_tcp(child, port + 1))
        self.assertEqual(control.init(), 0)
        client = TpmClient(self.over_tcp(child, port))
        self.assertEqual(client.startup(), 0)
        made = facts.make(client)
        self.assertEqual(reset(client), BAD_LOCALITY)
        self.assertEqual(control.result(LOCALITY, b"\2"), 0)
        self.assertEqual(reset(client), 0)
        blobs = [(kind, *get_blob(control, kind, AS_STORED)) for kind in (PERMANENT, VOLATILE)]
        self.assertEqual(control.result(SHUTDOWN), 0)
        client.close()
        self.assertEqual(child.wait(), 0)

        self.folder = self.new_folder()
        child, port = self.start_tcp()
        control = OpenControl(self.over_tcp(child, port + 1))
        self.assertEqual(control.result(STOP), 0)
        for kind, flags, blob in blobs:
            self.assertEqual(set_blob(control, kind, flags, blob), 0)
        self.assertEqual(control.init(1), 0)
        client = TpmClient(self.over_tcp(child, port))
        self.assertEqual(facts.facts(client), made)

    def test_locality_of_a_unix_control_channel(self):
        for name in (SWTPM, OURS):
            tpm, client = self.power_on(self.new_folder(), name=name)
            self.assertEqual(reset(client), BAD_LOCALITY)
            self.assertEqual(self.result(tpm, LOCALITY, b"\2"), 0)
            self.assertEqual(reset(client), 0)
            self.assertEqual(self.result(tpm, LOCALITY, b"\0"), 0)
            self.assertEqual(reset(client), BAD_LOCALITY)
            client.close()
            tpm.kill()

    def test_a_locality_that_nobody_may_have(self):
        rejects = ("--locality", "reject-locality-4")
        for options, result in (((), 0), (rejects, BAD_LOCALITY_RESULT)):
            for name in (SWTPM, OURS):
                tpm, client = self.power_on(self.new_folder(), options, name)
                self.assertEqual(self.result(tpm, LOCALITY, b"\4"), result, name)
                self.assertEqual(self.result(tpm, LOCALITY, b"\3"), 0)
                client.close()
                tpm.kill()

    def test_a_connection_for_each_command(self):
        """--server ...,disconnect"""
        for name in (SWTPM, OURS):
            self.folder = self.new_folder()
            port = two_free_ports()
            child = self.start_words("--server", f"type=tcp,port={port},disconnect", "--flags",
                                     "not-need-init,startup-clear", name=name)
            for _ in range(3):
                client = TpmClient(self.over_tcp(child, port))
                client.read_clock()
                with self.assertRaises(ConnectionError, msg=name):
                    client.read_clock()
            child.kill()


class Devices(SwtpmCase):
    """swtpm chardev: a character device is the data channel."""

    def check(self, words_for, name):
        """What the TPM answers, byte by byte, and how it ends with the device."""
        master, device = os.openpty()
        tty.setraw(device)
        try:
            child = self.start_child([name, "chardev", "--tpm2", *place_options(self.new_folder()), *words_for(device),
                                      "--flags", "not-need-init"], (device,))
            answers = []
            for command in (STARTUP, GET_RANDOM_OF_NONE):
                os.write(master, command)
                answers.append(self.read_answer(master, child))
        finally:
            os.close(master)
            self.addCleanup(os.close, device)
        self.assertEqual(child.wait(), 0)
        # It is the caller's, who may go on with it.
        self.assertTrue(os.get_blocking(device))
        return answers

    def read_answer(self, master, child):
        answer = b""
        while len(answer) < 10 or len(answer) < int.from_bytes(answer[2:6], "big"):
            ready, _, _ = select.select([master, child.pidfd], [], [], PATIENCE_SECONDS)
            self.assertEqual(ready, [master], child.log.read_text(errors="replace"))
            answer += os.read(master, 4096)
        return answer

    def test_a_device(self):
        for words_for in (lambda device: ("--fd", str(device)),
                          lambda device: ("--chardev", os.ttyname(device))):
            theirs, ours = self.check(words_for, SWTPM), self.check(words_for, OURS)
            self.assertEqual(ours, theirs)
            self.assertEqual(ours[0][6:10], bytes(4))

    def test_what_is_no_device(self):
        child = self.start_child([OURS, "chardev", "--tpm2", *place_options(self.new_folder()),
                                  "--chardev", str(self.new_file(10))])
        self.assertEqual(child.wait(), 1)
        self.assertIn("no character device", child.log.read_text())


class LocalityCommands(SwtpmCase):
    """What Linux's vTPM proxy sends before commands of another locality."""

    def answers(self, name, version, option):
        tpm = self.start(self.new_folder(), ("--locality", option), name, version=version)
        self.assertEqual(self.init(tpm), 0)
        client = tpm.client()
        if version:
            self.assertEqual(client.startup(), 0)
        tag, answers = 0x8001 if version else 0xC1, []
        for locality in (0, 1, 2, 3, 4, 5, 255):
            answers.append(client.run(SET_LOCALITY, bytes([locality]), tag))
            if version and locality in (1, 2):
                answers.append(reset(client))
        answers.append(client.run(SET_LOCALITY, b"", tag)) # Too short.
        client.close()
        tpm.stop()
        return answers

    def test_they_are_answered_as_by_swtpm(self):
        for version in (TPM2, TPM12):
            for option in ("allow-set-locality", "allow-set-locality,reject-locality-4"):
                with self.subTest(version=version, option=option):
                    self.assertEqual(self.answers(OURS, version, option), self.answers(SWTPM, version, option))

    def test_they_are_none_unless_that_is_asked_for(self):
        tpm, client = self.power_on(self.new_folder())
        self.assertNotEqual(client.run(SET_LOCALITY, bytes([2]))[0], 0)
        self.assertEqual(reset(client), BAD_LOCALITY)
        client.close()
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
