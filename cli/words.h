/*
 * Enumeration values as people type them: "AES", "aes", "key-compromise", "keycompromise" all mean what the
 * specification calls "AES" and "Key Compromise". Sets are those of keystead/spec/enums.def and masks.def.
 */
#pragma once

#include "base/mem.h"

enum words_set {
    WORDS_CRYPTOGRAPHIC_ALGORITHM,
    WORDS_CRYPTOGRAPHIC_USAGE_MASK,
    WORDS_BLOCK_CIPHER_MODE,
    WORDS_DERIVATION_METHOD,
    WORDS_HASHING_ALGORITHM,
    WORDS_KEY_FORMAT_TYPE,
    WORDS_OBJECT_TYPE,
    WORDS_PADDING_METHOD,
    WORDS_RECOMMENDED_CURVE,
    WORDS_REVOCATION_REASON_CODE,
    WORDS_SECRET_DATA_TYPE,
    WORDS_STATE,
};

/* KS_E_NOT_FOUND. */
int words_find(enum words_set set, const char *word, uint32_t *ret) KS_MUST_CHECK;
/* The same of the set that the values of a tag (KMIP_TAG_*) are of: names of mask bits too. */
int words_find_of(uint32_t tag, struct ks_span word, uint32_t *ret) KS_MUST_CHECK;
/* Whether the word means the name. */
bool words_same(const char *name, struct ks_span word);
/* A comma-separated list of mask bits. KS_E_NOT_FOUND; the word that is unknown goes to ret_unknown. */
int words_find_mask(enum words_set set, const char *list, uint32_t *ret, char ret_unknown[64]) KS_MUST_CHECK;
/* As in the specification; NULL: unknown. */
const char *words_text(enum words_set set, uint32_t value);
/* All words of a set as they may be typed ("key-compromise"), with a separator between them. */
int words_list(enum words_set set, const char *separator, struct ks_buf *ret) KS_MUST_CHECK;
