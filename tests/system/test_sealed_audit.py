"""What is asked of a sealed server, and what is tried on it, is in the audit trail once the trail can be written."""

import json
import signal
import time

import pytest

from instance import Instance, run
from ttlv import QUERY_OPERATIONS, Refused, ask, create_aes, op, request


def records(made):
    lines = []
    for path in sorted((made.dir / "audit").glob("audit-*.jsonl")):
        lines += [json.loads(line) for line in path.read_text().splitlines()]
    return lines


def waiting(made):
    path = made.dir / "audit" / "sealed.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def passphrase(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def sealed(tmp_path):
    secret = passphrase(tmp_path / "passphrase", "correct horse battery staple")
    made = Instance(tmp_path / "instance", "--passphrase-file", secret)
    made.secret = secret
    made.start()
    yield made
    made.stop()


def unseal(made, secret, check=True):
    time.sleep(1.1)  # one attempt a second
    return made.run("unseal", "--passphrase-file", secret, check=check)


def refuse(made, message):
    with made.connect() as sock:
        with pytest.raises(Refused):
            ask(sock, message)


def test_a_failed_unseal_is_on_disk_before_its_answer_and_in_the_trail_after(sealed, tmp_path):
    wrong = passphrase(tmp_path / "wrong", "incorrect")
    assert unseal(sealed, wrong, check=False).returncode != 0
    tried = [r for r in waiting(sealed) if r.get("operation") == "Unseal"]
    assert [r["status"] for r in tried] == ["failed"]
    assert tried[0]["fingerprint"] and tried[0]["address"].startswith("127.0.0.1:")
    assert "incorrect" not in (sealed.dir / "audit" / "sealed.jsonl").read_text()
    refuse(sealed, create_aes())
    unseal(sealed, sealed.secret)
    assert not (sealed.dir / "audit" / "sealed.jsonl").exists()
    told = records(sealed)
    unseals = [r for r in told if r.get("operation") == "Unseal"]
    assert [r["status"] for r in unseals] == ["failed", "success"]
    assert unseals[0]["occurred"] <= unseals[0]["ts"] and "occurred" not in unseals[1]
    assert [r["status"] for r in told if r.get("operation") == "Create"] == ["failed"]
    assert [r["message"] for r in told if r["event"] == "start"] == ["sealed"]
    assert run("audit", "verify", sealed.dir / "audit", check=False).returncode == 0


def test_they_outlive_a_crash_and_a_torn_end(sealed, tmp_path):
    refuse(sealed, QUERY_OPERATIONS)
    sealed.kill()
    path = sealed.dir / "audit" / "sealed.jsonl"
    with open(path, "ab") as torn:
        torn.write(b'{"event":"kmip","oper')
    sealed.start()
    refuse(sealed, create_aes())
    unseal(sealed, sealed.secret)
    told = records(sealed)
    assert [r.get("operation") for r in told if "occurred" in r and r["event"] == "kmip"][:2] == ["Query", "Create"]
    assert [r["event"] for r in told].count("start") == 2


def test_a_start_with_the_passphrase_takes_them_over(sealed):
    refuse(sealed, create_aes())
    sealed.signal(signal.SIGHUP)
    sealed.wait_for_log("reloaded")
    sealed.stop()
    assert [r["event"] for r in waiting(sealed)] == ["start", "kmip", "reload", "stop"]
    sealed.start("--passphrase-file", sealed.secret)
    assert not (sealed.dir / "audit" / "sealed.jsonl").exists()
    assert [r["event"] for r in records(sealed) if r["event"] in ("start", "kmip", "reload", "stop")] == [
        "start", "kmip", "reload", "stop", "start"]


def test_what_cannot_be_put_on_record_is_not_answered_with_anything_but_that(sealed):
    path = sealed.dir / "audit" / "sealed.jsonl"
    path.unlink()
    sealed.stop()
    path.unlink(missing_ok=True)
    path.mkdir()
    sealed.start(wait=False)
    assert sealed.wait() != 0
    assert "sealed.jsonl" in sealed.log
    path.rmdir()


def test_what_someone_wrote_into_it_is_refused(sealed, tmp_path):
    refuse(sealed, create_aes())
    path = sealed.dir / "audit" / "sealed.jsonl"
    path.write_text(path.read_text() + 'nonsense","commit":7\n')
    assert unseal(sealed, sealed.secret, check=False).returncode != 0
    assert "sealed.jsonl" in sealed.log
    path.rename(tmp_path / "evidence")
    refuse(sealed, QUERY_OPERATIONS)
    unseal(sealed, sealed.secret)
    assert "Query" in [r.get("operation") for r in records(sealed) if "occurred" in r]
