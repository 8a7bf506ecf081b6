/*
 * What is kept in two copies with a sequence and a checksum each, for spin: the parts of the header area (HeaderArea, key
 * slots and public metadata), and with FILE an anchor's file (FileAnchor). anchors.pml and keys.pml take from here
 * that each of them holds the old content or the new one, whatever is cut.
 *
 * What is modelled: both copies, durable and cached, from zeros on; a writer that writes, closes and begins again; its
 * death, also inside of a write, and power cuts: of a copy that is pending the old one is left, the new one or a torn
 * one; a reader beside the writer. Content is the number of the write that wrote it.
 *
 * INV9a: it can be read, always, and what is read is what the last finished write wrote or the one that was cut.
 * INV9b: what was taken away is in neither copy when the write that did it is finished. (Not of an anchor's file.)
 * INV9c: a reader beside a writer is not told of damage, and of nothing older than what some copy said when it began.
 *        LIMIT_STALE_READER: that may be the copy that a cut has left behind, and not what counts.
 */

#ifndef WRITES
#define WRITES 3 /* At most 5. */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef READS
#define READS 1 /* beside the writer */
#endif

/* A copy: sequence, content, whether it is torn. 0: zeros. */
#define COPY(sequence, content) ((sequence) | ((content) << 5))
#define SEQUENCE(copy) ((copy) & 31)
#define CONTENT(copy) (((copy) >> 5) & 7)
#define TORN(copy) ((copy) | (1 << 8))
#define IS_VALID(copy) ((copy) != 0 && (copy) < (1 << 8))
/* The first write of all is a copy without content and with sequence 1, of which but one sector is zero: is_cut_first_write. */
#define FRAME COPY(1, 0)
#ifdef WRONG_NO_FRAME
#define HOLDS_NOTHING(a, b) ((a) == 0 && (b) == 0)
#else
#define HOLDS_NOTHING(a, b) (((a) == 0 || (a) == TORN(FRAME)) && (b) == 0)
#endif

short disk[2], cache[2];
bool writer_dies, reader_dies;

/* Known to us, who judge: */
byte finished, begun; /* the content that surely is there, and the one that may be */

/* HeaderArea::judge, FileAnchor::find_newest: -1: damaged. */
#define NEWER(a, b) (IS_VALID(b) && (!IS_VALID(a) || SEQUENCE(b) > SEQUENCE(a)) -> 1 : 0)
#define IS_DAMAGED(a, b) (!IS_VALID(a) && !IS_VALID(b) && !HOLDS_NOTHING(a, b))

inline check_found(content) {
  assert(!IS_DAMAGED(cache[0], cache[1]));                 /* INV9a */
  assert((content) == finished || (content) == begun)      /* INV9a */
}

inline look() {
  newer = NEWER(cache[0], cache[1]);
  found = (IS_VALID(cache[newer]) -> cache[newer] : 0)
}

/* A write of several sectors: some are there before the others, also for who reads. */
inline write_copy(which, content) {
  cache[which] = TORN(content);
  cache[which] = content;
#ifndef WRONG_BOTH_AT_ONCE
  flush()
#else
  skip
#endif
}
inline flush() {
  d_step {
    disk[0] = cache[0];
    disk[1] = cache[1]
  }
}

proctype writer() {
  byte writes_left = WRITES;
  bit newer;
  short found;
end_writing:
  do
  :: {
      atomic { /* Whoever comes next, and looks at what is there. */
        !writer_dies ->
        look();
        check_found(CONTENT(found));
        newer = 0;
        found = 0
      };
#ifdef FILE
#ifndef WRONG_NO_FLUSH
      flush(); /* FileAnchor::lock: what was just read may be in a cache only. */
#endif
#endif
end_between:
      do
      :: writes_left > 0 ->
#ifndef FILE
#ifndef WRONG_NO_FLUSH
        flush(); /* HeaderArea::write */
#endif
#endif
        atomic {
          look();
          finished = CONTENT(found);
          writes_left--;
          begun = WRITES - writes_left
        };
#ifdef FILE /* FileAnchor::write: the older one; the first one is in a new file, which is there or not */
        if
        :: found == 0 -> atomic { cache[0] = COPY(1, begun); disk[0] = cache[0] }
#ifdef WRONG_SAME_COPY
        :: found != 0 -> write_copy(newer, COPY(SEQUENCE(found) + 1, begun))
#else
        :: found != 0 -> write_copy(1 - newer, COPY(SEQUENCE(found) + 1, begun))
#endif
        fi;
#else
        if
#ifndef WRONG_NO_FRAME
        :: found == 0 -> write_copy(0, FRAME); found = FRAME; newer = 0
#endif
        :: else
        fi;
#ifdef WRONG_SAME_COPY
        write_copy(newer, COPY(SEQUENCE(found) + 1, begun));
        write_copy(1 - newer, COPY(SEQUENCE(found) + 2, begun));
#else
        write_copy(1 - newer, COPY(SEQUENCE(found) + 1, begun));
#ifndef WRONG_ONE_COPY
        write_copy(newer, COPY(SEQUENCE(found) + 2, begun));
#endif
#endif
#ifdef WRONG_BOTH_AT_ONCE
        flush();
#endif
        assert(CONTENT(disk[0]) == begun && CONTENT(disk[1]) == begun); /* INV9b */
#endif
        atomic {
          finished = begun;
          newer = 0;
          found = 0
        }
      od
    } unless { writer_dies };
    atomic {
      writer_dies = false;
      newer = 0;
      found = 0
    }
  od
}

/* HeaderArea::read_copies. Who compares an image with its anchor beside an owner may be told to try again. */
proctype reader() {
  byte reads_left = READS, oldest;
  short first, second, again_first, again_second;
end:
  do
  :: reads_left > 0 -> {
    atomic {
      reads_left--;
      oldest = finished;
#ifndef LIMIT_STALE_READER
      if
      :: IS_VALID(cache[0]) && CONTENT(cache[0]) < oldest -> oldest = CONTENT(cache[0])
      :: IS_VALID(cache[1]) && CONTENT(cache[1]) < oldest -> oldest = CONTENT(cache[1])
      :: else
      fi
#endif
    };
    first = cache[0];
    second = cache[1];
    do
    :: !IS_DAMAGED(first, second) -> break
#ifdef WRONG_NO_SECOND_LOOK
    :: atomic { IS_DAMAGED(first, second) -> assert(false) /* INV9c */ }
#else
    :: IS_DAMAGED(first, second) ->
      again_first = cache[0];
      again_second = cache[1];
      atomic {
        assert(again_first != first || again_second != second); /* INV9c */
        first = again_first;
        second = again_second;
        again_first = 0;
        again_second = 0
      }
#endif
    od;
    atomic {
      first = (NEWER(first, second) -> second : first);
      first = (IS_VALID(first) -> first : 0);
      assert(CONTENT(first) >= oldest); /* INV9c */
      first = 0;
      second = 0;
      oldest = 0
    }
    } unless { reader_dies };
    atomic {
      reader_dies = false;
      first = 0;
      second = 0;
      again_first = 0;
      again_second = 0;
      oldest = 0
    }
  :: reader_dies -> reader_dies = false
  od
}

inline cut_power() {
  for (i : 0 .. 1) {
    if
    :: cache[i] != disk[i] && cache[i] < (1 << 8) -> disk[i] = cache[i]
    :: cache[i] != disk[i] -> disk[i] = (cache[i] < (1 << 8) -> TORN(cache[i]) : cache[i])
    :: true
    fi;
    cache[i] = disk[i]
  }
  i = 0
}

proctype adversary() {
  byte crashes_left = CRASHES, i;
end:
  do
  :: atomic { crashes_left > 0 ->
      crashes_left--;
      if
      :: cut_power(); reader_dies = true
      :: true /* only the process dies */
      fi;
      writer_dies = true
    }
  od
}

init {
  atomic {
    run writer();
#ifndef FILE
    run reader();
#endif
    run adversary()
  }
}
