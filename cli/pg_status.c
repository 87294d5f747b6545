/* keystead pg status: what is encrypted under which keys, and what the KMS says of them. */
#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "cli/pg_depend.h"
#include "cli/pg_scan.h"
#include "tde/wrap_kmip.h"

static const char *const purposes[] = {
    [TDE_PURPOSE_REL] = "relations", [TDE_PURPOSE_WAL] = "WAL", [TDE_PURPOSE_MISC] = "other files"};
static const char *const states[] = {
    [TDE_KEY_ACTIVE] = "active", [TDE_KEY_DECRYPT_ONLY] = "decrypt only", [TDE_KEY_NEXT] = "next"};
static const char *const modes[] = {
    [TDE_KMS_NONE] = NULL, [TDE_KMS_ENCRYPT] = "encrypt", [TDE_KMS_WRAPPED_GET] = "wrapped-get", [TDE_KMS_GET] = "get"};

/* What a slot's KMS says of its key: "Active", or why nothing is known. */
struct answer {
    char state[256];
    struct ks_attributes *about; /* NULL: not known */
};

static void
ask_kms(const struct tde_slot *slot, struct answer *ret)
{
    struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    uint32_t state = 0;
    int rc = tde_kmip_connect(slot, 5000, &client, &diag);
    if (rc == 0)
        rc = tde_kmip_state(client, slot, &state, &diag);
    struct ks_error error;
    if (rc == 0 && ks_client_get_attributes(client, NULL, slot->uid, NULL, 0, &ret->about, &error) != 0)
        ret->about = NULL; /* the state is what counts */
    ks_client_free(client);
    (void)snprintf(ret->state, sizeof(ret->state), "%.255s", rc == 0 ? tde_kmip_state_word(state) : diag.message);
}

static void
needs_json(void *arg, const char *id, const char *text)
{
    struct json *json = arg;
    json_open(json, NULL, '{');
    json_text(json, "dependant", id);
    json_text(json, "needs", text);
    json_close(json, '}');
}

static void
needs_line(void *arg, const char *id, const char *text)
{
    const uint32_t *slot = arg;
    (void)id;
    printf("needed by (slot %u): ", *slot);
    output_safe(stdout, text);
    printf("\n");
}

/* "2026-11-24T06:57:42Z slot 1"; "" where no KMS has answered yet. */
static void
last_contact(const struct pg_ring *ring, char ret[64])
{
    char path[PATH_MAX];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64);
    ret[0] = '\0';
    if ((size_t)snprintf(path, sizeof(path), "%s/keystead/contact", ring->data) >= sizeof(path) ||
        ks_file_read(path, &text, NULL) != 0)
        return;
    size_t n = 0;
    while (n < text.len && n < 63 && text.data[n] >= ' ' && text.data[n] < 0x7f)
        n++;
    if (n != 0)
        memcpy(ret, text.data, n);
    ret[n] = '\0';
}

static int
print_json(const struct pg_ring *ring, const struct answer *answers, const char *contact, const struct tde_clear *scan)
{
    const struct tde_keyring *k = ring->keyring;
    char cluster[TDE_UUID_TEXT];
    KS_CLEANUP(json_done) struct json json = JSON;
    tde_uuid_text(k->cluster, cluster);
    json_open(&json, NULL, '{');
    json_text(&json, "data", ring->data);
    json_text(&json, "cluster", cluster);
    json_number(&json, "epoch", (int64_t)k->epoch);
    json_date(&json, "created", k->created);
    json_date(&json, "changed", k->changed);
    json_number(&json, "wait_seconds", k->wait_s);
    json_text(&json, "when_unreachable", k->unreachable == TDE_UNREACHABLE_OTHER ? "other-slot" : "refuse");
    json_text(&json, "last_contact", contact[0] != '\0' ? contact : NULL);
    json_open(&json, "slots", '[');
    for (size_t i = 0; i < k->n_slots; i++) {
        const struct tde_slot *s = &k->slots[i];
        json_open(&json, NULL, '{');
        json_number(&json, "slot", s->id);
        json_text(&json, "provider", tde_provider_word(s->provider));
        json_bool(&json, "primary", s->primary == 1);
        json_date(&json, "created", s->created);
        json_text(&json, "from", s->path[0] != '\0' ? s->path : NULL);
        json_text(&json, "servers", s->servers[0] != '\0' ? s->servers : NULL);
        json_text(&json, "mode", modes[s->mode]);
        json_text(&json, "key_identifier", s->uid[0] != '\0' ? s->uid : NULL);
        json_text(&json, "key_name", s->name[0] != '\0' ? s->name : NULL);
        json_text(&json, "key_state", answers[i].state[0] != '\0' ? answers[i].state : NULL);
        json_open(&json, "needed_by", '[');
        (void)pg_depend_list(answers[i].about, needs_json, &json);
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_open(&json, "keys", '[');
    for (size_t i = 0; i < k->n_keys; i++) {
        json_open(&json, NULL, '{');
        json_hex(&json, "identifier", k->keys[i].id, sizeof(k->keys[i].id));
        json_text(&json, "purpose", purposes[k->keys[i].purpose]);
        json_number(&json, "generation", k->keys[i].generation);
        json_text(&json, "state", states[k->keys[i].state]);
        json_date(&json, "created", k->keys[i].created);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    if (scan != NULL)
        pg_scan_json(&json, scan);
    json_close(&json, '}');
    return output_json(&json);
}

static int
print_tables(const struct pg_ring *ring, const struct answer *answers)
{
    static const char *const key_columns[] = {"KEYS OF", "GENERATION", "STATE", "MADE"};
    static const char *const slot_columns[] = {"SLOT", "WRAPPED BY", "KEY", "STATE AT THE KMS", "SINCE"};
    const struct tde_keyring *k = ring->keyring;
    KS_CLEANUP(table_done) struct table keys = TABLE(key_columns), slots = TABLE(slot_columns);
    char number[16], text[64];
    for (size_t i = 0; i < k->n_keys; i++) {
        (void)snprintf(number, sizeof(number), "%u", k->keys[i].generation);
        table_add(&keys, purposes[k->keys[i].purpose]);
        table_add(&keys, number);
        table_add(&keys, states[k->keys[i].state]);
        table_add_date(&keys, k->keys[i].created);
    }
    for (size_t i = 0; i < k->n_slots; i++) {
        const struct tde_slot *s = &k->slots[i];
        (void)snprintf(number, sizeof(number), "%u%s", s->id, s->primary == 1 ? " *" : "");
        (void)snprintf(text, sizeof(text), "%s%s%s", tde_provider_word(s->provider), modes[s->mode] != NULL ? ", " : "",
                       modes[s->mode] != NULL ? modes[s->mode] : "");
        table_add(&slots, number);
        table_add(&slots, text);
        table_add(&slots, s->name[0] != '\0' ? s->name : s->uid[0] != '\0' ? s->uid : s->path);
        table_add(&slots, answers[i].state[0] != '\0' ? answers[i].state : NULL);
        table_add_date(&slots, s->created);
    }
    KS_TRY(table_print(&keys));
    printf("\n");
    KS_TRY(table_print(&slots));
    printf("* is the one that a start uses.\n");
    for (size_t i = 0; i < k->n_slots; i++) {
        uint32_t slot = k->slots[i].id;
        (void)pg_depend_list(answers[i].about, needs_line, &slot);
    }
    return 0;
}

static int
print_people(const struct pg_ring *ring, const struct answer *answers, const char *contact,
             const struct tde_clear *scan)
{
    const struct tde_keyring *k = ring->keyring;
    char cluster[TDE_UUID_TEXT], text[32];
    tde_uuid_text(k->cluster, cluster);
    output_field("cluster", cluster);
    output_field("data", ring->data);
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)k->epoch);
    output_field("epoch", text);
    (void)snprintf(text, sizeof(text), "%u s, then %s", k->wait_s,
                   k->unreachable == TDE_UNREACHABLE_OTHER ? "other slots" : "no start");
    output_field("waits for a KMS", text);
    output_field("KMS last answered", contact[0] != '\0' ? contact : "not yet");
    printf("\n");
    KS_TRY(print_tables(ring, answers));
    return scan != NULL ? pg_scan_print(scan) : 0;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    KS_CLEANUP(tde_clear_done) struct tde_clear clear = {0};
    struct answer answers[TDE_SLOTS_MAX] = {{""}};
    char contact[64];
    const struct tde_clear *scan = cli_flag(cli, "scan") ? &clear : NULL;
    pg_harden();
    KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), &ring));
    const struct tde_keyring *k = ring.keyring;
    for (size_t i = 0; i < k->n_slots && !cli_flag(cli, "offline"); i++)
        if (k->slots[i].provider == TDE_PROVIDER_KMIP)
            ask_kms(&k->slots[i], &answers[i]);
    last_contact(&ring, contact);
    int rc = scan != NULL ? pg_scan(cli, ring.data, &clear) : 0;
    if (rc == 0)
        rc = cli->json ? print_json(&ring, answers, contact, scan) : print_people(&ring, answers, contact, scan);
    for (size_t j = 0; j < TDE_SLOTS_MAX; j++)
        ks_attributes_free(answers[j].about);
    KS_TRY(rc);
    return scan != NULL ? pg_scan_verdict(cli, scan) : 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"offline", CLI_FLAG, NULL, "do not ask the KMS"},
    {"scan", CLI_FLAG, NULL, "read all files, and tell of what is in the clear"},
};

const struct cli_command cli_pg_status = {
    .name = "pg status",
    .args = "",
    .summary = "show a cluster's keys and what wraps them",
    .details =
        "Needs no key: what it shows of the keyring is verified by `keystead pg check`.\n"
        "--scan reads every file of the cluster, which may run, and tells by its looks what is not encrypted: pages\n"
        "of relations and of the write-ahead log, texts and structures. It lists the files that the layer does not\n"
        "know, which are in the clear. What looks like random bytes passes. Status 76: something is in the clear.",
    .examples = "  keystead pg status --data /srv/pg\n"
                "  keystead pg status --data /srv/pg --json\n"
                "  keystead pg status --data /srv/pg --scan\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
