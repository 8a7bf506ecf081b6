@0x9e095ca0b3d9a361;
# The remote API of the process that has an image open: its blobs, for front ends and operators. Who
# connects to a control socket is given an Owner, a front end the Blobs that are its own. A capability
# is the right to use it: what it does not name is not there for its holder.
#
# Fields and methods are only ever added. A call that was carried out and failed says so in `failure`,
# which is null otherwise; a call that fails as such (an exception) was not understood, or nobody can
# say what became of it.
#
# A call names 16384 things at most (blobs and their attributes, ranges, updates, grants). Nothing more
# is read of a session while it has calls of 17 MiB that wait for their answers.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("vnvram::rpc");

using import "failure.capnp".Failure;

struct ImageState {
  uuid @0 :Data;                  # 16 bytes.
  generation @1 :UInt64;          # The last durable commit.
  sealed @2 :Bool;                # It takes no change: its state was handed over.
  contentMayChange @3 :Bool;      # Someone else may change the device's content underneath.
  spaceFreeBytes @4 :UInt64;      # For blobs to be registered, or to grow.
  blobSizeMaxBytes @5 :UInt64;    # The largest blob whose whole rewrite fits a transaction.
  encrypted @6 :Bool;             # It needs a key: a copy that needs none says more to more people.
  elsewhere @7 :Bool;             # It is the other host's that sees it as well, or about to be: what is
                                  # said is how it was when it was looked at, and changes wait.
}

struct Attribute {
  name @0 :Text;
  value @1 :Data;
  mustKnow @2 :Bool;   # Who does not know it is refused the blob's bytes.
}

struct BlobSpec {
  name @0 :Text;             # 1 to 63 bytes of [A-Za-z0-9._/+@-].
  type @1 :Text;             # Same alphabet: what the bytes are.
  sizeMaxBytes @2 :UInt64;   # 1 to 16 MiB; the space for it is reserved.
  producer @3 :Text;         # Who writes it: up to 63 printable ASCII characters.
  attributes @4 :List(Attribute);
}

struct NewBlob {
  spec @0 :BlobSpec;
  content @1 :Data;          # What a blob begins with that was never written; null: nothing.
}

struct BlobInfo {
  spec @0 :BlobSpec;                   # As it is registered; the producer of the current bytes.
  sizeBytes @1 :UInt64;                # Bytes beyond it, up to the largest size, are zero.
  generation @2 :UInt64;               # The commit that last changed it; 0: never written.
  registeredGeneration @3 :UInt64;     # The commit that registered it.
}

struct Range {
  blob @0 :Text;
  union {
    whole @1 :Void;             # As many bytes as its size says.
    part :group {               # Zeros beyond the size; too-large beyond the largest size.
      offsetBytes @2 :UInt64;
      lengthBytes @3 :UInt64;
    }
  }
}

struct Update {
  blob @0 :Text;
  union {
    write @1 :Data;             # The content becomes exactly this.
    writeRange :group {         # The blob grows to hold it; a gap is zero.
      offsetBytes @2 :UInt64;
      bytes @3 :Data;
    }
    zeroRange :group {
      offsetBytes @4 :UInt64;
      lengthBytes @5 :UInt64;
    }
    setSize @6 :UInt64;         # Cuts it, or lengthens it with zeros.
  }
}

# What happened without anybody asking for it.
struct Event {
  union {
    none @0 :Void;              # Of a kind that this version of the schema does not have.
    failure @1 :Failure;        # What the store does of its own accord has failed.
    generation @2 :UInt64;      # The image is at it.
    sealed @3 :Void;            # Since its state was handed over.
    unsealed @4 :Void;
    nearlyFull @5 :NearlyFull;
  }
}

# Told once, until much of it is free again.
struct NearlyFull {
  blob @0 :Text;         # Null: the space for blobs to be registered, or to grow.
  usedBytes @1 :UInt64;
  sizeBytes @2 :UInt64;
  forecast @3 :Text;     # For people: where the growth so far leads to.
}

# Blobs that may be used. Changes of one session are carried out in the order of their calls, and one
# that is held up holds up those behind it, but no other call.
interface Blobs {
  # `lastEvent` is that of watch(), also when there is no image.
  state @0 () -> (state :ImageState, lastEvent :UInt64, failure :Failure);

  # Those that its holder may use, in the order of their names.
  list @1 () -> (blobs :List(BlobInfo), failure :Failure);

  info @2 (blob :Text) -> (info :BlobInfo, failure :Failure);

  # All of them as they are at one moment between two changes, deferred ones included. `settled`: at
  # one at which nothing is deferred, so that all of it is part of some generation.
  read @3 (ranges :List(Range), settled :Bool) -> (contents :List(Data), failure :Failure);

  # All of it or, on a failure, nothing. Answered when it is durable, with a generation of the image
  # that has it; the one that it made, or a later one. What is deferred is answered when readers see
  # it: it is durable with the next flush or change that is not deferred, or soon by itself, and an
  # update at a time. Its answer says which generation the image has then: the second one after that
  # has it as well, and so have all later ones. Who keeps what is deferred, for an owner that comes
  # after this one, hears by that how long it has to.
  # From its first change of a blob on a session is the only one that may change it, until it ends:
  # the others' changes fail (in use).
  change @4 (updates :List(Update), deferred :Bool) -> (generation :UInt64, failure :Failure);

  # Every change that this owner has answered, of whichever blob and session, is durable.
  flush @5 () -> (failure :Failure);

  # Adds those that are not there, and makes those larger that are smaller, all of them or none.
  # Durable when answered.
  register @6 (blobs :List(NewBlob)) -> (failure :Failure);

  # What has happened since the event of that number; waits until there is something. `last` is for
  # the next call. Who asks too late hears of the last hundred. Generations are no events of a number:
  # the one that the image is at is told if it is another than the one that is named, and to nobody
  # who names none (2^64 - 1). Who is slow hears of the newest only. Of a blob that its holder may not
  # read nothing is told, so there may be no event in the answer.
  watch @7 (after :UInt64, otherThanGeneration :UInt64 = 18446744073709551615)
      -> (events :List(Event), last :UInt64, failure :Failure);

  # The same with fewer rights: to blobs that are named, or whose names begin so. A session has 64 of
  # these at once.
  narrow @8 (grants :List(Grant)) -> (blobs :Blobs, failure :Failure);

  # Which blobs a device of the machine uses through this session from now on, and no others. Those
  # that its holder may write are the session's to change at once, as after its first change of them
  # (else: in use), and the image is not sealed while a device uses it that has not handed over. Of
  # none: the machine is gone, nothing is on its way, and everybody may change them again.
  claim @9 (blobs :List(Text)) -> (failure :Failure);

  # The state of the device that claims goes on elsewhere. The image is sealed when all devices that
  # use it have handed over, or are gone; `sealed`: it is now. Until then the others go on, and so it
  # stays when the session ends. `state` says of the image that it is sealed at once.
  handOver @10 () -> (sealed :Bool, failure :Failure);

  # It goes on here: an image that was sealed is not any more, for all devices as one, and one that was
  # to be is not going to be, unless another device is there that has handed over (an image of two
  # machines). Who has claimed nothing and handed over nothing speaks for all of them. Durable when
  # answered.
  takeBack @11 () -> (failure :Failure);

  # For an image whose content someone else may change underneath: whether it has changed. Then it was
  # opened anew, with what is there now, for all sessions.
  lookAgain @12 () -> (changed :Bool, failure :Failure);

  # From its answer on the session has a lane for changes, with this capability's rights, beside its
  # calls and on the same socket: less work for both ends than a call is. There is one (else: in use).
  # What goes by it is a LaneChange, and is answered with a LaneAnswer, each a message of one segment
  # that is framed as others are, but that the highest bit of the frame's first word is set: four
  # bytes 00 00 00 80, its length in words, then the segment. A change by the lane is as one by
  # change(), and those of both are carried out in the order in which they come.
  openLane @13 () -> (failure :Failure);

  # For an image that the other host of a migration sees as well (of another: unsupported). When this
  # is answered it has all that was answered, of all sessions, is sealed for the hand-over of this
  # number (16 bytes), and somebody else can have it; changes wait. `epoch` is for goOn(). On a failure
  # it is here, and takeBack() makes it take changes. Without a number: one that goOn() has opened, and
  # takeBack() has not made ours, is let go as it is.
  letGo @14 (number :Data) -> (epoch :Epoch, failure :Failure);

  # Opens it, if it is sealed for that hand-over, or not sealed, and nobody has opened it since that
  # epoch. Nothing to one that is open here. Changes wait for takeBack(), which takes the seal off.
  # Fails with in use as long as somebody has it who has not handed it over, and with stale if somebody
  # has gone on with it. With neither: as it was let go here (else: sealed).
  # Of a machine with a TPM letGo() and goOn() are the TPM's (of another session: unsupported).
  goOn @15 (number :Data, epoch :Epoch) -> (failure :Failure);
}

# Of one opening of an image for writing.
struct Epoch {
  number @0 :UInt64;
  random @1 :UInt64;
}

struct LaneChange {
  number @0 :UInt32;            # The answer has it as well.
  deferred @1 :Bool;
  updates @2 :List(Update);
}

struct LaneAnswer {
  number @0 :UInt32;
  generation @1 :UInt64;
  failure @2 :Failure;
}

struct Grant {
  union {
    blob @0 :Text;
    prefix @1 :Text;
  }
  write @2 :Bool;       # Reading is always part of it.
  register @3 :Bool;    # New blobs of that name, and larger sizes.
}

struct Session {
  number @0 :UInt64;       # Since the owner has started, from 1.
  pid @1 :Int32;           # Who has connected.
  uid @2 :UInt32;
  writes @3 :List(Text);   # The blobs that are its to write.
  device @4 :Text;         # What it is to the machine, if the owner has started it; else empty.
}

struct OwnerStatus {
  location @0 :Text;          # Of the image.
  attached @1 :Bool;
  held @2 :Bool;              # No change is under way, and none begins.
  state @3 :ImageState;       # If an image is attached.
  sessions @4 :List(Session); # In the order in which they came.
  pid @5 :Int32;              # The owner's process.
  keyExchange @6 :Progress;   # Of a rotateDataKey() that is under way; null: of none.
  refusal @7 :Failure;        # Why no change is taken any more until the owner has been started anew; null: they are.
  letGo @8 :Data;             # Of an image that was let go here: the number of that hand-over. Empty: it was not.
  goneOn @9 :Bool;            # Of an image that was let go here: somebody has gone on with it elsewhere. False: nobody
                              # has, as far as it is known here.
}

struct Progress {
  doneBytes @0 :UInt64;
  allBytes @1 :UInt64;        # 0: it has just begun.
}

# What the image says about itself.
struct ImageInfo {
  state @0 :ImageState;
  formatVersion @1 :UInt32;
  epoch @2 :UInt64;              # How often it was opened for writing.
  imageSizeBytes @3 :UInt64;
  ringSizeBytes @4 :UInt64;
  ringUsedBytes @5 :UInt64;      # Not yet behind a checkpoint.
  spaceSizeBytes @6 :UInt64;     # Largest sizes that could be registered in an empty image.
  blobCount @7 :UInt32;
  ownerPid @8 :UInt32;
  ownerHost @9 :Text;
  ownerSinceSeconds @10 :UInt64; # Since 1970, when that one opened it; 0: not known.
  handOver @11 :Data;            # Of a sealed image: the number of the hand-over that it is for. Empty: of none.
}

# What a look at every byte of the image has found.
struct CheckReport {
  struct Problem {
    place @0 :Text;
    what @1 :Text;
    blobs @2 :List(Text);        # Those whose bytes are hit.
    dataLost @3 :Bool;           # False: a copy that nothing depends on now.
  }
  struct Blob {
    name @0 :Text;
    generation @1 :UInt64;
    sizeBytes @2 :UInt64;
    intact @3 :Bool;
  }
  problems @0 :List(Problem);
  blobs @1 :List(Blob);
  notes @2 :List(Text);          # What may be worth knowing, and is no damage.
  generation @3 :UInt64;
  blobsChecked @4 :UInt64;
  pagesChecked @5 :UInt64;
  recordsChecked @6 :UInt64;
}

# All blobs at one moment between two changes, at which nothing is deferred.
struct Moment {
  struct Content {
    blob @0 :Text;
    bytes @1 :Data;
  }
  state @0 :ImageState;
  blobs @1 :List(BlobInfo);      # In the order of their names.
  contents @2 :List(Content);    # Of those that were asked for, if `complete`.
  complete @3 :Bool;             # False: they are more bytes than were asked for.
}

struct Metadata {
  name @0 :Text;     # 1 to 63 bytes of [A-Za-z0-9._/+@-].
  value @1 :Data;    # Up to 4096 bytes.
}

# What an encrypted image says to everybody of a key slot.
struct KeySlot {
  number @0 :UInt32;
  kind @1 :UInt8;              # 1: a key, 2: a passphrase, 3: a public key, 4: external.
  label @2 :Text;
  createdSeconds @3 :UInt64;   # Since 1970, UTC.
  passes @4 :UInt32;           # Of a passphrase, as is the next.
  memoryKib @5 :UInt32;
  publicKey @6 :Data;          # 32 bytes, of a public key.
  publicPart @7 :Data;         # Of an external one.
  current @8 :Bool;            # It opens the image as it is.
}

# What a new key slot is made of. The holder's secret is in it in no form, but as the key that it
# comes to by the slot's salt and cost, and that one is sealed for the session's receiver.
struct KeySlotOffer {
  kind @0 :UInt8;
  label @1 :Text;              # Up to 63 printable ASCII characters.
  passes @2 :UInt32;           # Of a passphrase, 1 to 64.
  memoryKib @3 :UInt32;        # Of a passphrase, 8 to 4194304.
  salt @4 :Data;               # 32 random bytes; of a public key: that one.
  publicPart @5 :Data;         # Of an external one, up to 4096 bytes.
  sealedKey @6 :Data;          # 104 bytes; of a public key: none.
}

struct WrittenRange {
  offsetBytes @0 :UInt64;
  lengthBytes @1 :UInt64;
}

# The right to everything.
interface Owner extends(Blobs) {
  status @0 () -> (status :OwnerStatus, failure :Failure);

  # Nothing is on its way to the image when it is answered, of any device, and no change begins
  # before release(), or until so much time has passed, 1 ms to 1 h: then it ends by itself. A hold of
  # a hold sets a new time, or, if it is to be the only one, fails (in use). `number` is for release().
  hold @1 (durationMs :UInt32, onlyOne :Bool) -> (failure :Failure, number :UInt64);
  # `held`: something was, until now. With a number: only if nobody has held since.
  release @2 (number :UInt64) -> (held :Bool, failure :Failure);

  # Forgets a blob that no other session writes. Durable when answered.
  remove @3 (blob :Text) -> (failure :Failure);

  # Another owner, of the program that is installed now, is to take this one's place. Answered before
  # it goes; front ends wait for the other one. Unsupported where nothing would start that one.
  restart @4 () -> (failure :Failure);

  image @5 () -> (image :ImageInfo, failure :Failure);

  # Reads all of the image beside the changes that go on, and keeps them waiting if they are too many.
  check @6 () -> (report :CheckReport, failure :Failure);

  # Everything, with the contents of the blobs that were written or registered after that
  # generation, if they have no more bytes than that, 8 MiB at most.
  changes @7 (after :UInt64, contentMaxBytes :UInt64) -> (moment :Moment, failure :Failure);

  # How it has gone so far, in Prometheus's text format (version 0.0.4).
  metrics @8 () -> (text :Text, failure :Failure);

  # The programs that serve the machine's devices are exchanged for what is installed now, one after the
  # other: a TPM goes on in another process, whatever its machine does, and NBD servers end and are
  # started again. Answered when it is done; on a failure those that it did not come to are as they were.
  # Unsupported where nobody would start them again; in use while another call does it.
  renewFrontEnds @9 () -> (failure :Failure);

  # What the image says to everybody, with or without a key, in the order of the names.
  metadata @10 () -> (entries :List(Metadata), failure :Failure);
  # Durable when answered. A value that is null takes the entry away. In use while changes are held, as
  # are all calls below that change something.
  changeMetadata @11 (name :Text, value :Data) -> (failure :Failure);

  # Of an encrypted image: makes a new data key, and encrypts all of it anew with that. Changes wait
  # meanwhile, and so does the session; status() in another one says how far it has come. Key slots whose keys this owner does not have, other than of public keys, are a refusal
  # (key needed), or are left out, and are told.
  # The slots of the numbers in `without` are not to open the image afterwards. `opens`: those that do.
  rotateDataKey @12 (leaveOutOthers :Bool, without :List(UInt32))
      -> (leftOut :List(Text), failure :Failure, opens :List(Text));

  # Who can open the image, if it is encrypted, in the order of the slots' numbers.
  keySlots @13 () -> (slots :List(KeySlot), failure :Failure);
  # A public X25519 key that nobody has seen before: who receives the session's next offer, and no other
  # one. The session has one at a time. Refused as an addKeySlot or, with `change`, a changeKeySlot of that
  # number would be now, whatever the offer: ask before somebody is asked for a key.
  receiveKeySlot @14 (change :Bool, number :UInt32) -> (receiver :Data, failure :Failure);
  # The next two take an offer that was made for the receiver, which is none any more then, also after a
  # failure. Both are durable when answered, and with the data key that the image has then.
  # In the first free place.
  addKeySlot @15 (offer :KeySlotOffer) -> (slot :KeySlot, failure :Failure);
  # In place of what opens that slot now. Its label stays if there is none in the offer.
  changeKeySlot @16 (number :UInt32, offer :KeySlotOffer) -> (slot :KeySlot, failure :Failure);
  # Durable when answered. The last one that opens the image goes by word only (`last`).
  removeKeySlot @17 (number :UInt32, last :Bool) -> (failure :Failure);

  # Bytes of the image's device as they lie there, what is sealed as it is sealed: for who copies the image.
  # In whole blocks of 4096 bytes, 1 MiB at most. Nothing waits for it, and what several calls have read is
  # of one moment only if the superblocks have not changed between the first and the last one.
  readDevice @18 (offsetBytes :UInt64, lengthBytes :UInt32)
      -> (bytes :Data, deviceSizeBytes :UInt64, failure :Failure);

  # For who mirrors the device: which bytes of it were written since the call before, in whole blocks and in
  # order. `mirror` 0 begins, and whoever has begun before is refused from then on (in use); the answer has the
  # number for the next call. It does not begin while changes are held (in use), nor when it was left (sealed).
  written @19 (mirror :UInt64) -> (mirror :UInt64, ranges :List(WrittenRange), failure :Failure);
  # While changes are held: what the superblocks would be if the image was sealed for a hand-over of this number,
  # 16 bytes: both, and the third copy. `location`: of the image, for who opens what they are written to.
  sealedSuperblocks @20 (handOver :Data) -> (blocks :List(Data), location :Text, failure :Failure);
  # While they are held, by the hold of this number: what is at that location is a mirror of the device, durable, and with
  # those superblocks, of a number that nobody has had before. This image is sealed for the same number, and the
  # owner ends; another one opens what is there, and front ends go on with that. If it fails with io or poisoned, or
  # is not answered, nobody knows which of the two is the image but who opens them: one can be opened, and the
  # owner that comes next has it. Otherwise nothing has happened. Unsupported where no owner comes next.
  leave @21 (hold :UInt64, handOver :Data, location :Text) -> (failure :Failure);
}
