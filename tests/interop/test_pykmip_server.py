"""The keystead command against another KMIP server: PyKMIP's, which speaks KMIP 1.0 to 2.0 as its authors understand it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from certificates import Authority
from instance import free_port, run

pytest.importorskip("kmip.services.server")

# Its own program, but without files in /etc and /var.
SERVER = """
import logging, sys
from kmip.services.server import server
port, folder = int(sys.argv[1]), sys.argv[2]
s = server.KmipServer(hostname="127.0.0.1", port=port, certificate_path=folder + "/server.pem",
                      key_path=folder + "/server.key", ca_path=folder + "/ca.pem", auth_suite="TLS1.2",
                      config_path=None, log_path=folder + "/log", enable_tls_client_auth=True,
                      database_path=folder + "/db", logging_level="INFO",
                      tls_cipher_suites="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
with s:
    s.serve()
"""


@pytest.fixture(scope="module")
def pykmip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pykmip")
    authority = Authority("Somebody else's CA")
    authority.write(folder / "ca.pem")
    authority.issue("server", folder / "server.pem", folder / "server.key", server=True)
    authority.issue("client", folder / "client.pem", folder / "client.key")
    port = free_port()
    with open(folder / "output", "w") as output:
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVER, str(port), str(folder)], stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    try:
        for _ in range(200):
            assert process.poll() is None, (folder / "output").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("PyKMIP's server does not listen")
        config = folder / "client.conf"
        config.write_text("server = 127.0.0.1:%d\nca = ca.pem\ncertificate = client.pem\nkey = client.key\n" % port)
        yield config
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", None])
def test_the_life_of_a_key(pykmip, tmp_path, version):
    config = pykmip
    if version is not None:
        config = tmp_path / "client.conf"
        text = pykmip.read_text().replace("= c", "= %s/c" % pykmip.parent)
        config.write_text(text + "versions = %s\n" % version)

    def call(*args):
        return json.loads(run(*args, "--json", "--config", config).stdout)

    name = "key-%s" % version
    uid = call("key", "create", name, "--usage", "encrypt,decrypt")["identifier"]
    entry, = call("key", "list", "--name", name)
    assert entry["identifier"] == uid and entry["state"] == "Active" and entry["algorithm"] == "AES"
    shown = call("key", "show", name)
    assert shown["identifier"] == uid and shown["name"] == name
    assert len(call("key", "get", name)["material"]) == 64
    (tmp_path / "plain").write_text("sixteen bytes ..")
    if version not in ("1.0", "1.1"):
        run("key", "encrypt", name, "--mode", "cbc", "--in", tmp_path / "plain", "--out", tmp_path / "secret", "--config",
            config)
        assert run("key", "decrypt", "--in", tmp_path / "secret", "--config", config).stdout == "sixteen bytes .."
    call("key", "revoke", name, "--reason", "superseded", "--yes")
    call("key", "destroy", uid, "--yes")
    done = run("key", "get", uid, "--config", config, check=False)
    assert done.returncode == 3, done.stderr


def test_what_it_does_not_have_is_told(pykmip):
    done = run("status", "--config", pykmip, check=False)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1
