/*
 * Memory and disks that fail, for fuzz_ops.c: allocations of this project's own code (by the linker's --wrap), and the
 * calls by which SQLite writes and syncs, which this program defines before the C library does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The n-th allocation from now on fails (from 1), and with `lasting` all behind it; 0: none. */
void faults_memory(uint32_t n, bool lasting);
void faults_memory_end(void);
/* Whether one has failed since faults_memory. */
bool faults_memory_hit(void);

enum disk_fault { DISK_WELL, DISK_FULL, DISK_HALF_WRITTEN, DISK_NO_SYNC, DISK_FAULTS };
/* The n-th write or sync from now on fails, and all behind it; DISK_WELL: none. */
void faults_disk(enum disk_fault fault, uint32_t n);
