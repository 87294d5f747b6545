/* Clients, enrolment tokens and the certificate authority: in memory, and as rows of STORE_SYSTEM. */
#include "server/engine/client.h"

#include <stdlib.h>

#include "base/text.h"
#include "server/engine/ctx.h"
#include "server/engine/leniency.h"

enum { SYSTEM_FORMAT = 1, SYSTEM_MAX = 1 << 20, FIRST_SLOTS = 64 };

int
clients_init(struct clients *clients)
{
    *clients = (struct clients){.ca = KS_BUF(SYSTEM_MAX)};
    clients->last = &clients->first;
    clients->by_fingerprint = calloc(FIRST_SLOTS, sizeof(struct client *));
    if (clients->by_fingerprint == NULL)
        return KS_E_NOMEM;
    clients->n_slots = FIRST_SLOTS;
    return 0;
}

static void
token_free(struct token *token)
{
    free(token->client);
    free(token);
}

void
clients_done(struct clients *clients)
{
    for (struct client *c = clients->first; c != NULL;) {
        struct client *next = c->next;
        free(c->name);
        free(c->listener);
        free(c);
        c = next;
    }
    for (struct token *t = clients->tokens; t != NULL;) {
        struct token *next = t->next;
        token_free(t);
        t = next;
    }
    free(clients->by_fingerprint);
    ks_buf_done(&clients->ca);
    *clients = (struct clients){0};
}

struct client *
clients_find(const struct clients *clients, struct ks_span name)
{
    for (struct client *c = clients->first; c != NULL; c = c->next)
        if (ks_span_is(name, c->name))
            return c;
    return NULL;
}

static bool
has_fingerprint(const struct client *c, const uint8_t fingerprint[32])
{
    return memcmp(c->fingerprint, fingerprint, 32) == 0 ||
           (c->renewing && memcmp(c->next_fingerprint, fingerprint, 32) == 0);
}

static size_t
slot_of(const struct clients *clients, const uint8_t fingerprint[32])
{
    size_t i = ks_be32(fingerprint) & (clients->n_slots - 1);
    while (clients->by_fingerprint[i] != NULL && !has_fingerprint(clients->by_fingerprint[i], fingerprint))
        i = (i + 1) & (clients->n_slots - 1);
    return i;
}

struct client *
clients_by_fingerprint(const struct clients *clients, const uint8_t fingerprint[32])
{
    return clients->n_slots != 0 ? clients->by_fingerprint[slot_of(clients, fingerprint)] : NULL;
}

/* The table anew, half empty at least: two certificates of each client may be in it. A fingerprint that a client had
 * before is not in it. */
static void
fill_slots(struct clients *clients)
{
    memset(clients->by_fingerprint, 0, clients->n_slots * sizeof(struct client *));
    for (struct client *c = clients->first; c != NULL; c = c->next) {
        clients->by_fingerprint[slot_of(clients, c->fingerprint)] = c;
        if (c->renewing)
            clients->by_fingerprint[slot_of(clients, c->next_fingerprint)] = c;
    }
}

int
clients_index(struct clients *clients)
{
    if (4 * (clients->n + 1) <= clients->n_slots)
        return 0;
    struct client **slots = calloc(clients->n_slots * 2, sizeof(struct client *));
    if (slots == NULL)
        return KS_E_NOMEM;
    free(clients->by_fingerprint);
    clients->by_fingerprint = slots;
    clients->n_slots *= 2;
    fill_slots(clients);
    return 0;
}

bool
client_name_valid(struct ks_span name)
{
    if (name.len == 0 || name.len > CLIENT_NAME_MAX || name.data[0] == ' ' || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.' || c == '@' || c == ' '))
            return false;
    }
    return true;
}

static const struct {
    enum identity_role role;
    const char *name;
} roles[] = {
    {IDENTITY_CLIENT, "client"}, {IDENTITY_ADMIN, "admin"}, {IDENTITY_SYSTEM, "system"}, {IDENTITY_NOBODY, "nobody"}};

const char *
role_name(enum identity_role role)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(roles); i++)
        if (roles[i].role == role)
            return roles[i].name;
    return "nobody";
}

bool
role_find(struct ks_span name, enum identity_role *ret)
{
    for (size_t i = 0; i < 2; i++)
        if (ks_span_is(name, roles[i].name)) {
            *ret = roles[i].role;
            return true;
        }
    return false;
}

static void
take_facts(struct client *c, const struct engine_client *from)
{
    c->role = from->role;
    memcpy(c->fingerprint, from->fingerprint, sizeof(c->fingerprint));
    c->not_after = from->not_after;
    c->leniency = from->leniency;
    c->renewing = from->renewing;
    memcpy(c->next_fingerprint, from->next_fingerprint, sizeof(c->next_fingerprint));
    c->next_not_after = from->next_not_after;
}

int
clients_put(struct clients *clients, const struct engine_client *from, bool revoked)
{
    KS_TRY(clients_index(clients));
    struct client *c = clients_find(clients, from->name);
    if (c == NULL) {
        c = calloc(1, sizeof(*c));
        char *name = strndup((const char *)from->name.data, from->name.len);
        if (c == NULL || name == NULL) {
            free(c);
            free(name);
            return KS_E_NOMEM;
        }
        c->name = name;
        *clients->last = c;
        clients->last = &c->next;
        clients->n++;
    }
    c->revoked = revoked;
    take_facts(c, from);
    fill_slots(clients);
    return 0;
}

struct engine_client
client_facts(const struct client *client)
{
    struct engine_client facts = {.name = ks_span_str(client->name),
                                  .role = client->role,
                                  .not_after = client->not_after,
                                  .leniency = client->leniency,
                                  .renewing = client->renewing,
                                  .next_not_after = client->next_not_after};
    memcpy(facts.fingerprint, client->fingerprint, sizeof(facts.fingerprint));
    memcpy(facts.next_fingerprint, client->next_fingerprint, sizeof(facts.next_fingerprint));
    return facts;
}

struct changed {
    struct client *client;
    struct engine_client before;
};

static void
undo_change(struct engine *engine, void *arg)
{
    const struct changed *c = arg;
    take_facts(c->client, &c->before);
    fill_slots(&engine->clients);
}

int
client_change(struct ctx *ctx, struct client *client, const struct engine_client *to)
{
    struct store_change row;
    struct changed *changed = CTX_NEW(ctx, struct changed);
    if (changed == NULL)
        return KS_E_NOMEM;
    *changed = (struct changed){client, client_facts(client)};
    KS_TRY(client_row(ctx->engine->keyring, ctx->arena, to, client->revoked, &row));
    KS_TRY(tx_row(ctx, &row));
    KS_TRY(tx_hook(ctx, undo_change, NULL, changed));
    take_facts(client, to);
    fill_slots(&ctx->engine->clients);
    return 0;
}

int
client_renewed(struct ctx *ctx)
{
    struct client *client = ctx->client;
    if (client == NULL || memcmp(client->fingerprint, ctx->who->fingerprint, sizeof(client->fingerprint)) == 0)
        return 0;
    if (client->revoked || client->next_not_after <= ctx->now) {
        ctx->client = NULL;
        return 0;
    }
    struct engine_client facts = client_facts(client);
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return KS_E_NOMEM;
    memcpy(facts.fingerprint, client->next_fingerprint, sizeof(facts.fingerprint));
    facts.not_after = client->next_not_after;
    facts.renewing = false;
    record->event.event = KS_LIT("certificate-renewed");
    record->event.who = ctx->who;
    record->event.client = ks_span_str(client->name);
    record->event.role = role_name(client->role);
    record->event.status = "success";
    record->event.message = KS_LIT("the certificate that it replaces is not accepted any more");
    return client_change(ctx, client, &facts);
}

/* Rows */

static int
context_of(struct ks_span key, struct ks_buf *ret)
{
    ks_buf_add_str(ret, "system");
    return ks_buf_add_span(ret, key);
}

static int
make_row(struct keyring *keyring, struct ks_arena *arena, const char *prefix, struct ks_span name, struct ks_span plain,
         struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(256);
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(300);
    KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(SYSTEM_MAX);
    ks_buf_add_str(&key, prefix);
    KS_TRY(ks_buf_add_span(&key, name));
    KS_TRY(context_of(ks_buf_span(&key), &aad));
    KS_TRY(keyring_seal(keyring, KEYRING_METADATA, ks_buf_span(&aad), plain, &sealed));
    struct store_change change = {.table = STORE_SYSTEM};
    KS_TRY(ks_arena_span(arena, ks_buf_span(&key), &change.key));
    KS_TRY(ks_arena_span(arena, ks_buf_span(&sealed), &change.value));
    *ret = change;
    return 0;
}

int
system_row(struct keyring *keyring, struct ks_arena *arena, const char *key, struct ks_span plain,
           struct store_change *ret)
{
    return make_row(keyring, arena, key, KS_SPAN_NONE, plain, ret);
}

int
system_row_open(struct keyring *keyring, struct ks_span key, struct ks_span sealed, struct ks_buf *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(300);
    KS_TRY(context_of(key, &aad));
    return keyring_open_sealed(keyring, KEYRING_METADATA, ks_buf_span(&aad), sealed, ret);
}

static void
put_span(struct ks_buf *buf, struct ks_span s)
{
    ks_buf_add_be32(buf, (uint32_t)s.len);
    ks_buf_add_span(buf, s);
}

static struct ks_span
get_span(struct ks_cursor *c)
{
    const uint32_t len = ks_cursor_be32(c);
    return ks_cursor_take(c, len);
}

/* By name at the end of a row; one without any has none, as all had before there were any. */
static int
put_leniency(struct ks_arena *arena, struct ks_buf *plain, uint32_t set)
{
    struct ks_span list;
    KS_TRY(leniency_list(arena, set, &list));
    if (list.len != 0)
        put_span(plain, list);
    return plain->err;
}

static int
get_leniency(struct ks_cursor *c, uint32_t *ret)
{
    if (ks_cursor_left(c) == 0)
        return c->err;
    const struct ks_span list = get_span(c);
    return c->err != 0 ? c->err : leniency_find(list, ret);
}

int
client_row(struct keyring *keyring, struct ks_arena *arena, const struct engine_client *client, bool revoked,
           struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(1024);
    ks_buf_add_u8(&plain, SYSTEM_FORMAT);
    put_span(&plain, client->name);
    ks_buf_add_u8(&plain, (uint8_t)client->role);
    ks_buf_add(&plain, client->fingerprint, sizeof(client->fingerprint));
    ks_buf_add_be64(&plain, (uint64_t)client->not_after);
    KS_TRY(ks_buf_add_u8(&plain, revoked));
    if (!client->renewing) {
        KS_TRY(put_leniency(arena, &plain, client->leniency));
    } else {
        struct ks_span list;
        KS_TRY(leniency_list(arena, client->leniency, &list));
        put_span(&plain, list);
        ks_buf_add(&plain, client->next_fingerprint, sizeof(client->next_fingerprint));
        KS_TRY(ks_buf_add_be64(&plain, (uint64_t)client->next_not_after));
    }
    return make_row(keyring, arena, "client/", client->name, ks_buf_span(&plain), ret);
}

static int
token_key(const struct token *token, struct ks_buf *ret)
{
    return ks_hex_add(ret, token->id, sizeof(token->id));
}

int
token_row(struct keyring *keyring, struct ks_arena *arena, const struct token *token, struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(1024);
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(64);
    ks_buf_add_u8(&plain, SYSTEM_FORMAT);
    ks_buf_add(&plain, token->id, sizeof(token->id));
    ks_buf_add(&plain, token->mac, sizeof(token->mac));
    ks_buf_add_be64(&plain, (uint64_t)token->expires);
    ks_buf_add_u8(&plain, (uint8_t)token->role);
    put_span(&plain, ks_span_str(token->client));
    KS_TRY(plain.err);
    KS_TRY(put_leniency(arena, &plain, token->leniency));
    KS_TRY(token_key(token, &key));
    return make_row(keyring, arena, "token/", ks_buf_span(&key), ks_buf_span(&plain), ret);
}

int
token_gone(struct ks_arena *arena, const struct token *token, struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(64);
    ks_buf_add_str(&key, "token/");
    KS_TRY(token_key(token, &key));
    struct store_change change = {.table = STORE_SYSTEM, .is_delete = true};
    KS_TRY(ks_arena_span(arena, ks_buf_span(&key), &change.key));
    *ret = change;
    return 0;
}

int
ca_row(struct keyring *keyring, struct ks_arena *arena, struct ks_span cert, struct ks_span key,
       struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(SYSTEM_MAX);
    ks_buf_add_u8(&plain, SYSTEM_FORMAT);
    put_span(&plain, cert);
    put_span(&plain, key);
    KS_TRY(plain.err);
    return make_row(keyring, arena, "ca", KS_SPAN_NONE, ks_buf_span(&plain), ret);
}

int
ca_open(struct keyring *keyring, struct ks_span sealed, struct ks_buf *plain, struct ks_span *ret_cert,
        struct ks_span *ret_key)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(64);
    KS_TRY(context_of(KS_LIT("ca"), &aad));
    KS_TRY(keyring_open_sealed(keyring, KEYRING_METADATA, ks_buf_span(&aad), sealed, plain));
    struct ks_cursor c = KS_CURSOR(ks_buf_span(plain));
    if (ks_cursor_u8(&c) != SYSTEM_FORMAT)
        return KS_E_UNSUPPORTED;
    *ret_cert = get_span(&c);
    *ret_key = get_span(&c);
    return c.err;
}

static int
load_client(struct clients *clients, struct ks_span plain)
{
    struct ks_cursor c = KS_CURSOR(plain);
    struct engine_client client = {0};
    if (ks_cursor_u8(&c) != SYSTEM_FORMAT)
        return KS_E_UNSUPPORTED;
    client.name = get_span(&c);
    client.role = (enum identity_role)ks_cursor_u8(&c);
    const struct ks_span fingerprint = ks_cursor_take(&c, sizeof(client.fingerprint));
    client.not_after = (int64_t)ks_cursor_be64(&c);
    const bool revoked = ks_cursor_u8(&c) != 0;
    if (c.err != 0)
        return c.err;
    KS_TRY(get_leniency(&c, &client.leniency));
    client.renewing = ks_cursor_left(&c) != 0;
    if (client.renewing) {
        const struct ks_span next = ks_cursor_take(&c, sizeof(client.next_fingerprint));
        client.next_not_after = (int64_t)ks_cursor_be64(&c);
        KS_TRY(c.err);
        memcpy(client.next_fingerprint, next.data, sizeof(client.next_fingerprint));
    }
    memcpy(client.fingerprint, fingerprint.data, sizeof(client.fingerprint));
    return clients_put(clients, &client, revoked);
}

int
tokens_put(struct clients *clients, const struct token *from)
{
    struct token *token = malloc(sizeof(*token));
    char *name = strdup(from->client);
    if (token == NULL || name == NULL) {
        free(token);
        free(name);
        return KS_E_NOMEM;
    }
    *token = *from;
    token->client = name;
    token->next = clients->tokens;
    clients->tokens = token;
    clients->n_tokens++;
    return 0;
}

void
tokens_remove(struct clients *clients, struct token **at)
{
    struct token *token = *at;
    *at = token->next;
    clients->n_tokens--;
    token_free(token);
}

static int
load_token(struct clients *clients, struct ks_span plain)
{
    struct ks_cursor c = KS_CURSOR(plain);
    struct token token = {0};
    char client[CLIENT_NAME_MAX + 1] = "";
    if (ks_cursor_u8(&c) != SYSTEM_FORMAT)
        return KS_E_UNSUPPORTED;
    const struct ks_span id = ks_cursor_take(&c, sizeof(token.id)), mac = ks_cursor_take(&c, sizeof(token.mac));
    token.expires = (int64_t)ks_cursor_be64(&c);
    token.role = (enum identity_role)ks_cursor_u8(&c);
    const struct ks_span name = get_span(&c);
    if (c.err != 0 || name.len > CLIENT_NAME_MAX)
        return KS_E_MALFORMED;
    KS_TRY(get_leniency(&c, &token.leniency));
    memcpy(token.id, id.data, sizeof(token.id));
    memcpy(token.mac, mac.data, sizeof(token.mac));
    if (name.len != 0)
        memcpy(client, name.data, name.len);
    token.client = client;
    return tokens_put(clients, &token);
}

static bool
begins(struct ks_span s, const char *prefix)
{
    const size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.data, prefix, n) == 0;
}

int
clients_load(struct clients *clients, struct keyring *keyring, struct ks_span key, struct ks_span value,
             struct ks_diag *diag)
{
    const bool client = begins(key, "client/"), token = begins(key, "token/"), ca = ks_span_is(key, "ca");
    if (!client && !token && !ca)
        return 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(300);
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(SYSTEM_MAX);
    int rc = context_of(key, &aad);
    if (rc == 0)
        rc = keyring_open_sealed(keyring, KEYRING_METADATA, ks_buf_span(&aad), value, &plain);
    if (rc == 0 && client)
        rc = load_client(clients, ks_buf_span(&plain));
    if (rc == 0 && token)
        rc = load_token(clients, ks_buf_span(&plain));
    if (rc == 0 && ca)
        rc = ks_buf_add_span(&clients->ca, value); /* stays sealed until it signs */
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return ks_fail(diag, KS_E_CORRUPT,
                   "system row %.*s of the store is damaged or was changed (%s); restore the store from a "
                   "backup",
                   (int)(key.len & 127), (const char *)key.data, ks_err_text(rc));
}

int
clients_expire(struct ctx *ctx)
{
    struct clients *clients = &ctx->engine->clients;
    if (engine_sealed(ctx->engine))
        return 0;
    for (struct token **at = &clients->tokens; *at != NULL;) {
        struct token *token = *at;
        if (token->expires > ctx->now) {
            at = &token->next;
            continue;
        }
        struct store_change change;
        struct record *record = tx_record(ctx);
        char *name = ks_arena_dup(ctx->arena, token->client, strlen(token->client));
        if (record == NULL || name == NULL)
            return KS_E_NOMEM;
        KS_TRY(token_gone(ctx->arena, token, &change));
        KS_TRY(tx_row(ctx, &change));
        record->event.event = KS_LIT("token-expired");
        record->event.role = "system";
        record->event.name = ks_span_str(name);
        record->event.status = "success";
        tokens_remove(clients, at);
    }
    return 0;
}
