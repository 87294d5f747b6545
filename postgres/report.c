#include "postgres/report.h"

#include "base/err.h"
#include "base/text.h"
#include "mb/pg_wchar.h"

/* What a failure is in SQL. Programs that want to try again later look for class 08. */
static const struct row {
    int code;
    int sqlstate;
    const char *hint; /* NULL: none */
} ROWS[] = {
    {KS_E_CONNECT, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
     "Is a key management server running and reachable from here? keystead.servers and keystead.config_file say where "
     "it is looked for."},
    {KS_E_TLS, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
     "Check keystead.ca_file, keystead.certificate_file and keystead.key_file (or the files that keystead.config_file "
     "names), and that the certificates are valid now."},
    {KS_E_TIMEOUT, ERRCODE_CONNECTION_FAILURE,
     "The key management server is down, hung or slow. keystead.connect_timeout and keystead.request_timeout bound the "
     "wait."},
    {KS_E_CLOSED, ERRCODE_CONNECTION_FAILURE, "Try again; see the key management server's log if it stays."},
    {KS_E_SEALED, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
     "The key management server was started but not unsealed: its operator has to unseal it."},
    {KS_E_DENIED, ERRCODE_INSUFFICIENT_PRIVILEGE,
     "Ask the key administrator: the key was revoked, or this database's certificate may not use it."},
    {KS_E_NOT_FOUND, ERRCODE_UNDEFINED_OBJECT,
     "The key does not exist at this key management server, or this database's certificate may not see it."},
    {KS_E_EXISTS, ERRCODE_DUPLICATE_OBJECT,
     "Take another name, or destroy that key at the key management server if it was left by a create_key that was "
     "rolled back."},
    {KS_E_CONFIG, ERRCODE_CONFIG_FILE_ERROR, "Check the settings whose names begin with \"keystead.\"."},
    {KS_E_CORRUPT, ERRCODE_DATA_CORRUPTED,
     "The key management server gave a wrong key, or the row in keystead.data_key was changed: compare with a backup."},
    {KS_E_NOMEM, ERRCODE_OUT_OF_MEMORY, NULL},
    {KS_E_UNSUPPORTED, ERRCODE_FEATURE_NOT_SUPPORTED,
     "The key management server has to offer KMIP 1.4 or later with Encrypt and Decrypt (AES-GCM)."},
};

/* The same for what a server that answered gives as reason. */
static const struct reason {
    uint32_t reason;
    int sqlstate;
    const char *hint;
} REASONS[] = {
    {KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE, ERRCODE_INSUFFICIENT_PRIVILEGE,
     "The key was revoked, or its dates do not allow this now. Ask the key administrator."},
    {KMIP_RESULT_REASON_OBJECT_DESTROYED, ERRCODE_INSUFFICIENT_PRIVILEGE,
     "The key was destroyed at the key management server; what it protects cannot be read any more."},
    {KMIP_RESULT_REASON_OBJECT_ARCHIVED, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
     "The key administrator has to recover the key from the archive first."},
    {KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE, ERRCODE_DATA_CORRUPTED,
     "The wrapped data key does not belong to this key, version and database, or was changed."},
};

static struct row
look_up(const struct ks_error *error)
{
    if (error->answered)
        for (size_t i = 0; i < lengthof(REASONS); i++)
            if (REASONS[i].reason == error->result_reason)
                return (struct row){error->code, REASONS[i].sqlstate, REASONS[i].hint};
    for (size_t i = 0; i < lengthof(ROWS); i++)
        if (ROWS[i].code == error->code)
            return ROWS[i];
    return (struct row){error->code, ERRCODE_SYSTEM_ERROR, NULL};
}

/*
 * " (server kms1:5696, KMIP reason Item Not Found)", as far as it is known and not said in the message. In the current
 * memory context.
 */
static const char *
circumstances(const struct ks_error *error)
{
    const char *reason = NULL;
    if (error->answered && error->result_reason != 0) {
        reason = ks_client_enum_name(KMIP_TAG_RESULT_REASON, error->result_reason);
        if (reason == NULL)
            reason = psprintf("0x%08X", error->result_reason);
    }
    const char *server = strstr(error->message, error->server) == NULL ? error->server : "";
    if (server[0] == '\0' && reason == NULL)
        return "";
    return psprintf(" (%s%s%s%s%s)", server[0] != '\0' ? "server " : "", server,
                    server[0] != '\0' && reason != NULL ? ", " : "", reason != NULL ? "KMIP reason " : "",
                    reason != NULL ? reason : "");
}

const char *
ks_report_text(const char *message)
{
    char *text = pstrdup(message);
    if (GetDatabaseEncoding() == PG_UTF8 && ks_utf8_valid(ks_span_str(text)))
        return text;
    for (char *p = text; *p != '\0'; p++)
        if (IS_HIGHBIT_SET(*p))
            *p = '?';
    return text;
}

void
ks_report_kms(const struct ks_error *error, const char *what, ...)
{
    if (error->code == KS_E_CANCELLED) {
        CHECK_FOR_INTERRUPTS(); /* does not come back, unless interrupts are held off here */
        ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to user request"));
    }
    char sentence[256];
    va_list args;
    va_start(args, what);
    (void)vsnprintf(sentence, sizeof(sentence), what, args); /* cut if too long: it is for people */
    va_end(args);
    const struct row row = look_up(error);
    const char *message = error->message[0] != '\0' ? error->message : ks_client_error_text(error->code);
    ereport(ERROR, errcode(row.sqlstate), errmsg("%s", sentence),
            errdetail("%s%s.", ks_report_text(message), circumstances(error)),
            row.hint != NULL ? errhint("%s", row.hint) : 0);
    pg_unreachable();
}

void
ks_report_local(int code, const char *detail, const char *what)
{
    ereport(ERROR, errcode(code == KS_E_NOMEM ? ERRCODE_OUT_OF_MEMORY : ERRCODE_SYSTEM_ERROR), errmsg("%s", what),
            errdetail("%s.", detail != NULL && detail[0] != '\0' ? detail : ks_client_error_text(code)));
    pg_unreachable();
}

int
ks_report_interrupted(void *arg)
{
    (void)arg;
    return InterruptPending && (QueryCancelPending || ProcDiePending);
}
