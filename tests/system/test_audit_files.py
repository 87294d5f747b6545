"""keystead audit, against trails that this file writes by the documented form (server/audit/audit.h)."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

KEYSTEAD = pathlib.Path(os.environ.get("KEYSTEAD_BUILD", pathlib.Path(__file__).parents[2] / "build")) / "keystead"
pytestmark = pytest.mark.skipif(not KEYSTEAD.exists(), reason="keystead is not built")


def make_line(seq, prev, text, commit=1):
    body = f'{{"seq":{seq},"ts":"2026-11-24T06:57:{seq % 60:02}.000123Z",{text},"commit":{commit},"prev":"{prev}"'
    digest = hashlib.sha256(b"\0" + body.encode()).hexdigest()
    return f'{body},"hash":"{digest}"}}', digest


class Trail:
    def __init__(self, root, per_file=(4, 4, 2)):
        self.root = root
        self.dir = root / "audit"
        self.dir.mkdir()
        seq, prev = 0, "0" * 64
        self.hashes = {}
        for number, count in enumerate(per_file, 1):
            lines = []
            for _ in range(count):
                seq += 1
                actor = "database-1" if seq % 2 else "admin"
                status = '"failed","reason":"PermissionDenied"' if seq == 3 else '"success"'
                line, prev = make_line(
                    seq, prev, f'"event":"kmip","actor":"{actor}","operation":"Get","object":"key-{seq % 3}",'
                    f'"name":"na\\u001b[31mme\\u009b{seq}","status":{status}')
                self.hashes[seq] = prev
                lines.append(line)
            self.file(number).write_text("".join(f"{line}\n" for line in lines))
        self.last = seq

    def file(self, number):
        return self.dir / f"audit-{number:06}.jsonl"

    def lines(self, number):
        return self.file(number).read_text().splitlines(keepends=True)

    def run(self, *args, **how):
        return subprocess.run([KEYSTEAD, "audit", *args], capture_output=True, text=True, check=False,
                              env={**os.environ, "KEYSTEAD_DIR": str(self.root)}, **how)

    def refused(self, *parts, args=()):
        done = self.run("verify", *args)
        assert done.returncode == 76, done
        assert done.stdout == ""
        for part in parts:
            assert part in done.stderr
        as_json = self.run("verify", "--json", *args)
        assert as_json.returncode == 76
        answer = json.loads(as_json.stdout)
        assert answer["ok"] is False and all(part in answer["error"] for part in parts)


@pytest.fixture(name="trail")
def fixture_trail(tmp_path):
    return Trail(tmp_path)


def test_whole_trail(trail):
    done = trail.run("verify")
    assert done.returncode == 0, done.stderr
    assert "10 records in 3 files, unbroken" in done.stdout
    assert f"head  10:{trail.hashes[10]}" in done.stdout
    for where in ([], [str(trail.root)], [str(trail.dir)], ["--dir", str(trail.root)]):
        done = trail.run("verify", "--json", *where)
        answer = json.loads(done.stdout)
        assert answer["ok"] is True and answer["records"] == 10 and answer["files"] == 3
        assert answer["first_seq"] == 1 and answer["last_seq"] == 10 and answer["unfinished_bytes"] == 0
        assert answer["first_ts"] == "2026-11-24T06:57:01.000123Z" and answer["last_ts"] == "2026-11-24T06:57:10.000123Z"
        assert answer["head"] == f"10:{trail.hashes[10]}"


@pytest.mark.parametrize("number,at", [(1, 0), (1, 3), (2, 0), (2, 2), (3, 0), (3, 1)])
def test_every_way_to_change_a_line(trail, number, at):
    good = trail.lines(number)
    seq = (number - 1) * 4 + at + 1

    def write(lines):
        trail.file(number).write_text("".join(lines))

    write([line.replace('"success"', '"failed"').replace('"failed","reason"', '"done","reason"') if i == at else line
           for i, line in enumerate(good)])
    trail.refused(f"audit-{number:06}.jsonl:{at + 1}", "was edited")
    write(good[:at] + good[at + 1:])
    if seq < trail.last:  # the last one of all: only --head shows that
        trail.refused("does not have the next number")
    write(good[:at + 1] + [good[at]] + good[at + 1:])
    trail.refused(f"audit-{number:06}.jsonl:{at + 2}", "does not have the next number")
    other = at - 1 if at else at + 1
    swapped = list(good)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    write(swapped)
    trail.refused("does not have the next number")
    write(good[:at] + ["{}\n"] + good[at + 1:])
    trail.refused("does not begin as a record does")
    # Written anew with a right hash of its own: the next line tells, or --head.
    forged, _ = make_line(seq, json.loads(good[at])["prev"], '"event":"nothing happened"')
    write(good[:at] + [forged + "\n"] + good[at + 1:])
    if seq < trail.last:
        trail.refused("does not continue the chain")
    else:
        trail.refused("does not have the expected hash", args=("--head", f"{seq}:{trail.hashes[seq]}"))
    write(good)
    assert trail.run("verify").returncode == 0


def test_every_byte_of_a_line_counts(trail):
    good = trail.file(3).read_bytes()
    for at in range(0, good.index(b"\n"), 7):
        trail.file(3).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        trail.refused("audit-000003.jsonl:1")


def test_files(trail):
    trail.file(2).rename(trail.dir / "aside")
    trail.refused("audit-000002.jsonl is missing")
    trail.file(3).rename(trail.file(2))
    trail.refused("audit-000002.jsonl:1", "does not have the next number")
    (trail.dir / "aside").rename(trail.file(3))
    trail.refused("does not have the next number")


def test_first_file_removed(trail):
    trail.file(1).unlink()
    trail.refused("audit-000001.jsonl is missing")


def test_cut_end(trail):
    head = f"{trail.last}:{trail.hashes[trail.last]}"
    assert trail.run("verify", "--head", head).returncode == 0
    assert trail.run("verify", "--head", f"5:{trail.hashes[5]}").returncode == 0
    trail.refused("the trail was written anew", args=("--head", f"5:{trail.hashes[6]}"))
    trail.file(3).unlink()
    assert trail.run("verify").returncode == 0  # nothing in the files can show it
    trail.refused("ends with record 8, but record 10 was expected", args=("--head", head))
    trail.file(2).write_text("".join(trail.lines(2))[:-20])
    done = trail.run("verify")
    assert done.returncode == 0 and "a record without an end" in done.stdout
    trail.file(3).write_text("")
    trail.refused("its last line has no end, but other files follow")


def test_commit_numbers_do_not_go_back(tmp_path):
    (tmp_path / "audit").mkdir()
    a, prev = make_line(1, "0" * 64, '"event":"a"', 7)
    b, _ = make_line(2, prev, '"event":"b"', 6)
    (tmp_path / "audit" / "audit-000001.jsonl").write_text(f"{a}\n{b}\n")
    done = subprocess.run([KEYSTEAD, "audit", "verify", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 76 and "an earlier commit" in done.stderr


def test_show(trail):
    def seqs(*args):
        done = trail.run("show", "--json", *args)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["seq"] for line in done.stdout.splitlines()]

    assert seqs() == list(range(1, 11))
    assert seqs("--last", "3") == [8, 9, 10]
    assert seqs("--last", "0") == list(range(1, 11))
    assert seqs("--last", "5") == [6, 7, 8, 9, 10]
    assert seqs("--client", "admin") == [2, 4, 6, 8, 10]
    assert seqs("--client", "admin", "--last", "4") == [4, 6, 8, 10]
    assert seqs("--object", "key-1") == [1, 4, 7, 10]
    assert seqs("--client", "nobody") == []
    assert seqs("--failed") == [3]
    assert seqs("--operation", "get", "--last", "2") == [9, 10] and seqs("--operation", "Create") == []
    moment = json.loads(trail.lines(2)[0])["ts"]  # of record 5; a second later is the next record's
    assert seqs("--since", moment[:19]) == [5, 6, 7, 8, 9, 10] and seqs("--until", moment[:19]) == [1, 2, 3, 4, 5]
    assert seqs("--since", moment[:10], "--until", moment[:10]) == list(range(1, 11))
    assert seqs("--until", "1999-12-31") == []
    for wrong in ("yesterday", "2026-13-01", "2026", "2026-11-24T25"):
        assert trail.run("show", "--since", wrong).returncode == 64
    done = trail.run("show", "--client", "nobody")
    assert done.returncode == 0 and "no record" in done.stderr and "no record" not in done.stdout
    table = trail.run("show", str(trail.root))
    lines = table.stdout.splitlines()
    assert len(lines) == 11 and lines[0].split() == ["SEQ", "TIME", "(UTC)", "WHO", "WHAT", "RESULT", "OBJECT"]
    assert "failed" in lines[3].split() and lines[3].split()[-1] == "PermissionDenied"
    # What strangers put into a name does not reach the terminal.
    assert "\x1b" not in table.stdout and "\x9b" not in table.stdout and "na?[31mme?10" in table.stdout


def test_follow(trail):
    with subprocess.Popen([KEYSTEAD, "audit", "show", "--json", "--follow", "--last", "1", trail.root],
                          stdout=subprocess.PIPE, text=True) as follower:
        assert json.loads(follower.stdout.readline())["seq"] == 10
        line, prev = make_line(11, trail.hashes[10], '"event":"next"')
        with trail.file(3).open("a") as file:
            file.write(line[:30])
            file.flush()
            time.sleep(0.5)
            file.write(line[30:] + "\n")
        assert json.loads(follower.stdout.readline())["seq"] == 11
        line, _ = make_line(12, prev, '"event":"next file"')
        trail.file(4).write_text(line + "\n")
        assert json.loads(follower.stdout.readline())["seq"] == 12
        follower.send_signal(signal.SIGTERM)


def test_usage(trail, tmp_path):
    assert trail.run().returncode == 64
    assert trail.run("burn").returncode == 64
    assert trail.run("verify", "--head", "x").returncode == 64
    assert trail.run("show", "--last", "-1").returncode == 64
    assert trail.run("verify", "a", "b").returncode == 64
    empty = tmp_path / "empty"
    empty.mkdir()
    assert trail.run("verify", str(empty)).returncode == 3
    assert trail.run("verify", str(tmp_path / "none")).returncode == 3
    assert "Usage: keystead audit verify" in trail.run("--help").stdout
