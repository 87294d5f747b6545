"""Commands about certificates, and taking keys out and bringing them back."""

import shutil
import stat
import subprocess

import pytest

from test_cli import UUID, as_json, create, fails, name, show  # noqa: F401


@pytest.fixture
def csr(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command")
    path = tmp_path / "web.csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "web.key",
                    "-subj", "/CN=web.example", "-addext", "subjectAltName=DNS:web.example,IP:192.0.2.1",
                    "-out", path], check=True, capture_output=True)
    return path


def test_export_and_import(instance, name, tmp_path):
    uid = create(instance, name)
    create(instance, name + "-kek")
    plain = instance.run("key", "get", name).stdout
    before = show(instance, name)
    for extra in ([], ["--wrap-with", name + "-kek"]):
        path = tmp_path / "key.kmip"
        instance.run("key", "export", name, "--out", str(path), *extra)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (bytes.fromhex(plain.strip()) in path.read_bytes()) == (not extra)
        assert "object" in fails(instance, "exists", "key", "import", str(path))
        done = as_json(instance, "key", "import", str(path), "--replace", "--unwrap")
        assert done["identifier"] == uid
        assert instance.run("key", "get", name).stdout == plain
        after = show(instance, name)
        assert {k: after[k] for k in ("State", "Activation Date", "Initial Date")} == \
            {k: before[k] for k in ("State", "Activation Date", "Initial Date")}
        path.unlink()
    bad = tmp_path / "bad"
    bad.write_bytes(b"no KMIP")
    assert "no exported object" in instance.run("key", "import", str(bad), check=False).stderr


def test_issue_from_a_request(instance, name, csr, tmp_path):
    pem = tmp_path / "web.pem"
    assert UUID.search(instance.run("cert", "issue", name, "--request", str(csr), "--out", str(pem)).stdout)
    ca = tmp_path / "ca.pem"
    instance.run("key", "get", "issuing-ca", "--out", str(ca))
    subprocess.run(["openssl", "verify", "-CAfile", ca, pem], check=True, capture_output=True)
    text = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    assert "DNS:web.example, IP Address:192.0.2.1" in text and "CA:FALSE" in text
    assert instance.run("cert", "validate", "--file", str(pem)).stdout == "valid\n"
    late = instance.run("cert", "validate", name, "--at", "2090-01-01T00:00:00Z", check=False)
    assert late.returncode != 0 and late.stdout == "invalid\n"
    renewed = as_json(instance, "cert", "renew", name)
    assert renewed["name"] == name
    assert as_json(instance, "cert", "validate", name) == {"validity": "valid"}
    assert "certificate request" in instance.run("cert", "issue", name + "2", "--request", str(pem),
                                                 check=False).stderr


def test_issue_for_a_key(instance, name, tmp_path):
    instance.run("key", "create", name, "--algorithm", "ec", "--curve", "p-256")
    pem = tmp_path / "signer.pem"
    instance.run("cert", "issue", name + "-cert", "--key", name + "-public", "--common-name", "Signer", "--valid", "30d",
                 "--out", str(pem))
    if shutil.which("openssl") is not None:
        text = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-subject"], check=True, capture_output=True,
                              text=True).stdout
        assert "Signer" in text
    rotated = as_json(instance, "key", "rotate", name + "-private")
    assert rotated["name"] == name + "-private"


def test_pkcs12_needs_a_password(instance, name, csr, tmp_path):
    """Without a link to a password that the server keeps there is no container."""
    password = tmp_path / "password"
    password.write_text("correct horse")
    instance.run("key", "register", name + "-pw", "--file", str(password), "--type", "secret-data")
    instance.run("key", "register", name, "--file", str(tmp_path / "web.key"))
    refused = instance.run("key", "get", name, "--format", "pkcs-12", "--out", str(tmp_path / "x"), check=False)
    assert refused.returncode != 0 and "Password Link" in refused.stderr
