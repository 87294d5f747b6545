"""Clients in Go that others wrote: github.com/ovh/kmip-go, and the codec of github.com/gemalto/kmip-go (Thales).

Skipped where there is no Go toolchain, or where its modules cannot be had.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

from instance import Instance

HERE = pathlib.Path(__file__).parent / "go"
GO = shutil.which("go")

pytestmark = pytest.mark.skipif(GO is None, reason="there is no Go toolchain here")


def build(name, folder):
    """The program, from sources whose modules are pinned in go.mod and go.sum."""
    source = folder / "source"
    shutil.copytree(HERE / name, source)
    program = folder / name
    done = subprocess.run([GO, "build", "-o", str(program), "."], cwd=source, capture_output=True, text=True,
                          timeout=600, env={**os.environ, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"})
    if done.returncode != 0:
        if any(word in done.stderr for word in ("requires go >=", "toolchain", "dial tcp", "Forbidden", "proxy")):
            pytest.skip("its modules, or the Go that they need, cannot be had: %s" % done.stderr.strip()[-300:])
        pytest.fail(done.stderr)
    return program


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Instance(tmp_path_factory.mktemp("go") / "instance").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return {name: build(name, tmp_path_factory.mktemp(name)) for name in ("ovh", "gemalto")}


def drive(program, server, version):
    return subprocess.run([str(program), "127.0.0.1:%d" % server.port, str(server.dir / "ca.pem"),
                           str(server.dir / "admin.pem"), str(server.dir / "admin.key"), version],
                          capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4"])
def test_ovh(programs, server, version):
    done = drive(programs["ovh"], server, version)
    assert done.returncode == 0 and "ok" in done.stdout, done.stderr


@pytest.mark.parametrize("minor", ["0", "1", "2", "3", "4"])
def test_gemalto(programs, server, minor):
    done = drive(programs["gemalto"], server, minor)
    assert done.returncode == 0 and done.stdout == "ok 1.%s\n" % minor, done.stderr
