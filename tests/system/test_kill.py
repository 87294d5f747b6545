"""kill -9 of everything at random moments under load: no acknowledged change and no audit record is ever lost."""

import json
import os
import random
import threading
import time

import ttlv
from ttlv import Refused, ask, create_aes, enum, op, request, struct_, tag, text

ROUNDS = int(os.environ.get("KEYSTEAD_KILL_ROUNDS", "50"))
WRITERS = 4


class Writer(threading.Thread):
    """Makes keys, activates every second one, destroys every fifth; notes what was acknowledged."""

    def __init__(self, instance, number, acknowledged):
        super().__init__()
        self.instance, self.number, self.acknowledged = instance, number, acknowledged
        self.error = None

    def run(self):
        try:
            with self.instance.connect() as sock:
                n = 0
                while True:
                    n += 1
                    uid = ask(sock, create_aes("kill-%d-%d-%d" % (self.number, n, time.monotonic_ns()))).find(
                        tag.UNIQUE_IDENTIFIER).value
                    self.acknowledged[uid] = ["Create"]
                    if n % 2 == 0:
                        self.change(sock, uid, op.ACTIVATE, "Activate")
                    elif n % 5 == 0:
                        self.change(sock, uid, op.DESTROY, "Destroy")
        except (OSError, EOFError):
            pass  # killed
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def change(self, sock, uid, operation, name):
        ask(sock, request(operation, [text(tag.UNIQUE_IDENTIFIER, uid)]))
        self.acknowledged[uid].append(name)


def state_of(sock, uid):
    answer = ask(sock, request(op.GET_ATTRIBUTES, [text(tag.UNIQUE_IDENTIFIER, uid), text(tag.ATTRIBUTE_NAME, "State")]))
    return answer.find(tag.ATTRIBUTE_VALUE).value


def check(instance, acknowledged):
    """Every acknowledged change is there. A change that was under way may be there or not."""
    with instance.connect() as sock:
        for uid, changes in acknowledged.items():
            state = state_of(sock, uid)
            if changes[-1] == "Activate":
                assert state == 2, (uid, changes, state)
            elif changes[-1] == "Destroy":
                assert state == 5, (uid, changes, state)
            else:
                assert state in (1, 2, 5), (uid, changes, state)


def check_audit(instance, acknowledged):
    seen = {}
    for path in sorted((instance.dir / "audit").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record.get("status") == "success" and "object" in record:
                seen.setdefault(record["object"], set()).add(record.get("operation"))
    for uid, changes in acknowledged.items():
        assert set(changes) <= seen.get(uid, set()), "%s: %s acknowledged, %s on record" % (uid, changes, seen.get(uid))


def test_nothing_acknowledged_is_lost(fresh):
    chance = random.Random(os.urandom(8))
    everything, lost = {}, 0
    for number in range(ROUNDS):
        fresh.start()
        acknowledged = {}
        writers = [Writer(fresh, number * WRITERS + n, acknowledged) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.02, 0.4))
        fresh.kill()
        for writer in writers:
            writer.join(30)
            assert not writer.is_alive()
            assert writer.error is None, writer.error
        everything.update(acknowledged)
        fresh.start()
        check(fresh, acknowledged)
        if number % 10 == 9:
            fresh.kill()
        else:
            fresh.stop()
        fresh.run("audit", "verify")
    assert len(everything) > ROUNDS, "too little was written to show anything: %d" % len(everything)
    fresh.start()
    check(fresh, everything)
    fresh.stop()
    fresh.run("audit", "verify")
    check_audit(fresh, everything)
    print("%d keys over %d kills" % (len(everything), ROUNDS))
