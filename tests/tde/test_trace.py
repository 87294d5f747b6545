"""No system call of the server or of its tools reaches an encrypted file past the layer, and none writes plaintext.

strace shows each call with the instruction that made it. What the layer calls is made by witness.so, which stands behind
it; anything else that reads, writes or maps a file that the classifier knows is past the layer: stdio within libc, a
function that is not hooked, a descriptor that the layer has lost. A plain cluster must fail the same check. A base backup
alone passes as it is, which is ciphertext: that it is, is looked at.
"""

import collections
import contextlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import time

import pytest
from encrypted import BUILD, WATCHDOG, Keys, compiled, own

DATA_CALLS = ("read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2")
WRITES = {name for name in DATA_CALLS if "write" in name}
OTHERS = ("mmap", "sendfile", "copy_file_range", "splice", "vmsplice", "tee", "io_uring_setup", "io_uring_enter", "io_submit",
          "ioctl")
SHOWN = 64  # bytes of each buffer
CALL = re.compile(r"^(\d+) +\[([0-9a-f]+)\] (\w+)\((.*)$")
FD = re.compile(r"\d+<((?:\\x[0-9a-f]{2}|[^>\\])*)>")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

pytestmark = [pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
              pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="witness.c does not know this machine")]


def plain_text(escaped):
    return bytes.fromhex(escaped.replace("\\x", "")) if "\\x" in escaped else escaped.encode()


def looks_plain(block):
    """
    Pages, WAL, texts and statistics are full of zeros or are letters; ciphertext has one zero in 256 bytes. Whole blocks of
    zeros are zeros under the layer as well.
    """
    blocks = [block[at:at + 16] for at in range(0, len(block), 16)]
    rest = b"".join(b for b in blocks if any(b))
    return len(rest) >= 16 and (rest.count(0) >= 8 or all(b in b"\t\n" or 32 <= b < 127 for b in rest))


class Trace:
    """Of one cluster: what its programs do."""

    def __init__(self, cluster):
        self.cluster, self.out, self.ranges = cluster, cluster.folder / "trace", cluster.folder / "ranges"
        self.backup = cluster.folder / "backup"
        self.ranges.touch()
        own(self.ranges, 0o666)
        self.calls = []

    @contextlib.contextmanager
    def running(self, program, *args, root=None):
        """The process of strace, while the program runs. root: the data directory, where it is not the cluster's."""
        cluster, out = self.cluster, self.out.with_suffix(".%d" % len(self.calls))
        self.calls.append(out)
        preload = [] if cluster.keys is None else [str(cluster.work / "libkeystead_tde.so")]
        env, fds = ["WITNESS_RANGES=%s" % self.ranges], []
        with contextlib.ExitStack() as stack:
            if cluster.keys is not None:
                fds = [cluster.keys.memfd()]
                stack.callback(os.close, fds[0])
                env += ["KEYSTEAD_TDE_FD=%d" % fds[0], "KEYSTEAD_TDE_ROOT=%s" % (root or cluster.data)]
            env.append("LD_PRELOAD=" + ":".join([*preload, str(compiled(cluster.work, "witness.c"))]))
            log = stack.enter_context(open(cluster.folder / "log", "ab"))
            process = subprocess.Popen(
                ["strace", "-f", "--seccomp-bpf", "-i", "-y", "-xx", "-s", str(SHOWN), "-qq", "-o", out, "-e",
                 "trace=" + ",".join("?" + name for name in DATA_CALLS + OTHERS), "-e", "signal=none", "runuser", "-u", "postgres",
                 "--", "env", *env, cluster.bin / program, *map(str, args)], pass_fds=fds, cwd="/", stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        try:
            yield process
        finally:
            assert process.wait(WATCHDOG) == 0, cluster.log()[-2000:]

    def run(self, program, *args, root=None):
        with self.running(program, *args, root=root):
            pass

    def classes(self, paths):
        """Of each path: its class."""
        names = sorted(paths)
        asked = subprocess.run([BUILD / "tde" / "tde_files", "--major", "15"], input="\n".join(names), capture_output=True,
                               text=True, check=True).stdout.splitlines()
        return dict(zip(names, (line.split()[0] for line in asked), strict=True))

    def past(self):
        """Calls past the layer, writes of what looks like plaintext, and how many calls there were: all by class."""
        ranges = [tuple(int(n, 16) for n in line.split()) for line in self.ranges.read_text().split("\n") if line]
        senders = {int(pid) for pid in re.findall(r"\[(\d+)\] LOG:  received replication command: BASE_BACKUP", self.cluster.log())}
        found = []
        for line in (line for out in self.calls for line in out.read_text(errors="replace").splitlines()):
            call = CALL.match(line)
            if call is None:
                continue
            process, address, name, rest = int(call[1]), int(call[2], 16), call[3], call[4]
            if name.startswith("io_"):
                found.append((None, name, True, False))
                continue
            if name in DATA_CALLS or name == "ioctl":
                fds = [FD.match(rest)]
            else:
                fds = FD.finditer(rest)
            for fd in fds:
                path = "" if fd is None else plain_text(fd[1]).decode("utf-8", "replace").removesuffix(" (deleted)")
                where = self.below(path)
                if where is None or (name == "ioctl" and "FICLONE" not in rest):
                    continue
                past = name not in DATA_CALLS or not any(low <= address < high for low, high in ranges)
                shown = b"".join(plain_text(text) for text in TEXT.findall(rest))
                # In a base backup both sides see what is on the disk.
                sent = name == "pread64" and process in senders or name == "write" and path.startswith("%s/" % self.backup)
                found.append((where, name, past and not (sent and self.cluster.keys is not None),
                              (name in WRITES or sent) and looks_plain(shown[:SHOWN])))
        classes = self.classes({where for where, *_ in found if where is not None})
        count, past, plain = collections.Counter(), collections.Counter(), collections.Counter()
        for where, name, is_past, is_plain in found:
            what = "io_uring" if where is None else classes[where]
            if what == "clear":
                continue
            count[what] += 1
            past[what, name] += is_past
            plain[what, name] += is_plain
        return count, +past, +plain

    def below(self, path):
        for root in (self.cluster.data, self.backup):
            if path.startswith("%s/" % root):
                return path[len(str(root)) + 1:]
        return None


def live(cluster):
    """Something of every class."""
    cluster.sql("CREATE EXTENSION pg_stat_statements",
                "SELECT pg_create_logical_replication_slot('slot', 'test_decoding')",
                "CREATE TABLE t (n int PRIMARY KEY, v text)",
                "INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 3000) g",
                "SELECT count(*) FROM (SELECT a.v FROM t a, t b WHERE a.n < 20 ORDER BY b.v) s",
                "SELECT count(*) FROM pg_logical_slot_get_changes('slot', NULL, NULL)",
                "COPY t TO '%s'" % (cluster.folder / "copied"), "TRUNCATE t", "COPY t FROM '%s'" % (cluster.folder / "copied"),
                "VACUUM ANALYZE t", "CHECKPOINT", "SELECT pg_switch_wal()")
    cluster.run("pgbench", "-i", "-q", "-s", "1", "-I", "dtGp", "-h", cluster.folder, "postgres", layer=False)
    cluster.run("pgbench", "-n", "-c", "2", "-t", "20", "-h", cluster.folder, "postgres", layer=False)
    cluster.sql("BEGIN", "INSERT INTO t VALUES (-1)", "PREPARE TRANSACTION 'later'", "CHECKPOINT", "COMMIT PREPARED 'later'",
                "CREATE DATABASE other STRATEGY file_copy")


def ready(cluster):
    until = time.monotonic() + WATCHDOG
    while "ready to accept connections" not in cluster.log():
        assert time.monotonic() < until, cluster.log()[-2000:]
        time.sleep(0.05)


def traced(cluster):
    cluster.configure("max_wal_senders = 4\nmax_parallel_workers = 0\nmax_parallel_maintenance_workers = 0\n"
                      "log_replication_commands = on",
                      ["pg_stat_statements"])
    own(cluster.folder, 0o777)
    trace = Trace(cluster)
    with trace.running("postgres", "-D", cluster.data):
        ready(cluster)
        live(cluster)
        trace.run("pg_basebackup", "-D", trace.backup, "-h", cluster.folder, "-U", "postgres", "-c", "fast", "-X", "stream",
                  "--no-verify-checksums", root=trace.backup)
        cluster.stop()
    first = sorted(path.name for path in (cluster.data / "pg_wal").glob("0*"))[0]
    trace.run("pg_waldump", "-q", "-p", cluster.data / "pg_wal", first)
    trace.run("pg_checksums", "--check", "-D", cluster.data)
    return trace.past()


def test_trace(make):
    count, past, plain = traced(make("traced", Keys(), initdb=["--wal-segsize=1"]))
    print(dict(count))
    assert set(count) >= {"rel", "wal", "walnew", "slru", "temp", "spill", "state", "texts"}
    assert past == {} and plain == {}


def test_trace_of_a_plain_cluster(make):
    """What the test above looks for is there to be found."""
    count, past, plain = traced(make("seen", None, initdb=["--wal-segsize=1"]))
    for what in ("rel", "wal", "walnew", "slru", "temp", "spill", "state", "texts"):
        assert count[what] == sum(n for (other, _), n in past.items() if other == what) > 0, what
    assert {what for what, _ in plain} >= {"rel", "wal", "temp", "spill", "state", "texts"}
