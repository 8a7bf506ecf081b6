"""UEFI variables as a Linux guest sees them, in efivarfs."""

FOLDER = "/sys/firmware/efi/efivars"
OWN = "4d565241-6d21-4c55-9a01-764e5652414d"
MONOTONIC_COUNTER = "MTC-eb704011-1402-11d3-8e77-00a0c969723b"
KEPT = r"\7\0\0\0"  # Non-volatile, for the firmware and for the operating system.


def write(qemu, name, content):
    """Sets one of our variables to what a shell command prints."""
    path = f"{FOLDER}/{name}-{OWN}"
    # Linux protects a variable from a careless `rm -r`, and takes a value in one write only.
    qemu.must(f"if [ -e {path} ]; then chattr -i {path}; fi")
    qemu.must(f"(printf '{KEPT}'; {content}) > value && cat value > {path}")


def remove(qemu, name):
    path = f"{FOLDER}/{name}-{OWN}"
    qemu.must(f"chattr -i {path} && rm {path}")


def read(qemu, name):
    """The value as text; None when there is no such variable."""
    path = f"{FOLDER}/{name}-{OWN}"
    if qemu.run(f"[ -e {path} ]").status != 0:
        return None
    return qemu.must(f"tail -c +5 {path}")


def digests(qemu):
    """{file name: SHA-256} of all variables, but for the one that the firmware counts its starts
    in."""
    lines = qemu.must(f"cd {FOLDER} && sha256sum * && cd").splitlines()
    found = dict(reversed(line.split(maxsplit=1)) for line in lines)
    del found[MONOTONIC_COUNTER]
    return found


def starts(qemu):
    """How often a firmware has started on these variables: it counts, and writes, each time."""
    text = qemu.must(f"tail -c +5 {FOLDER}/{MONOTONIC_COUNTER} | hexdump -v -e '/4 \"%u\"'")
    return int(text)
