"""keystead key derive, split, join: keys of other keys, against the real server."""

import hashlib
import hmac
import json
import os

import pytest


def register(instance, tmp_path, name, key, usage):
    (tmp_path / "key").write_bytes(key)
    instance.run("key", "register", name, "--file", tmp_path / "key", "--usage", usage)


def material(instance, name):
    return bytes.fromhex(instance.run("key", "get", name, "--encoding", "hex").stdout.strip())


def hkdf(key, salt, info, length):
    """RFC 5869 with SHA-256."""
    prk = hmac.new(salt or bytes(32), key, "sha256").digest()
    out = block = b""
    for i in range(1, 1 + (length + 31) // 32):
        block = hmac.new(prk, block + info + bytes([i]), "sha256").digest()
        out += block
    return out[:length]


def test_derive(instance, tmp_path):
    key = os.urandom(32)
    register(instance, tmp_path, "derive-root", key, "derive-key")
    made = json.loads(instance.run("key", "derive", "derive-root", "derive-a", "--data", "tenant 1", "--json").stdout)
    assert made["name"] == "derive-a"
    assert material(instance, "derive-a") == hkdf(key, b"", b"tenant 1", 32)
    instance.run("key", "derive", "derive-root", "derive-b", "--data", "tenant 1", "--salt", "00ff", "--length", "128")
    assert material(instance, "derive-b") == hkdf(key, b"\x00\xff", b"tenant 1", 16)
    instance.run("key", "derive", "derive-root", "derive-c", "--method", "hmac", "--data", "x", "--secret")
    assert material(instance, "derive-c") == hmac.new(key, b"x", "sha256").digest()
    # What was derived is a key like any other, and active.
    done = instance.run("key", "encrypt", "derive-a", "--in", tmp_path / "key", "--out", tmp_path / "sealed")
    assert done.returncode == 0


def test_derive_from_a_password(instance, tmp_path):
    (tmp_path / "password").write_bytes(b"correct horse")
    instance.run("key", "register", "derive-password", "--file", tmp_path / "password", "--type", "secret-data",
                 "--usage", "derive-key")
    instance.run("key", "derive", "derive-password", "derive-d", "--method", "pbkdf2", "--salt", "0123456789abcdef",
                 "--iterations", "1000")
    assert material(instance, "derive-d") == hashlib.pbkdf2_hmac("sha256", b"correct horse",
                                                                bytes.fromhex("0123456789abcdef"), 1000, 32)


@pytest.mark.parametrize("parts, threshold", [(3, 2), (5, 3), (2, 2)])
def test_split_and_join(instance, tmp_path, parts, threshold):
    key, name = os.urandom(32), "split-%d-%d" % (parts, threshold)
    register(instance, tmp_path, name, key, "encrypt,decrypt")
    made = json.loads(instance.run("key", "split", name, "--parts", str(parts), "--threshold", str(threshold),
                                   "--json").stdout)
    assert len(set(made["parts"])) == parts and made["threshold"] == threshold
    instance.run("key", "join", name + "-again", *made["parts"][-threshold:])
    assert material(instance, name + "-again") == key
    if threshold > 2:
        done = instance.run("key", "join", name + "-few", *made["parts"][:threshold - 1], check=False)
        assert done.returncode != 0 and len(done.stderr.splitlines()) == 1


def test_wrong_usage(instance, tmp_path):
    register(instance, tmp_path, "derive-no", os.urandom(32), "encrypt")
    for args in (["key", "derive", "derive-no", "x", "--method", "nonsense"],
                 ["key", "derive", "derive-no", "x", "--salt", "zz"],
                 ["key", "derive", "derive-no", "x", "--secret", "--algorithm", "aes"],
                 ["key", "split", "derive-no", "--parts", "2", "--threshold", "3"],
                 ["key", "split", "derive-no", "--parts", "1"],
                 ["key", "join", "x", "derive-no"]):
        done = instance.run(*args, check=False)
        assert done.returncode == 64 and done.stdout == "", (args, done.stderr)
    done = instance.run("key", "derive", "derive-no", "x", "--data", "d", check=False)
    assert done.returncode != 0 and "Cryptographic Usage Mask" in done.stderr


def test_status_says_the_profile(instance):
    assert json.loads(instance.run("status", "--json").stdout)["profile"] == "fips"
    assert "fips" in instance.run("status").stdout
