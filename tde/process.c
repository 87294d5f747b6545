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
};

static const struct program {
    const char *name;
    unsigned what;
} programs[] = {
    {"postgres", SERVER},
    {"initdb", STARTS},
    {"pg_ctl", STARTS | NO_KEYS},
    {"pg_upgrade", STARTS | SPACES},
    {"pg_rewind", STARTS},
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

static const char *const data_options[] = {"-D", "--pgdata", "--target-pgdata", "--data"};
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

static bool
is_one_of(const char *arg, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(arg, words[i]) == 0)
            return true;
    return false;
}

static bool
has_option(int argc, char **argv, const char *const *words, size_t n)
{
    for (int i = 1; i < argc; i++)
        if (is_one_of(argv[i], words, n))
            return true;
    return false;
}

/* The value of an option in any of its forms: -D dir, -Ddir, --pgdata dir, --pgdata=dir. */
static const char *
option_value(const char *option, const char *arg, const char *next)
{
    const size_t n = strlen(option);
    if (strncmp(arg, option, n) != 0)
        return NULL;
    if (arg[n] == '\0')
        return next;
    if (option[1] != '-')
        return arg + n;
    return arg[n] == '=' ? arg + n + 1 : NULL;
}

static const char *
data_directory(int argc, char **argv)
{
    const char *from_env = getenv(TDE_ENV_ROOT);
    if (from_env != NULL && *from_env == '/')
        return from_env;
    for (int i = 1; i < argc; i++)
        for (size_t o = 0; o < KS_ARRAY_LEN(data_options); o++) {
            const char *value = option_value(data_options[o], argv[i], i + 1 < argc ? argv[i + 1] : NULL);
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

/* The descriptor that the environment names; -1: none. */
static int
given_fd(void)
{
    const char *value = getenv(TDE_ENV_FD);
    char *end;
    if (value == NULL || *value == '\0')
        return -1;
    const long fd = strtol(value, &end, 10);
    return *end == '\0' && fd >= 0 && fd < INT_MAX ? (int)fd : -1;
}

static void
take_keys(int fd, const char *root)
{
    char why[512];
    if (fd < 0) {
        if (tde_helper_run(root, &fd, why, sizeof(why)) != 0)
            give_up(why);
    }
    if (tde_keys_load(fd, why, sizeof(why)) != 0 || tde_check(root, why, sizeof(why)) != 0)
        give_up(why);
    /* Nobody of the same user is to read the keys out of this process. */
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/*
 * The value of an option of one letter, or of its long form; NULL: not given, else the last one. with: the letters that
 * take a value, since those that do not may stand in front of it (-vPFt).
 */
static const char *
letter_value(int argc, char **argv, const char *with, char letter, const char *name)
{
    const char *value = NULL;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
        if (arg[0] != '-' || strcmp(arg, "--") == 0)
            continue;
        if (arg[1] == '-') {
            const char *given = option_value(name, arg, next);
            value = given != NULL ? given : value;
            continue;
        }
        for (arg++; *arg != '\0'; arg++) {
            if (strchr(with, *arg) == NULL)
                continue;
            const char *given = arg[1] != '\0' ? arg + 1 : next;
            if (*arg == letter)
                value = given;
            i += arg[1] == '\0'; /* its value is a word of its own */
            break;
        }
    }
    return value;
}

static bool
begins(const char *value, const char *word)
{
    return value != NULL && strncmp(value, word, strlen(word)) == 0;
}

/* What would write in the clear what comes in the clear: refused before anything is asked of a server. */
static void
check_receiver(int argc, char **argv)
{
    if (strcmp(program->name, "pg_receivewal") == 0) {
        const char *how = letter_value(argc, argv, "DEhpsSUZd", 'Z', "--compress");
        if (how != NULL && strcmp(how, "0") != 0 && !begins(how, "none"))
            give_up("compressed segments would be written in the clear, and ciphertext cannot be compressed: leave out "
                    "--compress");
        return;
    }
    static const char letters[] = "DFrTXZclhpUsSdit";
    const char *format = letter_value(argc, argv, letters, 'F', "--format");
    const char *wal = letter_value(argc, argv, letters, 'X', "--wal-method");
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

static void __attribute__((constructor)) start(int argc, char **argv)
{
    char self[TDE_PATH_MAX], root[TDE_PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return;
    self[n] = '\0';
    program = find_program(last_part(self));
    if (program == NULL)
        return; /* the shell on its way to one of PostgreSQL's, for instance: it hands on what it has */
    tde_real_find();
    const int fd = given_fd();
    snprintf(root, sizeof(root), "%s", data_directory(argc, argv));
    unset_preload();
    (void)unsetenv(TDE_ENV_FD);
    (void)unsetenv(TDE_ENV_ROOT);
    wants_clear = getenv(TDE_ENV_CLEAR) != NULL;
    (void)unsetenv(TDE_ENV_CLEAR);
    if (has_option(argc, argv, idle_options, KS_ARRAY_LEN(idle_options))) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    tde_root_set(root, (program->what & SPACES) != 0);
    if ((program->what & NO_KEYS) == 0)
        refuse_half_converted(tde_root());
    if (fd < 0 && ((program->what & NO_KEYS) != 0 || !has_file(tde_root(), TDE_KEYRING)))
        return;
    if ((program->what & RECEIVES) != 0)
        check_receiver(argc, argv);
    take_keys(fd, tde_root());
    name_keys();
    must_be_guarded =
        (program->what & SERVER) != 0 && !has_option(argc, argv, lone_options, KS_ARRAY_LEN(lone_options));
    static const char *const boot[] = {"--boot"};
    if ((program->what & SERVER) != 0 && has_option(argc, argv, boot, 1) && tde_check_write(tde_root()) != 0)
        give_up("the check values of the keys cannot be written to keystead/check in the data directory");
    tde_state.root = tde_root();
    if ((program->what & SERVER) != 0)
        tde_helper_path(tde_state.helper);
    tde_state.active = true;
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
tde_process_child(const char *path, const char *sh_command, char *const env[], int *ret_fd)
{
    *ret_fd = -1;
    if (program == NULL || (program->what & STARTS) == 0 || *preload == '\0')
        return NULL;
    if (sh_command != NULL ? !command_is_ours(sh_command) : find_program(last_part(path)) == NULL)
        return NULL;
    size_t n = 0;
    while (env != NULL && env[n] != NULL)
        n++;
    char **to = calloc(n + 4, sizeof(*to));
    if (to == NULL)
        return NULL;
    size_t k = 0;
    to[k++] = setting("LD_PRELOAD", preload);
    if (tde_keys_loaded() && (*ret_fd = tde_keys_memfd()) >= 0) {
        char number[16];
        snprintf(number, sizeof(number), "%d", *ret_fd);
        to[k++] = setting(TDE_ENV_FD, number);
        to[k++] = setting(TDE_ENV_ROOT, tde_root());
    }
    for (size_t i = 0; i < k; i++)
        if (to[i] == NULL) {
            tde_process_child_done(to, *ret_fd);
            return NULL;
        }
    for (size_t i = 0; i < n; i++)
        if (strncmp(env[i], "LD_PRELOAD=", 11) != 0)
            to[k++] = env[i];
    return to;
}

void
tde_process_child_done(char **env, int fd)
{
    for (size_t i = 0; env != NULL && env[i] != NULL && i < 3; i++)
        if (strncmp(env[i], "LD_PRELOAD=", 11) == 0 || strncmp(env[i], "KEYSTEAD_TDE_", 13) == 0)
            free(env[i]);
    free(env);
    if (fd >= 0)
        (void)close(fd);
}
