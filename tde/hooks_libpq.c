/*
 * Connections for physical replication: what receives WAL under the layer encrypts it, and says so to the server, which
 * would not send it otherwise; and a server that is encrypted itself says which keys its base backups need.
 *
 * libpq is not linked: the program has it, or it comes with libpqwalreceiver. Only the two functions that PostgreSQL's
 * programs connect by are stepped into; all other connections pass.
 */
#include "tde/hooks.h"

#include <dlfcn.h>
#include <string.h>

typedef struct pg_conn PGconn;

/* libpq-fe.h's */
struct conninfo {
    char *keyword, *envvar, *compiled, *val, *label, *dispchar;
    int dispsize;
};

static void *
libpq(const char *name)
{
    void *library = dlopen("libpq.so.5", RTLD_LAZY | RTLD_NOLOAD);
    void *found = library != NULL ? dlsym(library, name) : NULL;
    if (library != NULL)
        dlclose(library); /* whoever calls us holds it */
    return found != NULL ? found : dlsym(RTLD_NEXT, name);
}

/* A function of libpq's, by a type that fits it. */
#define LIBPQ(var, name)                                                                                               \
    do {                                                                                                               \
        void *symbol_ = libpq(name);                                                                                   \
        memcpy(&(var), &symbol_, sizeof(var));                                                                         \
    } while (0)

static bool
is_physical(const char *value)
{
    static const char *const not [] = {"database", "false", "off", "no", "0", ""};
    for (size_t i = 0; i < KS_ARRAY_LEN(not ); i++)
        if (strcasecmp(value, not [i]) == 0)
            return false;
    return true;
}

/* "options" of a connection string; to be freed; NULL: it has none, or is no such string. */
static char *
options_in(const char *text)
{
    struct conninfo *(*parse)(const char *, char **);
    void (*done)(struct conninfo *);
    char *found = NULL;
    LIBPQ(parse, "PQconninfoParse");
    LIBPQ(done, "PQconninfoFree");
    if (parse == NULL || done == NULL || (strchr(text, '=') == NULL && strncmp(text, "postgres", 8) != 0))
        return NULL;
    struct conninfo *all = parse(text, NULL);
    for (const struct conninfo *i = all; i != NULL && i->keyword != NULL; i++)
        if (found == NULL && strcmp(i->keyword, "options") == 0 && i->val != NULL)
            found = strdup(i->val);
    if (all != NULL)
        done(all);
    return found;
}

struct params {
    const char **keywords, **values;
    char *options;
};

static void
params_done(struct params *p)
{
    free(p->keywords);
    free(p->values);
    free(p->options);
}

/* The caller's parameters, and what is said to the server behind them. false: they stay as they are. */
static bool
with_claim(const char *const *keywords, const char *const *values, int expand, struct params *ret)
{
    size_t n = 0;
    bool physical = false;
    const char *given = NULL;
    char *parsed = NULL;
    for (; keywords[n] != NULL; n++) {
        if (values[n] == NULL)
            continue;
        if (strcmp(keywords[n], "replication") == 0)
            physical = is_physical(values[n]);
        else if (strcmp(keywords[n], "options") == 0)
            given = values[n];
        else if (strcmp(keywords[n], "dbname") == 0 && expand != 0 && parsed == NULL)
            parsed = options_in(values[n]);
    }
    if (!physical) {
        free(parsed);
        return false;
    }
    if (given == NULL)
        given = parsed != NULL ? parsed : getenv("PGOPTIONS");
    *ret = (struct params){calloc(n + 2, sizeof(char *)), calloc(n + 2, sizeof(char *)), NULL};
    const int len = asprintf(&ret->options, "-c " TDE_GUC_RECEIVER "=layer%s%s%s",
                             tde_process_wants_clear() ? " -c " TDE_GUC_BACKUP "=clear" : "", given != NULL ? " " : "",
                             given != NULL ? given : "");
    free(parsed);
    if (len < 0)
        ret->options = NULL;
    if (ret->keywords == NULL || ret->values == NULL || len < 0) {
        params_done(ret);
        return false;
    }
    memcpy(ret->keywords, keywords, n * sizeof(char *));
    memcpy(ret->values, values, n * sizeof(char *));
    ret->keywords[n] = "options";
    ret->values[n] = ret->options;
    return true;
}

/* libpq calls the one from the other. */
static __thread bool inside;

TDE_HOOK(PGconn *, PQconnectStartParams, (const char *const *keywords, const char *const *values, int expand))
{
    PGconn *(*real)(const char *const *, const char *const *, int);
    struct params p;
    LIBPQ(real, "PQconnectStartParams");
    if (real == NULL || inside || !tde_process_receiver() || !with_claim(keywords, values, expand, &p))
        return real != NULL ? real(keywords, values, expand) : NULL;
    PGconn *conn = real(p.keywords, p.values, expand);
    params_done(&p);
    return conn;
}

TDE_HOOK(PGconn *, PQconnectdbParams, (const char *const *keywords, const char *const *values, int expand))
{
    PGconn *(*real)(const char *const *, const char *const *, int);
    const char *(*reported)(const PGconn *, const char *);
    int (*status)(const PGconn *);
    struct params p;
    LIBPQ(real, "PQconnectdbParams");
    LIBPQ(reported, "PQparameterStatus");
    LIBPQ(status, "PQstatus");
    if (real == NULL || reported == NULL || status == NULL || !tde_process_receiver() ||
        !with_claim(keywords, values, expand, &p))
        return real != NULL ? real(keywords, values, expand) : NULL;
    inside = true;
    PGconn *conn = real(p.keywords, p.values, expand);
    inside = false;
    params_done(&p);
    if (conn == NULL || status(conn) != 0)
        return conn;
    const char *keys = reported(conn, TDE_GUC_KEYS), *backup = reported(conn, TDE_GUC_BACKUP);
    tde_process_receives(backup != NULL && strcmp(backup, "ciphertext") == 0 ? keys : NULL);
    return conn;
}
