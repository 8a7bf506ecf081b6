// Who is connected to the admin socket.
#pragma once

#include <cstddef>
#include <list>

namespace vnvram {

class AdminStream;

/// As many as the limit allows: for one more the one that has been silent the longest has to go,
/// first of those that wait for no answer.
///
/// Threads: one. It outlives its streams, which come and go by themselves.
class AdminClients {
public:
  explicit AdminClients(std::size_t count_max) : count_max_(count_max) {}

  void add(AdminStream& stream) { streams_.push_back(&stream); }
  void remove(AdminStream& stream) { streams_.remove(&stream); }
  /// Before another one is taken in.
  void make_room();
  /// No descriptor is left for another one.
  void drop_a_silent_one();

private:
  std::size_t count_max_;
  std::list<AdminStream*> streams_;
};

} // namespace vnvram
