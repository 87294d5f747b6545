"""Data keys in a backend's memory: there while they are cached, once, and nowhere afterwards.

The test unwraps the data key itself, with a KMIP message made here byte by byte: so it also says, independently of the
extension's code, what the wrapped form is bound to (AES-GCM; the associated data in associated_data below).
"""

import ssl
import socket
import struct
import uuid

import pytest

from cluster import WATCHDOG, psycopg2, refused, sql, value, wait_until

STRUCTURE, INTEGER, ENUMERATION, TEXT, BYTES = 1, 2, 5, 7, 8
DATA, IV, AAD, TAG, RESULT_STATUS = 0x4200C2, 0x42003D, 0x4200FE, 0x4200FF, 0x42007F


def item(tag, kind, content):
    """One TTLV item (KMIP 1.4, 9.1)."""
    if kind == STRUCTURE:
        content = b"".join(content)
    elif kind in (INTEGER, ENUMERATION):
        content = struct.pack(">I", content)
    elif kind == TEXT:
        content = content.encode()
    return struct.pack(">I", tag << 8 | kind) + struct.pack(">I", len(content)) + content + bytes(-len(content) % 8)


def find(data, tag):
    """The content of the first item with that tag."""
    at = 0
    while at < len(data):
        head, length = struct.unpack(">II", data[at:at + 8])
        content = data[at + 8:at + 8 + length]
        if head >> 8 == tag:
            return content
        if head & 0xff == STRUCTURE:
            found = find(content, tag)
            if found is not None:
                return found
        at += 8 + length + -length % 8
    return None


def ask(kms, operation, uid, fields):
    """The answer to a KMIP 1.4 request with AES-GCM, as the database's client."""
    request = item(0x420078, STRUCTURE, [
        item(0x420077, STRUCTURE, [
            item(0x420069, STRUCTURE, [item(0x42006A, INTEGER, 1), item(0x42006B, INTEGER, 4)]),
            item(0x42000D, INTEGER, 1)]),
        item(0x42000F, STRUCTURE, [
            item(0x42005C, ENUMERATION, operation),
            item(0x420079, STRUCTURE, [
                item(0x420094, TEXT, uid),
                item(0x42002B, STRUCTURE, [item(0x420011, ENUMERATION, 9), item(0x420028, ENUMERATION, 3),
                                           item(0x4200CE, INTEGER, 16)]),
                *fields])])])
    tls = ssl.create_default_context(cafile=kms.client / "ca.pem")
    tls.load_cert_chain(kms.client / "client.pem", kms.client / "client.key")
    with socket.create_connection(("127.0.0.1", kms.port), timeout=WATCHDOG) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(request)
            response = b""
            while len(response) < 8 or len(response) < 8 + struct.unpack(">I", response[4:8])[0]:
                part = connection.recv(65536)
                assert part, "the server closed the connection"
                response += part
    return response


def decrypt(kms, uid, wrapped, aad):
    """KMIP 1.4 Decrypt (4.30)."""
    response = ask(kms, 0x20, uid, [item(DATA, BYTES, wrapped[12:44]), item(IV, BYTES, wrapped[:12]),
                                    item(AAD, BYTES, aad), item(TAG, BYTES, wrapped[44:60])])
    return find(response, RESULT_STATUS), find(response, DATA)


def encrypt(kms, uid, data_key, aad):
    """KMIP 1.4 Encrypt (4.29); IV, ciphertext and tag."""
    iv = bytes(range(12))
    response = ask(kms, 0x1F, uid, [item(DATA, BYTES, data_key), item(IV, BYTES, iv), item(AAD, BYTES, aad)])
    assert find(response, RESULT_STATUS) == bytes(4)
    return iv + find(response, DATA) + find(response, TAG)


def associated_data(db):
    return value(db, """SELECT 'keystead data key v1'::bytea || uuid_send(k.id) || int4send(d.version)
                               || int8send(s.system_identifier) || int4send(b.oid::int) || convert_to(k.name, 'UTF8')
                        FROM keystead.key k JOIN keystead.data_key d ON d.key = k.id, pg_control_system() s,
                             pg_database b WHERE b.datname = current_database()""")


@pytest.fixture
def key(db, kms):
    """A key's name and its data key in the clear."""
    name = "memory-" + uuid.uuid4().hex[:12]
    uid = value(db, "SELECT keystead.create_key(%s)", name)
    status, data_key = decrypt(kms, uid, value(db, "SELECT wrapped FROM keystead.data_key"), associated_data(db))
    assert status == bytes(4) and len(data_key) == 32
    return name, data_key


def copies(connection, needle):
    """How often needle is in the memory of the session's backend."""
    pid = connection.get_backend_pid()
    count = 0
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            start, end = (int(number, 16) for number in area.split("-"))
            if "r" not in rights or "[v" in line:  # vvar, vsyscall: the kernel's
                continue
            memory.seek(start)
            try:
                count += memory.read(end - start).count(needle)
            except OSError:  # guard pages
                continue
    return count


def test_the_binding_is_checked(db, kms, key):
    name, _ = key
    uid, wrapped = sql(db, "SELECT kms_identifier, wrapped FROM keystead.data_key")[0]
    aad = associated_data(db)
    for wrong in (b"", aad[:-1], aad[:-1] + b"!", aad + b"\0"):
        status, data_key = decrypt(kms, uid, bytes(wrapped), wrong)
        assert status != bytes(4) and data_key is None
    assert aad.endswith(name.encode())


def test_another_key_from_the_kms_is_refused(db, kms, key):
    """Were a wrong key used, what it encrypts could not be read again."""
    name, _ = key
    sql(db, "SELECT keystead.forget_keys()")
    uid, wrapped = sql(db, "SELECT kms_identifier, wrapped FROM keystead.data_key")[0]
    wrapped = bytes(wrapped)
    wrong = encrypt(kms, uid, b"k" * 32, associated_data(db)) + wrapped[60:]
    sql(db, "UPDATE keystead.data_key SET wrapped = %s", psycopg2.Binary(wrong))
    for statement in ("SELECT keystead.encrypt(%s, 'x'::bytea)", "SELECT keystead.rotate(%s)"):
        with refused("XX001", "another data key", name):
            sql(db, statement, name)
    sql(db, "UPDATE keystead.data_key SET wrapped = %s", psycopg2.Binary(wrapped))
    sql(db, "SELECT keystead.encrypt(%s, 'x'::bytea)", name)


def test_never_there_before_it_is_needed(db, key):
    _, data_key = key
    assert copies(db, data_key) == 0  # though this session made it


def test_once_while_cached_and_gone_when_forgotten(db, key):
    name, data_key = key
    sql(db, "SET keystead.data_key_cache_ttl = '1d'")
    encrypted = value(db, "SELECT keystead.encrypt(%s, 'x'::bytea)", name)
    assert copies(db, data_key) == 1
    value(db, "SELECT keystead.decrypt(%s, %s)", name, psycopg2.Binary(encrypted))
    with refused("XX001"):
        sql(db, "SELECT keystead.decrypt(%s, set_byte(%s, 40, get_byte(%s, 40) # 1))", name,
            psycopg2.Binary(encrypted), psycopg2.Binary(encrypted))
    assert copies(db, data_key) == 1
    sql(db, "SELECT keystead.forget_keys()")
    assert copies(db, data_key) == 0


def test_gone_when_the_time_is_up_in_an_idle_session(db, key):
    name, data_key = key
    sql(db, "SET keystead.data_key_cache_ttl = '2s'")
    sql(db, "SELECT keystead.encrypt(%s, 'x'::bytea)", name)
    wait_until("the key is wiped", lambda: copies(db, data_key) == 0)
    assert value(db, "SELECT keystead.forget_keys()") == 0


def test_gone_without_a_cache(db, key):
    name, data_key = key
    sql(db, "SET keystead.data_key_cache_ttl = 0")
    sql(db, "SELECT keystead.encrypt(%s, 'x'::bytea)", name)
    assert copies(db, data_key) == 0


def test_gone_after_rotation(db, key):
    """Rotation holds the old data key in the clear for a moment, to wrap it again."""
    name, data_key = key
    sql(db, "SELECT keystead.rotate(%s)", name)
    assert copies(db, data_key) == 0
