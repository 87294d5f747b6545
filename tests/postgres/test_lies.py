"""A key management server that does not do what it says: nothing is encrypted, and no data key is lost, by its fault."""

import contextlib
import select
import socket
import ssl
import struct
import threading

import pytest

from cluster import WATCHDOG, refused, sql, value
from test_story import CARD, decrypt, encrypt, fresh

ENCRYPT, DECRYPT = 0x1F, 0x20


class Liar:
    """
    Stands before a Keystead server and changes the first byte of Data in the answers to one operation, or the
    beginning of all Result Messages.
    """

    def __init__(self, certificates, kms):
        self.operation = None  # None: passes everything on
        self.text = None
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates.folder / "server.pem", certificates.folder / "server.key")
        self.tls.load_verify_locations(certificates.ca)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.upstream = ssl.create_default_context(cafile=kms.client / "ca.pem")
        self.upstream.load_cert_chain(kms.client / "client.pem", kms.client / "client.key")
        self.kms = kms
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stop, self.stopped = socket.socketpair()
        self.threads = [threading.Thread(target=self.listen)]
        self.threads[0].start()

    def listen(self):
        while True:
            ready, _, _ = select.select([self.listener, self.stopped], [], [])
            if self.stopped in ready:
                return
            connection, _ = self.listener.accept()
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, plain):
        with contextlib.suppress(OSError), self.tls.wrap_socket(plain, server_side=True) as client:
            with socket.create_connection(("127.0.0.1", self.kms.port), timeout=WATCHDOG) as raw:
                with self.upstream.wrap_socket(raw, server_hostname="127.0.0.1") as server:
                    while (request := message(client)) is not None:
                        server.sendall(request)
                        client.sendall(self.changed(message(server)))

    def changed(self, response):
        at = response.find(struct.pack(">I", 0x42007D07))
        if self.text is not None and at != -1:
            return response[:at + 8] + self.text + response[at + 8 + len(self.text):]
        at = response.find(struct.pack(">II", 0x4200C208, 32))
        operation = self.operation and struct.pack(">III", 0x42005C05, 4, self.operation)
        if at == -1 or operation is None or operation not in response:
            return response
        return response[:at + 8] + bytes([response[at + 8] ^ 1]) + response[at + 9:]

    def close(self):
        self.stop.send(b"x")
        for thread in self.threads:
            thread.join(WATCHDOG)
        for thing in (self.listener, self.stop, self.stopped):
            thing.close()


def message(connection):
    """The next TTLV message; None at the end."""
    data = b""
    while len(data) < 8 or len(data) < 8 + struct.unpack(">I", data[4:8])[0]:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    return data


@pytest.fixture
def liar(certificates, kms):
    peer = Liar(certificates, kms)
    yield peer
    peer.close()


@pytest.fixture
def lied_to(cluster, certificates, liar):
    with cluster.database("lied_to", **certificates.settings(liar.port)) as db:
        yield db


def test_wrong_wrapping_is_found_before_it_replaces_the_right_one(liar, lied_to):
    name = fresh()
    sql(lied_to, "SELECT keystead.create_key(%s)", name)
    encrypted = encrypt(lied_to, name)
    liar.operation = ENCRYPT
    with refused("XX001", name):
        sql(lied_to, "SELECT keystead.rotate(%s)", name)
    with refused("XX001"):
        sql(lied_to, "SELECT keystead.create_key(%s)", fresh())
    liar.operation = None
    sql(lied_to, "SELECT keystead.forget_keys()")
    assert decrypt(lied_to, name, encrypted) == CARD
    sql(lied_to, "SELECT keystead.rotate(%s)", name)
    assert decrypt(lied_to, name, encrypted) == CARD


def test_wrong_data_key_encrypts_nothing(liar, lied_to):
    name = fresh()
    sql(lied_to, "SELECT keystead.create_key(%s)", name)
    encrypted = encrypt(lied_to, name)
    sql(lied_to, "SELECT keystead.forget_keys()")
    liar.operation = DECRYPT
    for statement in ("SELECT keystead.encrypt(%s, 'x'::bytea)", "SELECT keystead.rotate(%s)"):
        with refused("XX001", "another data key", name):
            sql(lied_to, statement, name)
    assert value(lied_to, "SELECT keystead.forget_keys()") == 0
    liar.operation = None
    assert decrypt(lied_to, name, encrypted) == CARD


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_what_the_server_says_is_text(cluster, liar, lied_to, encoding):
    """Errors go to logs and terminals, and to clients that expect text in their encoding."""
    name = fresh()
    sql(lied_to, "SELECT keystead.create_key(%s)", name)
    with contextlib.closing(cluster.connect()) as admin:
        settings = sql(admin, "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setdatabase = "
                              "(SELECT oid FROM pg_database WHERE datname = 'lied_to')")
        sql(admin, "CREATE DATABASE told ENCODING '%s' LOCALE 'C' TEMPLATE template0" % encoding)
        try:
            for (setting,) in settings:
                sql(admin, "ALTER DATABASE told SET %s = %%s" % setting.split("=")[0], setting.split("=")[1])
            with contextlib.closing(cluster.connect("told")) as told:
                sql(told, "CREATE EXTENSION keystead")
                liar.text = "\x1b[2J\n\u00e9".encode()
                with refused("42710", " [2J " + ("\u00e9" if encoding == "UTF8" else "??")):
                    sql(told, "SELECT keystead.create_key(%s)", name)
        finally:
            sql(admin, "DROP DATABASE told WITH (FORCE)")
