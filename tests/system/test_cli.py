"""The keystead command as people and programs use it, against the real server."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest

from instance import KEYSTEAD, SOURCE, Instance, free_port, run

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
EXIT = {"usage": 64, "refused": 1, "not found": 3, "exists": 4, "denied": 5, "sealed": 6, "timeout": 75, "connect": 69,
        "tls": 76, "config": 78}
counter = iter(range(1000000))


@pytest.fixture
def name():
    return "key-%d" % next(counter)


def fails(instance, kind, *args, **kwargs):
    """Runs a command that must fail in that way, in one line; returns the line."""
    done = instance.run(*args, check=False, **kwargs)
    assert done.returncode == EXIT[kind], (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("keystead "), done.stderr
    return done.stderr


def as_json(instance, *args, **kwargs):
    return json.loads(instance.run(*args, "--json", **kwargs).stdout)


def create(instance, name, *args):
    return as_json(instance, "key", "create", name, *args)["identifier"]


def show(instance, key):
    shown = as_json(instance, "key", "show", key)
    return {entry["attribute"]: entry["value"] for entry in shown["attributes"]}


# The life of a key

def test_create_prints_the_identifier(instance, name):
    out = instance.run("key", "create", name).stdout
    assert re.fullmatch(r"Created %s \(%s\)\n" % (name, UUID.pattern), out)
    attributes = show(instance, name)
    assert attributes["State"] == "Active"
    assert attributes["Cryptographic Algorithm"] == "AES"
    assert attributes["Cryptographic Length"] == 256
    assert attributes["Cryptographic Usage Mask"] == "Encrypt, Decrypt, Wrap Key, Unwrap Key"
    assert attributes["Name"] == name


def test_create_as_told(instance, name):
    uid = create(instance, name, "--algorithm", "hmac-sha512", "--length", "512", "--usage", "mac-generate",
                 "--pre-active")
    attributes = show(instance, uid)
    assert attributes["State"] == "Pre-Active"
    assert attributes["Cryptographic Algorithm"] == "HMAC-SHA512"
    assert attributes["Cryptographic Length"] == 512
    assert attributes["Cryptographic Usage Mask"] == "MAC Generate"


def test_create_does_not_know_everything(instance, name):
    assert "hmac-sha256" in fails(instance, "usage", "key", "create", name, "--algorithm", "rot13")
    assert "'fly'" in fails(instance, "usage", "key", "create", name, "--usage", "encrypt,fly")
    assert "--length" in fails(instance, "usage", "key", "create", name, "--length", "many")
    fails(instance, "not found", "key", "show", name)


def test_a_name_is_used_once(instance, name):
    create(instance, name)
    assert "in use" in fails(instance, "exists", "key", "create", name)


def test_key_pairs(instance, name):
    for algorithm, *more in (["ec", "--curve", "p-384"], ["rsa", "--length", "2048"], ["ed25519"]):
        pair = as_json(instance, "key", "create", name + algorithm, "--algorithm", algorithm, *more)
        assert pair["public_name"] == name + algorithm + "-public"
        assert show(instance, pair["private_identifier"])["State"] == "Active"
        assert show(instance, pair["public_identifier"])["State"] == "Active"
        for form in ([], ["--format", "x-509"]):  # what is asked for nothing is in a form that others read, too
            pem = instance.run("key", "get", pair["public_name"], *form).stdout
            seen = subprocess.run(["openssl", "pkey", "-pubin", "-noout"], input=pem, text=True, capture_output=True)
            assert seen.returncode == 0, seen.stderr


def test_states(instance, name):
    uid = create(instance, name, "--pre-active")
    assert instance.run("key", "activate", name).stdout == "Activated %s (%s)\n" % (name, uid)
    assert "Active" in fails(instance, "refused", "key", "activate", name)
    assert "Active" in fails(instance, "refused", "key", "destroy", name, "--yes")
    revoked = instance.run("key", "revoke", name, "--reason", "superseded", "--message", "by another", "--yes")
    assert revoked.stdout == "Revoked %s (%s)\n" % (name, uid)
    attributes = show(instance, uid)
    assert attributes["State"] == "Deactivated"
    assert "Superseded" in attributes["Revocation Reason"] and "by another" in attributes["Revocation Reason"]
    assert instance.run("key", "destroy", uid, "--yes").stdout == "Destroyed %s (%s)\n" % (name, uid)  # also by identifier
    assert show(instance, uid)["State"] == "Destroyed"


def test_a_compromise_is_a_state_of_its_own(instance, name):
    uid = create(instance, name)
    assert as_json(instance, "key", "revoke", name, "--reason", "key-compromise", "--yes") == {"identifier": uid, "name": name}
    assert show(instance, uid)["State"] == "Compromised"


def test_what_cannot_be_undone_is_asked(instance, name):
    uid = create(instance, name)
    assert "--yes" in fails(instance, "denied", "key", "revoke", name)
    assert "--yes" in fails(instance, "denied", "key", "destroy", name)
    assert "--yes" in fails(instance, "denied", "client", "revoke", "admin")
    assert show(instance, uid)["State"] == "Active"
    status, out = on_terminal(instance, ["key", "revoke", name], b"n\n")
    assert status == 75 and "nothing was done" in out and "Revoke %s (%s)?" % (name, uid) in out
    assert show(instance, uid)["State"] == "Active"
    status, out = on_terminal(instance, ["key", "revoke", name], b"y\n")
    assert status == 0 and "Revoked" in out
    assert show(instance, uid)["State"] == "Deactivated"


def test_rotate(instance, name):
    old = create(instance, name)
    done = as_json(instance, "key", "rotate", name)
    assert done["replaces"] == old and done["identifier"] != old
    new = show(instance, name)
    assert new["Unique Identifier"] == done["identifier"]
    assert new["State"] == "Active"
    assert show(instance, old)["State"] == "Active"
    listed = as_json(instance, "key", "list", "--name", name)
    assert [entry["identifier"] for entry in listed] == [done["identifier"]]  # the name went to the new one
    assert re.fullmatch(r"Rotated %s \(%s\): the new key is %s\n" % (name, done["identifier"], UUID.pattern),
                        instance.run("key", "rotate", name).stdout)
    later = as_json(instance, "key", "rotate", name, "--after", "7d")
    assert show(instance, later["identifier"])["State"] == "Pre-Active"


# Material

def on_terminal(instance, args, typed=b""):
    """Runs a command on a terminal; (exit status, all it showed)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["KEYSTEAD_DIR"] = str(instance.dir)
        os.execv(KEYSTEAD, [KEYSTEAD, *args])
    if typed:
        os.write(fd, typed)
    out = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode()


def test_a_terminal_does_not_show_material(instance, name):
    uid = create(instance, name)
    hexadecimal = instance.run("key", "get", name).stdout.strip()
    assert len(hexadecimal) == 64
    for args in ([], ["--json"], ["--out", "-"]):
        status, out = on_terminal(instance, ["key", "get", name, *args])
        assert status == EXIT["denied"]
        assert hexadecimal not in out and "--plaintext" in out and uid in out
    status, out = on_terminal(instance, ["key", "get", name, "--plaintext"])
    assert status == 0 and hexadecimal in out


def test_who_waits_for_a_terminal_says_so(instance, name):
    create(instance, name)
    for args in (["key", "encrypt", name], ["ttlv"]):
        status, out = on_terminal(instance, args, b"hello\n\x04")
        assert status == (65 if args == ["ttlv"] else 0) and "end with Ctrl-D" in out


def test_public_things_are_shown_on_a_terminal(instance, name):
    instance.run("key", "register", name, "--file", instance.dir / "ca.pem")
    status, out = on_terminal(instance, ["key", "get", name])
    assert status == 0 and "BEGIN CERTIFICATE" in out


def test_get_to_a_file(instance, name, tmp_path):
    create(instance, name)
    target = tmp_path / "key"
    os.umask(0o022)
    assert instance.run("key", "get", name, "--out", target).stdout == ""
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes().hex() == instance.run("key", "get", name).stdout.strip()
    instance.run("key", "get", name, "--out", target, "--encoding", "hex")
    assert len(target.read_text()) == 65
    assert "PEM" in fails(instance, "usage", "key", "get", name, "--encoding", "pem")


def test_get_wrapped(instance, name):
    from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
    create(instance, name)
    create(instance, name + "-kek")
    kek, key = (bytes.fromhex(instance.run("key", "get", n).stdout) for n in (name + "-kek", name))
    got = as_json(instance, "key", "get", name, "--wrap-with", name + "-kek")
    assert got["wrapped"] is True
    assert aes_key_unwrap(kek, bytes.fromhex(got["material"])) == key


def test_register_and_get_what_people_have(instance, name, tmp_path):
    raw = bytes(range(32))
    (tmp_path / "raw").write_bytes(raw)
    (tmp_path / "hex").write_text(raw.hex() + "\n")
    (tmp_path / "password").write_text("s3cret")
    pems = {
        "pkcs8": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "sec1": ["ecparam", "-genkey", "-noout", "-name", "prime256v1"],
        "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    }
    instance.run("key", "register", name + "raw", "--file", tmp_path / "raw")
    instance.run("key", "register", name + "hex", "--file", tmp_path / "hex", "--encoding", "hex")
    for kind in ("raw", "hex"):
        assert instance.run("key", "get", name + kind).stdout.strip() == raw.hex()
        assert show(instance, name + kind)["Cryptographic Length"] == 256
    instance.run("key", "register", name + "pw", "--file", tmp_path / "password", "--type", "secret-data")
    assert bytes.fromhex(instance.run("key", "get", name + "pw").stdout) == b"s3cret"
    for kind, args in pems.items():
        made = subprocess.run(["openssl", *args], capture_output=True, check=True).stdout
        (tmp_path / kind).write_bytes(made)
        instance.run("key", "register", name + kind, "--file", tmp_path / kind)
        assert show(instance, name + kind)["Object Type"] == "Private Key"
        back = instance.run("key", "get", name + kind).stdout
        same = [subprocess.run(["openssl", "pkey", "-outform", "DER"], input=pem, capture_output=True, check=True).stdout
                for pem in (made, back.encode())]
        assert same[0] == same[1]


def test_register_refuses_what_it_does_not_understand(instance, name, tmp_path):
    (tmp_path / "bad").write_text("xyz")
    (tmp_path / "empty").write_text("")
    encrypted = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                                "-aes256", "-pass", "pass:x"], capture_output=True, check=True).stdout
    (tmp_path / "encrypted").write_bytes(encrypted)
    done = instance.run("key", "register", name, "--file", tmp_path / "bad", "--encoding", "hex", check=False)
    assert done.returncode == 65
    assert "no material" in fails(instance, "usage", "key", "register", name, "--file", tmp_path / "empty")
    assert "--file" in fails(instance, "usage", "key", "register", name)
    done = instance.run("key", "register", name, "--file", tmp_path / "encrypted", check=False)
    assert done.returncode == 69 and "decrypt the key first" in done.stderr
    fails(instance, "not found", "key", "register", name, "--file", tmp_path / "missing")


def test_using_a_name_leaves_no_failure_in_the_audit_trail(fresh):
    fresh.start()
    uid = create(fresh, "invoices")
    for key in ("invoices", uid):
        fresh.run("key", "show", key)
    fresh.run("key", "rotate", "invoices")
    assert fresh.run("audit", "show", "--failed", "--json").stdout == ""
    assert "has a replacement already" in fails(fresh, "denied", "key", "rotate", uid)
    fails(fresh, "not found", "key", "show", "nothing")
    lines = fresh.run("audit", "show", "--failed", "--json").stdout.splitlines()
    assert [json.loads(line)["object"] for line in lines] == [uid, "nothing"]


def test_names_cannot_play_with_the_terminal(instance, name):
    evil = name + "\x1b[31m\x9b\u202e\n"
    shown = name + "?[31m???"
    assert instance.run("key", "create", evil).stdout.startswith("Created %s (" % shown)
    assert re.search("^" + re.escape(shown) + " ", instance.run("key", "list").stdout, re.M)
    assert shown + "\n" in instance.run("key", "show", evil).stdout
    assert shown in fails(instance, "not found", "key", "show", evil + "x")
    assert shown in instance.run("audit", "show").stdout
    assert as_json(instance, "key", "list", "--name", evil)[0]["name"] == evil


# Lists

def test_list(instance, name):
    uid = create(instance, name)
    table = instance.run("key", "list", "--name", name).stdout.splitlines()
    assert table[0].split() == ["NAME", "IDENTIFIER", "STATE", "KIND", "CREATED"]
    assert table[1].split()[:2] == [name, uid]
    instance.run("key", "create", name + "s", "--algorithm", "ec")
    kinds = {line.split()[0]: line for line in instance.run("key", "list").stdout.splitlines()}
    assert " AES-256 " in kinds[name]
    assert " EC-256 private " in kinds[name + "s-private"] and " EC-256 public " in kinds[name + "s-public"]
    entry, = as_json(instance, "key", "list", "--name", name)
    assert entry["identifier"] == uid and entry["state"] == "Active" and entry["algorithm"] == "AES"
    assert entry["length"] == 256 and entry["type"] == "Symmetric Key" and entry["created"] == entry["activated"]


def test_what_people_read_fits_into_80_columns(fresh):
    fresh.start()
    fresh.run("key", "create", "card-numbers")
    for args in (["key", "list"], ["client", "list"], ["status"], ["help"], ["help", "exit-codes"], ["key"]):
        done = fresh.run(*args, check=False)
        for line in (done.stdout + done.stderr).splitlines():
            assert len(line) <= 80, line


def test_every_command_has_json(fresh, tmp_path):
    fresh.start()
    plain = tmp_path / "plain"
    plain.write_text("hello")
    secret = tmp_path / "secret"
    token = as_json(fresh, "client", "token", "create", "c")["token"]
    for args in (["status"], ["key", "create", "k"], ["key", "create", "pair", "--algorithm", "ec"],
                 ["key", "register", "r", "--file", plain, "--type", "secret-data"], ["key", "get", "k"],
                 ["key", "list"], ["key", "show", "k"], ["key", "create", "later", "--pre-active"],
                 ["key", "activate", "later"], ["key", "rotate", "k"], ["key", "encrypt", "k", "--in", plain],
                 ["key", "revoke", "k", "--yes"], ["key", "destroy", "k", "--yes"], ["client", "list"],
                 ["key", "create", "away", "--pre-active"], ["key", "archive", "away"], ["key", "recover", "away"],
                 ["key", "archive", "away", "--later"], ["request", "list"],
                 ["client", "enroll", token, "--server", "127.0.0.1:%d" % fresh.port, "--out", tmp_path / "c"],
                 ["client", "revoke", "c", "--yes"], ["audit", "verify"], ["unseal", "--passphrase-file", plain]):
        plain.chmod(0o600)
        assert isinstance(as_json(fresh, *args), (dict, list)), args
    fresh.run("key", "create", "e")
    fresh.run("key", "encrypt", "e", "--in", plain, "--out", secret)
    for line in fresh.run("audit", "show", "--json").stdout.splitlines():
        json.loads(line)


def test_dates_are_written_in_one_way(instance, name):
    create(instance, name)
    entry, = as_json(instance, "key", "list", "--name", name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["created"])
    assert show(instance, name)["Initial Date"] == entry["created"]
    listed = as_json(instance, "key", "list", "--created-after", entry["created"], "--name", name)
    assert [e["identifier"] for e in listed] == [entry["identifier"]]


def test_list_filters(instance, name):
    uids = {create(instance, name + "a"): "a", create(instance, name + "b", "--pre-active"): "b",
            create(instance, name + "c", "--algorithm", "hmac-sha256"): "c"}

    def listed(*args):
        return sorted(uids[e["identifier"]] for e in as_json(instance, "key", "list", *args) if e["identifier"] in uids)

    assert listed() == ["a", "b", "c"]
    assert listed("--state", "pre-active") == ["b"]
    assert listed("--algorithm", "HMAC-SHA256") == ["c"]
    assert listed("--state", "active", "--algorithm", "aes") == ["a"]
    assert listed("--type", "certificate") == []
    assert listed("--created-after", "2001-01-01") == ["a", "b", "c"]
    assert listed("--created-before", "2001-01-01") == []
    assert listed("--created-after", "2001-01-01", "--created-before", "2001-01-02T00:00:00Z") == []
    assert len(as_json(instance, "key", "list", "--limit", "2")) == 2
    assert len(instance.run("key", "list", "--limit", "2", "--json").stdout.splitlines()) == 2  # for grep
    everything = [e["identifier"] for e in as_json(instance, "key", "list")]
    assert [e["identifier"] for e in as_json(instance, "key", "list", "--offset", "1")] == everything[1:]
    assert "date" in fails(instance, "usage", "key", "list", "--created-after", "yesterday")
    assert "pre-active" in fails(instance, "usage", "key", "list", "--state", "tired")


def test_a_long_list(fresh):
    """More objects than fit into one message of questions."""
    fresh.start()
    from ttlv import ask, create_aes
    with fresh.connect() as sock:
        for i in range(230):
            ask(sock, create_aes("many-%d" % i))
    entries = as_json(fresh, "key", "list")
    assert sorted(entry["name"] for entry in entries) == sorted("many-%d" % i for i in range(230))


# Encryption

def test_encrypt_and_decrypt(instance, name, tmp_path):
    uid = create(instance, name)
    plain, secret, back = (tmp_path / n for n in ("plain", "secret", "back"))
    plain.write_bytes(os.urandom(100000))
    instance.run("key", "encrypt", name, "--in", plain, "--out", secret)
    envelope = json.loads(secret.read_text())
    assert envelope["key"] == uid and envelope["mode"] == "GCM" and len(envelope["iv"]) == 24
    instance.run("key", "decrypt", "--in", secret, "--out", back)
    assert back.read_bytes() == plain.read_bytes()
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    instance.run("key", "rotate", name)
    instance.run("key", "decrypt", "--in", secret, "--out", back)  # what was encrypted before stays readable
    assert back.read_bytes() == plain.read_bytes()
    fails(instance, "refused", "key", "decrypt", name, "--in", secret)  # the new key is another key


def test_additional_data_counts(instance, name, tmp_path):
    create(instance, name)
    (tmp_path / "plain").write_text("hello")
    instance.run("key", "encrypt", name, "--in", tmp_path / "plain", "--out", tmp_path / "secret", "--aad", "row 17")
    assert instance.run("key", "decrypt", "--in", tmp_path / "secret", "--aad", "row 17").stdout == "hello"
    fails(instance, "refused", "key", "decrypt", "--in", tmp_path / "secret", "--aad", "row 18")
    fails(instance, "refused", "key", "decrypt", "--in", tmp_path / "secret")


@pytest.mark.parametrize("mode", ["gcm", "cbc", "ctr"])
def test_modes(instance, name, tmp_path, mode):
    create(instance, name)
    (tmp_path / "plain").write_text("seventeen bytes..")
    instance.run("key", "encrypt", name, "--in", tmp_path / "plain", "--out", tmp_path / "secret", "--mode", mode)
    assert instance.run("key", "decrypt", "--in", tmp_path / "secret").stdout == "seventeen bytes.."
    if mode != "gcm":
        fails(instance, "usage", "key", "encrypt", name, "--in", tmp_path / "plain", "--mode", mode, "--aad", "x")


def test_decrypt_reads_envelopes_alone(instance, tmp_path):
    for text in ("", "hello", "{}", '{"keystead": 2, "key": "k", "mode": "GCM", "iv": "", "tag": "", "data": ""}',
                 '{"keystead": 1, "key": "k", "mode": "XYZ", "iv": "", "tag": "", "data": ""}',
                 '{"keystead": 1, "key": "k", "mode": "GCM", "iv": "zz", "tag": "", "data": ""}',
                 '{"keystead": 1, "key": "k", "mode": "GCM", "iv": "", "tag": ""}'):
        (tmp_path / "bad").write_text(text)
        done = instance.run("key", "decrypt", "--in", tmp_path / "bad", check=False)
        assert done.returncode in (65, 69), (text, done.stderr)


# Clients

def enroll(instance, client, folder, *args):
    token = as_json(instance, "client", "token", "create", client, *args)["token"]
    done = run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", folder, "--json")
    assert json.loads(done.stdout) == {"client": client, "config": str(folder / "client.conf")}
    return token


def test_enrolment(instance, name, tmp_path):
    folder = tmp_path / "new" / "client"
    token = enroll(instance, name, folder)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "client.key": 0o600, "client.pem": 0o644, "ca.pem": 0o644, "client.conf": 0o644}
    assert (folder / "ca.pem").read_text() == (instance.dir / "ca.pem").read_text()
    config = ["--config", folder / "client.conf"]
    uid = json.loads(run("key", "create", name, "--json", *config).stdout)["identifier"]
    assert [e["identifier"] for e in json.loads(run("key", "list", "--json", *config).stdout)] == [uid]
    entry, = [e for e in as_json(instance, "client", "list") if e["name"] == name]
    assert entry["role"] == "client" and entry["revoked"] is False
    assert name in instance.run("client", "list").stdout
    # No administrator
    done = run("client", "list", *config, check=False)
    assert done.returncode == EXIT["denied"]
    # A token works once, and nothing is overwritten
    server = ["--server", "127.0.0.1:%d" % instance.port]
    done = run("client", "enroll", token, *server, "--out", tmp_path / "again", check=False)
    assert done.returncode == EXIT["denied"] and list((tmp_path / "again").iterdir()) == []
    other = as_json(instance, "client", "token", "create", name + "-b")["token"]
    done = run("client", "enroll", other, *server, "--out", folder, check=False)
    assert done.returncode == EXIT["exists"] and "client.key" in done.stderr
    run("client", "enroll", other, *server, "--out", tmp_path / "b")  # it was not used up by that
    # Revoked
    assert instance.run("client", "revoke", name, "--yes").stdout == "Revoked client %s\n" % name
    assert run("key", "list", *config, check=False).returncode == EXIT["denied"]
    entry, = [e for e in as_json(instance, "client", "list") if e["name"] == name]
    assert entry["revoked"] is True
    fails(instance, "not found", "client", "revoke", "nobody-" + name, "--yes")


def test_a_token_can_be_hidden(instance, name, tmp_path):
    def token(suffix):
        return as_json(instance, "client", "token", "create", name + suffix)["token"]

    def enrolled(*args, out, check=True, **more):
        return run("client", "enroll", *args, "--server", "127.0.0.1:%d" % instance.port, "--out", tmp_path / out,
                   check=check, **more)

    file = tmp_path / "token"
    file.write_text(token("-1") + "\n")
    file.chmod(0o644)
    assert enrolled("--token-file", file, out="a", check=False).returncode != 0 and not (tmp_path / "a").exists()
    file.chmod(0o600)
    enrolled("--token-file", file, out="a")
    file.write_text(token("-2"))
    with file.open() as given:
        enrolled("-", out="b", stdin=given)
    enrolled(out="c", env={**os.environ, "KEYSTEAD_TOKEN": token("-3")})
    for folder in "abc":
        run("key", "list", "--config", tmp_path / folder / "client.conf")
    done = enrolled(out="d", check=False)
    assert done.returncode == EXIT["usage"] and "KEYSTEAD_TOKEN" in done.stderr
    assert enrolled("ks1-x", "--token-file", file, out="d", check=False).returncode == EXIT["usage"]
    assert not (tmp_path / "d").exists()


def test_a_client_renews_its_certificate(instance, name, tmp_path):
    folder = tmp_path / "client"
    enroll(instance, name, folder)
    config = ["--config", folder / "client.conf"]
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    uid = json.loads(run("key", "create", name, "--json", *config).stdout)["identifier"]
    done = json.loads(run("client", "renew", "--json", *config).stdout)
    assert done == {"certificate": str(folder / "client.pem")}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "client.key": 0o600, "client.pem": 0o644, "ca.pem": 0o644, "client.conf": 0o644}
    for file in ("client.key", "client.pem"):
        assert (folder / file).read_bytes() != (old / file).read_bytes()
    for file in ("client.conf", "ca.pem"):
        assert (folder / file).read_bytes() == (old / file).read_bytes()
    # The old one is good until the new one is used; then it is not.
    run("key", "show", uid, "--config", old / "client.conf")
    run("key", "show", uid, *config)
    assert run("key", "show", uid, "--config", old / "client.conf", check=False).returncode == EXIT["denied"]
    run("key", "show", uid, *config)
    # Where the files are not those of an enrolment nothing is asked for, and nothing left behind.
    (folder / "client.pem").rename(folder / "mine.pem")
    (folder / "client.conf").write_text((folder / "client.conf").read_text().replace("client.pem", "mine.pem"))
    done = run("client", "renew", *config, check=False)
    assert done.returncode == EXIT["not found"] and not (folder / "client.key.new").exists()


def test_a_client_renews_with_a_key_of_the_servers_or_from_elsewhere(instance, name, tmp_path):
    folder = tmp_path / "client"
    enroll(instance, name, folder)
    config = ["--config", folder / "client.conf"]
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    done = json.loads(run("client", "renew", "--server-key", "--json", *config).stdout)
    assert (folder / "client.key").read_bytes() != (old / "client.key").read_bytes()
    run("key", "revoke", done["key"], "--yes", *config)
    run("key", "destroy", done["key"], "--yes", *config)
    assert run("key", "list", "--config", old / "client.conf", check=False).returncode == EXIT["denied"]
    # One that this server's authority issued to another is not taken, and nothing is left behind or changed.
    before = (folder / "client.pem").read_bytes()
    done = run("client", "renew", "--certificate", old / "client.pem", "--key", old / "client.key", *config, check=False)
    assert done.returncode != 0 and "own authority" in done.stderr
    assert (folder / "client.pem").read_bytes() == before and not (folder / "client.key.new").exists()
    run("key", "list", *config)


def test_an_administrator_can_be_enrolled(instance, name, tmp_path):
    enroll(instance, name, tmp_path / "a", "--role", "admin", "--valid", "15m")
    assert name in run("client", "list", "--config", tmp_path / "a" / "client.conf").stdout


def test_a_token_is_for_its_own_server(instance, fresh, name, tmp_path):
    fresh.start()
    token = as_json(instance, "client", "token", "create", name)["token"]
    done = run("client", "enroll", token, "--server", "127.0.0.1:%d" % fresh.port, "--out", tmp_path / "c", check=False)
    assert done.returncode == EXIT["tls"] and "not the server that the token was made by" in done.stderr
    assert list((tmp_path / "c").iterdir()) == []
    run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", tmp_path / "c")


def test_what_is_no_token(instance, tmp_path):
    server = ["--server", "127.0.0.1:%d" % instance.port, "--out", tmp_path / "c"]
    for token in ("x", "ks1-", "ks1-00-zz"):
        done = run("client", "enroll", token, *server, check=False)
        assert done.returncode == EXIT["usage"], done.stderr
    pin = as_json(instance, "client", "token", "create", "t%d" % next(counter))["token"].rsplit("-", 1)[1]
    done = run("client", "enroll", "ks1-%s-%s" % ("00" * 16, pin), *server, check=False)
    assert done.returncode == EXIT["denied"], done.stderr
    assert list((tmp_path / "c").iterdir()) == []


def test_a_token_is_shown_alone(instance, name):
    """So that TOKEN=$(keystead client token create NAME) works."""
    done = instance.run("client", "token", "create", name)
    assert re.fullmatch(r"ks1-[0-9a-f]+-[0-9a-f]{32}\n", done.stdout)
    assert "keystead client enroll" in done.stderr


# The server

def test_status(instance):
    text = instance.run("status").stdout
    assert "serving" in text and "127.0.0.1:%d" % instance.port in text
    status = as_json(instance, "status")
    assert status["sealed"] is False and status["kmip"] == "2.1"
    assert status["server"] == "127.0.0.1:%d" % instance.port and status["objects"] >= 0


def test_sealed_and_unsealed(tmp_path):
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    for file in ("passphrase", "wrong"):
        (tmp_path / file).chmod(0o600)
    sealed = Instance(tmp_path / "sealed", "--passphrase-file", str(tmp_path / "passphrase"))
    sealed.start()
    try:
        done = sealed.run("status", check=False)
        assert done.returncode == EXIT["sealed"] and "sealed" in done.stdout
        assert json.loads(sealed.run("status", "--json", check=False).stdout)["sealed"] is True
        said = fails(sealed, "sealed", "key", "create", "x")
        assert said.count("sealed") == 1 and "keystead unseal" in said
        done = sealed.run("unseal", "--passphrase-file", tmp_path / "wrong", check=False)
        assert done.returncode == EXIT["denied"] and "passphrase is wrong" in done.stderr
        assert sealed.run("status", check=False).returncode == EXIT["sealed"]
        time.sleep(1.1)  # guessing is slowed down
        sealed.run("unseal", "--passphrase-file", tmp_path / "passphrase")
        assert sealed.run("status").returncode == 0
        create(sealed, "x")
    finally:
        sealed.stop()


# Where the configuration comes from

def test_which_configuration(instance, tmp_path):
    nowhere = {key: value for key, value in os.environ.items() if not key.startswith("KEYSTEAD_")}
    nowhere["HOME"] = str(tmp_path)
    nowhere.pop("XDG_CONFIG_HOME", None)
    done = run("status", env=nowhere, check=False)
    assert done.returncode == EXIT["not found"] and str(tmp_path / ".config/keystead/client.conf") in done.stderr
    conf = str(instance.dir / "client.conf")
    run("status", "--dir", instance.dir, env=nowhere)
    run("status", "--config", conf, env=nowhere)
    run("status", env={**nowhere, "KEYSTEAD_CONFIG": conf})
    run("status", env={**nowhere, "KEYSTEAD_DIR": str(instance.dir)})
    run("status", "--config", conf, env={**nowhere, "KEYSTEAD_CONFIG": "/nonexistent"})
    (tmp_path / ".config").mkdir()
    shutil.copytree(instance.dir, tmp_path / ".config" / "keystead",
                    ignore=lambda folder, names: [n for n in names if not n.endswith((".pem", ".key", ".conf"))])
    run("status", env=nowhere)


def test_a_key_that_others_can_read_is_refused(instance, tmp_path):
    for file in ("ca.pem", "admin.pem", "admin.key", "client.conf"):
        shutil.copy(instance.dir / file, tmp_path / file)
    (tmp_path / "admin.key").chmod(0o640)
    done = run("status", "--dir", tmp_path, check=False)
    assert done.returncode == EXIT["denied"] and "chmod 600" in done.stderr


def configuration(instance, tmp_path, **settings):
    path = tmp_path / ("client-%d.conf" % next(counter))
    lines = {"ca": instance.dir / "ca.pem", "certificate": instance.dir / "admin.pem",
             "key": instance.dir / "admin.key", **settings}
    servers = lines.pop("server", ["127.0.0.1:%d" % instance.port])
    path.write_text("".join("server = %s\n" % s for s in servers) + "".join("%s = %s\n" % l for l in lines.items()))
    return path


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1"])
def test_every_version(instance, name, tmp_path, version):
    config = ["--config", configuration(instance, tmp_path, versions=version)]

    def call(*args):
        return json.loads(run(*args, "--json", *config).stdout)

    uid = call("key", "create", name)["identifier"]
    assert call("key", "show", name)["state"] == "Active"
    assert call("key", "list", "--name", name)[0]["identifier"] == uid
    assert len(call("key", "get", name)["material"]) == 64
    new = call("key", "rotate", name)["identifier"]
    assert call("key", "show", name)["identifier"] == new
    (tmp_path / "plain").write_text("hello")
    encrypt = ["key", "encrypt", name, "--in", tmp_path / "plain", "--out", tmp_path / "secret", *config]
    if version in ("1.0", "1.1"):
        done = run(*encrypt, check=False)
        assert done.returncode == 69 and "Encrypt does not exist in KMIP " + version in done.stderr
    elif version in ("1.2", "1.3"):
        run(*encrypt, "--mode", "cbc")
        assert run("key", "decrypt", "--in", tmp_path / "secret", *config).stdout == "hello"
    else:
        run(*encrypt)
        assert run("key", "decrypt", "--in", tmp_path / "secret", *config).stdout == "hello"
    call("key", "revoke", uid, "--yes")
    call("key", "destroy", uid, "--yes")
    assert call("status")["kmip"] == version


# Servers that do not answer

def test_failover(instance, fresh, tmp_path):
    """The first is not there, the second is another's, the third hangs, the fourth answers."""
    fresh.start()
    hanging = Instance(tmp_path / "hanging").start()
    for pid in [hanging.process.pid, *hanging.children()]:
        os.kill(pid, signal.SIGSTOP)
    try:
        servers = ["127.0.0.1:%d" % port for port in (free_port(), fresh.port, hanging.port, instance.port)]
        config = configuration(instance, tmp_path, server=servers, connect_timeout="1s")
        status = json.loads(run("status", "--json", "--config", config).stdout)
        assert status["server"] == servers[3]
        config = configuration(instance, tmp_path, server=servers[:3], connect_timeout="1s")
        done = run("status", "--config", config, check=False)
        assert done.returncode == EXIT["connect"]
        for server, why in zip(servers, (r"Connection refused \(does the server run", r"certificate was refused.*another server", "timed out")):
            assert re.search(re.escape(server) + ": [^;]*" + why, done.stderr), done.stderr
    finally:
        for pid in [*hanging.children(), hanging.process.pid]:
            os.kill(pid, signal.SIGCONT)
        hanging.stop()


def test_a_hanging_server_is_left_in_time(fresh):
    fresh.start()
    stopped = [*fresh.children()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert "timed out" in fails(fresh, "timeout", "status", "--timeout", "1s")
        assert time.monotonic() - began < 20  # not the default of 30 s
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    fresh.run("status")


def test_ctrl_c_ends_a_waiting_command(fresh):
    fresh.start()
    stopped = [*fresh.children()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = subprocess.Popen([KEYSTEAD, "status", "--dir", str(fresh.dir)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE,
                                   # Tests in the background inherit an ignored SIGINT; a command at a terminal does not.
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        time.sleep(0.3)
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=20)
        assert waiting.returncode == -signal.SIGINT
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


# Help, usage, completion

def commands():
    names = []
    for group in ("key", "cert", "request", "client", "pg", "ticket", "user", "group", "credential", "constraint",
                  "default"):
        for line in run(group, "--help").stdout.splitlines():
            found = re.match(r"  (%s [a-z ]+?)  " % group, line)
            if found:
                names.append(found.group(1).split())
    return names + [[name] for name in ("status", "unseal", "hash", "random", "seed", "ping", "query", "log", "interop",
                                      "pkcs11", "conform", "completion")]


def test_help():
    assert len(commands()) == 83
    for command in commands():
        text = run(*command, "--help").stdout
        assert text.startswith("Usage: keystead %s" % " ".join(command))
        assert "\nExamples:\n  " in text and "--json" in text
        examples = text.split("\nExamples:\n")[1].splitlines()
        assert all("keystead " + " ".join(command) in line for line in examples), examples
        assert max(map(len, text.splitlines())) <= 130


def test_the_overview():
    text = run("help").stdout
    assert text == run("--help").stdout == run("-h").stdout
    assert re.findall(r"^(\w+):$", text, re.M) == ["Server", "Keys", "PostgreSQL", "Clients", "Audit", "Tools"]
    for command in commands():
        assert re.search("^  %s  " % " ".join(command), text, re.M), command
    done = run(check=False)
    assert done.returncode == EXIT["usage"] and done.stderr == text


def test_help_about_a_command():
    for command in commands() + [["key"], ["client", "token"], ["audit"], ["audit", "show"], ["server"], ["ttlv"]]:
        assert run("help", *command).stdout == run(*command, "--help").stdout != ""
    for args, part in ((["help", "fly"], "no command 'fly'"), (["help", "key", "fly"], "no command 'key fly'"),
                       (["client", "token", "fly"], "no command 'client token fly'"), (["fly"], "keystead help"),
                       (["server", "status"], "no 'status'"), (["server", "--bird"], "keystead server: "),
                       (["audit", "show", "--bird"], "Try 'keystead audit --help'")):
        done = run(*args, check=False)
        assert done.returncode == EXIT["usage"] and part in done.stderr, (args, done.stderr)


def test_usage_errors(instance):
    for args, part in ((["key"], "Usage: keystead key"), (["key", "fly"], "no command 'key fly'"),
                       (["key", "create"], "expected: NAME"), (["key", "create", "a", "b"], "one argument too many"),
                       (["key", "create", "a", "--colour", "red"], "no option --colour"),
                       (["key", "create", "a", "--length"], "needs a value"),
                       (["key", "create", "a", "--length", "1", "--length", "2"], "stands twice"),
                       (["key", "create", "a", "--pre-active=yes"], "takes no value"),
                       (["key", "create", "a", "--json=yes"], "takes no value"),
                       (["key", "create", "-x"], "no option -x")):
        done = instance.run(*args, check=False)
        assert done.returncode == EXIT["usage"] and part in done.stderr, (args, done.stderr)
    assert instance.run("key", "show", "--", "--name-with-dashes", check=False).returncode == EXIT["not found"]


def test_output_that_cannot_be_written(instance):
    with open("/dev/full", "w") as full:
        done = subprocess.run([KEYSTEAD, "status", "--dir", str(instance.dir)], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 74 and "standard output" in done.stderr


def complete(*words):
    script = run("completion", "bash").stdout + """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _keystead; printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script, "keystead", *words], text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


def test_completion_in_bash(tmp_path):
    words = complete("keystead", "")
    assert {"key", "client", "status", "unseal", "completion", "ttlv", "init", "server", "audit"} <= set(words)
    assert complete("keystead", "key", "re") == ["register", "revoke", "recover"]
    assert complete("keystead", "client", "token", "") == ["create"]
    assert complete("keystead", "key", "revoke", "x", "--reason", "key") == ["key-compromise"]
    assert complete("keystead", "key", "create", "x", "--al") == ["--algorithm"]
    assert complete("keystead", "completion", "z") == ["zsh"]
    (tmp_path / "invoices.key").touch()
    assert complete("keystead", "key", "get", "--out", str(tmp_path / "inv")) == [str(tmp_path / "invoices.key")]
    assert complete("keystead", "key", "show", "--name") == []
    assert complete("keystead", "audit", "") == ["show", "verify"]
    assert complete("keystead", "audit", "show", "--f") == ["--follow", "--failed"]
    assert complete("keystead", "init", "x", "--pass") == ["--passphrase", "--passphrase-file"]
    assert {"exit-codes", "key", "ttlv"} <= set(complete("keystead", "help", ""))
    for command in commands() + [["init"], ["server"], ["audit", "verify"], ["ttlv"]]:
        assert "--help" in complete("keystead", *command, "--")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_in_other_shells(shell):
    script = run("completion", shell).stdout
    assert "key-compromise" in script and "enroll" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    fails_with = run("completion", "tcsh", check=False)
    assert fails_with.returncode == EXIT["usage"]


# The library as others see it

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    build = pathlib.Path(KEYSTEAD).parent
    if not (build / "build.ninja").exists():
        pytest.skip("%s is no build folder" % build)
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root], check=True,
                   capture_output=True)
    return root


def test_the_example_builds_from_what_is_installed(installed, instance, tmp_path):
    found = list(installed.rglob("libkeystead.pc"))
    assert len(found) == 1
    environment = {**os.environ, "PKG_CONFIG_PATH": str(found[0].parent), "PKG_CONFIG_SYSROOT_DIR": str(installed)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libkeystead"], env=environment, text=True,
                           capture_output=True, check=True).stdout.split()
    program = tmp_path / "example"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", SOURCE / "client" / "example.c", *flags,
                    "-o", program], check=True)
    library = next(installed.rglob("libkeystead.so.0")).parent
    if b"__asan_init" in next(library.glob("libkeystead.so.0")).read_bytes():
        pytest.skip("a library built with sanitizers is for programs that are too")
    done = subprocess.run([program, instance.dir / "client.conf"], text=True, capture_output=True,
                          env={**os.environ, "LD_LIBRARY_PATH": str(library)})
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["created", "encrypted", "decrypted", "destroyed"]


def test_the_library_shows_what_its_header_declares(installed):
    header = "".join(path.read_text() for path in installed.rglob("keystead/*.h"))
    declared = set(re.findall(r"\b(ks_\w+)\(", re.sub(r"/\*.*?\*/|typedef [^;]*;", "", header, flags=re.S)))
    library = next(installed.rglob("libkeystead.so.0"))
    listing = subprocess.run(["nm", "-D", "--defined-only", library], text=True, capture_output=True, check=True).stdout
    shown = {line.split()[-1].split("@")[0] for line in listing.splitlines()} - {"KEYSTEAD_0"}
    assert shown == declared


def test_the_header_is_good_for_cxx(installed, tmp_path):
    include = next(installed.rglob("keystead/client.h")).parent.parent
    source = tmp_path / "use.cc"
    source.write_text("#include <keystead/access.h>\n#include <keystead/operations.h>\nint main() { return ks_client_exit_status(0); }\n")
    subprocess.run(["c++", "-std=c++17", "-Wall", "-Wextra", "-fsyntax-only", "-I", include, source], check=True)
