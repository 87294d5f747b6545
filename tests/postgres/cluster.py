"""A real PostgreSQL cluster with the extension, and real peers for it: a Keystead server, or a broken one.

Clusters are made by initdb in a temporary folder and listen on a UNIX socket there. Run as root (then the cluster runs
as the user postgres), and the extension is installed into PostgreSQL's folders first, as `ninja install` does.
"""

import contextlib
import datetime
import ipaddress
import json
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from instance import free_port

psycopg2 = pytest.importorskip("psycopg2", reason="python3-psycopg2 is not installed")

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEYSTEAD_BUILD", SOURCE / "build"))
PG_CONFIG = os.environ.get("PG_CONFIG", "/usr/lib/postgresql/15/bin/pg_config")
WATCHDOG = 120  # seconds after which something hangs; nothing is ever expected to take that long


def pg_config(option):
    return subprocess.run([PG_CONFIG, option], check=True, capture_output=True, text=True).stdout.strip()


def wait_until(what, condition, process=None):
    deadline = time.monotonic() + WATCHDOG
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError("%s: the process ended with %d" % (what, process.returncode))
        assert time.monotonic() < deadline, "waited in vain: " + what
        time.sleep(0.02)


@pytest.fixture(scope="session")
def work():
    """A folder that both root and postgres can reach, short enough for socket paths."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ks-pg-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def extension():
    if os.geteuid() != 0:
        pytest.skip("needs root: to install the extension and to run PostgreSQL as the user postgres")
    version = pg_config("--version").split()[1].split(".")[0]
    module = BUILD / "postgres" / ("keystead-pg%s.so" % version)
    if not module.exists():
        pytest.skip("%s is not built: PostgreSQL's server headers are missing" % module)
    subprocess.run([SOURCE / "postgres" / "install.sh", module, pg_config("--pkglibdir"), pg_config("--sharedir")],
                   check=True, env={**os.environ, "DESTDIR": ""})


def as_postgres(*command):
    return ["runuser", "-u", "postgres", "--", *map(str, command)]


def own(path, mode):
    user = pwd.getpwnam("postgres")
    os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, mode)


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        own(folder, 0o755)
        self.data = folder / "data"
        self.bin = pathlib.Path(pg_config("--bindir"))
        self.run("initdb", "-D", self.data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("listen_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 40\n"
                       "shared_buffers = 16MB\nlog_min_messages = warning\nfsync = off\nmax_wal_size = 128MB\n" % folder)
        self.start()

    def run(self, program, *args, **kwargs):
        done = subprocess.run(as_postgres(self.bin / program, *args), check=False, capture_output=True, text=True,
                              timeout=WATCHDOG, cwd="/", **kwargs)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start")

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def connect(self, database="postgres", user="postgres", options=""):
        connection = psycopg2.connect(host=str(self.folder), dbname=database, user=user, options=options)
        connection.autocommit = True
        return connection

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def database(self, name, **settings):
        """A new database with the extension and these settings under keystead."""
        with contextlib.closing(self.connect()) as admin:
            sql(admin, 'DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % name)
            sql(admin, 'CREATE DATABASE "%s"' % name)
            for key, value in settings.items():
                sql(admin, 'ALTER DATABASE "%s" SET keystead.%s = %%s' % (name, key), value)
        with contextlib.closing(self.connect(name)) as connection:
            sql(connection, "CREATE EXTENSION keystead")
            yield connection
        with contextlib.closing(self.connect()) as admin:
            sql(admin, 'DROP DATABASE "%s" WITH (FORCE)' % name)


@pytest.fixture(scope="session")
def cluster(work, extension):
    cluster = Cluster(work / "pg")
    yield cluster
    crashed = "terminated by signal" in cluster.log()
    cluster.stop()
    assert not crashed, "a backend crashed"


def sql(connection, statement, *args):
    """Runs a statement; its rows, if it returns any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, args or None)
        return cursor.fetchall() if cursor.description else None


def value(connection, statement, *args):
    """The one value that a statement returns."""
    ((result,),) = sql(connection, statement, *args)
    return bytes(result) if isinstance(result, memoryview) else result


@contextlib.contextmanager
def refused(code, *texts):
    """The block must fail with this SQLSTATE, and message, detail and hint must hold these texts."""
    with pytest.raises(psycopg2.Error) as info:
        yield info
    error = info.value
    whole = "\n".join(filter(None, [error.diag.message_primary, error.diag.message_detail, error.diag.message_hint]))
    assert error.pgcode == code, "%s: %s" % (error.pgcode, whole or error)
    for part in texts:
        assert part in whole, whole


class Certificates:
    """A certificate authority of the tests' own, for peers that are not Keystead."""

    def __init__(self, folder):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
        folder.mkdir()
        now = datetime.datetime.utcnow()

        def make(name, issuer, signer, key, ca):
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
                       .public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=30))
                       .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
            if not ca:
                address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
                builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
            return builder.sign(signer, hashes.SHA256())

        def write(path, data, mode):
            path.write_bytes(data)
            own(path, mode)

        def pem(certificate):
            return certificate.public_bytes(serialization.Encoding.PEM)

        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = make("test CA", None, ca_key, ca_key, True)
        self.ca = folder / "ca.pem"
        write(self.ca, pem(ca), 0o644)
        for name in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            write(folder / (name + ".pem"), pem(make(name, ca.subject, ca_key, key, False)), 0o644)
            write(folder / (name + ".key"), key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()), 0o600)
        self.folder = folder

    def settings(self, port):
        """The extension's settings for a peer on that port."""
        return {"servers": "127.0.0.1:%d" % port, "ca_file": str(self.ca),
                "certificate_file": str(self.folder / "client.pem"), "key_file": str(self.folder / "client.key")}


@pytest.fixture(scope="session")
def certificates(work):
    return Certificates(work / "certificates")


class SilentPeer:
    """Accepts connections and never says a word; with certificates, only after the TLS handshake."""

    def __init__(self, certificates=None):
        self.tls = None
        if certificates is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificates.folder / "server.pem", certificates.folder / "server.key")
            self.tls.load_verify_locations(certificates.ca)
            self.tls.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.waiting = threading.Event()  # somebody waits for an answer
        self.open = []
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            ready, _, _ = select.select([self.listener, self.stop_read], [], [])
            if self.stop_read in ready:
                return
            connection, _ = self.listener.accept()
            if self.tls is not None:
                try:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                    connection.recv(1)
                except OSError:
                    continue
            self.open.append(connection)
            self.waiting.set()

    def close(self):
        os.write(self.stop_write, b"x")
        self.thread.join()
        for thing in [self.listener, *self.open]:
            thing.close()
        os.close(self.stop_read)
        os.close(self.stop_write)


@pytest.fixture(params=["before-tls", "after-tls"])
def silent(request, certificates):
    peer = SilentPeer(certificates if request.param == "after-tls" else None)
    yield peer
    peer.close()


class Kms:
    """A Keystead server of its own, administered through its command line."""

    def __init__(self, folder):
        self.binary = BUILD / "keystead"
        self.dir = folder
        self.port = free_port()
        self.process = None
        subprocess.run([self.binary, "init", folder, "--kmip", "127.0.0.1:%d" % self.port], check=True,
                       capture_output=True, timeout=WATCHDOG)
        self.start()
        self.client = folder.with_name(folder.name + "-client")  # as the database's machine would enrol
        token = json.loads(self.run("client", "token", "create", "postgres", "--json", "--dir", folder))["token"]
        self.run("client", "enroll", token, "--server", "127.0.0.1:%d" % self.port, "--out", self.client)
        for path in [self.client, *self.client.iterdir()]:
            own(path, path.stat().st_mode & 0o777)

    def start(self):
        self.log = open(self.dir.with_name(self.dir.name + ".log"), "ab")
        self.process = subprocess.Popen([self.binary, "server", "--dir", self.dir], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        for line in self.process.stdout:
            if "ready" in line:
                return
        raise AssertionError("keystead server ended with %d: %s" % (self.process.wait(), self.log.name))

    def stop(self):
        self.resume()
        self.process.terminate()
        self.process.wait(WATCHDOG)
        self.process.stdout.close()
        self.log.close()

    def processes(self):
        """The supervisor and its children."""
        children = pathlib.Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid))
        return [self.process.pid, *map(int, children.read_text(encoding="ascii").split())]

    def pause(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGCONT)

    def key(self, *arguments):
        """keystead key ..., as the administrator."""
        yes = ["--yes"] if arguments[0] in ("revoke", "destroy") else []
        return self.run("key", *arguments, *yes, "--dir", self.dir)

    def run(self, *arguments):
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, timeout=WATCHDOG, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def settings(self):
        return {"servers": "127.0.0.1:%d" % self.port, "ca_file": str(self.client / "ca.pem"),
                "certificate_file": str(self.client / "client.pem"), "key_file": str(self.client / "client.key")}


@pytest.fixture(scope="session")
def kms(work):
    server = Kms(work / "kms")
    yield server
    server.stop()


@pytest.fixture
def db(cluster, kms, request):
    """A database of this test's own, with the extension and a running KMS."""
    name = request.node.name.replace("[", "_").replace("]", "")[:60]
    with cluster.database(name, **kms.settings()) as connection:
        yield connection
