@0xff955708281d1073;
# What a vnvram-tpm tells the one that takes its place while its machine runs, of whatever versions the
# two are: with what is on the image, and the sockets, which are passed on beside it, that is all of the
# TPM. Fields are only ever added. Who cannot go on without a new one says so by a higher `understoodBy`.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("vnvram::rpc");

using import "tpm_admin.capnp".Custody;

struct RunningTpm {
  understoodBy @0 :UInt32;        # Readers of this version and later ones.
  tpmVersion @1 :Text;            # "2.0" or "1.2"
  imageUuid @2 :Data;
  generations @3 :List(UInt64);   # Of the permanent, the volatile and the save state's blobs.

  enum Power {
    off @0;
    on @1;
    refused @2;                   # INIT was answered; libtpms has refused the state.
  }
  power @4 :Power;
  volatileState @5 :Data;         # As libtpms says it; only of one that is on.
  coming @6 :List(Coming);        # States that the next INIT begins with.
  untouched @7 :Bool;             # No command was run since the last INIT.
  bufferSizeBytes @8 :UInt32;
  shutdown @9 :Shutdown;          # Null: the guest has sent none since the power came.

  custody @10 :Custody;
  copied @11 :Bool;               # Somebody has taken a copy of the state, and no command has come since.
  mustLook @12 :Bool;             # At the drive, before it is written.

  machineLocality @13 :UInt8;
  nextClient @14 :UInt64;         # A number that no control client has had.
  controller @15 :UInt64;         # The number of the client that hands over the machine's commands; 0: none.
  clients @16 :List(ControlClient);
  machine @17 :CommandStream;     # Null: no machine is connected.

  struct Coming {
    state @0 :UInt8;              # 0: permanent, 1: volatile, 2: save state.
    content @1 :Data;
  }

  struct Shutdown {
    keepsState @0 :Bool;          # TPM2_Shutdown(STATE).
    stands @1 :Bool;              # Nothing that matters has changed since.
  }

  # A connection to the control socket, between two requests.
  struct ControlClient {
    number @0 :UInt64;
    paddingPossible @1 :Bool;     # Behind the last request, and some of it may be here:
    unread @2 :Data;
    reads @3 :Blob;               # Null: it is not half-way through a state blob.
  }
  struct Blob {
    type @0 :UInt32;
    content @1 :Data;             # As it goes out.
  }

  struct CommandStream {
    unread @0 :Data;              # What has come and was not run.
    discardBytes @1 :UInt64;      # What is still to come of a command that is too long.
    unsent @2 :Data;              # Of the last response.
  }
}
