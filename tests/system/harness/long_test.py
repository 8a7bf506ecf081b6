"""Tests that are for ./dev prove."""

import os
import unittest

IS_LONG = bool(os.environ.get("VNVRAM_LONG_TESTS"))

long_test = unittest.skipUnless(IS_LONG, "takes long: VNVRAM_LONG_TESTS=1")
