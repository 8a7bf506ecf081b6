#!/usr/bin/env python3
"""Shows that every barrier and check of the engine is needed: builds without one of them at a time
(src/base/barrier.h names them), runs the tests until the first red one, and prints the table.

Ends with 0 if the tests are green with all barriers and red without each. The names of barriers as
arguments: only these.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"
# The quick ones first. block_device_test needs root.
PROGRAMS = ["format_test", "keys_test", "anchor_test", "cut_test", "damage_test", "store_test", "device_test",
            "block_device_test", "crash_test"]
# For one run of a program that has a barrier less, which may make it hang. All of crash_test takes some
# minutes, and on a busy machine ten times as long.
TIMEOUT_SECONDS = 3600

# The test that is there for a barrier runs first. If it stays green all others do, too.
EXPECTED = {
    "commit_durability": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "checkpoint_flush": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "superblock_durability": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "ring_held_back": "crash_test:CrashTest.Invariants1And2HoldForCommitsInsideACheckpoint",
    "other_slot": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "epoch": "damage_test:*MisplacedBlockTest.LateRecordsOfAnEarlierEpoch*",
    "new_epoch": "store_test:Open.WhereNoLockHelpsTheEpochStopsTheFirstOwner",
    "chain": "damage_test:*MisplacedBlockTest.ARecordBehindAnotherPredecessor*",
    "salt": "damage_test:ForgedContentTest.AGuestCannotForge*",
    "block_checksum": "damage_test:*BitRotTest.Invariant5HoldsForEveryBlockOfAClosedImage/plain",
    "record_checksum": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "superblock_checksum": "crash_test:CrashTest.Invariants1And2HoldAtEveryCutOfAMixedWorkload",
    "superblock_mac": "store_test:EncryptedTest.ASuperblockOfSomebodyWithoutTheKeyIsRefused",
    "block_kind_bound": "format_test:SealedCodec.OpensWhatItSealedAtThatPlaceOnly",
    "block_number_bound": "format_test:SealedCodec.OpensWhatItSealedAtThatPlaceOnly",
    "record_epoch_bound": "format_test:SealedRecord.CountsInItsPlaceInTheHistoryOnly",
    "record_sequence_bound": "format_test:SealedRecord.CountsInItsPlaceInTheHistoryOnly",
    "record_chain_bound": "format_test:SealedRecord.CountsInItsPlaceInTheHistoryOnly",
    "fresh_nonce": "format_test:SealedCodec.TheSameContentIsNeverSealedTwiceAlike",
    "record_key": "format_test:ImageKeysTest.EachPurposeHasAKeyOfItsOwn",
    "block_key": "format_test:ImageKeysTest.EachPurposeHasAKeyOfItsOwn",
    "superblock_key": "format_test:ImageKeysTest.EachPurposeHasAKeyOfItsOwn",
    "key_id_derived": "format_test:ImageKeysTest.EachPurposeHasAKeyOfItsOwn",
    "slot_bound": "keys_test:SlotWrapTest.InAnotherImageOrSlotItIsNone",
    "voucher_checked": "keys_test:SlotWrapTest.WhatWasMadeWithoutTheDataKeyIsRefused",
    "old_key_overwritten": "cut_test:KeyExchangeCutTest.NothingOfWhatWasSealedBeforeIsLeft",
    "header_copy_durability": "keys_test:HeaderAreaTest.ACutLeavesTheOldOrTheNew",
    "records_behind_break": "store_test:Open.ADamagedRecordWithAWholeOneBehindIt*",
    "open_flush": "damage_test:OpeningCutTest.*CacheOnly",
    "recovery_flush": "damage_test:OpeningCutTest.*Recovery*",
    "second_superblock_at_open": "store_test:Open.ARottenSuperblockAfterAnEpochBeganLosesNothing",
    "third_superblock": "damage_test:ThirdSuperblock.*",
    "second_superblock_at_close": "store_test:Open.EitherSuperblockOfANewImageIsEnough",
    "owner_check": "store_test:Ownership.AnOvertakenOwnerWritesNothingAtACheckpoint",
    "wait_for_overtaken": "damage_test:TwoOwnersTest.AnOwnerThatWasOvertakenWhileIdleDestroysNoRecord",
    "look_first": "store_test:Ownership.AnIdleOwnerLooksBeforeItWrites",
    "look_before_superblock": "damage_test:*ReplacedContentTest*",
    "hand_over_look": "store_test:HandOverOfImage.NobodyElseDoes",
    "take_back_look": "store_test:HandOverOfImage.ItDoesNotTakeBackWhatHasGoneOnElsewhere",
    "hand_over_word": "store_test:HandOverOfImage.NobodyElseDoes",
    "opening_claim": "damage_test:*EveryOvertakenOpeningTest.*",
    "move_look": "cut_test:*MoveCutTest.*",
    "unclosed_word": "store_test:Unclosed.ItIsRefusedWhereNoLockTells",
    "replaced_content": "store_test:Ownership.ContentThatWasPutInTheImagesPlace*",
    "file_named": "device_test:FileNameTest.*",
    "medium_reads": "block_device_test:BlockDeviceTest.AnotherLoopDevicesWritesAreSeen",
    "writer_locked": "device_test:FileLockTest.WhateverAnOwnerWritesByHasALock",
    "drop_cache": "device_test:FileDeviceTest.ANewOwnerReadsFromTheDiskAndNotFromTheCache",
    "create_superblocks_wipe": "damage_test:ForeignImageTest.AForcedCreateThatIsCut*",
    "create_superblocks_flush": "damage_test:ForeignImageTest.AForcedCreateThatIsCut*",
    "create_wipe": "damage_test:*MisplacedBlockTest.ANewImageShowsNothing*",
    "deferred_first": "crash_test:CrashTest.Invariant8*",
    "deferred_kept": "store_test:DeferredFailure.WhatCouldNotBeWrittenComesBefore*",
    "deferred_in_turn": "store_test:Deferred.AFlushAfterAFailedOneLeavesNothingWaiting",
    "deferred_bounded": "store_test:DeferredCommit.ABatchNeverExceedsARecordAndNothingIsLost",
    "anchor_judged": "cut_test:*AnchorCutTest.Invariant12RefusesEveryOlderState*",
    "anchor_announces": "cut_test:*AnchorCutTest.Invariant12HoldsAtEveryCut*",
    "anchor_knows_key": "cut_test:KeyExchangeCutTest.Invariant12KnowsWhichDataKeyItIs",
    "anchor_before_answer": "cut_test:*AnchorCutTest.Invariant12HoldsAtEveryCut*",
    "deferred_at_close": "store_test:DeferredCommit.CloseMakesAllDurable",
}


def barriers():
    """name -> (invariants, what it is)"""
    text = (ROOT / "src/base/barrier.h").read_text()
    return {name: (invariants, what)
            for name, invariants, what in re.findall(r"^  (\w+), +// ([\d, ]+): (.*)$", text, re.M)}


def build(name):
    """The test programs without this barrier, in a folder of their own. Empty: with all of them."""
    print(f"building without {name or 'nothing'}", file=sys.stderr, flush=True)
    configure = ["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-Wno-dev", f"-DVNVRAM_REMOVE={name}",
                 "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1", "-DCMAKE_C_FLAGS_DEBUG=-O1"]
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    for command in (configure, ["cmake", "--build", BUILD, "--target", *PROGRAMS, "--", "--quiet"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    folder = BUILD / "without" / (name or "nothing")
    folder.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        shutil.copy2(BUILD / "bin" / program, folder)
    return folder


def run(folder, program, gtest_filter):
    """What was red (None: nothing), what it said, and how many crash images were tried."""
    command = [folder / program, "--gtest_fail_fast", f"--gtest_filter={gtest_filter}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace",
                              timeout=TIMEOUT_SECONDS, check=False)
        output, ended = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output, ended = (expired.stdout or b"").decode(errors="replace"), "timeout"
    images = sum(int(count) for count in re.findall(r"(\d+) images", output))
    if ended == 0:
        if "Running 0 tests" in output:
            raise LookupError(f"{program} has no test {gtest_filter}")
        return None, "", images
    started = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
    failed = re.findall(r"^\[  FAILED  \] (\w+\.\w+)", output, re.M)
    test = (failed or started[-1:] or [program])[0]
    how = {"timeout": f"hung: ended after {TIMEOUT_SECONDS} s", 1: ""}.get(ended, f"died: {ended}")
    said = re.search(r": Failure\n((?:.*\n){1,4})", output)
    return test + (f" ({how})" if how else ""), said[1].strip() if said else output[-300:], images


def try_mutant(name, folder):
    """One row of the table."""
    begin = time.monotonic()
    runs = [(program, "*") for program in PROGRAMS]
    expected = EXPECTED.get(name)
    if expected:
        runs.insert(0, tuple(expected.split(":", 1)))
    caught, said, images = None, "", 0
    for number, (program, gtest_filter) in enumerate(runs):
        caught, said, tried = run(folder, program, gtest_filter)
        images += tried
        if caught:
            if expected and number > 0:
                caught += " (not the test that is there for it)"
            break
    shutil.rmtree(folder)
    return {"name": name, "caught_by": caught, "said": said, "images": images,
            "seconds": round(time.monotonic() - begin, 1)}


def print_row(*cells):
    widths = (27, 5, 92, 7, 8)
    print(" | ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("barriers", nargs="*", help="only these")
    parser.add_argument("--json", metavar="FILE", help="the table for another program")
    arguments = parser.parse_args()
    known = barriers()
    unknown = set(arguments.barriers) - known.keys() or EXPECTED.keys() ^ known.keys()
    if unknown:
        parser.error(f"unknown here, or to src/base/barrier.h: {', '.join(sorted(unknown))}")
    names = arguments.barriers or list(known)
    begin = time.monotonic()

    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # The next one is built while these run.
        rows = [pool.submit(try_mutant, name, build(name)) for name in ["", *names]]
        control, *rows = [row.result() for row in rows]
    print_row("removed", "inv.", "caught by", "images", "seconds")
    print_row("(nothing)", "", control["caught_by"] or "all tests green", control["images"], control["seconds"])
    for row in rows:
        row["invariants"], row["what"] = known[row["name"]]
        print_row(row["name"], row["invariants"], row["caught_by"] or "SURVIVED", row["images"], row["seconds"])
    survivors = [row["name"] for row in rows if not row["caught_by"]]
    print(f"{len(rows) - len(survivors)} of {len(rows)} removals turn a test red; "
          f"{time.monotonic() - begin:.0f} s")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"control": control, "removals": rows}, indent=2) + "\n")
    if control["caught_by"]:
        sys.exit("a test is red with every barrier in place: the table is worthless")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
