/*
 * Two owners of one image on a device that cannot lock, for spin: invariant 7 as far as the epoch upholds it.
 * store.pml models everything else, with one owner.
 *
 * What is modelled: the two superblocks; owners that open (recovery, a claim, a second look at the ring, a new epoch,
 * both copies), look at the superblocks before each record and each checkpoint (OwnerCheck::look) or at the same time as
 * a record is under way (OwnerCheck::put_record), and close, in any interleaving. Looks read what is on the medium.
 * Nothing is cut here: what a cut does to a superblock is in store.pml. Nor is content replaced: whoever does that is no
 * owner.
 *
 * INV7a: of two open stores only one has commits acknowledged: whoever is overtaken has none from then on.
 * INV7b: a record that goes out together with its look, and is one too many, lands where the other owner has no record
 * yet. An opening begins half a ring away, so the other one has to commit half a ring (HALF records here) before it gets
 * there. The engine measures time (OwnerWatch::looks_first): what the other can do between a look and a record is a
 * matter of how long ago the look is.
 *
 * INV7l: whoever has opened it knows all that was acknowledged to the other one, though that one may have gone on
 * committing until the claim was there.
 *
 * Variants
 *   (none)       No lock. A check with the write that follows is one step: what epoch and claim uphold.
 *   LOCK         With the lock INV7a holds although each read and write is a step of its own.
 *   LIMIT_STALL  No lock, and an owner may stall between a check and its write: two owners commit. Only a lock closes
 *                that gap, which is why the invariant promises nothing on a device without one.
 */

#ifndef OPENINGS
#define OPENINGS 2 /* of each owner */
#endif
#ifndef CHECKPOINTS
#define CHECKPOINTS 2 /* between an opening and its closing */
#endif
#ifndef HALF
#define HALF 2 /* records in half of the ring */
#endif
#define COPIES 2
#define OWNERS 2

typedef Superblock {
  byte sequence;
  byte number; /* of the epoch; its random part tells apart two that raced */
  byte random;
  byte claim;
};
Superblock block[COPIES];

byte fresh = 2;
bool is_open[OWNERS], overtaken[OWNERS]; /* known to us, who judge; overtaken: the other has committed since */
byte since_look[OWNERS];                 /* records of the other since we last looked; HALF: that many, or more */
bool is_behind[OWNERS];                  /* the other has committed since we last read the ring, */
bool is_past[OWNERS];                    /* or made a checkpoint since we read the superblocks: the ring is free then */
bool locked;

#ifdef LOCK
#define STALL
#endif
#ifdef LIMIT_STALL
#define STALL
#endif

#define CURRENT (block[1].sequence > block[0].sequence -> 1 : 0)

#ifdef WRONG_NO_CHECK
#define CLAIMED(copy) false
#else
#ifdef WRONG_STALE_READS /* a cache shows what was there when it was filled, and what its owner writes */
#define SEEN(copy) seen[copy]
#else
#define SEEN(copy) block[copy]
#endif
#ifdef WRONG_CLAIM_UNSEEN /* an owner that knows epochs only */
#define OTHER_CLAIM(copy) false
#else
#define OTHER_CLAIM(copy) (SEEN(copy).claim != claim)
#endif
#define CLAIMED(copy) ((SEEN(copy).number != number || SEEN(copy).random != random || OTHER_CLAIM(copy)) && \
  SEEN(copy).number >= number && SEEN(copy).sequence >= sequence)
#endif
#ifdef WRONG_NO_LOOK_FIRST
#define RECENT true
#else
#define RECENT (since_look[me] < HALF)
#endif
#define STILL_OURS (!CLAIMED(0) && !CLAIMED(1))

inline write_superblock() {
  copy = 1 - copy;
  sequence++;
  block[copy].sequence = sequence;
  block[copy].number = number;
  block[copy].random = random;
  block[copy].claim = claim;
  seen[copy].sequence = sequence;
  seen[copy].number = number;
  seen[copy].random = random;
  seen[copy].claim = claim
}

inline fill_cache(which) {
  seen[which].sequence = block[which].sequence;
  seen[which].number = block[which].number;
  seen[which].random = block[which].random;
  seen[which].claim = block[which].claim
}

#ifdef STALL
#define CHECKED(action) \
  if \
  :: STILL_OURS -> atomic { action } \
  :: !STILL_OURS -> goto poisoned \
  fi
#else
#define CHECKED(action) \
  atomic { \
    if \
    :: STILL_OURS -> action \
    :: !STILL_OURS -> goto poisoned \
    fi \
  }
#endif

/* OwnerWatch::look_for_same: what is on the medium is what was recovered. Else it is tried anew. */
#ifdef WRONG_LOOSE_LOOK
#define SAME true
#else
#define SAME (block[CURRENT].sequence == sequence)
#endif
#ifdef STALL
#define OPENED(action) \
  if \
  :: STILL_OURS && SAME -> atomic { action } \
  :: STILL_OURS && !SAME -> goto again \
  :: !STILL_OURS -> goto poisoned \
  fi
#else
#define OPENED(action) \
  atomic { \
    if \
    :: STILL_OURS && SAME -> action \
    :: STILL_OURS && !SAME -> goto again \
    :: !STILL_OURS -> goto poisoned \
    fi \
  }
#endif

inline recover() {
  fill_cache(0);
  fill_cache(1);
  copy = CURRENT;
  sequence = block[copy].sequence;
  number = block[copy].number;
  random = block[copy].random;
  claim = block[copy].claim;
  is_behind[me] = false;
  is_past[me] = false
}

inline claim_it() { /* Recovery::claim; in the epoch as it is, since its records are to count */
  claim = fresh;
  fresh++;
  write_superblock()
}

inline begin_epoch() { /* Recovery::begin_epoch */
#ifndef WRONG_SAME_EPOCH
  number++;
  random = fresh;
  fresh++;
#endif
  claim = 0;
  write_superblock()
}

inline finish_opening() {
  write_superblock();
  assert(!is_behind[me] && !is_past[me]); /* INV7l */
  is_open[me] = true;
  since_look[me] = 0
}

inline checkpoint() {
  write_superblock();
  is_past[1 - me] = true
}

inline commit() {
  assert(!overtaken[me]); /* INV7a */
  overtaken[1 - me] = is_open[1 - me];
  is_behind[1 - me] = true;
  since_look[me] = 0;
  since_look[1 - me] = (since_look[1 - me] < HALF -> since_look[1 - me] + 1 : HALF)
}

inline land_record() {
  assert(!(overtaken[me] && since_look[me] == HALF)) /* INV7b */
}

proctype owner(byte me) {
  byte openings_left = OPENINGS, checkpoints_left, sequence, number, random, claim;
  bit copy;
  Superblock seen[COPIES]; /* by a cache, if looks went to one */
  do
  :: openings_left > 0 ->
    openings_left--;
#ifdef LOCK
    atomic { !locked -> locked = true };
#endif
again:
    atomic { recover() };
#ifndef WRONG_NO_CLAIM
    OPENED(claim_it());
    atomic {
      if
      :: !STILL_OURS -> goto poisoned
#ifndef WRONG_NO_SECOND_LOOK
      :: STILL_OURS && is_behind[me] -> goto again
      :: STILL_OURS && !is_behind[me]
#else
      :: STILL_OURS
#endif
      fi
    };
#endif
    OPENED(begin_epoch());
    CHECKED(finish_opening());
    checkpoints_left = CHECKPOINTS;
    do
    :: CHECKED(commit())
    :: atomic { RECENT -> land_record() } -> /* with its look: what comes between the two is seen */
      atomic {
        if
        :: STILL_OURS -> commit()
        :: !STILL_OURS -> goto poisoned
        fi
      }
    :: checkpoints_left > 0 ->
      checkpoints_left--;
      CHECKED(checkpoint())
    :: CHECKED(checkpoint()) -> /* Engine::close */
      CHECKED(checkpoint());
      break
    od;
poisoned:
    atomic {
      sequence = 0; number = 0; random = 0; claim = 0; copy = 0; checkpoints_left = 0;
      is_behind[me] = false;
      is_past[me] = false;
      is_open[me] = false;
      overtaken[me] = false;
      since_look[me] = 0;
      locked = false
    }
  :: openings_left == 0 -> break
  od
}

init {
  atomic {
    block[0].sequence = 1; block[0].number = 1; block[0].random = 1;
    block[1].sequence = 2; block[1].number = 1; block[1].random = 1;
    run owner(0);
    run owner(1)
  }
}
