"""Builds the UEFI application of the tests, and keeps it beside the guest's files."""

import os
import pathlib
import tempfile

from guest.guest_image import cache_key, locked_cache, run_tool

HERE = pathlib.Path(__file__).resolve().parent
UNITS = (HERE / "variables.c", HERE / "host.c")
HEADERS = (HERE / "uefi.h", HERE / "host.h")
COMPILE = ("clang", "-target", "x86_64-unknown-windows", "-std=c11", "-O2", "-ffreestanding",
           "-mno-red-zone", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-c")
LINK = ("ld", "-m", "i386pep", "--subsystem", "10", "--entry", "efi_main", "--dynamicbase",
        "--strip-all")


def uefi_application():
    """The path of the program, a PE file that any x86-64 firmware starts."""
    with locked_cache() as cache:
        kept = cache / f"variables-{cache_key([*UNITS, *HEADERS, pathlib.Path(__file__)])}.efi"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="efi-") as scratch:
                built = pathlib.Path(scratch, kept.name)
                objects = []
                for unit in UNITS:
                    objects.append(pathlib.Path(scratch, f"{unit.stem}.o"))
                    run_tool(*COMPILE, "-o", objects[-1], unit)
                run_tool(*LINK, "-o", built, *objects)
                os.replace(built, kept)
        return kept
