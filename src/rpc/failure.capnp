@0xc20253976e79758b;
# How a call of the remote APIs fails. Fields are only ever added.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("vnvram::rpc");

struct Failure {
  kind @0 :UInt16;    # The exit code that `vnvram` has for it.
  cause @1 :Text;
  remedy @2 :Text;    # Empty when there is nothing better to say than the cause.
}
