"""The published OASIS cases, run by a runner that is not ours, against the real server.

At least nine in ten cases of each family below pass strictly. The runner and the cases are not part of this
repository; without them these tests are skipped.

SKFF-O-6-11 (KMIP 1.1) cannot pass: it wants Object Group in the list of attributes of a key that was created without
one. The same requests in 1.0 and 1.2 expect none, and 1.1 (3.33) has no group that an object gets by itself: it reserves
the name "default" and says that the attribute need not have a value.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys

import pytest

from instance import Instance

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("KEYSTEAD_SHARED", ROOT.parent / "shared"))
FAMILIES = ("SKLC", "SKFF", "OMOS", "AKLC", "TL", "SASED", "BL")
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1")

pytestmark = pytest.mark.skipif(
    not (SHARED / "kmipconf").is_dir() or not (SHARED / "kmip-cases").is_dir(),
    reason="the published cases and their runner are not here (KEYSTEAD_SHARED names their folder)")


@pytest.fixture(scope="module")
def compat(tmp_path_factory):
    """A server that makes what the cases want: 3DES keys, RSA of 1024 bits and their like."""
    made = Instance(tmp_path_factory.mktemp("keystead") / "instance", "--profile", "compat").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def results(compat, tmp_path_factory):
    """Every selected case, run once against one empty server."""
    out = tmp_path_factory.mktemp("conformance") / "results.json"
    command = [sys.executable, str(SHARED / "kmipconf"), "--host", "127.0.0.1",
               "--port", str(compat.port),
               "--ca", str(compat.dir / "ca.pem"),
               "--cert", str(compat.dir / "admin.pem"),
               "--key", str(compat.dir / "admin.key"),
               "--json", str(out), "--quiet"]
    for family in FAMILIES:
        command += ["--family", family]
    for version in VERSIONS:
        command += ["--version", version]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    print(done.stdout)
    assert out.exists(), done.stderr
    return json.loads(out.read_text())["cases"]


@pytest.mark.parametrize("family", FAMILIES)
def test_nine_in_ten_cases_pass_strictly(results, family):
    count = collections.Counter()
    failed = []
    for case in results:
        if case["family"] == family:
            count[case["strict"]] += 1
            if case["strict"] != "PASS":
                failed.append("%s %s: %s" % (case["version"], case["name"],
                                             (case["strict_differences"] or [case["reason"]])[0]))
    total = sum(count.values())
    assert total > 0
    print("%s: %d of %d" % (family, count["PASS"], total), *failed, sep="\n  ")
    assert count["PASS"] >= 0.9 * total, "\n".join(failed)
