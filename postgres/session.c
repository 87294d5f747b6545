#include "postgres/session.h"

#include <limits.h>

#include "access/xact.h"
#include "base/text.h"
#include "postgres/key_cache.h"
#include "postgres/report.h"
#include "postgres/settings.h"
#include "storage/ipc.h"
#include "utils/timeout.h"

enum { CACHE_MAX = 128 };

static struct {
    struct ks_kms *kms;
    struct ks_key_cache *cache;
    uint64_t settings_generation; /* of the settings that both were made with */
    TimeoutId timeout;
    bool registered;
} session;

/* Runs in a signal handler. */
static void
time_is_up(void)
{
    if (session.cache != NULL)
        ks_key_cache_clear(session.cache);
}

/*
 * Sets the timer for the key that ends first; it wipes all then. Keys come and go together as far as anyone can
 * tell: the next use asks again.
 */
static void
arm_timer(void)
{
    if (session.cache == NULL)
        return;
    const int64_t next = ks_key_cache_next_end(session.cache);
    if (next == INT64_MAX)
        return;
    const int64_t left = next - ks_monotonic_ms();
    enable_timeout_after(session.timeout, left > 1 ? (int)Min(left, INT_MAX) : 1);
}

/*
 * PostgreSQL disables all timers when an error reaches the client, and ends the transaction or subtransaction then.
 * In a transaction block that stays failed the next error would disable them again and call nobody, so the keys go
 * now: there is no use for them before the block is rolled back.
 */
static void
failed(void)
{
    if (session.cache == NULL || ks_key_cache_count(session.cache) == 0 || ks_timeout_active(session.timeout))
        return;
    if (IsTransactionBlock())
        ks_key_cache_clear(session.cache);
    else
        arm_timer();
}

static void
transaction_ended(XactEvent event, void *arg)
{
    (void)arg;
    if (event == XACT_EVENT_ABORT)
        failed();
}

static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    (void)id;
    (void)parent;
    (void)arg;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        failed();
}

static void
at_exit(int code, Datum arg)
{
    (void)code;
    (void)arg;
    ks_session_end();
}

static void
register_once(void)
{
    if (session.registered)
        return;
    session.timeout = RegisterTimeout(USER_TIMEOUT, time_is_up);
    RegisterXactCallback(transaction_ended, NULL);
    RegisterSubXactCallback(subtransaction_ended, NULL);
    on_proc_exit(at_exit, 0);
    session.registered = true;
}

static void
follow_settings(void)
{
    if (session.settings_generation == ks_settings_generation)
        return;
    (void)ks_session_forget_keys();
    ks_kms_free(session.kms);
    session.kms = NULL;
    session.settings_generation = ks_settings_generation;
}

struct ks_kms *
ks_session_kms(void)
{
    follow_settings();
    if (session.kms != NULL)
        return session.kms;
    register_once();
    if (ks_settings.config_file[0] == '\0' && ks_settings.servers[0] == '\0')
        ereport(
            ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("no key management server is configured"),
            errhint("Set keystead.config_file to the file that \"keystead client enroll\" wrote, or keystead.servers, "
                    "keystead.ca_file, keystead.certificate_file and keystead.key_file."));
    const struct ks_kms_config config = {
        .config_file = ks_settings.config_file,
        .servers = ks_settings.servers,
        .ca_file = ks_settings.ca_file,
        .certificate_file = ks_settings.certificate_file,
        .key_file = ks_settings.key_file,
        .connect_timeout_ms = ks_settings.connect_timeout_ms,
        .request_timeout_ms = ks_settings.request_timeout_ms,
        .interrupted = ks_report_interrupted,
    };
    struct ks_error error = {0};
    const int rc = ks_kms_new(&config, &session.kms, &error);
    if (rc != 0) {
        /* Whatever is wrong with a file is a wrong setting: there was no server to refuse anything. */
        if (rc != KS_E_NOMEM)
            error.code = KS_E_CONFIG;
        ks_report_kms(&error, "could not prepare the connection to the key management server");
    }
    return session.kms;
}

bool
ks_session_find_key(const struct ks_value_key *which, struct ks_key32 *ret)
{
    follow_settings();
    return session.cache != NULL && ks_key_cache_find(session.cache, which, ks_monotonic_ms(), ret);
}

void
ks_session_prepare_cache(void)
{
    if (session.cache != NULL || ks_settings.data_key_cache_ttl_s == 0)
        return;
    register_once();
    const int rc = ks_key_cache_new(CACHE_MAX, &session.cache);
    if (rc != 0)
        ks_report_local(rc, NULL, "could not set up memory for data keys");
}

void
ks_session_keep_key(const struct ks_value_key *which, const struct ks_key32 *key, int64_t asked_ms)
{
    if (session.cache == NULL || ks_settings.data_key_cache_ttl_s == 0)
        return;
    ks_key_cache_add(session.cache, which, key, asked_ms + (int64_t)1000 * ks_settings.data_key_cache_ttl_s);
    arm_timer();
}

size_t
ks_session_forget_keys(void)
{
    if (session.cache == NULL)
        return 0;
    const size_t n = ks_key_cache_count(session.cache);
    ks_key_cache_clear(session.cache);
    return n;
}

void
ks_session_end(void)
{
    struct ks_key_cache *cache = session.cache;
    session.cache = NULL; /* before it goes: the timer may strike */
    ks_key_cache_free(cache);
    ks_kms_free(session.kms);
    session.kms = NULL;
}
