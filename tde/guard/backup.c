#include "postgres.h"

#include "tde/guard/backup.h"

#include <ctype.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include <keystead/error.h>

#include "tde/bundle.h"

enum backup { CIPHERTEXT, CLEAR };

static const struct config_enum_entry backups[] = {
    {"ciphertext", CIPHERTEXT, false},
    {"clear", CLEAR, false},
    {NULL, 0, false},
};

static struct tde_state *layer;
static int backup = CIPHERTEXT;
static char *receiver, *keys;

/* The replication command that runs begins with this word. */
static bool
command_is(const char *word)
{
    const char *command = debug_query_string;
    if (command == NULL)
        return false;
    while (isspace((unsigned char)*command))
        command++;
    return pg_strncasecmp(command, word, strlen(word)) == 0;
}

/* Behind a quoted string or identifier that begins at p. */
static const char *
skip_quoted(const char *p)
{
    const char quote = *p++;
    while (*p != '\0' && *p != quote)
        p++;
    return *p != '\0' ? p + 1 : p;
}

/* BASE_BACKUP (..., VERIFY_CHECKSUMS false, ...), or NOVERIFY_CHECKSUMS of clients before 15. */
static bool
asks_not_to_verify(void)
{
    static const char *const off[] = {"0", "false", "off", "'false'", "'off'", "'0'"};
    for (const char *p = debug_query_string; *p != '\0';) {
        if (*p == '\'' || *p == '"') {
            p = skip_quoted(p);
            continue;
        }
        if (pg_strncasecmp(p, "NOVERIFY_CHECKSUMS", 18) == 0)
            return true;
        if (pg_strncasecmp(p, "VERIFY_CHECKSUMS", 16) != 0) {
            p++;
            continue;
        }
        for (p += 16; isspace((unsigned char)*p); p++)
            ;
        for (size_t i = 0; i < lengthof(off); i++)
            if (pg_strncasecmp(p, off[i], strlen(off[i])) == 0)
                return true;
    }
    return false;
}

/* Once for each command. */
static bool
first_of_command(void)
{
    static TimestampTz last;
    const TimestampTz now = GetCurrentStatementStartTimestamp();
    const bool first = now != last;
    last = now;
    return first;
}

static void
insist_on_permit(void)
{
    int64_t until = 0;
    const int rc = layer->permit(&until);
    const char *user = GetConfigOption("session_authorization", true, false);
    if (rc == 0) {
        if (first_of_command())
            ereport(LOG,
                    (errmsg("base backup in the clear for user \"%s\", by the permit that ends at %s",
                            user != NULL ? user : "?", timestamptz_to_str(time_t_to_timestamptz((pg_time_t)until)))));
        return;
    }
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg(until != 0 ? "the permit for base backups in the clear has ended"
                               : "base backups in the clear are not permitted"),
             rc == KS_E_NOT_FOUND || until != 0
                 ? 0
                 : errdetail("\"" TDE_PERMIT "\" in the data directory is damaged, or not this cluster's."),
             errhint("Take the backup as it is by default, which is ciphertext, or permit it on the server for some "
                     "time: keystead pg permit --clear-backup --for 1h.")));
}

static void
insist_on_ciphertext(void)
{
    if (DataChecksumsEnabled() && !asks_not_to_verify())
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("page checksums cannot be verified in a base backup that is sent as ciphertext"),
                        errdetail("What is taken for the page's position in WAL is noise, so that in a large database "
                                  "some pages would be reported as damaged."),
                        errhint("Use pg_basebackup --no-verify-checksums, and verify the cluster's own files by "
                                "\"keystead pg exec -- pg_checksums\" or pg_amcheck.")));
}

static void
insist_on_layer(void)
{
    if (receiver != NULL && strcmp(receiver, "layer") == 0)
        return;
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("write-ahead log is streamed in the clear, and this client does not say that it encrypts it"),
             errhint("For backups use pg_basebackup --wal-method=fetch, or run it, or pg_receivewal, by \"keystead pg "
                     "exec\". A standby says it by itself where the encryption layer is loaded.")));
}

/* Files that are opened for reading: what for. */
static enum tde_sends
sends(void)
{
    if (!am_walsender || MyWalSnd == NULL || debug_query_string == NULL)
        return TDE_SENDS_NOTHING;
    if (MyWalSnd->state == WALSNDSTATE_BACKUP && command_is("BASE_BACKUP")) {
        if (backup == CLEAR) {
            insist_on_permit();
            return TDE_SENDS_CLEAR;
        }
        insist_on_ciphertext();
        return TDE_SENDS_RAW;
    }
    if (command_is("START_REPLICATION") && (MyReplicationSlot == NULL || SlotIsPhysical(MyReplicationSlot)))
        insist_on_layer();
    return TDE_SENDS_NOTHING;
}

void
guard_backup_init(struct tde_state *state)
{
    layer = state;
    DefineCustomStringVariable(TDE_GUC_RECEIVER, "What a client of physical replication does with what it gets.",
                               "\"layer\": it encrypts it. Set by Keystead's encryption layer.", &receiver, "",
                               PGC_BACKEND, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
    DefineCustomEnumVariable(TDE_GUC_BACKUP, "How base backups are sent to this client.",
                             "\"clear\" needs a permit (keystead pg permit).", &backup, CIPHERTEXT, backups,
                             PGC_BACKEND, GUC_NOT_IN_SAMPLE | GUC_REPORT, NULL, NULL, NULL);
    DefineCustomStringVariable(TDE_GUC_KEYS, "Identifiers of the data keys.", NULL, &keys, state->keys, PGC_INTERNAL,
                               GUC_NOT_IN_SAMPLE | GUC_REPORT | GUC_DISALLOW_IN_FILE, NULL, NULL, NULL);
    state->sends = sends;
}
