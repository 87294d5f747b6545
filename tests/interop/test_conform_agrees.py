"""keystead conform and an outside runner come to the same verdicts about the published cases.

Neither runner nor cases are part of this repository; without them this is skipped.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from instance import KEYSTEAD, Instance

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("KEYSTEAD_SHARED", ROOT.parent / "shared"))

pytestmark = pytest.mark.skipif(
    not (SHARED / "kmipconf").is_dir() or not (SHARED / "kmip-cases").is_dir(),
    reason="the published cases and their runner are not here (KEYSTEAD_SHARED names their folder)")


def test_both_runners_agree(tmp_path):
    """Each gets an empty server, since cases see what others left behind."""
    verdicts = []
    for number in (1, 2):
        server = Instance(tmp_path / ("server-%d" % number)).start()
        host = ["--ca", str(server.dir / "ca.pem"), "--cert", str(server.dir / "admin.pem"), "--key",
                str(server.dir / "admin.key")]
        if number == 1:
            out = tmp_path / "results.json"
            done = subprocess.run(
                [sys.executable, str(SHARED / "kmipconf"), "--host", "127.0.0.1", "--port", str(server.port), *host,
                 "--json", str(out), "--quiet"], capture_output=True, text=True, timeout=900)
            assert out.exists(), done.stderr
            cases = json.loads(out.read_text())["cases"]
            verdicts.append({(c["version"], c["name"]): c["strict"] for c in cases})
        else:
            done = subprocess.run(
                [KEYSTEAD, "conform", "127.0.0.1:%d" % server.port, "--cases", str(SHARED / "kmip-cases"), *host,
                 "--json"], capture_output=True, text=True, timeout=900)
            cases = json.loads(done.stdout)["cases"]
            verdicts.append({(c["version"], c["name"]): c["verdict"] for c in cases})
        server.stop()
    theirs, ours = verdicts
    assert set(theirs) == set(ours) and len(ours) > 500
    # The outside runner sends what belongs to HTTPS as TTLV here; ours says that it needs a port.
    differ = ["%s %s: %s, here %s" % (*key, theirs[key], ours[key]) for key in sorted(ours)
              if theirs[key] != ours[key] and not key[1].startswith("MSGENC")]
    assert not differ, "\n".join(differ)
