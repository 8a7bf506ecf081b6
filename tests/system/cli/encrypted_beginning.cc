// Writes what an encrypted image begins with: superblocks, and one key slot that a file opens.
//
//   encrypted_beginning PATH KEYFILE LABEL
#include <cstdio>
#include <fstream>
#include <string>

#include "keys/data_key.h"
#include "keys/key_slots.h"
#include "unit/keys/key_fixture.h"
#include "vnvram/open_device.h"

int main(int argument_count, char** arguments) {
  using namespace vnvram;
  if (argument_count != 4) {
    return 2;
  }
  const test::EncryptedImage it;
  const test::Bytes bytes = test::image_bytes(it.image);
  std::ofstream(arguments[1], std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  const auto device = open_device(arguments[1], Access::read_write);
  const auto key = KeySource::parse(std::string("file:") + arguments[2]);
  if (!device || !key) {
    return 1;
  }
  const NewKeySlot slot{.source = *key, .label = arguments[3]};
  const Status written =
      write_first_key_slots(**device, it.image, it.data_key, std::span(&slot, 1));
  if (!written) {
    (void)std::fputs(written.error().text().c_str(), stderr);
  }
  return written ? 0 : 1;
}
