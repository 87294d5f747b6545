/* The module: what runs when PostgreSQL loads it. */
#include "postgres/compat.h"

#include "postgres/session.h"
#include "postgres/settings.h"

KS_MODULE_MAGIC("keystead", "0.1");

PGDLLEXPORT void _PG_init(void);

static ProcessUtility_hook_type next_utility;

/* DISCARD ALL makes a session as good as new: it holds no keys then. */
static void
utility(KS_UTILITY_PARAMS)
{
    if (IsA(pstmt->utilityStmt, DiscardStmt) && ((DiscardStmt *)pstmt->utilityStmt)->target == DISCARD_ALL)
        (void)ks_session_forget_keys();
    if (next_utility != NULL)
        next_utility(KS_UTILITY_ARGS);
    else
        standard_ProcessUtility(KS_UTILITY_ARGS);
}

void
_PG_init(void)
{
    ks_settings_define();
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = utility;
}
