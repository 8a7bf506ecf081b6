// What a vnvram_transaction is.
#pragma once

#include "vnvram/transaction.h"
#include "vnvram/vnvram.h"

struct vnvram_transaction {
  vnvram::Transaction transaction;
};
