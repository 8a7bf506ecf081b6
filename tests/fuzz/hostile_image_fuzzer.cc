// Images made to harm whoever reads them: arbitrary bytes in superblocks, table, pages and records,
// and every checksum made right again.
//
// An input: steps, see Forger::step(). An edit is a length, an offset in what is edited, and bytes.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "format/checksum.h"
#include "format/superblock.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/image_exerciser.h"
#include "fuzz/image_history.h"
#include "support/image_editor.h"

namespace vnvram::fuzz {
namespace {

constexpr int steps_max = 64;
constexpr std::size_t device_size_max_bytes = std::size_t{2} << 20U;

void edit(FuzzInput& input, std::span<std::byte> target) {
  const std::size_t length = input.byte();
  const std::size_t offset = input.word() % target.size();
  const auto bytes = input.bytes(std::min(length, target.size() - offset));
  std::ranges::copy(bytes, target.begin() + static_cast<std::ptrdiff_t>(offset));
}

class Forger {
public:
  explicit Forger(Bytes& image) : image_(image), editor_(image) {}

  void step(FuzzInput& input) {
    enum Step : std::uint8_t {
      page,
      entry,
      superblock,
      record,
      odd_record,
      raw,
      device_size,
      counter,
      ring_size,
      overwritten_front,
      count
    };
    switch (static_cast<Step>(input.below(count))) {
    case page:
      editor_.edit_page(page_number(input), [&](auto content) { edit(input, content); });
      break;
    case entry: {
      const std::uint32_t number = page_number(input);
      editor_.edit_leaf(0, [&](format::TableNode& leaf) {
        leaf.set_entry_of(number, odd_entry(input.number64()));
      });
      break;
    }
    case superblock: {
      const std::uint8_t copies = input.byte();
      const std::uint16_t offset = input.word();
      const auto bytes = input.bytes(input.below(32));
      superblock_patches_.push_back({copies, offset, Bytes(bytes.begin(), bytes.end()), false});
      break;
    }
    case record: add_record(input, false); break;
    case odd_record: add_record(input, true); break;
    case raw:
      edit(input, std::span(image_).subspan(input.byte() % block_count() * block_size_bytes));
      break;
    case device_size: size_change_bytes_ = input.number32(); break;
    case counter: bring_counter_to_its_end(input); break;
    case ring_size: make_up_ring_size(input); break;
    case overwritten_front: // As partitioning tools do it; then the third copy has to find it all.
      overwritten_front_bytes_ = input.word() % (4 * block_size_bytes);
      overwritten_with_ = input.byte();
      break;
    case count: break;
    }
  }

  void finish() {
    editor_.write_superblocks();
    for (const SuperblockPatch& patch : superblock_patches_) {
      patch_superblocks(patch);
    }
    std::fill_n(image_.begin(), overwritten_front_bytes_, std::byte{overwritten_with_});
    if (size_change_bytes_ != 0) {
      image_.resize(size_change_bytes_ % device_size_max_bytes);
    }
  }

private:
  struct SuperblockPatch {
    std::uint8_t spared_copies = 0; ///< A bit for each.
    std::size_t offset = 0;
    Bytes bytes;
    bool exactly_there = false; ///< Else the offset is taken as below.
  };

  [[nodiscard]] std::size_t block_count() const { return image_.size() / block_size_bytes; }
  std::uint32_t page_number(FuzzInput& input) {
    return input.byte() % editor_.geometry().page_count();
  }

  void add_record(FuzzInput& input, bool odd) {
    format::RecordBuilder builder;
    for (std::size_t extents = input.below(8) + 1; extents > 0; --extents) {
      const std::uint64_t offset = input.number32() % (std::uint64_t{1} << 22U);
      const std::uint8_t length = input.byte();
      if (length % 2 == 0) {
        builder.add_zeros(offset, std::max(input.number32(), 1U));
      } else if (const auto bytes = input.bytes(length); !bytes.empty()) {
        builder.add_bytes(offset, bytes);
      }
    }
    if (!builder.empty() && builder.block_count() <= editor_.ring_blocks_left()) {
      const auto change = [&](std::span<std::byte> bytes) {
        edit(input, bytes.first(input.below(2) == 0 ? sizeof(format::RecordHeader) : bytes.size()));
      };
      editor_.append_record(builder, odd ? ImageEditor::Edit(change) : ImageEditor::Edit());
    }
  }

  void bring_counter_to_its_end(FuzzInput& input) {
    static constexpr std::array fields = {offsetof(format::Superblock, sequence),
                                          offsetof(format::Superblock, generation),
                                          offsetof(format::Superblock, epoch_number)};
    const std::size_t field = fields.at(input.below(fields.size()));
    const std::uint8_t spared_copies = input.byte();
    patch_number(spared_copies, field, format::counter_max - input.byte());
  }

  /// One that fits the rest of the superblock.
  void make_up_ring_size(FuzzInput& input) {
    const std::uint32_t blocks = input.number32();
    patch_number(0, offsetof(format::Superblock, ring_block_count), blocks);
    patch_number(0, offsetof(format::Superblock, zones_start_block),
                 format::ring_start_block + blocks);
    if (input.below(2) == 0) {
      const format::Superblock& now = editor_.superblock();
      patch_number(0, offsetof(format::Superblock, image_block_count),
                   now.image_block_count - now.ring_block_count + blocks);
    }
  }

  template <typename Number>
  void patch_number(std::uint8_t spared_copies, std::size_t offset, Number number) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    superblock_patches_.push_back({spared_copies, offset, Bytes(bytes.begin(), bytes.end()), true});
  }

  void patch_superblocks(const SuperblockPatch& patch) {
    for (unsigned copy = 0; copy <= format::third_copy; ++copy) {
      const std::size_t number = copy < format::superblock_count
                                     ? copy
                                     : block_count() - format::third_copy_blocks_from_end;
      const auto block = std::span(image_).subspan(number * block_size_bytes, block_size_bytes);
      if (copy == format::third_copy && std::memcmp(block.data(), format::superblock_magic.data(),
                                                    format::superblock_magic.size()) != 0) {
        continue; // An image may have none.
      }
      const auto body = block.first(offsetof(format::Superblock, checksum));
      // Most of a superblock is reserved: half of the edits go to the fields in front.
      const std::size_t field =
          patch.exactly_there
              ? patch.offset
              : patch.offset % (patch.offset % 2 == 0 ? std::size_t{280} : body.size());
      if (((unsigned{patch.spared_copies} >> copy) & 1U) == 0) {
        std::copy_n(patch.bytes.begin(), std::min(patch.bytes.size(), body.size() - field),
                    body.begin() + static_cast<std::ptrdiff_t>(field));
      }
      const std::uint64_t checksum = format::checksum(body, 0);
      std::memcpy(block.data() + body.size(), &checksum, sizeof(checksum));
    }
  }

  Bytes& image_;
  ImageEditor editor_;
  std::vector<SuperblockPatch> superblock_patches_; ///< Last: the editor goes by the superblock.
  std::uint32_t size_change_bytes_ = 0;
  std::size_t overwritten_front_bytes_ = 0;
  std::uint8_t overwritten_with_ = 0;
};

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  const auto& history = ImageHistory::plain();
  Bytes image = history.last_closed();
  FuzzInput input(data, size_bytes);
  Forger forger(image);
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    forger.step(input);
  }
  forger.finish();
  exercise_image(std::make_shared<vnvram::MemoryDisk>(std::move(image)), history,
                 [](const SeenState&) {});
  return 0;
}
