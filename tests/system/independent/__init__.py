"""The image format a second time, from docs/format.md alone: nothing here knows the C++ code."""
