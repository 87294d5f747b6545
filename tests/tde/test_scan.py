"""keystead pg status --scan: what of a cluster is in the clear, by its looks."""

import json
import os
import shutil
import struct

import pytest

from test_keyring import BIN, EXIT, LAYER, as_user, made, own, pg, work  # noqa: F401

pytestmark = [
    pytest.mark.skipif(not LAYER.exists(), reason="the encryption layer is not built"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL's programs are not in %s" % BIN),
]


def scan(data, found=False):
    done = pg("status", "--data", data, "--offline", "--scan", "--json", check=False)
    assert done.returncode == (EXIT["integrity"] if found else 0), done.stderr
    return json.loads(done.stdout)["scan"]


def test_an_encrypted_cluster(made):  # noqa: F811
    shown = scan(made)
    assert shown["clear_files"] == 0 and shown["clear"] == [] and shown["unknown"] == []
    classes = {row["class"]: row for row in shown["classes"]}
    assert classes["rel"]["files"] > 800 and classes["rel"]["encrypted"] and classes["rel"]["clear_pieces"] == 0
    assert classes["wal"]["bytes"] == 16 << 20 and classes["wal"]["zero_bytes"] < 16 << 20
    assert not classes["clear"]["encrypted"] and classes["state"]["files"] > 0 and classes["slru"]["files"] > 0
    said = pg("status", "--data", made, "--offline", "--scan").stdout
    assert "FILES ARE" in said and "by design" in said and "In the clear" not in said


def test_a_plain_file_that_slipped_in(made, work):  # noqa: F811
    data = work / "slipped"
    as_user(["cp", "-a", made, data])
    page = struct.pack("<QHHHHHHI", 0, 0, 0, 28, 8100, 8192, 0x2004, 0) + os.urandom(8168)
    wal = struct.pack("<HHIQII", 0xd110, 2, 1, 0x5000000, 0, 0) + os.urandom(8168)
    good = (data / "base" / "1" / "1259").read_bytes()
    slipped = {
        "base/1/99999": good[:8192] + page + good[8192:16384],  # one page among encrypted ones
        "base/1/99998": bytes(8192),  # only room
        "pg_wal/0000000100000000000000FF": wal + os.urandom(65536 - len(wal)),
        "pg_stat/texts": b"SELECT 'a statement that somebody has run', pg_sleep(1) FROM some_table\n" * 3,
        "pg_xact/00FF": b"\x55" * 8192,
        "dump.sql": b"not known to the layer",
    }
    for name, content in slipped.items():
        own_path = data / name
        own_path.write_bytes(content)
        own(own_path)
    shown = scan(data, found=True)
    assert {row["path"]: (row["what"], row["offset"], row["pieces"]) for row in shown["clear"]} == {
        "base/1/99999": ("page header", 8192, 1),
        "pg_wal/0000000100000000000000FF": ("WAL page header", 0, 1),
        "pg_stat/texts": ("readable bytes", 0, 1),
        "pg_xact/00FF": ("readable bytes", 0, 1),
    }
    assert shown["unknown"] == ["dump.sql"] and shown["clear_files"] == 4
    done = pg("status", "--data", data, "--offline", "--scan", check=False)
    assert "base/1/99999: page header at 8192" in done.stdout and "dump.sql" in done.stdout
    assert "4 files are in the clear that should be encrypted" in done.stderr
    shutil.rmtree(data)


def test_a_plain_cluster(made, work):  # noqa: F811
    """The control: of a cluster that is not encrypted nearly everything is found."""
    data = work / "plain"
    done = as_user([BIN / "initdb", "-D", data, "-A", "trust", "--no-sync", "--locale=C"])
    assert done.returncode == 0, done.stderr
    as_user(["cp", "-a", made / "keystead", data / "keystead"])
    shown = scan(data, found=True)
    clear = {row["path"] for row in shown["clear"]}
    pages = [path for folder in ("base/1", "base/4", "base/5", "global") for path in (data / folder).glob("[0-9]*")
             if path.read_bytes().strip(b"\0")]
    assert len(pages) > 700 and {str(path.relative_to(data)) for path in pages} - clear == set()
    assert {row["class"]: row["files"] - row["clear_files"] for row in shown["classes"] if row["class"] in ("wal", "state")
            } == {"wal": 0, "state": 1}  # replication origins' positions are 8 bytes: too few to tell
    shutil.rmtree(data)
