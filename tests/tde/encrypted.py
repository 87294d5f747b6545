"""A real PostgreSQL cluster under the encryption layer, and the same without it for comparison.

The keys are the tests' own: a bundle (tde/bundle.h) in a sealed memfd. Clusters run as the user postgres in a temporary
folder and listen on a UNIX socket there.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import pwd
import shutil
import signal
import struct
import subprocess
import tempfile

import pytest

psycopg2 = pytest.importorskip("psycopg2", reason="python3-psycopg2 is not installed")

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEYSTEAD_BUILD", SOURCE / "build"))
PG_CONFIG = os.environ.get("PG_CONFIG", "/usr/lib/postgresql/15/bin/pg_config")
WATCHDOG = 120  # seconds after which something hangs; nothing is ever expected to take that long
PURPOSES = (1, 2, 3)
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # so that servers whose pg_ctl has gone are waited for


def pg_config(option):
    return subprocess.run([PG_CONFIG, option], check=True, capture_output=True, text=True).stdout.strip()


def own(path, mode):
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, mode)


def prepare(folder):
    """Puts the layer and its guard into a folder that postgres can reach."""
    folder.chmod(0o755)
    major = pg_config("--version").split()[1].split(".")[0]
    for what, name in (("tde/libkeystead_tde.so", "libkeystead_tde.so"),
                       ("tde/guard/keystead_guard-pg%s.so" % major, "keystead_guard.so")):
        shutil.copy(BUILD / what, folder / name)
        (folder / name).chmod(0o755)
    return folder


def compiled(folder, source):
    """A shim for tests from its source beside this file."""
    out = (folder / source).with_suffix(".so")
    if not out.exists():
        subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", out, SOURCE / "tests" / "tde" / source,
                        "-ldl"], check=True)
        out.chmod(0o755)
    return out


@pytest.fixture(scope="session")
def work():
    """A folder that both root and postgres can reach, with the layer in it, short enough for socket paths."""
    if os.geteuid() != 0:
        pytest.skip("needs root: to run PostgreSQL as the user postgres")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ks-tde-", dir="/tmp"))
    try:
        yield prepare(folder)
    except FileNotFoundError as missing:
        pytest.skip("%s is not built" % missing.filename)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Keys:
    """The data keys of a cluster."""

    def __init__(self):
        self.keys = [(os.urandom(16), purpose, os.urandom(32)) for purpose in PURPOSES]
        self.cluster = os.urandom(16)

    def bundle(self):
        rows = b"".join(struct.pack("=16sIIII32s", ident, purpose, 1, 1, 0, key) for ident, purpose, key in self.keys)
        rows = rows.ljust(64 * struct.calcsize("=16sIIII32s"), b"\0")
        size = 8 + 4 + 4 + 16 + 8 + len(rows)
        return struct.pack("=8sII16sQ", b"KSTDEKB1", size, len(self.keys), self.cluster, 1) + rows

    def memfd(self):
        fd = os.memfd_create("keystead", os.MFD_ALLOW_SEALING)
        os.write(fd, self.bundle())
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                    | fcntl.F_SEAL_WRITE)
        return fd


class Cluster:
    """
    keys None: a plain cluster, for comparison. initdb None: there is no data directory yet. like: a stopped cluster of the
    same keys, which is copied instead of a call of initdb.
    """

    def __init__(self, work, name, keys, conf="", initdb=(), like=None):
        self.work, self.keys = work, keys
        self.folder = work / name
        self.folder.mkdir()
        own(self.folder, 0o755)
        self.data = self.folder / "data"
        self.bin = pathlib.Path(self.bindir())
        self.preload = [] if keys is None else [str(work / "keystead_guard.so")]
        if like is not None:
            subprocess.run(["cp", "-a", like.data, self.data], check=True)
            self.configure(conf)
        elif initdb is not None:
            self.make(conf, initdb)

    @staticmethod
    def bindir():
        return pg_config("--bindir")

    def make(self, conf, initdb):
        keys = self.keys
        self.run("initdb", "-D", self.data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-k", *initdb)
        if keys is not None:
            (self.data / "keystead").mkdir(exist_ok=True)
            (self.data / "keystead" / "keyring").write_bytes(b"the tests' own\n")
            own(self.data / "keystead", 0o700)
            own(self.data / "keystead" / "keyring", 0o600)
        self.configure(conf)

    def append(self, conf):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write(conf + "\n")

    def configure(self, conf, libraries=()):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write("listen_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 30\n"
                      "shared_buffers = 4MB\nwork_mem = 64kB\nfsync = off\nlog_min_messages = log\nautovacuum = off\n"
                      "wal_level = logical\nmax_prepared_transactions = 5\nlogical_decoding_work_mem = 64kB\n"
                      % self.folder)
            out.write("shared_preload_libraries = '%s'\n" % ",".join([*self.preload, *libraries]))
            out.write(conf + "\n")

    def command(self, program, *args, layer=True, keys=None, env=()):
        keys = keys or self.keys
        with contextlib.ExitStack() as stack:
            fds, settings = (), []
            if layer and keys is not None:
                fd = keys.memfd()
                stack.callback(os.close, fd)
                fds = (fd,)
                settings += ["LD_PRELOAD=%s" % (self.work / "libkeystead_tde.so"), "KEYSTEAD_TDE_FD=%d" % fd,
                             "KEYSTEAD_TDE_ROOT=%s" % self.data]
            return subprocess.run(["runuser", "-u", "postgres", "--", "env", *settings, *env, self.bin / program,
                                   *map(str, args)], check=False, capture_output=True, text=True, timeout=WATCHDOG,
                                  cwd="/", pass_fds=fds)

    def run(self, program, *args, **kwargs):
        done = self.command(program, *args, **kwargs)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout

    def start(self, **kwargs):
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start", **kwargs)

    def refused(self, **kwargs):
        """The start must fail; what the server, or pg_ctl, said."""
        before = len(self.log())
        done = self.command("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start", **kwargs)
        assert done.returncode != 0
        return self.log()[before:] + done.stderr

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", layer=False)

    def postmaster(self):
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])

    def kill(self):
        """kill -9 of the postmaster and all its children at once."""
        pid = self.postmaster()
        children = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text(encoding="ascii").split()
        for p in [pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(p, signal.SIGKILL)
        # A dead postmaster that nobody has waited for would still hold its lock file: they are ours to wait for.
        for p in [pid, *map(int, children)]:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(p, 0)

    def connect(self, database="postgres"):
        connection = psycopg2.connect(host=str(self.folder), dbname=database, user="postgres")
        connection.autocommit = True
        return connection

    def sql(self, *statements, database="postgres"):
        """Runs statements in a session of their own; the rows of the last."""
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def log(self):
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def done(self):
        if (self.data / "postmaster.pid").exists():
            self.command("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop", layer=False)


@pytest.fixture
def make(work):
    """make(name, keys, conf): a cluster that is stopped at the end."""
    made = []

    def new(name, keys, conf="", **kwargs):
        made.append(Cluster(work, name, keys, conf, **kwargs))
        return made[-1]

    yield new
    for cluster in made:
        cluster.done()
        shutil.rmtree(cluster.folder, ignore_errors=True)
