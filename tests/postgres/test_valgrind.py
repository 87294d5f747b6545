"""One backend under valgrind, through success and failure: no error and no lost memory in the extension."""

import contextlib
import re
import shutil
import subprocess

import pytest

from cluster import Cluster, WATCHDOG, as_postgres, free_port, sql

STATEMENTS = """
SELECT keystead.create_key('{0}-a')
SELECT keystead.create_key('{0}-b')
CREATE TABLE t AS SELECT keystead.encrypt_text('{0}-a', i::text) AS c FROM generate_series(1, 200) i
SELECT 'sum ' || sum(keystead.decrypt_text('{0}-a', c)::int) FROM t
SELECT keystead.rotate('{0}-a')
SELECT 'sum ' || sum(keystead.decrypt_text('{0}-a', c)::int) FROM t
SELECT keystead.decrypt('{0}-b', c) FROM t
SELECT keystead.decrypt('{0}-a', 'x')
SELECT keystead.decrypt('{0}-a', set_byte(c, 40, get_byte(c, 40) # 1)) FROM t
SELECT keystead.encrypt('nobody', 'x'::bytea)
SELECT * FROM keystead.keys
SELECT keystead.adopt_keys()
SELECT keystead.forget_keys()
BEGIN
SELECT keystead.create_key('{0}-c')
ROLLBACK
SELECT keystead.create_key('{0}-c')
SET keystead.data_key_cache_ttl = 1
SELECT keystead.encrypt_text('{0}-a', 'x')
SELECT pg_sleep(2)
SELECT 'forgot ' || keystead.forget_keys()
SET keystead.data_key_cache_ttl = 0
SELECT keystead.encrypt_text('{0}-a', 'x')
DISCARD ALL
SET keystead.servers = '127.0.0.1:{1}'
SELECT keystead.encrypt_text('{0}-a', 'x')
SELECT * FROM keystead.keys
SET keystead.ca_file = '/nonexistent'
SELECT keystead.encrypt_text('{0}-a', 'x')
"""
OURS = r"keystead\.so|/(base|client|crypto|kmip|postgres)/\w+\.[ch]:\d+\)"
EXPECTED_ERRORS = 6  # the statements above that must fail


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_backend_under_valgrind(work, extension, kms):
    cluster = Cluster(work / "valgrind")
    with contextlib.closing(cluster.connect()) as connection:
        sql(connection, "CREATE EXTENSION keystead")
    cluster.run("pg_ctl", "-D", cluster.data, "-m", "fast", "-w", "stop")
    log = cluster.folder / "valgrind.log"
    settings = ["-ckeystead.%s=%s" % setting for setting in kms.settings().items()]
    done = subprocess.run(
        as_postgres("valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40",
                    "--fullpath-after=", "--error-limit=no", "--log-file=%s" % log, cluster.bin / "postgres", "--single", "-D", cluster.data,
                    *settings, "postgres"),
        input=STATEMENTS.strip().format("valgrind", free_port()) + "\n", capture_output=True, text=True, cwd="/",
        timeout=4 * WATCHDOG, check=True)
    assert done.stdout.count('"sum 20100"') == 2, done.stderr
    assert '"forgot 0"' in done.stdout
    errors = re.findall("ERROR:.*", done.stderr)
    assert len(errors) == EXPECTED_ERRORS, "\n".join(errors)
    # PostgreSQL itself is not clean without its suppressions: what counts is what our code has a part in.
    reports = re.split(r"\n==\d+== \n", log.read_text(encoding="utf-8"))
    ours = [report for report in reports[1:] if re.search(OURS, report)]
    assert not ours, "\n\n".join(ours)
    assert any("ERROR SUMMARY" in report for report in reports)
