"""Tests that are for ./dev prove."""

import os
import unittest

long_test = unittest.skipUnless(os.environ.get("VNVRAM_LONG_TESTS"), "takes long: VNVRAM_LONG_TESTS=1")
