#include "swtpm/usage.h"

#include <fmt/core.h>

#include "vnvram/version.h"

namespace vnvram {
namespace {

using Interface = SwtpmOptions::Interface;

constexpr std::string_view program_usage =
    R"(Usage: swtpm socket|chardev [OPTION]...
       swtpm socket|chardev --help
       swtpm --version

A TPM 1.2 or 2.0 with swtpm's command line, whose state is in a vNVRAM image.
)";

constexpr std::string_view socket_usage =
    R"(Usage: swtpm socket [OPTION]...

A TPM that is reached by sockets; its state is in a vNVRAM image.

  --server [type=tcp,]port=PORT[,bindaddr=ADDRESS[,ifname=NAME]][,disconnect]
                        plain TPM commands over TCP, on 127.0.0.1 unless said; with `disconnect`
                        each connection is for one command
  --server type=unixio,path=PATH|fd=FD[,mode=0...][,uid=USER][,gid=GROUP]
                        over a unix socket: to be made, or one that listens
  --server fd=FD        from one connection that is there
  -f, --fd FD           as --server fd=FD
  -p, --port PORT       as --server port=PORT,disconnect
  -t, --terminate       end when the data channel's client goes
)";

constexpr std::string_view device_usage =
    R"(Usage: swtpm chardev [OPTION]...

A TPM that is reached by a character device; its state is in a vNVRAM image.

  -c, --chardev DEVICE  open this device
  -f, --fd FD           a device that is open
)";

constexpr std::string_view common_usage =
    R"(  --ctrl type=unixio,path=PATH|fd=FD|clientfd=FD[,mode=0...][,uid=USER][,gid=GROUP][,terminate]
  --ctrl type=tcp,port=PORT|fd=FD[,bindaddr=ADDRESS[,ifname=NAME]][,terminate]
                        control channel: a socket to be made, one that listens (fd), or a client
                        that is there (clientfd); `terminate` ends with the client's connection
  --tpmstate dir=FOLDER|backend-uri=URI[,mode=0...][,lock][,backup][,fsync]
                        where the state is; URI: dir://FOLDER, file://FILE (or a block device), or
                        vnvram:LOCATION, any image that vnvram(1) opens. TPM_PATH is FOLDER if this
                        option is not there. State of swtpm's that is found is taken over
  --tpm2                a TPM 2.0; a TPM 1.2 unless given
  --key KEY             the state is encrypted; KEY: file=FILE|fd=FD[,format=hex|binary] or
                        pwdfile=FILE|pwdfd=FD[,kdf=pbkdf2|sha512], both with
                        [,mode=aes-cbc|aes-256-cbc][,remove]
  --migration-key KEY   the state is encrypted when it goes to another host
  --migration [incoming][,release-lock-outgoing]
                        lock the state when it comes; give it up when it has gone
  --flags [not-need-init][,startup-clear|startup-state|startup-deactivated|startup-none]
          [,disable-auto-shutdown]
                        on at once; started; no TPM2_Shutdown in a guest's stead
  --locality [reject-locality-4][,allow-set-locality]
  --log file=FILE|fd=FD[,level=N][,prefix=TEXT][,truncate]
                        FILE may be -, for no log; from level 5 on libtpms's words are in it
  --pid file=FILE|fd=FD
  -d, --daemon          go on in the background once all is open
  -r, --runas USER      become this user first; a name or a number
  -R, --chroot FOLDER   every path is one in FOLDER
  --seccomp action=kill|log|none
                        what a system call that is not needed does
  --print-capabilities  as JSON
  --print-states        which states there are, as JSON
  --print-info FLAGS    what libtpms says of itself, as JSON
  -h, --help

Not served: --profile, --print-profiles, --pcap, --vtpm-proxy, swtpm cuse. See
vnvram-swtpm(8).
)";

} // namespace

std::string program_text() {
  return fmt::format("vnvram-swtpm {}", version());
}

std::string version_text() {
  return fmt::format("TPM emulator version {}, as {} of vNVRAM has it in swtpm's place\n",
                     swtpm_release, program_text());
}

std::string usage_text(Interface interface) {
  switch (interface) {
  case Interface::none: break;
  case Interface::socket: return std::string(socket_usage) + std::string(common_usage);
  case Interface::character_device: return std::string(device_usage) + std::string(common_usage);
  }
  return std::string(program_usage);
}

} // namespace vnvram
