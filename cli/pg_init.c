/* keystead pg init: a new encrypted cluster. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "cli/pg_conf.h"
#include "cli/pg_run.h"

enum { CONF_MAX = 1 << 20 };

struct job {
    struct pg_ring ring;
    char version[16], name[128]; /* of Debian's cluster; "" */
};

/* An absolute path of a folder that is not there yet, or empty. */
static int
new_data(struct cli *cli, const char *given, char ret[PATH_MAX])
{
    char path[PATH_MAX], keyring[PATH_MAX];
    if (given == NULL)
        given = getenv("PGDATA");
    if (given == NULL || given[0] == '\0')
        return cli_fail(cli, KS_E_INVALID, "where is the cluster to be? Give --data DIR, PGDATA, or --cluster 15/main");
    if (mkdir(given, 0700) != 0 && errno != EEXIST)
        return cli_fail(cli, KS_E_IO, "cannot create %s: %s", given, strerror(errno));
    if (realpath(given, path) == NULL)
        return cli_fail(cli, KS_E_IO, "%s: %s", given, strerror(errno));
    KS_TRY(pg_data(cli, path, path));
    if ((size_t)snprintf(keyring, sizeof(keyring), "%s/" TDE_KEYRING, path) >= sizeof(keyring))
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", path);
    if (access(keyring, F_OK) == 0)
        return cli_fail(cli, KS_E_EXISTS, "%s is an encrypted cluster already", path);
    memcpy(ret, path, strlen(path) + 1);
    return 0;
}

/* As pg_createcluster does it: initdb alone lets everybody on the machine in. */
static const char *const debian_options[] = {"--auth-local=peer", "--auth-host=scram-sha-256"};

static bool
says_who_gets_in(const struct cli *cli)
{
    for (size_t i = 0; i < cli->n_args; i++)
        if (strncmp(cli->args[i], "-A", 2) == 0 || strncmp(cli->args[i], "--auth", 6) == 0)
            return true;
    return false;
}

static int
check_options(struct cli *cli)
{
    for (size_t i = 0; i < cli->n_args; i++) {
        const char *arg = cli->args[i];
        if (strncmp(arg, "-D", 2) == 0 || strncmp(arg, "--pgdata", 8) == 0 || (i == 0 && arg[0] != '-'))
            return cli_fail(cli, KS_E_INVALID, "'%s': initdb is told where by --data; behind -- are its other options",
                            arg);
    }
    return 0;
}

static int
run_initdb(struct cli *cli, const struct job *job)
{
    KS_CLEANUP(ks_closep) int fd = -1;
    char program[PATH_MAX], data[PATH_MAX + 16];
    const char *argv[CLI_MAX_ARGS + 4 + KS_ARRAY_LEN(debian_options)] = {program, data, "--no-instructions"};
    size_t n = 3; /* how to start it is ours to say */
    KS_TRY(check_options(cli));
    KS_TRY(pg_program(cli, cli_value(cli, "bin"), job->version, "initdb", program));
    (void)snprintf(data, sizeof(data), "--pgdata=%s", job->ring.data);
    for (size_t i = 0; i < cli->n_args; i++)
        argv[n++] = cli->args[i];
    for (size_t i = 0; job->name[0] != '\0' && !says_who_gets_in(cli) && i < KS_ARRAY_LEN(debian_options); i++)
        argv[n++] = debian_options[i];
    KS_TRY(pg_bundle(cli, &job->ring, &fd));
    return pg_run(cli, argv, &(struct pg_run){.bundle = fd, .root = job->ring.data}, NULL);
}

/* All that the cluster's own user does. */
static int
make_cluster(struct cli *cli, struct job *job, const char *given)
{
    struct ks_diag diag = {0};
    char layer[PATH_MAX], text[2 * TDE_TEXT];
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    KS_TRY(pg_layer_path(cli, layer));
    KS_TRY(new_data(cli, given, job->ring.data));
    KS_TRY(pg_ring_new(cli, job->ring.data, &job->ring));
    int rc = run_initdb(cli, job);
    if (rc == 0)
        rc = pg_conf_add_guard(cli, job->ring.data, job->ring.data, "pg init");
    if (rc == 0 && tde_keyring_encode(job->ring.keyring, &job->ring.key, &file, &diag) != 0)
        rc = cli_fail_diag(cli, &diag);
    if (rc == 0 && tde_keyring_file_create(job->ring.data, ks_buf_span(&file), &diag) != 0)
        rc = cli_fail_diag(cli, &diag);
    if (rc != 0 && cli_flag(cli, "create-key")) {
        char why[600];
        (void)snprintf(why, sizeof(why), "%.599s", cli->error.message);
        tde_slot_text(&job->ring.keyring->slots[0], text);
        return cli_fail(cli, rc, "%.500s; the key that was made is there still: %.200s", why, text);
    }
    return rc;
}

/* ---- Debian ---- */

static int
parse_cluster(struct cli *cli, struct job *job)
{
    const char *text = cli_value(cli, "cluster");
    if (text == NULL)
        return 0;
    const size_t digits = strspn(text, "0123456789");
    const char *name = text + digits + 1;
    if (digits == 0 || digits > 3 || text[digits] != '/' || name[0] == '\0' || strlen(name) >= sizeof(job->name) ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._") != strlen(name))
        return cli_fail(cli, KS_E_INVALID, "--cluster: '%s' is not VERSION/NAME, as 15/main is", text);
    memcpy(job->version, text, digits);
    memcpy(job->name, name, strlen(name) + 1);
    return 0;
}

/* As root: a child that is the cluster's user does all that needs no root. */
static int
as_user(struct cli *cli, struct job *job, const char *data)
{
    if (geteuid() != 0)
        return make_cluster(cli, job, data);
    const char *user = cli_value(cli, "user");
    const struct passwd *entry = getpwnam(user != NULL ? user : "postgres");
    if (entry == NULL || entry->pw_uid == 0)
        return cli_fail(cli, KS_E_NOT_FOUND, "PostgreSQL does not run as root, and there is no user %s",
                        user != NULL ? user : "postgres");
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0)
        return cli_fail(cli, KS_E_IO, "fork: %s", strerror(errno));
    if (pid == 0) {
        if (initgroups(entry->pw_name, entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 ||
            setuid(entry->pw_uid) != 0 || setenv("HOME", entry->pw_dir, 1) != 0)
            _exit(ks_err_exit_status(KS_E_DENIED));
        pg_harden(); /* a change of the user makes dumpable what the system says */
        const int rc = make_cluster(cli, job, data);
        if (rc != 0)
            fprintf(stderr, "keystead pg init: %s\n", cli->error.message);
        _exit(rc != 0 ? 1 : 0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return cli_fail(cli, KS_E_IO, "cannot wait: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_fail(cli, KS_E_CLOSED, "no cluster was made; why is said above");
    struct ks_diag diag = {0}; /* who it is for root's report; the file is another user's, so it is not obeyed */
    char path[PATH_MAX];
    tde_keyring_freep(&job->ring.keyring);
    if (realpath(data, job->ring.data) == NULL ||
        (size_t)snprintf(path, sizeof(path), "%s/" TDE_KEYRING, job->ring.data) >= sizeof(path) ||
        ks_file_read(path, &job->ring.bytes, &diag) != 0 ||
        tde_keyring_decode(ks_buf_span(&job->ring.bytes), &job->ring.keyring, &diag) != 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", data, ks_diag_text(&diag));
    return 0;
}

/* Debian's programs adopt a data directory that is there; the layer is in the environment that they give a server. */
static int
adopt(struct cli *cli, struct job *job)
{
    const char *argv[] = {"/usr/bin/pg_createcluster", job->version, job->name, "-d", job->ring.data, NULL};
    char path[PATH_MAX], layer[PATH_MAX];
    struct ks_diag diag = {0};
    struct stat st = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(CONF_MAX);
    KS_TRY(pg_run(cli, argv, &(struct pg_run){.bundle = -1}, NULL));
    const char *root = getenv("PG_CLUSTER_CONF_ROOT"); /* postgresql-common's own variable */
    if (root == NULL || root[0] == '\0')
        root = "/etc/postgresql";
    KS_TRY(pg_layer_path(cli, layer));
    if ((size_t)snprintf(path, sizeof(path), "%s/%s/%s/environment", root, job->version, job->name) >= sizeof(path))
        return cli_fail(cli, KS_E_INVALID, "the path of the cluster's configuration is too long");
    if (stat(path, &st) == 0 && ks_file_read(path, &text, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    (void)ks_buf_addf(&text, "\n# Encrypted by Keystead (keystead pg init)\nLD_PRELOAD = '%s'\n", layer);
    if (text.err != 0 || ks_file_write(path, ks_buf_span(&text), 0644, &diag) != 0)
        return text.err != 0 ? cli_fail(cli, text.err, "%s is too large", path) : cli_fail_diag(cli, &diag);
    if (st.st_nlink != 0 && chown(path, st.st_uid, st.st_gid) != 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    return 0;
}

static int
report(struct cli *cli, struct job *job)
{
    char cluster[TDE_UUID_TEXT], text[2 * TDE_TEXT], layer[PATH_MAX];
    const struct tde_slot *slot = job->ring.keyring != NULL ? tde_keyring_primary(job->ring.keyring) : NULL;
    if (slot == NULL)
        return cli_fail(cli, KS_E_INTERNAL, "no keyring");
    tde_uuid_text(job->ring.keyring->cluster, cluster);
    tde_slot_text(slot, text);
    KS_TRY(pg_layer_path(cli, layer));
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "data", job->ring.data);
        json_text(&json, "cluster", cluster);
        json_text(&json, "provider", tde_provider_word(slot->provider));
        json_text(&json, "key_identifier", slot->uid[0] != '\0' ? slot->uid : NULL);
        json_text(&json, "key_name", slot->name[0] != '\0' ? slot->name : NULL);
        json_text(&json, "layer", layer);
        json_close(&json, '}');
        return output_json(&json);
    }
    printf("\nEncrypted cluster %s in %s.\nIts keys are wrapped by %s.\n", cluster, job->ring.data, text);
    if (job->name[0] != '\0')
        printf("Start it with: pg_ctlcluster %s %s start\n", job->version, job->name);
    else
        printf("Start it with: LD_PRELOAD=%s pg_ctl -D %s start\n", layer, job->ring.data);
    return 0;
}

static void
job_done(struct job *job)
{
    pg_ring_done(&job->ring);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(job_done) struct job job = {.ring = PG_RING};
    char data[PATH_MAX];
    const char *given = cli_value(cli, "data");
    pg_harden();
    KS_TRY(parse_cluster(cli, &job));
    if (job.name[0] == '\0') {
        if (geteuid() == 0)
            return cli_fail(cli, KS_E_DENIED,
                            "PostgreSQL does not run as root: use --cluster 15/main, or be the user of the "
                            "cluster (runuser -u postgres -- keystead ...)");
        KS_TRY(make_cluster(cli, &job, given));
        return report(cli, &job);
    }
    (void)snprintf(data, sizeof(data), "/var/lib/postgresql/%s/%s", job.version, job.name);
    KS_TRY(as_user(cli, &job, given != NULL ? given : data));
    KS_TRY(adopt(cli, &job));
    return report(cli, &job);
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the new cluster's data directory (default PGDATA)"},
    {"cluster", CLI_TEXT, "VERSION/NAME", "Debian: a cluster of pg_createcluster's, as 15/main"},
    {"user", CLI_TEXT, "USER", "with --cluster as root: whose it is (default postgres)"},
    {"bin", CLI_FOLDER, "DIR", "where PostgreSQL's programs are"},
    PG_PROVIDER_OPTIONS,
    {"wait", CLI_TEXT, "TIME", "how long a start waits for the KMS (default 60s, up to 10m)"},
    {"when-unreachable", CLI_CHOICE, "refuse|other-slot", "then: no start (default), or the other slots"},
};

const struct cli_command cli_pg_init = {
    .name = "pg init",
    .args = "[-- INITDB-OPTION...]",
    .max_args = CLI_MAX_ARGS,
    .summary = "make a new encrypted cluster",
    .details =
        "Runs initdb with the encryption layer, so that nothing of the cluster is ever on the disk in the clear, and\n"
        "writes its keyring: data keys, wrapped by a key at a KMS or by an internal one.",
    .examples = "  keystead pg init --data /srv/pg --passphrase-file /run/keys/pg -- --data-checksums\n"
                "  keystead pg init --data /srv/pg --config pg-client.conf --kmip kms1:5696,kms2:5696 --create-key\n"
                "  keystead pg init --cluster 15/main --config /etc/keystead/client.conf --create-key\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
