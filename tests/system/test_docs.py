"""README.md and docs/server.md, as a newcomer reads them: what they say to type works, what they list is there."""

import os
import re
import subprocess

import pytest

from instance import KEYSTEAD, SOURCE, Instance, free_port, run

README = (SOURCE / "README.md").read_text()
SERVER = (SOURCE / "docs" / "server.md").read_text()


def block(page, start):
    """The indented lines from the one that begins so, to the first that is not indented."""
    lines = page[page.index("    " + start):].splitlines()
    ends = [i for i, line in enumerate(lines) if line and not line.startswith("    ")]
    return "\n".join(line.strip() for line in lines[:ends[0]] if line)


def test_a_first_look(tmp_path):
    """As it stands, with another folder and port."""
    make = block(README, "script/build").splitlines()
    use = block(README, "export KEYSTEAD_DIR")
    assert make[0] == "script/build" and make[1].startswith("build/keystead init") and make[2:] == [
        "build/keystead server --dir /tmp/kms"]
    port = free_port()

    def here(text):
        return text.replace("build/keystead", KEYSTEAD).replace("/tmp/kms", str(tmp_path / "kms")).replace(
            ":5696", ":%d" % port)

    subprocess.run(["sh", "-euc", here(make[1])], check=True, capture_output=True)
    server = subprocess.Popen(here(make[2]).split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert "ready" in server.stdout.readline()
        done = subprocess.run(["sh", "-euc", here(use)], cwd=tmp_path, text=True, capture_output=True, timeout=60,
                              check=False)
        assert done.returncode == 0, done.stderr
        assert "\nsecret\n" in done.stdout and "Encrypt" in done.stdout
    finally:
        server.terminate()
        assert server.wait(60) == 0


def test_the_documents_that_are_named_exist():
    for page in (README, SERVER):
        for name in re.findall(r"`((?:docs/)?\w+\.md|tests/[\w/]+\.py|script/\w+)`", page):
            assert (SOURCE / name).exists(), name


def test_the_files_of_an_instance(tmp_path):
    rows = re.findall(r"^\| (`.*?) \|", SERVER[:SERVER.index("## Root key")], re.M)
    listed = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    (tmp_path / "passphrase").write_text("p")
    (tmp_path / "passphrase").chmod(0o600)
    file = Instance(tmp_path / "file").dir
    passphrase = Instance(tmp_path / "passphrase-", "--passphrase-file", tmp_path / "passphrase").dir
    assert listed == {path.name for folder in (file, passphrase) for path in folder.iterdir()}


def test_the_audit_commands(fresh):
    fresh.start()
    fresh.run("key", "create", "invoices")
    commands = [line.split()[1:] for line in block(SERVER, "keystead audit show").splitlines()]
    assert len(commands) >= 5
    for command in commands:
        if "--follow" in command:
            with pytest.raises(subprocess.TimeoutExpired):  # it goes on
                run(*command, "--dir", fresh.dir, timeout=1)
        elif "--head" in command:
            head = re.search(r"^head +(.*)$", fresh.run("audit", "verify").stdout, re.M).group(1)
            fresh.run(*command[:-1], head)
        else:
            fresh.run(*command)


def test_an_older_store_is_refused_in_these_words(fresh):
    fresh.start()
    fresh.stop()
    old = (fresh.dir / "store.db").read_bytes()
    fresh.start()
    fresh.run("key", "create", "one")
    fresh.stop()
    (fresh.dir / "store.db").write_bytes(old)
    for name in ("store.db-wal", "store.db-shm"):
        if os.path.exists(fresh.dir / name):
            os.unlink(fresh.dir / name)
    done = run("server", "--dir", fresh.dir, check=False)
    said = re.search(r'is refused at start \("(.*)"\)', SERVER).group(1)
    assert done.returncode == 76 and said in done.stderr


def test_the_configuration_has_what_the_page_names(fresh):
    text = (fresh.dir / "keystead.conf").read_text()
    for name in ("limits", "stop_timeout", "enrolments", "enrolments_per_minute", "user", "path"):
        assert name in SERVER and re.search(r"^ *#?%s( =| \{)" % name, text, re.M), name
