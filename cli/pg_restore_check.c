/* keystead pg restore-check: whether a backup can be decrypted, without restoring it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "cli/pg_backup.h"
#include "tde/crypt.h"
#include "tde/keys.h"
#include "tde/wrap_kmip.h"

enum { PAGE = 8192, PAGE_HEAD = 24, WAL_HEAD = 40, SECTOR = 512 };

struct slot_answer {
    char text[2 * TDE_TEXT];
    char state[256]; /* at the KMS; "": not asked */
    char why[512];   /* "": it opens the keyring */
    int code;
};

struct outcome {
    struct slot_answer slots[TDE_SLOTS_MAX];
    bool opened;
    uint32_t by;
    size_t pages, pages_good, wal, wal_good;
    char bad[600]; /* the first sample that did not decrypt */
};

static void
client_freep(struct ks_client **client)
{
    ks_client_free(*client);
}

static void
ask_state(const struct tde_slot *slot, struct slot_answer *ret)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    uint32_t state = 0;
    int rc = tde_kmip_connect(slot, 10000, &client, &diag);
    if (rc == 0)
        rc = tde_kmip_state(client, slot, &state, &diag);
    (void)snprintf(ret->state, sizeof(ret->state), "%.255s", rc == 0 ? tde_kmip_state_word(state) : diag.message);
}

/* A keyring out of a backup is a stranger's until it is verified: what it says is not run as this user. */
static bool
runs_a_command(const struct tde_slot *slot)
{
    return slot->provider == TDE_PROVIDER_KEY_COMMAND || slot->source == TDE_SOURCE_COMMAND;
}

/* Each wrap by itself: which of them a restore can count on. */
static void
try_slots(struct cli *cli, struct pg_ring *ring, struct outcome *o)
{
    const struct tde_how how = {.data = ring->data, .ask = isatty(STDIN_FILENO) != 0};
    for (size_t i = 0; i < ring->keyring->n_slots; i++) {
        const struct tde_slot *slot = &ring->keyring->slots[i];
        struct slot_answer *a = &o->slots[i];
        struct ks_diag diag = {0};
        KS_KEY32 key;
        tde_slot_text(slot, a->text);
        if (slot->provider == TDE_PROVIDER_KMIP)
            ask_state(slot, a);
        if (runs_a_command(slot) && !cli_flag(cli, "run-commands")) {
            a->code = KS_E_DENIED;
            (void)snprintf(a->why, sizeof(a->why), "it runs a command, which was not done: see --run-commands");
            continue;
        }
        a->code = tde_unwrap(ring->keyring, slot, &how, &key, &diag);
        if (a->code == 0)
            a->code = tde_keyring_open(ring->keyring, ks_buf_span(&ring->bytes), &key, &diag);
        if (a->code != 0) {
            (void)snprintf(a->why, sizeof(a->why), "%.511s", ks_diag_text(&diag));
            continue;
        }
        if (!o->opened || slot->primary == 1) {
            o->by = slot->id;
            ring->key = key;
        }
        o->opened = true;
    }
}

/* Bytes of a sample, decrypted: from a unit's start. */
static int
plain(struct cli *cli, const struct pg_backup_file *file, off_t offset, uint8_t *ret, size_t n)
{
    const struct tde_class_row *row = &tde_classes[file->what.class];
    const struct tde_shape shape = {row->unit, row->zero};
    struct tde_file_key *key = NULL;
    KS_TRY(pg_backup_read(cli, file, offset, ret, n));
    if (tde_file_key_get(file->what.class, file->what.identity, &key) != 0)
        return cli_fail(cli, KS_E_CRYPTO, "no key for %s", file->path);
    const int rc = tde_decrypt(tde_file_key_begin(key), &shape, (uint64_t)offset, ret, n);
    tde_file_key_end(key);
    tde_file_key_put(key);
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s cannot be decrypted", file->path);
}

static uint16_t
u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* A page's header (bufpage.h): where the parts of the page begin, and its size and layout. */
static bool
is_page(const uint8_t *page)
{
    const unsigned lower = u16(page + 12), upper = u16(page + 14), special = u16(page + 16), size = u16(page + 18);
    return lower >= PAGE_HEAD && lower <= upper && upper <= special && special <= PAGE && (size & 0xff00) == PAGE &&
           (size & 0xff) >= 4 && (size & 0xff) < 16;
}

static void
failed(struct outcome *o, const struct pg_backup_file *file, off_t offset)
{
    if (o->bad[0] == '\0')
        (void)snprintf(o->bad, sizeof(o->bad), "%.511s at byte %lld", file->path, (long long)offset);
}

static int
try_pages(struct cli *cli, const struct pg_backup *b, struct outcome *o)
{
    uint8_t page[PAGE];
    for (size_t i = 0; i < b->n_relations && i < PG_BACKUP_SAMPLES; i++) {
        const struct pg_backup_file *file = &b->relations[i];
        const off_t places[] = {0, file->size / PAGE / 2 * PAGE};
        for (size_t p = 0; p < KS_ARRAY_LEN(places) && (p == 0 || places[p] != 0); p++) {
            KS_TRY(plain(cli, file, places[p], page, sizeof(page)));
            if (tde_all_zero(page, sizeof(page)))
                continue;
            o->pages++;
            if (is_page(page))
                o->pages_good++;
            else
                failed(o, file, places[p]);
        }
    }
    ks_wipe(page, sizeof(page));
    return 0;
}

/* The long header of a segment (xlog_internal.h): magic, flags, ..., the cluster's identifier, sizes. */
static int
try_wal(struct cli *cli, const struct pg_backup *b, struct outcome *o)
{
    enum { LONG_HEADER = 2 };
    uint8_t head[SECTOR], system[8] = {0};
    const bool known = b->control.path[0] != '\0';
    if (known)
        KS_TRY(pg_backup_read(cli, &b->control, 0, system, sizeof(system)));
    for (size_t i = 0; i < b->n_wal && i < PG_BACKUP_SAMPLES; i++) {
        const struct pg_backup_file *file = &b->wal[i];
        KS_TRY(plain(cli, file, 0, head, sizeof(head)));
        if (tde_all_zero(head, sizeof(head)))
            continue; /* made and not used yet */
        uint32_t segment;
        memcpy(&segment, head + 32, sizeof(segment));
        o->wal++;
        if ((u16(head) & 0xff00) == 0xd100 && (u16(head + 2) & LONG_HEADER) != 0 && segment == (uint64_t)file->size &&
            (!known || memcmp(head + 24, system, sizeof(system)) == 0))
            o->wal_good++;
        else
            failed(o, file, 0);
    }
    ks_wipe(head, sizeof(head));
    return 0;
}

static int
try_samples(struct cli *cli, const struct pg_ring *ring, const struct pg_backup *b, struct outcome *o)
{
    int fd;
    char why[256];
    KS_TRY(pg_bundle(cli, ring, &fd));
    if (tde_keys_load(fd, why, sizeof(why)) != 0)
        return cli_fail(cli, KS_E_INTERNAL, "%s", why);
    int rc = try_pages(cli, b, o);
    if (rc == 0)
        rc = try_wal(cli, b, o);
    tde_keys_done();
    return rc;
}

static bool
is_good(const struct outcome *o)
{
    return o->opened && o->pages > 0 && o->pages_good == o->pages && o->wal_good == o->wal;
}

static int
print_json(const struct pg_ring *ring, const struct pg_backup *b, const struct outcome *o)
{
    char cluster[TDE_UUID_TEXT];
    KS_CLEANUP(json_done) struct json json = JSON;
    tde_uuid_text(ring->keyring->cluster, cluster);
    json_open(&json, NULL, '{');
    json_bool(&json, "restorable", is_good(o));
    json_text(&json, "backup", b->where);
    json_text(&json, "kind", b->kind);
    json_text(&json, "cluster", cluster);
    json_number(&json, "epoch", (int64_t)ring->keyring->epoch);
    json_bool(&json, "keyring_authentic", o->opened);
    json_open(&json, "slots", '[');
    for (size_t i = 0; i < ring->keyring->n_slots; i++) {
        const struct tde_slot *s = &ring->keyring->slots[i];
        json_open(&json, NULL, '{');
        json_number(&json, "slot", s->id);
        json_text(&json, "provider", tde_provider_word(s->provider));
        json_bool(&json, "primary", s->primary == 1);
        json_text(&json, "key_identifier", s->uid[0] != '\0' ? s->uid : NULL);
        json_text(&json, "key_state", o->slots[i].state[0] != '\0' ? o->slots[i].state : NULL);
        json_bool(&json, "opens", o->slots[i].code == 0);
        json_text(&json, "why_not", o->slots[i].code != 0 ? o->slots[i].why : NULL);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_number(&json, "pages", (int64_t)o->pages);
    json_number(&json, "pages_good", (int64_t)o->pages_good);
    json_number(&json, "wal_segments", (int64_t)o->wal);
    json_number(&json, "wal_segments_good", (int64_t)o->wal_good);
    json_number(&json, "compressed_files", (int64_t)b->compressed);
    json_text(&json, "first_bad", o->bad[0] != '\0' ? o->bad : NULL);
    json_close(&json, '}');
    return output_json(&json);
}

static void
print_lines(const struct pg_ring *ring, const struct pg_backup *b, const struct outcome *o)
{
    char text[64];
    output_field("backup", b->where);
    output_field("kind", b->kind);
    for (size_t i = 0; i < ring->keyring->n_slots; i++) {
        const struct slot_answer *a = &o->slots[i];
        printf("%s  ", a->code == 0 ? "opens" : "FAIL ");
        output_safe(stdout, a->text);
        if (a->state[0] != '\0') {
            printf(", ");
            output_safe(stdout, a->state);
        }
        if (a->code != 0) {
            printf(": ");
            output_safe(stdout, a->why);
        }
        printf("\n");
    }
    if (!o->opened)
        return;
    (void)snprintf(text, sizeof(text), "%zu of %zu that were drawn decrypt", o->pages_good, o->pages);
    output_field("pages", text);
    (void)snprintf(text, sizeof(text), "%zu of %zu that were drawn decrypt", o->wal_good, o->wal);
    output_field("WAL segments", text);
}

static int
verdict(struct cli *cli, const struct pg_ring *ring, const struct outcome *o)
{
    if (!o->opened) {
        const struct slot_answer *a = &o->slots[0];
        for (size_t i = 0; i < ring->keyring->n_slots; i++)
            if (ring->keyring->slots[i].primary == 1)
                a = &o->slots[i];
        return cli_fail(cli, a->code, "this backup can not be decrypted now: no wrap of its keyring opens. %.400s",
                        a->why);
    }
    if (o->bad[0] != '\0')
        return cli_fail(
            cli, KS_E_INTEGRITY,
            "the keyring opens, but what is in the backup is not encrypted with its keys, or damaged: first "
            "in %.300s",
            o->bad);
    if (o->pages == 0)
        return cli_fail(cli, KS_E_INTEGRITY,
                        "the keyring opens, but there is no page of a relation to try its keys on");
    return 0;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    struct ks_diag diag = {0};
    pg_harden();
    struct pg_backup *b = calloc(1, sizeof(*b));
    struct outcome *o = calloc(1, sizeof(*o));
    if (b == NULL || o == NULL) {
        free(b);
        free(o);
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    }
    int rc = pg_backup_find(cli, cli->args[0], cli_value(cli, "stanza"), cli_value(cli, "set"), b);
    if (rc == 0 && (b->keyring.size < 1 || b->keyring.size > TDE_KEYRING_MAX))
        rc = cli_fail(cli, KS_E_MALFORMED, "%s: this is no keyring", b->keyring.at);
    if (rc == 0) {
        uint8_t *bytes = malloc((size_t)b->keyring.size);
        rc = bytes != NULL ? pg_backup_read(cli, &b->keyring, 0, bytes, (size_t)b->keyring.size)
                           : cli_fail(cli, KS_E_NOMEM, "out of memory");
        if (rc == 0)
            rc = ks_buf_add(&ring.bytes, bytes, (size_t)b->keyring.size);
        free(bytes);
    }
    (void)snprintf(ring.data, sizeof(ring.data), "%s", b->where);
    if (rc == 0 && tde_keyring_decode(ks_buf_span(&ring.bytes), &ring.keyring, &diag) != 0)
        rc = cli_fail_diag(cli, &diag);
    if (rc == 0)
        try_slots(cli, &ring, o);
    if (rc == 0 && o->opened)
        rc = try_samples(cli, &ring, b, o);
    if (rc == 0 && cli->json)
        rc = print_json(&ring, b, o);
    else if (rc == 0)
        print_lines(&ring, b, o);
    if (rc == 0)
        rc = verdict(cli, &ring, o);
    if (rc == 0 && !cli->json)
        printf("This backup can be decrypted.\n");
    free(b);
    free(o);
    return rc;
}

static const struct cli_option options[] = {
    {"stanza", CLI_TEXT, "NAME", "pgBackRest: which, if the repository has several"},
    {"set", CLI_TEXT, "LABEL", "pgBackRest: which backup (default: the newest)"},
    {"run-commands", CLI_FLAG, NULL,
     "run the commands that the backup's keyring names (key-command, passphrase-command)"},
};

const struct cli_command cli_pg_restore_check = {
    .name = "pg restore-check",
    .args = "BACKUP",
    .min_args = 1,
    .max_args = 1,
    .arg_kind = CLI_FOLDER,
    .summary = "say whether a backup can be decrypted",
    .details =
        "BACKUP is a folder (pg_basebackup, a copy, a snapshot), a folder with base.tar, a tar, or a repository of\n"
        "pgBackRest's. The keyring in it is opened by each of its wraps, asking the KMS for the key's state; pages\n"
        "of relations and segments of WAL, drawn by lot, are decrypted. That is no proof that all of it is whole:\n"
        "pg_verifybackup and pgbackrest verify look at every file, without keys.\n"
        "Exit status: 0 it can; 5, 69 no wrap opens now (refused, no KMS); 76 keys and files do not belong\n"
        "together; 3 no backup of an encrypted cluster.",
    .examples = "  keystead pg restore-check /backup/monday\n"
                "  keystead pg restore-check /var/lib/pgbackrest --stanza main --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
