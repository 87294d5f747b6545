"""docs/cli.md: its examples are run, its exit statuses are those of the error codes."""

import os
import pathlib
import re
import subprocess

from instance import KEYSTEAD, SOURCE, run

PAGE = (SOURCE / "docs" / "cli.md").read_text()


def test_the_examples_work(instance, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    assert len(blocks) >= 6
    environment = {**os.environ, "KEYSTEAD_DIR": str(instance.dir), "SERVER": "127.0.0.1:%d" % instance.port,
                   "PATH": "%s:%s" % (pathlib.Path(KEYSTEAD).parent, os.environ["PATH"])}
    done = subprocess.run(["sh", "-eu", "-c", "\n".join(blocks)], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Pay Ada 100") == 2
    assert re.search(r"^\d+ objects$", done.stdout, re.M)
    assert (tmp_path / "database-1" / "client.conf").exists()


def test_the_exit_statuses_are_those_of_the_codes():
    rows = (SOURCE / "include" / "keystead" / "spec" / "err.def").read_text()
    statuses = {int(n) for n in re.findall(r"KS_ERR\(\w+, -?\d+, (\d+),", rows)}
    table = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.M)
    assert {int(status) for status, _ in table} == statuses
    said = run("help", "exit-codes").stdout.splitlines()
    assert [tuple(line.split(maxsplit=1)) for line in said] == table
