/*
 * Attempts to unseal: how soon who may try again. Guessing is slowed down, and whoever guesses does not keep the others
 * out:
 *
 *   - after a wrong passphrase its identity waits, twice as long each time, TRIES_FIRST_MS to TRIES_LONGEST_MS;
 *   - between any two attempts there are TRIES_PAUSE_MS, which bounds all together; who has not failed lately meets
 * that alone.
 *
 * What is remembered is bounded; the oldest failure is forgotten for a new one. Times are ks_monotonic_ms.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRIES_MOST = 256,
    TRIES_PAUSE_MS = 250,
    TRIES_FIRST_MS = 1000,
    TRIES_LONGEST_MS = 60000,
    TRIES_FORGET_MS = 600000
};

struct tries {
    int64_t next_ms; /* for all */
    size_t n;
    struct {
        uint8_t fingerprint[32];
        int64_t failed_ms, wait_ms;
    } v[TRIES_MOST];
};

bool tries_may(const struct tries *tries, const uint8_t fingerprint[32], int64_t now_ms);
/* After an attempt. */
void tries_made(struct tries *tries, const uint8_t fingerprint[32], bool wrong, int64_t now_ms);
