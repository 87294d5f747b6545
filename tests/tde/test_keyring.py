"""Encrypted clusters' keys: keystead pg, with a real Keystead server as the KMS.

Run as root (then PostgreSQL's user is postgres) or as a user; everything is in a temporary folder. Most tests need no
server of PostgreSQL's: one cluster is made by initdb, and each works on a keyring of its own.
"""

import json
import os
import pathlib
import pty
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from instance import KEYSTEAD, SOURCE, free_port  # noqa: E402

LAYER = pathlib.Path(KEYSTEAD).parent / "tde" / "libkeystead_tde.so"
BIN = pathlib.Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
USER = "postgres" if os.geteuid() == 0 else None
EXIT = {"usage": 64, "invalid": 64, "refused": 1, "not found": 3, "exists": 4, "denied": 5, "malformed": 65,
        "connect": 69, "io": 74, "integrity": 76, "config": 78}

pytestmark = [
    pytest.mark.skipif(not LAYER.exists(), reason="the encryption layer is not built"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL's programs are not in %s" % BIN),
]


def as_user(command, **kwargs):
    """Runs a command as PostgreSQL's user."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "KEYSTEAD_"))}
    env.update(kwargs.pop("env", {}))
    if USER:
        command = ["runuser", "-u", USER, "--", *command]
    return subprocess.run([str(c) for c in command], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=120, env=env, cwd="/tmp", start_new_session=True, **kwargs)


def pg(*args, check=True, **kwargs):
    done = as_user([KEYSTEAD, "pg", *args], **kwargs)
    if check:
        assert done.returncode == 0, "keystead pg %s: %d\n%s%s" % (args, done.returncode, done.stdout, done.stderr)
    return done


def refused(kind, *args, lines=1, **kwargs):
    """A command that must fail in that way; returns what it said."""
    done = pg(*args, check=False, **kwargs)
    assert done.returncode == EXIT[kind], (done.returncode, done.stdout, done.stderr)
    if lines:
        assert len(done.stderr.splitlines()) == lines, done.stderr
    return done.stderr


def own(path, mode=0o600):
    if USER:
        user = pwd.getpwnam(USER)
        os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, mode)
    return path


@pytest.fixture(scope="module")
def work():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ks-tde-", dir="/tmp"))
    own(folder, 0o700)
    yield folder
    shutil.rmtree(folder)


counter = iter(range(1000))


def secret(work, text):
    path = work / ("secret-%d" % next(counter))
    path.write_text(text)
    return own(path)


@pytest.fixture(scope="module")
def client(instance, work):
    """The instance's client configuration, where PostgreSQL's user can read it."""
    for name in ("ca.pem", "admin.pem", "admin.key"):
        shutil.copy(instance.dir / name, work / name)
        own(work / name)
    conf = work / "client.conf"
    conf.write_text("server = 127.0.0.1:%d\nca = ca.pem\ncertificate = admin.pem\nkey = admin.key\n" % instance.port)
    return own(conf)


@pytest.fixture(scope="module")
def made(work):
    """A cluster, whose key encryption key is in a file that was made with it."""
    data = work / "made"
    said = json.loads(pg("init", "--data", data, "--key-file", work / "made.key", "--create-key", "--wait", "1s", "--json",
                         "--", "-A", "trust", "--no-sync", "--locale=C").stdout)
    assert said["data"] == str(data) and said["provider"] == "key-file"
    return data


@pytest.fixture
def data(made, work):
    """A keyring of one's own, and what belongs to a data directory beside it."""
    path = work / ("data-%d" % next(counter))
    (path / "keystead").mkdir(parents=True)
    for name in ("PG_VERSION", "postgresql.conf", "keystead/keyring", "keystead/check"):
        shutil.copy(made / name, path / name)
        own(path / name)
    own(path / "keystead", 0o700)
    return own(path, 0o700)


def status(data, *args):
    return json.loads(pg("status", "--data", data, "--json", *args).stdout)


def slots(data):
    return [(slot["slot"], slot["provider"], slot["primary"]) for slot in status(data, "--offline")["slots"]]


def keyring(data):
    return (data / "keystead" / "keyring").read_bytes()


def opens(data):
    """Whether the keys can be had: a program of PostgreSQL's is run with them."""
    done = pg("exec", "--data", data, "--", "/usr/bin/env", check=False)
    if done.returncode == 0:
        assert "KEYSTEAD_TDE_FD=" in done.stdout
    return done


def key_ids(data):
    return [key["identifier"] for key in status(data, "--offline")["keys"]]


# Making one

def test_init(made):
    for name, mode in (("keystead", 0o700), ("keystead/keyring", 0o600)):
        assert stat.S_IMODE((made / name).stat().st_mode) == mode
    shown = status(made, "--offline")
    assert [(key["purpose"], key["generation"], key["state"]) for key in shown["keys"]] == [
        ("relations", 1, "active"), ("WAL", 1, "active"), ("other files", 1, "active")]
    assert slots(made) == [(1, "key-file", True)]
    assert "keystead_guard" in (made / "postgresql.conf").read_text().splitlines()[-1]
    assert "is an encrypted cluster already" in refused(
        "exists", "init", "--data", made, "--key-file", made.parent / "made.key")


def test_nothing_is_in_the_clear(made):
    """What initdb wrote: no page of a relation begins with a page's header, none of its texts is found."""
    pages = 0
    for path in (made / "base").glob("*/[0-9]*"):
        page = path.read_bytes()[:8192]
        assert b"pg_catalog" not in path.read_bytes()
        if page.strip(b"\0"):
            pages += 1
            assert page[18:20] != b"\x04\x20", path
    assert pages > 100


def test_init_refuses(work):
    data = work / "never"
    assert "where is the key encryption key" in refused("invalid", "init", "--data", data)
    assert "several places" in refused("invalid", "init", "--data", data, "--key-file", "/a", "--passphrase-file", "/b")
    assert "which key" in refused("invalid", "init", "--data", data, "--kmip", "127.0.0.1:1")
    assert "--data" in refused("invalid", "init", "--data", data, "--key-command", "printf %064d 1", "--", "-D", "/x")
    assert "VERSION/NAME" in refused("invalid", "init", "--cluster", "main", "--key-file", "/a")
    assert "no such" in refused("not found", "init", "--data", data, "--key-file", work / "no").lower()
    assert not (data / "keystead").exists()
    assert "is not an encrypted data directory" in refused("not found", "status", "--data", data)


def test_another_users_cluster_is_left_alone(made):
    if USER is None:
        pytest.skip("needs root")
    done = subprocess.run([KEYSTEAD, "pg", "check", "--data", made], text=True, capture_output=True)
    assert done.returncode == EXIT["denied"] and "runuser" in done.stderr


# Keys at hand

@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:100], lambda b: b"", lambda b: b + b"\0",
                                    lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:],
                                    lambda b: b[:-40] + bytes([b[-40] ^ 1]) + b[-39:]])
def test_a_keyring_that_was_changed(data, change):
    path = data / "keystead" / "keyring"
    path.write_bytes(change(keyring(data)))
    done = opens(data)
    assert done.returncode in (EXIT["malformed"], EXIT["integrity"], EXIT["denied"]) and len(done.stderr.splitlines()) == 1
    assert "KEYSTEAD_TDE_FD" not in done.stdout


def test_a_passphrase(data, work):
    old = secret(work, "old passphrase\n")
    pg("rotate", "--kek", "--data", data, "--passphrase-file", old)
    assert slots(data) == [(1, "passphrase", True)] and opens(data).returncode == 0
    old.write_text("wrong passphrase\n")
    said = opens(data)
    assert said.returncode == EXIT["denied"]
    assert "wrong passphrase for slot 1 (from %s)" % old in said.stderr
    before = keyring(data)
    refused("denied", "rotate", "--kek", "--data", data, "--passphrase-command", "echo new")
    assert keyring(data) == before
    old.write_text("old passphrase\n")
    said = pg("rotate", "--kek", "--data", data, "--passphrase-command", "echo new").stdout
    assert "passphrase by command: echo new" in said
    old.unlink()
    assert opens(data).returncode == 0


def typed(answers, *args):
    """Runs a command at a terminal, and types an answer at each prompt; its status, and what it said."""
    pid, terminal = pty.fork()
    if pid == 0:
        user = ["runuser", "-u", USER, "--"] if USER else []
        os.execvp((user or [KEYSTEAD])[0], [*user, *map(str, [KEYSTEAD, "pg", *args])])
    said, left = "", list(answers)
    while True:
        try:
            got = os.read(terminal, 4096).decode()
        except OSError:  # its end, on Linux
            break
        if not got:
            break
        said += got
        if left and re.search(r"(keyring|again): $", said):
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    assert not left, said
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_a_passphrase_that_is_typed(data):
    rotate = ("rotate", "--kek", "--data", data, "--passphrase")
    before = keyring(data)
    status_, said = typed(["one", "another"], *rotate)
    assert status_ == EXIT["invalid"] and "the two passphrases differ" in said and keyring(data) == before
    status_, said = typed(["one of mine", "one of mine"], *rotate)
    assert status_ == 0 and "slot 1 (passphrase)" in said and "one of mine" not in said
    start = ("exec", "--data", data, "--", "/usr/bin/env")
    status_, said = typed(["one of mine"], *start)
    assert status_ == 0 and "KEYSTEAD_TDE_FD=" in said and "one of mine" not in said
    status_, said = typed(["wrong"], *start)
    assert status_ == EXIT["denied"] and "wrong passphrase for slot 1" in said
    assert "there is no terminal to ask at: use `keystead pg exec`" in refused("denied", *start)  # as a service's start


def test_a_rotation_derives_each_passphrase_once(data, work):
    """What the second run of scrypt gave is what the new wrap is verified with; but what a command prints is read twice."""
    count = own(pathlib.Path(tempfile.mkdtemp(dir=work)), 0o700) / "count"
    pg("rotate", "--kek", "--data", data, "--passphrase-command", "echo x >> %s; echo two" % count)
    assert count.read_text() == "x\nx\n"
    before = keyring(data)
    said = pg("rotate", "--kek", "--data", data, "--passphrase-command", "date +%N", check=False)
    assert said.returncode != 0 and "the keyring is as it was: wrong passphrase" in said.stderr and keyring(data) == before


def test_a_key_command(data, work):
    """As cluster_key_command's are: 64 hexadecimal digits."""
    key = secret(work, "%064x\n" % 0x1234567890)
    ids = key_ids(data)
    pg("rotate", "--kek", "--data", data, "--key-command", "cat %s" % key)
    assert slots(data) == [(1, "key-command", True)] and opens(data).returncode == 0
    assert key_ids(data) == ids
    key.write_text("%064x\n" % 0x1234567891)
    assert "wrong key for slot 1" in opens(data).stderr
    key.write_text("12")
    assert "64 hexadecimal digits" in opens(data).stderr


def test_what_a_program_is_given(data):
    """No key in its environment, and the descriptor of a sealed file."""
    said = opens(data).stdout
    assert "LD_PRELOAD=%s" % LAYER in said
    names = set(re.findall(r"^(\w+)=", said, re.M))
    assert {n for n in names if "KEYSTEAD" in n} == {"KEYSTEAD_TDE_FD"}
    done = pg("exec", "--data", data, "--", "no-such-program", check=False)
    assert done.returncode == EXIT["not found"] and "no-such-program" in done.stderr
    done = pg("unwrap", "--data", data, check=False)
    assert done.returncode == EXIT["invalid"] and "keystead pg exec" in done.stderr


def test_check(data):
    done = json.loads(pg("check", "--data", data, "--json").stdout)
    assert done["good"] and len(done["checks"]) >= 6
    conf = data / "postgresql.conf"
    conf.write_text("\n".join("#" + line for line in conf.read_text().splitlines()))
    done = pg("check", "--data", data, check=False)
    assert done.returncode == EXIT["config"] and "FAIL  the guard" in done.stdout
    (data / "keystead" / "keyring.tmp").write_text("")
    assert "cut off by a crash" in pg("check", "--data", data, check=False).stdout


def test_one_change_at_a_time(data):
    import fcntl
    fd = os.open(data / "keystead", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    said = pg("rotate", "--kek", "--data", data, "--passphrase-command", "echo new", check=False)
    os.close(fd)
    assert said.returncode == 75 and "another command" in said.stderr


# A KMS

@pytest.fixture
def external(data, client):
    """Migrated to the KMS, with a key that was made for it."""
    pg("migrate", "--data", data, "--config", client, "--create-key", "--yes")
    return data


def kek(instance, data):
    uid = status(data, "--offline")["slots"][0]["key_identifier"]
    shown = json.loads(instance.run("key", "show", uid, "--json").stdout)
    return uid, {entry["attribute"]: entry["value"] for entry in shown["attributes"]}


def audited(instance, uid):
    said = instance.run("audit", "show", "--last", "0", "--object", uid).stdout
    return {op for op in ("Create", "Activate", "Encrypt", "Decrypt", "Get Attributes", "Get") if op in said}


def test_migration_to_the_kms(instance, data, client, work):
    ids, before = key_ids(data), keyring(data)
    said = pg("migrate", "--data", data, "--config", client, "--create-key", "--yes").stdout
    assert re.findall(r"^(Added|Opens|Primary|Dropped)", said, re.M) == ["Added", "Opens", "Primary", "Dropped"]
    assert slots(data) == [(2, "kmip", True)]
    uid, attributes = kek(instance, data)
    assert attributes["State"] == "Active" and attributes["Cryptographic Length"] == 256
    assert {"Encrypt", "Decrypt"} <= audited(instance, uid)
    assert attributes["Extractable"] is False
    assert instance.run("key", "get", uid, check=False).returncode != 0  # it never leaves
    assert opens(data).returncode == 0 and key_ids(data) == ids
    assert str(work / "made.key").encode() in before and str(work / "made.key").encode() not in keyring(data)
    assert status(data)["slots"][0]["key_state"] == "Active"
    assert status(data)["last_contact"].endswith("slot 2")


def test_migration_step_by_step(instance, data, client):
    pg("migrate", "add-wrap", "--data", data, "--config", client, "--create-key", "--key", "step-by-step")
    assert slots(data) == [(1, "key-file", True), (2, "kmip", False)]
    assert "Opens the keyring: slot 2 (kmip: key step-by-step" in pg("migrate", "verify", "2", "--data", data).stdout
    assert "is the primary one" in refused("denied", "migrate", "drop-wrap", "1", "--data", data)
    pg("migrate", "make-primary", "2", "--data", data)
    pg("migrate", "make-primary", "1", "--data", data)  # and back
    assert slots(data) == [(1, "key-file", True), (2, "kmip", False)]
    pg("migrate", "make-primary", "2", "--data", data)
    pg("migrate", "drop-wrap", "1", "--data", data)
    assert slots(data) == [(2, "kmip", True)] and opens(data).returncode == 0
    assert "no slot 1" in refused("not found", "migrate", "verify", "1", "--data", data)


def test_migration_back(external, work):
    pg("migrate", "--data", external, "--key-file", work / "made.key", "--yes")
    assert slots(external) == [(3, "key-file", True)] and opens(external).returncode == 0


def test_a_migration_that_fails_changes_nothing(data, client, work):
    before = keyring(data)
    refused("not found", "migrate", "--data", data, "--config", client, "--key", "there-is-none", "--yes")
    refused("connect", "migrate", "--data", data, "--config", client, "--kmip", "127.0.0.1:%d" % free_port(), "--key", "x")
    assert keyring(data) == before and sorted(os.listdir(data / "keystead")) == ["check", "keyring"]


def test_rotation_at_the_kms(instance, external):
    old, _ = kek(instance, external)
    epoch, backup = status(external, "--offline")["epoch"], keyring(external)
    pg("rotate", "--kek", "--data", external)
    new, attributes = kek(instance, external)
    assert new != old and attributes["State"] == "Active"
    assert status(external, "--offline")["epoch"] == epoch + 1 and opens(external).returncode == 0
    # A base backup that has the keyring of before is opened by the key of before, which nobody touched.
    now = keyring(external)
    (external / "keystead" / "keyring").write_bytes(backup)
    assert opens(external).returncode == 0
    # And the old one is of no use for the new keyring.
    (external / "keystead" / "keyring").write_bytes(now)
    instance.run("key", "revoke", old, "--yes")
    assert opens(external).returncode == 0


def test_a_key_that_was_revoked(instance, external):
    uid, attributes = kek(instance, external)
    instance.run("key", "revoke", uid, "--yes")
    said = opens(external)
    assert said.returncode == EXIT["denied"] and len(said.stderr.splitlines()) == 1
    assert "is Deactivated at the KMS" in said.stderr and uid in said.stderr
    assert status(external)["slots"][0]["key_state"] == "Deactivated"
    assert "FAIL  the primary slot" in pg("check", "--data", external, check=False).stdout
    instance.run("key", "destroy", uid, "--yes")
    assert "Destroyed" in opens(external).stderr


def test_a_refusal_is_obeyed_although_another_slot_is_there(instance, data, client):
    pg("migrate", "--data", data, "--config", client, "--create-key", "--keep")
    assert slots(data) == [(1, "key-file", False), (2, "kmip", True)]
    uid = status(data, "--offline")["slots"][1]["key_identifier"]
    instance.run("key", "revoke", uid, "--yes")
    assert opens(data).returncode == EXIT["denied"]
    # A person who has the other key can say so.
    pg("migrate", "make-primary", "1", "--data", data)
    assert opens(data).returncode == 0


def test_no_kms_answers(instance, data, client):
    """A list of servers, each tried; a bounded wait; a line that says all of it. And then one of them is there."""
    dead = "127.0.0.1:%d" % free_port()
    pg("migrate", "--data", data, "--config", client, "--create-key", "--keep")
    both = "%s,127.0.0.1:%d" % (dead, instance.port)
    pg("rotate", "--kek", "--data", data, "--config", client, "--kmip", both, "--create-key")
    assert opens(data).returncode == 0  # the second of the two
    instance.stop()
    try:
        started = time.monotonic()
        said = opens(data)
        assert said.returncode == EXIT["connect"] and time.monotonic() - started < 60
        assert "waiting for the KMS" in said.stderr.splitlines()[0]
        assert "no KMS answered for %s within 1 s" % both in said.stderr.splitlines()[-1]
        assert len(said.stderr.splitlines()) == 2
        state = [slot["key_state"] for slot in status(data)["slots"]]
        assert state[0] is None and "connect" in state[1]
        pg("migrate", "make-primary", "1", "--data", data)
        assert opens(data).returncode == 0
    finally:
        instance.start()


def test_a_kms_that_cannot_encrypt(instance, data, client, work):
    """Plain Get, and Get under a transport key that both have."""
    pg("migrate", "--data", data, "--config", client, "--create-key", "--kmip-mode", "get", "--key", "plain-get", "--yes")
    assert opens(data).returncode == 0 and status(data)["slots"][0]["mode"] == "get"
    assert "Get" in audited(instance, status(data)["slots"][0]["key_identifier"])
    transport = secret(work, "00112233445566778899aabbccddeeff" * 2)
    material = work / "transport.raw"
    material.write_bytes(bytes.fromhex("00112233445566778899aabbccddeeff" * 2))
    uid = json.loads(instance.run("key", "register", "transport", "--file", material, "--json").stdout)["identifier"]
    pg("migrate", "--data", data, "--config", client, "--create-key", "--kmip-mode", "wrapped-get", "--key", "wrapped-get",
       "--transport-key", uid, "--transport-key-file", transport, "--yes")
    assert opens(data).returncode == 0 and status(data)["slots"][0]["mode"] == "wrapped-get"
    transport.write_text("ff" * 32)
    assert "is not the transport key" in opens(data).stderr


def test_another_servers_certificate(external):
    """A KMS that is not the one of the CA is none."""
    wrong = external / "ca.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    external / "ca.key", "-out", wrong, "-subj", "/CN=other"], check=True, capture_output=True)
    own(wrong, 0o644)
    before = keyring(external)
    done = pg("migrate", "--data", external, "--config", external.parent / "client.conf", "--ca", wrong, "--key",
              "whatever", check=False)
    assert done.returncode == EXIT["integrity"] and keyring(external) == before


# Base backups in the clear

def test_permit(instance, external):
    path = external / "keystead" / "permit"
    assert "what is to be permitted" in refused("invalid", "permit", "--data", external)
    assert "30 days" in refused("invalid", "permit", "--clear-backup", "--for", "31d", "--data", external)
    assert not path.exists()
    before = time.time()
    said = json.loads(pg("permit", "--clear-backup", "--for", "2h", "--data", external, "--json").stdout)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = path.read_bytes()
    cluster = bytes.fromhex(status(external, "--offline")["cluster"].replace("-", ""))
    assert len(file) == 64 and file.startswith(b"KSTDEPM1" + cluster)
    assert 7190 < int.from_bytes(file[24:32], "big") - before < 7210
    trail = instance.run("audit", "show", "--last", "20").stdout
    assert "base backups in the clear are permitted until %s" % said["until"] in trail
    assert "not permitted any more" in pg("permit", "--end", "--data", external).stdout
    assert not path.exists()
    assert "are not permitted any more" in instance.run("audit", "show", "--last", "5").stdout
    assert "There was no permit" in pg("permit", "--end", "--data", external).stdout


def test_no_permit_that_is_not_on_record(instance, external):
    instance.stop()
    try:
        for args in (["--clear-backup"], ["--end"]):
            assert pg("permit", *args, "--data", external, check=False).returncode != 0
        assert not (external / "keystead" / "permit").exists()
    finally:
        instance.start()
