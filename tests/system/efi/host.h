/* The application's two lines to the test: QEMU's debug port, and files of its fw_cfg device. */
#ifndef VNVRAM_TESTS_HOST_H
#define VNVRAM_TESTS_HOST_H

#include <stddef.h>
#include <stdint.h>

/* A byte has arrived at the test when its `out` instruction is done. */
void say(const char* text);
void say_number(uint64_t number);

/* Reads a file of fw_cfg, cut to `room`; returns its length, 0 when there is none. */
size_t read_file(const char* name, void* buffer, size_t room);

#endif
