"""KMIP over HTTPS: TTLV, JSON and XML by POST to /kmip, for the same clients as on the KMIP port; and clients of HTTP that
misbehave, each of which gets an error or a closed connection within a bound while others are served."""

import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time
import xml.etree.ElementTree

import pytest

import certificates
from instance import Instance, free_port, run, wait_until
from ttlv import QUERY_OPERATIONS, ask, create_aes, parse, tag

TTLV, JSON, XML = "application/octet-stream", "application/json", "text/xml"
BOUND = 8  # seconds
HEAD = b"POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: application/octet-stream\r\n"
GOOD = HEAD + b"Content-Length: %d\r\n\r\n" % len(QUERY_OPERATIONS) + QUERY_OPERATIONS

DISCOVER_JSON = json.dumps({"tag": "RequestMessage", "value": [
    {"tag": "RequestHeader", "value": [
        {"tag": "ProtocolVersion", "value": [
            {"tag": "ProtocolVersionMajor", "type": "Integer", "value": 1},
            {"tag": "ProtocolVersionMinor", "type": "Integer", "value": 4}]},
        {"tag": "BatchCount", "type": "Integer", "value": 1}]},
    {"tag": "BatchItem", "value": [
        {"tag": "Operation", "type": "Enumeration", "value": "DiscoverVersions"},
        {"tag": "RequestPayload", "value": []}]}]})
DISCOVER_XML = """<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type="Integer" value="1"/>
<ProtocolVersionMinor type="Integer" value="4"/></ProtocolVersion><BatchCount type="Integer" value="1"/></RequestHeader>
<BatchItem><Operation type="Enumeration" value="DiscoverVersions"/><RequestPayload/></BatchItem></RequestMessage>"""


class Server(Instance):
    """An instance that serves both ways."""

    def __init__(self, folder, *init_args):
        self.https_port = free_port()
        super().__init__(folder, "--https", "127.0.0.1:%d" % self.https_port, *init_args)

    def plain_https(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.https_port), timeout)

    def tls(self, context=None):
        return (context or self.context()).wrap_socket(self.plain_https(), server_hostname="127.0.0.1")

    def http(self, context=None):
        return http.client.HTTPSConnection("127.0.0.1", self.https_port, timeout=20, context=context or self.context())

    def post(self, body, content_type, **headers):
        """(status, Content-Type, body) of the answer."""
        connection = self.http()
        try:
            connection.request("POST", "/kmip", body, {"Content-Type": content_type, **headers})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("https") / "instance")
    made.configure("limits", handshake_timeout=2, request_timeout=2, write_timeout=2, idle_timeout=600)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fresh_https(tmp_path):
    made = Server(tmp_path / "instance")
    yield made
    try:
        made.stop()
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        shutil.rmtree(made.dir, ignore_errors=True)


def answer_of(sock):
    """(status, head, body) of one answer that is read to the end."""
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer.status, answer, answer.read()


def until_closed(sock, bound=BOUND):
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


# What is served

def test_init_says_where(server):
    assert "https://127.0.0.1:%d/kmip" % server.https_port in server.init.stdout
    assert "KMIP on 127.0.0.1:%d, HTTPS on 127.0.0.1:%d;" % (server.port, server.https_port) in server.ready_line


def test_the_kmip_port_serves_too(server):
    with server.connect() as sock:
        ask(sock, QUERY_OPERATIONS)


def test_ttlv(server):
    status, kind, body = server.post(QUERY_OPERATIONS, TTLV)
    assert (status, kind) == (200, TTLV)
    assert parse(body).find(tag.RESULT_STATUS).value == 0


def test_json(server):
    status, kind, body = server.post(DISCOVER_JSON, JSON)
    assert (status, kind) == (200, JSON)
    answer = json.loads(body)
    assert answer["tag"] == "ResponseMessage"
    assert '"Success"' in body.decode() and '"ProtocolVersion"' in body.decode()


@pytest.mark.parametrize("kind", [XML, "application/xml", "text/xml; charset=utf-8"])
def test_xml(server, kind):
    status, answered, body = server.post(DISCOVER_XML, kind)
    assert (status, answered) == (200, kind.partition(";")[0])
    answer = xml.etree.ElementTree.fromstring(body)
    assert answer.tag == "ResponseMessage"
    assert answer.find("BatchItem/ResultStatus").get("value") == "Success"
    assert len(answer.findall("BatchItem/ResponsePayload/ProtocolVersion")) > 3


def test_keys_are_the_same_in_all_encodings(server):
    _, _, body = server.post(create_aes("by-https"), TTLV)
    uid = parse(body).find(tag.UNIQUE_IDENTIFIER).value
    get = json.loads(DISCOVER_JSON)
    get["value"][1]["value"] = [{"tag": "Operation", "type": "Enumeration", "value": "Get"},
                                {"tag": "RequestPayload", "value": [
                                    {"tag": "UniqueIdentifier", "type": "TextString", "value": uid}]}]
    _, _, by_json = server.post(json.dumps(get), JSON)
    by_xml = DISCOVER_XML.replace("DiscoverVersions", "Get").replace(
        "<RequestPayload/>",
        '<RequestPayload><UniqueIdentifier type="TextString" value="%s"/></RequestPayload>' % uid)
    _, _, by_xml = server.post(by_xml, XML)
    material = [re.search(r'"KeyMaterial", "type": "ByteString", "value": "([0-9A-Fa-f]+)"', by_json.decode()).group(1),
                xml.etree.ElementTree.fromstring(by_xml).find(".//KeyMaterial").get("value")]
    assert len(material[0]) == 64 and material[0].lower() == material[1].lower()


def test_a_refusal_of_kmip_is_status_200(server):
    status, _, body = server.post(DISCOVER_XML.replace("DiscoverVersions", "Get"), XML)
    assert status == 200
    assert xml.etree.ElementTree.fromstring(body).find("BatchItem/ResultStatus").get("value") == "OperationFailed"


def test_a_connection_is_kept(server):
    connection = server.http()
    for body, kind in ((QUERY_OPERATIONS, TTLV), (DISCOVER_JSON, JSON), (DISCOVER_XML, XML), (QUERY_OPERATIONS, TTLV)):
        connection.request("POST", "/kmip", body, {"Content-Type": kind})
        local = connection.sock.getsockname()
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200 and answer.getheader("Content-Type") == kind
        assert connection.sock is not None and connection.sock.getsockname() == local
    connection.close()


def test_chunks(server):
    connection = server.http()
    pieces = [QUERY_OPERATIONS[at:at + 7] for at in range(0, len(QUERY_OPERATIONS), 7)]
    connection.request("POST", "/kmip", iter(pieces), {"Content-Type": TTLV}, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 200 and parse(answer.read()).find(tag.RESULT_STATUS).value == 0
    connection.close()


def test_connection_close(server):
    with server.tls() as sock:
        sock.sendall(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        status, head, _ = answer_of(sock)
        assert status == 200 and head.getheader("Connection") == "close"
        assert until_closed(sock) == b""


def test_http_1_0(server):
    with server.tls() as sock:
        sock.sendall(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        said = until_closed(sock)
        assert said.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in said


def test_who_expects_100_continue_is_told(server):
    with server.tls() as sock:
        head, _, body = GOOD.partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        interim = b""
        while not interim.endswith(b"\r\n\r\n"):
            interim += sock.recv(1)
        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert answer_of(sock)[0] == 200


def test_requests_that_do_not_wait_are_answered_in_order(server):
    xml_request = b"POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (
        len(DISCOVER_XML), DISCOVER_XML.encode())
    with server.tls() as sock:
        sock.sendall((GOOD + xml_request) * 20)
        reader = sock.makefile("rb")
        for turn in range(40):
            assert reader.readline().startswith(b"HTTP/1.1 200 ")
            fields = dict(line.split(b": ", 1) for line in iter(reader.readline, b"\r\n"))
            assert fields[b"Content-Type"] == (b"text/xml\r\n" if turn % 2 else b"application/octet-stream\r\n")
            assert len(reader.read(int(fields[b"Content-Length"]))) == int(fields[b"Content-Length"])


def test_a_large_answer(server):
    """More than a TLS record, and than what a socket takes at once."""
    items = 400
    message = json.loads(DISCOVER_JSON)
    item = {"tag": "BatchItem", "value": [
        {"tag": "Operation", "type": "Enumeration", "value": "Query"},
        {"tag": "UniqueBatchItemID", "type": "ByteString", "value": "00"},
        {"tag": "RequestPayload", "value": [
            {"tag": "QueryFunction", "type": "Enumeration", "value": "QueryOperations"}]}]}
    message["value"][0]["value"][1]["value"] = items
    message["value"][1:] = [
        {"tag": "BatchItem", "value": [item["value"][0], {**item["value"][1], "value": "%04X" % n}, item["value"][2]]}
        for n in range(items)]
    status, _, body = server.post(json.dumps(message), JSON)
    assert status == 200 and len(body) > 500_000
    assert json.loads(body)["tag"] == "ResponseMessage"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server, tmp_path):
    (tmp_path / "request.json").write_text(DISCOVER_JSON)
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--cacert", server.dir / "ca.pem", "--cert",
         server.dir / "admin.pem", "--key", server.dir / "admin.key", "-H", "Content-Type: application/json",
         "--data-binary", "@%s" % (tmp_path / "request.json"), "https://127.0.0.1:%d/kmip" % server.https_port],
        capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tag"] == "ResponseMessage"


# Malformed messages are refused by KMIP, and on record

@pytest.mark.parametrize("kind, body", [
    (JSON, ""), (JSON, "{"), (JSON, "[]"), (JSON, '{"tag": "NoSuchTag", "value": []}'), (JSON, DISCOVER_JSON + "x"),
    (JSON, "\x00"), (JSON, '{"tag": "ResponseMessage", "value": []}'), (JSON, '{"value": [' * 100),
    (XML, ""), (XML, "<RequestMessage>"), (XML, "<html/>"), (XML, DISCOVER_XML + "<a/>"), (XML, "\x00"),
    (XML, '<!DOCTYPE a [<!ENTITY b "c">]><RequestMessage>&b;</RequestMessage>'),
    (TTLV, b""), (TTLV, b"\x42"), (TTLV, QUERY_OPERATIONS + b"\x00"), (TTLV, QUERY_OPERATIONS * 2), (TTLV, b"\x00" * 64)])
def test_malformed_messages(server, kind, body):
    def records():
        return b"".join(path.read_bytes() for path in (server.dir / "audit").glob("audit-*.jsonl")).count(b"\n")
    before = records()
    status, answered, said = server.post(body, kind)
    assert (status, answered) == (200, kind)
    if kind == TTLV:
        answer = parse(said)
        assert answer.find(tag.RESULT_STATUS).value == 1 and answer.find(tag.RESULT_REASON).value == 4
    elif kind == JSON:
        assert json.loads(said)["tag"] == "ResponseMessage" and b'"InvalidMessage"' in said
    else:
        answer = xml.etree.ElementTree.fromstring(said)
        assert answer.find("BatchItem/ResultReason").get("value") == "InvalidMessage"
        assert answer.find("BatchItem/ResultMessage").get("value")
    assert records() == before + 1


@pytest.mark.parametrize("kind, damage", [
    (JSON, lambda body: body[:body.index("DiscoverVersions")]), (JSON, lambda body: body + "x"),
    (JSON, lambda body: body.replace("DiscoverVersions", "NoSuchOperation")),
    (XML, lambda body: body[:body.index("<BatchItem>")]), (XML, lambda body: body + "<a/>"),
    (XML, lambda body: body.replace("DiscoverVersions", "NoSuchOperation"))])
def test_malformed_messages_are_answered_in_their_version(server, kind, damage):
    status, answered, said = server.post(damage(DISCOVER_JSON if kind == JSON else DISCOVER_XML), kind)
    assert (status, answered) == (200, kind) and b'"InvalidMessage"' in said
    if kind == JSON:
        version = json.loads(said)["value"][0]["value"][0]["value"]
        assert [part["value"] for part in version] == [1, 4]
    else:
        version = xml.etree.ElementTree.fromstring(said).find("ResponseHeader/ProtocolVersion")
        assert [part.get("value") for part in version] == ["1", "4"]


# Who is served: as on the KMIP port

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["none", "foreign", "enrol"])
def test_certificates_that_do_not_do(server, tmp_path, kind, version):
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    if kind == "foreign":
        certificates.Authority("Keystead CA").issue("admin", cert, key)
    context = server.context(cert=cert, key=key) if kind == "foreign" else server.context(None)
    context.minimum_version = context.maximum_version = version
    if kind == "enrol":  # there is no enrolment here
        context.set_alpn_protocols(["keystead-enroll/1"])
    with pytest.raises((ssl.SSLError, OSError)):
        with server.tls(context) as sock:
            sock.sendall(GOOD)
            if not sock.recv(1):
                raise OSError("closed")


def test_alpn(server):
    context = server.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server.tls(context) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        sock.sendall(GOOD)
        assert answer_of(sock)[0] == 200


def test_the_other_protocol_on_each_port(server):
    with server.tls() as sock:
        sock.sendall(QUERY_OPERATIONS)
        assert until_closed(sock).startswith(b"HTTP/1.1 400 ")
    with server.connect() as sock:
        sock.sendall(GOOD)
        assert parse(until_closed(sock)).find(tag.RESULT_STATUS).value == 1


# HTTP that is refused

BODY = b"Content-Length: 1\r\n\r\nx"


@pytest.mark.parametrize("request_text, status", [
    (b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n", 404), (b"GET /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405),
    (b"HEAD /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405), (b"PUT /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405),
    (b"POST /other HTTP/1.1\r\nHost: kms\r\n" + BODY, 404), (HEAD + b"\r\n", 411),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", 413),
    (b"POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: text/html\r\n" + BODY, 415),
    (HEAD + b"Content-Encoding: gzip\r\n" + BODY, 415), (HEAD + b"Expect: more\r\n" + BODY, 417),
    (b"POST /" + b"a" * 10000, 414), (HEAD + b"X: " + b"a" * 10000, 431), (HEAD + b"X: y\r\n" * 100 + BODY, 431),
    (b"POST /kmip HTTP/2.0\r\nHost: kms\r\n" + BODY, 505), (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    # What two readers may take for different requests
    (HEAD + b"Transfer-Encoding: chunked\r\n" + BODY, 400), (HEAD + b"Content-Length: 1\r\n" + BODY, 400),
    (HEAD + b"Content-Length: 2\r\n" + BODY, 400), (HEAD + b"Content-Length : 1\r\n\r\nx", 400),
    (HEAD + b"X: a\r\n b\r\n" + BODY, 400), (HEAD.replace(b"\r\n", b"\n") + BODY, 400),
    (HEAD + b"X: a\rContent-Length: 5\r\n" + BODY, 400), (HEAD + b"X: \x00\r\n" + BODY, 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", 400),
    (HEAD + b"Host: other\r\n" + BODY, 400), (b"\x00" * 100, 400)])
def test_refused(server, request_text, status):
    with server.tls() as sock:
        try:
            sock.sendall(request_text + GOOD)  # and what follows is not taken for a request
        except (OSError, ssl.SSLError):
            pass
        said = until_closed(sock)
        assert said.startswith(b"HTTP/1.1 %d " % status), said
        assert b"\r\nConnection: close\r\n" in said and said.count(b"\r\nContent-Length: ") == 1
        if request_text.startswith(b"HEAD"):
            assert said.endswith(b"\r\n\r\n")
    assert server.post(QUERY_OPERATIONS, TTLV)[0] == 200


@pytest.mark.parametrize("sent", [1, 20, len(HEAD), len(GOOD) - 1])
def test_part_of_a_request(server, sent):
    with server.tls() as sock:
        sock.sendall(GOOD[:sent])
        assert until_closed(sock).startswith(b"HTTP/1.1 408 ")


def test_a_request_byte_by_byte(server):
    with server.tls() as sock:
        start = time.monotonic()
        said = b""
        try:
            for byte in HEAD + b"X: " + b"a" * 1000:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
                assert time.monotonic() - start < BOUND, "a request may take for ever"
        except (OSError, ssl.SSLError):
            said = b"closed"
        assert said == b"closed"


def test_a_request_in_small_pieces_is_served(server):
    with server.tls() as sock:
        for at in range(0, len(GOOD), 9):
            sock.sendall(GOOD[at:at + 9])
        assert answer_of(sock)[0] == 200


def test_a_thousand_idle_connections(server):
    idle = []
    before = server.memory()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        context = server.context()
        for _ in range(1000):
            idle.append(server.tls(context))
        for sock in idle:
            sock.sendall(GOOD)
        for sock in idle:
            assert answer_of(sock)[0] == 200
        assert server.post(QUERY_OPERATIONS, TTLV)[0] == 200
        assert server.memory() - before < 96 * 1024
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_takes_no_answers(server):
    """It asks and never reads: what waits for it is bounded, and others are served."""
    before = server.memory()
    with server.tls() as sock:
        sock.settimeout(3)
        try:
            for _ in range(2000):
                sock.sendall(GOOD * 50)
        except (OSError, ssl.SSLError):
            pass
        assert server.post(QUERY_OPERATIONS, TTLV)[0] == 200
    assert server.memory() - before < 96 * 1024


# Reload and the end

def test_sighup_opens_and_closes_https(fresh):
    port = free_port()
    fresh.start()
    conf = fresh.dir / "keystead.conf"
    without = conf.read_text()
    conf.write_text(re.sub(r"#listen_https = {}", 'listen_https = {"127.0.0.1:%d"}' % port, without))
    assert conf.read_text() != without
    fresh.signal(signal.SIGHUP)
    fresh.wait_for_log("reloaded:")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=fresh.context())
    connection.request("POST", "/kmip", QUERY_OPERATIONS, {"Content-Type": TTLV})
    assert connection.getresponse().status == 200
    connection.close()
    with fresh.connect() as sock:
        ask(sock, QUERY_OPERATIONS)
    conf.write_text(without)
    fresh.signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            break
        assert time.monotonic() < deadline, "the address is still open"
        time.sleep(0.1)


def test_one_address_for_both_is_an_error(fresh):
    conf = fresh.dir / "keystead.conf"
    conf.write_text(conf.read_text().replace("#listen_https = {}", 'listen_https = {"127.0.0.1:%d"}' % fresh.port))
    fresh.start(wait=False)
    assert fresh.wait() == 78
    assert "twice" in fresh.log


def test_an_address_for_https_that_is_none(tmp_path):
    done = run("init", tmp_path / "x", "--https", "kms.example.org", check=False)
    assert done.returncode != 0 and "kms.example.org" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_sealed_server(tmp_path):
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "passphrase").chmod(0o600)
    made = Server(tmp_path / "instance", "--passphrase-file", tmp_path / "passphrase")
    made.start()
    try:
        status, _, body = made.post(DISCOVER_XML, XML)
        assert status == 200
        assert xml.etree.ElementTree.fromstring(body).find("BatchItem/ResultStatus").get("value") == "OperationFailed"
        status, _, body = made.post("<", XML)
        assert status == 200 and b"InvalidMessage" in body
    finally:
        made.stop()
    waiting = (made.dir / "audit" / "sealed.jsonl").read_text()
    assert "XML: " in waiting


def status_of(pid):
    lines = pathlib.Path("/proc/%d/status" % pid).read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def has_arrived(number, pid):
    """Whether a signal waits for a stopped process."""
    return any(int(status_of(pid)[name], 16) >> (number - 1) & 1 for name in ("SigPnd", "ShdPnd"))


def test_sigterm_finishes_what_is_in_flight(fresh_https):
    fresh_https.start()
    with fresh_https.tls() as idle, fresh_https.tls() as asking:
        idle.sendall(GOOD[:30])
        asking.sendall(GOOD)
        fresh_https.signal(signal.SIGTERM)
        assert until_closed(asking).startswith(b"HTTP/1.1 200 ")
        assert fresh_https.wait() == 0


def halfway(server):
    """(socket, TLS, what TLS reads from, what it sends to): Finished is still to be sent."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server.context().wrap_bio(received, to_send, server_hostname="127.0.0.1")
    sock = server.plain_https()
    while True:
        try:
            tls.do_handshake()
            return sock, tls, received, to_send
        except ssl.SSLWantReadError:
            sock.sendall(to_send.read())
            received.write(sock.recv(65536))


def test_sigterm_finishes_what_came_with_the_end_of_a_handshake(fresh_https):
    """A client that has said Finished may send at once: to it the connection is open, whether the server has read that or not."""
    fresh_https.start()
    clients = [halfway(fresh_https) for _ in range(4)]
    workers = fresh_https.roles()[1]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: status_of(pid)["State"].startswith("T"), "worker %d does not stop" % pid)
    for sock, tls, _, to_send in clients:
        tls.write(GOOD)
        sock.sendall(to_send.read())
    fresh_https.signal(signal.SIGTERM)
    for pid in workers:
        wait_until(lambda: has_arrived(signal.SIGTERM, pid), "SIGTERM does not reach worker %d" % pid)
        os.kill(pid, signal.SIGCONT)
    for sock, tls, received, _ in clients:
        received.write(until_closed(sock))
        sock.close()
        assert tls.read(65536).startswith(b"HTTP/1.1 200 ")
    assert fresh_https.wait() == 0
