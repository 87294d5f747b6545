"""TTLV for tests: builds requests and takes answers apart without any of Keystead's own code.

    request(op.QUERY, [enum(tag.QUERY_FUNCTION, 1)])      a whole message
    parse(data)                                           an Item
    item.find(tag.UNIQUE_IDENTIFIER).value
"""

import struct

STRUCTURE, INTEGER, LONG, BIG, ENUM, BOOL, TEXT, BYTES, DATE, INTERVAL = range(1, 11)


class tag:
    ATTRIBUTE = 0x420008
    ATTRIBUTE_NAME = 0x42000A
    ATTRIBUTE_VALUE = 0x42000B
    AUTHENTICATION = 0x42000C
    BATCH_COUNT = 0x42000D
    BATCH_ITEM = 0x42000F
    CRYPTOGRAPHIC_ALGORITHM = 0x420028
    CRYPTOGRAPHIC_LENGTH = 0x42002A
    CRYPTOGRAPHIC_USAGE_MASK = 0x42002C
    KEY_BLOCK = 0x420040
    KEY_MATERIAL = 0x420043
    KEY_VALUE = 0x420045
    LOCATED_ITEMS = 0x4200D5
    MAXIMUM_ITEMS = 0x42004F
    NAME = 0x420053
    NAME_TYPE = 0x420054
    NAME_VALUE = 0x420055
    OBJECT_TYPE = 0x420057
    OPERATION = 0x42005C
    PROTOCOL_VERSION = 0x420069
    PROTOCOL_VERSION_MAJOR = 0x42006A
    PROTOCOL_VERSION_MINOR = 0x42006B
    QUERY_FUNCTION = 0x420074
    REQUEST_HEADER = 0x420077
    REQUEST_MESSAGE = 0x420078
    REQUEST_PAYLOAD = 0x420079
    RESPONSE_MESSAGE = 0x42007B
    RESPONSE_PAYLOAD = 0x42007C
    RESULT_MESSAGE = 0x42007D
    RESULT_REASON = 0x42007E
    RESULT_STATUS = 0x42007F
    TEMPLATE_ATTRIBUTE = 0x420091
    UNIQUE_BATCH_ITEM_ID = 0x420093
    UNIQUE_IDENTIFIER = 0x420094


class op:
    CREATE = 1
    CREATE_KEY_PAIR = 2
    LOCATE = 8
    GET = 10
    GET_ATTRIBUTES = 11
    ACTIVATE = 18
    REVOKE = 19
    DESTROY = 20
    QUERY = 24
    DISCOVER_VERSIONS = 30
    SERVER_STATUS = 0x80000001
    UNSEAL = 0x80000002


def item(number, kind, value):
    head = struct.pack(">IB", number, kind)[1:4] + bytes([kind])
    return head + struct.pack(">I", len(value)) + value + b"\0" * (-len(value) % 8)


def struct_(number, *children):
    return item(number, STRUCTURE, b"".join(children))


def integer(number, value):
    return item(number, INTEGER, struct.pack(">i", value))


def enum(number, value):
    return item(number, ENUM, struct.pack(">I", value))


def text(number, value):
    return item(number, TEXT, value.encode())


def octets(number, value):
    return item(number, BYTES, value)


def header(version=(1, 4), count=1, *extra):
    return struct_(
        tag.REQUEST_HEADER,
        struct_(tag.PROTOCOL_VERSION, integer(tag.PROTOCOL_VERSION_MAJOR, version[0]),
                integer(tag.PROTOCOL_VERSION_MINOR, version[1])),
        *extra, integer(tag.BATCH_COUNT, count))


def batch_item(operation, payload=()):
    return struct_(tag.BATCH_ITEM, enum(tag.OPERATION, operation), struct_(tag.REQUEST_PAYLOAD, *payload))


def request(operation, payload=(), version=(1, 4)):
    return struct_(tag.REQUEST_MESSAGE, header(version), batch_item(operation, payload))


def attribute(name, value):
    """A 1.x attribute; value is an item tagged ATTRIBUTE_VALUE."""
    return struct_(tag.ATTRIBUTE, text(tag.ATTRIBUTE_NAME, name), value)


def create_aes(name=None, version=(1, 4), bits=256):
    attributes = [
        attribute("Cryptographic Algorithm", enum(tag.ATTRIBUTE_VALUE, 3)),
        attribute("Cryptographic Length", integer(tag.ATTRIBUTE_VALUE, bits)),
        attribute("Cryptographic Usage Mask", integer(tag.ATTRIBUTE_VALUE, 12)),
    ]
    if name is not None:
        attributes.append(attribute("Name", struct_(
            tag.ATTRIBUTE_VALUE, text(tag.NAME_VALUE, name), enum(tag.NAME_TYPE, 1))))
    return request(op.CREATE, [enum(tag.OBJECT_TYPE, 2), struct_(tag.TEMPLATE_ATTRIBUTE, *attributes)], version)


def get(uid, version=(1, 4)):
    return request(op.GET, [text(tag.UNIQUE_IDENTIFIER, uid)], version)


QUERY_OPERATIONS = request(op.QUERY, [enum(tag.QUERY_FUNCTION, 1)])


class Item:
    def __init__(self, number, kind, value):
        self.tag, self.type, self.value = number, kind, value

    def find(self, number):
        """The first item with that tag, this one included, in the order of the message; None."""
        if self.tag == number:
            return self
        if self.type == STRUCTURE:
            for child in self.value:
                found = child.find(number)
                if found is not None:
                    return found
        return None

    def find_all(self, number):
        if self.tag == number:
            return [self]
        if self.type != STRUCTURE:
            return []
        return [found for child in self.value for found in child.find_all(number)]

    def __repr__(self):
        return "<%06x %r>" % (self.tag, self.value)


def _parse_one(data, at):
    number = int.from_bytes(data[at:at + 3], "big")
    kind = data[at + 3]
    length = int.from_bytes(data[at + 4:at + 8], "big")
    body = data[at + 8:at + 8 + length]
    assert len(body) == length, "an item is cut off"
    if kind == STRUCTURE:
        value, inner = [], 0
        while inner < length:
            child, inner = _parse_one(body, inner)
            value.append(child)
        return Item(number, kind, value), at + 8 + length
    if kind in (INTEGER,):
        value = int.from_bytes(body, "big", signed=True)
    elif kind in (LONG, DATE):
        value = int.from_bytes(body, "big", signed=True)
    elif kind in (ENUM, INTERVAL):
        value = int.from_bytes(body, "big")
    elif kind == BOOL:
        value = body[-1] == 1
    elif kind == TEXT:
        value = body.decode()
    else:
        value = bytes(body)
    return Item(number, kind, value), at + 8 + length + (-length % 8)


def parse(data):
    parsed, end = _parse_one(data, 0)
    assert end == len(data), "bytes behind the message"
    return parsed


class Refused(Exception):
    def __init__(self, answer):
        reason, message = answer.find(tag.RESULT_REASON), answer.find(tag.RESULT_MESSAGE)
        super().__init__("%s: %s" % (reason and hex(reason.value), message and message.value))
        self.answer, self.reason = answer, reason and reason.value


def receive_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError("closed after %d of %d bytes" % (len(data), n))
        data += more
    return data


def receive(sock):
    """One message, as an Item."""
    head = receive_exactly(sock, 8)
    return parse(head + receive_exactly(sock, int.from_bytes(head[4:8], "big")))


def ask(sock, message):
    """Sends a request; returns the answer, which must be a success."""
    sock.sendall(message)
    answer = receive(sock)
    if answer.find(tag.RESULT_STATUS).value != 0:
        raise Refused(answer)
    return answer
