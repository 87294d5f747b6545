/*
 * The frames between net workers and the vault: a stream socket pair, many frames per system call.
 *
 *   u32 length of what follows (big-endian)   u8 type   u8 flags   u16 zero   u32 connection   u32 sequence   body
 *
 * A connection number is the net worker's own; sequence numbers count the requests of a connection. The vault trusts a
 * worker for nothing but what the worker was told by TLS: lengths and types are checked, a bad frame ends the worker.
 */
#pragma once

#include "base/mem.h"
#include "server/identity.h"

enum frame_type {
    FRAME_OPEN = 1,     /* net -> vault: a peer is authenticated (or anonymous, for enrolment); body: identity */
    FRAME_REQUEST = 2,  /* net -> vault: body is one TTLV message */
    FRAME_CLOSE = 3,    /* net -> vault: the peer is gone; what is under way for it is still finished and audited */
    FRAME_RESPONSE = 4, /* vault -> net: body is one TTLV message */
    FRAME_DROP = 5, /* vault -> net: close this connection once what is pending is written (revoked client, misuse) */
    FRAME_UNREADABLE = 6, /* net -> vault: instead of a request that is no KMIP message; body: frame_unreadable */
    FRAME_NOTICE = 7,     /* vault -> notifier: where to, whose certificate is expected there, one TTLV message */
    FRAME_NOTICED = 8,    /* notifier -> vault: what became of it (flags: enum notice_result); body: why, in text */
    FRAME_ASK = 9,        /* vault -> net: one TTLV request to a peer that serves (its connection was turned) */
    FRAME_ANSWER = 10,    /* net -> vault: what that peer answered, one TTLV message */
};

/* Flag of FRAME_RESPONSE: once it is written, the roles of the connection are turned (Set Endpoint Role). */
enum { FRAME_TURN = 1 };

/* What a peer whose connection was turned may answer: no answer that it is asked for is long. */
enum { FRAME_ANSWER_MAX = 65536 };

enum { FRAME_HEADER_LEN = 16, FRAME_BODY_MAX = (1 << 20) + 4096, FRAME_WHY_MAX = 256 };

struct frame {
    uint8_t type, flags;
    uint32_t connection, sequence;
    struct ks_span body;
};

int frame_add(struct ks_buf *buf, const struct frame *frame) KS_MUST_CHECK;
/* Takes one frame from the front of bytes: 0 and *ret_used > 0; *ret_used = 0: incomplete; KS_E_MALFORMED. */
int frame_take(struct ks_span bytes, struct frame *ret, size_t *ret_used) KS_MUST_CHECK;

/* The body of FRAME_UNREADABLE: a byte for the major version that the request says, one for the minor, and a text. */
struct frame_unreadable {
    int32_t major, minor; /* 0 and 0: it says none, or one that no version of KMIP has */
    struct ks_span why;   /* cut to FRAME_WHY_MAX bytes; into the body */
};
int frame_unreadable_encode(const struct frame_unreadable *what, struct ks_buf *buf) KS_MUST_CHECK;
int frame_unreadable_decode(struct ks_span body, struct frame_unreadable *ret) KS_MUST_CHECK;

enum notice_result { NOTICE_SENT = 1, NOTICE_REFUSED = 2 /* by the listener, in KMIP */, NOTICE_FAILED = 3 };

/* The body of FRAME_NOTICE. Spans of ret point into body. */
struct frame_notice {
    struct ks_span address;
    uint8_t fingerprint[32]; /* SHA-256 of the certificate that the listener has to show */
    struct ks_span message;
};
int frame_notice_encode(const struct frame_notice *notice, struct ks_buf *buf) KS_MUST_CHECK;
int frame_notice_decode(struct ks_span body, struct frame_notice *ret) KS_MUST_CHECK;

int identity_encode(const struct identity *who, struct ks_buf *buf) KS_MUST_CHECK;
/* Spans of ret point into body. */
int identity_decode(struct ks_span body, struct identity *ret) KS_MUST_CHECK;
