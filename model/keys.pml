/*
 * An exchange of an image's data key, for spin: invariant 9 as far as the order of its steps upholds it.
 *
 * What is modelled
 *   Device     Both superblocks, two pages with two slots each, a ring of two records; durable and cached, cut as in
 *              store.pml. Of a block that is sealed only the data key counts that it is sealed with. The key slots are one
 *              value, old or new: that their two copies are that, copies.pml shows.
 *   Holders    Two. One's key is always given to an exchange; the other one's is given, or is left out (or shut out).
 *   Processes  owner (openings, commits, checkpoints, closes), exchanger (KeyExchange::run, beside commits), adversary.
 *
 * INV9d: what the superblock names is opened by the holders that docs/design.md says, and by no other: before an exchange
 *        has put its superblock in place by those of before, then by those who were to have the new data key.
 * INV9e: whoever opens the current superblock can judge the other one as well, else the image would be refused (unlock.cc).
 * INV9f: what the superblock leads to is sealed with the data key that it names: pages, and records that count.
 * INV9g: when an exchange is finished nothing on the device is sealed with another data key, and no slot opens one.
 * INV9h: a slot has two wraps at most.
 *
 * Not modelled: slots that are added, changed and removed. LIMIT_CHANGED_SLOT shows what comes of a slot that is changed
 * between an exchange that was cut and the next opening for writing: it has the new data key only, and the older superblock
 * names the old one.
 */

/* Bounds of the search; ./dev prove does one with two crashes. */
#ifndef EXCHANGES
#define EXCHANGES 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef COMMITS
#define COMMITS 2 /* At most 6. */
#endif
#ifndef CLOSES
#define CLOSES 1
#endif

#define PAGES 2
#define RING 2
#define KEYS 4 /* at once */
#define FIRST_HOME 2
#define HOME(page, slot) (FIRST_HOME + 2 * (page) + (slot))
#define FIRST_RECORD (FIRST_HOME + 2 * PAGES)
#define RECORD_BLOCK(generation) (FIRST_RECORD + (generation) % RING)
#define BLOCKS (FIRST_RECORD + RING)
#define TORN (-1)
#define NOISE 0

#define SUPERBLOCK(sequence, key, generation, slots) \
  ((sequence) | ((key) << 3) | ((generation) << 6) | ((slots) << 9) | (1 << 11))
#define SEQUENCE(superblock) ((superblock) & 7)
#define KEY(superblock) (((superblock) >> 3) & 7)
#define GENERATION(superblock) (((superblock) >> 6) & 7)
#define SLOT_OF(superblock, page) (((superblock) >> (9 + (page))) & 1)
#define AHEAD(superblock, than) ((SEQUENCE(superblock) - SEQUENCE(than) + 8) % 8)
#define IS_NEWER(superblock, than) (AHEAD(superblock, than) != 0 && AHEAD(superblock, than) < 4)

#define RECORD(generation, key) ((generation) | ((key) << 3))
#define RECORD_KEY(record) ((record) >> 3)
#define RECORD_GENERATION(record) ((record) & 7)

/* Key slots: for each data key which holders have a wrap of it. */
#define WRAPS(slots, key) (((slots) >> (2 * (key))) & 3)
#define ONLY_WRAPS_OF(slots, key) ((slots) & (3 << (2 * (key)))) /* with_wraps_of */
#define WRAP(key, holders) ((holders) << (2 * (key)))

short disk[BLOCKS], cache[BLOCKS];
short slots_disk, slots_cache;

/* Known to us, who judge: */
byte may_open[KEYS + 1];

/* Memory. */
short superblock;
bit copy;
byte codec, generation;
bool dirty[PAGES];
bool serving, turn, checkpointing, exchanging;
bool owner_dies, exchanger_dies;

inline forget_memory() {
  superblock = 0; copy = 0; codec = 0; generation = 0; dirty[0] = false; dirty[1] = false;
  serving = false; turn = false; checkpointing = false; exchanging = false
}

inline flush() {
  d_step {
    for (b : 0 .. BLOCKS - 1) {
      disk[b] = cache[b]
    }
    b = 0;
    slots_disk = slots_cache
  }
}

/* A data key that is nowhere: as good as a new one. */
byte used_keys;
#define USE(key) used_keys = used_keys | (1 << (key))
inline use_block(block) {
  if
  :: block == TORN -> skip
  :: block != TORN && b < FIRST_HOME -> USE(KEY(block))
  :: block != TORN && b >= FIRST_HOME && b < FIRST_RECORD -> USE(block)
  :: block != TORN && b >= FIRST_RECORD -> USE(RECORD_KEY(block))
  fi
}
inline find_fresh(key) {
  d_step {
    used_keys = 1;
    for (b : 0 .. BLOCKS - 1) {
      use_block(disk[b]);
      use_block(cache[b])
    }
    b = 0;
    key = 1;
    do
    :: (used_keys & (1 << key)) || WRAPS(slots_disk, key) != 0 || WRAPS(slots_cache, key) != 0 -> key++
    :: else -> break
    od;
    assert(key <= KEYS);
    used_keys = 0
  }
}

/* HeaderArea::write: the old slots or the new ones. */
inline write_slots(content) {
  flush();
  atomic { slots_cache = content };
  atomic { slots_disk = slots_cache }
}

/* Checkpointer::carry_out. The two are one at a time. */
inline write_home(page) {
  if
  :: atomic { dirty[page] -> cache[HOME(page, 1 - SLOT_OF(superblock, page))] = codec }
  :: !dirty[page]
  fi
}
inline write_superblock(point, slots) {
  atomic { cache[1 - copy] = SUPERBLOCK((SEQUENCE(superblock) + 1) % 8, codec, point, slots) };
  atomic {
    copy = 1 - copy;
    disk[copy] = cache[copy];
    superblock = cache[copy]
  }
}
inline carry_out(point) {
  write_home(0);
  write_home(1);
  flush();
  atomic {
    new_slots = (SLOT_OF(superblock, 0) ^ dirty[0]) | ((SLOT_OF(superblock, 1) ^ dirty[1]) << 1);
    dirty[0] = false;
    dirty[1] = false
  };
  write_superblock(point, new_slots);
  new_slots = 0
}

/* find_superblock, unlock, Recovery::recover. */
#define OTHERS_HOLD(key) ((WRAPS(slots_cache, codec) & ~WRAPS(slots_cache, key)) == 0) /* check_others */
#define COUNTS(record) ((record) != TORN && RECORD_GENERATION(record) == generation + 1)
inline recover() {
  copy = (cache[1] != TORN && (cache[0] == TORN || IS_NEWER(cache[1], cache[0])) -> 1 : 0);
  superblock = cache[copy];
  assert(superblock != TORN);                                                            /* INV9d */
  codec = KEY(superblock);
  assert(WRAPS(slots_cache, codec) == may_open[codec] && may_open[codec] != 0);          /* INV9d */
  assert(cache[1 - copy] == TORN || OTHERS_HOLD(KEY(cache[1 - copy])));                  /* INV9e */
  assert(cache[HOME(0, SLOT_OF(superblock, 0))] == codec && cache[HOME(1, SLOT_OF(superblock, 1))] == codec); /* INV9f */
  generation = GENERATION(superblock);
  do
  :: COUNTS(cache[RECORD_BLOCK(generation + 1)]) ->
    assert(RECORD_KEY(cache[RECORD_BLOCK(generation + 1)]) == codec);                    /* INV9f */
    generation++;
    dirty[generation % PAGES] = true
  :: else -> break
  od
}

proctype owner() {
  byte commits_left = COMMITS, closes_left = CLOSES, new_slots, b;
  do
  :: {
      atomic {
        !owner_dies && !exchanger_dies ->
        recover()
      };
      flush(); /* Recovery::begin_epoch */
      carry_out(generation);
      write_superblock(generation, superblock >> 9 & 3);
      if
      :: ONLY_WRAPS_OF(slots_cache, codec) != slots_cache -> write_slots(ONLY_WRAPS_OF(slots_cache, codec))
      :: true /* There is nothing to drop, or it fails: the next opening does it. */
      fi;
      serving = true;

end_serving:
      do
      :: atomic { commits_left > 0 && generation - GENERATION(superblock) < RING && !checkpointing &&
#ifdef WRONG_COMMITS_GO_ON
          true ->
#else
          !turn -> turn = true;
#endif
          commits_left--;
          cache[RECORD_BLOCK(generation + 1)] = RECORD(generation + 1, codec)
        };
        atomic {
          disk[RECORD_BLOCK(generation + 1)] = cache[RECORD_BLOCK(generation + 1)];
          generation++;
          dirty[generation % PAGES] = true;
#ifndef WRONG_COMMITS_GO_ON
          turn = false
#endif
        }
      :: atomic { generation != GENERATION(superblock) && !checkpointing -> checkpointing = true };
        carry_out(generation);
        checkpointing = false
      :: atomic { closes_left > 0 && !exchanging -> closes_left--; serving = false }; /* Engine::close */
        carry_out(generation);
        write_superblock(generation, superblock >> 9 & 3);
        break
      od;
      atomic { forget_memory() }
    } unless { owner_dies };
    atomic {
      owner_dies = false;
      new_slots = 0;
      b = 0
    }
  od
}

/* KeyExchange::run. */
inline check_finished() {
  d_step {
    for (b : 0 .. BLOCKS - 1) {
      assert(b < FIRST_HOME || b >= FIRST_RECORD || disk[b] == NOISE || disk[b] == codec);     /* INV9g */
      assert(b < FIRST_RECORD || disk[b] == NOISE || RECORD_KEY(disk[b]) == codec)             /* INV9g */
    }
    b = 0;
    assert(ONLY_WRAPS_OF(slots_disk, codec) == slots_disk)                                     /* INV9g */
  }
}

#define HAS_WRAP(key) (WRAPS(slots_disk, key) & 1)
inline wrap_new_data_key() {
#ifdef WRONG_NEW_WRAPS_ONLY
  write_slots(WRAP(key, may_open[key]));
#else
#ifdef WRONG_LEFTOVERS
  write_slots(slots_cache | WRAP(key, may_open[key]));
#else
  write_slots(ONLY_WRAPS_OF(slots_cache, codec) | WRAP(key, may_open[key]));
#endif
#endif
  assert(HAS_WRAP(1) + HAS_WRAP(2) + HAS_WRAP(3) + HAS_WRAP(4) <= 2) /* INV9h */
}

proctype exchanger() {
  byte exchanges_left = EXCHANGES, key, new_slots, b;
end_idle:
  do
  :: {
      atomic {
        serving && exchanges_left > 0 && !exchanging ->
        exchanges_left--;
        exchanging = true;
        find_fresh(key);
        if
        :: may_open[key] = may_open[codec]
        :: may_open[key] = 1 /* KeylessSlots::leave_out, or KeyRotation::without */
        fi
      };
#ifndef WRONG_LATE_WRAPS
      wrap_new_data_key();
#endif
#ifndef WRONG_COMMITS_GO_ON
      atomic { !turn -> turn = true };
#endif
      atomic { /* KeyExchange::seal_anew */
        !checkpointing ->
        checkpointing = true;
#ifndef WRONG_CHANGED_PAGES_ONLY
        dirty[0] = true; /* take_all_pages */
        dirty[1] = true;
#endif
        codec = key
      };
      carry_out(generation);
#ifdef WRONG_EARLY_DROP
      write_slots(ONLY_WRAPS_OF(slots_cache, codec));
#endif
      write_superblock(generation, superblock >> 9 & 3);
#ifdef WRONG_LATE_WRAPS
      wrap_new_data_key();
#endif
      /* overwrite_what_was */
#ifndef WRONG_OLD_HOMES_STAY
      cache[HOME(0, 1 - SLOT_OF(superblock, 0))] = NOISE;
      cache[HOME(1, 1 - SLOT_OF(superblock, 1))] = NOISE;
#endif
#ifndef WRONG_RING_STAYS
      cache[FIRST_RECORD] = NOISE;
      cache[FIRST_RECORD + 1] = NOISE;
#endif
      flush();
      atomic {
        checkpointing = false;
        turn = false
      };
      write_slots(ONLY_WRAPS_OF(slots_cache, codec)); /* drop_other_wraps */
      atomic {
        check_finished();
        key = 0;
        exchanging = false
      }
    } unless { exchanger_dies };
    atomic {
      exchanger_dies = false;
      key = 0;
      new_slots = 0;
      b = 0
    }
  od
}

inline cut_power() {
  for (b : 0 .. BLOCKS - 1) {
    if
    :: cache[b] != disk[b] -> disk[b] = cache[b]
    :: cache[b] != disk[b] -> disk[b] = TORN
    :: true
    fi;
    cache[b] = disk[b]
  }
  b = 0;
  if
  :: slots_cache = slots_disk
  :: slots_cache != slots_disk -> slots_disk = slots_cache
  fi
}

proctype adversary() {
  byte crashes_left = CRASHES, b;
end:
  do
  :: atomic {
      crashes_left > 0 ->
      crashes_left--;
      if
      :: cut_power()
      :: true /* only the process dies */
      fi;
      forget_memory();
      owner_dies = true;
      exchanger_dies = true
    }
#ifdef LIMIT_CHANGED_SLOT
  :: atomic { /* change_slot, of an image that nobody has open */
      superblock == 0 && !owner_dies && !exchanger_dies && slots_cache == slots_disk ->
      b = (cache[1] != TORN && (cache[0] == TORN || IS_NEWER(cache[1], cache[0])) -> KEY(cache[1]) : KEY(cache[0]));
      slots_disk = ONLY_WRAPS_OF(slots_cache, b);
      slots_cache = slots_disk;
      b = 0
    }
#endif
  od
}

init {
  atomic {
    disk[0] = SUPERBLOCK(1, 1, 0, 0);
    disk[1] = SUPERBLOCK(2, 1, 0, 0);
    disk[HOME(0, 0)] = 1;
    disk[HOME(1, 0)] = 1;
    cache[0] = disk[0];
    cache[1] = disk[1];
    cache[HOME(0, 0)] = 1;
    cache[HOME(1, 0)] = 1;
    slots_disk = WRAP(1, 3);
    slots_cache = slots_disk;
    may_open[1] = 3;
    run owner();
    run exchanger();
    run adversary()
  }
}
