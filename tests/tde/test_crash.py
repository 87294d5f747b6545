"""kill -9 of everything with a standby, failures of power, a full device, writes that end early: nothing is lost.

A few rounds each; script/tde-crash does many.
"""

import contextlib
import os
import random
import time

import psycopg2
import pytest
from crash import PRIMARY, Load, drop, failures, kills, loaded, standby_of, whole
from encrypted import Cluster, Keys, compiled, own
from lossy import Device

SEED = int(os.environ.get("KEYSTEAD_CRASH_SEED", str(random.randrange(1 << 32))))


class Templates:
    """Clusters with the clients' tables, stopped: copied where a test wants one."""

    def __init__(self, work):
        self.work, self.keys, self.made = work, Keys(), {}

    def copy(self, name, keys, conf=""):
        what = "plain" if keys is None else "encrypted"
        if what not in self.made:
            self.made[what] = loaded(Cluster(self.work, "template-" + what, keys, PRIMARY, initdb=["--wal-segsize=1"]))
        return Cluster(self.work, name, keys, conf, like=self.made[what])


@pytest.fixture(scope="module")
def templates(work):
    made = Templates(work)
    yield made
    drop(*made.made.values())


@pytest.fixture
def copy(templates):
    """copy(name, encrypted, conf): a cluster with the clients' tables, dropped at the end."""
    copies = []

    def new(name, encrypted=True, conf="fsync = on\n"):
        copies.append(templates.copy(name, templates.keys if encrypted else None, PRIMARY + conf))
        return copies[-1]

    new.made = copies
    yield new
    drop(*copies)


@pytest.fixture
def chance():
    print("KEYSTEAD_CRASH_SEED=%d" % SEED)
    return random.Random(SEED)


def test_kill(copy, chance):
    primary = copy("kill")
    primary.start()
    standby = standby_of(primary, "kill-standby")
    copy.made.append(standby)
    primary.stop()
    kills(primary, standby, 2, chance, most=1.0)


def test_power_failure(copy, chance):
    assert failures([Device(copy("power"))], 2, chance, most=1.0) > 0


def test_power_failure_without_fsync(copy, chance):
    """The device really loses what is not synced: a plain cluster that does not sync is damaged, or has lost commits."""
    device = Device(copy("unsynced", encrypted=False, conf="fsync = off\n"))
    with pytest.raises((AssertionError, psycopg2.Error)):
        failures([device], 1, chance, most=1.0)


def faulty(cluster, fault):
    """What starts a cluster on a device with faults, and what switches them on, and counts them: see shim.c."""
    switch, tally = cluster.folder / "faults", cluster.folder / "tally"
    tally.touch()
    own(tally, 0o600)
    # The shim is found behind the layer: what it gets is ciphertext.
    layer = [] if cluster.keys is None else [str(cluster.work / "libkeystead_tde.so")]
    env = ["LD_PRELOAD=" + ":".join([*layer, str(compiled(cluster.work, "shim.c"))]), "SHIM_FAULT=%s" % fault,
           "SHIM_SWITCH=%s" % switch, "SHIM_TALLY=%s" % tally, "SHIM_BELOW=%s" % cluster.data]
    return env, switch, tally


@pytest.mark.parametrize("fault", ["short", "full"])
def test_faulty_device(copy, fault):
    """Writes that end early, at odd bytes, or find no room: the server says so or goes on, and nothing is lost."""
    cluster = copy("faulty-" + fault)
    env, switch, tally = faulty(cluster, fault)
    cluster.start(env=env)
    load = Load(cluster, 0)
    time.sleep(0.5)
    switch.touch()
    time.sleep(1)
    with contextlib.suppress(psycopg2.Error):
        cluster.sql("CHECKPOINT")
    switch.unlink()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended itself: WAL could not be written
        cluster.kill()
    load.ended()
    cluster.start()
    load.check(set())
    whole(cluster)
    cluster.stop()
    assert tally.stat().st_size > 0, "the shim was never asked to fail"


def part_of_a_page(cluster):
    """A table is to grow, and the device takes a part of the page. What the server says, what stays, what tools say."""
    env, switch, _ = faulty(cluster, "part")
    cluster.start(env=env)
    cluster.sql("CREATE TABLE growing (n int)", "CHECKPOINT")
    ((name,),) = cluster.sql("SELECT pg_relation_filepath('growing')")
    switch.touch()
    with pytest.raises(psycopg2.Error) as said:
        cluster.sql("INSERT INTO growing VALUES (1)")
    switch.unlink()
    size = (cluster.data / name).stat().st_size
    cluster.stop()
    checked = cluster.command("pg_checksums", "--check", "-D", cluster.data)
    cluster.start()
    cluster.sql("INSERT INTO growing VALUES (2)")
    assert cluster.sql("SELECT n FROM growing") == [(2,)]
    cluster.stop()
    return str(said.value), size, checked.returncode, checked.stderr.replace(str(cluster.data), "").replace(name, "")


def test_part_of_a_page(copy):
    """
    A server leaves the part of a page at the end of a relation for which there was no room, and pg_checksums does not pass
    over it: encrypted or not.
    """
    plain, encrypted = (part_of_a_page(copy("part-%s" % on, encrypted=on)) for on in (False, True))
    assert "wrote only 4115 of 8192 bytes" in plain[0] and "wrote only 4112 of 8192 bytes" in encrypted[0]
    assert plain[1:] == encrypted[1:]
    assert plain[1] == 4115 and "read 4115 of 8192" in plain[3]
