"""Checks the model of the protocol exhaustively, and that the model can tell right from wrong.

A variant must either hold (no assertion is violated in any state, nothing deadlocks, every line is
reached) or be refuted (spin finds a violated assertion, and it is an INV one). A situation must be
reached: its REACH assertion is violated. Anything else makes the exit code 1.

The search takes minutes and depends on nothing but the model and this script, so that CI does not repeat it: what was
searched whole and found as it must be is noted in model/searched, and the test `model_links` is red if it was another one.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
HOLDS, REFUTED, REACHED = "holds", "refuted", "reached"
MEMORY_MIB = 2048
# The hash table is as large as the search is: 2^24 slots for millions of states.
HASH_SLOTS_LOG2 = {"store": 24, "anchors": 21, "keys": 21, "handover": 21, "moves": 23}


@dataclass
class Variant:
    model: str
    defines: str
    expected: str
    meaning: str
    every_line: bool = False


VARIANTS = [
    Variant("store", "", HOLDS, "the protocol, one owner", every_line=True),
    Variant("owners", "", HOLDS, "two owners, no lock, no stalls", every_line=True),
    Variant("owners", "LOCK", HOLDS, "two owners and a lock, stalls anywhere"),
    Variant("copies", "", HOLDS, "two copies of key slots and metadata, a reader beside", every_line=True),
    Variant("copies", "FILE", HOLDS, "an anchor's file"),
    Variant("anchors", "", HOLDS, "an anchor: cuts, roll-backs, forks, accept"),
    Variant("anchors", "EXCHANGING", HOLDS, "an anchor: exchanges of the data key, seals, beside commits"),
    Variant("keys", "", HOLDS, "an exchange of the data key, beside commits", every_line=True),
    Variant("handover", "", HOLDS, "two hosts and one image: hand-over, take-over by a fence", every_line=True),
    Variant("handover", "LOCK_ONLY", HOLDS, "a lock that ends with its owner, and no fence"),
    Variant("handover", "NO_LOCK", HOLDS, "no lock: operators and managers may err, no stalls"),
    Variant("handover", "NO_LOCK CAREFUL", HOLDS, "no lock: nobody errs, stalls anywhere"),
    Variant("moves", "", HOLDS, "an image that moves between two places", every_line=True),
    Variant("moves", "STRANGERS=1 MOVES=1 OPENINGS=2 DEATHS=1", HOLDS, "the same, with two who open places at once", every_line=True),
    Variant("store", "WRONG_EARLY_ANSWER", REFUTED, "acknowledge before the record is durable"),
    Variant("store", "WRONG_NO_FLUSH", REFUTED, "no flush before the superblock"),
    Variant("store", "WRONG_SAME_SLOT", REFUTED, "homes written over the current slot"),
    Variant("store", "WRONG_SAME_SUPERBLOCK", REFUTED, "superblock written over the current copy"),
    Variant("store", "WRONG_EARLY_REUSE", REFUTED, "ring space reused before the superblock is durable"),
    Variant("store", "WRONG_NO_OPENING_FLUSH", REFUTED, "no flush at open"),
    Variant("owners", "WRONG_NO_CHECK", REFUTED, "no look at the epoch before a commit"),
    Variant("owners", "WRONG_STALE_READS", REFUTED, "looks at what a cache has kept"),
    Variant("owners", "WRONG_NO_LOOK_FIRST", REFUTED, "an idle owner's record goes out without a look before"),
    Variant("owners", "WRONG_SAME_EPOCH", REFUTED, "no new epoch at open"),
    Variant("owners", "WRONG_NO_CLAIM", REFUTED, "an opening that no owner sees before its epoch"),
    Variant("owners", "WRONG_CLAIM_UNSEEN", REFUTED, "an owner that looks at epochs only"),
    Variant("owners", "WRONG_LOOSE_LOOK", REFUTED, "an opening over what its owner has written meanwhile"),
    Variant("owners", "WRONG_NO_SECOND_LOOK", REFUTED, "the ring is not looked at again behind the claim"),
    Variant("owners", "LIMIT_STALL", REFUTED, "known limit: no lock, stall before a write"),
    Variant("copies", "WRONG_BOTH_AT_ONCE", REFUTED, "both copies written at once"),
    Variant("copies", "WRONG_SAME_COPY", REFUTED, "the current copy is written first"),
    Variant("copies", "WRONG_NO_FLUSH", REFUTED, "no flush before a copy is written"),
    Variant("copies", "WRONG_NO_FRAME", REFUTED, "the first write of all has content"),
    Variant("copies", "WRONG_ONE_COPY", REFUTED, "only one copy is written"),
    Variant("copies", "WRONG_NO_SECOND_LOOK", REFUTED, "a reader takes one look for damage"),
    Variant("copies", "FILE WRONG_SAME_COPY", REFUTED, "an anchor's file: the newest slot is written over"),
    Variant("copies", "FILE WRONG_NO_FLUSH", REFUTED, "an anchor's file: no flush when it is locked"),
    Variant("copies", "LIMIT_STALE_READER", REFUTED, "known limit: a reader beside the write after a cut one"),
    Variant("anchors", "WRONG_EARLY_ANSWER", REFUTED, "answered before the anchor knows"),
    Variant("anchors", "WRONG_EARLY_ANCHOR", REFUTED, "anchored before the record is durable"),
    Variant("anchors", "WRONG_NO_HISTORY", REFUTED, "the judge compares generations only"),
    Variant("anchors", "WRONG_NUMBER_ONLY", REFUTED, "the judge knows an epoch by its number"),
    Variant("anchors", "WRONG_EXACT_JUDGE", REFUTED, "the judge takes no image that is one ahead"),
    Variant("anchors", "WRONG_NO_ANNOUNCEMENT", REFUTED, "an epoch begins without being announced"),
    Variant("anchors", "WRONG_EARLY_ANNOUNCEMENT CRASHES=2 FORKS=0", REFUTED, "announced before the flush at open"),
    Variant("anchors", "WRONG_ACCEPT_ONLY_WRITES", REFUTED, "accept begins no epoch"),
    Variant("anchors", "WRONG_KEY_UNKNOWN EXCHANGING", REFUTED, "the judge does not know the next data key"),
    Variant("anchors", "WRONG_KEY_IGNORED EXCHANGING", REFUTED, "the judge looks at no data key"),
    Variant("anchors", "WRONG_POINT_FROM_MEMORY EXCHANGING", REFUTED,
            "a point without the record that is not installed yet"),
    Variant("anchors", "WRONG_LATE_UNSEALING EXCHANGING", REFUTED, "the seal is off before the anchor says so"),
    Variant("keys", "WRONG_NEW_WRAPS_ONLY", REFUTED, "only new wraps before the superblock"),
    Variant("keys", "WRONG_LATE_WRAPS", REFUTED, "new wraps behind the superblock"),
    Variant("keys", "WRONG_EARLY_DROP", REFUTED, "old wraps gone before the second superblock"),
    Variant("keys", "WRONG_CHANGED_PAGES_ONLY", REFUTED, "only changed pages are sealed anew"),
    Variant("keys", "WRONG_COMMITS_GO_ON", REFUTED, "commits do not wait"),
    Variant("keys", "WRONG_OLD_HOMES_STAY", REFUTED, "no noise over the other slots"),
    Variant("keys", "WRONG_RING_STAYS", REFUTED, "no noise over the ring"),
    Variant("keys", "WRONG_LEFTOVERS", REFUTED, "wraps that a cut has left are kept"),
    Variant("keys", "LIMIT_CHANGED_SLOT", REFUTED, "known limit: a slot changed behind an exchange that was cut"),
    Variant("moves", "WRONG_NO_LOOK", REFUTED, "who opens the new place does not look at the old one"),
    Variant("moves", "WRONG_LOOK_AT_A_CACHE", REFUTED, "looks at what is in a cache only"),
    Variant("moves", "WRONG_LOOK_BESIDE STRANGERS=1 MOVES=1 OPENINGS=2 DEATHS=1", REFUTED, "looks while somebody has it open"),
    Variant("moves", "WRONG_WORD_WITHOUT_A_LOOK", REFUTED, "a word opens what has gone on elsewhere"),
    Variant("moves", "WRONG_LEAVE_UNHELD", REFUTED, "left although changes are held no more"),
    Variant("moves", "WRONG_NO_FLUSH", REFUTED, "the copy's superblock before its content is durable"),
    Variant("moves", "WRONG_NOT_SEALED", REFUTED, "the copy is not sealed from its first moment on"),
    Variant("moves", "WRONG_SILENCE_IS_A_REFUSAL", REFUTED, "the copy is taken away when nobody answers"),
    Variant("moves", "WRONG_LATE_BEGINNING", REFUTED, "written over before the owner knows that a move begins"),
    Variant("handover", "NO_LOCK WRONG_BEFORE_SEAL", REFUTED, "the destination opens before the source has sealed"),
    Variant("handover", "WRONG_NO_SYNC", REFUTED, "the source seals without what it has deferred"),
    Variant("handover", "WRONG_SEAL_IN_CACHE", REFUTED, "the source lets go before the seal is durable"),
    Variant("handover", "WRONG_BLIND_TAKE_BACK", REFUTED, "the source takes the image back without a look"),
    Variant("handover", "WRONG_NO_CHECK", REFUTED, "the destination goes on from the stream without a look"),
    Variant("handover", "WRONG_SEAL_ONLY HAND_OVERS=2", REFUTED, "the destination looks whether there is a seal, not whose"),
    Variant("handover", "WRONG_NO_WAIT", REFUTED, "a take-over does not wait until the fence is in force"),
    Variant("handover", "WRONG_NO_FENCE", REFUTED, "a take-over breaks the lock without a fence"),
    Variant("handover", "NO_LOCK WRONG_NO_LOOK", REFUTED, "no lock, and the one who is taken over does not look"),
    Variant("handover", "NO_LOCK WRONG_SAME_EPOCH", REFUTED, "no new epoch at a take-over"),
    Variant("handover", "WRONG_EPOCH_IN_CACHE COMMITS=2", REFUTED, "answered before the epoch is durable"),
    Variant("handover", "WRONG_UNSEALED_IN_CACHE", REFUTED, "answered before the seal is off durably"),
    Variant("handover", "WRONG_EARLY_RELEASE", REFUTED, "the lock is let go with a write of unknown outcome"),
    Variant("handover", "LIMIT_LOOK_ONLY", REFUTED, "known limit: a broken lock without a fence, looks only"),
    Variant("handover", "NO_LOCK LIMIT_STALL", REFUTED, "known limit: no lock, somebody errs, and stalls"),
    Variant("handover", "NO_LOCK CAREFUL LIMIT_LATE", REFUTED, "known limit: no lock, a dead owner's superblock lands"),
    Variant("handover", "LOCK_ONLY LIMIT_LATE", REFUTED, "known limit: a lock that is free before that has landed"),
    Variant("handover", "LIMIT_SAME_GENERATION", REFUTED, "known limit: hand-overs that cannot be told apart"),
    Variant("store", "REACH=1", REACHED, "power cut in a checkpoint in which a commit was acknowledged"),
    Variant("store", "REACH=2", REACHED, "two openings in a row were cut"),
    Variant("store", "REACH=3", REACHED, "an unacknowledged record survives"),
    Variant("store", "REACH=4", REACHED, "an unacknowledged record is lost"),
    Variant("store", "REACH=5", REACHED, "records are replayed after one that went to the ring's beginning"),
    Variant("anchors", "REACH=1", REACHED, "an image is one ahead of its anchor"),
    Variant("anchors", "REACH=2", REACHED, "an opening was cut behind the epoch that it announced"),
    Variant("anchors", "REACH=3 EXCHANGING", REACHED, "an image has the data key that was announced"),
    Variant("anchors", "REACH=4", REACHED, "a fork was refused, accepted, and goes on"),
    Variant("anchors", "REACH=5", REACHED, "a roll-back that nobody could tell from a cut"),
    Variant("handover", "REACH=1", REACHED, "a hand-over completes"),
    Variant("handover", "REACH=2", REACHED, "the source takes back what it has let go"),
    Variant("handover", "REACH=3", REACHED, "the same after the destination has begun an epoch"),
    Variant("handover", "REACH=4", REACHED, "a fenced owner wakes up behind another one's commits"),
    Variant("handover", "REACH=5", REACHED, "a machine comes back by a second hand-over"),
    Variant("handover", "REACH=6", REACHED, "an owner that died before its seal, under its machine, is followed by another"),
    Variant("handover", "NO_LOCK REACH=7", REACHED, "a record of a dead owner lands behind the next one's epoch"),
]

# Larger bounds, for who has minutes and GiB: `--deep`, as `./dev prove` does it.
DEEP_VARIANTS = [
    Variant("anchors", "CRASHES=2", HOLDS, "an anchor, twice cut"),
    Variant("anchors", "EXCHANGING CRASHES=2 RESTORES=0", HOLDS, "exchanges and seals beside an anchor, twice cut"),
    Variant("keys", "CRASHES=2", HOLDS, "an exchange of the data key, twice cut"),
]


@dataclass
class Result:
    model: str
    variant: str
    meaning: str
    expected: str
    verdict: str
    violated: str
    states: int
    depth: int
    memory_mib: int
    seconds: float
    as_expected: bool


def run(command, folder, timeout_seconds=900):
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )


def must(command, folder):
    done = run(command, folder)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def violated_tags(variant, folder):
    """The tags beside the violated assertion, whose line the replayed trail names."""
    text = must(["spin", "-t", *defines_of(variant), f"{variant.model}.pml"], folder)
    found = re.search(rf"{variant.model}\.pml:(\d+).*assertion violated", text)
    if found is None:
        return ""
    line = (folder / f"{variant.model}.pml").read_text().splitlines()[int(found[1]) - 1]
    return " ".join(re.findall(r"INV\d+[a-z]|REACH\d", line))


def defines_of(variant):
    names = variant.defines.split()
    if "WRONG" in variant.defines:
        names.append("WRONG")
    return [f"-D{name}" for name in names]


def check(variant, build, extra):
    folder = build / "-".join(filter(None, [variant.model, *variant.defines.replace("=", "").split()]))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(SOURCE / "model" / f"{variant.model}.pml", folder)
    started = time.monotonic()
    must(["spin", "-a", *defines_of(variant), *extra, f"{variant.model}.pml"], folder)
    # -w: what spin generates is not ours. A search that is not to be finished is shorter than the making of its program.
    must(["gcc", "-w", "-O2" if variant.expected == HOLDS else "-O1", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MIB}",
          "-o", "pan", "pan.c"], folder)
    text = run(["./pan", "-m100000", f"-w{HASH_SLOTS_LOG2.get(variant.model, 18)}"], folder).stdout
    (folder / "pan.log").write_text(text)

    def number(pattern):
        found = re.search(pattern, text)
        return float(found[1]) if found else 0

    violated, unreached = "", []
    complete = "Search not completed" not in text and re.search(r"errors: (\d+)", text) is not None
    if "assertion violated" in text:
        violated = violated_tags(variant, folder)
        verdict = REACHED if violated.startswith("REACH") else REFUTED if violated else "unknown"
    elif not complete or number(r"errors: (\d+)"):
        verdict = "not completed" if "invalid end state" not in text.split("Full statespace")[0] else "deadlock"
    else:
        verdict = HOLDS
        if variant.every_line:
            # A process that never ends does not reach its end.
            unreached = [
                line.strip()
                for line in re.findall(rf"^\s.*{variant.model}\.pml:\d+, state .*$", text, re.MULTILINE)
                if '"-end-"' not in line
            ]
    for line in unreached:
        print(f"{variant.model}: not reached: {line}", file=sys.stderr)
    return Result(
        model=variant.model,
        variant=variant.defines or "(as built)",
        meaning=variant.meaning,
        expected=variant.expected,
        verdict=verdict,
        violated=violated,
        states=int(number(r"([\d.e+]+) states, stored")),
        depth=int(number(r"depth reached (\d+)")),
        memory_mib=round(number(r"([\d.]+)\s+total actual memory")),
        seconds=round(time.monotonic() - started, 1),
        as_expected=verdict == variant.expected and not unreached,
    )


def searched():
    """What a search is of, in a line for model/searched."""
    digest = hashlib.sha256()
    for path in [*sorted((SOURCE / "model").glob("*.pml")), Path(__file__).resolve()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest() + "\n"


def main():
    parser = argparse.ArgumentParser(prog="dev model", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--build", type=Path, default=SOURCE / "build" / "model", metavar="FOLDER")
    parser.add_argument("--only", metavar="NAME", help="variants whose model or name contains this")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE",
                        help="other bounds, e.g. COMMITS=4 (needs more memory and minutes)")
    parser.add_argument("--deep", action="store_true", help="larger bounds, too")
    parser.add_argument("--memory", type=int, metavar="MIB", help="limit for each search (2048)")
    arguments = parser.parse_args()
    if arguments.memory:
        global MEMORY_MIB
        MEMORY_MIB = arguments.memory
    variants = [
        variant
        for variant in VARIANTS + (DEEP_VARIANTS if arguments.deep else [])
        if not arguments.only or arguments.only in f"{variant.model} {variant.defines}"
    ]
    if not variants:
        parser.error(f"--only: nothing is called {arguments.only}")
    extra = [f"-D{define}" for define in arguments.define]
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda variant: check(variant, arguments.build, extra), variants))

    row = "{:8} {:42} {:8} {:14} {:10} {:>9} {:>6} {:>6} {:>7}  {}".format
    print(row("model", "variant", "expected", "verdict", "assertion", "states", "depth", "MiB", "seconds",
              "meaning"))
    for result in results:
        print(row(result.model, result.variant, result.expected, result.verdict, result.violated,
                  result.states, result.depth, result.memory_mib, result.seconds,
                  result.meaning + ("" if result.as_expected else "  <-- NOT AS IT MUST BE")))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    wrong = sum(not result.as_expected for result in results)
    print(f"{len(results)} variants, {wrong} not as they must be")
    if not wrong and not arguments.only and not arguments.define:
        (SOURCE / "model" / "searched").write_text(searched())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
