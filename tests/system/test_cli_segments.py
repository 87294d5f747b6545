"""keystead key encrypt and decrypt of files that are larger than a request: cli/segments.h."""

import json
import os
import stat

import pytest

SEGMENT = 512 * 1024
FRAME = 1 + 4 + 12 + 16


def split(data):
    """The line of JSON, and the segments."""
    line, _, rest = data.partition(b"\n")
    segments = []
    while rest:
        size = FRAME + int.from_bytes(rest[1:5], "big")
        segments.append(rest[:size])
        rest = rest[size:]
    return line + b"\n", segments


@pytest.fixture(scope="module")
def key(instance):
    return json.loads(instance.run("key", "create", "segments", "--json").stdout)["identifier"]


def encrypt(instance, folder, name, size, *args):
    plain, secret = folder / name, folder / (name + ".enc")
    plain.write_bytes(os.urandom(size))
    instance.run("key", "encrypt", "segments", "--in", plain, "--out", secret, *args)
    return plain.read_bytes(), secret


def refuse(instance, folder, secret, says, *args):
    out = folder / "out"
    done = instance.run("key", "decrypt", "--in", secret, "--out", out, *args, check=False)
    assert done.returncode != 0 and done.returncode < 128 and says in done.stderr, done
    assert not [name for name in os.listdir(folder) if name.startswith("out")]  # nothing half done stays


@pytest.mark.parametrize("size", [SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 1, 9 << 20])
def test_and_back(instance, key, tmp_path, size):
    plain, secret = encrypt(instance, tmp_path, "file", size)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    if size <= SEGMENT:  # one request, as ever
        assert json.loads(secret.read_text())["keystead"] == 1
    else:
        line, segments = split(secret.read_bytes())
        head = json.loads(line)
        assert head["keystead"] == 2 and head["key"] == key and head["mode"] == "GCM" and len(head["file"]) == 32
        assert [segment[0] for segment in segments] == [0] * (len(segments) - 1) + [1]
        assert len(segments) == -(-size // SEGMENT)
        assert len({segment[5:17] for segment in segments}) == len(segments)  # no IV twice
    back = tmp_path / "back"
    done = instance.run("key", "decrypt", "--in", secret, "--out", back)
    assert back.read_bytes() == plain and done.stderr == ""
    assert stat.S_IMODE(back.stat().st_mode) == 0o600


def test_pipes(instance, key, tmp_path):
    plain = ("0123456789abcde\n" * (2 * SEGMENT // 16 + 100))
    (tmp_path / "plain").write_text(plain)
    secret = tmp_path / "secret"
    with open(tmp_path / "plain") as data:
        instance.run("key", "encrypt", "segments", "--out", secret, "--aad", "row 17", stdin=data)
    assert instance.run("key", "decrypt", "segments", "--in", secret, "--aad", "row 17").stdout == plain
    refuse(instance, tmp_path, secret, "", "--aad", "row 18")
    refuse(instance, tmp_path, secret, "")


def test_whoever_changes_a_file_is_found_out(instance, key, tmp_path):
    _, secret = encrypt(instance, tmp_path, "one", 3 * SEGMENT + 5)
    _, other = encrypt(instance, tmp_path, "two", 3 * SEGMENT + 5)
    line, s = split(secret.read_bytes())
    other_line, o = split(other.read_bytes())
    assert len(s) == 4

    def flip(data, at):
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

    for what, data in {
        "the last segment is missing": line + b"".join(s[:3]),
        "cut off in a segment": line + b"".join(s)[:-1],
        "cut off in a frame": line + b"".join(s[:3]) + s[3][:10],
        "nothing but the line": line,
    }.items():
        secret.write_bytes(data)
        refuse(instance, tmp_path, secret, "missing")
        assert what
    secret.write_bytes(line + b"".join(s) + b"x")
    refuse(instance, tmp_path, secret, "appended")
    secret.write_bytes(line + b"".join(s) + s[3])
    refuse(instance, tmp_path, secret, "appended")
    for data in (
        line + s[1] + s[0] + s[2] + s[3],               # two that changed places
        line + s[0] + s[2] + s[3],                      # one that was left out
        line + s[0] + s[0] + s[1] + s[2] + s[3],        # one that comes twice
        line + s[0] + o[1] + s[2] + s[3],               # one of another file at its place
        other_line + b"".join(s),                       # all of them as those of another file
        line + s[0] + b"\x01" + s[1][1:],               # one that was made the last
        line + s[0] + s[1] + s[2] + b"\x00" + s[3][1:],  # the last, made one of the others
        line + flip(s[0], FRAME) + b"".join(s[1:]),     # data
        line + flip(s[0], 5) + b"".join(s[1:]),         # IV
        line + flip(s[0], FRAME - 1) + b"".join(s[1:]),  # tag
    ):
        secret.write_bytes(data)
        refuse(instance, tmp_path, secret, "")
    secret.write_bytes(line + b"\x02" + s[0][1:])
    refuse(instance, tmp_path, secret, "was changed")
    secret.write_bytes(line + b"\x00\xff\xff\xff\xff" + s[0][5:])
    refuse(instance, tmp_path, secret, "was changed")
    secret.write_bytes(line.replace(b"GCM", b"CBC") + b"".join(s))
    refuse(instance, tmp_path, secret, "first line")


def test_what_is_there_stays_until_the_new_one_is_whole(instance, key, tmp_path):
    plain, secret = encrypt(instance, tmp_path, "file", 2 * SEGMENT)
    back = tmp_path / "back"
    back.write_text("old")
    whole = secret.read_bytes()
    secret.write_bytes(whole[:-1])
    assert instance.run("key", "decrypt", "--in", secret, "--out", back, check=False).returncode != 0
    assert back.read_text() == "old"
    secret.write_bytes(whole)
    instance.run("key", "decrypt", "--in", secret, "--out", back)
    assert back.read_bytes() == plain


def test_modes_without_authentication_have_an_end(instance, key, tmp_path):
    (tmp_path / "plain").write_bytes(bytes((8 << 20) + 1))
    done = instance.run("key", "encrypt", "segments", "--in", tmp_path / "plain", "--mode", "ctr", check=False)
    assert done.returncode != 0 and "gcm" in done.stderr
