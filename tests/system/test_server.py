"""The server's processes: start, stop, reload, what dies and what that does, sealed and unsealed."""

import os
import pathlib
import signal
import stat
import subprocess
import threading
import time

import pytest

import certificates
from instance import Instance, free_port, link_of, run, wait_until
from ttlv import (QUERY_OPERATIONS, Refused, ask, attribute, create_aes, enum, get, integer, octets, op, receive, request,
                  struct_, tag)


def create(sock, name=None):
    return ask(sock, create_aes(name)).find(tag.UNIQUE_IDENTIFIER).value


def slow_request():
    """Create Key Pair, RSA 3072: takes from a tenth of a second to a few."""
    common = struct_(
        0x42001F,  # Common Template-Attribute
        attribute("Cryptographic Algorithm", enum(tag.ATTRIBUTE_VALUE, 4)),
        attribute("Cryptographic Length", integer(tag.ATTRIBUTE_VALUE, 3072)))
    private = struct_(0x420065, attribute("Cryptographic Usage Mask", integer(tag.ATTRIBUTE_VALUE, 1)))
    public = struct_(0x42006E, attribute("Cryptographic Usage Mask", integer(tag.ATTRIBUTE_VALUE, 2)))
    return request(op.CREATE_KEY_PAIR, [common, private, public])


def is_alive(pid):
    try:
        state = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


# What init makes

def test_init_makes_a_private_folder(fresh):
    names = {path.name for path in fresh.dir.iterdir()}
    assert names == {"keystead.conf", "client.conf", "ca.pem", "server.pem", "server.key", "admin.pem", "admin.key",
                     "root.key", "store.db", "audit"}
    assert stat.S_IMODE(fresh.dir.stat().st_mode) == 0o700
    for name in ("server.key", "admin.key", "root.key", "store.db"):
        assert stat.S_IMODE((fresh.dir / name).stat().st_mode) == 0o600, name
    assert "keystead server --dir" in fresh.init.stdout
    assert not [path for path in fresh.dir.parent.iterdir() if ".tmp-" in path.name]


def test_init_refuses_what_exists(fresh):
    before = {path: path.stat().st_mtime_ns for path in fresh.dir.iterdir()}
    again = run("init", fresh.dir, "--kmip", "127.0.0.1:1", check=False)
    assert again.returncode == 4
    assert "exists already" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in fresh.dir.iterdir()}


@pytest.mark.parametrize("arguments", [
    ("--kmip", "nowhere"), ("--kmip", "127.0.0.1:99999"), ("--kmip", "localhost:5696"),
    ("--san", ""), ("--passphrase-file", "/nonexistent"), ("--nonsense",)])
def test_init_that_fails_leaves_nothing(tmp_path, arguments):
    done = run("init", tmp_path / "instance", *arguments, check=False)
    if arguments == ("--san", ""):
        assert done.returncode == 0  # an empty name is no name
        return
    assert done.returncode not in (0, -6, -11)
    assert done.stderr.count("\n") in (1, 2)  # what is wrong, and perhaps where help is
    assert list(tmp_path.iterdir()) == []


def test_names_in_the_certificate(tmp_path):
    made = Instance(tmp_path / "instance", "--san", "kms.example.org", "--san", "192.0.2.77")
    dns, addresses = certificates.names(made.dir / "server.pem")
    assert {"kms.example.org", "localhost"} <= set(dns)
    assert {"192.0.2.77", "127.0.0.1", "::1"} <= set(addresses)
    assert certificates.usages(made.dir / "server.pem") == {"serverAuth", "clientAuth"}


def test_a_mistake_in_the_configuration_is_named(fresh):
    conf = fresh.dir / "keystead.conf"
    conf.write_text("server {\n  lisen = {\"127.0.0.1:1\"}\n}\n")
    fresh.start(wait=False)
    assert fresh.wait() == 78
    assert "keystead.conf, line 2" in fresh.log and "known here: listen" in fresh.log


# Life

def test_ready_and_stop(fresh):
    fresh.start()
    assert "ready" in fresh.ready_line and str(fresh.port) in fresh.ready_line
    with fresh.connect() as sock:
        assert ask(sock, QUERY_OPERATIONS).find(tag.OPERATION) is not None
    fresh.signal(signal.SIGINT)
    assert fresh.wait() == 0


def test_the_address_in_use_is_an_error(fresh, instance):
    fresh.configure("server", listen="127.0.0.1:1")  # the key is written below, as a list
    conf = fresh.dir / "keystead.conf"
    conf.write_text(conf.read_text().replace('listen = "127.0.0.1:1"', 'listen = {"127.0.0.1:%d"}' % instance.port))
    fresh.start(wait=False)
    assert fresh.wait() not in (0, -11)
    assert "cannot listen on 127.0.0.1:%d" % instance.port in fresh.log


def test_sandbox(instance):
    vault, workers = instance.roles()
    assert vault is not None and len(workers) == os.cpu_count()
    users = instance.children()
    for pid in [instance.process.pid, vault, *workers]:
        status = dict(line.split(":", 1) for line in
                      pathlib.Path("/proc/%d/status" % pid).read_text().splitlines() if ":" in line)
        assert status["Seccomp"].strip() == ("2" if pid != instance.process.pid else "0")
        assert status["NoNewPrivs"].strip() == "1"
        limits = pathlib.Path("/proc/%d/limits" % pid).read_text()
        assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")] == ["0"]
    for pid in workers:
        files = {*filter(None, map(link_of, pathlib.Path("/proc/%d/fd" % pid).iterdir()))}
        assert not [name for name in files if name.startswith("/") and not name.startswith("/dev/")], files
        if os.geteuid() == 0:
            assert users[pid] == "nobody"
            assert os.listdir("/proc/%d/root" % pid) == []


def test_network_processes_do_not_have_the_standard_input(fresh, tmp_path):
    (tmp_path / "input").write_text("perhaps a passphrase\n")
    with open(tmp_path / "input") as given:
        fresh.start(stdin=given)
    for pid in fresh.roles()[1]:
        assert os.readlink("/proc/%d/fd/0" % pid) == "/dev/null"


def test_sigterm_finishes_what_is_in_flight(fresh):
    fresh.start()
    with fresh.connect(timeout=60) as sock:
        ask(sock, QUERY_OPERATIONS)
        sock.sendall(slow_request())
        time.sleep(0.05)
        fresh.signal(signal.SIGTERM)
        answer = receive(sock)
        assert answer.find(tag.RESULT_STATUS).value == 0
        uids = [item.value for item in answer.find_all(tag.UNIQUE_IDENTIFIER)]
        assert sock.recv(1) == b""
    assert fresh.wait() == 0
    fresh.start()
    with fresh.connect() as sock:
        for uid in uids:
            assert ask(sock, get(uid)).find(tag.UNIQUE_IDENTIFIER).value == uid


def test_answers_keep_their_order_behind_a_slow_request(instance):
    with instance.connect(timeout=60) as sock:
        sock.sendall(slow_request() + QUERY_OPERATIONS + create_aes())
        assert receive(sock).find(tag.OPERATION).value == op.CREATE_KEY_PAIR
        assert receive(sock).find(tag.OPERATION).value == op.QUERY
        assert receive(sock).find(tag.OPERATION).value == op.CREATE


def test_a_slow_request_holds_up_nobody_else(instance):
    done = []
    with instance.connect(timeout=60) as slow, instance.connect() as other:
        ask(other, QUERY_OPERATIONS)
        slow.sendall(slow_request() * 3)
        thread = threading.Thread(target=lambda: done.extend(receive(slow) for _ in range(3)))
        thread.start()
        before = 0
        while thread.is_alive() and not done:
            ask(other, QUERY_OPERATIONS)
            before += 1
        thread.join()
        assert len(done) == 3
        assert before >= 1


# Reload

def test_sighup_takes_a_new_certificate(fresh, tmp_path):
    fresh.start()
    old = fresh.connect()
    ask(old, QUERY_OPERATIONS)
    first = old.getpeercert(binary_form=True)
    authority = certificates.Authority("Other CA")
    authority.issue("new server", fresh.dir / "server.pem", fresh.dir / "server.key", server=True)
    authority.write(tmp_path / "other-ca.pem")
    fresh.signal(signal.SIGHUP)
    fresh.wait_for_log("reloaded:")
    ask(old, QUERY_OPERATIONS)  # the old connection is still served
    with fresh.connect(fresh.context(ca=tmp_path / "other-ca.pem")) as sock:
        assert sock.getpeercert(binary_form=True) != first
        ask(sock, QUERY_OPERATIONS)
    assert old.recv(1) == b""  # and closed once it is idle
    old.close()


@pytest.mark.parametrize("damage", ["key", "certificate", "configuration"])
def test_sighup_with_something_wrong_changes_nothing(fresh, damage):
    fresh.start()
    if damage == "key":
        certificates.Authority("Other CA").issue("x", fresh.dir / "unused.pem", fresh.dir / "server.key", server=True)
    elif damage == "certificate":
        (fresh.dir / "server.pem").write_text("no certificate\n")
    else:
        (fresh.dir / "keystead.conf").write_text("nonsense {\n")
    _, before = fresh.roles()
    fresh.signal(signal.SIGHUP)
    fresh.wait_for_log("stays in force")
    with fresh.connect() as sock:
        ask(sock, QUERY_OPERATIONS)
    assert set(before) <= set(fresh.roles()[1])


def test_sighup_takes_a_new_address(fresh):
    fresh.start()
    port, old = free_port(), fresh.port
    conf = fresh.dir / "keystead.conf"
    conf.write_text(conf.read_text().replace("127.0.0.1:%d" % old, "127.0.0.1:%d" % port))
    fresh.signal(signal.SIGHUP)
    fresh.wait_for_log("reloaded:")
    fresh.port = port
    with fresh.connect() as sock:
        ask(sock, QUERY_OPERATIONS)


# What dies

def test_a_killed_worker_is_replaced(fresh):
    fresh.start()
    vault, workers = fresh.roles()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(fresh.roles()[1]) == len(workers) and pid not in fresh.roles()[1], "no new worker")
        with fresh.connect() as sock:
            ask(sock, QUERY_OPERATIONS)
    assert fresh.roles()[0] == vault
    assert "ended by signal 9; it is started again" in fresh.log


def test_without_the_vault_nothing_runs(fresh):
    fresh.start()
    vault, workers = fresh.roles()
    os.kill(vault, signal.SIGKILL)
    assert fresh.wait() not in (0, None)
    assert "the vault ended by signal 9" in fresh.log
    wait_until(lambda: not any(map(is_alive, workers)), "workers outlive the vault")


def test_without_the_supervisor_nothing_runs(fresh):
    fresh.start()
    children = list(fresh.children())
    assert len(children) >= 2
    os.kill(fresh.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, children)), "children outlive the supervisor")
    fresh.start()  # and nothing of theirs is in the way


def test_only_one_server_at_a_time(instance):
    second = subprocess.run([*instance.process.args[:2], "--dir", str(instance.dir)], text=True, capture_output=True,
                            timeout=60)
    assert second.returncode != 0
    assert second.stderr != ""


# Sealed

@pytest.fixture
def sealed(tmp_path):
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o600)
    made = Instance(tmp_path / "instance", "--passphrase-file", secret)
    made.secret = secret
    yield made
    made.stop()


def test_sealed_until_the_passphrase_is_given(sealed):
    assert not (sealed.dir / "root.key").exists()
    sealed.start()
    assert "sealed" in sealed.ready_line
    with sealed.connect(timeout=60) as sock:
        status = ask(sock, request(op.SERVER_STATUS))
        assert any(item.value is True for item in status.find(tag.RESPONSE_PAYLOAD).value if item.type == 6)
        for message in (create_aes(), QUERY_OPERATIONS):
            with pytest.raises(Refused):
                ask(sock, message)
    wrong = sealed.secret.parent / "wrong"
    wrong.write_text("incorrect\n")
    wrong.chmod(0o600)
    refused = sealed.run("unseal", "--passphrase-file", wrong, check=False)
    assert refused.returncode not in (0, -11), refused.stdout
    assert sealed.run("status", check=False).returncode == 6
    time.sleep(1.1)  # one attempt a second
    sealed.run("unseal", "--passphrase-file", sealed.secret)
    assert sealed.run("status", "--json").stdout.startswith("{")
    with sealed.connect() as sock:
        uid = create(sock)
    sealed.stop()
    sealed.start("--passphrase-file", sealed.secret)
    assert "sealed" not in sealed.ready_line
    with sealed.connect() as sock:
        assert ask(sock, get(uid)).find(tag.UNIQUE_IDENTIFIER).value == uid


def test_a_wrong_passphrase_at_the_start_is_an_error(sealed):
    sealed.secret.write_text("wrong\n")
    sealed.start("--passphrase-file", sealed.secret, wait=False)
    assert sealed.wait() == 76
    assert "Traceback" not in sealed.log


def test_a_missing_root_key_leaves_it_sealed(fresh):
    (fresh.dir / "root.key").rename(fresh.dir / "elsewhere")
    fresh.start()
    assert "sealed" in fresh.ready_line and "root.key is missing" in fresh.log
    with fresh.connect() as sock:
        with pytest.raises(Refused):
            ask(sock, create_aes())


def test_a_root_key_that_others_can_read_is_refused(fresh):
    (fresh.dir / "root.key").chmod(0o644)
    fresh.start(wait=False)
    assert fresh.wait() == 5
    assert "root.key" in fresh.log and "chmod 600" in fresh.log


# Storage that fails

@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_fails_closed_and_recovers(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs", str(disk)], capture_output=True,
                             text=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here: " + mounted.stderr.strip())
    made = None
    try:
        made = Instance(disk / "instance").start()
        with made.connect(timeout=60) as sock:
            kept = [create(sock, "before-%d" % i) for i in range(20)]
            with open(disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
                while True:
                    ballast.write(b"x" * 4096)
            failed = 0
            for i in range(2000):
                try:
                    kept.append(create(sock, "during-%d" % i))
                except Refused as refusal:
                    assert refusal.reason == 0x100, refusal  # General Failure
                    failed += 1
                    if failed == 3:
                        break
            assert failed == 3, "a full disk did not stop anything"
            with pytest.raises(Refused):
                ask(sock, get(kept[0]))  # nothing is served without its record
            os.unlink(disk / "ballast")
            made.wait_for_log("storage takes writes again: serving")
            for uid in kept:
                ask(sock, get(uid))
            create(sock, "after")
        made.stop()
        made.run("audit", "verify")
        made.start()
        with made.connect() as sock:
            for uid in kept:
                ask(sock, get(uid))
    finally:
        if made is not None:
            made.stop()
        subprocess.run(["umount", str(disk)], check=True)


def test_old_algorithms_are_a_matter_of_the_policy_profile(fresh):
    make = ("key", "create", "old", "--algorithm", "chacha20", "--length", "256")
    fresh.configure("policy", profile="compat")
    fresh.start()
    assert fresh.run(*make).returncode == 0
    fresh.stop()
    fresh.configure("policy", profile="fips")
    fresh.start()
    assert fresh.run("key", "get", "old").returncode == 0  # what there is stays
    done = fresh.run(*make[:2], "older", *make[3:], check=False)
    assert done.returncode != 0 and '"fips" does not allow algorithm ChaCha20' in done.stderr
