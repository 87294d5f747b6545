"""The published OASIS cases, run by a runner that is not ours, against the real server on an empty store.

Every case passes strictly but those in exceptions.toml, each with its reason, and each of those fails: a reason that no
longer holds is to go. `keystead conform` comes to the same verdicts. The runner and the cases are not part of this repository; without them this is skipped.
"""

import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from instance import KEYSTEAD, Instance, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("KEYSTEAD_SHARED", ROOT.parent / "shared"))
EXCEPTIONS = tomllib.loads((pathlib.Path(__file__).parent / "exceptions.toml").read_text())["exception"]

# What the default profile refuses: encryption with 3DES, ChaCha20 and one time pads, RSA keys of 1024 bits, other curves.
NOT_UNDER_FIPS = ("CS-BC-M-CHACHA20*", "TC-81-*", "TC-DERIVEKEY-6-*", "TC-OTP-[12]-14",
                  "TC-STREAM-ENC-2-*")

pytestmark = pytest.mark.skipif(
    not (SHARED / "kmipconf").is_dir() or not (SHARED / "kmip-cases").is_dir(),
    reason="the published cases and their runner are not here (KEYSTEAD_SHARED names their folder)")


def excepted(name, version):
    return any(fnmatch.fnmatchcase(name, row["cases"]) and version in row.get("versions", [version])
               for row in EXCEPTIONS)


@pytest.fixture(scope="module", params=["compat", "fips"])
def results(request, tmp_path_factory):
    """The profile, and the verdict and the first difference of each case."""
    folder, https = tmp_path_factory.mktemp("conformance"), free_port()
    server = Instance(folder / "instance", "--https", "127.0.0.1:%d" % https, "--profile", request.param).start()
    out = folder / "results.json"
    try:
        done = subprocess.run(
            [sys.executable, str(SHARED / "kmipconf"), "--host", "127.0.0.1", "--port", str(server.port),
             "--transport", "auto", "--https-port", str(https), "--ca", str(server.dir / "ca.pem"),
             "--cert", str(server.dir / "admin.pem"), "--key", str(server.dir / "admin.key"), "--json", str(out),
             "--quiet"], capture_output=True, text=True, timeout=900)
        assert out.exists(), done.stderr
    finally:
        server.stop()
    return request.param, json.loads(out.read_text())["cases"]


def test_every_case_passes_but_those_that_can_not(results):
    profile, cases = results
    assert len(cases) > 600
    failed = ["%s %s: %s" % (case["version"], case["name"], (case["strict_differences"] or [case["reason"]])[0])
              for case in cases
              if case["strict"] != "PASS" and not excepted(case["name"], case["version"]) and
              not (profile == "fips" and any(fnmatch.fnmatchcase(case["name"], row) for row in NOT_UNDER_FIPS))]
    assert not failed, "\n".join(failed)


def test_every_exception_is_one(results):
    profile, cases = results
    if profile != "compat":
        pytest.skip("reasons are about the profile under which most cases pass")
    idle = [row["cases"] for row in EXCEPTIONS
            if not any(case["strict"] != "PASS" and fnmatch.fnmatchcase(case["name"], row["cases"]) for case in cases)]
    assert not idle, "these pass: %s" % idle


def claims():
    """The rows of Query's profiles (server/engine/query.def): family of cases, and the versions they are claimed for."""
    versions = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]
    rows = re.findall(r'^CLAIMED_PROFILE\((\w+), "([\w-]*)", V(\d)_(\d), V(\d)_(\d)\)', (
        ROOT / "server/engine/query.def").read_text(), re.M)
    assert len(rows) > 40
    return [(name, family, versions[versions.index(a + "." + b):versions.index(c + "." + d) + 1])
            for name, family, a, b, c, d in rows if family]


def test_what_query_claims_is_true(results):
    """Of the family of a profile that Query names every mandatory case passes, under every policy profile. One that needs an empty
    server passes on one."""
    cases = results[1]
    alone = [row["cases"] for row in EXCEPTIONS if "passes alone" in row["reason"]]
    wrong = []
    for name, family, versions in claims():
        for version in versions:
            mandatory = [case for case in cases
                         if case["version"] == version and case["name"].startswith(family + "-M-")]
            assert mandatory, "%s: no cases of %s in %s" % (name, family, version)
            wrong += ["%s: %s" % (name, case["name"]) for case in mandatory
                      if case["strict"] != "PASS" and not any(fnmatch.fnmatchcase(case["name"], row) for row in alone)]
    assert not wrong, "\n".join(wrong)


def test_our_own_runner_agrees(results, tmp_path):
    """keystead conform comes to the same verdicts, on an empty server too."""
    profile, cases = results
    if profile != "compat":
        pytest.skip("once is enough")
    https = free_port()
    server = Instance(tmp_path / "instance", "--https", "127.0.0.1:%d" % https, "--profile", profile).start()
    try:
        done = subprocess.run(
            [KEYSTEAD, "conform", "127.0.0.1:%d" % server.port, "--cases", str(SHARED / "kmip-cases"),
             "--https-port", str(https), "--ca", str(server.dir / "ca.pem"), "--cert", str(server.dir / "admin.pem"),
             "--key", str(server.dir / "admin.key"), "--json"], capture_output=True, text=True, timeout=900)
    finally:
        server.stop()
    ours = {(case["version"], case["name"]): case["verdict"] for case in json.loads(done.stdout)["cases"]}
    theirs = {(case["version"], case["name"]): case["strict"] for case in cases}
    assert set(theirs) == set(ours)
    differ = ["%s %s: %s, here %s" % (*key, theirs[key], ours[key]) for key in sorted(ours) if theirs[key] != ours[key]]
    assert not differ, "\n".join(differ)
