#include "tde/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/attr.h"
#include "tde/arguments.h"
#include "tde/check.h"
#include "tde/helper.h"
#include "tde/keys.h"
#include "tde/permit.h"
#include "tde/real.h"
#include "tde/root.h"

extern char **environ;

enum {
    SERVER = 1,    /* postgres itself */
    STARTS = 2,    /* starts programs of PostgreSQL's */
    NO_KEYS = 4,   /* needs none itself: only hands on what it was given */
    SPACES = 8,    /* reaches tablespaces by their own paths */
    LAST = 16,     /* the data directory may be the last argument */
    RECEIVES = 32, /* base backups or WAL, from a server */
    KEEPS = 64,    /* takes over all files of another cluster: the keyring is to stay */
};

static const struct program {
    const char *name;
    unsigned what;
} programs[] = {
    {"postgres", SERVER},
    {"initdb", STARTS},
    {"pg_ctl", STARTS | NO_KEYS},
    {"pg_upgrade", STARTS | SPACES},
    {"pg_rewind", STARTS | KEEPS},
    {"pg_createsubscriber", STARTS},
    {"pg_basebackup", SPACES | RECEIVES},
    {"pg_combinebackup", SPACES},
    {"pg_checksums", LAST},
    {"pg_resetwal", LAST},
    {"pg_controldata", LAST | NO_KEYS},
    {"pg_verifybackup", NO_KEYS},
    {"pg_receivewal", RECEIVES},
    {"pg_waldump", 0},
    {"pg_walsummary", 0},
};

static const char *const data_options[] = {"-D", "--pgdata", "--data"};
static const char *const idle_options[] = {"-V", "--version", "-?", "--help", "--describe-config"};
static const char *const lone_options[] = {"--boot", "--check", "--single", "-C"};

static bool
known_path(const char *path)
{
    struct tde_what what;
    tde_classify(tde_root_major(), path, &what);
    return what.class != TDE_UNKNOWN;
}

static int read_permit(int64_t *ret_until);

struct tde_state tde_state = {.version = TDE_LAYER_VERSION, .known = known_path, .permit = read_permit};

static const struct program *program;
static const struct tde_pair *pair; /* of this program; NULL: it has one data directory */
static bool must_be_guarded;
static bool makes_tar, wants_clear, streams_raw;
static char preload[TDE_PATH_MAX]; /* LD_PRELOAD as it was */

KS_PUBLIC struct tde_state *keystead_tde_state(void);
struct tde_state *
keystead_tde_state(void)
{
    return &tde_state;
}

static const char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const struct program *
find_program(const char *name)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(programs); i++)
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    return NULL;
}

static void __attribute__((noreturn)) give_up(const char *why)
{
    dprintf(STDERR_FILENO, "%s: FATAL: %s\n", program->name, why);
    _exit(1);
}

static const char *
data_directory(int argc, const char *const *argv)
{
    if (pair != NULL) {
        const char *value = tde_option_last(&pair->options, argc, argv, &pair->first);
        if (value == NULL && pair->first_variable != NULL)
            value = getenv(pair->first_variable);
        return value != NULL ? value : "";
    }
    for (int i = 1; i < argc; i++)
        for (size_t o = 0; o < KS_ARRAY_LEN(data_options); o++) {
            const char *value = tde_option_value(data_options[o], argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            if (value != NULL)
                return value;
        }
    struct stat st;
    if ((program->what & LAST) != 0 && argc > 1 && argv[argc - 1][0] != '-' && stat(argv[argc - 1], &st) == 0)
        return argv[argc - 1];
    const char *pgdata = getenv("PGDATA");
    return pgdata != NULL ? pgdata : "";
}

static bool
has_file(const char *root, const char *name)
{
    char path[TDE_PATH_MAX + 32];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return *root != '\0' && stat(path, &st) == 0;
}

/* Some of the files are encrypted and others are not: a server would read, and then write, nonsense. */
static void
refuse_half_converted(const char *root)
{
    char why[TDE_PATH_MAX + 200];
    if (!has_file(root, TDE_CONVERTING))
        return;
    snprintf(why, sizeof(why),
             "the conversion of the cluster in \"%s\" is not finished: run the \"keystead pg\" command that was begun "
             "(encrypt, "
             "decrypt or rotate) once more",
             root);
    give_up(why);
}

static int
read_permit(int64_t *ret_until)
{
    char path[TDE_PATH_MAX + 32];
    uint8_t text[TDE_PERMIT_LEN + 1];
    snprintf(path, sizeof(path), "%s/" TDE_PERMIT, tde_root());
    const int fd = tde_real()->open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO;
    const ssize_t n = tde_real()->read(fd, text, sizeof(text));
    tde_real()->close(fd);
    if (n < 0)
        return KS_E_IO;
    return tde_permit_check(tde_keys_bundle(), KS_SPAN(text, (size_t)n), time(NULL), ret_until);
}

static void
name_keys(void)
{
    const struct tde_bundle *bundle = tde_keys_bundle();
    char *to = tde_state.keys;
    for (uint32_t purpose = TDE_PURPOSE_REL; purpose <= TDE_PURPOSE_MISC; purpose++)
        for (uint32_t i = 0; i < bundle->count; i++) {
            if (bundle->keys[i].purpose != purpose || bundle->keys[i].state != TDE_KEY_ACTIVE)
                continue;
            for (size_t b = 0; b < TDE_BUNDLE_ID && to + 2 < tde_state.keys + sizeof(tde_state.keys); b++, to += 2)
                snprintf(to, 3, "%02x", bundle->keys[i].id[b]);
            break;
        }
}

/* LD_PRELOAD without this library, or without anything. */
static void
unset_preload(void)
{
    const char *value = getenv("LD_PRELOAD");
    char rest[TDE_PATH_MAX] = "";
    if (value == NULL)
        return;
    snprintf(preload, sizeof(preload), "%s", value);
    for (const char *p = value; *p != '\0';) {
        const size_t n = strcspn(p, ": ");
        char one[TDE_PATH_MAX];
        snprintf(one, sizeof(one), "%.*s", (int)n, p);
        if (n > 0 && strcmp(last_part(one), TDE_LIBRARY) != 0) {
            const size_t len = strlen(rest);
            snprintf(rest + len, sizeof(rest) - len, "%s%s", len > 0 ? ":" : "", one);
        }
        p += n;
        p += *p != '\0';
    }
    if (*rest != '\0')
        (void)setenv("LD_PRELOAD", rest, 1);
    else
        (void)unsetenv("LD_PRELOAD");
}

/* The descriptor that the environment names, which is taken out of it; -1: none. */
static int
given_fd(const char *variable)
{
    const char *value = getenv(variable);
    char *end;
    if (value == NULL || *value == '\0')
        return -1;
    const long fd = strtol(value, &end, 10);
    const bool good = *end == '\0' && fd >= 0 && fd < INT_MAX;
    (void)unsetenv(variable);
    return good ? (int)fd : -1;
}

static void
close_given(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static void
take_keys(unsigned which, int fd, const char *root)
{
    char why[TDE_PATH_MAX + 256];
    if (fd < 0) {
        if (tde_helper_run(root, &fd, why, sizeof(why)) != 0)
            give_up(why);
    }
    if (tde_keys_load_of(which, fd, why, sizeof(why)) != 0 || tde_check_of(which, root, why, sizeof(why)) != 0)
        give_up(why);
    /* Nobody of the same user is to read the keys out of this process. */
    (void)prctl(PR_SET_DUMPABLE, 0);
}

static bool
begins(const char *value, const char *word)
{
    return value != NULL && strncmp(value, word, strlen(word)) == 0;
}

/* What would write in the clear what comes in the clear: refused before anything is asked of a server. */
static void
check_receiver(int argc, const char *const *argv)
{
    if (strcmp(program->name, "pg_receivewal") == 0) {
        static const struct tde_options all = {"DEhpsSUZd", NULL};
        static const struct tde_option compress = {'Z', "--compress", 4};
        const char *how = tde_option_last(&all, argc, argv, &compress);
        if (how != NULL && strcmp(how, "0") != 0 && !begins(how, "none"))
            give_up("compressed segments would be written in the clear, and ciphertext cannot be compressed: leave out "
                    "--compress");
        return;
    }
    static const struct tde_options all = {"DFrTXZclhpUsSdit", NULL};
    static const struct tde_option format_option = {'F', "--format", 3}, wal_option = {'X', "--wal-method", 6};
    const char *format = tde_option_last(&all, argc, argv, &format_option);
    const char *wal = tde_option_last(&all, argc, argv, &wal_option);
    makes_tar = begins(format, "t");
    if (makes_tar && !begins(wal, "f") && !begins(wal, "n"))
        give_up("pg_wal.tar would be written in the clear: give --wal-method=fetch, or --format=plain");
}

bool
tde_process_receiver(void)
{
    return tde_active() && (program->what & (RECEIVES | SERVER)) != 0;
}

bool
tde_process_wants_clear(void)
{
    return wants_clear;
}

bool
tde_process_streams_raw(void)
{
    return streams_raw;
}

void
tde_process_receives(const char *keys)
{
    if (program == NULL || strcmp(program->name, "pg_basebackup") != 0)
        return;
    if (keys == NULL && makes_tar)
        give_up("this server sends the files in the clear, and they would be so in the tar: give --format=plain");
    if (keys != NULL && strcmp(keys, tde_state.keys) != 0)
        give_up(
            "the server sends the files as they are on its disk, encrypted with other keys than these: give the keys "
            "of that cluster, or ask for a backup in the clear (keystead pg exec --clear-backup), which it has to "
            "permit (keystead pg permit)");
    streams_raw = keys != NULL;
}

static bool
same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* "": none is named, or it is one that this program does without. */
static const char *
second_directory(int argc, const char *const *argv)
{
    const char *value = pair != NULL ? tde_option_last(&pair->options, argc, argv, &pair->second) : NULL;
    if (value == NULL && pair != NULL && pair->second_variable != NULL)
        value = getenv(pair->second_variable);
    return value != NULL ? value : "";
}

/* pg_upgrade and pg_rewind: the other cluster, which is encrypted under its own keys, or in the clear. */
static void
take_second(int argc, const char *const *argv, int fd)
{
    char why[2 * TDE_PATH_MAX + 300];
    const char *path = second_directory(argc, argv);
    if (*path == '\0') {
        close_given(fd);
        return; /* pg_rewind from a running server; pg_upgrade has its own words for it */
    }
    if (!has_file(path, "PG_VERSION")) {
        snprintf(why, sizeof(why), "\"%s\" is no data directory: name that itself, not a folder of its configuration",
                 path);
        give_up(why);
    }
    const bool encrypted = fd >= 0 || has_file(path, TDE_KEYRING);
    if (!tde_root_second(path, !encrypted)) {
        snprintf(why, sizeof(why), "\"%s\" and \"%s\" are the same data directory", tde_root(), path);
        give_up(why);
    }
    refuse_half_converted(path);
    if (encrypted)
        take_keys(1, fd, tde_root_of(1));
    const char *option = tde_pair_shares(pair, argc, argv, encrypted && tde_keys_same());
    if (option == NULL)
        return;
    snprintf(why, sizeof(why),
             "%s would give the cluster in \"%s\" files that are not encrypted with its keys: leave it out, so that "
             "they are "
             "copied; nothing was touched",
             option, tde_root());
    give_up(why);
}

static void
refuse_to_decrypt(int argc, const char *const *argv)
{
    char why[2 * TDE_PATH_MAX + 200];
    const char *path = second_directory(argc, argv);
    if (!has_file(path, TDE_KEYRING))
        return;
    snprintf(why, sizeof(why),
             "the cluster in \"%s\" is encrypted, and the one in \"%s\" is not: make that by \"keystead pg init\"",
             path, tde_root());
    give_up(why);
}

/*
 * What this process is given: its data directory, and the descriptors of the keys (-1: none). Of two clusters a program
 * that works on one has that which it is called for.
 */
static void
take_environment(int argc, const char *const *argv, char root[TDE_PATH_MAX], int fds[TDE_ROOTS])
{
    const char *from_env = getenv(TDE_ENV_ROOT), *second = getenv(TDE_ENV_ROOT_2);
    const char *own = data_directory(argc, argv);
    fds[0] = given_fd(TDE_ENV_FD);
    fds[1] = given_fd(TDE_ENV_FD_2);
    if (pair == NULL && second != NULL && same_folder(own, second)) {
        close_given(fds[0]);
        fds[0] = fds[1];
        fds[1] = -1;
    } else if (from_env != NULL && *from_env == '/' && (pair == NULL || *own == '\0')) {
        own = from_env;
    }
    snprintf(root, TDE_PATH_MAX, "%s", own);
    if (pair == NULL) {
        close_given(fds[1]);
        fds[1] = -1;
    }
    unset_preload();
    (void)unsetenv(TDE_ENV_ROOT);
    (void)unsetenv(TDE_ENV_ROOT_2);
    wants_clear = getenv(TDE_ENV_CLEAR) != NULL;
    (void)unsetenv(TDE_ENV_CLEAR);
}

static void
start_server(int argc, const char *const *argv)
{
    static const char *const boot[] = {"--boot"};
    must_be_guarded = !tde_option_among(argc, argv, lone_options, KS_ARRAY_LEN(lone_options));
    if (tde_option_among(argc, argv, boot, 1) && tde_check_write(tde_root()) != 0)
        give_up("the check values of the keys cannot be written to keystead/check in the data directory");
    tde_helper_path(tde_state.helper);
}

static void __attribute__((constructor)) start(int argc, char **words)
{
    const char *const *argv = (const char *const *)words;
    char self[TDE_PATH_MAX], root[TDE_PATH_MAX];
    int fds[TDE_ROOTS];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return;
    self[n] = '\0';
    program = find_program(last_part(self));
    if (program == NULL)
        return; /* the shell on its way to one of PostgreSQL's, for instance: it hands on what it has */
    pair = tde_pair_of(program->name);
    tde_real_find();
    take_environment(argc, argv, root, fds);
    if (tde_option_among(argc, argv, idle_options, KS_ARRAY_LEN(idle_options))) {
        close_given(fds[0]);
        close_given(fds[1]);
        return;
    }
    tde_root_set(root, (program->what & SPACES) != 0);
    if ((program->what & NO_KEYS) == 0)
        refuse_half_converted(tde_root());
    if (fds[0] < 0 && ((program->what & NO_KEYS) != 0 || !has_file(tde_root(), TDE_KEYRING))) {
        refuse_to_decrypt(argc, argv);
        close_given(fds[1]);
        return;
    }
    if ((program->what & RECEIVES) != 0)
        check_receiver(argc, argv);
    take_keys(0, fds[0], tde_root());
    if (pair != NULL)
        take_second(argc, argv, fds[1]);
    name_keys();
    if ((program->what & SERVER) != 0)
        start_server(argc, argv);
    tde_state.root = tde_root();
    tde_state.active = true;
}

bool
tde_process_keeps(int dirfd, const char *path)
{
    static const char folder[] = "keystead";
    char in[TDE_PATH_MAX];
    if (!tde_active() || program == NULL || (program->what & KEEPS) == 0 || !tde_root_relative(dirfd, path, in))
        return false;
    return strncmp(in, folder, sizeof(folder) - 1) == 0 &&
           (in[sizeof(folder) - 1] == '/' || in[sizeof(folder) - 1] == '\0');
}

void
tde_process_guarded(void)
{
    if (!must_be_guarded || tde_state.guarded)
        return;
    give_up("this cluster is encrypted, and would not be protected from a start without the encryption layer: "
            "add '" TDE_GUARD "' to shared_preload_libraries");
}

void
tde_process_unknown(const char *path)
{
    char in[TDE_PATH_MAX];
    if (tde_state.report != NULL && tde_root_relative(AT_FDCWD, path, in))
        tde_state.report(in);
}

/* The first word of a shell command is one of PostgreSQL's programs. */
static bool
command_is_ours(const char *command)
{
    char word[TDE_PATH_MAX];
    if (strncmp(command, "exec ", 5) == 0)
        command += 5;
    command += strspn(command, " ");
    const bool quoted = *command == '"';
    command += quoted;
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(command, quoted ? "\"" : " "), command);
    return find_program(last_part(word)) != NULL;
}

static char *
setting(const char *name, const char *value)
{
    char *text;
    return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

char **
tde_process_child(const char *path, const char *sh_command, char *const env[], int ret_fds[TDE_ROOTS])
{
    static const char *const fd_names[TDE_ROOTS] = {TDE_ENV_FD, TDE_ENV_FD_2};
    static const char *const root_names[TDE_ROOTS] = {TDE_ENV_ROOT, TDE_ENV_ROOT_2};
    for (unsigned root = 0; root < TDE_ROOTS; root++)
        ret_fds[root] = -1;
    if (program == NULL || (program->what & STARTS) == 0 || *preload == '\0')
        return NULL;
    if (sh_command != NULL ? !command_is_ours(sh_command) : find_program(last_part(path)) == NULL)
        return NULL;
    size_t n = 0;
    while (env != NULL && env[n] != NULL)
        n++;
    char **to = calloc(n + 2 + (size_t)2 * TDE_ROOTS, sizeof(*to));
    if (to == NULL)
        return NULL;
    size_t k = 0;
    to[k++] = setting("LD_PRELOAD", preload);
    for (unsigned root = 0; root < TDE_ROOTS && tde_keys_loaded(); root++) {
        if (tde_keys_loaded_of(root) && (ret_fds[root] = tde_keys_memfd_of(root)) >= 0) {
            char number[16];
            snprintf(number, sizeof(number), "%d", ret_fds[root]);
            to[k++] = setting(fd_names[root], number);
        }
        if (*tde_root_of(root) != '\0')
            to[k++] = setting(root_names[root], tde_root_of(root));
    }
    for (size_t i = 0; i < k; i++)
        if (to[i] == NULL) {
            tde_process_child_done(to, ret_fds);
            return NULL;
        }
    for (size_t i = 0; i < n; i++)
        if (strncmp(env[i], "LD_PRELOAD=", 11) != 0)
            to[k++] = env[i];
    return to;
}

void
tde_process_child_done(char **env, int fds[TDE_ROOTS])
{
    for (size_t i = 0; env != NULL && env[i] != NULL && i < 1 + 2 * TDE_ROOTS; i++)
        if (strncmp(env[i], "LD_PRELOAD=", 11) == 0 || strncmp(env[i], "KEYSTEAD_TDE_", 13) == 0)
            free(env[i]);
    free(env);
    for (unsigned root = 0; root < TDE_ROOTS; root++)
        close_given(fds[root]);
}
