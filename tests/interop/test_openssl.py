"""The TLS side as openssl s_client sees it, on both ports: versions, cipher suites, groups, names and certificates."""

import re
import subprocess

import pytest

from instance import Instance, free_port


class Both(Instance):
    def __init__(self, folder):
        self.https_port = free_port()
        super().__init__(folder, "--https", "127.0.0.1:%d" % self.https_port)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    made = Both(tmp_path_factory.mktemp("tls") / "instance").start()
    yield made
    made.stop()


@pytest.fixture(params=["kmip", "https"])
def s_client(both, request):
    """Runs s_client against one of the ports; returns what it says and its exit status."""
    port = both.port if request.param == "kmip" else both.https_port

    def run(*options, certificate=True, text=b""):
        own = ["-cert", str(both.dir / "admin.pem"), "-key", str(both.dir / "admin.key")] if certificate else []
        done = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-CAfile", str(both.dir / "ca.pem"), *own,
             *options], input=text, capture_output=True, timeout=60)
        return (done.stdout + done.stderr).decode(errors="replace"), done.returncode

    return run


@pytest.mark.parametrize("version, name", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_versions_that_are_spoken(s_client, version, name):
    said, status = s_client(version)
    assert status == 0 and "Verify return code: 0 (ok)" in said
    assert re.search(r"(Protocol\s*: |New, )%s" % re.escape(name), said), said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_versions_that_are_not(s_client, version):
    said, status = s_client(version, "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0 and "Cipher is (NONE)" in said


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
                                   "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_suites_of_1_2(s_client, suite):
    said, status = s_client("-tls1_2", "-cipher", suite)
    assert status == 0 and "Cipher is %s" % suite in said


@pytest.mark.parametrize("suite", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA",
                                   "DHE-RSA-AES256-GCM-SHA384"])
def test_suites_of_1_2_that_are_refused(s_client, suite):
    said, status = s_client("-tls1_2", "-cipher", suite)
    assert status != 0 and "Cipher is (NONE)" in said


@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"])
def test_suites_of_1_3(s_client, suite):
    said, status = s_client("-tls1_3", "-ciphersuites", suite)
    assert status == 0 and "Cipher is %s" % suite in said


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_groups(s_client, group):
    said, status = s_client("-tls1_3", "-groups", group)
    assert status == 0 and "Server Temp Key" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_without_a_certificate_nobody_is_served(s_client, version):
    """With TLS 1.3 the client hears of it after its own part of the handshake: at its first byte, at the latest."""
    said, _ = s_client(version, "-ign_eof", certificate=False, text=b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n")
    assert re.search(r"alert (certificate required|handshake failure)|tlsv13 alert certificate required", said), said
    assert "HTTP/1.1" not in said


@pytest.mark.parametrize("name, kind, good", [("127.0.0.1", "ip", True), ("localhost", "hostname", True),
                                              ("192.0.2.77", "ip", False), ("kms.example.org", "hostname", False)])
def test_the_names_in_the_certificate(s_client, name, kind, good):
    said, status = s_client("-verify_" + kind, name, "-verify_return_error")
    assert (status == 0) == good, said


def test_a_name_that_is_asked_for_changes_nothing(s_client):
    said, status = s_client("-servername", "somebody.else.example.org")
    assert status == 0 and "Verify return code: 0 (ok)" in said


def test_http_1_1_is_agreed_on_at_the_https_port_alone(both, s_client, request):
    said, status = s_client("-alpn", "h2,http/1.1")
    assert status == 0
    https = "https" in request.node.callspec.params.values()
    assert ("ALPN protocol: http/1.1" in said) == https, said
