/* The C API of vNVRAM: one crash-consistent image for all NVRAM of a virtual machine.
 *
 * Everywhere:
 * - Sizes and offsets are bytes. Strings are UTF-8 with a terminating zero and are copied, as are
 *   structures and the bytes to write: nothing that is passed in needs to outlive the call.
 * - A call that can fail returns a vnvram_kind, VNVRAM_OK (0) for success. Its last argument
 * `error` may be NULL; otherwise *error becomes NULL on success, and on failure an error that the
 * caller frees with vnvram_error_free. Output arguments are written on success only.
 * - Structures begin with struct_size, which the caller sets to sizeof; a later library then
 *   knows which members there are. In those passed in, a member that is zero means its default, as
 *   does one that came after the header that the program was built with.
 * - No C++ exception leaves the library. Running out of memory is VNVRAM_FAILURE.
 * - Threads: any call on a store may be made from any thread at any time, except that
 *   vnvram_close must be the last, and vnvram_dispatch be run by one thread at a time. A
 *   transaction, a list and a report belong to one thread at a time.
 * - "Durable on return" means that it survives a power cut from then on. Every call that changes an
 *   image is so, but for deferred writes: see vnvram_write_range_deferred.
 */
#pragma once

#include <stddef.h> /* NOLINT: C has no cstddef. */
#include <stdint.h> /* NOLINT */

#include "vnvram/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What can go wrong. The values are stable and are also the exit codes of the command vnvram. */
typedef enum vnvram_kind {
  VNVRAM_OK = 0,
  VNVRAM_FAILURE = 1,          /* Out of memory, or a defect of the library. */
  VNVRAM_INVALID_ARGUMENT = 2, /* A name, size, flag or pointer that can never be right. */
  VNVRAM_ABSENT = 10,          /* There is no such file or device. */
  VNVRAM_BLANK = 11,           /* It is there and holds nothing. */
  VNVRAM_FOREIGN = 12,         /* It holds data that is not ours; nothing was written. */
  VNVRAM_CORRUPT = 13,         /* It is ours and damaged; the cause says what and where. */
  VNVRAM_IN_USE = 14,          /* Another owner has it open for writing. */
  VNVRAM_KEY_NEEDED = 15,      /* The image is encrypted and no key was given. */
  VNVRAM_WRONG_KEY = 16,       /* The key does not open the image. */
  VNVRAM_TOO_NEW = 17,         /* The image, or a blob's attribute, needs a newer reader. */
  VNVRAM_NO_SPACE = 20,        /* No room for what is to be registered. */
  VNVRAM_IO = 21,              /* The device failed. */
  VNVRAM_POISONED = 22,        /* An earlier write failed: no commit until the store is reopened. */
  /* A read-only store was overtaken by the owner: reopen it. An owner: its image was replaced, or
   * its file was removed; nothing more is written. */
  VNVRAM_STALE = 23,
  VNVRAM_READ_ONLY = 24,     /* The store, or the device, was opened read-only. */
  VNVRAM_NOT_FOUND = 25,     /* No blob of that name. */
  VNVRAM_EXISTS = 26,        /* Something is there and must not be overwritten. */
  VNVRAM_TYPE_MISMATCH = 27, /* The blob is registered with another type. */
  VNVRAM_TOO_LARGE = 28,     /* Larger than the blob, or a transaction, may be. */
  VNVRAM_UNSUPPORTED = 29,   /* The device, system or this version of the library cannot do it. */
  VNVRAM_SEALED = 30,        /* Its state was handed over to another machine: unseal it first. */
  VNVRAM_NOT_AT_ANCHOR = 31  /* Older than its anchor says, of another branch, or another image. */
} vnvram_kind;

typedef struct vnvram_error vnvram_error;
typedef struct vnvram_store vnvram_store;
typedef struct vnvram_transaction vnvram_transaction;
typedef struct vnvram_blob_list vnvram_blob_list;
typedef struct vnvram_report vnvram_report;

/* The version of the library that runs, e.g. "0.1.0". Static. */
VNVRAM_API const char* vnvram_version(void);
/* A stable lower-case word for a kind, e.g. "in-use", "ok"; "unknown" for other numbers. Static. */
VNVRAM_API const char* vnvram_kind_name(vnvram_kind kind);

/* ---- errors ---- The strings live as long as the error and are never NULL. */

VNVRAM_API vnvram_kind vnvram_error_kind(const vnvram_error* error);
VNVRAM_API const char* vnvram_error_cause(const vnvram_error* error);  /* What went wrong, where. */
VNVRAM_API const char* vnvram_error_remedy(const vnvram_error* error); /* What helps; may be "".
  A name in backquotes is an operation on images, which the command `vnvram` has by that name. */
VNVRAM_API const char* vnvram_error_text(const vnvram_error* error);   /* Both, ready to print. */
/* NULL is allowed. */
VNVRAM_API void vnvram_error_free(vnvram_error* error);

/* ---- blobs ---- */

/* A named remark about a blob. A reader that does not know a must_know attribute is refused the
 * blob's bytes (VNVRAM_TOO_NEW); the others it may ignore. */
typedef struct vnvram_attribute {
  size_t struct_size;
  const char* name; /* 1 to 63 bytes of [A-Za-z0-9._/+@-]. */
  const void* value;
  size_t value_size; /* Up to 175; all attributes of a blob share 176 bytes. */
  int must_know;
} vnvram_attribute;

/* What a device registers. In an array all elements have the struct_size of the first. */
typedef struct vnvram_blob_spec {
  size_t struct_size;
  const char* name;     /* 1 to 63 bytes of [A-Za-z0-9._/+@-], unique in the store. */
  const char* type;     /* Same alphabet. Says what the bytes are. */
  uint64_t size_max;    /* 1 byte to 16 MiB. The space for it is reserved. */
  const char* producer; /* Who writes the bytes, up to 63 printable ASCII characters; NULL: none. */
  const vnvram_attribute* attributes; /* All with the struct_size of the first. */
  size_t attribute_count;
} vnvram_blob_spec;

/* What the image says about a blob. */
typedef struct vnvram_blob_info {
  size_t struct_size; /* Set by the caller; the library fills so many bytes. */
  char name[64];
  char type[64];
  char producer[64]; /* Who wrote the current bytes; may be "". */
  uint64_t size_max;
  uint64_t size;       /* As vnvram_read sees it. Bytes beyond it, up to size_max, are zero. */
  uint64_t generation; /* The commit that last changed it; 0: never written. */
  uint64_t registered_generation; /* The commit that registered it. */
  size_t attribute_count;
} vnvram_blob_info;

/* ---- images ---- */

/* The size of a fresh image that has room for these blobs at their largest sizes. `ring_size` is
 * what vnvram_create will be given; 0: its default. */
VNVRAM_API vnvram_kind vnvram_required_size(const vnvram_blob_spec* blobs, size_t blob_count,
                                            uint64_t ring_size, uint64_t* size,
                                            vnvram_error** error);
/* The same with room to register as much again, and at least 4 MiB. */
VNVRAM_API vnvram_kind vnvram_recommended_size(const vnvram_blob_spec* blobs, size_t blob_count,
                                               uint64_t ring_size, uint64_t* size,
                                               vnvram_error** error);

typedef struct vnvram_create_options {
  size_t struct_size;
  uint64_t image_size; /* 0: vnvram_recommended_size. Ignored for a block device and NBD. */
  /* 0: holds the largest blob's rewrite twice, at least 1984 KiB, and an eighth of the image where
   * the blobs leave room for that. */
  uint64_t ring_size;
  const vnvram_blob_spec* blobs; /* Registered, of size 0, never written. */
  size_t blob_count;
  int force; /* Write over what is there, whatever it is. */
  /* Of a new file: "raw", "qcow2", "vmdk", "vhdx", "vdi" or "luks". NULL: that of the VM image that
   * is there, else by the ending of its name, else raw. */
  const char* image_format;
  const char* image_key_file; /* Its bytes are the key of a LUKS or qcow2 image; NULL: no key. */
  /* Who can open it, which is encrypted then: "file:PATH", "fd:N", "passphrase:fd:N",
   * "public:PATH", "exec:COMMAND,public=PATH", ... as `vnvram create --help` says. */
  const char* const* keys;
  size_t key_count; /* 0: not encrypted. */
} vnvram_create_options;

/* Makes an image of a file, a host block device, an NBD export or an RBD image, which is made if it
 * is not there; the only call that writes to what is not ours. A file is made beside its name and
 * renamed over it when it is complete, so a failure leaves what was there. Formatted in place are a
 * block device, an NBD export, an RBD image that is there, a VM image of the wanted format that
 * holds nothing, and a raw file that no new one can take the place of (a mount point, a folder that
 * cannot be written to): a failure leaves them blank, or as something that no opener takes for an
 * image. Durable on return. `options` may be NULL. Errors: VNVRAM_EXISTS (not blank and not
 * forced), VNVRAM_IN_USE, VNVRAM_NO_SPACE, VNVRAM_IO, VNVRAM_READ_ONLY. */
VNVRAM_API vnvram_kind vnvram_create(const char* path, const vnvram_create_options* options,
                                     vnvram_error** error);

/* Lengthens an image that nobody has open; size 0: to what the device has. Durable on return.
 * Errors: as vnvram_open; VNVRAM_NO_SPACE, VNVRAM_UNSUPPORTED. */
VNVRAM_API vnvram_kind vnvram_resize(const char* path, uint64_t size, vnvram_error** error);
/* The same of an encrypted image; `keys` as in vnvram_open_options. */
VNVRAM_API vnvram_kind vnvram_resize_with_keys(const char* path, const char* const* keys,
                                               size_t key_count, uint64_t size,
                                               vnvram_error** error);

/* An operator's word that this image is the one to go on with, whatever its anchor says; makes the
 * anchor, too. Other copies of the image are refused from then on. Nobody has the image open.
 * `image_key_file` may be NULL; `keys` as in vnvram_open_options. Durable on return. Errors: as
 * vnvram_open. */
VNVRAM_API vnvram_kind vnvram_accept_anchor(const char* path, const char* image_key_file,
                                            const char* const* keys, size_t key_count,
                                            const char* anchor, vnvram_error** error);

/* ---- the store ---- */

#define VNVRAM_OPEN_READ_ONLY (1U << 0) /* Takes no lock; works beside an owner. */
/* Completion callbacks run inside vnvram_dispatch, not on a thread of the store. */
#define VNVRAM_OPEN_EVENT_FD (1U << 1)
/* No checkpoint on a thread of the store: they run inside the commits that need one. */
#define VNVRAM_OPEN_NO_BACKGROUND (1U << 2)
/* No checkpoint merely because nothing was committed for a while. */
#define VNVRAM_OPEN_NO_IDLE_CHECKPOINT (1U << 3)
/* Deferred writes are not: each is durable on return. */
#define VNVRAM_OPEN_NO_DEFERRAL (1U << 4)
/* The thread for checkpoints starts with the first commit, not in vnvram_open: for a process that
 * forks after opening. Others always start with the first deferred write and asynchronous commit.
 */
#define VNVRAM_OPEN_THREADS_LATE (1U << 5)
/* Opens for writing also where the image has no space of its own for all that may be written (a
 * sparse copy), and none can be allocated. Without it that is VNVRAM_NO_SPACE or
 * VNVRAM_UNSUPPORTED. */
#define VNVRAM_OPEN_WITHOUT_SPACE (1U << 6)
/* For writing: whoever has the image is shut out by its storage first (a Ceph cluster, a device
 * that its host has reserved). Where the storage cannot, an image that was not closed is
 * VNVRAM_IN_USE, unless somebody vouches that its owner is dead. A lock that a living process holds
 * is not broken. Without it an image that an owner on another host has not closed is VNVRAM_IN_USE
 * where no lock says that it has ended (an NBD export over TCP, a block device).
 */
#define VNVRAM_OPEN_TAKE_OVER (1U << 7)
/* With it: its owner has ended, or its host has no power. */
#define VNVRAM_OPEN_OWNER_IS_DEAD (1U << 8)
/* Of a host block device, for writing: while it is open the device itself takes writes from this
 * host alone (a persistent reservation of SCSI or NVMe, of the whole device). VNVRAM_IN_USE if
 * another host has reserved it, VNVRAM_UNSUPPORTED where it has none, or this process no right. */
#define VNVRAM_OPEN_RESERVE (1U << 9)

typedef struct vnvram_open_options {
  size_t struct_size;
  uint32_t flags;                /* VNVRAM_OPEN_... */
  uint32_t idle_checkpoint_ms;   /* 0: 1000. */
  uint64_t cache_size;           /* Bounds the memory for content; 0: 8 MiB. */
  const vnvram_blob_spec* blobs; /* Registered before open returns, as vnvram_register does. */
  size_t blob_count;
  const char* const* known_attributes; /* Those must_know ones that this program understands, */
  size_t known_attribute_count;        /* beside the ones in `blobs`. */
  const char* image_key_file; /* Its bytes are the key of an encrypted VM image; NULL: no key. */
  /* How long deferred writes may wait for a commit, in microseconds, an hour at most; 0: 10000. See
   * vnvram_write_range_deferred. */
  uint64_t deferral_us;
  /* Where the image's newest state is kept, outside of it: "file:PATH" or "exec:COMMAND"; NULL:
   * nowhere. An image that is older, or that went on elsewhere, is VNVRAM_NOT_AT_ANCHOR. Ignored
   * with VNVRAM_OPEN_READ_ONLY. */
  const char* anchor;
  /* When it is written, beside each opening: "commit" (record, anchor, answer), "every=SECONDS" or
   * "open" (when the store is closed); NULL: "commit". */
  const char* anchor_policy;
  /* What opens an encrypted image, tried in this order: "file:PATH", "fd:N", "passphrase:fd:N",
   * "exec:COMMAND", ... Without one that fits: VNVRAM_KEY_NEEDED, VNVRAM_WRONG_KEY. */
  const char* const* keys;
  size_t key_count;
  /* The size that the image may grow to by itself; 0: it does not. Where blobs that are registered
   * find no room it grows to what they need, and some more. Its device is lengthened if it can be,
   * and the space is reserved first; a qcow2 image is made so long before it is opened, which takes
   * next to no space. */
  uint64_t grow_max;
} vnvram_open_options;

/* Opens an image and recovers its newest generation. For writing it takes the device's lock and
 * reconciles the options' blobs; read-only they are only compared with what is there.
 * `options` may be NULL. The store is freed by vnvram_close.
 * Errors: VNVRAM_ABSENT to VNVRAM_TOO_NEW, VNVRAM_IO, VNVRAM_READ_ONLY, those of vnvram_register.
 */
VNVRAM_API vnvram_kind vnvram_open(const char* path, const vnvram_open_options* options,
                                   vnvram_store** store, vnvram_error** error);

/* Waits for the commits under way, runs callbacks that were not dispatched, commits what was
 * deferred, brings the image up to date, gives up the lock and frees the store, also when it
 * reports an error. What was committed was durable before; deferred writes are when it succeeds.
 * NULL is allowed. Not to be called from a callback. */
VNVRAM_API vnvram_kind vnvram_close(vnvram_store* store, vnvram_error** error);

/* For a process that has forked after it opened the store, as daemons do: the image names this
 * process as its owner from now on. A store may be opened and then taken across a fork if it was
 * opened with VNVRAM_OPEN_THREADS_LATE and without `blobs`, nothing else was called on it before,
 * and the parent does nothing more with it: it does not even close it, and ends by _exit. Durable
 * on return. Errors: VNVRAM_READ_ONLY, VNVRAM_IO, VNVRAM_POISONED. */
VNVRAM_API vnvram_kind vnvram_adopt_after_fork(vnvram_store* store, vnvram_error** error);

/* Reconciles a set of blobs with the image, all or none: what is there is left alone, a larger
 * size_max grows it, what is missing is added, of size 0. Durable on return. Afterwards no write of
 * up to size_max fails for space.
 * Errors: VNVRAM_TYPE_MISMATCH, VNVRAM_NO_SPACE, VNVRAM_TOO_LARGE (for the ring). */
VNVRAM_API vnvram_kind vnvram_register(vnvram_store* store, const vnvram_blob_spec* blobs,
                                       size_t blob_count, vnvram_error** error);
/* Forgets a blob and frees its space. Durable on return. Errors: VNVRAM_NOT_FOUND. */
VNVRAM_API vnvram_kind vnvram_remove(vnvram_store* store, const char* blob, vnvram_error** error);

/* The blob's current bytes: durable ones, and over them what this store's callers have deferred.
 * *bytes is never NULL on success, and is freed with vnvram_free. Errors: VNVRAM_NOT_FOUND,
 * VNVRAM_CORRUPT, VNVRAM_TOO_NEW, VNVRAM_IO, VNVRAM_STALE.
 */
VNVRAM_API vnvram_kind vnvram_read(vnvram_store* store, const char* blob, void** bytes,
                                   size_t* size, vnvram_error** error);
VNVRAM_API void vnvram_free(void* bytes);
/* Fills `buffer` from `offset` on, with zeros beyond the current size. The same errors, and
 * VNVRAM_TOO_LARGE for a range beyond size_max; `buffer` may have changed then. */
VNVRAM_API vnvram_kind vnvram_read_range(vnvram_store* store, const char* blob, uint64_t offset,
                                         void* buffer, size_t size, vnvram_error** error);

/* The blob becomes exactly these bytes. Durable on return, and atomic; only what differs is written
 * to the device. Errors: VNVRAM_NOT_FOUND, VNVRAM_TOO_LARGE, VNVRAM_READ_ONLY, VNVRAM_TOO_NEW:
 * nothing has changed; VNVRAM_IO, VNVRAM_POISONED: it may or may not be there after reopening. */
VNVRAM_API vnvram_kind vnvram_write(vnvram_store* store, const char* blob, const void* bytes,
                                    size_t size, vnvram_error** error);
/* Overwrites bytes from `offset` on; beyond its size the blob grows, a gap is zero. */
VNVRAM_API vnvram_kind vnvram_write_range(vnvram_store* store, const char* blob, uint64_t offset,
                                          const void* bytes, size_t size, vnvram_error** error);

/* ---- deferred writes: for devices that write often and ask seldom to have it on disk ----
 *
 * What is durable when: a deferred write is durable when a vnvram_flush or a commit that was called
 * after it, or vnvram_close, has succeeded; and without any call, `deferral_us` after the oldest
 * one that waits, plus the time of a commit. With VNVRAM_OPEN_NO_BACKGROUND only calls make them
 * durable; with VNVRAM_OPEN_NO_DEFERRAL the call itself does.
 *
 * What a power cut leaves: the deferred writes up to some moment, in the order of the calls, across
 * all blobs; the latest ones may be missing, none before them is. A single one is there whole or
 * not at all. A commit that has returned brought with it all that were deferred before it was
 * called, in the same record where there is room. With a vnvram_commit_async that has not called
 * back yet, the order of writes deferred meanwhile is not defined.
 *
 * Who sees them: readers of this store at once (vnvram_read, vnvram_read_range, and the size in
 * vnvram_blob_info), on any thread. Read-only stores beside it, when they are durable.
 *
 * Limits: those that collect take an eighth of `cache_size` at most, and no more than a record
 * holds (half the ring); those that are being committed as much again. A call that finds no room
 * waits for a commit, and after some that left it none it is a commit itself. So memory is bounded,
 * and a single write may be as large as its blob.
 *
 * When the commit fails that was to make them durable, vnvram_flush, every commit and vnvram_close
 * say so until one succeeds; if the store is poisoned by it, deferred writes say so, too. Whoever
 * must know calls vnvram_flush. */

/* Overwrites bytes from `offset` on, as vnvram_write_range does, and returns without waiting for
 * the device, unless there is no room or the bytes that it changes have to be read first. A write
 * of no bytes changes nothing. Any thread, callbacks included.
 * Errors: VNVRAM_NOT_FOUND, VNVRAM_TOO_LARGE, VNVRAM_READ_ONLY, VNVRAM_TOO_NEW, VNVRAM_POISONED;
 * VNVRAM_CORRUPT, VNVRAM_IO: the bytes that it changes cannot be read, or there was no room and the
 * commit failed. The write was not taken then, and earlier ones wait on. */
VNVRAM_API vnvram_kind vnvram_write_range_deferred(vnvram_store* store, const char* blob,
                                                   uint64_t offset, const void* bytes, size_t size,
                                                   vnvram_error** error);
/* The same with `size` zeros. */
VNVRAM_API vnvram_kind vnvram_zero_range_deferred(vnvram_store* store, const char* blob,
                                                  uint64_t offset, uint64_t size,
                                                  vnvram_error** error);
/* Returns when all deferred writes whose calls have returned are durable, those of other threads
 * included. Costs nothing when none waits, and one write to the device when some do. A read-only
 * store has none. Errors: VNVRAM_IO, VNVRAM_POISONED: they may or may not be there after reopening,
 * up to some moment. */
VNVRAM_API vnvram_kind vnvram_flush(vnvram_store* store, vnvram_error** error);

/* ---- transactions: updates that become durable together or not at all ---- */

/* An empty one. It touches no store until it is committed. */
VNVRAM_API vnvram_kind vnvram_transaction_begin(vnvram_transaction** transaction,
                                                vnvram_error** error);
/* Each appends one update. They are checked by the commit, not here. */
VNVRAM_API vnvram_kind vnvram_transaction_write(vnvram_transaction* transaction, const char* blob,
                                                const void* bytes, size_t size,
                                                vnvram_error** error);
VNVRAM_API vnvram_kind vnvram_transaction_write_range(vnvram_transaction* transaction,
                                                      const char* blob, uint64_t offset,
                                                      const void* bytes, size_t size,
                                                      vnvram_error** error);
/* Overwrites with `size` zeros, which cost next to nothing on the image. */
VNVRAM_API vnvram_kind vnvram_transaction_zero_range(vnvram_transaction* transaction,
                                                     const char* blob, uint64_t offset,
                                                     uint64_t size, vnvram_error** error);
/* Cuts the blob, or lengthens it with zeros. */
VNVRAM_API vnvram_kind vnvram_transaction_set_size(vnvram_transaction* transaction,
                                                   const char* blob, uint64_t size,
                                                   vnvram_error** error);
/* For one that is not to be committed. NULL is allowed. */
VNVRAM_API void vnvram_transaction_free(vnvram_transaction* transaction);

/* Carries the transaction out and frees it, also when it fails. Durable on return.
 * Errors: as vnvram_write. */
VNVRAM_API vnvram_kind vnvram_commit(vnvram_store* store, vnvram_transaction* transaction,
                                     vnvram_error** error);

/* What a finished commit calls: `error` is NULL when the transaction is durable, else what
 * vnvram_commit would have reported; it lives until the callback returns. A callback may commit
 * again, but must not close the store. */
typedef void (*vnvram_callback)(void* opaque, const vnvram_error* error);

/* The same without waiting. The transaction is taken over and freed in every case. When the call
 * succeeds, `callback` is called exactly once: on a thread of the store, or with
 * VNVRAM_OPEN_EVENT_FD inside vnvram_dispatch or vnvram_close. When it fails, never. Transactions
 * become durable in the order of the calls. VNVRAM_FAILURE: no thread can be started for it. */
VNVRAM_API vnvram_kind vnvram_commit_async(vnvram_store* store, vnvram_transaction* transaction,
                                           vnvram_callback callback, void* opaque,
                                           vnvram_error** error);
/* Readable while callbacks wait for vnvram_dispatch; -1 without VNVRAM_OPEN_EVENT_FD. It belongs to
 * the store: poll it, do not read or close it. */
VNVRAM_API int vnvram_event_fd(vnvram_store* store);
/* Runs the callbacks that are due, in order, and returns how many. Never waits. */
VNVRAM_API size_t vnvram_dispatch(vnvram_store* store);

/* Brings the homes up to date and empties the ring. Never needed for durability; it commits
 * nothing, deferred writes neither. Errors: VNVRAM_READ_ONLY, VNVRAM_IO, VNVRAM_POISONED. */
VNVRAM_API vnvram_kind vnvram_checkpoint(vnvram_store* store, vnvram_error** error);

/* ---- looking ---- */

typedef struct vnvram_info {
  size_t struct_size; /* Set by the caller; the library fills so many bytes. */
  uint8_t uuid[16];
  uint64_t generation; /* The last durable commit. */
  uint64_t epoch;      /* How often the image was opened for writing. */
  uint64_t image_size;
  uint64_t ring_size;
  uint64_t ring_used;
  uint64_t space_size;    /* Largest sizes that could be registered in an empty image. */
  uint64_t space_free;    /* Of it, still free. */
  uint64_t blob_size_max; /* The largest blob that this ring allows. */
  uint64_t blob_count;
  uint32_t format_version;
  uint32_t owner_pid;  /* Of the owner, or of the last one if it did not close; else 0. */
  int32_t clean;       /* Closed in good order; 0 while an owner has it open. */
  int32_t poisoned;    /* The store refuses commits; vnvram_poison says why. */
  char owner_host[64]; /* Cut to what fits. */
} vnvram_info;

VNVRAM_API vnvram_kind vnvram_store_info(vnvram_store* store, vnvram_info* info,
                                         vnvram_error** error);
/* Why the store refuses commits; the caller frees it. NULL: it does not. */
VNVRAM_API vnvram_error* vnvram_poison(vnvram_store* store);

/* One blob. Errors: VNVRAM_NOT_FOUND. */
VNVRAM_API vnvram_kind vnvram_blob(vnvram_store* store, const char* blob, vnvram_blob_info* info,
                                   vnvram_error** error);
/* All blobs, in the order of their names, as they are now. */
VNVRAM_API vnvram_kind vnvram_list(vnvram_store* store, vnvram_blob_list** list,
                                   vnvram_error** error);
VNVRAM_API size_t vnvram_blob_list_count(const vnvram_blob_list* list);
/* Fills in what the list says. Errors: VNVRAM_NOT_FOUND for an index that is out of range. */
VNVRAM_API vnvram_kind vnvram_blob_list_get(const vnvram_blob_list* list, size_t index,
                                            vnvram_blob_info* info, vnvram_error** error);
/* The name and value live as long as the list. */
VNVRAM_API vnvram_kind vnvram_blob_list_attribute(const vnvram_blob_list* list, size_t index,
                                                  size_t attribute_index,
                                                  vnvram_attribute* attribute,
                                                  vnvram_error** error);
/* NULL is allowed. */
VNVRAM_API void vnvram_blob_list_free(vnvram_blob_list* list);

/* One thing that a check found. What it points to lives as long as the report. */
typedef struct vnvram_problem {
  size_t struct_size; /* Set by the caller; the library fills so many bytes. */
  const char* place;
  const char* what;
  const char* const* blobs; /* Those whose bytes are hit. */
  size_t blob_count;
  int data_lost; /* 0: a copy was lost that nothing depends on now. */
} vnvram_problem;

typedef void (*vnvram_progress)(void* opaque, uint64_t done_bytes, uint64_t all_bytes);

/* Reads every byte of an image that matters, however damaged. Writes nothing, takes no lock.
 * VNVRAM_OK means that the check ran, not that the image is whole: see the report's problems.
 * `progress` may be NULL. Errors: VNVRAM_ABSENT, VNVRAM_BLANK, VNVRAM_FOREIGN, VNVRAM_TOO_NEW,
 * VNVRAM_IO. */
VNVRAM_API vnvram_kind vnvram_check(const char* path, vnvram_progress progress, void* opaque,
                                    vnvram_report** report, vnvram_error** error);
/* The same of an encrypted image; `keys` as in vnvram_open_options. Errors also: VNVRAM_KEY_NEEDED,
 * VNVRAM_WRONG_KEY. */
VNVRAM_API vnvram_kind vnvram_check_with_keys(const char* path, const char* const* keys,
                                              size_t key_count, vnvram_progress progress,
                                              void* opaque, vnvram_report** report,
                                              vnvram_error** error);
VNVRAM_API uint64_t vnvram_report_generation(const vnvram_report* report);
VNVRAM_API size_t vnvram_report_problem_count(const vnvram_report* report);
/* Errors: VNVRAM_NOT_FOUND for an index that is out of range. */
VNVRAM_API vnvram_kind vnvram_report_problem(const vnvram_report* report, size_t index,
                                             vnvram_problem* problem, vnvram_error** error);
/* NULL is allowed. */
VNVRAM_API void vnvram_report_free(vnvram_report* report);

#ifdef __cplusplus
}
#endif
