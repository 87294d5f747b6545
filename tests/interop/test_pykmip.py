"""An independent client: PyKMIP, as Debian ships it, drives the server through KMIP 1.0 to 1.4 and 2.0.

PyKMIP knows nothing of Keystead; what it can do here is what any KMIP client can.
"""

import pytest

kmip = pytest.importorskip("kmip", reason="python3-pykmip is not installed")

from kmip.core import enums, objects  # noqa: E402
from kmip.core.factories.attributes import AttributeFactory  # noqa: E402
from kmip.pie import objects as pie  # noqa: E402
from kmip.pie.client import ProxyKmipClient  # noqa: E402
from kmip.pie.exceptions import KmipOperationFailure  # noqa: E402

VERSIONS = [
    enums.KMIPVersion.KMIP_1_0,
    enums.KMIPVersion.KMIP_1_1,
    enums.KMIPVersion.KMIP_1_2,
    enums.KMIPVersion.KMIP_1_3,
    enums.KMIPVersion.KMIP_1_4,
    enums.KMIPVersion.KMIP_2_0,
]


@pytest.fixture(params=VERSIONS, ids=[version.name for version in VERSIONS])
def client(request, instance, tmp_path):
    settings = tmp_path / "pykmip.conf"  # PyKMIP reads a user's file otherwise
    settings.write_text("[client]\n")
    with ProxyKmipClient(
            hostname="127.0.0.1", port=instance.port,
            cert=str(instance.dir / "admin.pem"), key=str(instance.dir / "admin.key"),
            ca=str(instance.dir / "ca.pem"), ssl_version="PROTOCOL_TLSv1_2",
            config_file=str(settings), kmip_version=request.param) as proxy:
        yield proxy


def by_name(name):
    factory = AttributeFactory()
    return [factory.create_attribute(enums.AttributeType.NAME, objects_name(name))]


def objects_name(name):
    from kmip.core.attributes import Name
    return Name.create(name, enums.NameType.UNINTERPRETED_TEXT_STRING)


def test_a_key_lives_and_dies(client):
    name = "pykmip-life-%s" % client.kmip_version.name
    uid = client.create(
        enums.CryptographicAlgorithm.AES, 256, name=name,
        cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT,
                                  enums.CryptographicUsageMask.DECRYPT])
    assert client.locate(attributes=by_name(name)) == [uid]

    key = client.get(uid)
    assert key.cryptographic_algorithm == enums.CryptographicAlgorithm.AES
    assert key.cryptographic_length == 256
    assert len(key.value) == 32

    _, attributes = client.get_attributes(uid, ["State", "Name"])
    assert state_of(attributes) == enums.State.PRE_ACTIVE
    client.activate(uid)
    _, attributes = client.get_attributes(uid, ["State"])
    assert state_of(attributes) == enums.State.ACTIVE

    with pytest.raises(KmipOperationFailure) as refused:
        client.destroy(uid)  # an active key cannot be destroyed
    assert refused.value.status == enums.ResultStatus.OPERATION_FAILED

    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid=uid,
                  revocation_message="no longer needed")
    _, attributes = client.get_attributes(uid, ["State"])
    assert state_of(attributes) == enums.State.DEACTIVATED
    client.destroy(uid)
    with pytest.raises(KmipOperationFailure):
        client.get(uid)
    assert client.locate(attributes=by_name(name)) == []


def state_of(attributes):
    found = [attribute.attribute_value.value for attribute in attributes
             if str(attribute.attribute_name) == "State"]
    assert len(found) == 1
    return found[0]


def test_a_key_made_elsewhere_comes_back_as_it_was(client):
    name = "pykmip-register-%s" % client.kmip_version.name
    value = bytes(range(32))
    uid = client.register(pie.SymmetricKey(
        enums.CryptographicAlgorithm.AES, 256, value, name=name,
        masks=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]))
    assert client.get(uid).value == value
    client.destroy(uid)


def test_a_secret_comes_back_as_it_was(client):
    secret = pie.SecretData(b"correct horse battery staple", enums.SecretDataType.PASSWORD)
    uid = client.register(secret)
    assert client.get(uid).value == b"correct horse battery staple"
    client.destroy(uid)


def test_a_key_pair_belongs_together(client):
    public, private = client.create_key_pair(
        enums.CryptographicAlgorithm.RSA, 2048,
        public_usage_mask=[enums.CryptographicUsageMask.VERIFY],
        private_usage_mask=[enums.CryptographicUsageMask.SIGN])
    assert client.get(public).cryptographic_length == 2048
    assert client.get(private).cryptographic_length == 2048
    client.destroy(private)
    client.destroy(public)


def test_an_unknown_key_is_refused_with_its_reason(client):
    with pytest.raises(KmipOperationFailure) as refused:
        client.get("00000000-0000-7000-8000-000000000000")
    expected = (enums.ResultReason.OBJECT_NOT_FOUND
                if client.kmip_version == enums.KMIPVersion.KMIP_2_0
                else enums.ResultReason.ITEM_NOT_FOUND)
    assert refused.value.reason == expected


def test_encryption_on_the_server(client):
    if client.kmip_version in (enums.KMIPVersion.KMIP_1_0, enums.KMIPVersion.KMIP_1_1):
        pytest.skip("Encrypt came with KMIP 1.2")
    uid = client.create(
        enums.CryptographicAlgorithm.AES, 256,
        cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT,
                                  enums.CryptographicUsageMask.DECRYPT])
    client.activate(uid)
    parameters = {
        "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
        "block_cipher_mode": enums.BlockCipherMode.CBC,
        "padding_method": enums.PaddingMethod.PKCS5,
    }
    iv = bytes(16)
    encrypted, _ = client.encrypt(b"attack at dawn", uid=uid,
                                  cryptographic_parameters=parameters, iv_counter_nonce=iv)
    assert encrypted != b"attack at dawn"
    assert client.decrypt(encrypted, uid=uid, cryptographic_parameters=parameters,
                          iv_counter_nonce=iv) == b"attack at dawn"
    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid=uid)
    client.destroy(uid)
