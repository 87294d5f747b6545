"""keystead conform: small cases of our own against a real server."""

import json

import pytest

from instance import run

HEAD = """<%sHeader><ProtocolVersion><ProtocolVersionMajor type="Integer" value="1"/>
<ProtocolVersionMinor type="Integer" value="4"/></ProtocolVersion>%s<BatchCount type="Integer" value="1"/></%sHeader>"""
REQUEST = "<RequestMessage>" + HEAD % ("Request", "", "Request") + """<BatchItem>
<Operation type="Enumeration" value="%s"/><RequestPayload>%s</RequestPayload></BatchItem></RequestMessage>"""
ANSWER = "<ResponseMessage>" + HEAD % (
    "Response", '<TimeStamp type="DateTime" value="$NOW"/>', "Response") + """<BatchItem>
<Operation type="Enumeration" value="%s"/><ResultStatus type="Enumeration" value="Success"/>
<ResponsePayload>%s</ResponsePayload></BatchItem></ResponseMessage>"""
UID = '<UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_0"/>'
KEY = '<ObjectType type="Enumeration" value="SymmetricKey"/>'
CREATE = KEY + """<TemplateAttribute>
<Attribute><AttributeName type="TextString" value="Cryptographic Algorithm"/>
<AttributeValue type="Enumeration" value="AES"/></Attribute>
<Attribute><AttributeName type="TextString" value="Cryptographic Length"/>
<AttributeValue type="Integer" value="128"/></Attribute>
<Attribute><AttributeName type="TextString" value="Cryptographic Usage Mask"/>
<AttributeValue type="Integer" value="Encrypt Decrypt"/></Attribute></TemplateAttribute>"""
STATE = """<Attribute><AttributeName type="TextString" value="State"/>
<AttributeValue type="Enumeration" value="%s"/></Attribute>"""
ASK = UID + '<AttributeName type="TextString" value="State"/>'
CREATED = REQUEST % ("Create", CREATE) + ANSWER % ("Create", KEY + UID)
DESTROYED = REQUEST % ("Destroy", UID) + ANSWER % ("Destroy", UID)

CASES = {
    "SKLC-M-1-14": CREATED + REQUEST % ("GetAttributes", ASK) +
                   ANSWER % ("GetAttributes", UID + STATE % "PreActive") + DESTROYED,
    "SKLC-M-2-14": CREATED + REQUEST % ("GetAttributes", ASK) +
                   ANSWER % ("GetAttributes", UID + STATE % "Active") + DESTROYED,
    "TC-NP-1-14": "<!-- [Server-to-Client] -->" + REQUEST % ("Notify", UID) + ANSWER % ("Notify", ""),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    (folder / "1.4").mkdir()
    for name, text in CASES.items():
        (folder / "1.4" / (name + ".xml")).write_text("<KMIP>%s</KMIP>" % text)
    (folder / "README.txt").write_text("no case")
    return folder


def conform(instance, cases, *args, check=False):
    return run("conform", "127.0.0.1:%d" % instance.port, "--cases", cases, "--ca", instance.dir / "ca.pem",
               "--cert", instance.dir / "admin.pem", "--key", instance.dir / "admin.key", *args, check=check)


def test_says_what_differs(instance, cases):
    done = conform(instance, cases)
    assert done.returncode != 0
    assert "PASS" not in done.stdout
    assert "FAIL  1.4 SKLC-M-2-14" in done.stdout
    assert "step 2 (Get Attributes) BatchItem[0]/ResponsePayload/Attribute[State]/AttributeValue: " \
           "expected Active, got PreActive" in done.stdout
    assert "SKIP  1.4 TC-NP-1-14" in done.stdout
    assert "1 passed, 1 failed, 0 without an answer that could be read, 1 skipped" in done.stdout
    assert "1 of 2 cases do not pass" in done.stderr


def test_status_of_a_run_that_passes(instance, cases):
    done = conform(instance, cases, "SKLC-M-1-*", "--verbose", check=True)
    assert "PASS  1.4 SKLC-M-1-14" in done.stdout and "M-2" not in done.stdout


def test_json_for_programs(instance, cases):
    found = {case["name"]: case for case in json.loads(conform(instance, cases, "--json").stdout)["cases"]}
    assert {name: case["verdict"] for name, case in found.items()} == {
        "SKLC-M-1-14": "PASS", "SKLC-M-2-14": "FAIL", "TC-NP-1-14": "SKIP"}
    assert found["SKLC-M-2-14"]["differences"] == [{
        "step": 2, "operation": "Get Attributes", "expected": "Active", "got": "PreActive",
        "path": "BatchItem[0]/ResponsePayload/Attribute[State]/AttributeValue"}]


def test_selects(instance, cases):
    assert "SKLC" not in conform(instance, cases, "--family", "TC,BL").stdout
    assert "0 passed, 0 failed" in conform(instance, cases, "--version", "2.1").stdout


def test_a_server_that_is_not_there(instance, cases, tmp_path):
    done = run("conform", "127.0.0.1:1", "--cases", cases, "--ca", instance.dir / "ca.pem", "--cert",
               instance.dir / "admin.pem", "--key", instance.dir / "admin.key", "SKLC-M-1-*", check=False)
    assert done.returncode != 0 and "ERROR 1.4 SKLC-M-1-14" in done.stdout and "cannot connect" in done.stdout
    done = run("conform", "127.0.0.1:1", "--cases", tmp_path / "none", check=False)
    assert done.returncode != 0 and "cannot open the folder" in done.stderr
    done = run("conform", "127.0.0.1:1", "--cases", tmp_path, check=False)
    assert done.returncode != 0 and "there are no such cases" in done.stderr


def test_a_file_that_is_no_case_is_named_and_passed_over(instance, cases, tmp_path):
    (tmp_path / "odd.xml").write_text("<KMIP><RequestMessage><Nonsense/></RequestMessage></KMIP>")
    (tmp_path / "good.xml").write_text("<KMIP>%s</KMIP>" % CASES["SKLC-M-1-14"])
    done = conform(instance, tmp_path)
    assert "odd.xml: " in done.stderr and "1 passed" in done.stdout
