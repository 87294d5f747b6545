/*
 * keystead pg check: whether the cluster would start, and whether what must not open it does not. Each check is a line;
 * the command fails if one of them does.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"

enum { CHECKS_MAX = 32 };

struct checks {
    struct {
        const char *what;
        bool good;
        char why[512];
    } v[CHECKS_MAX];
    size_t n, failed;
};

static void add(struct checks *checks, const char *what, bool good, const char *fmt, ...) KS_PRINTF(4, 5);
static void
add(struct checks *checks, const char *what, bool good, const char *fmt, ...)
{
    if (checks->n == CHECKS_MAX)
        return;
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    (void)vsnprintf(checks->v[checks->n].why, sizeof(checks->v[checks->n].why), fmt, args);
    va_end(args);
    checks->v[checks->n].what = what;
    checks->v[checks->n].good = good;
    checks->n++;
    checks->failed += good ? 0 : 1;
}

/* Every slot, alone: one that is not the primary is what people fall back to. */
static bool
check_slots(struct cli *cli, struct pg_ring *ring, struct checks *checks)
{
    bool any = false;
    for (size_t i = 0; i < ring->keyring->n_slots; i++) {
        const struct tde_slot *slot = &ring->keyring->slots[i];
        char text[2 * TDE_TEXT];
        tde_slot_text(slot, text);
        const bool good = pg_ring_unlock_by(cli, ring, slot) == 0;
        any = any || good;
        add(checks, slot->primary == 1 ? "the primary slot opens the keyring" : "another slot opens the keyring", good,
            "%.500s", good ? text : cli->error.message);
    }
    cli->error = (struct ks_error){0};
    return any;
}

/* What a start has to refuse: a keyring that somebody changed, and a key of another one. */
static void
check_refusals(struct pg_ring *ring, struct checks *checks)
{
    size_t accepted = 0;
    for (size_t i = 0; i < ring->bytes.len; i++) {
        TDE_KEYRING_PTR *changed = NULL;
        ring->bytes.data[i] ^= 0x10;
        if (tde_keyring_decode(ks_buf_span(&ring->bytes), &changed, NULL) == 0 &&
            tde_keyring_open(changed, ks_buf_span(&ring->bytes), &ring->key, NULL) == 0)
            accepted++;
        ring->bytes.data[i] ^= 0x10;
    }
    add(checks, "a changed keyring is refused", accepted == 0, "%zu of %zu changes would be accepted", accepted,
        ring->bytes.len);
    KS_KEY32 other = ring->key;
    other.b[0] ^= 1;
    add(checks, "another key is refused",
        tde_keyring_open(ring->keyring, ks_buf_span(&ring->bytes), &other, NULL) == KS_E_INTEGRITY,
        "a key that differs in one bit");
}

static void
check_memory(struct checks *checks)
{
    KS_SECRET *secret = NULL;
    const bool locked = ks_secret_new(sizeof(struct tde_bundle), &secret) == 0 && ks_secret_locked(secret);
    add(checks, "memory of keys can be locked", locked, "%s",
        locked ? "it is not swapped out" : "raise the limit of locked memory (ulimit -l, LimitMEMLOCK)");
}

static void
check_layer(struct cli *cli, struct checks *checks)
{
    char layer[PATH_MAX];
    struct stat st = {0};
    if (pg_layer_path(cli, layer) != 0 || stat(layer, &st) != 0) {
        add(checks, "the layer is installed", false, "%.500s", cli->error.message);
        cli->error = (struct ks_error){0};
        return;
    }
    add(checks, "the layer is installed", true, "%.500s", layer);
    const bool safe = (st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    add(checks, "nobody else can write the layer", safe, "owner %u, mode %04o", (unsigned)st.st_uid,
        (unsigned)st.st_mode & 07777U);
}

/* A line of a file of PostgreSQL's configuration that is no comment and has the word. */
static bool
has_word(const char *path, const char *word)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 20);
    if (access(path, R_OK) != 0 || ks_file_read(path, &text, NULL) != 0)
        return false;
    bool found = false;
    for (const char *line = ks_buf_cstr(&text); line != NULL && line[0] != '\0';) {
        const size_t len = strcspn(line, "\n");
        const size_t blank = strspn(line, " \t");
        if (blank < len && line[blank] != '#' && memmem(line, len, word, strlen(word)) != NULL)
            found = true;
        line += len + (line[len] == '\n');
    }
    return found;
}

static void
check_guard(const struct pg_ring *ring, const char *configuration, struct checks *checks)
{
    char path[PATH_MAX];
    const char *folder = configuration != NULL ? configuration : ring->data;
    const bool fits = (size_t)snprintf(path, sizeof(path), "%s/postgresql.conf", folder) < sizeof(path);
    if (fits && configuration == NULL && access(path, F_OK) != 0) {
        add(checks, "the guard is loaded with the server", false,
            "%s is elsewhere: name its folder by --configuration (Debian: /etc/postgresql/15/main)", path);
        return;
    }
    const bool good = fits && has_word(path, TDE_GUARD);
    add(checks, "the guard is loaded with the server", good,
        good ? "%s" : "no " TDE_GUARD " in shared_preload_libraries: %s", path);
}

static void
check_files(const struct pg_ring *ring, struct checks *checks)
{
    static const char *const names[] = {"keyring.prev", "keyring.tmp"};
    char path[PATH_MAX];
    for (size_t i = 0; i < KS_ARRAY_LEN(names); i++)
        if ((size_t)snprintf(path, sizeof(path), "%s/keystead/%s", ring->data, names[i]) < sizeof(path) &&
            access(path, F_OK) == 0)
            add(checks, "no change of the keyring was cut off", false,
                "%s is there: a change was cut off by a crash. The keyring is whole; the next change removes it", path);
    if ((size_t)snprintf(path, sizeof(path), "%s/" TDE_CONVERTING, ring->data) < sizeof(path) &&
        access(path, F_OK) == 0)
        add(checks, "no conversion is unfinished", false,
            "%s is there: run the keystead pg encrypt or decrypt that was begun once more", path);
}

static int
report(struct cli *cli, const struct checks *checks)
{
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_bool(&json, "good", checks->failed == 0);
        json_open(&json, "checks", '[');
        for (size_t i = 0; i < checks->n; i++) {
            json_open(&json, NULL, '{');
            json_text(&json, "check", checks->v[i].what);
            json_bool(&json, "good", checks->v[i].good);
            json_text(&json, "detail", checks->v[i].why);
            json_close(&json, '}');
        }
        json_close(&json, ']');
        json_close(&json, '}');
        KS_TRY(output_json(&json));
    } else {
        for (size_t i = 0; i < checks->n; i++) {
            printf("%s  %s: ", checks->v[i].good ? "ok  " : "FAIL", checks->v[i].what);
            output_safe(stdout, checks->v[i].why);
            printf("\n");
        }
    }
    return checks->failed == 0 ? 0 : cli_fail(cli, KS_E_CONFIG, "%zu of %zu checks failed", checks->failed, checks->n);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    struct checks checks = {.n = 0};
    pg_harden();
    KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), &ring));
    if (check_slots(cli, &ring, &checks))
        check_refusals(&ring, &checks);
    check_memory(&checks);
    check_layer(cli, &checks);
    check_guard(&ring, cli_value(cli, "configuration"), &checks);
    check_files(&ring, &checks);
    return report(cli, &checks);
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"configuration", CLI_FOLDER, "DIR", "where postgresql.conf is, if not there (Debian: /etc/postgresql/15/main)"},
};

const struct cli_command cli_pg_check = {
    .name = "pg check",
    .args = "",
    .summary = "test whether a cluster starts with its keys only",
    .details =
        "Opens the keyring by each of its slots, verifies all of it, tries changed copies of it, and looks at what a\n"
        "start needs: the layer, the guard, locked memory.",
    .examples = "  keystead pg check --data /srv/pg\n"
                "  keystead pg check --data /var/lib/postgresql/15/main --configuration /etc/postgresql/15/main\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
