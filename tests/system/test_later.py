"""Leases, allocations, the archive, and requests that are carried out later: through the network, by many at once."""

import concurrent.futures
import json
import re
import time

ADD_ATTRIBUTE, CREATE_KEY_PAIR, GET_USAGE_ALLOCATION, POLL, ENCRYPT = 0x0d, 0x02, 0x11, 0x1a, 0x1f
GCM, RSA = 9, 4
REQUEST = re.compile(r"[0-9a-f]{32}\n")


def item(tag, kind, value):
    """One TTLV item."""
    tag = bytes.fromhex(tag)
    if kind == 1:
        body = b"".join(value)
        return tag + b"\x01" + len(body).to_bytes(4, "big") + body
    if kind in (2, 5):
        return tag + bytes([kind]) + b"\0\0\0\x04" + value.to_bytes(4, "big") + b"\0\0\0\0"
    if kind == 3:
        return tag + b"\x03\0\0\0\x08" + value.to_bytes(8, "big")
    return tag + bytes([kind]) + len(value).to_bytes(4, "big") + value + b"\0" * (-len(value) % 8)


def message(operation, *payload):
    """A KMIP 2.1 request of one item."""
    version = item("420069", 1, [item("42006a", 2, 2), item("42006b", 2, 1)])
    header = item("420077", 1, [version, item("42000d", 2, 1)])
    batch = item("42000f", 1, [item("42005c", 5, operation), item("420079", 1, payload)])
    return item("420078", 1, [header, batch])


def ask(stream, request):
    stream.sendall(request)
    answer = b""
    while len(answer) < 8 or len(answer) < 8 + int.from_bytes(answer[4:8], "big"):
        part = stream.recv(65536)
        assert part, "the server closed the connection"
        answer += part
    return answer


def status(answer):
    """The Result Status of the one item."""
    at = answer.index(bytes.fromhex("42007f05"))
    return int.from_bytes(answer[at + 8:at + 12], "big")


def limited_key(instance, total, unit):
    uid = json.loads(instance.run("key", "create", "limited-%d-%d" % (total, unit), "--json").stdout)["identifier"]
    limits = item("420095", 1, [item("420097", 3, total), item("420096", 3, total), item("420098", 5, unit)])
    with instance.connect() as stream:
        answer = ask(stream, message(ADD_ATTRIBUTE, item("420094", 7, uid.encode()),
                                     item("42013d", 1, [limits])))
        assert status(answer) == 0, answer
    return uid


def count_granted(instance, request, threads, tries):
    def client(_):
        with instance.connect() as stream:
            return sum(status(ask(stream, request)) == 0 for _ in range(tries))
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(client, range(threads)))


def test_not_one_unit_too_many(fresh):
    fresh.start()
    total, threads, tries = 100, 16, 20
    uid = limited_key(fresh, total, 2)  # objects
    request = message(GET_USAGE_ALLOCATION, item("420094", 7, uid.encode()),
                      item("420096", 3, 3))
    assert count_granted(fresh, request, threads, tries) == total // 3
    assert '"Usage Limits' in fresh.run("key", "show", uid, "--json").stdout
    # Uses by the server count from the same total: one unit is left.
    encrypt = message(ENCRYPT, item("420094", 7, uid.encode()),
                      item("42002b", 1, [item("420011", 5, GCM)]),
                      item("4200c2", 8, b"data"))
    assert count_granted(fresh, encrypt, threads, 2) == total % 3


def test_archive_and_recover(instance):
    created = json.loads(instance.run("key", "create", "to-be-archived", "--pre-active", "--json").stdout)
    before = instance.run("key", "get", "to-be-archived", "--encoding", "hex", "--plaintext").stdout
    assert instance.run("key", "archive", "to-be-archived").stdout.startswith("Archived to-be-archived (")
    refused = instance.run("key", "get", created["identifier"], check=False)
    assert refused.returncode == 1 and "archived" in refused.stderr
    assert instance.run("key", "get", "to-be-archived", check=False).returncode == 3
    assert instance.run("key", "recover", "to-be-archived").stdout.startswith("Recovered to-be-archived (")
    assert instance.run("key", "get", "to-be-archived", "--encoding", "hex", "--plaintext").stdout == before
    assert instance.run("key", "recover", created["identifier"], check=False).returncode == 5


def test_an_archived_key_outlives_a_restart(fresh):
    fresh.start()
    fresh.run("key", "create", "k", "--pre-active")
    before = fresh.run("key", "get", "k", "--encoding", "hex", "--plaintext").stdout
    fresh.run("key", "archive", "k")
    fresh.stop()
    fresh.start()
    fresh.run("key", "recover", "k")
    assert fresh.run("key", "get", "k", "--encoding", "hex", "--plaintext").stdout == before


def result_of(instance, request):
    for _ in range(100):
        out = instance.run("request", "result", request).stdout
        if out != "pending\n":
            return out
        time.sleep(0.1)
    raise AssertionError("still pending")


def test_what_is_done_later(fresh):
    fresh.start()
    uid = json.loads(fresh.run("key", "create", "k", "--pre-active", "--json").stdout)["identifier"]
    out = fresh.run("key", "archive", "k", "--later").stdout
    assert REQUEST.fullmatch(out)
    assert [r["operation"] for r in json.loads(fresh.run("request", "list", "--json").stdout)] == ["Archive"]
    assert result_of(fresh, out.strip()) == "Archive\n%s\n" % uid
    assert json.loads(fresh.run("request", "list", "--json").stdout) == []
    assert fresh.run("request", "result", out.strip(), check=False).returncode == 3
    # The server needs nobody to ask: it is done by itself, even when it was stopped in between.
    out = fresh.run("key", "recover", "k", "--later").stdout
    fresh.stop()
    fresh.start()
    for _ in range(100):
        if fresh.run("key", "get", "k", "--encoding", "hex", "--plaintext", check=False).returncode == 0:
            break
        time.sleep(0.1)
    assert result_of(fresh, out.strip()) == "Recover\n%s\n" % uid
    for _ in range(10):  # a quarter of a second is left for it, on a machine that may have other things to do
        out = fresh.run("key", "archive", "k", "--later").stdout
        canceled = fresh.run("request", "cancel", out.strip(), check=False)
        if canceled.returncode == 0:
            break
        fresh.run("key", "recover", "k")
    assert canceled.stdout == "Canceled " + out
    assert fresh.run("key", "get", "k", "--encoding", "hex", "--plaintext").returncode == 0
    assert fresh.run("request", "cancel", "00", check=False).returncode == 3
    records = fresh.run("audit", "show", "--json").stdout
    assert '"status":"pending"' in records


def test_a_slow_key_is_made_later(fresh):
    """RSA, with the indicator Optional: the server answers at once, and the key comes from another thread."""
    fresh.start()
    common = item("420126", 1, [item("420028", 5, RSA), item("42002a", 2, 2048)])
    mask = item("42002c", 2, 3)
    version = item("420069", 1, [item("42006a", 2, 2), item("42006b", 2, 1)])
    header = item("420077", 1, [version, item("420007", 5, 2), item("42000d", 2, 1)])
    payload = [common, item("420127", 1, [mask]), item("420128", 1, [mask])]
    batch = item("42000f", 1, [item("42005c", 5, CREATE_KEY_PAIR), item("420079", 1, payload)])
    with fresh.connect() as stream:
        answer = ask(stream, item("420078", 1, [header, batch]))
        assert status(answer) == 2, answer
        at = answer.index(bytes.fromhex("42000608"))
        value = answer[at + 8:at + 24]
        for _ in range(300):
            answer = ask(stream, message(POLL, item("420006", 8, value)))
            if status(answer) != 2:
                break
            time.sleep(0.1)
        assert status(answer) == 0, answer
    assert len(json.loads(fresh.run("key", "list", "--json").stdout)) == 2
