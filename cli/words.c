#include "cli/words.h"

#include <ctype.h>

#include <keystead/kmip.h>

/* Every value of every set, by the name of its set. */
struct row {
    const char *set;
    uint32_t value;
    const char *text;
};

static const struct row rows[] = {
#define KMIP_ENUM_SET(set, text)
#define KMIP_ENUM(set, name, value, text, xml, since, until) {#set, (value), (text)},
#define KMIP_MASK_SET(set, text)
#define KMIP_MASK(set, name, value, text, xml, since, until) {#set, (value), (text)},
#include <keystead/spec/enums.def>
#include <keystead/spec/masks.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK
};

static const char *const set_names[] = {
    [WORDS_CRYPTOGRAPHIC_ALGORITHM] = "CRYPTOGRAPHIC_ALGORITHM",
    [WORDS_CRYPTOGRAPHIC_USAGE_MASK] = "CRYPTOGRAPHIC_USAGE_MASK",
    [WORDS_BLOCK_CIPHER_MODE] = "BLOCK_CIPHER_MODE",
    [WORDS_DERIVATION_METHOD] = "DERIVATION_METHOD",
    [WORDS_HASHING_ALGORITHM] = "HASHING_ALGORITHM",
    [WORDS_KEY_FORMAT_TYPE] = "KEY_FORMAT_TYPE",
    [WORDS_OBJECT_TYPE] = "OBJECT_TYPE",
    [WORDS_PADDING_METHOD] = "PADDING_METHOD",
    [WORDS_RECOMMENDED_CURVE] = "RECOMMENDED_CURVE",
    [WORDS_REVOCATION_REASON_CODE] = "REVOCATION_REASON_CODE",
    [WORDS_SECRET_DATA_TYPE] = "SECRET_DATA_TYPE",
    [WORDS_STATE] = "STATE",
};

static bool
in_set(const struct row *row, enum words_set set)
{
    return strcmp(row->set, set_names[set]) == 0;
}

/* Which set the values of a tag are of: "NONE" for most. */
static const struct {
    uint32_t tag;
    const char *set;
} sets[] = {
#define KMIP_TAG(name, value, text, xml, set, since, until) {(value), #set},
#include <keystead/spec/tags.def>
#undef KMIP_TAG
};

/* Letters and digits alone count. */
static bool
same_word(const char *a, struct ks_span b)
{
    size_t i = 0;
    for (;; a++, i++) {
        while (*a != '\0' && !isalnum((unsigned char)*a))
            a++;
        while (i < b.len && !isalnum(b.data[i]))
            i++;
        if (*a == '\0' || i >= b.len)
            return *a == '\0' && i >= b.len;
        if (tolower((unsigned char)*a) != tolower(b.data[i]))
            return false;
    }
}

static int
find(enum words_set set, struct ks_span word, uint32_t *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if (in_set(&rows[i], set) && same_word(rows[i].text, word)) {
            *ret = rows[i].value;
            return 0;
        }
    }
    return KS_E_NOT_FOUND;
}

int
words_find(enum words_set set, const char *word, uint32_t *ret)
{
    return find(set, ks_span_str(word), ret);
}

bool
words_same(const char *name, struct ks_span word)
{
    return same_word(name, word);
}

int
words_find_of(uint32_t tag, struct ks_span word, uint32_t *ret)
{
    const char *set = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(sets) && set == NULL; i++)
        if (sets[i].tag == tag)
            set = sets[i].set;
    for (size_t i = 0; set != NULL && i < KS_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].set, set) == 0 && same_word(rows[i].text, word)) {
            *ret = rows[i].value;
            return 0;
        }
    }
    return KS_E_NOT_FOUND;
}

int
words_find_mask(enum words_set set, const char *list, uint32_t *ret, char ret_unknown[64])
{
    uint32_t mask = 0;
    for (;;) {
        const size_t len = strcspn(list, ",");
        uint32_t bit;
        if (find(set, KS_SPAN(list, len), &bit) != 0) {
            const size_t n = len < 63 ? len : 63;
            memcpy(ret_unknown, list, n);
            ret_unknown[n] = '\0';
            return KS_E_NOT_FOUND;
        }
        mask |= bit;
        if (list[len] == '\0')
            break;
        list += len + 1;
    }
    *ret = mask;
    return 0;
}

const char *
words_text(enum words_set set, uint32_t value)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (in_set(&rows[i], set) && rows[i].value == value)
            return rows[i].text;
    return NULL;
}

int
words_list(enum words_set set, const char *separator, struct ks_buf *ret)
{
    uint32_t last = 0;
    bool any = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if (!in_set(&rows[i], set) || (any && rows[i].value == last))
            continue; /* another spelling of the same value */
        if (any)
            (void)ks_buf_add_str(ret, separator);
        for (const char *p = rows[i].text; *p != '\0'; p++)
            (void)ks_buf_add_u8(ret, isalnum((unsigned char)*p) ? (uint8_t)tolower((unsigned char)*p) : '-');
        last = rows[i].value;
        any = true;
    }
    return ret->err;
}
