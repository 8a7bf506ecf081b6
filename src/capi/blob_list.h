// What a vnvram_blob_list is.
#pragma once

#include <vector>

#include "vnvram/blob.h"
#include "vnvram/vnvram.h"

struct vnvram_blob_list {
  std::vector<vnvram::BlobInfo> blobs;
};
