#include "tpm/usage_text.h"

namespace vnvram {

std::string_view usage_text() {
  return
      R"(usage: vnvram-tpm IMAGE --ctrl unix:PATH [--server unix:PATH|tcp:HOST:PORT] [OPTION]...

A TPM whose state is in a vNVRAM image.

  IMAGE: a file, a VM image, a block device, an NBD export's URI, rbd:POOL/IMAGE; or unix:PATH,
the control socket of an owner that has it open (vnvram serve).

  --ctrl unix:PATH        control socket, for QEMU and swtpm_ioctl; this one and the others may be
                          fd:N, or fd:NAME of systemd's, for one that listens already
  --server ADDRESS        socket for plain TPM commands: unix:PATH or tcp:HOST:PORT; its own
                          control socket is at PATH.ctrl or PORT + 1
  --admin unix:PATH       socket for `vnvram tpm`: hold, detach, attach, ...; for the operator only
  --detached              start without the image: `vnvram tpm attach` opens it
  --incoming              accept a sealed image, for a machine that is about to come back to it:
                          the TPM serves once QEMU has set its state
  --shared                the other host of a migration sees the image as well: the one that QEMU
                          leaves seals it for the other one and lets go of it; with --incoming it
                          is not touched before QEMU has set the state that belongs to it
  --take-over             shut out whoever has the image, where its storage can (RBD, a device that
                          its host has reserved)
  --owner-is-dead         with it, where the storage cannot: your word that whoever had the image
                          has ended, or that its host has no power
  --reservation           have a whole SCSI or NVMe device take writes from this host alone for as
                          long as the image is open; with --shared that goes over with it
  --no-seal               for a QEMU before 7.2: go on after it has fetched the state
  --no-auto-shutdown      do not send TPM2_Shutdown in the stead of a guest that is reset or ends
                          without
  --startup TYPE          power the TPM on at once: clear, state, deactivated (TPM 1.2 only)
  --tpm2, --tpm12         which one to run, if the image has both
  --blobs PREFIX          of an image with several TPMs the one whose blobs' names begin so (vnvram
                          create --tpm2=PREFIX)
  --space POLICY          where the image was copied without all of its space: reserve it, or do
                          not start (the default); warn, and start; ignore it
  --grow MAX              where the TPM's blobs find no room, the image grows by itself, to this
                          size at most (K, M, G: 1024-fold); it does not unless given
  --image-name NAME       what the image is called in messages
  --image-key FILE        all bytes of this file are the key of an encrypted VM image
  --key KEY               opens an encrypted image: file:PATH[,remove], fd:N, passphrase,
                          passphrase:file:PATH[,remove], passphrase:fd:N, exec:COMMAND; may be
                          given several times
  --anchor ANCHOR         file:PATH or exec:COMMAND, where the image's newest state is kept: an
                          older copy, or one that went on elsewhere, is refused
  --anchor-policy POLICY  when it is written, beside each opening: commit (the default),
                          every=SECONDS, or open (when the image is closed)
  --user USER             become this user once everything is open
  --mode MODE             mode of the unix sockets, octal; 0660 unless given
  --group GROUP           group of the unix sockets
  --pid FILE              write the process's number to this file
  --seccomp on|log|off    what a system call that is not needed does: end the process (the
                          default), get logged, or pass
  --log-level LEVEL       error, warning, info (the default) or debug
  --help, --version

See vnvram-tpm(8) for what it guarantees and for its exit codes.
)";
}

} // namespace vnvram
