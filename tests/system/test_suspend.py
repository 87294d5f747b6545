"""keystead suspend, keystead resume: one administrator withdraws a key for a time, two give it back."""

import json

import pytest

from instance import run


def enroll(instance, folder, name, *options):
    token = instance.run("client", "token", "create", name, *options).stdout.strip()
    instance.run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", folder / name)
    return ["--config", folder / name / "client.conf"]


@pytest.fixture(scope="module")
def deputy(instance, tmp_path_factory):
    return enroll(instance, tmp_path_factory.mktemp("deputy"), "deputy", "--role", "admin")


@pytest.fixture(scope="module")
def app(instance, tmp_path_factory):
    return enroll(instance, tmp_path_factory.mktemp("app"), "app")


def y_attributes(*where):
    shown = json.loads(run("key", "show", *where, "--json").stdout)["attributes"]
    return {a["attribute"]: a["value"] for a in shown if a["attribute"].startswith("y-")}


def test_suspend_and_resume(instance, deputy, app, tmp_path):
    uid = json.loads(run("key", "create", "invoices", "--json", *app).stdout)["identifier"]
    key, again, plain = tmp_path / "key", tmp_path / "again", tmp_path / "plain"
    run("key", "get", uid, "--out", key, *app)
    plain.write_text("Pay Ada 100")
    encrypt = ["key", "encrypt", uid, "--in", plain, "--out", tmp_path / "sealed", *app]
    run(*encrypt)
    assert run("suspend", uid, "--reason", "mine", *app, check=False).returncode == 5  # no administrator
    for _ in range(2):
        assert instance.run("suspend", uid, "--reason", "ticket 4711").stdout == "Suspended invoices (%s)\n" % uid
        refused = run(*encrypt, check=False)
        assert refused.returncode != 0 and "is suspended (all) since 20" in refused.stderr
        assert "by admin: ticket 4711" in refused.stderr and "two of them" in refused.stderr
        assert run("key", "get", uid, *app, check=False).returncode == 5
        shown = y_attributes(uid, *app)
        assert (shown["y-Suspended"], shown["y-Suspended-By"]) == ("all", "admin")
        assert instance.run("key", "list", "--name", "invoices").stdout.splitlines()[1].split()[1:3] == [uid, "Suspended"]
        first = instance.run("resume", uid)
        assert "Agreed to resume invoices" in first.stdout and "another administrator" in first.stdout
        assert run("key", "get", uid, *app, check=False).returncode == 5
        assert json.loads(run("resume", uid, "--json", *deputy).stdout) == {
            "identifier": uid, "name": "invoices", "resumed": True}
        assert y_attributes(uid, *app) == {}
        run("key", "get", uid, "--out", again, *app)
        assert again.read_bytes() == key.read_bytes()
        run(*encrypt)
    trail = instance.run("audit", "show", "--last", 0, "--json", instance.dir).stdout
    assert "all uses: ticket 4711" in trail and "resumed, as admin agreed" in trail


def test_protect_and_a_restart(instance, deputy, app, tmp_path):
    uid = json.loads(run("key", "create", "ledger", "--json", *app).stdout)["identifier"]
    plain, sealed, back = tmp_path / "plain", tmp_path / "sealed", tmp_path / "back"
    plain.write_text("Pay Ada 100")
    run("key", "encrypt", uid, "--in", plain, "--out", sealed, *app)
    done = instance.run("suspend", uid, "--mode", "protect", "--reason", "audit under way", "--json")
    assert json.loads(done.stdout) == {"identifier": uid, "name": "ledger", "suspended": True}
    entry, = json.loads(run("key", "list", "--name", "ledger", "--json", *app).stdout)
    assert (entry["state"], entry["suspended"]) == ("Active", "protect")
    instance.stop()
    instance.start()
    assert run("key", "encrypt", uid, "--in", plain, "--out", tmp_path / "no", *app, check=False).returncode != 0
    run("key", "decrypt", uid, "--in", sealed, "--out", back, *app)
    assert back.read_text() == "Pay Ada 100"
    instance.run("suspend", uid, "--reason", "worse than that")
    assert run("key", "decrypt", uid, "--in", sealed, "--out", back, *app, check=False).returncode != 0
    assert instance.run("suspend", uid, "--mode", "protect", "--reason", "x", check=False).returncode != 0
    assert "Agreed" in run("resume", uid, *deputy).stdout
    assert "Resumed ledger" in instance.run("resume", uid).stdout
    run("key", "decrypt", uid, "--in", sealed, "--out", back, *app)


def test_what_is_asked_for_wrongly(instance, app):
    uid = json.loads(run("key", "create", "payroll", "--json", *app).stdout)["identifier"]
    for arguments in ([], ["--reason", "x", "--mode", "some"]):
        assert instance.run("suspend", uid, *arguments, check=False).returncode == 64
    assert "is not suspended" in instance.run("resume", uid, check=False).stderr
