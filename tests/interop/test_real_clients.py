"""What clients that people run are known to send, said again in our own words and asked of a real server.

No program of others runs here (they are in the files beside): each test is one client's requests, in its version, with
its peculiarities, and what it needs of the answers. Where a client departs from the specification it is enrolled with the
leniency for it, and another client is refused the same.
"""

import ssl
import struct
import time

import pytest

from instance import run
from ttlv import (DATE, Refused, ask, attribute, batch_item, enum, header, integer, item, octets, op, parse, receive,
                  request, struct_, tag, text)

AES, RSA = 3, 4
CERTIFICATE, SYMMETRIC_KEY, PUBLIC_KEY, PRIVATE_KEY, SECRET_DATA = 1, 2, 3, 4, 7
PRE_ACTIVE, ACTIVE, DEACTIVATED = 1, 2, 3
ENCRYPT_DECRYPT = 0x0C

REGISTER, ADD_ATTRIBUTE, MODIFY_ATTRIBUTE, RE_KEY, CHECK = 3, 13, 14, 4, 9
ENCRYPT, DECRYPT = 0x1F, 0x20
MAXIMUM_RESPONSE_SIZE, TIME_STAMP, BATCH_ORDER_OPTION = 0x420050, 0x420092, 0x420010
AUTHENTICATION, CREDENTIAL, CREDENTIAL_TYPE, CREDENTIAL_VALUE = 0x42000C, 0x420023, 0x420024, 0x420025
USERNAME, PASSWORD = 0x420099, 0x4200A1
KEY_FORMAT_TYPE, KEY_COMPRESSION_TYPE = 0x420042, 0x420041
SECRET_DATA_TAG, SECRET_DATA_TYPE, SYMMETRIC_KEY_TAG = 0x420085, 0x420086, 0x42008F
COMMON, PRIVATE_TEMPLATE, PUBLIC_TEMPLATE = 0x42001F, 0x420065, 0x42006E
PRIVATE_UID, PUBLIC_UID = 0x420066, 0x42006F
REVOCATION_REASON, REVOCATION_REASON_CODE = 0x420081, 0x420082
CRYPTOGRAPHIC_PARAMETERS, BLOCK_CIPHER_MODE, PADDING_METHOD = 0x42002B, 0x420011, 0x42005F
DATA, IV = 0x4200C2, 0x42003D
SERVER_CORRELATION_VALUE = 0x420106
KEY_WRAPPING_SPECIFICATION, WRAPPING_METHOD, ENCRYPTION_KEY_INFORMATION = 0x420047, 0x42009E, 0x420036
RAW = 1


class Client:
    """A machine that was enrolled, and its connections."""

    def __init__(self, instance, folder, name, lenient=None):
        token = instance.run("client", "token", "create", name, *(["--lenient", lenient] if lenient else [])).stdout
        run("client", "enroll", token.strip(), "--server", "127.0.0.1:%d" % instance.port, "--out", folder)
        self.instance = instance
        self.context = instance.context(None)
        self.context.load_cert_chain(str(folder / "client.pem"), str(folder / "client.key"))

    def connect(self):
        return self.instance.connect(self.context)

    def ask(self, message):
        with self.connect() as sock:
            return ask(sock, message)

    def refused(self, message):
        with pytest.raises(Refused) as refusal:
            self.ask(message)
        return refusal.value.reason


@pytest.fixture
def client(instance, request, tmp_path):
    """Enrolled under the name of the test, without any leniency."""
    return Client(instance, tmp_path / "client", request.node.name.replace("test_", "")[:60])


# Words of 1.x


def value_enum(v):
    return enum(tag.ATTRIBUTE_VALUE, v)


def value_int(v):
    return integer(tag.ATTRIBUTE_VALUE, v)


def value_text(v):
    return text(tag.ATTRIBUTE_VALUE, v)


def name_of(name):
    return attribute("Name", struct_(tag.ATTRIBUTE_VALUE, text(tag.NAME_VALUE, name), enum(tag.NAME_TYPE, 1)))


def uid(value):
    return text(tag.UNIQUE_IDENTIFIER, value)


def aes_attributes(bits=256, *more):
    return [attribute("Cryptographic Algorithm", value_enum(AES)), attribute("Cryptographic Length", value_int(bits)),
            attribute("Cryptographic Usage Mask", value_int(ENCRYPT_DECRYPT)), *more]


def create(version, *attributes):
    return request(op.CREATE, [enum(tag.OBJECT_TYPE, SYMMETRIC_KEY), struct_(tag.TEMPLATE_ATTRIBUTE, *attributes)], version)


def state(client, key, version):
    answer = client.ask(request(op.GET_ATTRIBUTES, [uid(key), text(tag.ATTRIBUTE_NAME, "State")], version))
    return answer.find(tag.ATTRIBUTE_VALUE).value


def material(answer):
    return answer.find(tag.KEY_MATERIAL).value


def only_uid(answer):
    found = answer.find_all(tag.UNIQUE_IDENTIFIER)
    assert len(found) == 1, found
    return found[0].value


# PostgreSQL


def libkmip(version, operation, payload):
    """As libkmip writes a request: a Maximum Response Size, a Time Stamp, no Unique Batch Item ID."""
    extra = (integer(MAXIMUM_RESPONSE_SIZE, 8192), item(TIME_STAMP, DATE, struct.pack(">q", int(time.time()))))
    return struct_(tag.REQUEST_MESSAGE, header(version, 1, *extra), batch_item(operation, payload))


def one_record(sock, message):
    """libkmip reads the head, then all the rest, once each: what comes in a second record is lost to it."""
    sock.sendall(message)
    head = sock.recv(8)
    assert len(head) == 8
    length = int.from_bytes(head[4:], "big")
    body = sock.recv(length)
    assert len(body) == length, "the answer is in several records"
    assert 8 + length <= 8192
    answer = parse(head + body)
    # A 1.0 client breaks on what 1.0 does not have.
    assert answer.find(SERVER_CORRELATION_VALUE) is None
    return answer


def pg_tde_register(name, key):
    return libkmip((1, 4), REGISTER, [
        enum(tag.OBJECT_TYPE, SYMMETRIC_KEY),
        struct_(tag.TEMPLATE_ATTRIBUTE, *aes_attributes(8 * len(key)), name_of(name)),
        struct_(SYMMETRIC_KEY_TAG, struct_(
            tag.KEY_BLOCK, enum(KEY_FORMAT_TYPE, RAW),
            enum(KEY_COMPRESSION_TYPE, 1),  # of an elliptic curve's point, on a symmetric key
            struct_(tag.KEY_VALUE, octets(tag.KEY_MATERIAL, key)),
            enum(tag.CRYPTOGRAPHIC_ALGORITHM, AES), integer(tag.CRYPTOGRAPHIC_LENGTH, 8 * len(key)))),
    ])


def pg_tde_locate(name):
    return libkmip((1, 0), op.LOCATE, [integer(tag.MAXIMUM_ITEMS, 16),
                                       attribute("Object Type", value_enum(SYMMETRIC_KEY)), name_of(name)])


def pg_tde_keys(client, bits):
    key, name = bytes(range(bits // 8)), "pg-key-%d" % bits
    with client.connect() as sock:  # a connection for each step
        assert one_record(sock, pg_tde_locate(name)).find_all(tag.UNIQUE_IDENTIFIER) == []
    with client.connect() as sock:
        answer = one_record(sock, pg_tde_register(name, key))
        assert answer.find(tag.RESULT_STATUS).value == 0
        assert answer.find(tag.OPERATION).value == REGISTER
    with client.connect() as sock:  # the key is never activated, and both go over one connection
        found = only_uid(one_record(sock, pg_tde_locate(name)))
        answer = one_record(sock, libkmip((1, 0), op.GET, [uid(found)]))
        assert material(answer) == key
        assert answer.find(KEY_COMPRESSION_TYPE) is None or answer.find(KEY_COMPRESSION_TYPE).value == 1
    assert state(client, found, (1, 0)) == PRE_ACTIVE
    # Rotation is another name; the same name again would make both unreadable to it.
    with client.connect() as sock:
        again = one_record(sock, pg_tde_register(name, bytes(bits // 8)))
        assert again.find(tag.RESULT_STATUS).value == 1
    with client.connect() as sock:
        assert one_record(sock, pg_tde_register(name + "-2", bytes(bits // 8))).find(tag.RESULT_STATUS).value == 0
    with client.connect() as sock:
        assert only_uid(one_record(sock, pg_tde_locate(name))) == found


def test_pg_tde(client):
    pg_tde_keys(client, 128)


def test_open_pg_tde(client):
    """It checks the server's certificate and wants TLS 1.2 at least, with a certificate file that has no chain."""
    client.context.minimum_version = ssl.TLSVersion.TLSv1_2
    client.context.check_hostname = True
    pg_tde_keys(client, 256)


CBC = struct_(CRYPTOGRAPHIC_PARAMETERS, enum(BLOCK_CIPHER_MODE, 1), enum(PADDING_METHOD, 3),
              enum(tag.CRYPTOGRAPHIC_ALGORITHM, AES))


def test_edb(instance, client, tmp_path):
    """The cluster's key is encrypted and decrypted by the server; the variant for another server puts the IV in front."""
    lenient = Client(instance, tmp_path / "lenient", "edb-thales", "iv-in-front")
    secret = bytes(range(32))
    for who, forgiven in ((lenient, True), (client, False)):
        key = only_uid(who.ask(create((1, 4), *aes_attributes(256))))
        who.ask(request(op.ACTIVATE, [uid(key)], (1, 4)))
        made = who.ask(request(ENCRYPT, [uid(key), CBC, octets(DATA, secret)], (1, 4)))
        iv, data = made.find(IV).value, made.find(DATA).value
        plain = who.ask(request(DECRYPT, [uid(key), CBC, octets(DATA, data), octets(IV, iv)], (1, 4)))
        assert plain.find(DATA).value == secret
        in_front = request(DECRYPT, [uid(key), CBC, octets(DATA, iv + data)], (1, 4))
        if forgiven:
            assert who.ask(in_front).find(DATA).value == secret
        else:
            who.refused(in_front)


def test_fujitsu(client):
    """Fetches a key that others made, by identifier, in 1.4 and at most 8192 bytes."""
    key = only_uid(client.ask(create((1, 4), *aes_attributes(256))))
    extra = (integer(MAXIMUM_RESPONSE_SIZE, 8192),)
    with client.connect() as sock:
        answer = ask(sock, struct_(tag.REQUEST_MESSAGE, header((1, 4), 1, *extra),
                                   batch_item(op.GET, [uid(key), enum(KEY_FORMAT_TYPE, RAW)])))
    assert len(material(answer)) == 32
    assert answer.find(tag.CRYPTOGRAPHIC_ALGORITHM).value == AES


# Other databases


def test_mysql(client):
    """Keys and secrets of one server in a group of their own, found by the group; 1.1."""
    version, group = (1, 1), attribute("Object Group", value_text("mysql-1"))
    first = only_uid(client.ask(create(version, *aes_attributes(256, name_of("INNODBKey-1"), group))))
    client.ask(request(op.ACTIVATE, [uid(first)], version))
    secret = only_uid(client.ask(request(REGISTER, [
        enum(tag.OBJECT_TYPE, SECRET_DATA),
        struct_(tag.TEMPLATE_ATTRIBUTE, attribute("Cryptographic Usage Mask", value_int(0)), name_of("secret-1"), group),
        secret_data(b"a password")], version)))
    listed = client.ask(request(op.LOCATE, [group], version))
    assert {found.value for found in listed.find_all(tag.UNIQUE_IDENTIFIER)} == {first, secret}
    assert material(client.ask(request(op.GET, [uid(secret)], version))) == b"a password"
    revoke(client, first, version)
    client.ask(request(op.DESTROY, [uid(first)], version))
    assert only_uid(client.ask(request(op.LOCATE, [group], version))) == secret


def secret_data(secret, kind=1):
    return struct_(SECRET_DATA_TAG, enum(SECRET_DATA_TYPE, kind), struct_(
        tag.KEY_BLOCK, enum(KEY_FORMAT_TYPE, 2), struct_(tag.KEY_VALUE, octets(tag.KEY_MATERIAL, secret))))


def revoke(client, key, version):
    client.ask(request(op.REVOKE, [uid(key), struct_(REVOCATION_REASON, enum(REVOCATION_REASON_CODE, 6))], version))


def test_mongodb(client):
    """The server's master key, made, activated and polled for its state; secret data of 96 bytes for its drivers; 1.0."""
    version = (1, 0)
    key = only_uid(client.ask(create(version, *aes_attributes(256))))
    client.ask(request(op.ACTIVATE, [uid(key)], version))
    assert state(client, key, version) == ACTIVE
    answer = client.ask(request(op.GET, [uid(key)], version))
    assert len(material(answer)) == 32
    secret = bytes(96)
    kept = only_uid(client.ask(request(REGISTER, [
        enum(tag.OBJECT_TYPE, SECRET_DATA),
        struct_(tag.TEMPLATE_ATTRIBUTE, attribute("Cryptographic Usage Mask", value_int(0))),
        secret_data(secret, 2)], version)))
    client.ask(request(op.ACTIVATE, [uid(kept)], version))
    assert material(client.ask(request(op.GET, [uid(kept)], version))) == secret
    # Its reader of attributes takes nothing that 1.0 does not have.
    names = [a.value for a in client.ask(request(op.GET_ATTRIBUTES, [uid(key)], version)).find_all(tag.ATTRIBUTE_NAME)]
    assert not {"Fresh", "Original Creation Date", "Random Number Generator", "Sensitive", "Extractable"} & set(names)


# Virtual machines, backup, networks, arrays


def test_vcenter(client):
    """Asks for the versions, makes an AES key in 1.1, fetches it and looks whether it may be used."""
    version = (1, 1)
    versions = client.ask(request(op.DISCOVER_VERSIONS, [], version))
    assert (1, 1) in [tuple(part.value for part in v.value) for v in
                      versions.find(tag.RESPONSE_PAYLOAD).find_all(tag.PROTOCOL_VERSION)]
    key = only_uid(client.ask(create(version, *aes_attributes(
        256, attribute("x-Product", value_text("vCenter")), attribute("Contact Information", value_text("vm-17"))))))
    assert len(material(client.ask(request(op.GET, [uid(key)], version)))) == 32
    assert state(client, key, version) == PRE_ACTIVE
    client.ask(request(op.ACTIVATE, [uid(key)], version))
    assert state(client, key, version) == ACTIVE


def test_a_client_that_never_activates(instance, client, tmp_path):
    """One that makes a key and expects it Active at once is enrolled so."""
    lenient = Client(instance, tmp_path / "lenient", "never-activates", "activate-new")
    assert state(lenient, only_uid(lenient.ask(create((1, 1), *aes_attributes()))), (1, 1)) == ACTIVE
    assert state(client, only_uid(client.ask(create((1, 1), *aes_attributes()))), (1, 1)) == PRE_ACTIVE


def test_synology(client):
    """DSM, 1.2: asks what there is, keeps a volume's secret under a policy name, renames it, retires the one before."""
    version = (1, 2)
    client.ask(request(op.DISCOVER_VERSIONS, [], version))
    client.ask(request(op.QUERY, [enum(tag.QUERY_FUNCTION, n) for n in range(1, 7)], version))
    nothing = request(op.LOCATE, [attribute("Object Type", value_enum(SECRET_DATA)), name_of("volume1")], version)
    assert client.ask(nothing).find_all(tag.UNIQUE_IDENTIFIER) == []
    kept = only_uid(client.ask(request(REGISTER, [
        enum(tag.OBJECT_TYPE, SECRET_DATA),
        struct_(tag.TEMPLATE_ATTRIBUTE, attribute("Cryptographic Usage Mask", value_int(2)), name_of("volume1.new"),
                attribute("Operation Policy Name", value_text("default"))),
        secret_data(b"passphrase of the vault")], version)))
    client.ask(request(op.ACTIVATE, [uid(kept)], version))
    client.ask(request(MODIFY_ATTRIBUTE, [uid(kept), name_of("volume1")], version))
    assert only_uid(client.ask(nothing)) == kept
    got = client.ask(request(op.GET_ATTRIBUTES, [uid(kept), text(tag.ATTRIBUTE_NAME, "State"),
                                                 text(tag.ATTRIBUTE_NAME, "Operation Policy Name")], version))
    assert [value.value for value in got.find_all(tag.ATTRIBUTE_VALUE)] == [ACTIVE, "default"]
    assert material(client.ask(request(op.GET, [uid(kept)], version))) == b"passphrase of the vault"
    revoke(client, kept, version)
    client.ask(request(op.DESTROY, [uid(kept)], version))


def test_veeam(client):
    """A pair of RSA keys in 1.4, each fetched as it is: no attributes inside the Key Value, which it cannot read."""
    version = (1, 4)
    mask = attribute("Cryptographic Usage Mask", value_int(ENCRYPT_DECRYPT))
    made = client.ask(request(op.CREATE_KEY_PAIR, [
        struct_(COMMON, attribute("Cryptographic Algorithm", value_enum(RSA)),
                attribute("Cryptographic Length", value_int(2048))),
        struct_(PRIVATE_TEMPLATE, name_of("veeam-private"), mask),
        struct_(PUBLIC_TEMPLATE, name_of("veeam-public"), mask)], version))
    for kind, number, name in ((PRIVATE_KEY, PRIVATE_UID, "veeam-private"), (PUBLIC_KEY, PUBLIC_UID, "veeam-public")):
        key = made.find(number).value
        client.ask(request(op.ACTIVATE, [uid(key)], version))
        assert only_uid(client.ask(request(op.LOCATE, [attribute("Object Type", value_enum(kind)), name_of(name)],
                                           version))) == key
        answer = client.ask(request(op.GET, [uid(key)], version))
        assert [part.tag for part in answer.find(tag.KEY_VALUE).value] == [tag.KEY_MATERIAL]
        revoke(client, key, version)
        client.ask(request(op.DESTROY, [uid(key)], version))


def test_fortios(instance, client, tmp_path):
    """Sends a user name and a password besides its certificate, and looks for keys by a Template-Attribute."""
    lenient = Client(instance, tmp_path / "lenient", "fortios", "locate-template")
    version, name = (1, 0), "ipsec-tunnel-1"
    password = struct_(AUTHENTICATION, struct_(
        CREDENTIAL, enum(CREDENTIAL_TYPE, 1),
        struct_(CREDENTIAL_VALUE, text(USERNAME, "gate"), text(PASSWORD, "not looked at"))))

    def with_password(operation, payload):
        return struct_(tag.REQUEST_MESSAGE, header(version, 1, password), batch_item(operation, payload))

    locate = with_password(op.LOCATE, [integer(tag.MAXIMUM_ITEMS, 1), struct_(tag.TEMPLATE_ATTRIBUTE, name_of(name))])
    assert lenient.ask(locate).find_all(tag.UNIQUE_IDENTIFIER) == []
    key = only_uid(lenient.ask(with_password(op.CREATE, [
        enum(tag.OBJECT_TYPE, SYMMETRIC_KEY), struct_(tag.TEMPLATE_ATTRIBUTE, *aes_attributes(256, name_of(name)))])))
    assert only_uid(lenient.ask(locate)) == key
    assert len(material(lenient.ask(with_password(op.GET, [uid(key)])))) == 32
    lenient.ask(with_password(op.ACTIVATE, [uid(key)]))
    client.refused(locate)


def test_storage_arrays(client):
    """One batch, 1.0: what is there, which key is ours, its bytes and its attributes, by the ID Placeholder."""
    version = (1, 0)
    resource = attribute("x-ResourceID", value_text("array-7/aggregate-1"))
    client.ask(create(version, *aes_attributes(256, attribute("x-ResourceID", value_text("another")))))
    key = only_uid(client.ask(create(version, *aes_attributes(256, resource))))

    def one(operation, number, payload=()):
        return struct_(tag.BATCH_ITEM, enum(tag.OPERATION, operation),
                       octets(tag.UNIQUE_BATCH_ITEM_ID, bytes([number])), struct_(tag.REQUEST_PAYLOAD, *payload))

    order = item(BATCH_ORDER_OPTION, 6, struct.pack(">Q", 1))
    message = struct_(tag.REQUEST_MESSAGE, header(version, 4, order),
                      one(op.QUERY, 1, [enum(tag.QUERY_FUNCTION, 1), enum(tag.QUERY_FUNCTION, 2)]),
                      one(op.LOCATE, 2, [resource]), one(op.GET, 3), one(op.GET_ATTRIBUTES, 4))
    with client.connect() as sock:
        sock.sendall(message)
        answer = receive(sock)
    items = answer.find_all(tag.BATCH_ITEM)
    assert [one.find(tag.RESULT_STATUS).value for one in items] == [0, 0, 0, 0]
    assert [one.find(tag.UNIQUE_BATCH_ITEM_ID).value for one in items] == [b"\1", b"\2", b"\3", b"\4"]
    assert only_uid(items[1]) == key
    assert len(material(items[2])) == 32
    assert "array-7/aggregate-1" in [value.value for value in items[3].find_all(tag.ATTRIBUTE_VALUE)
                                     if value.type != 1]


def test_vast(client):
    """1.4: made, activated, rotated under its name, checked, and fetched wrapped by another key (RFC 3394)."""
    version = (1, 4)
    kek = only_uid(client.ask(create(version, attribute("Cryptographic Algorithm", value_enum(AES)),
                                     attribute("Cryptographic Length", value_int(256)),
                                     attribute("Cryptographic Usage Mask", value_int(0x30)))))
    key = only_uid(client.ask(create(version, *aes_attributes(256, name_of("vast-1")))))
    for each in (kek, key):
        client.ask(request(op.ACTIVATE, [uid(each)], version))
    newer = only_uid(client.ask(request(RE_KEY, [uid(key)], version)))
    assert only_uid(client.ask(request(op.LOCATE, [name_of("vast-1")], version))) == newer
    client.ask(request(CHECK, [uid(key), integer(tag.CRYPTOGRAPHIC_USAGE_MASK, 8)], version))
    wrapping = struct_(KEY_WRAPPING_SPECIFICATION, enum(WRAPPING_METHOD, 1), struct_(
        ENCRYPTION_KEY_INFORMATION, uid(kek), struct_(CRYPTOGRAPHIC_PARAMETERS, enum(BLOCK_CIPHER_MODE, 13))),
        enum(0x4200A3, 1))
    wrapped = client.ask(request(op.GET, [uid(key), wrapping], version))
    assert len(wrapped.find(tag.KEY_VALUE).value) == 40
