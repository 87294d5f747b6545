/* From sealed to open: root key, store, keyring, audit trail, engine. */
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "server/audit/line.h"
#include "server/vault/internal.h"
#include "server/vault/rootkey.h"

static int
path_of(const struct vault *v, const char *name, struct ks_buf *ret, struct ks_diag *diag)
{
    const int rc = server_config_path(v->config, name, ret);
    return rc != 0 ? ks_fail(diag, rc, "%s: %s", name, ks_err_text(rc)) : 0;
}

static int
root_key(const struct vault *v, struct ks_span passphrase, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_TRY(path_of(v, v->config->root_key_path, &path, diag));
    const char *file = (const char *)path.data;
    if (strcmp(v->config->root_key_kind, "passphrase") == 0) {
        if (passphrase.len == 0)
            return ks_fail(diag, KS_E_SEALED, "no passphrase was given; give it with: keystead unseal --dir %s",
                           v->config->dir);
        return rootkey_passphrase_derive(file, passphrase, ret, diag);
    }
    struct ks_diag missing = {0};
    const int rc = rootkey_file_read(file, ret, &missing);
    if (rc == KS_E_NOT_FOUND)
        return ks_fail(diag, KS_E_SEALED, "the root key %s is missing; put it back and start again", file);
    return rc != 0 ? ks_fail(diag, rc, "%s", ks_diag_text(&missing)) : 0;
}

static void
undo(struct vault *v)
{
    engine_seal(v->engine);
    committer_free(v->committer);
    keyring_free(v->keyring);
    store_close(v->store);
    v->committer = NULL;
    v->keyring = NULL;
    v->store = NULL;
}

/* A crash may have come when they were in the trail, or some of them, and their file was not yet removed. */
static int
skip_taken(struct vault *v, struct ks_span **records, size_t *n, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf last = KS_BUF(AUDIT_LINE_MAX);
    if (*n == 0)
        return 0;
    KS_TRY(committer_last_record(v->committer, &last, diag));
    sealed_log_skip(ks_buf_span(&last), records, n);
    return 0;
}

/* What happened while the server was sealed goes into the trail first. */
static int
take_over(struct vault *v, const char *audit_dir, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(SEALED_LOG_MAX), more = KS_BUF(1024);
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(SEALED_LOG_MAX);
    struct ks_span *records;
    size_t n;
    KS_TRY(sealed_log_read(audit_dir, &text, &arena, &records, &n, diag));
    KS_TRY(skip_taken(v, &records, &n, diag));
    if (v->sealed.unlisted != 0) {
        char message[120];
        (void)snprintf(message, sizeof(message), "%llu more requests while the server was sealed are not listed",
                       (unsigned long long)v->sealed.unlisted);
        const struct audit_event e = {.event = KS_LIT("sealed"),
                                      .role = "system",
                                      .batch_item = -1,
                                      .status = "failed",
                                      .message = ks_span_str(message)};
        const int made = audit_event_format(&e, &more);
        if (made != 0)
            return ks_fail(diag, made, "%s", ks_err_text(made));
        /* There is room for one more. It comes first: skip_taken looks for the end of the others. */
        memmove(records + 1, records, n * sizeof(*records));
        records[0] = ks_buf_span(&more);
        n++;
    }
    const int rc = n != 0 ? vault_commit_records(v, records, n) : 0;
    if (rc != 0)
        return ks_fail(diag, rc, "what happened while sealed cannot be put on record in the audit trail: %s",
                       ks_err_text(rc));
    return sealed_log_remove(&v->sealed, audit_dir, diag);
}

static int
open_all(struct vault *v, struct ks_span passphrase, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf store = KS_BUF(8192), audit = KS_BUF(8192);
    KS_KEY32 root;
    KS_TRY(path_of(v, v->config->store_path, &store, diag));
    KS_TRY(path_of(v, v->config->store_audit, &audit, diag));
    KS_TRY(root_key(v, passphrase, &root, diag));
    KS_TRY(store_open((const char *)store.data, &v->store, diag));
    KS_TRY(keyring_open(v->store, &root, &v->keyring, diag));
    KS_TRY(committer_new(v->store, v->keyring, (const char *)audit.data, &v->committer, diag));
    const uint64_t hole = committer_hole(v->committer);
    if (hole != 0)
        ks_log_warning("%s: a power failure left a hole in the last file; %llu bytes behind it, which were never "
                       "acknowledged, are cut off",
                       (const char *)audit.data, (unsigned long long)hole);
    committer_audit_sync(v->committer, strcmp(v->config->store_audit_sync, "each") == 0);
    KS_TRY(take_over(v, (const char *)audit.data, diag));
    return engine_load(v->engine, v->keyring, v->store, diag);
}

int
unlock(struct vault *v, struct ks_span passphrase, struct ks_diag *diag)
{
    const int rc = open_all(v, passphrase, diag);
    if (rc != 0) {
        undo(v);
        return rc;
    }
    v->state = VAULT_OPEN;
    return 0;
}

int
vault_unseal(void *arg, const struct identity *who, struct ks_span passphrase)
{
    struct vault *v = arg;
    struct ks_diag diag = {0};
    const int64_t now = ks_monotonic_ms();
    if (v->state != VAULT_SEALED)
        return KS_E_INVALID;
    if (!tries_may(&v->tries, who->fingerprint, now))
        return KS_E_BUSY;
    const int rc = unlock(v, passphrase, &diag);
    tries_made(&v->tries, who->fingerprint, rc != 0, ks_monotonic_ms());
    if (rc == 0) {
        ks_log_notice("unsealed");
        return 0;
    }
    ks_log_warning("an attempt to unseal failed: %s", ks_diag_text(&diag));
    return rc == KS_E_INTEGRITY ? KS_E_DENIED : rc;
}
