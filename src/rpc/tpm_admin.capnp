@0xed15b52b973bff9e;
# The remote API of a TPM whose state is on a drive: what an operator needs around snapshots,
# reverts and migrations of that drive. `vnvram tpm` is a client of it. Fields and methods are only
# ever added.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("vnvram::rpc");

using import "failure.capnp".Failure;

enum Custody {
  ours @0;        # Changes are committed.
  handedOver @1;  # QEMU has taken a copy, for a snapshot or a migration. TPM commands wait.
  gone @2;        # That QEMU is gone since. TPM commands fail, and the image is sealed.
}

struct TpmStatus {
  location @0 :Text;           # Of the image; the last one while none is attached.
  attached @1 :Bool;
  held @2 :Bool;               # TPM commands wait; none is under way, nothing is being written.
  custody @3 :Custody;
  contentMayChange @4 :Bool;   # Someone else may put back an earlier content of the drive.
  uncommitted @5 :Bool;        # Memory has changes that are not on the image.
  failed @6 :Bool;             # In failure mode, for good.
  generation @7 :UInt64;       # Of the image, or of the last one that was attached.
  imageUuid @8 :Data;
  tpmVersion @9 :Text;         # "2.0" or "1.2"
  imageError @10 :Text;        # Why the image takes no commit, or what else is wrong with it; or empty.
}

struct Reply {
  status @0 :TpmStatus;   # As of the end of the call, also when it failed.
  failure @1 :Failure;    # Null: it did not fail.
}

interface TpmAdmin {
  status @0 () -> (reply :Reply);

  # Takes no more TPM commands and returns when the TPM is idle: the one under way is answered, its
  # change is durable, and no request to the drive is on its way. Until resume() nothing is read
  # from the drive or written to it.
  hold @1 () -> (reply :Reply);

  # Takes them again, and commits what is in memory: the operator's word that the drive is as it
  # should be.
  resume @2 () -> (reply :Reply);

  # Gives up the drive. One that is held, or whose content may change, is not written to any more.
  # TPM commands wait until an image is attached.
  detach @3 () -> (reply :Reply);
  # Opens the image there; an empty location: where the last one was.
  attach @4 (location :Text) -> (reply :Reply);

  # The operator's word that a state that was handed over goes on here, and nowhere else.
  unseal @5 () -> (reply :Reply);
}
