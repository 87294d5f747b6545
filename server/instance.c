#include "server/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keystead/kmip.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/cert.h"
#include "crypto/keygen.h"
#include "crypto/random.h"
#include "server/audit/audit.h"
#include "server/config.h"
#include "server/engine/engine.h"
#include "server/vault/committer.h"
#include "server/vault/rootkey.h"
#include "store/keyring.h"
#include "store/store.h"

enum {
    PEM_MAX = 65536,
    NAMES_MAX = 40,
    CA_DAYS = 3650,
    CERTIFICATE_DAYS = 825,
    CLOCKS_APART_S = 300, /* certificates begin to be valid a little ago, for machines whose clocks are behind */
};

struct making {
    const struct instance_settings *settings;
    char dir[4096]; /* where it is built */
    struct ks_buf ca_cert, ca_key_der, admin_cert;
    struct ks_pkey *ca_key;
    int64_t admin_not_after;
};

static void
making_done(struct making *m)
{
    ks_buf_done(&m->ca_cert);
    ks_buf_done(&m->ca_key_der);
    ks_buf_done(&m->admin_cert);
    ks_pkey_free(m->ca_key);
}

static int
path_in(const struct making *m, const char *name, struct ks_buf *ret, struct ks_diag *diag)
{
    (void)ks_buf_addf(ret, "%s/%s", m->dir, name);
    return ks_buf_cstr(ret) == NULL ? ks_fail(diag, ret->err, "%s: %s", name, ks_err_text(ret->err)) : 0;
}

static int
write_file(const struct making *m, const char *name, struct ks_span data, mode_t mode, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_TRY(path_in(m, name, &path, diag));
    return ks_file_create((const char *)path.data, data, mode, diag);
}

/* Certificates */

static int
new_key(struct ks_pkey **ret, struct ks_diag *diag)
{
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    return ks_keygen_pair(&params, ret, diag);
}

static int
make_ca(struct making *m, const char *node, struct ks_diag *diag)
{
    char name[65];
    const int64_t now = ks_clock_us() / 1000000;
    (void)snprintf(name, sizeof(name), "Keystead CA of %.48s", node);
    const struct ks_cert_spec spec = {
        .common_name = name, .not_before = now - CLOCKS_APART_S, .not_after = now + (int64_t)CA_DAYS * 86400};
    KS_TRY(new_key(&m->ca_key, diag));
    KS_TRY(ks_cert_ca(m->ca_key, &spec, &m->ca_cert, diag));
    KS_TRY(ks_pkey_export(m->ca_key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &m->ca_key_der, diag));
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(PEM_MAX);
    KS_TRY(ks_pem_encode(KS_PEM_CERT, ks_buf_span(&m->ca_cert), &pem, diag));
    return write_file(m, "ca.pem", ks_buf_span(&pem), 0644, diag);
}

/* name.pem and name.key, signed by the CA; the certificate's DER is appended to ret_cert. */
static int
make_certificate(const struct making *m, const char *name, const struct ks_cert_spec *spec, struct ks_buf *ret_cert,
                 struct ks_diag *diag)
{
    char file[64];
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf cert_pem = KS_BUF(PEM_MAX), key_pem = KS_BUF(PEM_MAX);
    KS_TRY(new_key(&key, diag));
    KS_TRY(ks_cert_issue(ks_buf_span(&m->ca_cert), m->ca_key, key, spec, ret_cert, diag));
    KS_TRY(ks_pem_encode(KS_PEM_CERT, ks_buf_span(ret_cert), &cert_pem, diag));
    KS_TRY(ks_pem_encode_key(key, &key_pem, diag));
    (void)snprintf(file, sizeof(file), "%s.pem", name);
    KS_TRY(write_file(m, file, ks_buf_span(&cert_pem), 0644, diag));
    (void)snprintf(file, sizeof(file), "%s.key", name);
    return write_file(m, file, ks_buf_span(&key_pem), 0600, diag);
}

static void
add_name(const char **names, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (name[0] != '\0' && *n < NAMES_MAX)
        names[(*n)++] = name;
}

/* The host of "HOST:PORT" or "[HOST]:PORT" into host; an address that means "all" names nobody. */
static int
listen_host(const char *listen, char *host, size_t len, struct ks_diag *diag)
{
    const char *colon = strrchr(listen, ':');
    const bool brackets = listen[0] == '[' && colon != NULL && colon > listen + 1 && colon[-1] == ']';
    const char *from = brackets ? listen + 1 : listen;
    const size_t n = colon != NULL ? (size_t)(colon - from) - (brackets ? 1 : 0) : 0;
    int64_t port;
    if (n == 0 || n >= len || ks_parse_i64(ks_span_str(colon + 1), 1, 65535, &port) != 0)
        return ks_fail(diag, KS_E_INVALID,
                       "\"%s\" is no address to serve on; write 192.0.2.1:5696 or [2001:db8::1]:5696", listen);
    memcpy(host, from, n);
    host[n] = '\0';
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return ks_fail(diag, KS_E_INVALID, "\"%s\": write the address in numbers; names go into --san", listen);
    freeaddrinfo(found);
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host[0] = '\0';
    return 0;
}

static int
make_certificates(struct making *m, const char *node, struct ks_diag *diag)
{
    char host[64], https_host[64] = "", hostname[256] = "";
    const char *names[NAMES_MAX];
    size_t n = 0;
    KS_TRY(listen_host(m->settings->listen, host, sizeof(host), diag));
    if (m->settings->listen_https != NULL)
        KS_TRY(listen_host(m->settings->listen_https, https_host, sizeof(https_host), diag));
    if (gethostname(hostname, sizeof(hostname) - 1) != 0)
        hostname[0] = '\0';
    for (size_t i = 0; i < m->settings->n_names; i++)
        add_name(names, &n, m->settings->names[i]);
    add_name(names, &n, host);
    add_name(names, &n, https_host);
    add_name(names, &n, "localhost");
    add_name(names, &n, hostname);
    add_name(names, &n, "127.0.0.1");
    add_name(names, &n, "::1");

    KS_TRY(make_ca(m, node, diag));
    const int64_t now = ks_clock_us() / 1000000;
    char server_name[65];
    (void)snprintf(server_name, sizeof(server_name), "%.64s", node);
    struct ks_cert_spec spec = {
        .common_name = server_name,
        .names = names,
        .n_names = n,
        .not_before = now - CLOCKS_APART_S,
        .not_after = now + (int64_t)CERTIFICATE_DAYS * 86400,
        .server_auth = true,
        .client_auth = true,
    };
    KS_CLEANUP(ks_buf_done) struct ks_buf server_cert = KS_BUF(PEM_MAX);
    KS_TRY(make_certificate(m, "server", &spec, &server_cert, diag));
    spec.common_name = "admin";
    spec.n_names = 0;
    spec.server_auth = false;
    m->admin_not_after = spec.not_after;
    return make_certificate(m, "admin", &spec, &m->admin_cert, diag);
}

/* Files */

static const char *
root_key_name(const struct making *m)
{
    return m->settings->passphrase.len != 0 ? "root.params" : "root.key";
}

static int
make_configuration(const struct making *m, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf server = KS_BUF(65536), client = KS_BUF(65536);
    const char *const profile = m->settings->profile != NULL ? m->settings->profile : profile_name(PROFILE_FIPS);
    struct server_config_set set[6] = {
        {"server.listen", m->settings->listen},
        {"policy.profile", profile},
        {"root_key.kind", m->settings->passphrase.len != 0 ? "passphrase" : "file"},
        {"root_key.path", root_key_name(m)},
    };
    size_t n = 4;
    if (m->settings->node != NULL)
        set[n++] = (struct server_config_set){"server.name", m->settings->node};
    if (m->settings->listen_https != NULL)
        set[n++] = (struct server_config_set){"server.listen_https", m->settings->listen_https};
    KS_TRY(server_config_write(set, n, &server, diag));
    KS_TRY(write_file(m, "keystead.conf", ks_buf_span(&server), 0600, diag));

    /* A server on all addresses is reached on this machine by the loopback one. */
    char host[64];
    KS_TRY(listen_host(m->settings->listen, host, sizeof(host), diag));
    const char *port = strrchr(m->settings->listen, ':') + 1;
    if (host[0] == '\0')
        (void)snprintf(host, sizeof(host), "127.0.0.1");
    (void)ks_buf_addf(&client,
                      "# How the keystead command reaches the server in this folder, as its administrator.\n"
                      "server = %s%s%s:%s\nca = ca.pem\ncertificate = admin.pem\nkey = admin.key\n",
                      strchr(host, ':') != NULL ? "[" : "", host, strchr(host, ':') != NULL ? "]" : "", port);
    return write_file(m, "client.conf", ks_buf_span(&client), 0600, diag);
}

static int
make_root_key(const struct making *m, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_TRY(path_in(m, root_key_name(m), &path, diag));
    if (m->settings->passphrase.len != 0)
        return rootkey_passphrase_create((const char *)path.data, m->settings->passphrase, ret, diag);
    return rootkey_file_create((const char *)path.data, ret, diag);
}

/* The store */

static int
commit_and_wait(struct committer *committer, struct commit_job *job)
{
    job->next = NULL;
    committer_submit(committer, job, job);
    struct pollfd fd = {committer_fd(committer), POLLIN, 0};
    while (committer_take_done(committer) == NULL)
        (void)poll(&fd, 1, 1000);
    return job->rc;
}

/* The trail begins with the making of the instance. */
static int
record_init(struct committer *committer)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
    const struct audit_event e = {.event = KS_LIT("init"), .role = "system", .batch_item = -1, .status = "success"};
    KS_TRY(audit_event_format(&e, &text));
    const struct ks_span record = ks_buf_span(&text);
    struct commit_job job = {.records = &record, .n_records = 1};
    return commit_and_wait(committer, &job);
}

static int
first_rows(const struct making *m, struct keyring *keyring, struct committer *committer, struct ks_diag *diag)
{
    KS_CLEANUP(engine_reply_done) struct engine_reply reply;
    const int made = engine_reply_init(&reply);
    if (made != 0)
        return ks_fail(diag, made, "%s", ks_err_text(made));
    struct engine_client admin = {.name = KS_LIT("admin"), .role = IDENTITY_ADMIN, .not_after = m->admin_not_after};
    KS_TRY(ks_cert_fingerprint(ks_buf_span(&m->admin_cert), admin.fingerprint));
    KS_TRY(engine_bootstrap(keyring, &admin, ks_buf_span(&m->ca_cert), ks_buf_span(&m->ca_key_der), &reply, diag));
    int rc = record_init(committer);
    if (rc == 0)
        rc = commit_and_wait(committer, &reply.job);
    return rc != 0 ? ks_fail(diag, rc, "the first rows cannot be stored: %s", ks_err_text(rc)) : 0;
}

static int
make_store(const struct making *m, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192), audit_path = KS_BUF(8192);
    struct store *store = NULL;
    struct keyring *keyring = NULL;
    struct committer *committer = NULL;
    KS_KEY32 root;
    KS_TRY(path_in(m, "store.db", &path, diag));
    KS_TRY(path_in(m, "audit", &audit_path, diag));
    if (mkdir((const char *)audit_path.data, 0700) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot make %s", (const char *)audit_path.data);
    KS_TRY(store_create((const char *)path.data, diag));
    KS_TRY(store_open((const char *)path.data, &store, diag));
    int rc = make_root_key(m, &root, diag);
    if (rc == 0)
        rc = keyring_create(store, &root, diag);
    if (rc == 0)
        rc = keyring_open(store, &root, &keyring, diag);
    if (rc == 0)
        rc = committer_new(store, keyring, (const char *)audit_path.data, &committer, diag);
    if (rc == 0)
        rc = first_rows(m, keyring, committer, diag);
    committer_free(committer);
    keyring_free(keyring);
    store_close(store);
    return rc;
}

/* All or nothing */

/* Removes what was built: a folder of ours that nobody else has seen, with one level of folders in it. */
static void
remove_built(const char *dir)
{
    DIR *open = opendir(dir);
    if (open == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(open)) != NULL;) {
        char path[8192];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (unlink(path) != 0 && errno == EISDIR)
            remove_built(path);
    }
    (void)closedir(open);
    (void)rmdir(dir);
}

static int
build(struct making *m, struct ks_diag *diag)
{
    char node[256] = "";
    if (m->settings->node != NULL)
        (void)snprintf(node, sizeof(node), "%s", m->settings->node);
    else if (gethostname(node, sizeof(node) - 1) != 0)
        (void)snprintf(node, sizeof(node), "keystead");
    KS_TRY(make_certificates(m, node, diag));
    KS_TRY(make_configuration(m, diag));
    return make_store(m, diag);
}

static int
rename_new(const char *from, const char *to, struct ks_diag *diag)
{
    /* Never onto something that appeared meanwhile, not even an empty folder. */
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL && access(to, F_OK) != 0 && rename(from, to) == 0) /* a file system that cannot do that */
        return 0;
    return ks_fail_errno(diag, errno == EEXIST ? KS_E_EXISTS : KS_E_IO, errno, "cannot name it %s", to);
}

int
instance_create(const struct instance_settings *settings, struct ks_diag *diag)
{
    struct ks_diag own = {0};
    if (diag == NULL)
        diag = &own;
    KS_CLEANUP(making_done)
    struct making m = {
        .settings = settings, .ca_cert = KS_BUF(PEM_MAX), .ca_key_der = KS_BUF(PEM_MAX), .admin_cert = KS_BUF(PEM_MAX)};
    struct stat st;
    enum profile profile;
    if (settings->profile != NULL && !profile_find(settings->profile, &profile))
        return ks_fail(diag, KS_E_CONFIG, "there is no policy profile \"%s\": fips, cnsa2 or compat",
                       settings->profile);
    size_t len = strlen(settings->dir);
    while (len > 1 && settings->dir[len - 1] == '/')
        len--;
    char to[4000];
    if (len == 0 || len >= sizeof(to) - 32)
        return ks_fail(diag, KS_E_INVALID, "\"%s\" cannot be the name of a folder", settings->dir);
    memcpy(to, settings->dir, len);
    to[len] = '\0';
    if (lstat(to, &st) == 0)
        return ks_fail(diag, KS_E_EXISTS,
                       "%s exists already; choose another name, or move it away. Nothing was changed", to);
    uint8_t random[6];
    KS_TRY(ks_random(random, sizeof(random)));
    (void)snprintf(m.dir, sizeof(m.dir), "%s.tmp-%02x%02x%02x%02x%02x%02x", to, random[0], random[1], random[2],
                   random[3], random[4], random[5]);
    if (mkdir(m.dir, 0700) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot make a folder beside %s", to);
    int rc = build(&m, diag);
    if (rc == 0)
        rc = rename_new(m.dir, to, diag);
    if (rc == 0)
        return ks_fsync_parent(to, diag);
    remove_built(m.dir);
    return diag->code != 0 ? rc : ks_fail(diag, rc, "%s: %s", to, ks_err_text(rc));
}
