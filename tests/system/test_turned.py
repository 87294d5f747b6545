"""Set Endpoint Role: a client turns the roles of its connection, and the server asks it there: which versions it knows
(TC-Q-S2C-2), what it takes, and Notify and Put (TC-NP-1, TC-NP-2), without an address to listen at."""

import json
import struct
import time

import pytest

from instance import Instance
from test_notify import (ADD_ATTRIBUTE, BOUND, DESTROY, LISTENER_ADDRESS, LISTENER_NOTIFY, LISTENER_OWN, LISTENER_PUT,
                         LISTENER_SET, NOTIFY, PUT, attributes, boolean, trail, wait_for_record)
from ttlv import (ask, attribute, create_aes, enum, integer, item, parse, receive, receive_exactly, request, struct_,
                  tag, text)

SET_ENDPOINT_ROLE, DISCOVER_VERSIONS, QUERY = 0x32, 0x1E, 0x18
ENDPOINT_ROLE, CLIENT, SERVER = 0x420151, 1, 2


def version_of(major, minor):
    return struct_(tag.PROTOCOL_VERSION, integer(tag.PROTOCOL_VERSION_MAJOR, major),
                   integer(tag.PROTOCOL_VERSION_MINOR, minor))


def set_role(role):
    return request(SET_ENDPOINT_ROLE, [enum(ENDPOINT_ROLE, role)], (2, 1))


def listen_here(version=(1, 4)):
    return request(LISTENER_SET, [text(LISTENER_ADDRESS, ""), boolean(LISTENER_NOTIFY, True),
                                  boolean(LISTENER_PUT, True), boolean(LISTENER_OWN, True)], version)


def answer(sock, message, payload=None):
    version = tuple(one.value for one in message.find(tag.PROTOCOL_VERSION).value)
    stamp = item(0x420092, 9, struct.pack(">q", int(time.time())))
    body = [enum(tag.OPERATION, message.find(tag.OPERATION).value), enum(tag.RESULT_STATUS, 0)]
    if payload is not None:
        body.append(struct_(tag.RESPONSE_PAYLOAD, *payload))
    sock.sendall(struct_(tag.RESPONSE_MESSAGE, struct_(0x42007A, version_of(*version), stamp,
                                                       integer(tag.BATCH_COUNT, 1)), struct_(tag.BATCH_ITEM, *body)))


def take(sock, operation):
    message = receive(sock)
    assert message.find(tag.OPERATION).value == operation
    return message


def turn(sock, operations=(NOTIFY, PUT)):
    """Turns the connection, and answers what the server wants to know first."""
    sock.settimeout(BOUND)
    assert ask(sock, set_role(CLIENT)).find(ENDPOINT_ROLE).value == CLIENT
    answer(sock, take(sock, DISCOVER_VERSIONS), [version_of(2, 1), version_of(1, 4)])
    asked = take(sock, QUERY)
    assert asked.find(0x420074).value == 1  # Query Operations
    answer(sock, asked, [enum(tag.OPERATION, one) for one in operations])


def assert_closed(sock):
    try:
        assert sock.recv(1) == b""
    except ConnectionResetError:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    instance = Instance(tmp_path_factory.mktemp("turned") / "i")
    instance.start()
    yield instance
    instance.stop()


def test_put_and_notify(served):
    with served.connect() as plain, served.connect() as turned:
        ask(plain, listen_here())
        turn(turned)
        uid = ask(plain, create_aes("turned-1", bits=128)).find(tag.UNIQUE_IDENTIFIER).value
        put = take(turned, PUT)
        assert put.find(tag.UNIQUE_IDENTIFIER).value == uid
        assert len(put.find(tag.KEY_MATERIAL).value) == 16
        assert attributes(put)["State"] == 1
        answer(turned, put)
        ask(plain, request(ADD_ATTRIBUTE, [text(tag.UNIQUE_IDENTIFIER, uid),
                                           attribute("x-provider", text(tag.ATTRIBUTE_VALUE, "unknown"))]))
        told = take(turned, NOTIFY)
        assert attributes(told)["x-provider"] == "unknown"
        assert set(attributes(told)) == {"x-provider", "Last Change Date"}
        answer(turned, told)
        ask(plain, request(DESTROY, [text(tag.UNIQUE_IDENTIFIER, uid)]))
        gone = take(turned, NOTIFY)
        assert attributes(gone)["State"] == 5
        answer(turned, gone)
        wait_for_record(served, '"operation":"Put"', '"form":"plaintext"', uid)
        wait_for_record(served, '"operation":"Notify"', "sent, and answered", uid)
        wait_for_record(served, '"operation":"Discover Versions"', "sent, and answered")


def test_what_was_not_answered_is_sent_again(served):
    """The connection breaks before the answer, and the server is started anew: nothing is lost."""
    with served.connect() as plain:
        ask(plain, listen_here())
        turned = served.connect()
        turn(turned)
        uid = ask(plain, create_aes("turned-2")).find(tag.UNIQUE_IDENTIFIER).value
        take(turned, PUT)
        turned.close()
        wait_for_record(served, '"status":"failed"', "before the client answered", uid)
    served.stop()
    served.start()
    with served.connect() as turned:
        turn(turned)
        put = take(turned, PUT)
        assert put.find(tag.UNIQUE_IDENTIFIER).value == uid
        answer(turned, put)
        wait_for_record(served, "sent, and answered", uid)


def test_only_what_the_client_takes(served):
    with served.connect() as plain, served.connect() as turned:
        ask(plain, listen_here())
        turn(turned, [NOTIFY])
        uid = ask(plain, create_aes("turned-3")).find(tag.UNIQUE_IDENTIFIER).value
        wait_for_record(served, '"status":"failed"', "does not take it", uid)


def test_a_request_on_a_turned_connection(served):
    """It is refused, on record, and the connection ends; another takes over."""
    with served.connect() as turned:
        turned.settimeout(BOUND)
        turned.sendall(set_role(CLIENT) + request(DISCOVER_VERSIONS))
        assert receive(turned).find(tag.RESULT_STATUS).value == 0
        # The server may have asked already; the refusal, if it still comes, is the last message.
        try:
            while True:
                receive(turned)
        except (EOFError, ConnectionResetError):
            pass
    with served.connect() as turned:
        turn(turned)


def test_an_answer_to_nothing(served):
    with served.connect() as turned:
        turn(turned)
        turned.sendall(struct_(tag.RESPONSE_MESSAGE, text(tag.UNIQUE_IDENTIFIER, "x")))
        assert_closed(turned)


def test_an_answer_of_another_kind(served):
    """A Query's answer to Discover Versions is not looked into."""
    with served.connect() as turned:
        turned.settimeout(BOUND)
        ask(turned, set_role(CLIENT))
        head = receive_exactly(turned, 8)
        message = head + receive_exactly(turned, int.from_bytes(head[4:8], "big"))
        other = message.replace(enum(tag.OPERATION, DISCOVER_VERSIONS), enum(tag.OPERATION, QUERY))
        answer(turned, parse(other), [enum(tag.OPERATION, PUT)])
        assert_closed(turned)
    wait_for_record(served, "another operation than it was asked for")


def test_a_newer_connection_takes_over(served):
    with served.connect() as first, served.connect() as second:
        turn(first)
        turn(second)
        assert_closed(first)


def test_server_stays_server(served):
    with served.connect() as sock:
        assert ask(sock, set_role(SERVER)).find(ENDPOINT_ROLE).value == SERVER
        ask(sock, create_aes("as before"))
    assert '"operation":"Set Endpoint Role"' in trail(served)


def test_by_command(served):
    """What waits is taken, and by count it ends."""
    with served.connect() as plain:
        ask(plain, request(LISTENER_SET, []))  # nothing of earlier tests waits
        ask(plain, listen_here((2, 1)))
        uid = ask(plain, create_aes("by-command")).find(tag.UNIQUE_IDENTIFIER).value
        line = served.run("client", "serve", "--count", "1", "--json").stdout
        assert "KeyMaterial" not in line
        told = json.loads(line)
        assert (told["operation"], told["uid"]) == ("Put", uid)
        assert "State" in told["attributes"]
        wait_for_record(served, '"operation":"Put"', "sent, and answered", uid)
