/* What the commands about keys have in common. */
#pragma once

#include "cli/cli.h"
#include "cli/words.h"

#define KEY_HINT "KEY is a name or an identifier."

/* The identifier that args[i] means. */
int key_find(struct cli *cli, size_t i, char ret_uid[KS_UID_SIZE]) KS_MUST_CHECK;

/* An option whose value is a word of a set; fallback where not given. KS_E_INVALID lists what there is. */
int key_word(struct cli *cli, const char *option, enum words_set set, uint32_t fallback, uint32_t *ret) KS_MUST_CHECK;
int key_mask(struct cli *cli, const char *option, uint32_t fallback, uint32_t *ret) KS_MUST_CHECK;

/* The Cryptographic Algorithm of an object: not every server finds it out by itself. 0: not said. */
int key_algorithm(struct cli *cli, const char *uid, uint32_t *ret) KS_MUST_CHECK;

/* "Created 0193...", or {"identifier": ..., "name": ...}. */
int key_report(struct cli *cli, const char *done, const char *uid, const char *name) KS_MUST_CHECK;
