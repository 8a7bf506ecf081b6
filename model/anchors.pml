/*
 * An image and its anchor, for spin: invariant 12. docs/design.md, "Anchors", says what an anchor is.
 *
 * What is modelled
 *   Image      What of it an anchor names: epoch (number and random), generation, chain, the data key, the seal. Durable
 *              and cached: a write is in flight between the two. A power cut leaves either, the death of the process
 *              the cached one. That there always is a whole superblock, and what a torn record is, is store.pml's.
 *   Anchor     The same: copies.pml shows that a file is one of the two, wherever it is cut.
 *   Processes  owner (EngineOpener::take_over, commits, seals, Engine::close; with the policy `commit`, or another one,
 *              which may write whenever it wants to), keeper (KeyExchange::run and AnchorKeeper::write_overdue, beside
 *              commits), adversary (cuts, deaths, copies, roll-backs, copies that go on without the anchor). The owner
 *              is also the operator, who accepts.
 *
 * What only we know is part of an image, so that copies have it as well: how many openings it has been through, of which
 * branch it is, which commits it holds.
 *
 * INV12a: an image that is as the anchor's owner has left it is never refused, wherever that was cut.
 * INV12b: what opens holds all that was anchored: with the policy `commit`, all that was answered.
 * INV12c: what opens has been through the newest opening that was finished: no image from before it opens, whatever the
 *         policy. So behind `accept` only the image that was accepted goes on.
 * INV12d: what opens never went on without the anchor, unless that was accepted.
 * INV12e: what opens is not from before an exchange of the data key that is finished.
 * INV12f: what opens is not from before a hand-over.
 * Until an `accept` is finished nothing is said but what the opening that finishes it says: it is to be repeated.
 */

/* Bounds of the two searches that ./dev model does, with EXCHANGING and without. */
#ifdef EXCHANGING /* of the data key, seals, writes that come by themselves: beside commits, and cut */
#define IN_EXCHANGES(number) number
#define IN_ROLL_BACKS(number) 0
#else
#define IN_EXCHANGES(number) 0
#define IN_ROLL_BACKS(number) number
#endif
#ifndef COMMITS
#define COMMITS 2 /* In all. At most 4. */
#endif
#ifndef CRASHES
#define CRASHES 1 /* Power cuts and deaths in all. */
#endif
#ifndef CLOSES
#define CLOSES 1
#endif
#ifndef COPIES
#define COPIES 1
#endif
#ifndef RESTORES
#define RESTORES (1 + IN_ROLL_BACKS(1)) /* The copy in the image's place, and the image in the copy's. */
#endif
#ifndef FORKS
#define FORKS IN_ROLL_BACKS(1) /* Openings without the anchor. At most 3. */
#endif
#ifndef ACCEPTS
#define ACCEPTS IN_ROLL_BACKS(1)
#endif
#ifndef EXCHANGES
#define EXCHANGES IN_EXCHANGES(1) /* Of the data key. At most 2. */
#endif
#ifndef SEALS
#define SEALS IN_EXCHANGES(1)
#endif
#ifndef OVERDUE
#define OVERDUE IN_EXCHANGES(1) /* Writes of the anchor that nobody waits for. */
#endif

/* ---- An image, and a point: the same but for what is behind the seal ------------------------------------------- */

#define POINT(number, random, generation, chain, key, sealed) \
  ((number) | ((random) << 3) | ((generation) << 7) | ((chain) << 10) | ((key) << 14) | ((sealed) << 16))
#define POINT_OF(image) ((image) & 131071)
#define NUMBER(point) ((point) & 7)
#define RANDOM(point) (((point) >> 3) & 15)
#define GENERATION(point) (((point) >> 7) & 7)
#define CHAIN(point) (((point) >> 10) & 15)
#define KEY(point) (((point) >> 14) & 3)
#define IS_SEALED(point) (((point) >> 16) & 1)
#define WITH_KEY(point, key) (((point) & ~(3 << 14)) | ((key) << 14))
#define SEALED(point) ((point) | (1 << 16))
#define UNSEALED(point) ((point) & ~(1 << 16))
#define WITH_RECORD(point, generation, chain) (((point) & ~16256) | ((generation) << 7) | ((chain) << 10))

#define IMAGE(point, opening, branch, records) \
  ((point) | ((opening) << 17) | ((branch) << 20) | ((records) << 22))
#define OPENING(image) (((image) >> 17) & 7)
#define BRANCH(image) (((image) >> 20) & 3)
#define RECORDS(image) ((image) >> 22)

#define ANCHOR(point, next_random, next_key, each_commit) \
  ((point) | ((next_random) << 17) | ((next_key) << 21) | ((each_commit) << 23))
#define NEXT_RANDOM(anchor) (((anchor) >> 17) & 15)
#define NEXT_KEY(anchor) (((anchor) >> 21) & 3)
#define EACH_COMMIT(anchor) (((anchor) >> 23) & 1)

int image_disk, image_cache, anchor_disk, anchor_cache;
int copy; /* Of the image, somewhere. 0: there is none. */

/* ---- What is known only to us, who judge ------------------------------------------------------------------------- */

byte promised;         /* records that must not be missing */
byte put_records;      /* that the point which is being written knows of */
byte newest_opening, openings; /* that was finished; that began an epoch */
byte right_branch, branches;
byte newest_key, right_key;
bool handed_over;
bool image_is_right, copy_is_right; /* as the anchor's owner has left it */
bool undecided;                     /* an `accept` has begun */

#ifdef REACH
bool was_refused_a_fork;
#define NOTE(statement) statement
#else
#define NOTE(statement) skip
#endif

/* ---- Memory: gone with the process -------------------------------------------------------------------------------- */

int memory;  /* AnchorKeeper::image_point */
int written; /* what the anchor says, as far as we know */
byte told_generation, told_chain; /* AnchorKeeper::committed was told of it, and it may not be installed yet */
byte next_key;
bool each_commit, unsealing, serving, is_open;
bool turn;      /* Committer::read_in_turn, and the queue's leader */
bool writing;   /* AnchorKeeper's mutex */
bool exchanging;
bool owner_dies, keeper_dies;

inline forget_memory() {
  memory = 0; written = 0; told_generation = 0; told_chain = 0; next_key = 0; each_commit = false; unsealing = false;
  serving = false; is_open = false; turn = false; writing = false; exchanging = false; next = 0;
  put_records = 0
}

/* The lowest number that is nowhere. */
int used_numbers;
#define USE(number) used_numbers = used_numbers | (1 << (number))
inline use_point(point) {
  USE(RANDOM(point));
  USE(CHAIN(point))
}
inline find_fresh(number) {
  d_step {
    used_numbers = 1;
    use_point(image_disk);
    use_point(image_cache);
    use_point(copy);
    use_point(memory);
    use_point(anchor_disk);
    use_point(anchor_cache);
    use_point(written);
    USE(NEXT_RANDOM(anchor_disk));
    USE(NEXT_RANDOM(anchor_cache));
    number = 0;
    do
    :: used_numbers & (1 << number) -> number++
    :: else -> break
    od;
    assert(number < 16);
    used_numbers = 0
  }
}

/* ---- Writes: one statement each, what is in flight between them may be cut ---------------------------------------- */

inline begin_write(content) {
  assert(image_cache == image_disk); /* One at a time. */
  image_cache = content;
  copy_is_right = false
}
inline end_write() {
  image_disk = image_cache
}

/* Anchor::write. */
inline begin_put(point, records) {
  anchor_cache = point;
  put_records = records;
  copy_is_right = false
}
inline end_put() {
  anchor_disk = anchor_cache;
  written = anchor_cache;
  promised = promised | (put_records & 15);
  put_records = 0
}

/* AnchorKeeper::next_point. */
int next; /* what is to be written */
inline find_next_point(point) {
  next = point;
  if
  :: unsealing -> next = UNSEALED(next)
  :: else
  fi;
  next = ANCHOR(next, 0, next_key, each_commit)
}
inline find_newest_point() {
  next = POINT_OF(memory);
#ifndef WRONG_POINT_FROM_MEMORY
  if
  :: told_generation > GENERATION(memory) -> next = WITH_RECORD(next, told_generation, told_chain)
  :: else
  fi;
#endif
  find_next_point(next)
}

/* AnchorKeeper::write: of whoever has changed something beside the records. */
inline write_anchor() {
  atomic {
    !writing ->
    writing = true;
    find_newest_point();
    if
    :: next != written -> begin_put(next, RECORDS(memory))
    :: else
    fi;
    next = 0
  };
  atomic {
    end_put();
    writing = false
  }
}

/* ---- The judge (src/anchor/anchor_judge.cc) ------------------------------------------------------------------------ */

mtype = { AT_ANCHOR, ROLLED_BACK, FORKED, AHEAD };

#ifdef WRONG_EXACT_JUDGE
#define AHEAD_AT_MOST 0
#else
#define AHEAD_AT_MOST 1
#endif

inline judge_generation(chain) {
  if
  :: GENERATION(image_cache) < GENERATION(anchor_cache) -> verdict = ROLLED_BACK
  :: GENERATION(image_cache) == GENERATION(anchor_cache) && CHAIN(image_cache) != (chain) -> verdict = FORKED
  :: GENERATION(image_cache) > GENERATION(anchor_cache) && IS_SEALED(anchor_cache) -> verdict = FORKED
  :: GENERATION(image_cache) == GENERATION(anchor_cache) && CHAIN(image_cache) == (chain) &&
    IS_SEALED(anchor_cache) && !IS_SEALED(image_cache) -> verdict = ROLLED_BACK
  :: else ->
    verdict = (EACH_COMMIT(anchor_cache) && GENERATION(image_cache) - GENERATION(anchor_cache) > AHEAD_AT_MOST ->
               AHEAD : AT_ANCHOR)
  fi
}

#ifdef WRONG_NUMBER_ONLY /* as if two openings had never the same one */
#define IS_EPOCH(random) true
#else
#define IS_EPOCH(random) (RANDOM(image_cache) == (random))
#endif
#ifdef WRONG_KEY_IGNORED
#define KNOWS_KEY true
#else
#ifdef WRONG_KEY_UNKNOWN
#define KNOWS_KEY (KEY(image_cache) == KEY(anchor_cache))
#else
#define KNOWS_KEY (KEY(image_cache) == KEY(anchor_cache) || \
                   (NEXT_KEY(anchor_cache) != 0 && KEY(image_cache) == NEXT_KEY(anchor_cache)))
#endif
#endif

inline judge() {
#ifdef WRONG_NO_HISTORY
  verdict = (GENERATION(image_cache) < GENERATION(anchor_cache) -> ROLLED_BACK : AT_ANCHOR);
#else
  if
  :: NUMBER(image_cache) == NUMBER(anchor_cache) && IS_EPOCH(RANDOM(anchor_cache)) ->
    judge_generation(CHAIN(anchor_cache))
  :: NUMBER(image_cache) == NUMBER(anchor_cache) + 1 && NEXT_RANDOM(anchor_cache) != 0 &&
    IS_EPOCH(NEXT_RANDOM(anchor_cache)) -> judge_generation(NEXT_RANDOM(anchor_cache))
  :: else -> /* judge_unknown_epoch */
    verdict = (NUMBER(image_cache) < NUMBER(anchor_cache) && GENERATION(image_cache) <= GENERATION(anchor_cache) ->
               ROLLED_BACK : FORKED)
  fi;
#endif
  verdict = (verdict == AT_ANCHOR && !KNOWS_KEY -> ROLLED_BACK : verdict)
}

#define OPENS (verdict == AT_ANCHOR && !undecided)
inline check_verdict() {
  assert(verdict == AT_ANCHOR || !image_is_right);                            /* INV12a */
  assert(!OPENS || (promised & ~RECORDS(image_cache)) == 0);                  /* INV12b */
  assert(!OPENS || OPENING(image_cache) >= newest_opening);                   /* INV12c */
  assert(!OPENS || BRANCH(image_cache) == right_branch);                      /* INV12d */
  assert(!OPENS || KEY(image_cache) >= right_key);                            /* INV12e */
  assert(!OPENS || !handed_over || IS_SEALED(image_cache))                    /* INV12f */
}

#ifdef REACH
/* Each one is a mistake of the model if it cannot occur. */
inline look_for_situations() {
  was_refused_a_fork = was_refused_a_fork || (verdict == FORKED && BRANCH(image_cache) != right_branch);
  assert(!(REACH == 1 && verdict == AT_ANCHOR && GENERATION(image_cache) > GENERATION(anchor_cache) &&
           EACH_COMMIT(anchor_cache)));                                                                 /* REACH1 */
  assert(!(REACH == 2 && verdict == AT_ANCHOR && NUMBER(image_cache) > NUMBER(anchor_cache)));          /* REACH2 */
  assert(!(REACH == 3 && verdict == AT_ANCHOR && KEY(image_cache) == NEXT_KEY(anchor_cache)));          /* REACH3 */
  assert(!(REACH == 4 && verdict == AT_ANCHOR && was_refused_a_fork && BRANCH(image_cache) != 0));      /* REACH4 */
  assert(!(REACH == 5 && verdict == AT_ANCHOR && !image_is_right))                                      /* REACH5 */
}
#else
#define look_for_situations() skip
#endif

/* ---- The owner ------------------------------------------------------------------------------------------------------ */

/* RecordWriter::write: record, anchor, answer. */
inline commit() {
  atomic { !turn -> turn = true };
#ifdef WRONG_EARLY_ANCHOR
  tell_anchor();
#endif
  atomic {
    find_fresh(random);
    commits_left--;
    begin_write(WITH_RECORD(memory, GENERATION(memory) + 1, random) | (1 << (22 + commits_left)))
  };
  atomic {
    end_write();
#ifdef WRONG_EARLY_ANSWER
    promised = promised | (each_commit -> RECORDS(image_disk) : 0);
#endif
  };
#ifndef WRONG_EARLY_ANCHOR
  tell_anchor();
#endif
  atomic { /* RecordWriter::install, and the answer */
    memory = image_disk;
    promised = promised | (each_commit -> RECORDS(memory) : 0);
    random = 0;
    turn = false
  }
}

/* AnchorKeeper::committed. */
inline tell_anchor() {
  if
  :: atomic { each_commit && !writing -> writing = true };
    atomic {
#ifdef WRONG_EARLY_ANCHOR
      find_fresh(random);
      told_chain = random;
#else
      told_chain = CHAIN(image_disk);
#endif
      told_generation = GENERATION(memory) + 1;
      find_next_point(WITH_RECORD(POINT_OF(memory), told_generation, told_chain));
#ifdef WRONG_EARLY_ANCHOR
      begin_put(next, RECORDS(memory));
#else
      begin_put(next, RECORDS(image_disk));
#endif
      next = 0
    };
    atomic {
      end_put();
      writing = false
    }
  :: !each_commit
  fi
}

inline write_image(content) {
  atomic { begin_write(content) };
  atomic {
    end_write();
    memory = image_disk
  }
}

/* Engine::seal, Engine::unseal. */
inline seal() {
  atomic { !turn && !exchanging -> turn = true; seals_left-- };
  write_image(SEALED(memory));
  unsealing = false;
  write_anchor();
  atomic {
    handed_over = true;
    turn = false
  }
}
inline unseal() {
  atomic {
    !turn && !exchanging ->
    turn = true;
    handed_over = false;
    unsealing = true
  };
#ifdef WRONG_LATE_UNSEALING
  write_image(UNSEALED(memory));
  write_anchor();
#else
  write_anchor();
  write_image(UNSEALED(memory));
#endif
  turn = false
}

proctype owner() {
  byte commits_left = COMMITS, closes_left = CLOSES, seals_left = SEALS, accepts_left = ACCEPTS;
  byte random;
  mtype verdict = AT_ANCHOR;
  do
  :: {
      atomic { /* AnchorKeeper::begin */
        !owner_dies && !keeper_dies ->
        anchor_disk = anchor_cache; /* FileAnchor::lock */
        judge();
        check_verdict();
        look_for_situations();
        if
        :: verdict == AT_ANCHOR -> image_is_right = !undecided
        :: accepts_left > 0 -> /* AnchorUse::accept: the operator's word */
          accepts_left--;
          undecided = true;
          image_is_right = false
        :: verdict != AT_ANCHOR -> goto refused
        fi;
        verdict = AT_ANCHOR;
        is_open = true;
        memory = image_cache;
        written = anchor_cache;
        if
        :: each_commit = true
        :: each_commit = false
        fi
      };
#ifndef WRONG_EARLY_ANNOUNCEMENT
      image_disk = image_cache; /* Recovery::begin_epoch: what was read may be in a cache only. */
#endif
      atomic {
        find_fresh(random);
#ifdef WRONG_ACCEPT_ONLY_WRITES
        random = (undecided -> 0 : random);
#endif
#ifdef WRONG_NO_ANNOUNCEMENT
        skip
      };
#else
        begin_put(ANCHOR(POINT_OF(memory), random, 0, each_commit), RECORDS(memory)) /* AnchorKeeper::announce_epoch */
      };
      atomic { end_put() };
#endif
#ifdef WRONG_EARLY_ANNOUNCEMENT
      image_disk = image_cache;
#endif
      if
      :: atomic { random != 0 ->
          openings++;
          begin_write(IMAGE(POINT(NUMBER(memory) + 1, random, GENERATION(memory), random, KEY(memory), IS_SEALED(memory)),
                            openings, BRANCH(memory), RECORDS(memory)))
        };
        atomic {
          end_write();
          memory = image_disk;
          random = 0
        }
      :: random == 0
#ifdef WRONG_ACCEPT_ONLY_WRITES
        -> atomic { /* It is the newest opening all the same. */
          openings++;
          image_disk = IMAGE(POINT_OF(memory), openings, BRANCH(memory), RECORDS(memory));
          image_cache = image_disk;
          memory = image_disk
        }
#endif
      fi;
      write_anchor(); /* AnchorKeeper::epoch_began */
      atomic { /* The opening is finished, and whoever opened has seen it. */
        newest_opening = OPENING(memory);
        right_branch = BRANCH(memory);
        right_key = KEY(memory);
        promised = RECORDS(memory);
        handed_over = IS_SEALED(memory);
        image_is_right = true;
        undecided = false;
        serving = true
      };

end_serving:
      do
      :: commits_left > 0 && !IS_SEALED(memory) -> commit()
      :: seals_left > 0 && !IS_SEALED(memory) -> seal()
      :: IS_SEALED(memory) -> unseal()
      :: atomic { closes_left > 0 && !exchanging && !writing -> closes_left--; serving = false }; /* Engine::close */
        write_anchor();
        break
      od;
      atomic { forget_memory() };
refused:
      skip
    } unless { owner_dies };
    atomic {
      owner_dies = false;
      random = 0;
      verdict = AT_ANCHOR
    }
  od
}

/* KeyExchange::exchange, and what is written when it is due: beside commits. */
proctype keeper() {
  byte exchanges_left = EXCHANGES, overdue_left = OVERDUE;
end_idle:
  do
  :: {
      if
      :: atomic { serving && exchanges_left > 0 && !turn && !IS_SEALED(memory) ->
          exchanges_left--;
          exchanging = true;
          newest_key++;
          next_key = newest_key
        };
        write_anchor(); /* AnchorKeeper::announce */
        atomic { !turn -> turn = true };
        write_image(WITH_KEY(memory, newest_key)); /* The checkpoint of KeyExchange::seal_anew. */
        turn = false;
        next_key = 0;
        write_anchor(); /* AnchorKeeper::announce */
        atomic {
          right_key = newest_key;
          exchanging = false
        }
      :: atomic { serving && !each_commit && !exchanging && overdue_left > 0 -> overdue_left--; exchanging = true };
        write_anchor(); /* AnchorKeeper::write_overdue, alarm_rang */
        exchanging = false
      fi
    } unless { keeper_dies };
    keeper_dies = false
  od
}

/* ---- Whoever means it well or not ------------------------------------------------------------------------------------ */

inline die() {
  crashes_left--;
  forget_memory();
  owner_dies = true;
  keeper_dies = true
}

/* Opened by somebody who has another anchor, or none: Recovery::begin_epoch, and a commit or not. */
inline go_on_without_anchor(image) {
  forks_left--;
  branches++;
  find_fresh(random);
  if
  :: more = 0
  :: more = 1
  fi;
  image = IMAGE(POINT(NUMBER(image) + 1, random, GENERATION(image) + more, random, KEY(image), 0), OPENING(image),
                branches, RECORDS(image));
  random = 0;
  more = 0
}

proctype adversary() {
  byte crashes_left = CRASHES, copies_left = COPIES, restores_left = RESTORES, forks_left = FORKS;
  byte random, more;
  int image;
end:
  do
  :: atomic { crashes_left > 0 -> /* a power cut */
      if
      :: image_cache = image_disk
      :: image_cache != image_disk -> image_disk = image_cache
      fi;
      if
      :: anchor_cache = anchor_disk
      :: anchor_cache != anchor_disk -> anchor_disk = anchor_cache
      fi;
      die()
    }
  :: atomic { crashes_left > 0 && (image_cache != image_disk || anchor_cache != anchor_disk) -> die() } /* else: as a cut */
  :: atomic { copies_left > 0 -> /* also of an image that is open */
      copies_left--;
      if
      :: copy = image_disk
      :: image_cache != image_disk -> copy = image_cache
      fi;
      copy_is_right = image_is_right
    }
  :: atomic { restores_left > 0 && copy != 0 && !is_open && !owner_dies && !keeper_dies ->
      restores_left--;
      image = copy;
      copy = image_cache;
      image_cache = image;
      image_disk = image;
      image = 0;
      if
      :: copy_is_right != image_is_right ->
        copy_is_right = image_is_right;
        image_is_right = !image_is_right
      :: else
      fi
    }
  :: atomic { forks_left > 0 && copy != 0 -> /* a copy goes on */
      go_on_without_anchor(copy);
      copy_is_right = false
    }
  :: atomic { forks_left > 0 && !is_open && !owner_dies && !keeper_dies -> /* the image itself */
      go_on_without_anchor(image_cache);
      image_disk = image_cache;
      image_is_right = false
    }
  od
}

init {
  atomic { /* What `create` and `anchor accept` leave. */
    image_disk = IMAGE(POINT(1, 1, 0, 1, 1, 0), 0, 0, 0);
    image_cache = image_disk;
    anchor_disk = ANCHOR(POINT_OF(image_disk), 0, 0, false);
    anchor_cache = anchor_disk;
    newest_key = 1;
    right_key = 1;
    image_is_right = true;
    run owner();
    run keeper();
    run adversary()
  }
}
