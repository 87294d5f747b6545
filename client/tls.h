/*
 * TLS on a connected, non-blocking socket: the only file of the client that calls libssl.
 *
 * Verifies always: the chain to the configured CA (or, in enrolment, to the CA whose fingerprint is known) and the host
 * name or address. TLS 1.2 at least.
 */
#pragma once

#include "base/mem.h"
#include "client/config.h"
#include "client/wait.h"

/* What connections have in common. May be shared by threads. */
struct tls_context;

/* From the files that config names. KS_E_CONFIG, KS_E_DENIED, KS_E_IO, KS_E_TLS, KS_E_NOMEM. */
int tls_context_new(const struct ks_client_config *config, struct tls_context **ret,
                    struct ks_error *error) KS_MUST_CHECK;

/* For enrolment: no certificate of our own; trusted is the CA whose certificate's SHA-256 begins with these bytes. */
enum { TLS_CA_PIN_LEN = 16 };
int tls_context_new_enroll(const uint8_t ca_pin[TLS_CA_PIN_LEN], struct tls_context **ret,
                           struct ks_error *error) KS_MUST_CHECK;
void tls_context_free(struct tls_context *context); /* accepts NULL */
/* Whether it is the fingerprint of that certificate. */
bool tls_pin_fits(const uint8_t ca_pin[TLS_CA_PIN_LEN], struct ks_span der);

struct tls;

/* Handshake. fd stays the caller's. KS_E_TLS, KS_E_TIMEOUT, KS_E_CANCELLED, KS_E_CLOSED, KS_E_NOMEM. */
int tls_connect(struct tls_context *context, int fd, const char *host, const struct client_wait *wait, struct tls **ret,
                struct ks_error *error) KS_MUST_CHECK;

/* Says goodbye if that needs no waiting. Accepts NULL. */
void tls_free(struct tls *tls);

/*
 * Writes all. ret_all_sent is true if the last byte was handed to the kernel: until then the peer cannot have the
 * whole message. KS_E_TIMEOUT, KS_E_CANCELLED, KS_E_CLOSED, KS_E_TLS.
 */
int tls_write(struct tls *tls, struct ks_span data, const struct client_wait *wait, bool *ret_all_sent,
              struct ks_error *error) KS_MUST_CHECK;

/*
 * Reads 1 to len bytes. KS_E_CLOSED: the peer closed or broke the connection. KS_E_TLS: it refused us by an alert
 * (of TLS 1.3, where a client learns only now that its certificate was not taken) or sent what is not TLS.
 */
int tls_read(struct tls *tls, void *data, size_t len, const struct client_wait *wait, size_t *ret_len,
             struct ks_error *error) KS_MUST_CHECK;

/* Whether the peer broke off with an alert that says that it does not take this client. */
bool tls_was_refused(const struct tls *tls);

/* Whether an idle connection can still be used: open, and nothing unasked for has come. Does not wait. */
bool tls_is_fresh(struct tls *tls);
