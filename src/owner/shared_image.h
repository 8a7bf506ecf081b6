// An image that the other host of a migration sees as well, as its owner has it, or has it not.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "owner/image_keeper.h"
#include "owner/shared_words.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

/// Whose the image of a keeper is, of two owners that both see it. As long as it is not ours, and
/// until the machine goes on with it here, what front ends change waits, and what they read is what
/// was there at the last look: they are there before the image is.
///
/// Which hand-over it is is known to whoever asks for it, and to the image: an owner that dies is
/// followed by one that knows as much.
///
/// Threads: standing() by any; the others by the one that makes the keeper's calls.
class SharedImage {
public:
  enum class Standing {
    ours,      ///< It is open here, and changes are taken.
    came,      ///< It is open here, still sealed: somebody else may have it until begin().
    elsewhere, ///< It is let go, or has not come yet: it is looked at, at most.
    gone,      ///< It was let go, and somebody has gone on with it. Changes are refused.
  };

  /// What has become of it, for a log.
  using News = std::function<void(const std::string& text)>;

  /// Of an image that the keeper has or is going to have. The keeper outlives it.
  SharedImage(ImageKeeper& keeper, std::string location, News news = {})
      : keeper_(keeper), location_(std::move(location)), news_(std::move(news)) {}
  SharedImage(const SharedImage&) = delete;
  SharedImage& operator=(const SharedImage&) = delete;

  [[nodiscard]] Standing standing() const { return standing_; }
  /// Somebody else has it: what is read of it was seen.
  [[nodiscard]] bool is_seen_only() const {
    const Standing now = standing_;
    return now == Standing::elsewhere || now == Standing::gone;
  }
  /// Whether nothing of what was answered here is missing on an image that is not ours: it was let
  /// go. If not so it was taken from us.
  [[nodiscard]] bool has_all() const { return has_all_; }

  /// With none attached: it is somebody else's, or was let go by an owner before this one. Errors:
  /// those of looking at it.
  enum class Before { nobody, owner_of_it };
  Status stand_by(Before before = Before::nobody);
  /// So that what is read is there, if it is elsewhere: looks at it unless it was. Errors: those of
  /// opening it for reading.
  Status see();
  /// The same, and what was seen is too old.
  Status see_anew();
  /// It has all that was answered, is sealed for this hand-over, and let go when this returns; also
  /// one that was sealed for it and let go already. Returns whose it was, for go_on(). Errors:
  /// in_use (it is held: as it was); those of go_on(), of one that was let go; those of
  /// Store::seal(): it has come then; but stale (somebody else has opened it): it is gone; those of
  /// ImageKeeper::let_go(): it is let go, for go_on() with this number, and no other host has it.
  Result<OwnerEpoch> hand_over(const HandOverNumber& number);
  /// It is open here when this returns. Errors: those of OpenOptions::go_on, and of opening it. If
  /// it was let go here, and `from` is for that, stale is for good. unsupported: it was let go
  /// here, has come back by another hand-over, and something that was to be changed before that
  /// waits still.
  Status go_on(const GoOn& from);
  /// The same by what this owner knows of how it was let go here, or the one before it. Errors:
  /// sealed (it was not let go here), stale (somebody has gone on with it), too.
  Status take_back();
  /// Of one that was let go here, and is not known to have gone on elsewhere: for which hand-over.
  [[nodiscard]] std::optional<HandOverNumber> let_go_for() const;
  /// Of one that another owner had before: what is seen of it is as that one has left it.
  void is_seen_as_left();
  /// Of one that has come: the seal is off, and what has waited goes on. Errors: sealed (it is
  /// elsewhere); those of Store::unseal(), and then changes fail.
  Status begin();
  /// One that has come for a hand-over and that nobody has gone on with is let go as it is.
  /// Errors: those of ImageKeeper::let_go().
  Status leave();
  /// Nobody goes on with it here any more: of one that is not ours, what waits is refused.
  void give_up();
  /// The same for good: what is let go from now on is given up as well, and none is opened.
  void end();
  /// Whether nobody else has opened it since. If somebody has, it is gone, and let go: stale.
  /// Other errors: io; absent (it is elsewhere).
  Status check_ours();

private:
  [[nodiscard]] bool is_taken_back(const GoOn& from) const;
  [[nodiscard]] bool would_change_what_is_newer(const GoOn& from) const;
  Status open(const GoOn& asked);
  void let_go_here();
  void lose();
  /// Whoever has it by now has gone on with it.
  void lose_to_another();
  void tell(SharedWords words);

  ImageKeeper& keeper_;
  const std::string location_;
  const News news_;
  std::uint64_t generation_ = 0; ///< The last one that was here.
  std::atomic<Standing> standing_ = Standing::ours;
  std::atomic<bool> has_all_ = false;
  bool ends_ = false;
  bool was_let_go_ = false;    ///< Also by an owner before this one.
  std::optional<GoOn> let_go_; ///< How, if that is known.
};

} // namespace vnvram
