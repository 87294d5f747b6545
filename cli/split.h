/* Finds the messages in an input that has one behind the other. */
#pragma once

#include "kmip/kmip.h"

/*
 * The message that begins at or behind *at, which moves behind it; an empty one at the end. Between texts blanks are
 * passed over, in XML also comments and the tags of an element <KMIP> around several messages. What is not sound is
 * handed out as it is: the reader says what is wrong with it. On failure *ret is where the offset in diag counts from.
 */
int split_next(enum kmip_encoding encoding, struct ks_span all, size_t *at, const struct kmip_limits *limits,
               struct ks_span *ret, struct ks_diag *diag) KS_MUST_CHECK;
