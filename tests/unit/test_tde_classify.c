#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "tde/classify.h"

#define SEGMENT "000000010000000A000000FF"

static const struct {
    int major;
    const char *path;
    enum tde_class class;
    const char *identity;
} cases[] = {
    {15, "base/5/1259", TDE_REL, "5/1259"},
    {15, "base/5/1259_fsm", TDE_REL, "5/1259_fsm"},
    {15, "base/5/1259_vm.1", TDE_REL, "5/1259_vm.1"},
    {15, "base/5/16384_init", TDE_REL, "5/16384_init"},
    {15, "base/5/16384.12", TDE_REL, "5/16384.12"},
    {15, "base/5/t3_16384", TDE_REL, "5/t3_16384"},
    {15, "global/1262", TDE_REL, "global/1262"},
    {15, "pg_tblspc/16400/PG_15_202209061/5/1259_vm", TDE_REL, "5/1259_vm"},
    {15, "base/5/pg_filenode.map", TDE_STATE, "5/pg_filenode.map"},
    {16, "base/5/pg_filenode.map.tmp", TDE_STATE, "5/pg_filenode.map"},
    {15, "global/pg_filenode.map", TDE_STATE, "global/pg_filenode.map"},
    {15, "pg_tblspc/1/PG_15_2/5/pg_filenode.map", TDE_STATE, "5/pg_filenode.map"},
    {15, "base/5/pg_internal.init", TDE_STATE, "5/pg_internal.init"},
    {15, "base/5/pg_internal.init.4711", TDE_STATE, "5/pg_internal.init"},
    {15, "global/pg_internal.init.4711", TDE_STATE, "global/pg_internal.init"},
    {15, "pg_tblspc/1/PG_15_2/5/pg_internal.init", TDE_STATE, "5/pg_internal.init"},
    {15, "base/5/PG_VERSION", TDE_CLEAR, NULL},
    {15, "pg_tblspc/1/PG_15_2/5/PG_VERSION", TDE_CLEAR, NULL},
    {17, "base/5/INCREMENTAL.1259", TDE_PARTS, "5/INCREMENTAL.1259"},
    {17, "global/INCREMENTAL.1259_vm", TDE_PARTS, "global/INCREMENTAL.1259_vm"},
    {17, "pg_tblspc/1/PG_17_2/5/INCREMENTAL.1259", TDE_PARTS, "5/INCREMENTAL.1259"},
    {16, "base/5/INCREMENTAL.1259", TDE_UNKNOWN, NULL},
    {15, "base/pgsql_tmp/pgsql_tmp12.3", TDE_TEMP, "pgsql_tmp/pgsql_tmp12.3"},
    {15, "base/pgsql_tmp/pgsql_tmp12.0.fileset/i1of2.p0.0", TDE_TEMP, "pgsql_tmp/pgsql_tmp12.0.fileset/i1of2.p0.0"},
    {15, "pg_tblspc/1/PG_15_2/pgsql_tmp/pgsql_tmp12.3", TDE_TEMP, "pgsql_tmp/pgsql_tmp12.3"},
    {15, "pg_wal/" SEGMENT, TDE_WAL, SEGMENT},
    {15, "pg_wal/" SEGMENT ".partial", TDE_WAL, SEGMENT},
    {15, "pg_wal/xlogtemp.77", TDE_WALNEW, "xlogtemp.77"},
    {15, "pg_wal/RECOVERYXLOG", TDE_CLEAR, NULL},
    {15, "pg_wal/RECOVERYHISTORY", TDE_CLEAR, NULL},
    {15, "pg_wal/00000002.history", TDE_CLEAR, NULL},
    {15, "pg_wal/" SEGMENT ".00000028.backup", TDE_CLEAR, NULL},
    {15, "pg_wal/archive_status/" SEGMENT ".ready", TDE_CLEAR, NULL},
    {17, "pg_wal/summaries/0000000100000000010000280000000001000110.summary", TDE_WALINFO,
     "0000000100000000010000280000000001000110.summary"},
    {17, "pg_wal/summaries/temp.summary", TDE_WALINFO, "temp.summary"},
    {15, "somewhere/" SEGMENT, TDE_WAL, SEGMENT},
    {15, "somewhere/archtemp." SEGMENT ".12.34", TDE_WAL, SEGMENT},
    {15, "pg_xact/0000", TDE_SLRU, "pg_xact/0000"},
    {15, "pg_subtrans/00A1", TDE_SLRU, "pg_subtrans/00A1"},
    {15, "pg_multixact/members/0000", TDE_SLRU, "pg_multixact/members/0000"},
    {15, "pg_multixact/offsets/0000", TDE_SLRU, "pg_multixact/offsets/0000"},
    {15, "pg_commit_ts/0000", TDE_SLRU, "pg_commit_ts/0000"},
    {17, "pg_notify/000000000000001", TDE_SLRU, "pg_notify/000000000000001"},
    {15, "pg_serial/0000", TDE_SLRU, "pg_serial/0000"},
    {15, "pg_twophase/000002EA", TDE_STATE, "pg_twophase/000002EA"},
    {15, "pg_twophase/000002EA.tmp", TDE_STATE, "pg_twophase/000002EA"},
    {15, "pg_snapshots/00000003-00000002-1.tmp", TDE_STATE, "pg_snapshots/00000003-00000002-1"},
    {15, "pg_replslot/a_1/xid-700-lsn-0-1000000.spill", TDE_SPILL, "pg_replslot/a_1/xid-700-lsn-0-1000000.spill"},
    {15, "pg_replslot/a_1.tmp/state.tmp", TDE_STATE, "pg_replslot/a_1/state"},
    {15, "pg_replslot/a_1/state", TDE_STATE, "pg_replslot/a_1/state"},
    {15, "pg_logical/snapshots/0-14E7B78.snap.812.tmp", TDE_STATE, "pg_logical/snapshots/0-14E7B78.snap"},
    {15, "pg_logical/mappings/map-5-4eb-0_14E7B78-2ea-2eb", TDE_STATE,
     "pg_logical/mappings/map-5-4eb-0_14E7B78-2ea-2eb"},
    {15, "pg_logical/replorigin_checkpoint.tmp", TDE_STATE, "pg_logical/replorigin_checkpoint"},
    {15, "pg_stat/pgstat.tmp", TDE_STATE, "pg_stat/pgstat"},
    {15, "pg_stat/pgstat.stat", TDE_STATE, "pg_stat/pgstat"},
    {15, "pg_stat/pg_stat_statements.stat.tmp", TDE_STATE, "pg_stat/pg_stat_statements.stat"},
    {15, "pg_stat_tmp/pgss_query_texts.stat", TDE_TEXTS, "pg_stat_tmp/pgss_query_texts.stat"},
    {15, "pg_stat/other.stat", TDE_STATE, "pg_stat/other.stat"},
    {15, "pg_stat_tmp/other", TDE_TEXTS, "pg_stat_tmp/other"},
    {15, "autoprewarm.blocks.tmp", TDE_STATE, "autoprewarm.blocks"},
    {15, "PG_VERSION", TDE_CLEAR, NULL},
    {15, "global/pg_control", TDE_CLEAR, NULL},
    {15, "postgresql.conf", TDE_CLEAR, NULL},
    {15, "postgresql.auto.conf.tmp", TDE_CLEAR, NULL},
    {15, "pg_hba.conf", TDE_CLEAR, NULL},
    {15, "pg_upgrade_output.d/20260101T000000.000/dump/pg_upgrade_dump_globals.sql", TDE_CLEAR, NULL},
    {15, "pg_ident.conf", TDE_CLEAR, NULL},
    {15, "pg_ident.conf.backup", TDE_CLEAR, NULL},
    {15, "postgresql.conf.backup", TDE_CLEAR, NULL},
    {15, "postgresql.base.conf", TDE_CLEAR, NULL},
    {15, "postgresql.base.conf.backup", TDE_CLEAR, NULL},
    {15, "patroni.dynamic.json", TDE_CLEAR, NULL},
    {15, "patroni.dynamic.jsonx8_q2w3e", TDE_CLEAR, NULL},
    {15, "patroni.json", TDE_UNKNOWN, NULL},
    {15, "postmaster.pid", TDE_CLEAR, NULL},
    {15, "postmaster.opts", TDE_CLEAR, NULL},
    {15, "current_logfiles", TDE_CLEAR, NULL},
    {15, "log/postgresql.log", TDE_CLEAR, NULL},
    {15, "backup_label.old", TDE_CLEAR, NULL},
    {15, "tablespace_map", TDE_CLEAR, NULL},
    {15, "backup_manifest", TDE_CLEAR, NULL},
    {15, "standby.signal", TDE_CLEAR, NULL},
    {15, "recovery.signal", TDE_CLEAR, NULL},
    {15, "promote", TDE_CLEAR, NULL},
    {15, "pg_dynshmem/mmap.1", TDE_CLEAR, NULL},
    {15, "keystead/keyring", TDE_CLEAR, NULL},
    {15, "server.key", TDE_CLEAR, NULL},
    /* Near misses. */
    {15, "base/5/1259_x", TDE_UNKNOWN, NULL},
    {15, "base/5/1259.", TDE_UNKNOWN, NULL},
    {15, "base/x/1259", TDE_UNKNOWN, NULL},
    {15, "base/5/t_1", TDE_UNKNOWN, NULL},
    {15, "base/5/1259/1", TDE_UNKNOWN, NULL},
    {15, "pg_wal/" SEGMENT "0", TDE_UNKNOWN, NULL},
    {15, "pg_wal/00000001000000000000000", TDE_UNKNOWN, NULL},
    {15, "notes.txt", TDE_UNKNOWN, NULL},
};

static void
test_rows(void **state)
{
    (void)state;
    bool met[256] = {false};
    assert_true(tde_file_rows_count <= KS_ARRAY_LEN(met));
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct tde_what what;
        tde_classify(cases[i].major, cases[i].path, &what);
        if (what.class != cases[i].class ||
            (cases[i].identity != NULL && strcmp(what.identity, cases[i].identity) != 0))
            fail_msg("%s is %s, \"%s\"", cases[i].path, tde_classes[what.class].name, what.identity);
        if (what.row != NULL)
            met[what.row - tde_file_rows] = true;
    }
    for (size_t i = 0; i < tde_file_rows_count; i++)
        if (!met[i] && tde_file_rows[i].where != TDE_TABLESPACE)
            fail_msg("no case for the row of %s", tde_file_rows[i].pattern);
}

static void
test_outside(void **state)
{
    (void)state;
    struct tde_what what;
    tde_classify_outside(15, "/archive/" SEGMENT, false, &what);
    assert_int_equal(what.class, TDE_WAL);
    assert_string_equal(what.identity, SEGMENT);
    tde_classify_outside(15, "/x/base/5/1259", true, &what);
    assert_int_equal(what.class, TDE_CLEAR);
    tde_classify_outside(15, "/disk/PG_15_202209061/5/1259_fsm", false, &what);
    assert_int_equal(what.class, TDE_CLEAR);
    tde_classify_outside(15, "/disk/PG_15_202209061/5/1259_fsm", true, &what);
    assert_int_equal(what.class, TDE_REL);
    assert_string_equal(what.identity, "5/1259_fsm");
    tde_classify_outside(15, "/disk/PG_15_2/5/pg_filenode.map", true, &what);
    assert_int_equal(what.class, TDE_STATE);
    tde_classify_outside(17, "/disk/PG_17_2/5/INCREMENTAL.1259", true, &what);
    assert_int_equal(what.class, TDE_PARTS);
}

/* An identity longer than there is room for is no identity at all. */
static void
test_long(void **state)
{
    (void)state;
    char path[2 * TDE_IDENTITY_MAX];
    snprintf(path, sizeof(path), "base/pgsql_tmp/%0*d", TDE_IDENTITY_MAX, 1);
    struct tde_what what;
    tde_classify(15, path, &what);
    assert_int_equal(what.class, TDE_UNKNOWN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
