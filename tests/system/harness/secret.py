"""A counter and a sealed secret, and what a revert has to bring back."""

from typing import NamedTuple

from .case import COUNTER, SEALED, read_counter


class Kept(NamedTuple):
    """What the guest reads out of its TPM."""
    counter: int
    secret: str


def read_kept(qemu):
    return Kept(read_counter(qemu), qemu.must(f"tpm2_unseal -c {SEALED}"))


def keep(qemu, secret, increments, first=False):
    """Counts up, and seals a secret instead of the one before it; returns what is kept now."""
    if first:
        qemu.must(f"nvloop define {COUNTER}")
    else:
        qemu.must(f"tpm2_evictcontrol -Q -C o -c {SEALED}")
    for _ in range(increments):
        qemu.must(f"nvloop increment {COUNTER}")
    qemu.must("tpm2_createprimary -Q -C o -G ecc -c primary")
    qemu.must(f"printf %s {secret} > secret && "
              "tpm2_create -Q -C primary -i secret -u public -r private")
    qemu.must("tpm2_load -Q -C primary -u public -r private -c sealed")
    qemu.must(f"tpm2_evictcontrol -Q -C o -c sealed {SEALED}")
    kept = read_kept(qemu)
    if kept.secret != secret:
        raise AssertionError(f"sealed {secret}, unsealed {kept.secret}")
    return kept
