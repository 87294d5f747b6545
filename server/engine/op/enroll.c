/* Enrolment: tokens, certificates for clients, and the registry (Keystead's own operations). */
#include <stdlib.h>

#include "base/text.h"
#include "crypto/cert.h"
#include "server/engine/leniency.h"
#include "server/engine/op/enroll.h"

enum { SECRET = 32, ID = 8, PIN = 16, LONGEST_TOKEN_S = 30 * 86400 };

/* The CA's certificate and key, opened for one use. The buffer wipes them. */
static int
open_ca(struct ctx *ctx, struct ks_buf *plain, struct ks_span *ret_cert, struct ks_span *ret_key)
{
    const struct clients *clients = &ctx->engine->clients;
    if (clients->ca.len == 0)
        return engine_fail(ctx, COND_NO_SUCH_OPERATION,
                           "this server has no certificate authority: clients can not enroll");
    return ca_open(ctx->engine->keyring, ks_buf_span(&clients->ca), plain, ret_cert, ret_key);
}

static void
about_client(struct ctx *ctx, struct ks_span name)
{
    struct ks_span copy;
    if (ctx->record != NULL && ks_arena_span(ctx->arena, name, &copy) == 0)
        ctx->record->event.name = copy;
}

/* The secret is hashed under a key of the instance: the store alone does not let anyone enroll. */
static int
token_mac(struct ctx *ctx, const uint8_t id[ID], const uint8_t secret[SECRET], uint8_t ret[32])
{
    uint8_t text[6 + ID + SECRET] = "token";
    memcpy(text + 6, id, ID);
    memcpy(text + 6 + ID, secret, SECRET);
    const int rc = keyring_mac(ctx->engine->keyring, KEYRING_NAME, KS_SPAN(text, sizeof(text)), ret);
    ks_wipe(text, sizeof(text));
    return rc;
}

static int
token_text(struct ctx *ctx, const struct token *token, const uint8_t secret[SECRET], struct ks_span *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(1 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(512);
    struct ks_span cert, key;
    uint8_t fingerprint[32];
    KS_TRY(open_ca(ctx, &plain, &cert, &key));
    KS_TRY(ks_cert_fingerprint(cert, fingerprint));
    ks_buf_add_str(&text, "ks1-");
    ks_hex_add(&text, token->id, ID);
    ks_hex_add(&text, secret, SECRET);
    ks_buf_add_u8(&text, '-');
    KS_TRY(ks_hex_add(&text, fingerprint, PIN));
    return ks_arena_span(ctx->arena, ks_buf_span(&text), ret);
}

/* What the request asks for, checked, as a token that has no number and no secret yet. */
static int
wanted_token(struct ctx *ctx, const struct kmip_enroll_token_create_request *r, struct token *token)
{
    const struct clients *clients = &ctx->engine->clients;
    token->role = IDENTITY_CLIENT;
    if (!client_name_valid(r->client_name))
        return engine_fail(ctx, COND_BAD_FIELD, "a client's name has 1 to %d letters, digits, blanks or -_.@",
                           CLIENT_NAME_MAX);
    if (r->has_client_role && !role_find(r->client_role, &token->role))
        return engine_fail(ctx, COND_BAD_FIELD, "a role is \"client\" or \"admin\"");
    if (clients->n_tokens >= TOKEN_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there are %d tokens that wait to be used; let some expire",
                           TOKEN_MOST);
    const struct client *known = clients_find(clients, r->client_name);
    if (known != NULL && known->role != token->role)
        return engine_fail(ctx, COND_BAD_FIELD, "that client is registered with the role %s", role_name(known->role));
    const int64_t valid =
        r->has_validity_interval && r->validity_interval != 0 ? r->validity_interval : ctx->engine->config.token_s;
    if (valid > LONGEST_TOKEN_S)
        return engine_fail(ctx, COND_BAD_FIELD, "a token is valid for %d days at most", LONGEST_TOKEN_S / 86400);
    if (leniency_find(r->has_client_leniency ? r->client_leniency : KS_SPAN_NONE, &token->leniency) != 0)
        return engine_fail(ctx, COND_BAD_FIELD, "there is no such leniency; the manual lists those that there are");
    token->expires = ctx->now + valid;
    token->client = ks_arena_dup(ctx->arena, r->client_name.data, r->client_name.len);
    return token->client != NULL ? 0 : KS_E_NOMEM;
}

int
op_enroll_token_create(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_enroll_token_create_request *r = request;
    struct store_change change;
    struct token token = {0};
    KS_KEY32 secret;
    OP_RESPONSE(ctx, kmip_enroll_token_create_response, response);
    about_client(ctx, r->client_name);
    KS_TRY(wanted_token(ctx, r, &token));
    KS_TRY(engine_random(ctx->engine, token.id, ID));
    KS_TRY(engine_random(ctx->engine, secret.b, SECRET));
    KS_TRY(token_mac(ctx, token.id, secret.b, token.mac));
    KS_TRY(token_text(ctx, &token, secret.b, &response->enrollment_token));
    KS_TRY(token_row(ctx->engine->keyring, ctx->arena, &token, &change));
    KS_TRY(tx_row(ctx, &change));
    KS_TRY(tokens_put(&ctx->engine->clients, &token));
    response->token_expiry_date = token.expires;
    *ret_response = response;
    return 0;
}

/* Reads "ks1-<id and secret>-<fingerprint>"; the fingerprint is for the client. */
static bool
read_token(struct ks_span text, uint8_t id[ID], uint8_t secret[SECRET])
{
    enum { AT_ID = 4, AT_PIN = AT_ID + 2 * (ID + SECRET) + 1, LEN = AT_PIN + 2 * PIN };
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(ID + SECRET);
    if (text.len != LEN || memcmp(text.data, "ks1-", 4) != 0 || text.data[AT_PIN - 1] != '-')
        return false;
    if (ks_hex_decode(KS_SPAN(text.data + AT_ID, 2 * (size_t)(ID + SECRET)), &bytes) != 0 || bytes.len != ID + SECRET)
        return false;
    memcpy(id, bytes.data, ID);
    memcpy(secret, bytes.data + ID, SECRET);
    return true;
}

/* One answer for whatever is wrong with a token. */
static int
find_token(struct ctx *ctx, struct ks_span text, struct token ***ret)
{
    uint8_t id[ID], mac[32];
    KS_KEY32 secret;
    struct token **at = &ctx->engine->clients.tokens;
    if (read_token(text, id, secret.b)) {
        KS_TRY(token_mac(ctx, id, secret.b, mac));
        while (*at != NULL && memcmp((*at)->id, id, ID) != 0)
            at = &(*at)->next;
        if (*at != NULL && (*at)->expires > ctx->now && ks_equal_secret((*at)->mac, mac, sizeof(mac))) {
            *ret = at;
            return 0;
        }
    }
    return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                       "the enrolment token is unknown, used or expired; ask the administrator for another");
}

int
enroll_issue(struct ctx *ctx, const char *name, const struct ks_pkey *subject, struct ks_span *ret,
             struct ks_span *ret_ca)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(1 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf issued = KS_BUF(1 << 16);
    KS_PKEY *ca_key = NULL;
    struct ks_span cert, key;
    KS_TRY(open_ca(ctx, &plain, &cert, &key));
    KS_TRY(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_8, true, 0, 0, key, &ca_key, NULL));
    const struct ks_cert_spec spec = {
        .common_name = name,
        .not_before = ctx->now - 300, /* the other machine's clock may be behind */
        .not_after = ctx->now + ctx->engine->config.certificate_s,
        .client_auth = true,
    };
    const int rc = ks_cert_issue(cert, ca_key, subject, &spec, &issued, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail(ctx, COND_CRYPTOGRAPHY, "the certificate can not be issued");
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&issued), ret));
    return ks_arena_span(ctx->arena, cert, ret_ca);
}

int
enroll_authority(struct ctx *ctx, struct ks_span *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(1 << 20);
    struct ks_span cert, key;
    KS_TRY(open_ca(ctx, &plain, &cert, &key));
    return ks_arena_span(ctx->arena, cert, ret);
}

static int
issue(struct ctx *ctx, const char *name, struct ks_span request, struct ks_span *ret, struct ks_span *ret_ca)
{
    KS_PKEY *subject = NULL;
    const int rc = ks_cert_request_key(request, &subject, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM
                   ? rc
                   : engine_fail(ctx, COND_BAD_REQUEST_OF_CERTIFICATE, "the certificate request is not sound");
    return enroll_issue(ctx, name, subject, ret, ret_ca);
}

int
op_enroll(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_enroll_request *r = request;
    struct clients *clients = &ctx->engine->clients;
    struct engine_client client = {0};
    struct store_change rows[2];
    struct token **at;
    OP_RESPONSE(ctx, kmip_enroll_response, response);
    if (engine_sealed(ctx->engine))
        return engine_fail(ctx, COND_SEALED, "the server is sealed; an administrator has to unseal it");
    KS_TRY(find_token(ctx, r->enrollment_token, &at));
    struct token *token = *at;
    about_client(ctx, ks_span_str(token->client));
    if (clients->n >= CLIENT_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there are %d clients already", CLIENT_MOST);
    KS_TRY(issue(ctx, token->client, r->certificate_signing_request, &response->issued_certificate,
                 &response->ca_certificate));
    KS_TRY(ks_arena_span(ctx->arena, ks_span_str(token->client), &client.name));
    client.role = token->role;
    client.leniency = token->leniency;
    client.not_after = ctx->now + ctx->engine->config.certificate_s;
    KS_TRY(ks_cert_fingerprint(response->issued_certificate, client.fingerprint));
    KS_TRY(client_row(ctx->engine->keyring, ctx->arena, &client, false, &rows[0]));
    KS_TRY(token_gone(ctx->arena, token, &rows[1]));
    KS_TRY(tx_row(ctx, &rows[0]));
    KS_TRY(tx_row(ctx, &rows[1]));
    KS_TRY(clients_put(clients, &client, false));
    tokens_remove(clients, at);
    response->client_name = client.name;
    *ret_response = response;
    return 0;
}

int
op_client_list(struct ctx *ctx, const void *request, void **ret_response)
{
    (void)request;
    const struct clients *clients = &ctx->engine->clients;
    OP_RESPONSE(ctx, kmip_client_list_response, response);
    response->client_entry = ks_arena_array(ctx->arena, clients->n, sizeof(void *));
    if (response->client_entry == NULL)
        return KS_E_NOMEM;
    for (const struct client *c = clients->first; c != NULL; c = c->next) {
        struct kmip_client_entry *e = CTX_NEW(ctx, struct kmip_client_entry);
        KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(128);
        if (e == NULL)
            return KS_E_NOMEM;
        KS_TRY(ks_hex_add(&hex, c->fingerprint, sizeof(c->fingerprint)));
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&hex), &e->certificate_fingerprint));
        e->client_name = ks_span_str(c->name);
        e->client_role = ks_span_str(role_name(c->role));
        e->certificate_expiry_date = c->not_after;
        e->certificate_revoked = c->revoked;
        KS_TRY(leniency_list(ctx->arena, c->leniency, &e->client_leniency));
        e->has_client_leniency = e->client_leniency.len != 0;
        response->client_entry[response->n_client_entry++] = e;
    }
    *ret_response = response;
    return 0;
}

static size_t
other_admins(const struct clients *clients, const struct client *but)
{
    size_t n = 0;
    for (const struct client *c = clients->first; c != NULL; c = c->next)
        n += c != but && c->role == IDENTITY_ADMIN && !c->revoked;
    return n;
}

int
op_client_revoke(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_client_revoke_request *r = request;
    struct clients *clients = &ctx->engine->clients;
    struct store_change change;
    OP_RESPONSE(ctx, kmip_client_revoke_response, response);
    about_client(ctx, r->client_name);
    struct client *client = clients_find(clients, r->client_name);
    if (client == NULL)
        return engine_fail(ctx, COND_UNKNOWN_OBJECT, "there is no client of that name");
    if (client->role == IDENTITY_ADMIN && other_admins(clients, client) == 0)
        return engine_fail(ctx, COND_NOT_PERMITTED, "the last administrator can not be revoked; enroll another first");
    struct engine_client row = client_facts(client);
    KS_TRY(client_row(ctx->engine->keyring, ctx->arena, &row, true, &change));
    KS_TRY(tx_row(ctx, &change));
    client->revoked = true;
    response->client_name = ks_span_str(client->name);
    *ret_response = response;
    return 0;
}
