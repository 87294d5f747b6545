"""Tickets, rules of new objects, users, attributes and the server's small operations: by commands, at the real server."""

import json
import re

import pytest

from instance import SOURCE, run

ROWS = re.findall(r'^CLIENT_(?:NO_)?CALL\((\w+), .*, "([a-z0-9 ]+)"\)$', (SOURCE / "client" / "calls.def").read_text(), re.M)


def as_json(instance, *args, **kwargs):
    return json.loads(instance.run(*args, "--json", **kwargs).stdout)


@pytest.fixture
def name(request):
    return request.node.name.replace("test_", "")


@pytest.fixture(scope="module")
def bob(instance, tmp_path_factory):
    """The configuration of another client."""
    folder = tmp_path_factory.mktemp("bob") / "bob"
    token = instance.run("client", "token", "create", "bob").stdout.strip()
    instance.run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", folder)
    return folder / "client.conf"


def test_every_operation_has_a_command():
    operations = re.findall(r"^KMIP_OPERATION\((\w+),", (SOURCE / "kmip" / "spec" / "ops.def").read_text(), re.M)
    assert sorted(operation for operation, _ in ROWS) == sorted(operations)
    for command in sorted({command for _, command in ROWS}):
        done = run(*command.split(), "--help")
        assert done.stdout.startswith("Usage: keystead %s" % command), command
        assert "Examples:\n  keystead " in done.stdout and "--json" in done.stdout, command


def test_a_ticket_of_ones_own(instance, name, tmp_path):
    ticket = tmp_path / "ticket"
    instance.run("key", "create", name)
    instance.run("ticket", "create", "--valid", "1h", "--out", ticket)
    assert ticket.stat().st_mode & 0o777 == 0o600
    assert as_json(instance, "key", "show", name, "--ticket", ticket)["name"] == name
    assert instance.run("ticket", "end", ticket).stdout == "Ended\n"
    done = instance.run("key", "show", name, "--ticket", ticket, check=False)
    assert done.returncode == 1 and "Invalid Ticket" in done.stderr
    ticket.chmod(0o644)
    assert instance.run("key", "show", name, "--ticket", ticket, check=False).returncode == 5


def test_a_ticket_for_another(instance, name, bob, tmp_path):
    ticket, plain = tmp_path / "ticket", tmp_path / "plain"
    uid = as_json(instance, "key", "create", name)["identifier"]
    instance.run("ticket", "delegate", name, "--allow", "get,get-attributes", "--requests", "2", "--out", ticket)
    get = ["key", "get", uid, "--config", bob, "--out", plain]
    assert instance.run(*get, check=False).returncode == 3
    instance.run(*get, "--ticket", ticket)
    assert len(plain.read_bytes()) == 32
    refused = instance.run("key", "destroy", uid, "--yes", "--config", bob, "--ticket", ticket, check=False)
    assert refused.returncode == 5 and "the rights of the ticket do not reach" in refused.stderr
    used_up = instance.run(*get, "--ticket", ticket, check=False)
    assert used_up.returncode != 0 and "which were made" in used_up.stderr
    assert instance.run("ticket", "delegate", check=False).returncode == 64  # all of it has to be said
    assert instance.run("ticket", "delegate", "--allow", "nonsense", check=False).returncode == 64


def test_attributes(instance, name):
    uid = as_json(instance, "key", "create", name)["identifier"]

    def value(attribute):
        found = [a["value"] for a in as_json(instance, "key", "show", name)["attributes"] if a["attribute"] == attribute]
        return found[0] if found else None

    change = ["key", "attribute"]
    instance.run(*change, "add", name, "x-owner=billing", "object-group=finance")
    assert (value("x-owner"), value("Object Group")) == ("billing", "finance")
    assert "x-owner" in as_json(instance, *change, "list", name)
    assert as_json(instance, *change, "modify", name, "x-owner=payments") == {"identifier": uid, "name": name}
    assert value("x-owner") == "payments"
    instance.run(*change, "delete", name, "x-owner")
    instance.run(*change, "add", name, "acme:colour=red")
    assert value("acme-colour") == "red"
    assert value("x-owner") is None
    instance.run(*change, "set", name, "Contact Information=ada@example.org", "deactivation-date=2090-01-01")
    assert value("Contact Information") == "ada@example.org"
    instance.run(*change, "adjust", name, "deactivation-date", "--by=-60")
    assert value("Deactivation Date") == "2089-12-31T23:59:00Z"
    instance.run(*change, "adjust", name, "sensitive", "--negate")
    assert value("Sensitive") is True
    for wrong in ("colour=red", "state", "deactivation-date=soon", "sensitive=perhaps", "contact-infomation=x"):
        assert instance.run(*change, "set", name, wrong, check=False).returncode == 64, wrong
    assert instance.run(*change, "set", name, "link=x", check=False).returncode == 69
    assert "set by the server alone" in instance.run(*change, "set", name, "state=active", check=False).stderr
    assert instance.run(*change, "adjust", name, "sensitive", check=False).returncode == 64


def test_use_is_asked_leased_and_allocated(instance, name):
    instance.run("key", "create", name, "--usage", "encrypt")
    assert instance.run("key", "check", name, "--usage", "encrypt").stdout == "allowed\n"
    assert instance.run("key", "check", name, "--usage", "sign", check=False).returncode == 1
    lease = as_json(instance, "key", "lease", name)
    assert lease["lease_s"] > 0 and lease["last_change"].endswith("Z")
    assert "has no Usage Limits" in instance.run("key", "allocate", name, "5", check=False).stderr
    assert instance.run("key", "allocate", name, "0", check=False).returncode == 64


def test_rules_of_new_objects(fresh, name):
    fresh.start()
    for kind in ("constraint", "default"):
        assert as_json(fresh, kind, "list") == []
    fresh.run("constraint", "set", "--type", "symmetric-key", "cryptographic-length=256")
    assert as_json(fresh, "constraint", "add", "--group", "g", "cryptographic-algorithm=aes") == {"rules": 2}
    assert [(rule["types"], rule["groups"], rule["attributes"][0]["value"]) for rule in as_json(fresh, "constraint", "list")
            ] == [(["Symmetric Key"], [], 256), ([], ["g"], "AES")]
    refused = fresh.run("key", "create", name, "--length", "128", check=False)
    assert refused.returncode == 1 and "constraints of this server" in refused.stderr
    fresh.run("constraint", "clear")
    fresh.run("default", "set", "--type", "symmetric-key", "contact-information=keys@example.org")
    fresh.run("key", "create", name, "--length", "128")
    assert {"attribute": "Contact Information", "value": "keys@example.org"} in as_json(fresh, "key", "show", name)["attributes"]
    assert "keys@example.org" in fresh.run("default", "list").stdout
    fresh.run("default", "clear")
    assert as_json(fresh, "default", "list") == []


def test_users_of_3_0(instance, name, tmp_path):
    password = tmp_path / "password"
    password.write_text("secret\n")
    assert instance.run("credential", "create", "--password-file", password, check=False).returncode == 5
    password.chmod(0o600)
    credential = as_json(instance, "credential", "create", name + "-c", "--password-file", password)["identifier"]
    instance.run("group", "create", name + "-g")
    user = as_json(instance, "user", "create", name, credential, "--group", name + "-g")
    assert user["name"] == name
    certificate = as_json(instance, "credential", "create", "--certificate", instance.dir / "ca.pem")
    assert certificate["identifier"] != credential
    password.write_text("3132333435363738393031323334353637383930\n")
    instance.run("credential", "create", "--totp-seed-file", password)
    assert instance.run("credential", "create", check=False).returncode == 64
    assert instance.run("user", "create", name, check=False).returncode == 64


def test_deactivate_and_obliterate(instance, name):
    instance.run("key", "create", name)
    instance.run("key", "deactivate", name, "--message", "a year is over")
    assert as_json(instance, "key", "show", name)["state"] == "Deactivated"
    assert instance.run("key", "obliterate", name, check=False).returncode == 5
    instance.run("key", "obliterate", name, "--yes")
    assert instance.run("key", "show", name, check=False).returncode == 3


def test_without_3_0(fresh):
    fresh.configure("kmip", version_3_0="off")
    fresh.start()
    done = fresh.run("group", "create", "g", check=False)
    assert done.returncode == 69 and "version_3_0" in done.stderr


def test_3_0_is_spoken_where_it_is_asked_for(fresh, name):
    fresh.configure("kmip", version_3_0="on")
    fresh.start()
    conf = fresh.dir / "client.conf"
    assert as_json(fresh, "status")["kmip"] == "2.1"
    conf.write_text(conf.read_text() + "versions = 1.0-3.0\n")
    assert as_json(fresh, "status")["kmip"] == "3.0"
    uid = as_json(fresh, "key", "create", name)["identifier"]
    assert as_json(fresh, "key", "list") [0]["name"] == name
    shown = as_json(fresh, "key", "show", name)
    assert (shown["identifier"], shown["name"], shown["state"]) == (uid, name, "Active")
    fresh.run("key", "rotate", name)
    plain = fresh.dir / "plain"
    plain.write_text("hello")
    secret = fresh.run("key", "encrypt", name, "--in", plain, "--out", fresh.dir / "secret")
    assert fresh.run("key", "decrypt", "--in", fresh.dir / "secret").stdout == "hello"
    assert secret.returncode == 0
    conf.write_text(conf.read_text().replace("1.0-3.0", "3.0-1.0"))
    assert fresh.run("status", check=False).returncode == 78


def test_small_questions(instance, name, tmp_path):
    assert instance.run("ping").stdout == "The server answers.\n"
    able = as_json(instance, "query")
    assert able["versions"][0] == "2.1" and "Delegated Login" in able["operations"] and "PGP Key" in able["object_types"]
    instance.run("log", "said by " + name)
    assert "said by " + name in instance.run("audit", "show").stdout
    instance.run("interop", "begin", "TC-1")
    assert instance.run("interop", "start", "TC-1", check=False).returncode == 64
    (tmp_path / "dice").write_bytes(b"3145")
    assert as_json(instance, "seed", tmp_path / "dice") == {"taken": 4}
    begun = as_json(instance, "pkcs11", "C_Initialize")
    assert begun["return"] == "OK"
    info = as_json(instance, "pkcs11", "C_GetInfo", "--correlation", begun["correlation"])
    assert b"Keystead" in bytes.fromhex(info["output"])
    assert instance.run("pkcs11", "C_Nothing", check=False).returncode == 64


def test_what_was_put_off_can_be_had_at_once(instance, name):
    instance.run("key", "create", name, "--pre-active")
    request = instance.run("key", "archive", name, "--later").stdout.strip()
    instance.run("request", "process", request)
    assert instance.run("request", "result", request).stdout.startswith("Archive\n")
    assert instance.run("request", "process", request, check=False).returncode == 3
