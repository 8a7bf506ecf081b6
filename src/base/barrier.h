// The barriers and checks that the invariants (store/engine.h) rest on, by name, so that a build
// can leave one of them out and show that a test notices: cmake -DVNVRAM_REMOVE=NAME, for all of
// them scripts/mutants.py. Such a build is for nothing else; it cannot be installed.
#pragma once

namespace vnvram {

// The script reads this list: a name, the invariants that need it, what it is.
enum class Barrier {
  nothing,
  commit_durability,          // 1: a commit's record is written durably
  checkpoint_flush,           // 1, 2: homes are flushed before the superblock that names them
  superblock_durability,      // 1, 2: a checkpoint's superblock is written durably
  ring_held_back,             // 1, 2: ring space is free only behind the durable superblock
  other_slot,                 // 2, 4: a home is written to the slot that nothing points to
  epoch,                      // 2: a record counts in its own epoch only
  new_epoch,                  // 7: an opening for writing begins a new epoch
  chain,                      // 2: a record counts behind its own predecessor only
  salt,                       // 5: checksums are seeded with what a guest does not know
  block_checksum,             // 5: a home, a leaf, an index block is what its parent vouches for
  record_checksum,            // 2, 5: a record counts only if it is whole
  superblock_checksum,        // 2, 5: so does a superblock
  superblock_mac,             // 9: and, encrypted, only if who made it had the key
  block_kind_bound,           // 9: a sealed block counts as one of its own kind only
  block_number_bound,         // 9: and in its own place only
  record_epoch_bound,         // 9: a sealed record counts in its own epoch only
  record_sequence_bound,      // 9: as its own generation only
  record_chain_bound,         // 9: behind its own predecessor only
  fresh_nonce,                // 9: nothing is sealed twice alike
  record_key,                 // 9: records have a key of their own
  block_key,                  // 9: so do blocks
  superblock_key,             // 9: and superblocks
  key_id_derived,             // 9: a superblock's key id is made of no key of another purpose
  slot_bound,                 // 9: a wrapped data key counts in its own slot of its own image only
  voucher_checked,            // 9: a key slot of somebody without the data key is refused
  old_key_overwritten,        // 9: after an exchange of the data key nothing of the old one is left
  header_copy_durability,     // 9: one copy of the key slots is durable before the other is written
  records_behind_break,       // 1, 5: damage in the middle of the ring is not its end
  open_flush,                 // 2, 4: what an opening has read is flushed before it writes
  recovery_flush,             // 2, 4: and before a recovery that checkpoints on its way does so
  second_superblock_at_open,  // 1, 5: both superblocks know the epoch before its first commit
  second_superblock_at_close, // 5: both superblocks know the last checkpoint, and a new image
  third_superblock,           // 5: each epoch, seal and end is in the third superblock, too
  opening_claim,              // 7: who opens what was not closed first says so, and looks again
  owner_check,                // 7: an owner that was overtaken writes no more
  look_first,                 // 7: one that was idle looks before it writes a record, not with it
  wait_for_overtaken,         // 7: nor is a new one where its last record may land, before that
  look_before_superblock,     // 6, 7: it looks again directly before each superblock
  replaced_content,           // 6, 7: nor does one whose content was replaced write, over the new
  hand_over_look,             // 7: who goes on from a hand-over opens what is sealed for it only
  take_back_look,             // 7: and who takes back, what nobody has had since
  hand_over_word,             // 7: what was let go is opened by nobody else without a word
  unclosed_word,              // 7: nor what another host has not closed, if no lock says more
  move_look,                  // 7: where an image was moved to counts once the old place is sealed
  file_named,                 // 1: nothing is acknowledged that no later opener finds
  medium_reads,               // 7: what a cache can hide of another's writes is read around it
  writer_locked,              // 7: a server that has given its lock away takes no write of it
  drop_cache,                 // 1: a new owner reads what the disk holds, not what a cache kept
  create_superblocks_wipe,    // 2: create clears both superblocks first
  create_superblocks_flush,   // 2: and durably, before anything else
  create_wipe,                // 6: nothing of what was there shows in a new image
  deferred_first,             // 8: a commit comes behind the deferred writes taken before it
  deferred_kept,              // 8: what a record takes waits, and is seen, until that is durable
  deferred_in_turn,           // 8: what a failed record has left comes before what came since
  deferred_bounded,           // 8: no more waits than one record holds
  deferred_at_close,          // 8: what waits at a close is committed
  anchor_judged,              // 12: an image that is not at its anchor is not written to
  anchor_announces,           // 12: an anchor knows an epoch before it begins
  anchor_knows_key,           // 12: an exchange of the data key is told the anchor, and judged
  anchor_before_answer,       // 12: with the policy commit, each commit before it is answered
};

#ifndef VNVRAM_REMOVE
#define VNVRAM_REMOVE nothing
#endif

/// True, but for the one barrier that this build leaves out. Decided when compiling: nothing of it
/// is left in a program.
consteval bool kept(Barrier barrier) {
  if (barrier == Barrier::nothing) {
    return true;
  }
  return barrier != Barrier::VNVRAM_REMOVE;
}

} // namespace vnvram
