/*
 * One image that two hosts reach, for spin: a hand-over between them, and a take-over. Invariant 7, beyond owners.pml.
 *
 * What is modelled
 *   Storage    The superblock (epoch, generation, whether it is sealed, whether it was closed) and the newest record that
 *              counts; durable and cached. A write is submitted, lands in the cache and becomes durable, each a step;
 *              it may fail, or its outcome stays unknown. A power cut of the storage leaves the cached or the durable
 *              content. What a superblock's two copies and the ring are about is store.pml's and owners.pml's: here a
 *              superblock is the old one or the new one, and the record of another epoch than the superblock's is
 *              nobody's and in nobody's way.
 *   Owners     One for each host, with a machine, or with one that comes. It is killed at every step, with its machine
 *              or (once the machine is at rest) under it. What it has submitted may land later. Who is silent is who is not
 *              scheduled: every step may be the last one for as long as the others like.
 *   Hand-over  The source is at rest, commits what it has deferred, puts its generation and a number that is new (the
 *              seal's) into the stream, seals with that number, lets go. The destination opens nothing before it has the
 *              stream and sees that seal; then lock, look, epoch, the seal off, and only then it answers. The source takes
 *              the image back in the same way: by opening it. QEMU, its manager and the operator are no processes: what they may
 *              say, they may say at any moment. A stream arrives, late as well, or never; the destination gives up; the source
 *              is told that its machine goes on, whatever the destination does.
 *   Take-over  Of a silent owner that may wake up: fence, until that is in force; without a fence an operator's word.
 *
 * INV7c: an answer is given only by the owner whose epoch is the image's, and not while it is sealed.
 * INV7d: who goes on has all that was acknowledged, and all that its machine has written; each answer's generation is newer
 *        than all before it.
 * INV7e: nobody who serves is overtaken without having sealed or having been taken over by a fence or a word.
 * INV7f: a machine goes on from one hand-over once: at the source or at the destination.
 * INV7g: what was let go is started by nobody without a word.
 * INV7h: in the end who has a machine goes on with it, or it has gone on elsewhere. If nobody goes on, the image can be
 *        started: a sealed one, whose hand-over nobody has finished, by the word `unseal`; one without a lock whose owner
 *        has not closed it by --owner-is-dead.
 *
 * Not modelled: an owner that dies under a running machine (its front ends wait for the next one), a third host, a fence that the
 * storage forgets, anchors.
 *
 * Variants
 *   (none)     The storage has a lock that a dead owner keeps until it is fenced (RBD).
 *   LOCK_ONLY  A lock that ends with its owner, when nothing of it is on its way any more (a file on a cluster file system).
 *              Nobody is taken over while it lives.
 *   NO_LOCK    An NBD server, an LV. Operators and managers may err; an opening is one step, and so is a look with the
 *              superblock that follows, as in owners.pml.
 *   NO_LOCK CAREFUL  They do not err: nobody is told to go on before the other side has ended. Then all may stall.
 *   LIMIT_STALL      Without a lock, stalls and errors together.
 *   LIMIT_LATE       Something that an owner had submitted is on its way when its lock is free, or when its death is sworn to.
 *   LIMIT_SAME_GENERATION  A seal is known by its generation only: where nothing was committed between two hand-overs, the stream
 *                    of the first one is taken for that of the second. The image has lost nothing by that; the machine has.
 */

/* Bounds. One hand-over is enough for most wrong variants. */
#ifndef COMMITS
#define COMMITS 1 /* durable ones and deferred ones */
#endif
#ifndef HAND_OVERS /* At most 3. */
#ifdef WRONG
#define HAND_OVERS 1
#else
#define HAND_OVERS 2
#endif
#endif
#ifndef OPENINGS
#define OPENINGS 1 /* of machines that are off, beside the first one: without a word, or with one */
#endif
#ifndef CLOSES
#define CLOSES 1
#endif
#ifndef MISHAPS
#define MISHAPS 1 /* Deaths, power cuts of the storage, writes that nobody waits for any longer. */
#endif

#ifdef NO_LOCK
#define LOOKS
#else
#define LOCKS
#define STALLS
#ifndef LOCK_ONLY
#define FENCES
#endif
#endif
#ifdef CAREFUL
#define STALLS
#endif
#ifdef LIMIT_STALL
#define STALLS
#endif
#ifdef LIMIT_LOOK_ONLY
#define LOOKS
#define WRONG_NO_FENCE
#endif
#ifdef WRONG_NO_LOOK
#undef LOOKS
#endif

/* Each one is a mistake of the model if it cannot occur. */
#ifdef REACH
#define reached(number, condition) assert(!(REACH == number && (condition)))
#else
#define reached(number, condition) skip
#endif

/* ---- The image -------------------------------------------------------------------------------------------------- */

#define SUPERBLOCK(epoch, generation, seal, closed) ((epoch) | ((generation) << 5) | ((seal) << 9) | ((closed) << 11))
#define RECORD(epoch, generation) ((epoch) | ((generation) << 5) | (1 << 12))
#define EPOCH_OF(number, host) ((number) | ((host) << 4)) /* The host stands for the random part. */
#define EPOCH(block) ((block) & 31)
#define NUMBER(block) ((block) & 15)
#define HOST(block) (((block) >> 4) & 1)
#define GENERATION(block) (((block) >> 5) & 15)
#define SEAL(superblock) (((superblock) >> 9) & 3) /* 0: it has none; else the number of its hand-over */
#define IS_CLOSED(superblock) (((superblock) >> 11) & 1)
#define IS_RECORD(block) (((block) >> 12) & 1)
#define IS_SEALED (SEAL(superblock_cache) != 0)

short superblock_disk, superblock_cache, record_disk, record_cache;

/* What recovery finds. */
#define FOUND_GENERATION \
  (EPOCH(record_cache) == EPOCH(superblock_cache) && GENERATION(record_cache) > GENERATION(superblock_cache) -> \
   GENERATION(record_cache) : GENERATION(superblock_cache))

/* A write of each owner; 0: none is under way. */
#define LANDED (1 << 13)
#define FAILED (1 << 14)
#define IS_PENDING(write) ((write) != 0 && (write) < LANDED)
#define HAS_LANDED(write) (((write) & LANDED) != 0)
#define CONTENT(write) ((write) & (LANDED - 1))
short write_of[2];
short late; /* of a dead owner; one at a time */

inline land(content) {
  if
  :: !IS_RECORD(content) -> superblock_cache = content
  :: IS_RECORD(content) && EPOCH(content) == EPOCH(superblock_cache) -> record_cache = content
  :: IS_RECORD(content) && EPOCH(content) != EPOCH(superblock_cache) -> reached(7, true) /* REACH7 */
  fi
}

/* A superblock goes with a flush, a record by itself. */
inline flush(superblock) {
  superblock_disk = superblock_cache;
  record_disk = record_cache
}
inline make_durable(record) {
  record_disk = (EPOCH(record) == EPOCH(superblock_disk) -> CONTENT(record) : record_disk)
}

/* ---- Lock and fence ------------------------------------------------------------------------------------------------ */

/* Of a host's owner: 0, 1. */
#define FREE 2
#define DEAD 3 /* Its owner has died; whoever finds that fences it. */
#define NOBODY 4
byte lock = FREE;
byte fencing = NOBODY; /* the one who is to be shut out */
bool fenced[2];

#ifdef LOCKS
#ifdef WRONG_NO_FENCE
#define LOCK_IS_FREE (lock == FREE || lock == DEAD)
#else
#define LOCK_IS_FREE (lock == FREE)
#endif
#else
#define LOCK_IS_FREE true
#endif
/* What a dead owner leaves. */
#ifdef FENCES
#define LOCK_OF_DEAD DEAD
#define MAY_BE_LATE(write) true
#define LATE_ONES
#else
#define LOCK_OF_DEAD FREE
#ifdef LIMIT_LATE
#define MAY_BE_LATE(write) true
#define LATE_ONES
#else
#ifdef NO_LOCK
#define MAY_BE_LATE(write) IS_RECORD(write)
#define LATE_ONES
#endif
#endif
#endif

/* ---- What is known only to us, who judge --------------------------------------------------------------------------- */

mtype = { OFF, WAITING, BUSY, RESTING, SERVING };
mtype stage[2] = OFF;
byte epoch_of[2]; /* each owner's own */
byte token_of[2]; /* of a machine at rest; 0: there is none */
byte acknowledged;
bool taken_over[2];
bool is_stale[2]; /* of a machine at rest: somebody has gone on from its hand-over, or from a later one */
bool is_handed_over, was_let_go;

#define CAN_ANSWER(host) (stage[host] == SERVING && !fenced[host] && EPOCH(superblock_cache) == epoch_of[host])

/* ---- What QEMU carries: a machine at rest, its generation and its seal; 0: nothing ------------------------------------ */

#define TOKEN(generation, seal) ((generation) | ((seal) << 4))
#define TOKEN_OF(stream) ((stream) & 63)
#define GENERATION_OF(token) ((token) & 15)
#define SEAL_OF(token) (((token) >> 4) & 3)
#define STREAM(token, source, lacks) ((token) | ((source) << 6) | ((lacks) << 7))
#define SOURCE(stream) (((stream) >> 6) & 1)
#define LACKS(stream) (((stream) >> 7) & 1) /* Known only to us: what the machine has written is not in it. */
#define STALE(stream) ((stream) | (1 << 8))
#define IS_STALE(stream) (((stream) >> 8) & 1)
short stream;

/* ---- The owner ----------------------------------------------------------------------------------------------------- */

byte commits_left = COMMITS, hand_overs_left = HAND_OVERS, openings_left = 1 + OPENINGS, closes_left = CLOSES;
byte mishaps_left = MISHAPS, seals;
mtype = { LIVES, DIES, DIES_UNDER_ITS_MACHINE };
mtype fate[2] = LIVES;
#define NOBODY_IS_DYING (fate[0] == LIVES && fate[1] == LIVES) /* What a death does is done at once. */

#define OTHER (1 - me)
#define epoch epoch_of[me]
#define token token_of[me]
#define STILL_OURS (EPOCH(superblock_cache) == epoch)
#define IS_STILL_OWNER (STILL_OURS && !fenced[me]) /* as only we know */

#define IS_ITS_TURN (me == 0 || openings_left <= OPENINGS) /* The hosts are alike: the first one begins. */
#ifdef CAREFUL
#define OTHER_HAS_ENDED (stage[OTHER] == OFF)
#define DROP_STREAM() stream = 0
#else
#define OTHER_HAS_ENDED true
#define DROP_STREAM() skip
#endif

inline submit(content) {
  write_of[me] = (fenced[me] -> FAILED : content)
}
/* What is submitted lands when it likes: so an owner that stalls between a look and its write is one whose write is late. */
inline submit_superblock(content) {
#ifdef STALLS
  submit(content)
#else
  superblock_cache = content;
  write_of[me] = superblock_cache | LANDED
#endif
}

/* OwnerCheck::look. */
#ifdef LOOKS
#define CHECK() \
  if \
  :: !STILL_OURS -> goto overtaken \
  :: STILL_OURS \
  fi
#else
#define CHECK() skip
#endif

/* An answer is late as often as not; what is done with it then is as if it had been done when it was given. */
#define AWAIT(action, then) \
  if \
  :: atomic { HAS_LANDED(write_of[me]) -> action(write_of[me]); write_of[me] = 0; then } \
  :: atomic { write_of[me] == FAILED -> goto failed } \
  :: atomic { write_of[me] != 0 && mishaps_left > 0 -> mishaps_left--; goto poisoned } \
  fi
#define AWAIT_RECORD(then) AWAIT(make_durable, then)
#define AWAIT_SUPERBLOCK(then) AWAIT(flush, then)
#define AWAIT_IN_CACHE(then) AWAIT(rely_on, then)
inline rely_on(superblock) {
  skip
}

/* OwnerCheck::put_record: nobody is answered before the record is durable and the image still ours. */
inline submit_record() {
  submit(RECORD(epoch, generation + 1))
}
inline answer() {
  CHECK();
  generation++;
  assert(generation < 16);
  deferred = false;
  assert(STILL_OURS && !IS_SEALED); /* INV7c */
  assert(generation > acknowledged);                  /* INV7d */
  acknowledged = generation
}

inline unlock() {
  lock = (lock == me -> FREE : lock);
  fencing = (fencing == me -> NOBODY : fencing)
}
inline forget() {
  epoch = 0; generation = 0; token = 0; is_stale[me] = false; deferred = false; lacks = false; has_sealed = false; comes = false;
  breaks = false; how = NONE;
  taken_over[me] = false; fenced[me] = false;
  stage[me] = OFF
}

/* How an image is opened, and what has to be seen there. */
mtype = { NONE, PLAINLY, TO_TAKE_OVER, TO_UNSEAL, TO_GO_ON };

/* A machine at rest goes on from the seal of its own hand-over, or if nobody has been there since its own epoch began. */
#ifdef WRONG_NO_CHECK
#define COMES_FOR(token) true
#endif
#ifdef WRONG_BEFORE_SEAL
#define COMES_FOR(token) (FOUND_GENERATION == GENERATION_OF(token))
#endif
#ifdef WRONG_SEAL_ONLY
#define COMES_FOR(token) IS_SEALED
#endif
#ifdef LIMIT_SAME_GENERATION
#define IS_SEAL_OF(token) (IS_SEALED && FOUND_GENERATION == GENERATION_OF(token))
#else
#define IS_SEAL_OF(token) (SEAL(superblock_cache) == SEAL_OF(token))
#endif
#ifndef COMES_FOR
#define COMES_FOR(token) IS_SEAL_OF(token)
#endif
#define UNSEALED_BY_US (!IS_SEALED && STILL_OURS)
#ifdef WRONG_BLIND_TAKE_BACK
#define MAY_GO_ON true
#else
#define MAY_GO_ON (IS_SEAL_OF(token) || UNSEALED_BY_US)
#endif
#ifdef NO_LOCK /* What was not closed is its own host's, or a word's. */
#define MAY_START (!IS_SEALED && (IS_CLOSED(superblock_cache) || HOST(superblock_cache) == me))
#else
#define MAY_START (!IS_SEALED)
#endif
#define MAY_OPEN \
  ((how == PLAINLY && MAY_START) || (how == TO_TAKE_OVER && !IS_SEALED) || \
   (how == TO_UNSEAL && IS_SEALED) || (how == TO_GO_ON && MAY_GO_ON))

/* Lock, look, and Recovery::begin_epoch. Who may not open has changed nothing. */
inline open_image(as) {
  how = as;
  assert(how != PLAINLY || !was_let_go);                                           /* INV7g */
  reached(3, how == TO_GO_ON && !comes && NUMBER(superblock_cache) > NUMBER(epoch)); /* REACH3 */
  reached(6, how == TO_GO_ON && UNSEALED_BY_US);                                   /* REACH6 */
  stage[me] = BUSY;
  taken_over[me] = false; fenced[me] = false; /* It is another process, or another connection. */
  DROP_STREAM();
#ifdef LOCKS
  lock = me;
#endif
  generation = (how == TO_GO_ON && !UNSEALED_BY_US -> GENERATION_OF(token) : FOUND_GENERATION);
  taken_over[OTHER] = taken_over[OTHER] || how == TO_TAKE_OVER || how == TO_UNSEAL;
#ifdef WRONG_SAME_EPOCH
  epoch = EPOCH(superblock_cache);
#else
  assert(NUMBER(superblock_cache) < 15);
  epoch = EPOCH_OF(NUMBER(superblock_cache) + 1, me);
#endif
  submit_superblock(SUPERBLOCK(epoch, generation, SEAL(superblock_cache), 0))
}

/* Of an owner that is silent: it may be dead, or slow. */
inline fence(as) {
  openings_left--;
  how = as;
  stage[me] = BUSY;
  breaks = true;
  taken_over[OTHER] = true;
  fencing = OTHER;
#ifdef WRONG_NO_WAIT
  lock = FREE;
#endif
#ifdef WRONG_NO_FENCE
  lock = FREE;
  fencing = NOBODY
#endif
}
inline step_back() {
  breaks = false;
  if
  :: how == TO_GO_ON -> how = NONE; stage[me] = WAITING
  :: how != TO_GO_ON -> forget()
  fi
}

/* Engine::unseal. */
inline submit_unsealing() {
  was_let_go = false;
  submit_superblock(SUPERBLOCK(epoch, generation, 0, 0))
}

/* Whoever has been taken over meanwhile goes on all the same, until it asks the storage for something: it is not judged. */
inline go_on() {
  assert(IS_STILL_OWNER || taken_over[me]);                /* INV7e */
  assert(!IS_STILL_OWNER || generation >= acknowledged);   /* INV7d */
  assert(!IS_STILL_OWNER || !lacks);                       /* INV7d */
  assert(!IS_STILL_OWNER || !is_stale[me]);                /* INV7f */
  reached(1, comes && me == 1);                            /* REACH1 */
  reached(2, how == TO_GO_ON && !comes);                   /* REACH2 */
  reached(5, comes && me == 0);                            /* REACH5 */
  is_stale[OTHER] = (IS_STILL_OWNER -> token_of[OTHER] != 0 : is_stale[OTHER]);
  stream = (IS_STILL_OWNER && stream != 0 -> STALE(stream) : stream);
  is_handed_over = is_handed_over && !IS_STILL_OWNER;
  token = 0; is_stale[me] = false; has_sealed = false; comes = false; lacks = false; breaks = false; how = NONE;
  stage[me] = SERVING
}

/* GET_STATEBLOB of a machine at rest. An older stream may still be on its way. */
inline say_generation() {
  stage[me] = RESTING;
  seals++;
  token = TOKEN(generation, seals);
  is_stale[me] = false;
  is_handed_over = true;
  if
  :: stream = STREAM(token, me, deferred)
  :: stream != 0
  fi
}
inline let_go() {
  unlock();
  was_let_go = was_let_go || IS_STILL_OWNER;
  deferred = false;
  stage[me] = WAITING
}

proctype owner(byte me) provided (NOBODY_IS_DYING || fate[me] != LIVES) {
  byte generation;
  bool deferred, lacks, has_sealed, comes, breaks;
  mtype how = NONE;
end:
  do
  :: {
end_idle:
      do
      :: atomic { stage[me] == OFF && openings_left > 0 && IS_ITS_TURN && LOCK_IS_FREE && MAY_START && OTHER_HAS_ENDED ->
          openings_left--;
          open_image(PLAINLY);
          break
        }
      :: atomic { stage[me] == OFF && openings_left > 0 && IS_SEALED && LOCK_IS_FREE && OTHER_HAS_ENDED ->
          openings_left--;
          open_image(TO_UNSEAL);
          break
        }
#ifdef NO_LOCK
      :: atomic { stage[me] == OFF && openings_left > 0 && IS_ITS_TURN && !IS_SEALED && !MAY_START &&
          OTHER_HAS_ENDED ->
          openings_left--;
          open_image(TO_TAKE_OVER);
          break
        }
#endif
#ifdef FENCES
      :: atomic { stage[me] == OFF && openings_left > 0 && lock == OTHER && fencing == NOBODY -> fence(TO_TAKE_OVER) }
      :: atomic { stage[me] == WAITING && !comes && MAY_GO_ON && openings_left > 0 && lock == OTHER && fencing == NOBODY ->
          fence(TO_GO_ON)
        }
      :: atomic { breaks && LOCK_IS_FREE && MAY_OPEN -> open_image(how); break }
      :: atomic { breaks && (LOCK_IS_FREE && !MAY_OPEN || lock == OTHER && fencing == NOBODY) -> step_back() }
#endif
      :: atomic { stage[me] == OFF && stream != 0 && SOURCE(stream) != me && COMES_FOR(TOKEN_OF(stream)) && LOCK_IS_FREE ->
          token = TOKEN_OF(stream); /* It was started with --incoming. */
          lacks = LACKS(stream);
          is_stale[me] = IS_STALE(stream);
          comes = true;
          stream = 0;
          open_image(TO_GO_ON);
          break
        }
      :: atomic { stage[me] == WAITING && MAY_GO_ON && LOCK_IS_FREE && (comes || OTHER_HAS_ENDED) ->
          open_image(TO_GO_ON);
          break
        }
      :: atomic { stage[me] == WAITING && comes -> forget() }                /* It gives up. */
      :: atomic { stage[me] == WAITING && !comes && !MAY_GO_ON -> forget() } /* It has gone on elsewhere. */
      od;

      if
      :: how == PLAINLY || how == TO_TAKE_OVER ->
#ifdef WRONG_EPOCH_IN_CACHE
        AWAIT_IN_CACHE(go_on())
#else
        AWAIT_SUPERBLOCK(go_on())
#endif
      :: how == TO_UNSEAL || how == TO_GO_ON ->
        AWAIT_SUPERBLOCK(skip);
        if
        :: atomic { CHECK(); submit_unsealing() };
#ifdef WRONG_UNSEALED_IN_CACHE
          AWAIT_IN_CACHE(go_on())
#else
          AWAIT_SUPERBLOCK(go_on())
#endif
        :: comes -> goto failed /* It gives up. */
        fi
      fi;

end_serving:
      do
      :: atomic { commits_left > 0 -> commits_left--; submit_record() };
        AWAIT_RECORD(answer())
      :: atomic { commits_left > 0 && !deferred -> commits_left--; deferred = true }
      :: atomic { closes_left > 0 && !deferred -> closes_left--; stage[me] = BUSY; CHECK();
          submit_superblock(SUPERBLOCK(epoch, generation, 0, 1)) /* Engine::close */
        };
        AWAIT_SUPERBLOCK(goto failed)
      :: if
#ifdef WRONG_NO_SYNC
        :: atomic { hand_overs_left > 0 -> hand_overs_left--; say_generation() }
#else
        :: atomic { hand_overs_left > 0 && !deferred -> hand_overs_left--; say_generation() }
        :: atomic { hand_overs_left > 0 && deferred -> hand_overs_left--; stage[me] = RESTING; submit_record() };
          AWAIT_RECORD(answer(); say_generation())
#endif
        fi;
        if
        :: atomic { CHECK(); submit_superblock(SUPERBLOCK(epoch, generation, SEAL_OF(token), 0)); has_sealed = true };
#ifdef WRONG_SEAL_IN_CACHE
          AWAIT_IN_CACHE(skip);
#else
          AWAIT_SUPERBLOCK(skip);
#endif
          if
          :: atomic { let_go(); goto end_idle }
          :: atomic { OTHER_HAS_ENDED -> DROP_STREAM(); CHECK(); submit_unsealing() }; /* cancelled */
            AWAIT_SUPERBLOCK(go_on())
          fi
        :: atomic { OTHER_HAS_ENDED -> DROP_STREAM(); go_on() } /* cancelled */
        fi
      od;

#ifdef LOOKS
overtaken:
      assert(has_sealed || taken_over[me] || how != NONE); /* INV7e */
#endif
poisoned: /* Nothing is let go while something that was submitted may still land. */
      if
      :: atomic { !IS_PENDING(write_of[me]) -> goto failed }
#ifdef FENCES
      :: atomic { IS_PENDING(write_of[me]) -> goto failed } /* RbdCluster::fence_itself */
#endif
#ifdef WRONG_EARLY_RELEASE
      :: atomic { IS_PENDING(write_of[me]) && late == 0 -> late = write_of[me]; goto failed }
#endif
#ifdef NO_LOCK
      :: atomic { IS_PENDING(write_of[me]) && IS_RECORD(write_of[me]) && late == 0 -> late = write_of[me]; goto failed }
#endif
      fi;
failed:
      atomic {
        reached(4, fenced[me] && CAN_ANSWER(OTHER) && acknowledged > generation); /* REACH4 */
        write_of[me] = 0;
        unlock();
        forget();
        goto end_idle
      }
    } unless { fate[me] != LIVES };
    atomic {
      if
      :: fate[me] == DIES_UNDER_ITS_MACHINE && token != 0 -> /* Which waits for another owner. */
        how = NONE;
        breaks = false;
        stage[me] = WAITING
      :: fate[me] == DIES || token == 0 -> forget()
      fi;
      fate[me] = LIVES
    }
  od
}

/* ---- The storage --------------------------------------------------------------------------------------------------- */

inline fail(host) {
  write_of[host] = (write_of[host] != 0 -> FAILED : 0)
}

proctype storage() provided (NOBODY_IS_DYING) {
end:
  do
  :: atomic { IS_PENDING(write_of[0]) -> land(write_of[0]); write_of[0] = write_of[0] | LANDED }
  :: atomic { IS_PENDING(write_of[1]) -> land(write_of[1]); write_of[1] = write_of[1] | LANDED }
#ifdef LATE_ONES
  :: atomic { late != 0 -> land(late); late = 0 }
  :: atomic { late != 0 -> late = 0 }
#endif
#ifdef FENCES
  :: atomic { lock == DEAD -> late = 0; lock = FREE }
  :: atomic { fencing != NOBODY -> /* It is in force. */
      fenced[fencing] = true;
      fail(fencing);
      lock = (lock == fencing -> FREE : lock);
      fencing = NOBODY
    }
#endif
  :: atomic { mishaps_left > 0 -> /* a power cut */
      mishaps_left--;
      if
      :: superblock_cache = superblock_disk
      :: superblock_cache != superblock_disk -> superblock_disk = superblock_cache
      fi;
      if
      :: record_cache = record_disk
      :: record_cache != record_disk -> record_disk = record_cache
      fi;
      late = 0;
      fail(0);
      fail(1)
    }
  od
}

/* ---- Deaths, and the end --------------------------------------------------------------------------------------------- */

inline kill(host) {
  mishaps_left--;
  if
  :: IS_PENDING(write_of[host]) /* It never lands. */
  :: IS_PENDING(write_of[host]) -> land(write_of[host])
#ifdef LATE_ONES
  :: IS_PENDING(write_of[host]) && late == 0 && MAY_BE_LATE(write_of[host]) -> late = write_of[host]
#endif
  :: !IS_PENDING(write_of[host])
  fi;
  write_of[host] = 0;
  lock = (lock == host -> LOCK_OF_DEAD : lock);
  fencing = (fencing == host -> NOBODY : fencing);
  if
  :: fate[host] = DIES
  :: fate[host] = DIES_UNDER_ITS_MACHINE
  fi
}

proctype adversary() {
end:
  do
  :: atomic { mishaps_left > 0 && stage[0] != OFF && NOBODY_IS_DYING -> kill(0) }
  :: atomic { mishaps_left > 0 && stage[1] != OFF && NOBODY_IS_DYING -> kill(1) }
  od
}

#define HAS_ENDED_WELL(host) \
  (stage[host] == OFF || stage[host] == SERVING && (CAN_ANSWER(host) || taken_over[host]))

proctype judge() {
end:
  atomic {
    timeout ->
    assert(HAS_ENDED_WELL(0) && HAS_ENDED_WELL(1));                                          /* INV7h */
    assert(CAN_ANSWER(0) || CAN_ANSWER(1) || LOCK_IS_FREE);                                  /* INV7h */
    assert(CAN_ANSWER(0) || CAN_ANSWER(1) || !IS_SEALED || is_handed_over) /* INV7h */
  }
}

init {
  atomic {
    superblock_cache = SUPERBLOCK(EPOCH_OF(1, 0), 1, 0, 1);
    superblock_disk = superblock_cache;
    run owner(0);
    run owner(1);
    run storage();
    run adversary();
    run judge()
  }
}
