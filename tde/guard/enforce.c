/* What is refused while the key is withdrawn: new sessions, or every change of data (lease.c says which is in force).
 */
#include "tde/guard/guard.h"

#include <sys/socket.h>

/* Nothing of Kerberos is used here, and its headers may not be there: struct Port is the same without (libpq-be.h). */
#undef ENABLE_GSS

#include "access/xact.h"
#include "executor/executor.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#define STATE "SHOW keystead.key_state (as a superuser), and the server's log, say more."

static ClientAuthentication_hook_type next_authentication;
static ExecutorStart_hook_type next_executor;
static ProcessUtility_hook_type next_utility;

/* ---- New sessions ---- */

/* Those who are to mend it get in: what they could read they could read from memory too. */
static bool
is_let_in(const Port *port)
{
    const Oid role = port->raddr.addr.ss_family == AF_UNIX ? get_role_oid(port->user_name, true) : InvalidOid;
    return OidIsValid(role) && superuser_arg(role);
}

/* Whoever is not who he says learns nothing of the key. */
static void
authentication(Port *port, int status)
{
    if (next_authentication != NULL)
        next_authentication(port, status);
    if (status != STATUS_OK || guard_policy() < GUARD_REFUSE_SESSIONS || is_let_in(port))
        return;
    ereport(FATAL, (errcode(ERRCODE_CANNOT_CONNECT_NOW),
                    errmsg("the key of this cluster is withdrawn: new sessions are refused"),
                    errdetail("Superusers are let in on the server's local socket."), errhint(STATE)));
}

/* ---- Changes of data ---- */

static bool
is_read_only(void)
{
    return guard_policy() == GUARD_READ_ONLY && IsUnderPostmaster && MyBackendType != B_AUTOVAC_WORKER;
}

static void
why_read_only(void *arg)
{
    (void)arg;
    errcontext("The key of this cluster is withdrawn, and the cluster read-only. " STATE);
}

/*
 * Every statement finds its transaction read-only, whatever was set before it; then PostgreSQL itself refuses what
 * writes, and the context of its error says why.
 */
static void
executor(QueryDesc *query, int flags)
{
    ErrorContextCallback context = {.previous = error_context_stack, .callback = why_read_only};
    const bool read_only = is_read_only();
    if (read_only) {
        XactReadOnly = true;
        error_context_stack = &context;
    }
    if (next_executor != NULL)
        next_executor(query, flags);
    else
        standard_ExecutorStart(query, flags);
    if (read_only)
        error_context_stack = context.previous;
}

#if PG_VERSION_NUM >= 140000
#define TREE_PARAMETER bool read_only_tree,
#define TREE read_only_tree,
#else
#define TREE_PARAMETER
#define TREE
#endif

static void
utility(PlannedStmt *statement, const char *text, TREE_PARAMETER ProcessUtilityContext where, ParamListInfo params,
        QueryEnvironment *environment, DestReceiver *to, QueryCompletion *completion)
{
    ErrorContextCallback context = {.previous = error_context_stack, .callback = why_read_only};
    const bool read_only = is_read_only() && IsTransactionState();
    if (read_only) {
        XactReadOnly = true;
        error_context_stack = &context;
    }
    if (next_utility != NULL)
        next_utility(statement, text, TREE where, params, environment, to, completion);
    else
        standard_ProcessUtility(statement, text, TREE where, params, environment, to, completion);
    if (read_only)
        error_context_stack = context.previous;
}

/* And what PostgreSQL does not refuse to read-only transactions, or was written before: it is not committed. */
static void
transaction(XactEvent event, void *arg)
{
    (void)arg;
    if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) || !is_read_only() ||
        !TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return;
    ereport(ERROR,
            (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("this transaction has written, and is rolled back"),
             errdetail("The key of this cluster is withdrawn, and the cluster read-only."), errhint(STATE)));
}

void
guard_enforce_init(void)
{
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = authentication;
    next_executor = ExecutorStart_hook;
    ExecutorStart_hook = executor;
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = utility;
    RegisterXactCallback(transaction, NULL);
}
