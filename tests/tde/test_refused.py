"""An encrypted cluster does not start without the layer, without its guard or with other keys, and is none the worse."""

import hashlib

from encrypted import Keys

CONF = "pg_stat_statements.save = on"


def digest(cluster):
    """All that counts of a stopped cluster."""
    return {str(path.relative_to(cluster.data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(cluster.data.rglob("*")) if path.is_file() and path.name not in ("postmaster.opts",)}


def test_refused(make):
    keys = Keys()
    cluster = make("refused", keys)
    cluster.configure(CONF, ["pg_stat_statements"])
    cluster.start()
    cluster.sql("CREATE EXTENSION pg_stat_statements", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n",
                "SELECT sum(n) AS remembered FROM t")
    cluster.stop()
    before = digest(cluster)
    assert (cluster.data / "pg_stat" / "pg_stat_statements.stat").exists()

    said = cluster.refused(layer=False)
    assert said.count("FATAL") == 1 and "this cluster is encrypted, and the encryption layer is not loaded" in said
    assert digest(cluster) == before

    other = Keys()
    said = cluster.refused(keys=other)
    assert "the keys that were handed over are not those of the cluster" in said
    assert digest(cluster) == before

    other.keys = [(ident, purpose, bytes(32)) for ident, purpose, _ in keys.keys]  # the names of ours, but not the keys
    assert "are not those of the cluster" in cluster.refused(keys=other)
    assert digest(cluster) == before

    conf = (cluster.data / "postgresql.conf").read_text(encoding="utf-8")
    (cluster.data / "postgresql.conf").write_text(conf + "dynamic_shared_memory_type = mmap\n", encoding="utf-8")
    assert "dynamic_shared_memory_type = mmap would bypass" in cluster.refused()
    (cluster.data / "postgresql.conf").write_text(conf + "shared_preload_libraries = ''\n", encoding="utf-8")
    assert "add 'keystead_guard' to shared_preload_libraries" in cluster.refused()
    (cluster.data / "postgresql.conf").write_text(conf, encoding="utf-8")

    cluster.start()
    assert cluster.sql("SELECT sum(n) AS remembered FROM t") == [(500500,)]
    assert cluster.sql("SELECT calls FROM pg_stat_statements WHERE query LIKE '%remembered%'"
                       " AND query NOT LIKE '%calls%'") == [(2,)]


def test_children(make):
    """Programs that the server starts have neither the layer nor a descriptor or variable of the keys'."""
    cluster = make("children", Keys())
    cluster.start()
    ((env,),) = cluster.sql(
        "CREATE TABLE seen (line text)",
        "COPY seen FROM PROGRAM 'env | grep -E \"^(LD_PRELOAD|KEYSTEAD_TDE)\"; ls -l /proc/self/fd | grep -c memfd; true'",
        "SELECT string_agg(line, ' ') FROM seen")
    assert env == "0"
