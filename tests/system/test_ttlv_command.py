"""keystead ttlv, as people use it."""

import os
import subprocess

import pytest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEYSTEAD = os.environ.get("KEYSTEAD_BIN", os.path.join(SOURCE, "build", "keystead"))
CORPUS = os.path.join(SOURCE, "tests", "fuzz", "corpus")

HELLO = "420020070000000B48656C6C6F20576F726C640000000000"
GET = os.path.join(CORPUS, "xml", "get-response-2.1")


def run(*arguments, data=b""):
    return subprocess.run([KEYSTEAD, "ttlv", *arguments], input=data, capture_output=True, timeout=30)


def good(*arguments, data=b""):
    done = run(*arguments, data=data)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout


def test_hexadecimal_from_the_command_line():
    assert good("--hex", HELLO) == b'CompromiseDate: "Hello World"\n'
    assert good("-x", HELLO, "-t", "xml") == b'<CompromiseDate type="TextString" value="Hello World"/>\n'


@pytest.mark.parametrize("encoding", ["ttlv", "hex", "json", "xml"])
def test_the_encoding_is_found_out(encoding):
    message = good("--to", encoding, GET)
    assert good("--to", "hex", data=message) == good("--to", "hex", GET)
    assert good("--from", encoding, "--to", "hex", data=message) == good("--to", "hex", GET)


@pytest.mark.parametrize("encoding", ["ttlv", "json", "xml"])
def test_several_messages(encoding):
    message = good("--to", encoding, GET)
    assert good("--to", "hex", data=message * 3) == good("--to", "hex", GET) * 3
    if encoding != "ttlv":
        assert good("--to", "hex", data=b"\n" + b"\n \n".join([message] * 3)) == good("--to", "hex", GET) * 3


def test_a_file_of_xml_with_one_element_around():
    message = good("--to", "xml", GET)
    case = b"<?xml version='1.0'?>\n<!-- two -->\n<KMIP>\n%s<!-- <a> -->%s</KMIP>\n" % (message, message)
    assert good("--to", "hex", data=case) == good("--to", "hex", GET) * 2


def test_secrets_are_shown_on_request_only():
    outline = good(GET).decode()
    assert "KeyMaterial: (secret, 16 bytes)" in outline
    assert "CryptographicAlgorithm: AES" in outline
    assert "0011223344" not in outline
    assert "KeyMaterial: 00112233445566778899aabbccddeeff" in good("--show-secrets", GET).decode()


def test_an_error_says_where():
    done = run(data=b"<RequestMessage><BatchItem/><BatchItem><Operation type='Enumeration' value='Creat'/>"
                    b"</BatchItem></RequestMessage>")
    assert done.returncode == 65
    assert done.stdout == b""
    assert b"RequestMessage/BatchItem[1]/Operation at offset 39" in done.stderr


def test_offsets_count_from_the_beginning_of_the_input():
    message = bytes.fromhex(HELLO)
    done = run("--to", "hex", data=message + message[:-1] + b"\x01")
    assert done.returncode == 65
    assert done.stdout.decode().strip() == HELLO.lower()
    assert b"CompromiseDate at offset 43" in done.stderr
    done = run(data=message + message[:20])
    assert done.returncode == 65
    assert b"at offset 28" in done.stderr


@pytest.mark.parametrize("data, says", [
    (b"", b"empty"),
    (b"hello", b"neither TTLV nor"),
    (b"4200", b"ends inside the header"),
    (b"420020070", b"even number"),
    (b"   \n", b"neither TTLV nor"),
    (b"{", b"name of a member"),
    (b"<KMIP></KMIP>", b"no message"),
])
def test_malformed_input(data, says):
    done = run(data=data)
    assert done.returncode == 65
    assert says in done.stderr


@pytest.mark.parametrize("arguments", [
    ["--to", "yaml"], ["--from", "outline"], ["a", "b"], ["--hex", HELLO, "a"], ["--bird"]])
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 64
    assert done.stdout == b""
    assert done.stderr != b""


def test_a_file_that_is_not_there():
    done = run("/nonexistent/message")
    assert done.returncode == 3
    assert b"/nonexistent/message" in done.stderr


def test_digits_on_standard_input():
    for flag in ("--hex", "-x"):
        assert good("--to", "outline", flag, data=HELLO.encode()) == b'CompromiseDate: "Hello World"\n'
    assert b"even number" in run("--hex", data=b"hello").stderr


def test_what_is_taken_for_a_message_by_mistake():
    import base64
    message = base64.b64encode(bytes.fromhex(HELLO))
    for arguments, data in (([], message), (["--hex", message.decode()], b"")):
        done = run(*arguments, data=data)
        assert done.returncode == 65 and b"base64 -d" in done.stderr
    done = run(HELLO)
    assert done.returncode == 3 and b"--hex" in done.stderr and len(done.stderr.splitlines()) == 1


def test_help():
    text = good("--help").decode()
    assert "Examples:" in text
    for option in ("--from", "--to", "--hex", "--show-secrets"):
        assert option in text
