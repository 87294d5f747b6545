"""What goes wrong at the first try: one line that says what, about which thing, and what to do."""

import os
import shutil
import subprocess

import pytest

from instance import KEYSTEAD, Instance, free_port, run


def refused(folder, status, *parts):
    """The server does not start, and its last line of reason says all of that."""
    done = run("server", "--dir", folder, check=False)
    assert done.returncode == status, done.stderr
    for part in parts:
        assert part in done.stderr.splitlines()[0], done.stderr
    assert not done.stderr.startswith("<")  # that is for the journal


def test_without_an_instance(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith("KEYSTEAD_")}
    env["HOME"] = str(tmp_path)
    for command in (["server"], ["audit", "show"]):
        done = run(*command, env=env, check=False)
        assert done.returncode == 64 and "KEYSTEAD_DIR" in done.stderr
    refused(tmp_path / "none", 3, "no such folder", "keystead init")
    done = run("status", "--dir", tmp_path / "none", check=False)
    assert done.returncode == 3 and "client.conf" in done.stderr and "--dir" in done.stderr


def test_no_server_there(fresh):
    done = fresh.run("status", check=False)
    assert done.returncode == 69
    assert "127.0.0.1:%d" % fresh.port in done.stderr and "does the server run" in done.stderr


def test_started_twice(fresh):
    fresh.start()
    refused(fresh.dir, 75, "127.0.0.1:%d" % fresh.port, "in use", "run already", "keystead.conf")
    text = (fresh.dir / "keystead.conf").read_text()
    (fresh.dir / "keystead.conf").write_text(text.replace(str(fresh.port), str(free_port())))
    refused(fresh.dir, 75, "store.db is in use", "stop that one first")


def test_a_folder_that_others_can_change(fresh):
    fresh.dir.chmod(0o770)
    refused(fresh.dir, 5, "can be changed by others (mode 0770)", "chmod 700 %s" % fresh.dir)
    fresh.dir.chmod(0o755)
    fresh.start()
    fresh.wait_for_log("warning: %s can be read by others" % fresh.dir)


@pytest.mark.parametrize("name", ["root.key", "server.key"])
def test_a_secret_that_others_can_read(fresh, name):
    (fresh.dir / name).chmod(0o644)
    refused(fresh.dir, 5 if name == "root.key" else 78, str(fresh.dir / name), "chmod 600")


def test_another_root_key(fresh, tmp_path):
    shutil.copy(Instance(tmp_path / "other").dir / "root.key", fresh.dir / "root.key")
    refused(fresh.dir, 76, "store.db does not open", "root key")


def test_a_missing_root_key_is_no_question_of_a_passphrase(fresh, tmp_path):
    (fresh.dir / "root.key").rename(fresh.dir / "aside")
    fresh.start()
    assert "sealed" in fresh.ready_line and "unseal" not in fresh.ready_line
    assert "root.key is missing; put it back" in fresh.log
    (tmp_path / "any").write_text("any")
    (tmp_path / "any").chmod(0o600)
    done = fresh.run("unseal", "--passphrase-file", tmp_path / "any", check=False)
    assert done.returncode == 1 and "put its root key file back" in done.stderr


def test_guessing_too_fast(tmp_path):
    for name in ("right", "wrong"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o600)
    sealed = Instance(tmp_path / "sealed", "--passphrase-file", tmp_path / "right")
    assert not (sealed.dir / "root.key").exists() and (sealed.dir / "root.params").exists()
    sealed.start()
    try:
        said = [sealed.run("unseal", "--passphrase-file", tmp_path / "wrong", check=False).stderr for _ in range(3)]
        assert "passphrase is wrong" in said[0]
        assert any("try again in a second" in line for line in said), said
    finally:
        sealed.stop()


def test_the_journal_is_told_how_urgent_a_line_is(fresh, tmp_path):
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        st = os.fstat(log.fileno())
        env = {**os.environ, "JOURNAL_STREAM": "%d:%d" % (st.st_dev, st.st_ino)}
        subprocess.run([KEYSTEAD, "server", "--dir", tmp_path / "none"], stderr=log, env=env, check=False)
    assert (tmp_path / "log").read_text().startswith("<3>keystead: error: ")


def test_tokens(fresh, tmp_path):
    fresh.start()
    server = ["--server", "127.0.0.1:%d" % fresh.port]
    token = fresh.run("client", "token", "create", "a").stdout.strip()
    run("client", "enroll", token, *server, "--out", tmp_path / "a")
    done = run("client", "enroll", token, *server, "--out", tmp_path / "b", check=False)
    assert done.returncode == 5 and len(done.stderr.splitlines()) == 1
    assert "used or expired" in done.stderr and "ask the administrator for another" in done.stderr
