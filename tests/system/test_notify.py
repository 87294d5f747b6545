"""Notify and Put: a listener of a client, as the published cases TC-NP-1 and TC-NP-2 have it, and listeners that are not
there, not who they should be, slow, or refuse; through a restart of the server."""

import json
import os
import queue
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

import certificates
from instance import Instance, free_port, run
from ttlv import (BOOL, Refused, ask, attribute, batch_item, create_aes, enum, header, integer, item, octets, receive,
                  request, struct_, tag, text)

LISTENER_SET = 0x80000007
LISTENER_ADDRESS, LISTENER_NOTIFY, LISTENER_PUT, LISTENER_OWN = 0x540028, 0x540029, 0x54002A, 0x54002B
NOTIFY, PUT, ADD_ATTRIBUTE, MODIFY_ATTRIBUTE, DESTROY, REGISTER = 0x1B, 0x1C, 13, 14, 20, 3
PUT_FUNCTION = 0x420070
BOUND = 30  # seconds within which a message has to come


def boolean(number, value):
    return item(number, BOOL, struct.pack(">Q", value))


def listener_set(port, notify=True, put=True, own=True, version=(1, 4)):
    return request(LISTENER_SET, [text(LISTENER_ADDRESS, "127.0.0.1:%d" % port), boolean(LISTENER_NOTIFY, notify),
                                  boolean(LISTENER_PUT, put), boolean(LISTENER_OWN, own)], version)


def attributes(message):
    """{name: value} of the 1.x attributes of a request."""
    found = {}
    for one in message.find_all(tag.ATTRIBUTE):
        value = one.find(tag.ATTRIBUTE_VALUE)
        found[one.find(tag.ATTRIBUTE_NAME).value] = value.value if value is not None else None
    return found


class Listener:
    """Takes requests from the server and answers each with success, or as `answers` says."""

    def __init__(self, instance, port, cert=None, key=None, status=0, silent=False):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(str(cert or instance.dir / "admin.pem"), str(key or instance.dir / "admin.key"))
        self.context.load_verify_locations(str(instance.dir / "ca.pem"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.status, self.silent = status, silent
        self.got, self.tried = queue.Queue(), queue.Queue()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.sock.listen(8)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.sock.accept()
            except OSError:
                return
            try:
                self._one(plain)
            except (OSError, EOFError):
                pass
            finally:
                plain.close()
                self.tried.put(True)

    def _one(self, plain):
        plain.settimeout(BOUND)
        with self.context.wrap_socket(plain, server_side=True) as sock:
            message = receive(sock)
            if self.silent:
                self.got.put(message)
                sock.recv(1)  # until the server has had enough
                return
            version = tuple(one.value for one in message.find(tag.PROTOCOL_VERSION).value)
            extra = [enum(tag.RESULT_REASON, 0x100), text(tag.RESULT_MESSAGE, "no")] if self.status != 0 else []
            stamp = item(0x420092, 9, struct.pack(">q", int(time.time())))
            head = struct_(0x42007A, struct_(tag.PROTOCOL_VERSION, integer(tag.PROTOCOL_VERSION_MAJOR, version[0]),
                                             integer(tag.PROTOCOL_VERSION_MINOR, version[1])), stamp,
                           integer(tag.BATCH_COUNT, 1))
            sock.sendall(struct_(tag.RESPONSE_MESSAGE, head, struct_(
                tag.BATCH_ITEM, enum(tag.OPERATION, message.find(tag.OPERATION).value),
                enum(tag.RESULT_STATUS, self.status), *extra)))
            self.got.put(message)

    def take(self, operation):
        message = self.got.get(timeout=BOUND)
        assert message.find(tag.OPERATION).value == operation
        return message

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(BOUND)


def trail(instance):
    return "".join(path.read_text() for path in sorted((instance.dir / "audit").glob("audit-*.jsonl")))


def wait_for_record(instance, *texts):
    deadline = time.monotonic() + BOUND
    while True:
        lines = [line for line in trail(instance).splitlines()
                 if '"event":"notice"' in line and all(one in line for one in texts)]
        if lines:
            return lines
        assert time.monotonic() < deadline, "no record of a notice with %r:\n%s" % (texts, trail(instance)[-3000:])
        time.sleep(0.05)


@pytest.fixture
def served(tmp_path):
    """A server that may send to one port, and that port."""
    port = free_port()
    instance = Instance(tmp_path / "i")
    path = instance.dir / "keystead.conf"
    conf = path.read_text()
    assert "#listeners = {}" in conf
    instance.second = free_port()
    path.write_text(conf.replace("#listeners = {}", 'listeners = {"127.0.0.1:%d", "127.0.0.1:%d"}' % (
        port, instance.second)))
    instance.start()
    yield instance, port
    instance.stop()


def test_put_as_published(served):
    """TC-NP-1"""
    instance, port = served
    listener = Listener(instance, port)
    with instance.connect() as sock:
        ask(sock, listener_set(port))
        uid = ask(sock, create_aes("np-1", bits=128)).find(tag.UNIQUE_IDENTIFIER).value
        put = listener.take(PUT)
        assert put.find(tag.UNIQUE_IDENTIFIER).value == uid
        assert put.find(PUT_FUNCTION).value == 1
        assert len(put.find(tag.KEY_MATERIAL).value) == 16
        with_it = attributes(put)
        for name in ("Unique Identifier", "Object Type", "Cryptographic Algorithm", "Cryptographic Length",
                     "Cryptographic Usage Mask", "Digest", "Fresh", "Initial Date", "Last Change Date", "Lease Time",
                     "Original Creation Date", "State"):
            assert name in with_it
        assert with_it["Fresh"] is True and with_it["State"] == 1
        ask(sock, request(DESTROY, [text(tag.UNIQUE_IDENTIFIER, uid)]))
    wait_for_record(instance, '"operation":"Put"', '"form":"plaintext"', uid)
    wait_for_record(instance, '"operation":"Put"', "sent, and answered", uid)
    listener.close()


def test_notify_as_published(served):
    """TC-NP-2"""
    instance, port = served
    listener = Listener(instance, port)
    key = bytes.fromhex("1122456789abcdef0123456789abcdef")
    block = struct_(tag.KEY_BLOCK, enum(0x420042, 1), struct_(tag.KEY_VALUE, octets(tag.KEY_MATERIAL, key)),
                    enum(tag.CRYPTOGRAPHIC_ALGORITHM, 3), integer(tag.CRYPTOGRAPHIC_LENGTH, 128))
    mask = attribute("Cryptographic Usage Mask", integer(tag.ATTRIBUTE_VALUE, 4))
    with instance.connect() as sock:
        ask(sock, listener_set(port))
        uid = ask(sock, request(REGISTER, [enum(tag.OBJECT_TYPE, 2), struct_(tag.TEMPLATE_ATTRIBUTE, mask),
                                           struct_(0x42008F, block)])).find(tag.UNIQUE_IDENTIFIER).value
        assert listener.take(PUT).find(tag.KEY_MATERIAL).value == key
        for operation, value in ((ADD_ATTRIBUTE, "unknown"), (MODIFY_ATTRIBUTE, "third party")):
            ask(sock, request(operation, [text(tag.UNIQUE_IDENTIFIER, uid),
                                          attribute("x-provider", text(tag.ATTRIBUTE_VALUE, value))]))
            told = listener.take(NOTIFY)
            assert told.find(tag.UNIQUE_IDENTIFIER).value == uid
            changed = attributes(told)
            assert changed.pop("x-provider") == value
            assert set(changed) == {"Last Change Date"}
        ask(sock, request(DESTROY, [text(tag.UNIQUE_IDENTIFIER, uid)]))
        gone = attributes(listener.take(NOTIFY))
        assert gone["State"] == 5 and "Last Change Date" in gone
    listener.close()


def test_an_address_that_is_not_allowed(served):
    instance, port = served
    with instance.connect() as sock:
        with pytest.raises(Refused, match="listeners"):
            ask(sock, listener_set(port + 1))


def test_nobody_there_then_a_restart(served):
    """What waits is sent when the listener is there, by the server that runs then."""
    instance, port = served
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        uid = ask(sock, create_aes("waits")).find(tag.UNIQUE_IDENTIFIER).value
        wait_for_record(instance, '"status":"failed"', "cannot connect", uid)
    instance.stop()
    listener = Listener(instance, port)
    instance.start()
    assert listener.take(PUT).find(tag.UNIQUE_IDENTIFIER).value == uid
    listener.close()


def test_another_certificate(served, tmp_path):
    """Of the authority, but not the client's: it gets nothing."""
    instance, port = served
    token = json.loads(instance.run("client", "token", "create", "other", "--json").stdout)["token"]
    run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", tmp_path / "o")
    cert, = [one for one in (tmp_path / "o").glob("*.pem") if one.name != "ca.pem"]
    key, = (tmp_path / "o").glob("*.key")
    listener = Listener(instance, port, cert, key)
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        uid = ask(sock, create_aes("not for you")).find(tag.UNIQUE_IDENTIFIER).value
    wait_for_record(instance, '"status":"failed"', "not the one of the client", uid)
    assert listener.got.empty()
    listener.close()


def test_a_certificate_of_another_authority(served, tmp_path):
    instance, port = served
    certificates.Authority("elsewhere").issue("admin", tmp_path / "x.pem", tmp_path / "x.key", server=True)
    listener = Listener(instance, port, tmp_path / "x.pem", tmp_path / "x.key")
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        uid = ask(sock, create_aes("not for you")).find(tag.UNIQUE_IDENTIFIER).value
    wait_for_record(instance, '"status":"failed"', "TLS:", uid)
    assert listener.got.empty()
    listener.close()


def test_a_slow_listener_keeps_nobody(served, tmp_path):
    """It is cut off, and meanwhile clients are served, and other listeners told."""
    instance, port = served
    listener = Listener(instance, port, silent=True)
    token = json.loads(instance.run("client", "token", "create", "other", "--json").stdout)["token"]
    run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", tmp_path / "o")
    quick = Listener(instance, instance.second, tmp_path / "o" / "client.pem", tmp_path / "o" / "client.key")
    config = ["--config", tmp_path / "o" / "client.conf"]
    run("client", "listen", "127.0.0.1:%d" % instance.second, "--put", "--own", *config)
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        uid = ask(sock, create_aes("slow")).find(tag.UNIQUE_IDENTIFIER).value
        listener.take(PUT)
        told = json.loads(run("key", "create", "quick", "--json", *config).stdout)["identifier"]
        assert quick.take(PUT).find(tag.UNIQUE_IDENTIFIER).value == told
        assert "took longer" not in trail(instance)
        for number in range(20):
            ask(sock, create_aes("meanwhile %d" % number))
        wait_for_record(instance, '"status":"failed"', "took longer", uid)
    listener.close()
    quick.close()


def test_a_listener_that_refuses(served):
    """It has it, and said no: it is not sent again."""
    instance, port = served
    listener = Listener(instance, port, status=1)
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        uid = ask(sock, create_aes("refused")).find(tag.UNIQUE_IDENTIFIER).value
    listener.take(PUT)
    wait_for_record(instance, '"status":"failed"', "refused it", uid)
    listener.close()


def test_the_notifier_comes_back(served):
    instance, port = served
    notifier = max(instance.children())  # the last that was started
    os.kill(notifier, signal.SIGKILL)
    instance.wait_for_log("the notifier ended by signal 9")
    listener = Listener(instance, port)
    with instance.connect() as sock:
        ask(sock, listener_set(port, notify=False))
        ask(sock, create_aes("after"))
    listener.take(PUT)
    listener.close()


def test_by_command(served):
    instance, port = served
    listener = Listener(instance, port)
    address = "127.0.0.1:%d" % port
    assert json.loads(instance.run("client", "listen", address, "--put", "--own", "--json").stdout) == {
        "listener": address, "listens": True}
    instance.run("key", "create", "by-command")
    listener.take(PUT)
    assert "nothing" in instance.run("client", "listen").stdout
    instance.run("key", "create", "by-command-2")
    wait_for_record(instance, "sent, and answered")
    assert listener.got.empty()
    listener.close()
    done = instance.run("client", "listen", "192.0.2.1:1", "--put", check=False)
    assert done.returncode != 0 and "listeners" in done.stderr
