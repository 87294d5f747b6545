"""Debian's own layout: a cluster of pg_createcluster's, whose programs start, restart and stop it."""

import os
import pathlib
import subprocess

import pytest

from test_keyring import BIN, KEYSTEAD, LAYER, pg, secret, work  # noqa: F401

CREATE = pathlib.Path("/usr/bin/pg_createcluster")
VERSION = BIN.parent.name

pytestmark = [
    pytest.mark.skipif(not LAYER.exists(), reason="the encryption layer is not built"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: pg_createcluster"),
    pytest.mark.skipif(not CREATE.exists(), reason="postgresql-common is not installed"),
    pytest.mark.skipif(not (BIN / "initdb").exists() or not VERSION.isdigit(), reason="%s is not Debian's" % BIN),
]


def run(*args, check=True):
    done = subprocess.run([str(a) for a in args], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
                          cwd="/", check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def name():
    made = "ksteadtest%d" % os.getpid()
    yield made
    run("pg_dropcluster", "--stop", VERSION, made, check=False)
    assert made not in run("pg_lsclusters").stdout


def test_a_cluster_of_debians(name, work):  # noqa: F811
    os.chmod(work, 0o711)  # for the cluster's user to reach the key
    key = secret(work, "%064x\n" % 0x1234567890)
    said = run(KEYSTEAD, "pg", "init", "--cluster", "%s/%s" % (VERSION, name), "--key-file", key, "--", "--no-sync").stdout
    assert "Start it with: pg_ctlcluster %s %s start" % (VERSION, name) in said
    data, conf = "/var/lib/postgresql/%s/%s" % (VERSION, name), pathlib.Path("/etc/postgresql", VERSION, name)
    assert "LD_PRELOAD = '%s'" % LAYER in (conf / "environment").read_text()
    assert "keystead_guard" in (conf / "postgresql.conf").read_text()
    # As pg_createcluster has it: nobody is let in on his word alone.
    assert "trust" not in [line.split()[-1] for line in (conf / "pg_hba.conf").read_text().splitlines() if line.strip()]

    def control(action, check=True):
        return run("pg_ctlcluster", "--skip-systemctl-redirect", VERSION, name, action, check=check)

    def sql(statement):
        port = run("pg_conftool", "-s", VERSION, name, "show", "port").stdout.strip()
        return run("runuser", "-u", "postgres", "--", "psql", "-p", port, "-d", "postgres", "-XAtc", statement).stdout

    control("start")
    sql("CREATE TABLE t AS SELECT 'plain text of a row' AS v")
    path = pathlib.Path(data) / sql("SELECT pg_relation_filepath('t')").strip()
    control("restart")
    assert sql("TABLE t") == "plain text of a row\n"
    assert path.read_bytes().strip(b"\0") and b"plain text" not in path.read_bytes()
    assert pg("check", "--data", data, "--configuration", conf).returncode == 0
    control("reload")
    control("stop")
    key.unlink()
    done = control("start", check=False)
    assert done.returncode != 0 and "the keys of %s stay locked: cannot open %s" % (data, key) in done.stdout + done.stderr
