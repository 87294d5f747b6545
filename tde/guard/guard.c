/*
 * keystead_guard, for shared_preload_libraries: an encrypted cluster does not start without the encryption layer, nor
 * with settings that would go around it. It runs before statistics files are read and before WAL is.
 */
#include "tde/guard/guard.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "tde/bundle.h"
#include "tde/guard/backup.h"
#include "tde/process.h"

PG_MODULE_MAGIC;

/* The server looks it up by this name. */
PGDLLEXPORT void _PG_init(void);

#define ADVICE "Start it as it was started before: with LD_PRELOAD naming " TDE_LIBRARY ", or by \"keystead pg exec\"."

/* Settings by which data would get to files, or past libc, without the layer. */
static const struct {
    const char *name, *bad, *instead;
} settings[] = {
    {"dynamic_shared_memory_type", "mmap", "posix"},
    {"io_method", "io_uring", "worker"},
};

static void
report_unknown(const char *path)
{
    static int reported;
    if (reported >= 100)
        return;
    reported++;
    ereport(LOG, (errmsg("file \"%s\" is not known to the encryption layer and is not encrypted", path)));
}

static void
check_settings(void)
{
    for (size_t i = 0; i < lengthof(settings); i++) {
        const char *value = GetConfigOption(settings[i].name, true, false);
        if (value != NULL && strcmp(value, settings[i].bad) == 0)
            ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                            errmsg("%s = %s would bypass the encryption of this cluster", settings[i].name, value),
                            errhint("Set %s = %s.", settings[i].name, settings[i].instead)));
    }
    const char *direct = GetConfigOption("debug_io_direct", true, false);
    if (direct != NULL && *direct != '\0')
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                        errmsg("debug_io_direct cannot be used in an encrypted cluster"), errhint("Remove it.")));
}

void
_PG_init(void)
{
    char path[MAXPGPATH];
    struct stat st;
    struct tde_state *(*layer)(void);
    void *symbol = dlsym(RTLD_DEFAULT, TDE_STATE_FUNCTION);
    const bool encrypted = snprintf(path, sizeof(path), "%s/" TDE_KEYRING, DataDir) > 0 && stat(path, &st) == 0;
    const bool making = snprintf(path, sizeof(path), "%s/" TDE_CHECK, DataDir) > 0 && stat(path, &st) == 0;
    if (!process_shared_preload_libraries_in_progress)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg(TDE_GUARD " is for shared_preload_libraries alone")));
    memcpy(&layer, &symbol, sizeof(layer));
    struct tde_state *state = layer != NULL ? layer() : NULL;
    if (snprintf(path, sizeof(path), "%s/" TDE_CONVERTING, DataDir) > 0 && stat(path, &st) == 0)
        ereport(FATAL,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("the conversion of this cluster is not finished"),
                 errhint("Run the \"keystead pg\" command that was begun (encrypt, decrypt or rotate) once more.")));
    if (!encrypted && !making && (state == NULL || !state->active))
        return;
    if (state == NULL) {
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                        errmsg("this cluster is encrypted, and the encryption layer is not loaded"), errhint(ADVICE)));
        return; /* not reached */
    }
    if (state->version != TDE_LAYER_VERSION)
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                        errmsg("the encryption layer is of version %u, and " TDE_GUARD " of version %u", state->version,
                               TDE_LAYER_VERSION),
                        errhint("Install both from the same package of Keystead, and start again.")));
    if (!state->active)
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                        errmsg("this cluster is encrypted, and the encryption layer found no keys for it"),
                        errdetail("The data directory is \"%s\".", DataDir), errhint(ADVICE)));
    check_settings();
    state->report = report_unknown;
    guard_backup_init(state);
    state->guarded = true;
    if (!IsBinaryUpgrade)
        guard_lease_init(state->helper);
}
