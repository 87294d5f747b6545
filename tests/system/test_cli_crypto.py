"""keystead key sign, verify, mac; hash and random: against the real server, and compared with openssl."""

import hashlib
import hmac
import os
import subprocess

import pytest


def make_pair(folder, *options):
    """A pair made by openssl, as PEM files."""
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", *options, "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def register(instance, name, path, usage, *args):
    instance.run("key", "register", name, "--file", path, "--usage", usage, *args)


@pytest.mark.parametrize("kind, genpkey, sign, check", [
    ("rsa", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], [], []),
    ("pss", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["--pss"],
     ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]),
    ("ec", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], [], []),
])
@pytest.mark.parametrize("size", [17, 256 * 1024, 700001])
def test_signatures(instance, tmp_path, kind, genpkey, sign, check, size):
    private, public = make_pair(tmp_path, *genpkey)
    name = "sign-%s-%d" % (kind, size)
    register(instance, name, private, "sign")
    register(instance, name + "-public", public, "verify")
    data, signature = tmp_path / "data", tmp_path / "signature"
    data.write_bytes(os.urandom(size))
    instance.run("key", "sign", name, "--in", data, "--out", signature, *sign)
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, *check, data], check=True,
                   capture_output=True)
    verify = ["key", "verify", name + "-public", "--in", data, "--signature", signature, *sign]
    assert instance.run(*verify).stdout == "valid\n"
    signature.write_text(instance.run("key", "sign", name, "--in", data, *sign).stdout)  # hexadecimal
    assert instance.run(*verify).stdout == "valid\n"
    data.write_bytes(b"something else")
    done = instance.run(*verify, check=False)
    assert done.returncode == 76 and done.stdout == "" and "not valid" in done.stderr


@pytest.mark.parametrize("size", [0, 1000, 256 * 1024, 1 << 20])
def test_codes_and_digests(instance, tmp_path, size):
    key, data = os.urandom(32), tmp_path / "data"
    (tmp_path / "key").write_bytes(key)
    data.write_bytes(os.urandom(size))
    name = "mac-%d" % size
    register(instance, name, tmp_path / "key", "mac-generate,mac-verify")
    for args, expected in [([], hmac.new(key, data.read_bytes(), "sha256").hexdigest()),
                           (["--hash", "sha-512"], hmac.new(key, data.read_bytes(), "sha512").hexdigest()),
                           (["--cmac"], subprocess.run(
                               ["openssl", "mac", "-cipher", "AES-256-CBC", "-macopt", "hexkey:" + key.hex(), "-in", data,
                                "CMAC"], check=True, capture_output=True, text=True).stdout.strip().lower())]:
        printed = instance.run("key", "mac", name, "--in", data, *args).stdout
        assert printed == expected + "\n"
        (tmp_path / "mac").write_text(printed)
        verify = ["key", "verify", name, "--in", data, "--mac", tmp_path / "mac", *args]
        assert instance.run(*verify).stdout == "valid\n"
        (tmp_path / "mac").write_text("00" * (len(expected) // 2))
        assert instance.run(*verify, check=False).returncode == 76
    assert instance.run("hash", data).stdout == hashlib.sha256(data.read_bytes()).hexdigest() + "\n"
    assert instance.run("hash", "--hash", "sha3-384", data).stdout == hashlib.sha3_384(data.read_bytes()).hexdigest() + "\n"


def test_random(instance, tmp_path):
    seen = {instance.run("random").stdout for _ in range(3)}
    assert len(seen) == 3 and all(len(s) == 65 for s in seen)
    instance.run("random", "10000", "--out", tmp_path / "bytes")
    drawn = (tmp_path / "bytes").read_bytes()
    assert len(drawn) == 10000 and len(set(drawn)) == 256
    for wrong in ("0", "x", "1048577"):
        assert instance.run("random", wrong, check=False).returncode == 64


def test_wrong_usage(instance, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(b"x")
    (tmp_path / "key").write_bytes(os.urandom(32))
    register(instance, "wrong", tmp_path / "key", "mac-generate")
    for args in (["key", "verify", "wrong", "--in", data], ["key", "mac", "wrong", "--cmac", "--hash", "sha-256"],
                 ["key", "sign", "wrong", "--pss", "--in", data], ["hash", "--hash", "nonsense", data]):
        done = instance.run(*args, check=False)
        assert done.returncode == 64 and len(done.stderr.splitlines()) == 1, done.stderr
    assert instance.run("hash", tmp_path / "missing", check=False).returncode == 3
    assert instance.run("hash", "--hash", "md5", data, check=False).returncode != 0  # not under the default profile
