"""Clients that say nothing, or do not end what they begin, and a process without descriptors: QEMU
gets in whatever they do."""

import os
import resource
import select
import socket
import struct
import subprocess
import time
import unittest

from support import (DATA_FD, DISABLED, INIT, LOCALITY, SET_BLOB, ControlClient, Deadline, TpmCase,
                     TpmClient, is_silent, program, receive, swtpm_ioctl)

CLIENTS_MAX = 32
BAD_PARAMETER = 3
FAILURE = 0x101
IO_ERROR = 21  # An exit code.


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def wait_closed(socks, seconds=120):
    """Until the other side has closed all of them, without a word."""
    left, deadline = list(socks), Deadline(seconds)
    while left:
        ready, _, _ = select.select(left, [], [], deadline.left())
        if not ready:
            raise TimeoutError(f"{len(left)} of {len(socks)} are not closed after {seconds} s")
        for sock in ready:
            if sock.recv(4096):
                raise AssertionError("an answer, and no end")
            left.remove(sock)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class ManyClients(TpmCase):

    def idle(self, path, count):
        socks = [connect(path) for _ in range(count)]
        for sock in socks:
            self.addCleanup(sock.close)
        return socks

    def test_silent_ones_do_not_lock_out_qemu(self):
        tpm = self.start(self.new_image())
        before = self.idle(tpm.control, CLIENTS_MAX + 8)
        qemu = self.control(tpm)
        command = qemu.take_control()
        self.addCleanup(command.close)
        self.assertEqual(qemu.init(), 0)
        # The controller stays, however many come behind it, though it is silent as well.
        behind = self.idle(tpm.control, 2 * CLIENTS_MAX)
        last = self.control(tpm)
        self.assertEqual(last.capability(), 0x1FFFF)
        self.assertEqual(command.startup(), 0)
        self.assertEqual(qemu.capability(), 0x1FFFF)
        wait_closed(before + behind[:CLIENTS_MAX + 2])
        # Of those that stayed, each that says something is answered.
        for sock in behind[-5:]:
            sock.sendall(struct.pack(">I", 1))
            self.assertEqual(receive(sock, 8)[4:], bytes.fromhex("0001ffff"))
        tpm.stop()

    def test_silent_ones_do_not_lock_out_commands(self):
        tpm = self.start_server(self.new_image())
        busy = self.client()
        self.idle(self.server, CLIENTS_MAX - 1)
        # The oldest, but it is not silent.
        for _ in range(CLIENTS_MAX):
            self.assertEqual(busy.read_clock(), 0)
            self.idle(self.server, 1)
        self.assertEqual(self.client().read_clock(), 0)
        swtpm_ioctl(tpm, "-c")
        tpm.stop()

    def test_silent_ones_do_not_lock_out_the_operator(self):
        admin = self.workspace.file("admin")
        tpm = self.start(self.new_image(), options=("--admin", f"unix:{admin}"))
        opened = len(os.listdir(f"/proc/{tpm.pid}/fd"))
        socks = self.idle(admin, 2 * CLIENTS_MAX)
        self.vnvram_tpm("status", admin)
        for sock in socks[:CLIENTS_MAX]:  # Cap'n Proto says why.
            self.assertIn(b"has made room", receive(sock, 1 << 20))
        self.assertLessEqual(len(os.listdir(f"/proc/{tpm.pid}/fd")), opened + CLIENTS_MAX + 1)
        self.vnvram_tpm("hold", admin)
        self.vnvram_tpm("resume", admin)
        tpm.stop()

    def test_what_is_not_gone_on_with_is_dropped(self):
        tpm = self.start(self.new_image(), self.server,
                         ("--admin", f"unix:{self.workspace.file('admin')}"))
        qemu = self.control(tpm)
        machine = qemu.take_control()
        self.addCleanup(machine.close)
        # Whole commands, whatever is behind them: a padding that means nothing is no beginning.
        idle = self.control(tpm)
        self.assertEqual(idle.ask(1, b"", 8)[0], 0)
        self.assertEqual(qemu.result(LOCALITY, b"\0\0\0\0"), 0)
        waiting = self.client()
        self.assertEqual(qemu.stop(), 0)
        self.assertEqual(waiting.read_clock(), FAILURE)

        begun = []
        for path, beginning in (
                (tpm.control, b"\0"), (tpm.control, struct.pack(">I", INIT) + b"\0"),
                (tpm.control, struct.pack(">IIII", SET_BLOB, 0, 1, 1000)),
                (tpm.control, struct.pack(">IIII", SET_BLOB, 0, 1, 1000) + bytes(999)),
                (tpm.control, struct.pack(">IIII", SET_BLOB, 0, 9, 0xFFFFFFFF) + bytes(99)),
                (f"{self.server}.ctrl", b"\0\0\0"), (self.server, b"\x80"),
                (self.server, struct.pack(">HII", 0x8001, 12, 0x144)),
                (self.server, struct.pack(">II", 8, 0) + b"\0")):
            (sock,) = self.idle(path, 1)
            sock.sendall(beginning)
            begun.append(sock)
        machine.sock.sendall(b"\x80\x01\0")
        operators = self.idle(self.workspace.file("admin"), 3)
        for sock, beginning in zip(operators, (b"\0", struct.pack("<II", 0, 5) + bytes(39),
                                               struct.pack("<I", 0))):
            sock.sendall(beginning)
        (operator,) = self.idle(self.workspace.file("admin"), 1)
        wait_closed([*begun, machine.sock])
        for sock in operators:  # Cap'n Proto says why.
            self.assertIn(b"timed out", receive(sock, 1 << 20))

        # Nobody else has lost anything.
        for sock in (idle.sock, waiting.sock, operator):
            self.assertTrue(is_silent(sock))
        self.assertEqual(idle.capability(), 0x1FFFF)
        self.assertEqual(waiting.read_clock(), FAILURE)
        self.assertEqual(qemu.stop(), 0)
        self.assertEqual(qemu.init(), 0)
        self.assertIn("not gone on with a command", tpm.log.read_text(errors="replace"))
        subprocess.run([program("vnvram"), "tpm", "status",
                        self.workspace.file("admin")], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        tpm.stop()

    def test_what_is_gone_on_with_slowly_is_not(self):
        """For longer than anybody may be silent, a byte at a time."""
        tpm = self.start_server(self.new_image())
        control = self.control(tpm)
        blob = control.get_blob(1)[2]
        self.assertEqual(control.stop(), 0)
        silent = connect(tpm.control)
        self.addCleanup(silent.close)
        silent.sendall(b"\0")
        control.sock.sendall(struct.pack(">IIII", SET_BLOB, 0, 1, len(blob)))
        sent = 0
        # The other one's end says how long that was.
        while not select.select([silent], [], [], 0.02)[0]:
            self.assertLess(sent, len(blob) - 1)
            control.sock.sendall(blob[sent:sent + 1])
            sent += 1
        self.assertEqual(silent.recv(1), b"")
        control.sock.sendall(blob[sent:sent + 1])
        control.sock.sendall(blob[sent + 1:])
        self.assertEqual(receive(control.sock, 4), bytes(4))
        tpm.stop()

    def test_held_commands_are_not_dropped(self):
        """While the TPM takes no commands nobody's time runs, and whoever waits is not silent."""
        admin = self.workspace.file("admin")
        tpm = self.start(self.new_image(), self.server, ("--admin", f"unix:{admin}"))
        waiting = [self.client() for _ in range(CLIENTS_MAX)]
        halves = waiting[:3]
        self.vnvram_tpm("hold", admin)
        for client in halves:
            client.sock.sendall(struct.pack(">HI", 0x8001, 10))
        silent = connect(tpm.control)  # Whose end tells that the time is over.
        self.addCleanup(silent.close)
        silent.sendall(b"\0")
        wait_closed([silent])
        self.vnvram_tpm("resume", admin)
        for client in halves:
            client.sock.sendall(struct.pack(">I", 0x181))
            self.assertEqual(client.response()[0], 0)
        tpm.stop()

    @staticmethod
    def vnvram_tpm(verb, admin):
        subprocess.run([program("vnvram"), "tpm", verb, admin], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)

    # ---- No descriptors left.

    @staticmethod
    def leave_descriptors(tpm, count, go_round=lambda: None):
        """So many more than it has open now, with nothing open that it is about to close: `go_round` asks it something."""
        seen, opened = None, []
        while opened != seen:
            seen = opened
            go_round()
            opened = sorted(int(number) for number in os.listdir(f"/proc/{tpm.pid}/fd"))
        limit = max(opened) + 1
        free = limit - len(opened)
        limit += count - free
        _, hard = resource.prlimit(tpm.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(tpm.pid, resource.RLIMIT_NOFILE, (limit, hard))

    def test_without_descriptors_qemu_gets_in(self):
        tpm = self.start_server(self.new_image())
        self.control(tpm).capability()  # It serves: all that it has of its own is open.
        self.leave_descriptors(tpm, 3)
        idle = self.idle(tpm.control, 10)
        for _ in range(3):
            qemu = self.control(tpm)
            command = qemu.take_control()
            self.assertEqual(qemu.init(), 0)
            self.assertEqual(command.startup(), 0)
            command.close()
            qemu.close()
            idle += self.idle(tpm.control, 10)
        tpm.stop()

    def test_without_descriptors_it_neither_spins_nor_hangs(self):
        for socket_of in (lambda tpm: tpm.control, lambda _: self.server):
            tpm = self.start_server(self.new_image())
            machine = self.control(tpm)
            command = machine.take_control()
            self.leave_descriptors(tpm, 0, machine.capability)
            sock = connect(socket_of(tpm))
            self.addCleanup(sock.close)
            sock.sendall(struct.pack(">HII", 0x8001, 10, 0x181) if socket_of(tpm) == self.server
                         else struct.pack(">I", 1))
            before, deadline = cpu_seconds(tpm.pid), time.monotonic() + 2
            while time.monotonic() < deadline:
                # Others are served meanwhile.
                self.assertEqual(machine.capability(), 0x1FFFF)
                self.assertEqual(select.select([sock], [], [], 0.2)[0], [])
            self.assertLess(cpu_seconds(tpm.pid) - before, 0.15)
            self.assertIn("none can be taken in", tpm.log.read_text(errors="replace"))
            self.leave_descriptors(tpm, 20)
            self.assertTrue(receive(sock, 8))
            machine.close()
            command.close()
            tpm.stop()
            self.workspace.file("nvram.img").unlink()

    def test_too_few_descriptors_to_start_are_said(self):
        image = self.new_image()
        argv = ["prlimit", "--nofile=4:4", "--", str(program("vnvram-tpm")), str(image), "--ctrl",
                f"unix:{self.workspace.file('control')}"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, IO_ERROR, done.stderr)
        self.assertIn("event descriptor: Too many open files", done.stderr)

    # ---- What is handed over.

    def test_only_connected_streams_carry_commands(self):
        tpm = self.start(self.new_image())
        control = self.control(tpm)
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        pipe = os.pipe()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.workspace.file("listening")))
        listening.listen()
        unconnected = socket.socket(socket.AF_UNIX)
        for end in (*pair, listening, unconnected):
            self.addCleanup(end.close)
        for fd in pipe:
            self.addCleanup(os.close, fd)
        for fd in (pair[0].fileno(), pipe[0], listening.fileno(), unconnected.fileno()):
            self.assertEqual(control.ask(DATA_FD, b"", 4, [fd])[0], BAD_PARAMETER)
        self.assertEqual(control.result(DATA_FD), BAD_PARAMETER)
        self.assertIn("the socket is no stream", tpm.log.read_text(errors="replace"))
        self.assertIn("the socket is not connected", tpm.log.read_text(errors="replace"))

        # A named one and one of the network do as well as a pair.
        network = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(network.close)
        for listener, family, address in ((listening, socket.AF_UNIX, listening.getsockname()),
                                          (network, socket.AF_INET, network.getsockname())):
            theirs = socket.socket(family)
            theirs.connect(address)
            ours, _ = listener.accept()
            self.assertEqual(control.ask(DATA_FD, b"", 4, [theirs.fileno()])[0], 0)
            theirs.close()
            client = TpmClient(ours)
            self.assertEqual(client.read_clock(), FAILURE)
            client.close()
        self.assertEqual(control.init(), 0)
        tpm.stop()

    def test_a_machine_at_the_socket_beside_the_server(self):
        tpm = self.start_server(self.new_image())
        qemu = ControlClient(f"{self.server}.ctrl")
        self.addCleanup(qemu.close)
        machine = qemu.take_control()
        self.addCleanup(machine.close)
        # It is in charge, here and at the other socket.
        self.assertEqual(self.control(tpm).stop(), DISABLED)
        with self.assertRaises(PermissionError):
            self.control(tpm).take_control()
        self.assertEqual(qemu.stop(), 0)
        self.assertEqual(qemu.init(), 0)
        self.assertEqual(machine.startup(), 0)
        # Its locality is that of the machine's commands, and of nobody else's. PCR 20 can be reset
        # from localities 2 and 4 only.
        reset = struct.pack(">I", 20) + struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
        self.assertEqual(qemu.result(LOCALITY, b"\2"), 0)
        self.assertEqual(machine.run(0x13D, reset, 0x8002)[0], 0)
        self.assertEqual(self.client().run(0x13D, reset, 0x8002)[0], 0x907)
        qemu.close()
        self.assertEqual(receive(machine.sock, 1), b"")
        self.take_over(tpm)
        tpm.stop()

    def take_over(self, tpm):
        """Once the end of the other one was noticed."""
        deadline = Deadline(60)
        while not deadline.passed():
            control = self.control(tpm)
            try:
                control.take_control().close()
                return
            except PermissionError:
                control.close()
        self.fail("the controller never went away")


if __name__ == "__main__":
    unittest.main()
