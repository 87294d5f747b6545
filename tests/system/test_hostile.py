"""Clients that misbehave: each gets a KMIP error or a closed connection within a bound, others are served meanwhile,
and memory stays bounded."""

import os
import random
import resource
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

import certificates
from instance import Instance
from ttlv import (QUERY_OPERATIONS, ask, batch_item, create_aes, enum, get, header, octets, op, parse, receive, receive_exactly, request,
                  struct_, tag, text)

BOUND = 8  # seconds: the limits below, and as much again for a busy machine
MEMORY_KIB = 96 * 1024  # how much all processes together may grow in a test


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    made = Instance(folder / "instance")
    made.configure("limits", handshake_timeout=2, request_timeout=2, write_timeout=2, idle_timeout=600)
    # A second authority that the server trusts, whose key we have: the instance's own is sealed in its store.
    made.authority = certificates.Authority("Test CA")
    made.authority.write(folder / "test-ca.pem")
    with open(made.dir / "ca.pem", "a") as bundle:
        bundle.write((folder / "test-ca.pem").read_text())
    made.folder = folder
    made.start()
    with made.connect() as sock:
        ask(sock, QUERY_OPERATIONS)
    yield made
    made.stop()


class Bystander:
    """Another client, which is served all the time."""

    def __init__(self, target):
        self.target, self.asked, self.slowest, self.error = target, 0, 0, None
        self._stop = threading.Event()

    def __enter__(self):
        self.memory = self.target.memory()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self):
        try:
            while not self._stop.is_set():
                start = time.monotonic()
                with self.target.connect() as sock:
                    for _ in range(5):
                        ask(sock, QUERY_OPERATIONS)
                        self.asked += 5
                self.slowest = max(self.slowest, time.monotonic() - start)
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def __exit__(self, kind, value, trace):
        self._stop.set()
        self._thread.join()
        if kind is not None:
            return
        assert self.error is None, "another client was not served: %r" % self.error
        assert self.asked > 0
        grown = self.target.memory() - self.memory
        assert grown < MEMORY_KIB, "memory grew by %d KiB" % grown


@pytest.fixture
def bystander(target):
    with Bystander(target) as other:
        yield other


def assert_closed(sock, bound=BOUND):
    """The server closes within the bound; what it says before that is returned."""
    sock.settimeout(bound)
    said = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return said
            said += more
    except socket.timeout:
        raise AssertionError("the connection is still open after %d s" % bound)
    except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
        return said


def assert_kmip_error(sock):
    """A KMIP error; then the connection either goes on or is closed."""
    answer = receive(sock)
    assert answer.tag == tag.RESPONSE_MESSAGE
    assert answer.find(tag.RESULT_STATUS).value == 1, answer
    assert answer.find(tag.RESULT_REASON) is not None
    return answer


def test_says_nothing(target, bystander):
    with target.plain() as sock:
        assert_closed(sock)


def test_half_a_handshake(target, bystander):
    with target.plain() as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        assert_closed(sock)


def test_no_tls_at_all(target, bystander):
    for text in (b"GET / HTTP/1.0\r\n\r\n", QUERY_OPERATIONS, os.urandom(500), b"\x80" * 20000):
        with target.plain() as sock:
            sock.sendall(text)
            assert_closed(sock)


def test_a_handshake_byte_by_byte(target, bystander):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = target.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with target.plain() as sock:
        try:
            for byte in outgoing.read():
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert_closed(sock)


def test_an_idle_connection_is_kept(target, bystander):
    with target.connect() as sock:
        ask(sock, QUERY_OPERATIONS)
        time.sleep(3)  # longer than any of the limits for what is half done
        ask(sock, QUERY_OPERATIONS)


@pytest.mark.parametrize("sent", [1, 7, 8, 9, len(QUERY_OPERATIONS) - 1])
def test_part_of_a_request(target, bystander, sent):
    with target.connect() as sock:
        sock.sendall(QUERY_OPERATIONS[:sent])
        assert_closed(sock)


def test_a_request_byte_by_byte(target, bystander):
    with target.connect() as sock:
        start = time.monotonic()
        try:
            while time.monotonic() - start < BOUND:
                for byte in QUERY_OPERATIONS[:-1]:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.1)
            raise AssertionError("a request may take for ever")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass


def test_a_request_in_small_pieces_is_served(target, bystander):
    with target.connect() as sock:
        for at in range(0, len(QUERY_OPERATIONS), 5):
            sock.sendall(QUERY_OPERATIONS[at:at + 5])
            time.sleep(0.01)
        assert receive(sock).find(tag.RESULT_STATUS).value == 0


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, (1 << 20) + 1])
def test_too_large_a_length(target, bystander, length):
    with target.connect() as sock:
        sock.sendall(b"\x42\x00\x78\x01" + struct.pack(">I", length) + b"\x00" * 1000)
        said = assert_closed(sock)
        if said:
            assert parse(said).find(tag.RESULT_STATUS).value == 1


def test_lying_lengths_inside(target, bystander):
    """A message whose outer length is right, with every inner length made to lie in turn."""
    whole = create_aes("liar")
    for at in range(12, len(whole) - 4, 8):
        for lie in (0xFFFFFFFF, 0x7FFFFFFF, len(whole), 0):
            broken = whole[:at] + struct.pack(">I", lie) + whole[at + 4:]
            with target.connect() as sock:
                sock.sendall(broken)
                try:
                    receive(sock)
                except (EOFError, ConnectionResetError, ssl.SSLError):
                    pass
        if at > 200:
            break


def test_garbage_inside(target, bystander):
    chance = random.Random(7)
    for _ in range(40):
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(0, 64) * 8))
        with target.connect() as sock:
            sock.sendall(b"\x42\x00\x78\x01" + struct.pack(">I", len(body)) + body)
            try:
                assert_kmip_error(sock)
            except EOFError:
                pass


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n", b"\x42", b"\x42\x00\x7b\x01\x00\x00\x00\x00",
                                  b"\x00" * 64, b"\x42\x00\x78\x02\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00"])
def test_something_else_than_kmip(target, bystander, text):
    with target.connect() as sock:
        sock.sendall(text)
        said = assert_closed(sock)
        if said:
            assert parse(said).find(tag.RESULT_STATUS).value == 1


@pytest.mark.parametrize("version", [(0, 0), (0, 9), (1, 5), (9, 9), (-1, 2), (2, 2147483647)])
def test_wrong_versions(target, bystander, version):
    with target.connect() as sock:
        sock.sendall(request(op.QUERY, version=version))
        assert_kmip_error(sock)


def test_ten_thousand_levels(target, bystander):
    inner = b""
    for _ in range(10000):
        inner = b"\x42\x00\x78\x01" + struct.pack(">I", len(inner)) + inner
    with target.connect() as sock:
        sock.sendall(inner)
        try:
            assert_kmip_error(sock)
        except EOFError:
            pass


def test_a_batch_of_thousands(target, bystander):
    items = b"".join(batch_item(op.QUERY) for _ in range(20000))
    message = struct_(tag.REQUEST_MESSAGE, header((1, 4), 20000), items)
    with target.connect() as sock:
        sock.sendall(message)
        try:
            receive(sock)
        except (EOFError, ConnectionResetError, ssl.SSLError):
            pass


# TLS

def old_tls(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(target, bystander, version):
    with target.plain() as sock, pytest.raises((ssl.SSLError, OSError)):
        old_tls(version).wrap_socket(sock)


@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"])
def test_ciphers_without_forward_secrecy_or_aead_are_refused(target, bystander, ciphers):
    context = target.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with target.plain() as sock, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(sock, server_hostname="127.0.0.1")


def test_tls_1_2_is_served(target, bystander):
    context = target.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with target.connect(context) as sock:
        assert sock.version() == "TLSv1.2"
        ask(sock, QUERY_OPERATIONS)


def assert_not_served(target, context):
    """With TLS 1.3 a client learns of its refusal only when it reads."""
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        with target.connect(context) as sock:
            sock.sendall(QUERY_OPERATIONS)
            receive(sock)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["none", "foreign", "expired", "not yet valid", "for servers only"])
def test_certificates_that_do_not_do(target, bystander, kind, version):
    cert, key = target.folder / "client.pem", target.folder / "client.key"
    if kind == "foreign":
        certificates.Authority("Keystead CA").issue("admin", cert, key)
    elif kind == "expired":
        target.authority.issue("admin", cert, key, starts=-5, ends=-1)
    elif kind == "not yet valid":
        target.authority.issue("admin", cert, key, starts=1, ends=5)
    elif kind == "for servers only":
        target.authority.issue("admin", cert, key, server=True)
    context = target.context(None) if kind == "none" else target.context(cert=cert, key=key)
    context.minimum_version = context.maximum_version = version
    assert_not_served(target, context)


def test_a_trusted_certificate_of_nobody_known_is_no_administrator(target, bystander):
    """The same name as the administrator's, from another authority that is trusted: still nobody."""
    cert, key = target.folder / "client.pem", target.folder / "client.key"
    target.authority.issue("admin", cert, key)
    with target.connect(target.context(cert=cert, key=key)) as sock:
        sock.sendall(create_aes("stolen"))
        try:
            assert_kmip_error(sock)
        except EOFError:
            pass


def test_renegotiation(target, bystander):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % target.port, "-tls1_2", "-cert", target.dir / "admin.pem",
         "-key", target.dir / "admin.key"],
        input=b"R\n" * 5, capture_output=True, timeout=60)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert done.returncode != 0 or b"no renegotiation" in done.stdout + done.stderr
    with target.connect() as sock:
        ask(sock, QUERY_OPERATIONS)


def test_sessions_are_resumed(target, bystander):
    context = target.context()
    with target.connect(context) as sock:
        ask(sock, QUERY_OPERATIONS)
        session = sock.session
    for _ in range(20):  # a session is known to the network process that made it
        with context.wrap_socket(target.plain(), server_hostname="127.0.0.1", session=session) as sock:
            ask(sock, create_aes())  # as the same administrator
            if sock.session_reused:
                return
            session = sock.session
    raise AssertionError("no session was ever resumed")


def test_a_session_without_certificate_is_not_resumed_as_one_with(target, bystander):
    context = target.context(None)
    for _ in range(10):
        context.set_alpn_protocols(["keystead-enroll/1"])
        with target.connect(context) as sock:
            assert sock.selected_alpn_protocol() == "keystead-enroll/1"
            try:
                sock.sendall(create_aes("anonymous"))
                receive(sock)
            except (EOFError, OSError):
                pass
            session = sock.session
        assert session is not None
        context.set_alpn_protocols(["something/1"])
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            with context.wrap_socket(target.plain(), server_hostname="127.0.0.1", session=session) as sock:
                sock.sendall(create_aes("nobody's"))
                receive(sock)


def test_an_anonymous_peer_may_only_enrol(target, bystander):
    context = target.context(None)
    context.set_alpn_protocols(["keystead-enroll/1"])
    for message in (create_aes("anonymous"), get("1"), request(op.LOCATE)):
        with target.connect(context) as sock:
            sock.sendall(message)
            try:
                assert_kmip_error(sock)
            except (EOFError, OSError):
                pass
    with target.connect(context) as sock:  # and not much at a time
        sock.sendall(b"\x42\x00\x78\x01" + struct.pack(">I", 100000) + b"\x00" * 1000)
        assert_closed(sock)


def test_strangers_are_few_at_a_time_and_in_a_minute(tmp_path):
    made = Instance(tmp_path / "instance")
    made.configure("server", workers=1)
    made.configure("limits", enrolments=2, enrolments_per_minute=6)
    made.start()
    context = made.context(None)
    context.set_alpn_protocols(["keystead-enroll/1"])

    def is_let_in(sock):
        try:
            sock.sendall(get("1"))
            receive(sock)
            return True
        except (EOFError, OSError):
            return False

    with made.connect(context), made.connect(context):
        with made.connect(context) as third:
            assert not is_let_in(third)
        with made.connect() as known:  # clients are served meanwhile
            ask(known, QUERY_OPERATIONS)
    time.sleep(0.5)  # until the server has seen the two go
    admitted = 0
    for _ in range(20):
        with made.connect(context) as sock:
            admitted += is_let_in(sock)
    assert 1 <= admitted <= 6, admitted
    told = b"".join(path.read_bytes() for path in (made.dir / "audit").glob("audit-*.jsonl"))
    assert told.count(b'"authenticated":false') == admitted
    with made.connect() as known:
        ask(known, QUERY_OPERATIONS)
    made.stop()


# Too much

def test_an_answer_larger_than_any_may_be_ends_nobody_else(target, bystander):
    """Identifiers of items are repeated in the answer, and what is wrong with each item comes to that."""
    n, size = 1000, 944
    items = [struct_(tag.BATCH_ITEM, enum(tag.OPERATION, op.GET), octets(tag.UNIQUE_BATCH_ITEM_ID, b"x" * size),
                     struct_(tag.REQUEST_PAYLOAD, text(tag.UNIQUE_IDENTIFIER, "x"))) for _ in range(n)]
    head = header((1, 4), n, enum(0x42000E, 1))  # Batch Error Continuation Option: Continue
    workers = target.roles()[1]
    with target.connect() as sock:
        sock.sendall(struct_(tag.REQUEST_MESSAGE, head, *items))
        assert_kmip_error(sock)
    assert target.roles()[1] == workers


def test_a_thousand_idle_connections(target):
    needed = 1200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip("only %d files may be open" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    context, idle = target.context(), []
    try:
        with Bystander(target) as other:
            for _ in range(1000):
                idle.append(target.connect(context))
            asked = other.asked
            with target.connect() as sock:
                ask(sock, QUERY_OPERATIONS)
            time.sleep(1)
            assert other.asked > asked
            grown = (target.memory() - other.memory) / 1000
            assert grown < 96, "%d KiB for each idle connection" % grown
            for sock in random.Random(3).sample(idle, 20):
                ask(sock, QUERY_OPERATIONS)  # they are open, and served when they wake up
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_half_open_handshakes(target, bystander):
    socks = []
    try:
        for _ in range(600):
            sock = target.plain()
            sock.sendall(b"\x16\x03\x01")
            socks.append(sock)
        assert_closed(socks[0], 30)
        with target.connect(timeout=60) as sock:
            ask(sock, QUERY_OPERATIONS)
    finally:
        for sock in socks:
            sock.close()


def test_never_reads(target):
    """Asks and asks, and takes no answer: cut off, and what waits for it is bounded."""
    with Bystander(target) as other:
        with target.connect() as sock:
            sock.settimeout(BOUND)
            peak = 0
            start = time.monotonic()
            try:
                while time.monotonic() - start < 60:
                    sock.sendall(QUERY_OPERATIONS * 200)
                    peak = max(peak, target.memory() - other.memory)
                raise AssertionError("it could go on for ever")
            except socket.timeout:
                # Backpressure: the server reads no more. Within the limit for what is not taken it hangs up.
                deadline = time.monotonic() + BOUND
                while time.monotonic() < deadline:
                    try:
                        sock.sendall(b"x")
                    except socket.timeout:
                        continue
                    except OSError:
                        break
            except OSError:
                pass  # cut off at once
            assert peak < MEMORY_KIB, "memory grew by %d KiB" % peak


def test_half_closed(target, bystander):
    """Says that it sends no more, right behind its request: it still gets its answer, then the end."""
    with target.connect() as sock:
        ask(sock, QUERY_OPERATIONS)
        sock.sendall(QUERY_OPERATIONS * 3)
        with socket.socket(fileno=os.dup(sock.fileno())) as twin:
            twin.shutdown(socket.SHUT_WR)
        for _ in range(3):
            assert receive(sock).find(tag.RESULT_STATUS).value == 0
        assert assert_closed(sock) == b""


def test_gone_without_waiting_for_the_answer(target, bystander):
    for _ in range(100):
        sock = target.connect()
        sock.sendall(create_aes() * 5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def test_more_connections_than_allowed(tmp_path):
    made = Instance(tmp_path / "instance")
    made.configure("limits", connections_per_address=5)
    made.configure("server", workers=1)
    made.start()
    try:
        held = [made.connect() for _ in range(5)]
        for sock in held:
            ask(sock, QUERY_OPERATIONS)
        with pytest.raises((OSError, EOFError)):
            with made.connect() as sock:
                ask(sock, QUERY_OPERATIONS)
        held.pop().close()
        time.sleep(0.5)
        with made.connect() as sock:
            ask(sock, QUERY_OPERATIONS)
        for sock in held:
            ask(sock, QUERY_OPERATIONS)
            sock.close()
    finally:
        made.stop()


def test_pipelined_requests_are_answered_in_order(target, bystander):
    with target.connect() as sock:
        versions = [(1, n % 5) for n in range(500)]
        threading.Thread(target=lambda: sock.sendall(b"".join(request(op.QUERY, version=v) for v in versions))).start()
        for version in versions:
            answer = receive(sock)
            assert answer.find(tag.PROTOCOL_VERSION_MINOR).value == version[1]


def test_small_answers_are_whole_in_one_record(target, bystander):
    """Some clients do one read for an answer: what fits into a TLS record comes in one."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = target.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with target.plain() as sock:
        def pump(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))
        pump(tls.do_handshake)
        for _ in range(20):
            tls.write(QUERY_OPERATIONS)
            sock.sendall(outgoing.read())
            data = pump(lambda: tls.read(16384))
            assert parse(data).tag == tag.RESPONSE_MESSAGE
