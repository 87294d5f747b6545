/* What the commands about keys have in common. */
#pragma once

#include "cli/cli.h"
#include "cli/words.h"

#define KEY_HINT "KEY is a name or an identifier."

/* The identifier that args[i] means. */
int key_find(struct cli *cli, size_t i, char ret_uid[KS_UID_SIZE]) KS_MUST_CHECK;

/* The object that args[0] means, for commands that change it: people are told its name and its identifier. */
struct key_ref {
    char uid[KS_UID_SIZE];
    char *name;         /* NULL: none */
    struct ks_buf text; /* "invoices (0193...)", a string */
};
#define KEY_REF                                                                                                        \
    {                                                                                                                  \
        "", NULL, KS_BUF(65536)                                                                                        \
    }
void key_ref_done(struct key_ref *ref);
int key_find_ref(struct cli *cli, struct key_ref *ref) KS_MUST_CHECK;

/* Asks, unless --yes is given: the text of the object stands between the two. */
int key_confirm(struct cli *cli, const struct key_ref *ref, const char *before, const char *after) KS_MUST_CHECK;

/* An option whose value is a word of a set; fallback where not given. KS_E_INVALID lists what there is. */
int key_word(struct cli *cli, const char *option, enum words_set set, uint32_t fallback, uint32_t *ret) KS_MUST_CHECK;
int key_mask(struct cli *cli, const char *option, uint32_t fallback, uint32_t *ret) KS_MUST_CHECK;

/* The Cryptographic Algorithm of an object: not every server finds it out by itself. 0: not said. */
int key_algorithm(struct cli *cli, const char *uid, uint32_t *ret) KS_MUST_CHECK;

/* How to sign with a key, or make its MAC, by --hash, --pss and --cmac. */
int key_signature(struct cli *cli, const char *uid, struct ks_crypto_params *ret) KS_MUST_CHECK;
int key_mac_params(struct cli *cli, const char *uid, struct ks_crypto_params *ret) KS_MUST_CHECK;

/* "Created invoices (0193...)", or {"identifier": ..., "name": ...}; name NULL: it has none. */
void key_text(struct ks_buf *ret, const char *uid, const char *name);
int key_report(struct cli *cli, const char *done, const char *uid, const char *name) KS_MUST_CHECK;
