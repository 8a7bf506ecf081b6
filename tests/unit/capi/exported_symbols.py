"""The shared library exports its public calls, all of them and nothing else.

usage: exported_symbols.py libvnvram.so include/vnvram
"""

import pathlib
import re
import subprocess
import sys

CPP_CLASSES = {"Anchor", "BlockDevice", "Error", "KeyOfferReceiver", "KeyRing", "KeySource", "Store", "Transaction"}
CPP_FUNCTIONS = {"accept_anchor", "add_key_slot", "anchor_text", "change_key_slot", "compare_with_anchor",
                 "erase_keys", "key_slot_kind_name", "list_key_slots", "offer_key_slot", "open_anchor", "parse_anchor",
                 "parse_anchor_policy", "read_public_metadata", "remove_key_slot", "remove_public_metadata",
                 "remove_public_metadata_locked", "set_public_metadata", "set_public_metadata_locked", "test_key",
                 "verdict_name", "check_image", "create_image", "create_image_file", "kind_name", "lengthen_vm_image", "open_device",
                 "discard_stray_record", "parse_space_policy", "repair_image", "salvage_image", "seal_image",
                 "set_space_policy", "reserve_when_locked", "take_over", "unseal_image", "recommended_size_bytes", "required_size_bytes", "resize_image",
                 "resize_image_file", "version"}


def exported(library):
    """Symbols in the form that C++ writes them, without versions."""
    listing = subprocess.run(["nm", "-D", "--defined-only", "--demangle", library], check=True,
                             capture_output=True, text=True).stdout
    symbols = set()
    for line in listing.splitlines():
        _, kind, symbol = line.split(" ", 2)
        if kind != "A":  # The version's own name.
            symbols.add(symbol.split("@@")[0])
    return symbols


def is_public(symbol):
    """What the C++ headers promise, and a class's type information."""
    name = re.sub(r"^(vtable|typeinfo|typeinfo name) for ", "", symbol)
    match = re.match(r"vnvram::(\w+)(?:::(~?\w+))?", name)
    if not match:
        return False
    scope, member = match.groups()
    if scope in CPP_CLASSES:
        return member != "Engine"
    return scope in CPP_FUNCTIONS and member is None


def main(library, headers):
    symbols = exported(library)
    header = pathlib.Path(headers, "vnvram.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"\b(vnvram_\w+)\(", header))
    c_symbols = {symbol for symbol in symbols if symbol.startswith("vnvram_")}
    problems = [f"declared, not exported: {name}" for name in sorted(declared - c_symbols)]
    problems += [f"exported, not declared: {name}" for name in sorted(c_symbols - declared)]
    cpp_symbols = symbols - c_symbols
    problems += [f"exported, not public: {name}" for name in sorted(cpp_symbols)
                 if not is_public(name)]
    for name in sorted(CPP_FUNCTIONS):
        if not any(symbol.startswith(f"vnvram::{name}") for symbol in cpp_symbols):
            problems.append(f"public, not exported: vnvram::{name}")
    for name in ("vnvram::Store::open", "vnvram::Store::commit", "vnvram::Transaction::write"):
        if not any(symbol.startswith(f"{name}(") for symbol in cpp_symbols):
            problems.append(f"public, not exported: {name}")
    if not declared:
        problems.append("no declaration found in vnvram.h")
    print("\n".join(problems) or f"{len(symbols)} symbols, all public")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
