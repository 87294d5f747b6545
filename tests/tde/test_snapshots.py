"""Two copies of the disk, taken around partial rewrites of a page of WAL, show nothing but which blocks have changed."""

import os

import pytest
from encrypted import Keys

BLOCK, PAGE, PIECE = 16, 8192, 512


def blocks(n):
    return range(0, n - n % BLOCK, BLOCK)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def reveals(plain, disk):
    """
    What two moments of the same bytes tell whoever has both copies of the disk: offsets of blocks at which the difference of
    what is on the disk is that of the plaintexts, in a whole block or in a byte of it more often than by chance. plain, disk:
    pairs. A stream of a key that is used twice gives that away; XTS does not.
    """
    changed = [at for at in blocks(len(plain[0])) if plain[0][at:at + BLOCK] != plain[1][at:at + BLOCK]]
    whole, same, count = [], 0, 0
    for at in changed:
        p, d = (xor(pair[0][at:at + BLOCK], pair[1][at:at + BLOCK]) for pair in (plain, disk))
        if p == d:
            whole.append(at)
        same += sum(x == y for x, y in zip(p, d, strict=True))
        count += BLOCK
    return changed, whole, same / max(count, 1)


def snapshot(cluster):
    """The current segment: what the server reads, and what is on the disk."""
    cluster.sql("SELECT 1")
    ((name,),) = cluster.sql("SELECT 'pg_wal/' || pg_walfile_name(pg_current_wal_flush_lsn())")
    disk = (cluster.data / name).read_bytes()
    ((plain,),) = cluster.sql("SELECT pg_read_binary_file('%s')" % name)
    end = len(bytes(plain).rstrip(b"\0")) // PIECE * PIECE + PIECE
    assert not any(disk[end:])
    return name, bytes(plain)[:end], disk[:end]


def test_partial_rewrites(make):
    cluster = make("snapshots", Keys(), "wal_recycle = off", initdb=["--wal-segsize=1"])
    cluster.start()
    cluster.sql("CREATE TABLE t (n int, v text)", "INSERT INTO t VALUES (0, '')", "SELECT pg_switch_wal()")
    moments = []
    for n in range(8):  # far less than a page in all
        cluster.sql("INSERT INTO t VALUES (%d, repeat(chr(%d), %d))" % (n, 65 + n, 100 + 3 * n))
        moments.append(snapshot(cluster))
    assert len({name for name, _, _ in moments}) == 1
    rewritten = 0
    for (_, plain, disk), (_, later_plain, later_disk) in zip(moments, moments[1:]):
        plain, disk = (old.ljust(len(later_plain), b"\0") for old in (plain, disk))
        changed, whole, share = reveals((plain, later_plain), (disk, later_disk))
        assert changed and whole == []
        assert share < 0.2  # one byte in 256, by chance
        # Blocks of which a part was there before: those that a record ended in.
        rewritten += sum(any(plain[at:at + BLOCK]) and at % PAGE != 0 for at in changed)
        # And this much is seen: what has not changed. Pieces of zeros are zeros on the disk.
        pieces = [at for at in range(0, len(plain), PIECE) if any(plain[at:at + PIECE])]
        for at in (at for piece in pieces for at in range(piece, piece + PIECE, BLOCK)):
            assert (plain[at:at + BLOCK] == later_plain[at:at + BLOCK]) == (disk[at:at + BLOCK] == later_disk[at:at + BLOCK])
    assert rewritten > 0


@pytest.mark.parametrize("step", [1, 2])
def test_a_stream_used_twice_is_seen(step):
    """What the test above looks for is found where it is: in a stream cipher, even if in half of the bytes."""
    stream, plain, later = os.urandom(PAGE), os.urandom(PAGE), os.urandom(PAGE)
    other = bytes(a if n % step == 0 else b for n, (a, b) in enumerate(zip(stream, os.urandom(PAGE), strict=True)))
    changed, whole, share = reveals((plain, later), (xor(plain, stream), xor(later, other)))
    assert len(changed) == PAGE // BLOCK
    assert share > 0.4
    assert bool(whole) == (step == 1)
