/*
 * PostgreSQL 13 to 18: every difference between versions is here, and postgres.h comes in through here.
 *
 * The server's headers come before ours: they set macros (like _FORTIFY_SOURCE's needs and printf's replacement)
 * that must hold for the whole file.
 */
#pragma once

#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 130000
#error "PostgreSQL 13 or newer is needed"
#endif

/* We compile with hidden symbols; what PostgreSQL calls by name is marked, by PostgreSQL itself from 16 on. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* pg_attribute_noreturn() went in 18. */
#define KS_NORETURN __attribute__((noreturn))

/* Declares a function that SQL calls. */
#define KS_SQL_FUNCTION(name)                                                                                          \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                          \
    PG_FUNCTION_INFO_V1(name)

/* Refuses settings under our prefix that do not exist (15), or at least warns about them. */
#if PG_VERSION_NUM >= 150000
#define ks_guc_prefix_reserved(prefix) MarkGUCPrefixReserved(prefix)
#else
#define ks_guc_prefix_reserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* Whether a timer runs; 13 does not tell, and "no" is the answer that is safe for its one user (session.c). */
#if PG_VERSION_NUM >= 140000
#define ks_timeout_active(id) get_timeout_active(id)
#else
#define ks_timeout_active(id) ((void)(id), false)
#endif

/* ProcessUtility's hook got an argument in 14. */
#if PG_VERSION_NUM >= 140000
#define KS_UTILITY_PARAMS                                                                                              \
    PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context, ParamListInfo params,   \
        QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion
#define KS_UTILITY_ARGS pstmt, query, read_only_tree, context, params, environment, dest, completion
#else
#define KS_UTILITY_PARAMS                                                                                              \
    PlannedStmt *pstmt, const char *query, ProcessUtilityContext context, ParamListInfo params,                        \
        QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion
#define KS_UTILITY_ARGS pstmt, query, context, params, environment, dest, completion
#endif

/* 18 shows a module's name and version in pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define KS_MODULE_MAGIC(module_name, module_version)                                                                   \
    PG_MODULE_MAGIC_EXT(.name = (module_name), .version = (module_version))
#else
#define KS_MODULE_MAGIC(module_name, module_version) PG_MODULE_MAGIC
#endif
