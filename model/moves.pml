/*
 * An image that is moved to another place while its machine runs, for spin: `vnvram move`. Invariant 7, beyond handover.pml,
 * of two devices of which one is sealed from its first moment on.
 *
 * What is modelled
 *   Places     Two, which an image goes between. Each has a superblock (whether there is one, whether it is sealed and for
 *              which number, the epoch), a mark of the number by which it came, and content, which counts what was
 *              committed; durable and cached. A cut leaves each as it is durably or in the cache. A lock, which ends with
 *              who has it.
 *   Owners     Whoever opens a place: without a word, or with one (`unseal`). It serves, is killed, and is followed by
 *              one at either place. With STRANGERS somebody else does so beside it.
 *   The mover  Wipes the other place, copies, has the owner hold changes, copies what is left, has the copy sealed for a
 *              new number, and asks the owner to seal its own for the same one. It is killed at every step. The owner
 *              may end the hold, and refuse; its silence says nothing.
 *
 * INV7i: each commit is on top of all that were acknowledged, at whichever place: never two go on.
 * INV7j: who opens a place has all that was acknowledged.
 * INV7k: when nothing is under way one of the places, and not both, can be opened without a word.
 *
 * Not modelled: what one superblock and its ring are made of (store.pml), two owners of one place (owners.pml, handover.pml),
 * a place that cannot be read, or that holds another image by now, a third place.
 */

#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef MOVES
#define MOVES 2
#endif
#ifndef OPENINGS
#define OPENINGS 3
#endif
#ifndef STRANGERS
#define STRANGERS 0
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

#define NOBODY 0
#define OWNER 1
#define MOVER 2
#define STRANGER 3

/* A superblock: none, not sealed, sealed for a number; and an epoch. */
#define NONE 0
#define SUPERBLOCK(seal, epoch) (1 | ((seal) << 1) | ((epoch) << 4))
#define IS_THERE(block) ((block) & 1)
#define SEAL(block) (((block) >> 1) & 7)
#define EPOCH(block) ((block) >> 4)

byte disk_block[2], cache_block[2];
byte disk_mark[2], cache_mark[2];
byte disk_content[2], cache_content[2];
byte locked_by[2];

/* Between the owner and the mover. */
byte held_by, asked_to_hold, asked_to_leave, answered, refused_to; /* The number of the move. */
bool serves, has_left, was_held, mover_moves;
bit owner_place;
bool owner_dies, mover_dies, stranger_dies;

byte acknowledged; /* Known to us, who judge. */
byte numbers, owners;
byte commits_left = COMMITS, moves_left = MOVES, openings_left = OPENINGS, deaths_left = DEATHS, strangers_left = STRANGERS;

/* move_marks.cc: the other place is sealed for what this one is. */
#define IS_OF_ONE_MOVE(block, other) \
  (IS_THERE(block) && IS_THERE(other) && SEAL(block) != 0 && SEAL(other) == SEAL(block))
#ifdef WRONG_NO_LOOK
#define CAME(place) (cache_mark[place] == SEAL(cache_block[place]))
#else
#define CAME(place) (cache_mark[place] == SEAL(cache_block[place]) && \
                     IS_OF_ONE_MOVE(cache_block[place], cache_block[1 - (place)]))
#endif
#define OPENS(place) (IS_THERE(cache_block[place]) && (SEAL(cache_block[place]) == 0 || CAME(place)))

inline flush(place) {
  d_step {
    disk_block[place] = cache_block[place];
    disk_mark[place] = cache_mark[place];
    disk_content[place] = cache_content[place]
  }
}

inline write_superblock(place, block) {
  cache_block[place] = block;
  flush(place)
}

inline let_go(place, who) {
  if
  :: locked_by[place] == who -> locked_by[place] = NOBODY
  :: else
  fi
}

/* With a word: the other place is not where it went on, or is about to: nobody has it, and it was not opened since
 * (check_nobody_is_elsewhere). */
#ifdef WRONG_WORD_WITHOUT_A_LOOK
#define WORD_IS_TAKEN(place) (SEAL(cache_block[place]) != 0)
#else
#define WORD_IS_TAKEN(place) (SEAL(cache_block[place]) != 0 && \
  (cache_mark[place] == SEAL(cache_block[place]) -> \
    IS_OF_ONE_MOVE(cache_block[place], cache_block[1 - (place)]) : \
    IS_OF_ONE_MOVE(cache_block[place], cache_block[1 - (place)]) && \
      EPOCH(cache_block[1 - (place)]) <= EPOCH(cache_block[place])))
#endif

/* The other place is looked at with its lock, and as it is durably: look_alone. */
inline look_there(place, who) {
  if
  :: SEAL(cache_block[place]) != 0 ->
#ifdef WRONG_LOOK_BESIDE
    skip;
#else
    if
    :: atomic { locked_by[1 - (place)] == NOBODY -> locked_by[1 - (place)] = who }
    :: atomic { locked_by[1 - (place)] != NOBODY -> goto refused }
    fi;
#endif
#ifndef WRONG_LOOK_AT_A_CACHE
    flush(1 - (place));
#endif
    atomic {
      if
      :: CAME(place)
      :: WORD_IS_TAKEN(place)
      :: !CAME(place) -> let_go(1 - (place), who); goto refused
      fi;
#ifndef WRONG_LOOK_BESIDE
      let_go(1 - (place), who)
#endif
    }
  :: else
  fi
}

/* Takes what is there for its own. */
inline open(place, who) {
  atomic {
    locked_by[place] == NOBODY && IS_THERE(cache_block[place]) ->
    locked_by[place] = who
  };
  flush(place);
  look_there(place, who);
  atomic {
    assert(cache_content[place] == acknowledged || cache_content[place] == acknowledged + 1); /* INV7j */
    acknowledged = cache_content[place]
  };
  write_superblock(place, SUPERBLOCK(0, EPOCH(cache_block[place]) + 1))
}

inline commit(place, holds) {
  atomic { /* One after the other. */
    commits_left > 0 && !(holds) ->
    commits_left--;
    assert(cache_content[place] == acknowledged); /* INV7i */
    cache_content[place]++
  };
  flush(place);
  acknowledged++
}

/* Departure::leave, while changes are held; then it ends. */
inline leave(place) {
#ifdef WRONG_LEAVE_UNHELD
  atomic { asked_to_leave != 0 -> has_left = true };
#else
  if
  :: atomic { asked_to_leave != 0 && asked_to_leave == held_by -> has_left = true }
  :: atomic { asked_to_leave != 0 && asked_to_leave != held_by -> refused_to = asked_to_leave; asked_to_leave = 0; goto serving }
  fi;
#endif
  write_superblock(place, SUPERBLOCK(asked_to_leave, EPOCH(cache_block[place])));
  atomic {
    answered = asked_to_leave;
    asked_to_leave = 0
  }
}

inline owner_ends() {
  atomic {
    let_go(0, OWNER);
    let_go(1, OWNER);
    serves = false;
    has_left = false;
    held_by = 0;
    asked_to_hold = 0;
    asked_to_leave = 0
  }
}

proctype owner() {
end:
  do
  :: atomic {
      openings_left > 0 ->
      openings_left--;
      owner_dies = false;
      if
      :: owner_place = 0
      :: owner_place = 1
      fi
    };
    {
      if
      :: open(owner_place, OWNER); atomic { serves = true; owners++ }
      :: true -> goto refused /* Nothing is there, or it is in use. */
      fi;
serving:
end_serving:
      do
      :: commit(owner_place, held_by != 0)
      :: atomic { asked_to_hold != 0 && held_by == 0 -> held_by = asked_to_hold; asked_to_hold = 0; was_held = true }
      :: atomic { held_by != 0 -> held_by = 0 } /* It has lasted too long. */
      :: leave(owner_place); break
      :: atomic { !mover_moves && openings_left > 0 -> break } /* It is ended, and started again. */
      od;
refused:
      skip
    } unless { owner_dies };
    owner_ends()
  od
}

/* Somebody else beside the owner, at either place, whom nobody moves. */
#if STRANGERS > 0
proctype stranger() {
  bit place;
end:
  do
  :: atomic {
      strangers_left > 0 ->
      strangers_left--;
      if
      :: place = 0
      :: place = 1
      fi
    };
    {
      if
      :: open(place, STRANGER)
      :: true -> goto refused
      fi;
      do
      :: commit(place, false)
      :: break
      od;
refused:
      skip
    } unless { stranger_dies };
    atomic {
      stranger_dies = false;
      place = 0;
      let_go(0, STRANGER);
      let_go(1, STRANGER)
    }
  od
}
#endif

/* What nobody has been told of yet, and nobody can open. */
inline take_away(place) {
  write_superblock(place, NONE)
}

/* Its owner: the next one knows nothing of it. */
#define IS_GONE (!serves || owners != session)

proctype mover() {
  bit there;
  bool asked;
  byte session;
end:
  do
  :: atomic {
      serves && moves_left > 0 && locked_by[1 - owner_place] == NOBODY && SEAL(cache_block[owner_place]) == 0 ->
      moves_left--;
      there = 1 - owner_place;
      session = owners;
      locked_by[there] = MOVER;
      mover_moves = true;
      mover_dies = false;
      asked = false;
      was_held = false;
      numbers++
    };
    {
#ifndef WRONG_LATE_BEGINNING
      atomic { /* ImageKeeper::take_written: whoever was asked to hold, or has left, is not begun with. */
        if
        :: IS_GONE || held_by != 0 || has_left -> goto nothing_done
        :: else
        fi
      };
#endif
      take_away(there);
      cache_content[there] = cache_content[1 - there];
      asked_to_hold = numbers;
      if
      :: was_held
      :: IS_GONE -> goto failed
      fi;
      /* What it has copied until now may be older than what is there by now. */
      cache_content[there] = cache_content[1 - there];
      cache_mark[there] = numbers;
#ifndef WRONG_NO_FLUSH
      flush(there);
#endif
      atomic { /* The owner is asked for it: it is its superblock. */
        if
        :: IS_GONE -> goto failed
        :: else
        fi
      };
#ifdef WRONG_NOT_SEALED
      cache_block[there] = SUPERBLOCK(0, EPOCH(cache_block[1 - there]));
#else
      cache_block[there] = SUPERBLOCK(numbers, EPOCH(cache_block[1 - there]));
#endif
#ifdef WRONG_NO_FLUSH
      disk_block[there] = cache_block[there];
#else
      flush(there);
#endif
      atomic { let_go(there, MOVER) };
      atomic {
        if
        :: !IS_GONE -> asked_to_leave = numbers; asked = true
        :: else -> goto failed
        fi
      };
      if
      :: answered == numbers
      :: atomic { refused_to == numbers -> asked = false; goto failed }
      :: atomic { IS_GONE && answered != numbers && refused_to != numbers -> goto failed }
      fi;
nothing_done:
      goto left;
failed:
#ifdef WRONG_SILENCE_IS_A_REFUSAL
      asked = false;
#endif
      if
      :: !asked && answered != numbers ->
        if
        :: atomic { locked_by[there] == NOBODY -> locked_by[there] = MOVER }
        :: locked_by[there] == MOVER
        :: atomic { locked_by[there] == OWNER -> goto left }
        fi;
        take_away(there)
      :: else
      fi;
left:
      skip
    } unless { mover_dies };
    atomic {
      let_go(0, MOVER);
      let_go(1, MOVER);
      asked_to_hold = 0;
      mover_moves = false;
      there = 0;
      session = 0;
      asked = false
    }
  od
}

inline cut_power(place) {
  if
  :: cache_block[place] = disk_block[place]
  :: disk_block[place] = cache_block[place]
  fi;
  if
  :: cache_mark[place] = disk_mark[place]
  :: disk_mark[place] = cache_mark[place]
  fi;
  if
  :: cache_content[place] = disk_content[place]
  :: disk_content[place] = cache_content[place]
  fi
}

/* One of them is killed, or both with the power. */
proctype adversary() {
end:
  do
  :: atomic { deaths_left > 0 && (serves || locked_by[0] == OWNER || locked_by[1] == OWNER) ->
      deaths_left--;
      owner_dies = true
    }
  :: atomic { deaths_left > 0 && mover_moves ->
      deaths_left--;
      mover_dies = true
    }
  :: atomic { deaths_left > 0 ->
      deaths_left--;
      cut_power(0);
      cut_power(1);
      owner_dies = true;
      mover_dies = true;
      stranger_dies = (locked_by[0] == STRANGER || locked_by[1] == STRANGER)
    }
  od
}

#define NOTHING_IS_UNDER_WAY \
  (!mover_moves && !serves && locked_by[0] == NOBODY && locked_by[1] == NOBODY && !owner_dies && !mover_dies && !stranger_dies)

proctype judge() {
end:
  do
  :: atomic { NOTHING_IS_UNDER_WAY ->
      assert(OPENS(0) || OPENS(1));    /* INV7k */
      assert(!(OPENS(0) && OPENS(1))); /* INV7k */
      break
    }
  od
}

init {
  atomic {
    disk_block[0] = SUPERBLOCK(0, 1);
    cache_block[0] = disk_block[0];
    run owner();
    run mover();
#if STRANGERS > 0
    run stranger();
#endif
    run adversary();
    run judge()
  }
}
