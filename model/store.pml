/*
 * The commit, checkpoint and recovery protocol of one owner, for spin. docs/design.md, "Model, engine, tests",
 * says which function of the engine each part stands for; `./dev model` checks this file, and that each
 * WRONG_... variant is refuted and each REACH_... situation occurs.
 *
 * What is modelled
 *   Device     Blocks with a durable and a cached value. write changes the cached one; flush and the end of a
 *              durable write make it the durable one. A power cut leaves of each block that is pending the old
 *              value, the new one or a torn one; the death of the process leaves the cache as it is.
 *   Image      Two superblocks, a ring of RING blocks, PAGES pages with two home slots each.
 *   Processes  owner (open, commits, close), checkpointer (every checkpoint, also those that opening and closing
 *              wait for; beside commits), adversary (at any step, so during recovery and closing too).
 *
 * What stands for what
 *   - A page's content is the number of the record that last changed it; find_fresh gives each record and each epoch
 *     a number that nothing else has. Such a number is also the record's checksum, or the epoch's number and
 *     random together. So a checksum never collides, and a record that was lost and its successor of the same
 *     generation are told apart.
 *   - The table is part of the superblock: slot and checksum of each page. Leaves and index blocks go by the rule
 *     that pages go by (to the slot that the current superblock's tree does not use, before the flush) and are
 *     vouched for in the same way, so a page here stands for any node of the tree.
 *   - A transaction on one page is a record of one block, one on both pages a record of two (header, body).
 *   - INV tags name the assertions; the same tags in the engine are where it upholds them.
 *   - Installing and acknowledging happen with the end of the durable write. A cut between the two is the same
 *     as one before both that keeps the record.
 *
 * What is not modelled: bit rot (invariant 5), foreign images (6), two owners (7: owners.pml), failing writes (the
 * store is poisoned: a death), writes that land after their process is gone and the next has begun.
 */

/* Bounds of the search that ./dev model does; it ends in a minute and needs 1 GiB. `--define COMMITS=4` is deeper. */
#ifndef COMMITS
#define COMMITS 3 /* In all. At most 7. */
#endif
#ifndef CRASHES
#define CRASHES 2 /* Power cuts and deaths in all. */
#endif
#ifndef CLOSES
#define CLOSES 1 /* Clean closings, each followed by an opening. */
#endif

#define PAGES 2
#define RING 4 /* Blocks; a record takes half of it at most. */
#define FIRST_RING_BLOCK 2
#define RING_BLOCK(position) (FIRST_RING_BLOCK + (position))
#define HOME(page_number, slot) (FIRST_RING_BLOCK + RING + 2 * (page_number) + (slot))
#define BLOCKS (FIRST_RING_BLOCK + RING + 2 * PAGES)

/* ---- What is in a block. Zero: never written. ------------------------------------------------------------- */

#define TORN (-1) /* Neither the old nor the new content: no checksum fits. */

/* Entry: checksum (0: a page of zeros), slot. Table: an entry for each page. */
#define ENTRY(sum, slot) ((sum) | ((slot) << 4))
#define ENTRY_SUM(entry) ((entry) & 15)
#define ENTRY_SLOT(entry) (((entry) >> 4) & 1)
#define TABLE(entry0, entry1) ((entry0) | ((entry1) << 5))
#define TABLE_ENTRY(table, page_number) (((table) >> (5 * (page_number))) & 31)

/*
 * The sequence is counted modulo 8: only which of the two is newer matters, and that makes runs alike. Where one copy
 * is never replaced, they drift apart further.
 */
#ifdef WRONG_SAME_SUPERBLOCK
#define SEQUENCES 64
#else
#define SEQUENCES 8
#endif
#define SUPERBLOCK(sequence, epoch, generation, chain, position, table) \
  ((sequence) | ((epoch) << 6) | ((generation) << 10) | ((chain) << 13) | ((position) << 17) | ((table) << 19))
#define SB_SEQUENCE(sb) ((sb) & 63)
#define SB_EPOCH(sb) (((sb) >> 6) & 15)
#define SB_GENERATION(sb) (((sb) >> 10) & 7)
#define SB_CHAIN(sb) (((sb) >> 13) & 15)
#define SB_POSITION(sb) (((sb) >> 17) & 3)
#define SB_TABLE(sb) ((sb) >> 19)
#define WITH_SEQUENCE(sb, sequence) (((sb) & ~63) | ((sequence) % SEQUENCES))
#define AHEAD(sb, than) ((SB_SEQUENCE(sb) - SB_SEQUENCE(than) + SEQUENCES) % SEQUENCES)
#define IS_NEWER(sb, than) (AHEAD(sb, than) != 0 && AHEAD(sb, than) < SEQUENCES / 2)

/* A record's header block, and the second block of a record of two. `pages`: bit p: page p is changed. */
#define HEADER(epoch, sequence, chain, number, pages) \
  ((epoch) | ((sequence) << 4) | ((chain) << 7) | ((number) << 11) | ((pages) << 15) | (1 << 17))
#define BODY(number) ((number) | (1 << 18))
#define BODY_NUMBER(block) ((block) & 15)
#define IS_HEADER(block) ((block) != TORN && ((block) >> 17) == 1)
#define RECORD_EPOCH(block) ((block) & 15)
#define RECORD_SEQUENCE(block) (((block) >> 4) & 7)
#define RECORD_CHAIN(block) (((block) >> 7) & 15)
#define RECORD_NUMBER(block) (((block) >> 11) & 15)
#define RECORD_PAGES(block) (((block) >> 15) & 3)
#define BLOCK_COUNT(pages) ((pages) == 3 -> 2 : 1)

/* ---- The device ------------------------------------------------------------------------------------------- */

int disk[BLOCKS];  /* durable */
int cache[BLOCKS]; /* what a read returns; pending where it differs */
byte flight_block, flight_count; /* The record that is being written: a flush does not wait for it. */

#define READ(block) (cache[block])

inline write(block, content) {
#ifndef WRONG
  /* Never twice between flushes: so the model need not know what else of a block may be durable. */
  assert(cache[block] == disk[block]);
#endif
  cache[block] = content
}

inline flush() {
  d_step {
    for (b : 0 .. BLOCKS - 1) {
      if
      :: b >= flight_block && b < flight_block + flight_count -> skip
      :: else -> disk[b] = cache[b]
      fi
    }
    b = 0
  }
}

/* ---- What is known only to us, who judge ------------------------------------------------------------------ */

byte acknowledged;            /* the newest generation that a caller was told of, */
byte acknowledged_page[PAGES]; /* and its pages */
bool submitted;               /* one more that is neither acknowledged nor given up, */
byte submitted_page[PAGES];    /* and its pages */
byte submitted_number, submitted_pages;

inline acknowledge() {
  if
  :: submitted && generation == acknowledged + 1 ->
    acknowledged = generation;
    acknowledged_page[0] = submitted_page[0];
    acknowledged_page[1] = submitted_page[1]
  :: else
  fi;
  forget_submitted()
}
inline forget_submitted() {
  submitted = false;
  submitted_page[0] = 0;
  submitted_page[1] = 0;
  submitted_number = 0;
  submitted_pages = 0
}

#ifdef REACH
bool acknowledged_in_checkpoint; /* in the one that is under way, or was when the cut came */
bool cut_in_such_a_checkpoint, cut_while_opening, twice_cut_while_opening, lost_a_record, leapt;
#define NOTE(statement) statement
#else
#define NOTE(statement) skip
#endif

/* ---- The owner's memory: gone with the process ------------------------------------------------------------- */

byte page[PAGES];
bool dirty[PAGES];
byte generation, chain, epoch;
byte ring_position, ring_used;
int superblock; /* the current one, in superblock block `copy` */
bit copy;
bool serving; /* Open has returned, close was not called. */

mtype = { NONE, ON_THE_WAY, OPENING, CLOSING };
mtype request = NONE; /* a checkpoint that the owner waits for */
bool checkpointing;

bool owner_dies, checkpointer_dies; /* set by the adversary */
int used_numbers;                   /* while find_fresh looks */
inline forget_memory() {
  page[0] = 0; page[1] = 0; dirty[0] = false; dirty[1] = false;
  generation = 0; chain = 0; epoch = 0; ring_position = 0; ring_used = 0;
  superblock = 0; copy = 0; serving = false; request = NONE; checkpointing = false;
  flight_block = 0; flight_count = 0
}

/* The lowest number that is nowhere: as good as one that never was, and it makes runs alike. */
#define IN_USE(number) (used_numbers & (1 << (number)))
#define USE(number) used_numbers = used_numbers | (1 << (number))
inline use_block(block) {
  if
  :: (block) == TORN || (block) == 0
  :: else ->
    if
    :: b < FIRST_RING_BLOCK ->
      USE(SB_EPOCH(block));
      USE(SB_CHAIN(block));
      USE(ENTRY_SUM(TABLE_ENTRY(SB_TABLE(block), 0)));
      USE(ENTRY_SUM(TABLE_ENTRY(SB_TABLE(block), 1)))
    :: b >= FIRST_RING_BLOCK && b < HOME(0, 0) && IS_HEADER(block) ->
      USE(RECORD_EPOCH(block));
      USE(RECORD_CHAIN(block));
      USE(RECORD_NUMBER(block))
    :: b >= FIRST_RING_BLOCK && b < HOME(0, 0) && !IS_HEADER(block) -> USE(BODY_NUMBER(block))
    :: b >= HOME(0, 0) -> USE(block)
    fi
  fi
}
inline find_fresh(number) {
  d_step {
    used_numbers = 1; /* 0 is no number. */
    USE(epoch);
    USE(chain);
    USE(page[0]);
    USE(page[1]);
    USE(acknowledged_page[0]);
    USE(acknowledged_page[1]);
    USE(submitted_number);
    for (b : 0 .. BLOCKS - 1) {
      use_block(disk[b]);
      use_block(cache[b])
    }
    b = 0;
    number = 0;
    do
    :: IN_USE(number) -> number++
    :: else -> break
    od;
    assert(number < 16);
    used_numbers = 0
  }
}

/* ---- Checkpoints (Checkpointer::carry_out, PageStore::write_back) ------------------------------------------- */

#ifdef WRONG_SAME_SLOT
#define SLOT_TO_WRITE(entry) (ENTRY_SLOT(entry))
#else
#define SLOT_TO_WRITE(entry) (1 - ENTRY_SLOT(entry))
#endif
#ifdef WRONG_SAME_SUPERBLOCK
#define COPY_TO_WRITE copy
#else
#define COPY_TO_WRITE (1 - copy)
#endif

inline take_page(p, entry) {
  entry = TABLE_ENTRY(SB_TABLE(superblock), p);
  taken[p] = dirty[p];
  if
  :: dirty[p] -> entry = ENTRY(page[p], SLOT_TO_WRITE(entry))
  :: else
  fi;
  dirty[p] = false
}

/* Both parts of write_superblock: what is in flight may be cut; what has returned is durable. */
inline begin_superblock(next) {
  write(COPY_TO_WRITE, WITH_SEQUENCE(next, SB_SEQUENCE(superblock) + 1))
}
inline end_superblock() {
  copy = COPY_TO_WRITE;
  disk[copy] = cache[copy];
  superblock = cache[copy]
}

inline forget_checkpoint() {
  entry[0] = 0; entry[1] = 0; taken[0] = false; taken[1] = false; new_epoch = 0; b = 0;
  point_generation = 0; point_chain = 0; point_position = 0; point_used = 0
}

proctype checkpointer() {
  byte entry[PAGES], point_generation, point_chain, point_position, point_used, new_epoch, b;
  bool taken[PAGES];
end_idle:
  do
  :: {
      atomic { /* Takes what is dirty now; what is committed from here on belongs to the next checkpoint. */
        request != NONE || (serving && ring_used > 0) ->
        checkpointing = true;
        take_page(0, entry[0]);
        take_page(1, entry[1]);
        point_generation = generation;
        point_chain = chain;
        point_position = ring_position;
        point_used = ring_used;
        new_epoch = epoch;
        NOTE(acknowledged_in_checkpoint = false);
#ifdef WRONG_EARLY_REUSE
        ring_used = 0;
        point_used = 0;
#endif
        if
        :: request == OPENING -> /* Recovery::begin_epoch */
          find_fresh(new_epoch);
          point_chain = new_epoch;
          point_position = (ring_position + RING / 2) % RING
        :: else
        fi
      };
      /* Upholds INV2c: to the slot that the current superblock does not point to. */
      if
      :: atomic { taken[0] -> write(HOME(0, ENTRY_SLOT(entry[0])), ENTRY_SUM(entry[0])) }
      :: !taken[0]
      fi;
      if
      :: atomic { taken[1] -> write(HOME(1, ENTRY_SLOT(entry[1])), ENTRY_SUM(entry[1])) }
      :: !taken[1]
      fi;
#ifndef WRONG_NO_FLUSH
      flush();
#endif
      atomic {
        begin_superblock(SUPERBLOCK(0, new_epoch, point_generation, point_chain, point_position,
                                    TABLE(entry[0], entry[1])))
      };
      atomic { /* Upholds INV1a: only now is the ring before the point free. */
        end_superblock();
        epoch = new_epoch;
        ring_used = ring_used - point_used;
        if
        :: request == OPENING -> ring_position = point_position; ring_used = 0; chain = point_chain
        :: else
        fi;
        checkpointing = false;
        request = NONE;
        forget_checkpoint()
      }
    } unless { checkpointer_dies };
    atomic {
      checkpointer_dies = false;
      forget_checkpoint()
    }
  od
}

inline run_checkpoint(kind) {
  request = kind;
  request == NONE
}

/* The same superblock to the other copy as well: after opening and after closing. */
inline write_second_superblock() {
  atomic { begin_superblock(superblock) };
  atomic { end_superblock() }
}

/* ---- Recovery (find_superblock, Recovery::recover, RingScanner) ---------------------------------------------- */

inline find_superblock() {
  copy = (READ(1) != TORN && (READ(0) == TORN || IS_NEWER(READ(1), READ(0))) -> 1 : 0);
  superblock = READ(copy);
  assert(superblock != TORN); /* INV4a: there is always one to begin with. */
  epoch = SB_EPOCH(superblock);
  generation = SB_GENERATION(superblock);
  chain = SB_CHAIN(superblock);
  ring_position = SB_POSITION(superblock);
  ring_used = 0
}

#define IS_VOUCHED_FOR(p) \
  (page[p] == 0 || READ(HOME(p, ENTRY_SLOT(TABLE_ENTRY(SB_TABLE(superblock), p)))) == page[p])
inline load_page(p) {
  page[p] = ENTRY_SUM(TABLE_ENTRY(SB_TABLE(superblock), p));
  assert(IS_VOUCHED_FOR(p)) /* INV2c: what the current superblock vouches for is there. */
}

#define IS_WHOLE(position) (IS_HEADER(READ(RING_BLOCK(position))) && RECORD_EPOCH(READ(RING_BLOCK(position))) == epoch && \
  (BLOCK_COUNT(RECORD_PAGES(READ(RING_BLOCK(position)))) == 1 || (position < RING - 1 && \
   READ(RING_BLOCK(position) + 1) == BODY(RECORD_NUMBER(READ(RING_BLOCK(position)))))))

/* Is the next record at `position`? */
#define IS_NEXT(position) (IS_WHOLE(position) && RECORD_SEQUENCE(READ(RING_BLOCK(position))) == generation + 1 && \
  RECORD_CHAIN(READ(RING_BLOCK(position))) == chain && \
  scanned + BLOCK_COUNT(RECORD_PAGES(READ(RING_BLOCK(position)))) <= RING)

inline replay(position, cost) {
  block = READ(RING_BLOCK(position));
  scanned = scanned + cost;
  ring_used = scanned;
  ring_position = (position + BLOCK_COUNT(RECORD_PAGES(block))) % RING;
  generation = generation + 1;
  chain = RECORD_NUMBER(block);
  change_pages(RECORD_PAGES(block), RECORD_NUMBER(block));
  block = 0
}

inline change_pages(pages, number) {
  if
  :: (pages) & 1 -> page[0] = number; dirty[0] = true
  :: else
  fi;
  if
  :: (pages) & 2 -> page[1] = number; dirty[1] = true
  :: else
  fi
}

/* RingScanner::look_behind_the_break: a cut alone never looks like a ring that is damaged in the middle. */
#define IS_WHOLE_AND_NEWER(position) (IS_WHOLE(position) && RECORD_SEQUENCE(READ(RING_BLOCK(position))) > generation)
inline look_behind_the_break() {
  for (i : 0 .. RING - 1) {
    assert(!IS_WHOLE_AND_NEWER(i)) /* INV1b: no acknowledged record lies behind the break. */
  }
  i = 0
}

/* What opening is about to show. */
inline judge() {
  assert(generation >= acknowledged); /* INV1a: nothing that was acknowledged is missing. */
  assert(generation == acknowledged || (submitted && generation == acknowledged + 1)); /* INV2a: one generation, */
  assert(generation != acknowledged || /* INV2b: and its pages, */
         (page[0] == acknowledged_page[0] && page[1] == acknowledged_page[1]));
  assert(generation == acknowledged || submitted_pages != 3 || /* INV3a: both pages of a transaction, or none. */
         (page[0] == submitted_number && page[1] == submitted_number));
  assert(generation == acknowledged || /* INV2b: also of one that nobody was told of. */
         (page[0] == submitted_page[0] && page[1] == submitted_page[1]))
}

#ifdef REACH
inline look_for_situations() {
  /* Each one is a mistake of the model if it cannot occur. */
  assert(!(REACH == 1 && cut_in_such_a_checkpoint && acknowledged >= 2)); /* REACH1 */
  assert(!(REACH == 2 && twice_cut_while_opening && generation > 0));     /* REACH2 */
  assert(!(REACH == 3 && generation == acknowledged + 1));                /* REACH3 */
  assert(!(REACH == 4 && submitted && generation == acknowledged));       /* REACH4 */
  assert(!(REACH == 5 && leapt && ring_used > 1))                         /* REACH5 */
}
#else
#define look_for_situations() skip
#endif

/* ---- A commit (RecordWriter::write) -------------------------------------------------------------------------- */

#define PLACE(count) (ring_position + (count) <= RING -> ring_position : 0)
#define COST(count) (ring_position + (count) <= RING -> (count) : RING - ring_position + (count))

inline commit(pages) {
  atomic { /* RecordWriter::wait_for_room */
    ring_used + COST(BLOCK_COUNT(pages)) <= RING ->
    cost = COST(BLOCK_COUNT(pages));
    place = PLACE(BLOCK_COUNT(pages));
    find_fresh(number);
    flight_block = RING_BLOCK(place);
    flight_count = BLOCK_COUNT(pages);
    submitted = true;
    submitted_number = number;
    submitted_pages = pages;
    submitted_page[0] = ((pages) & 1 -> number : page[0]);
    submitted_page[1] = ((pages) & 2 -> number : page[1]);
    write(RING_BLOCK(place), HEADER(epoch, generation + 1, chain, number, pages))
  };
#ifdef WRONG_EARLY_ANSWER
  atomic { generation++; acknowledge(); generation-- };
#endif
  if
  :: atomic { BLOCK_COUNT(pages) == 2 -> write(RING_BLOCK(place) + 1, BODY(number)) }
  :: BLOCK_COUNT(pages) == 1
  fi;
  atomic { /* Upholds INV1a: the record is durable, memory may know of it, and so may the caller. */
    disk[flight_block] = cache[flight_block];
    disk[flight_block + flight_count - 1] = cache[flight_block + flight_count - 1];
    flight_block = 0;
    flight_count = 0;
    NOTE(leapt = leapt || place != ring_position);
    ring_used = ring_used + cost;
    ring_position = (place + BLOCK_COUNT(pages)) % RING;
    generation++;
    chain = number;
    change_pages(pages, number);
    acknowledge();
    NOTE(acknowledged_in_checkpoint = acknowledged_in_checkpoint || checkpointing);
    place = 0;
    cost = 0;
    number = 0
  }
}

proctype owner() {
  byte commits_left = COMMITS, closes_left = CLOSES;
  byte place, cost, number, scanned, choice, i, b;
  int block;
  do
  :: {
      /* Opening. Reading is one step: nobody else writes. */
      atomic {
        !checkpointer_dies && !owner_dies ->
        find_superblock();
        load_page(0);
        load_page(1)
      };
      do
      :: atomic { IS_NEXT(ring_position) -> replay(ring_position, BLOCK_COUNT(RECORD_PAGES(block))) }
      :: atomic {
          !IS_NEXT(ring_position) && ring_position != 0 && IS_NEXT(0) -> /* It had not fit before the end. */
          replay(0, RING - ring_position + BLOCK_COUNT(RECORD_PAGES(block)))
        }
      :: dirty[0] || dirty[1] -> /* More than the cache holds: a checkpoint on the way. */
        flush();
        run_checkpoint(ON_THE_WAY)
      :: !IS_NEXT(ring_position) && (ring_position == 0 || !IS_NEXT(0)) -> break
      od;
      atomic {
        look_behind_the_break();
        judge();
        look_for_situations();
        scanned = 0
      };
#ifndef WRONG_NO_OPENING_FLUSH
      flush(); /* Upholds INV2c: what was read may be in a cache only; homes are written next. */
#endif
      run_checkpoint(OPENING);
      write_second_superblock();
      atomic { /* Whoever opened has seen it. */
        acknowledge();
        serving = true
      };

end_serving:
      do
      :: commits_left > 0 ->
        atomic {
          commits_left--;
          if
          :: choice = 1
          :: choice = 2
          :: choice = 3
          fi
        };
        commit(choice);
        choice = 0
      :: atomic { closes_left > 0 -> closes_left--; serving = false };
        !checkpointing;
        run_checkpoint(CLOSING);
        write_second_superblock();
        break
      od;
      atomic { forget_memory() } /* and open again */
    } unless { owner_dies };
    atomic {
      owner_dies = false;
      place = 0; cost = 0; number = 0; scanned = 0; choice = 0; i = 0; b = 0; block = 0
    }
  od
}

/* ---- Power cuts and deaths -------------------------------------------------------------------------------------- */

inline cut_power() {
  for (b : 0 .. BLOCKS - 1) {
    if
    :: cache[b] != disk[b] -> disk[b] = cache[b]
    :: cache[b] != disk[b] -> disk[b] = TORN
    :: true
    fi;
    cache[b] = disk[b]
  }
  b = 0
}

proctype adversary() {
  byte crashes_left = CRASHES, b;
end:
  do
  :: atomic {
      crashes_left > 0 ->
      crashes_left--;
      NOTE(cut_in_such_a_checkpoint = checkpointing && acknowledged_in_checkpoint);
      NOTE(twice_cut_while_opening = cut_while_opening && !serving);
      NOTE(cut_while_opening = !serving && generation > 0);
      if
      :: cut_power()
      :: true /* only the process dies */
      fi;
      forget_memory();
      owner_dies = true;
      checkpointer_dies = true
    }
  od
}

init {
  atomic { /* What create leaves: two superblocks of epoch 1, all else zero. */
    disk[0] = SUPERBLOCK(1, 1, 0, 1, 0, 0);
    disk[1] = SUPERBLOCK(2, 1, 0, 1, 0, 0);
    cache[0] = disk[0];
    cache[1] = disk[1];
    run owner();
    run checkpointer();
    run adversary()
  }
}
