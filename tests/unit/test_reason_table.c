/*
 * The specification's tables of errors, row by row: what is wrong with a request, and the reason that the version of
 * the request has for it (1.x: 11; 2.x: 6.1 and 11.46). Requests are written as XML, as the published cases are.
 */
#include "engine_talk.h"

#include <stdio.h>

#define FIELD(name, type, value) "<" name " type=\"" type "\" value=\"" value "\"/>"
#define TEXT(name, value) FIELD(name, "TextString", value)
#define ENUM(name, value) FIELD(name, "Enumeration", value)
#define INT(name, value) FIELD(name, "Integer", value)
#define ID(id) TEXT("UniqueIdentifier", id)
#define AT(name, value) "<Attribute>" TEXT("AttributeName", name) value "</Attribute>"
#define AT_TEXT(name, value) AT(name, TEXT("AttributeValue", value))
#define AT_ENUM(name, value) AT(name, ENUM("AttributeValue", value))
#define AT_INT(name, value) AT(name, INT("AttributeValue", value))
#define NAME_FIELDS(text) TEXT("NameValue", text) ENUM("NameType", "UninterpretedTextString")
#define AT_NAME(text) AT("Name", "<AttributeValue>" NAME_FIELDS(text) "</AttributeValue>")
#define NAME(text) "<Name>" NAME_FIELDS(text) "</Name>"
#define TEMPLATE(attributes) "<TemplateAttribute>" attributes "</TemplateAttribute>"
#define ATTRS(attributes) "<Attributes>" attributes "</Attributes>"
#define NEW(attribute) "<NewAttribute>" attribute "</NewAttribute>"
#define CURRENT(attribute) "<CurrentAttribute>" attribute "</CurrentAttribute>"
#define ONLY_AES_1 AT_ENUM("Cryptographic Algorithm", "AES")
#define MASK_1 AT_INT("Cryptographic Usage Mask", "Encrypt Decrypt")
#define AES_1 ONLY_AES_1 MASK_1
#define AES_2 ENUM("CryptographicAlgorithm", "AES") INT("CryptographicUsageMask", "Encrypt Decrypt")
#define BITS_1(n) AT_INT("Cryptographic Length", n)
#define BITS_2(n) INT("CryptographicLength", n)
#define SYMMETRIC ENUM("ObjectType", "SymmetricKey")
#define REASON_CODE(code) "<RevocationReason>" ENUM("RevocationReasonCode", code) "</RevocationReason>"
#define RAW                                                                                                            \
    "<SymmetricKey><KeyBlock>" ENUM("KeyFormatType", "Raw") "<KeyValue>" FIELD(                                        \
        "KeyMaterial", "ByteString", "000102030405060708090a0b0c0d0e0f") "</KeyValue>" ENUM("CryptographicAlgorithm",  \
                                                                                            "AES")                     \
        INT("CryptographicLength", "128") "</KeyBlock></SymmetricKey>"
#define RAW_UNKNOWN                                                                                                    \
    "<SymmetricKey><KeyBlock>" ENUM("KeyFormatType", "Raw") "<KeyValue>" FIELD(                                        \
        "KeyMaterial", "ByteString", "000102030405060708090a0b0c0d0e0f") "</KeyValue></KeyBlock></SymmetricKey>"
#define PAIR_1(mask)                                                                                                   \
    "<CommonTemplateAttribute>" AT_ENUM("Cryptographic Algorithm", "ECDSA")                                            \
        BITS_1("256") "</CommonTemplateAttribute>"                                                                     \
                      "<PrivateKeyTemplateAttribute>" mask "</PrivateKeyTemplateAttribute>"                            \
                      "<PublicKeyTemplateAttribute>" mask "</PublicKeyTemplateAttribute>"
#define METADATA                                                                                                       \
    "<SymmetricKey><KeyBlock>" ENUM("KeyFormatType", "Raw") ENUM("CryptographicAlgorithm", "AES")                      \
        INT("CryptographicLength", "128") "</KeyBlock></SymmetricKey>"
#define MODULUS_AND_D                                                                                                  \
    "<PrivateKey><KeyBlock>" ENUM("KeyFormatType", "TransparentRSAPrivateKey") "<KeyValue><KeyMaterial>" FIELD(        \
        "Modulus", "BigInteger", "00c5062b58d8539c")                                                                   \
        FIELD("PrivateExponent", "BigInteger", "0009a1b2c3d4e5f7") "</KeyMaterial></KeyValue>" ENUM(                   \
            "CryptographicAlgorithm", "RSA") INT("CryptographicLength", "64") "</KeyBlock></PrivateKey>"
#define UNKNOWN_TAG "<TTLV tag=\"0x42fff0\" type=\"Integer\" value=\"1\"/>"
#define GROUPED_TEMPLATE(more)                                                                                         \
    ENUM("ObjectType", "Template")                                                                                     \
    "<TemplateAttribute>" AT_NAME("pattern-$V") "</TemplateAttribute><Template>" AT_TEXT("Object Group", "pool") more  \
        "</Template>"

enum { OK = 0 };
#define R(name) KMIP_RESULT_REASON_##name

/* What the requests name: $A archived, $K active, $O opaque, $P pre-active, $U of the name "used", $W metadata alone.
 */
static const struct row {
    enum kmip_version since, until;
    const char *operation, *payload;
    uint32_t reason;
} rows[] = {
    /* 1.x: 11.1; 2.1: 11.46. */
    {KMIP_V1_0, KMIP_V1_4, "Get", ID("$P") UNKNOWN_TAG, R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Get", ID("$P") UNKNOWN_TAG, R(UNKNOWN_TAG)},
    {KMIP_V1_0, KMIP_V1_4, "Get", ID("$P") INT("BatchCount", "1"), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Get", ID("$P") INT("BatchCount", "1"), R(INVALID_MESSAGE)},
    {KMIP_V1_0, KMIP_V2_1, "Get", ID("$P") ID("$P"), R(INVALID_MESSAGE)},
    {KMIP_V1_0, KMIP_V1_4, "Get", ID("$P") ENUM("KeyFormatType", "0x00000077"), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Get", ID("$P") ENUM("KeyFormatType", "0x00000077"), R(UNKNOWN_ENUMERATION)},
    {KMIP_V1_0, KMIP_V2_1, "0x00000777", ID("$P"), R(OPERATION_NOT_SUPPORTED)},
    {KMIP_V1_0, KMIP_V1_3, "Export", ID("$P"), R(OPERATION_NOT_SUPPORTED)},
    /* Create (1.x: 11.2; 2.1: 6.1.8.1) */
    {KMIP_V1_0, KMIP_V1_4, "Create", SYMMETRIC TEMPLATE(NAME("nobody") AES_1), R(ITEM_NOT_FOUND)},
    {KMIP_V1_0, KMIP_V1_4, "Create", SYMMETRIC TEMPLATE(AES_1 BITS_1("129")), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(AES_2 BITS_2("129")), R(INVALID_ATTRIBUTE_VALUE)},
    {KMIP_V1_0, KMIP_V1_4, "Create", SYMMETRIC TEMPLATE(AES_1 BITS_1("128") BITS_1("128")), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(AES_2 BITS_2("128") BITS_2("128")), R(ATTRIBUTE_SINGLE_VALUED)},
    {KMIP_V1_0, KMIP_V1_4, "Create", SYMMETRIC TEMPLATE(AES_1 BITS_1("128") AT_NAME("used")), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(AES_2 BITS_2("128") NAME("used")), R(NON_UNIQUE_NAME_ATTRIBUTE)},
    {KMIP_V1_0, KMIP_V1_4, "Create", ENUM("ObjectType", "PrivateKey") TEMPLATE(AES_1), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Create", ENUM("ObjectType", "PrivateKey") ATTRS(AES_2), R(INVALID_OBJECT_TYPE)},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(AES_2 ENUM("State", "Active")), R(ATTRIBUTE_READ_ONLY)},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(AES_2 ENUM("CertificateType", "X_509")), R(INVALID_ATTRIBUTE)},
    {KMIP_V1_0, KMIP_V2_1, "Create", SYMMETRIC, R(INVALID_MESSAGE)},
    /* Create Key Pair (1.x: 11.3) */
    {KMIP_V1_0, KMIP_V1_4, "CreateKeyPair", "", R(INVALID_MESSAGE)},
    {KMIP_V2_0, KMIP_V2_1, "CreateKeyPair", "", R(MISSING_DATA)},
    /* Register (1.x: 11.4; 2.1: 6.1.43.1) */
    {KMIP_V1_0, KMIP_V1_4, "Register", ENUM("ObjectType", "SecretData") TEMPLATE("") RAW, R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Register", ENUM("ObjectType", "SecretData") ATTRS("") RAW, R(INVALID_FIELD)},
    {KMIP_V1_0, KMIP_V1_4, "Register", SYMMETRIC TEMPLATE(AT_NAME("used") MASK_1) RAW, R(INVALID_FIELD)},
    {KMIP_V1_0, KMIP_V1_4, "Register", SYMMETRIC TEMPLATE(BITS_1("256") MASK_1) RAW, R(INVALID_FIELD)},
    {KMIP_V1_2, KMIP_V1_4, "Register", GROUPED_TEMPLATE(AT_NAME("inner")), R(INVALID_FIELD)},
    {KMIP_V1_0, KMIP_V1_4, "Register", GROUPED_TEMPLATE(""), OK},
    /* One of three ways to say an RSA key will do (1.x: 2.1.7.4), and the Public Exponent may be missing. */
    {KMIP_V1_0, KMIP_V1_4, "Register", ENUM("ObjectType", "PrivateKey") TEMPLATE(MASK_1) MODULUS_AND_D, OK},
    /* 1.x: 4.1 to 4.3, Attribute Requirements; 1.4 has a published case that creates without a mask, 2.x some more. */
    {KMIP_V1_0, KMIP_V1_4, "Register", ENUM("ObjectType", "PrivateKey") TEMPLATE("") MODULUS_AND_D, R(MISSING_DATA)},
    {KMIP_V1_0, KMIP_V1_4, "Register", SYMMETRIC TEMPLATE("") RAW, R(MISSING_DATA)},
    {KMIP_V1_0, KMIP_V1_4, "Register", SYMMETRIC TEMPLATE(MASK_1) RAW_UNKNOWN, R(MISSING_DATA)},
    {KMIP_V1_0, KMIP_V1_4, "Register", SYMMETRIC TEMPLATE(AES_1) RAW_UNKNOWN, OK},
    {KMIP_V2_0, KMIP_V2_1, "Register", SYMMETRIC ATTRS("") RAW_UNKNOWN, OK},
    {KMIP_V1_0, KMIP_V1_3, "Create", SYMMETRIC TEMPLATE(ONLY_AES_1 BITS_1("128")), R(MISSING_DATA)},
    {KMIP_V1_4, KMIP_V1_4, "Create", SYMMETRIC TEMPLATE(ONLY_AES_1 BITS_1("128")), OK},
    {KMIP_V2_0, KMIP_V2_1, "Create", SYMMETRIC ATTRS(ENUM("CryptographicAlgorithm", "AES") BITS_2("128")), OK},
    {KMIP_V1_0, KMIP_V1_4, "CreateKeyPair", PAIR_1(""), R(INVALID_MESSAGE)},
    {KMIP_V1_0, KMIP_V1_4, "CreateKeyPair", PAIR_1(MASK_1), OK},
    {KMIP_V2_0, KMIP_V2_1, "Register", ENUM("ObjectType", "PrivateKey") ATTRS("") MODULUS_AND_D, OK},
    /* Re-key (1.x: 11.5; 2.1: 6.1.46.1) */
    {KMIP_V1_0, KMIP_V1_4, "ReKey", ID("nobody"), R(ITEM_NOT_FOUND)},
    {KMIP_V1_0, KMIP_V1_4, "ReKey", ID("$O"), R(PERMISSION_DENIED)},
    {KMIP_V2_0, KMIP_V2_1, "ReKey", ID("$O"), R(INVALID_OBJECT_TYPE)},
    {KMIP_V1_0, KMIP_V2_1, "ReKey", ID("$A"), R(OBJECT_ARCHIVED)},
    {KMIP_V1_2, KMIP_V2_1, "ReKey", ID("$W"), R(KEY_VALUE_NOT_PRESENT)},
    {KMIP_V1_0, KMIP_V1_4, "ReKey",
     ID("$P") FIELD("Offset", "Interval", "1")
         TEMPLATE(AT("Activation Date", FIELD("AttributeValue", "DateTime", "2030-01-01T00:00:00+00:00"))),
     R(INVALID_MESSAGE)},
    {KMIP_V2_0, KMIP_V2_1, "ReKey",
     ID("$P") FIELD("Offset", "Interval", "1") ATTRS(FIELD("ActivationDate", "DateTime", "2030-01-01T00:00:00+00:00")),
     R(INVALID_MESSAGE)},
    /* Certify, Adjust Attribute, Create Split Key: their tables say Item, those of others Object. */
    {KMIP_V1_0, KMIP_V2_1, "Certify", ID("nobody"), R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "AdjustAttribute",
     ID("nobody") ENUM("AttributeReference", "RotateInterval") ENUM("AdjustmentType", "Increment"), R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "CreateSplitKey",
     ENUM("ObjectType", "SplitKey") ID("nobody") INT("SplitKeyParts", "3") INT("SplitKeyThreshold", "2")
         ENUM("SplitKeyMethod", "XOR") ATTRS(""),
     R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "ReKey", ID("nobody"), R(OBJECT_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "Activate", ID("nobody"), R(OBJECT_NOT_FOUND)},
    /* Locate (1.x: 11.10; 2.1: 6.1.28.1) */
    {KMIP_V1_0, KMIP_V1_4, "Locate", AT_TEXT("No Such Attribute", "x"), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Locate", ATTRS(INT("BatchCount", "1")), R(INVALID_ATTRIBUTE)},
    /* Check (1.x: 11.11) */
    {KMIP_V1_0, KMIP_V2_1, "Check", ID("$A"), R(OBJECT_ARCHIVED)},
    {KMIP_V1_0, KMIP_V1_4, "Check", ID("$P") INT("CryptographicUsageMask", "Sign"), R(PERMISSION_DENIED)},
    {KMIP_V2_0, KMIP_V2_1, "Check", ID("$P") INT("CryptographicUsageMask", "Sign"),
     R(INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK)},
    /* Get (1.x: 11.12; 2.1: 6.1.19.1) */
    {KMIP_V1_0, KMIP_V2_1, "Get", ID("$P") ENUM("KeyFormatType", "PKCS_1"), R(KEY_FORMAT_TYPE_NOT_SUPPORTED)},
    {KMIP_V1_0, KMIP_V2_1, "Get", ID("$A"), R(OBJECT_ARCHIVED)},
    {KMIP_V1_0, KMIP_V1_4, "Get",
     ID("$K") "<KeyWrappingSpecification>" ENUM("WrappingMethod", "Encrypt") "<EncryptionKeyInformation>" ID(
         "nobody") "</EncryptionKeyInformation></KeyWrappingSpecification>",
     R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "Get",
     ID("$K") "<KeyWrappingSpecification>" ENUM("WrappingMethod", "Encrypt") "<EncryptionKeyInformation>" ID(
         "nobody") "</EncryptionKeyInformation></KeyWrappingSpecification>",
     R(WRAPPING_OBJECT_NOT_FOUND)},
    /* Get Attributes and Get Attribute List (1.x: 11.13, 11.14, but for the published case TC-101) */
    {KMIP_V1_0, KMIP_V2_1, "GetAttributes", ID("$A"), OK},
    {KMIP_V1_0, KMIP_V2_1, "GetAttributeList", ID("$A"), OK},
    /* Add Attribute (1.x: 11.15; 2.1: 6.1.2.1) */
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$P") AT_ENUM("State", "Active"), R(PERMISSION_DENIED)},
    {KMIP_V2_0, KMIP_V2_1, "AddAttribute", ID("$P") NEW(ENUM("State", "Active")), R(READ_ONLY_ATTRIBUTE)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$P") AT_ENUM("Certificate Type", "X_509"), R(PERMISSION_DENIED)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$P") AT_INT("Cryptographic Usage Mask", "Sign"), R(ILLEGAL_OPERATION)},
    {KMIP_V2_0, KMIP_V2_1, "AddAttribute", ID("$P") NEW(INT("CryptographicUsageMask", "Sign")),
     R(ATTRIBUTE_SINGLE_VALUED)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute",
     ID("$P") "<Attribute>" TEXT("AttributeName", "Object Group") INT("AttributeIndex", "1")
         TEXT("AttributeValue", "pool") "</Attribute>",
     R(INVALID_FIELD)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$P") AT_NAME("used"), R(ILLEGAL_OPERATION)},
    {KMIP_V2_0, KMIP_V2_1, "AddAttribute", ID("$P") NEW(NAME("used")), R(NON_UNIQUE_NAME_ATTRIBUTE)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute",
     ID("$P") AT("Application Specific Information",
                 "<AttributeValue>" TEXT("ApplicationNamespace", "unknown") "</AttributeValue>"),
     R(APPLICATION_NAMESPACE_NOT_SUPPORTED)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$U") AT_NAME("a") AT_NAME("b"), R(INVALID_MESSAGE)},
    {KMIP_V2_0, KMIP_V2_1, "AddAttribute", ID("$U") NEW(NAME("a") NAME("b")), R(INVALID_MESSAGE)},
    {KMIP_V1_0, KMIP_V1_4, "AddAttribute", ID("$U") AT_TEXT("Object Group", "pool"), R(ILLEGAL_OPERATION)},
    {KMIP_V2_0, KMIP_V2_1, "AddAttribute", ID("$U") NEW(TEXT("ObjectGroup", "pool")), R(INVALID_ATTRIBUTE_VALUE)},
    /* Adjust Attribute (2.1: 6.1.3): what is not there is 0, or false, or no number */
    {KMIP_V2_0, KMIP_V2_1, "AdjustAttribute",
     ID("$P") ENUM("AttributeReference", "ContactInformation") ENUM("AdjustmentType", "Increment"),
     R(INVALID_DATA_TYPE)},
    {KMIP_V2_0, KMIP_V2_1, "AdjustAttribute",
     ID("$P") ENUM("AttributeReference", "State") ENUM("AdjustmentType", "Increment"), R(READ_ONLY_ATTRIBUTE)},
    {KMIP_V2_0, KMIP_V2_0, "AdjustAttribute",
     ID("$P") ENUM("AttributeReference", "ProtectionPeriod") ENUM("AdjustmentType", "Decrement"), R(NUMERIC_RANGE)},
    {KMIP_V2_0, KMIP_V2_0, "AdjustAttribute",
     ID("$P") ENUM("AttributeReference", "ProtectionPeriod") ENUM("AdjustmentType", "Increment"), OK},
    {KMIP_V2_0, KMIP_V2_0, "AdjustAttribute",
     ID("$P") ENUM("AttributeReference", "QuantumSafe") ENUM("AdjustmentType", "Negate"), OK},
    /* Modify Attribute (1.x: 11.16; 2.1: 6.1.34.1) */
    {KMIP_V1_0, KMIP_V1_4, "ModifyAttribute", ID("$P") AT_TEXT("Contact Information", "x"), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "ModifyAttribute", ID("$P") NEW(TEXT("ContactInformation", "x")), R(ATTRIBUTE_NOT_FOUND)},
    {KMIP_V1_0, KMIP_V1_4, "ModifyAttribute", ID("$P") AT_ENUM("State", "Active"), R(PERMISSION_DENIED)},
    {KMIP_V2_0, KMIP_V2_1, "ModifyAttribute", ID("$P") NEW(ENUM("State", "Active")), R(ATTRIBUTE_READ_ONLY)},
    {KMIP_V1_0, KMIP_V1_4, "ModifyAttribute",
     ID("$U") "<Attribute>" TEXT("AttributeName", "Name")
         INT("AttributeIndex", "7") "<AttributeValue>" NAME_FIELDS("other") "</AttributeValue></Attribute>",
     R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "ModifyAttribute", ID("$U") CURRENT(NAME("none")) NEW(NAME("other")),
     R(ATTRIBUTE_INSTANCE_NOT_FOUND)},
    /* Delete Attribute (1.x: 11.17; 2.1: 6.1.13.1) */
    {KMIP_V1_0, KMIP_V1_4, "DeleteAttribute", ID("$P") TEXT("AttributeName", "State"), R(PERMISSION_DENIED)},
    {KMIP_V2_0, KMIP_V2_1, "DeleteAttribute", ID("$P") ENUM("AttributeReference", "State"), R(ATTRIBUTE_READ_ONLY)},
    {KMIP_V1_0, KMIP_V1_4, "DeleteAttribute", ID("$P") TEXT("AttributeName", "Contact Information"), R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "DeleteAttribute", ID("$P") ENUM("AttributeReference", "ContactInformation"),
     R(ATTRIBUTE_NOT_FOUND)},
    /* Get Usage Allocation (1.x: 11.19; 2.1: 6.1.23.1): nothing to allocate, whatever the state */
    {KMIP_V1_0, KMIP_V1_4, "GetUsageAllocation", ID("$P") FIELD("UsageLimitsCount", "LongInteger", "1"),
     R(ILLEGAL_OPERATION)},
    {KMIP_V1_0, KMIP_V1_4, "GetUsageAllocation", ID("$K") FIELD("UsageLimitsCount", "LongInteger", "1"),
     R(ILLEGAL_OPERATION)},
    {KMIP_V2_0, KMIP_V2_1, "GetUsageAllocation", ID("$P") FIELD("UsageLimitsCount", "LongInteger", "1"),
     R(ATTRIBUTE_NOT_FOUND)},
    {KMIP_V1_0, KMIP_V2_1, "GetUsageAllocation", ID("$K"), R(INVALID_MESSAGE)},
    /* Activate, Revoke, Destroy (1.x: 11.20 to 11.22) */
    {KMIP_V1_0, KMIP_V2_0, "Activate", ID("$K"), R(PERMISSION_DENIED)},
    {KMIP_V2_1, KMIP_V2_1, "Activate", ID("$K"), R(WRONG_KEY_LIFECYCLE_STATE)},
    {KMIP_V1_0, KMIP_V1_4, "Revoke", ID("$K") REASON_CODE("0x00000077"), R(INVALID_FIELD)},
    {KMIP_V2_0, KMIP_V2_1, "Revoke", ID("$K") REASON_CODE("0x00000077"), R(UNKNOWN_ENUMERATION)},
    {KMIP_V1_0, KMIP_V2_0, "Destroy", ID("$K"), R(PERMISSION_DENIED)},
    {KMIP_V2_1, KMIP_V2_1, "Destroy", ID("$K"), R(WRONG_KEY_LIFECYCLE_STATE)},
    {KMIP_V1_0, KMIP_V2_1, "Archive", ID("$A"), R(OBJECT_ARCHIVED)},
    /* Poll (1.x: 11.29) */
    {KMIP_V1_0, KMIP_V1_4, "Poll", FIELD("AsynchronousCorrelationValue", "ByteString", "00"), R(ITEM_NOT_FOUND)},
    {KMIP_V2_0, KMIP_V2_1, "Poll", FIELD("AsynchronousCorrelationValue", "ByteString", "00"),
     R(INVALID_ASYNCHRONOUS_CORRELATION_VALUE)},
};

/* What a request is made of: its text, and the objects that it may name by a letter. */
struct world {
    struct talk t;
    const char *by_letter['Z' - 'A' + 1];
    struct ks_buf text, ttlv;
};

static void
add_payload(struct world *w, const char *text, enum kmip_version version)
{
    for (; *text != '\0'; text++) {
        char one[8];
        if (*text != '$') {
            assert_int_equal(ks_buf_add(&w->text, text, 1), 0);
            continue;
        }
        text++;
        (void)snprintf(one, sizeof(one), "%d", (int)version);
        assert_int_equal(ks_buf_add_str(&w->text, *text == 'V' ? one : w->by_letter[*text - 'A']), 0);
    }
}

/* One item; operation NULL: it has none. more_header: fields behind the version. */
static const struct kmip_response_message *
ask(struct world *w, enum kmip_version version, const char *more_header, const char *operation, const char *payload)
{
    struct talk *t = &w->t;
    const struct kmip_version_number number = kmip_version_number(version);
    struct ks_diag diag = {0};
    struct kmip_response_message *response;
    struct ks_span copy;
    ks_buf_reset(&w->text);
    ks_buf_reset(&w->ttlv);
    assert_int_equal(ks_buf_addf(&w->text,
                                 "<RequestMessage><RequestHeader><ProtocolVersion>" INT("ProtocolVersionMajor", "%d")
                                     INT("ProtocolVersionMinor", "%d") "</ProtocolVersion>%s" INT(
                                         "BatchCount", "1") "</RequestHeader><BatchItem>",
                                 (int)number.major, (int)number.minor, more_header),
                     0);
    if (operation != NULL)
        assert_int_equal(ks_buf_addf(&w->text, ENUM("Operation", "%s"), operation), 0);
    assert_int_equal(ks_buf_add_str(&w->text, "<RequestPayload>"), 0);
    add_payload(w, payload, version);
    assert_int_equal(ks_buf_add_str(&w->text, "</RequestPayload></BatchItem></RequestMessage>"), 0);
    if (kmip_transcode(KMIP_ENCODING_XML, ks_buf_span(&w->text), KMIP_ENCODING_TTLV, &kmip_limits_default, &t->arena,
                       &w->ttlv, &diag) != 0)
        fail_msg("%s: %s", operation, ks_diag_text(&diag));
    assert_int_equal(ks_arena_span(&t->arena, rig_ask(&t->rig, t->who, ks_buf_span(&w->ttlv)), &copy), 0);
    if (kmip_response_decode(copy, &kmip_limits_default, &t->arena, &response, &diag) != 0)
        fail_msg("%s: %s", operation, ks_diag_text(&diag));
    assert_int_equal(response->n_batch_item, 1);
    return response;
}

/* By a version that knows what the object is. */
static void
make(struct world *w, char letter, const char *payload)
{
    const struct kmip_response_message *m = ask(w, KMIP_V1_2, "", "Register", payload);
    if (m->batch_item[0]->result_status != KMIP_RESULT_STATUS_SUCCESS)
        fail_msg("%c: %.*s", letter, (int)m->batch_item[0]->result_message.len,
                 (const char *)m->batch_item[0]->result_message.data);
    const struct kmip_register_response *made = m->batch_item[0]->payload;
    w->by_letter[letter - 'A'] = uid_string(&w->t, &made->unique_identifier);
}

static void
world_open(struct world *w)
{
    *w = (struct world){.text = KS_BUF(1 << 20), .ttlv = KS_BUF(1 << 20)};
    talk_open(&w->t);
    make(w, 'A', SYMMETRIC TEMPLATE(AES_1) RAW);
    make(w, 'K', SYMMETRIC TEMPLATE(AES_1) RAW);
    make(w, 'O',
         ENUM("ObjectType", "OpaqueObject") TEMPLATE("") "<OpaqueObject>" ENUM("OpaqueDataType", "0x80000001")
             FIELD("OpaqueDataValue", "ByteString", "00") "</OpaqueObject>");
    make(w, 'P', SYMMETRIC TEMPLATE(AES_1) RAW);
    make(w, 'U', SYMMETRIC TEMPLATE(AES_1 AT_NAME("used") AT_TEXT("Object Group", "pool")) RAW);
    make(w, 'W',
         SYMMETRIC TEMPLATE(AES_1 AT("Key Value Location",
                                     "<AttributeValue>" TEXT("KeyValueLocationValue", "a safe")
                                         ENUM("KeyValueLocationType", "UninterpretedTextString") "</AttributeValue>"))
             METADATA);
    activate_key(&w->t, w->by_letter['K' - 'A']);
    const struct kmip_archive_request archive = {.unique_identifier = uid(w->by_letter['A' - 'A'])};
    talk_do(&w->t, KMIP_OPERATION_ARCHIVE, &archive);
}

static void
world_close(struct world *w)
{
    talk_close(&w->t);
    ks_buf_done(&w->text);
    ks_buf_done(&w->ttlv);
}

static void
every_row_has_its_reason(void **unused)
{
    (void)unused;
    struct world w;
    size_t wrong = 0;
    world_open(&w);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        for (enum kmip_version v = rows[i].since; v <= rows[i].until; v++) {
            const struct kmip_response_batch_item *item =
                ask(&w, v, "", rows[i].operation, rows[i].payload)->batch_item[0];
            const uint32_t got = item->has_result_reason ? item->result_reason : OK;
            if (got == rows[i].reason && (got != OK) == (item->result_status != KMIP_RESULT_STATUS_SUCCESS))
                continue;
            wrong++;
            print_error("row %zu, version %d: %s %s: %s (%.*s)\n", i, (int)v, rows[i].operation, rows[i].payload,
                        got != OK ? kmip_enum_name(KMIP_TAG_RESULT_REASON, got) : "done", (int)item->result_message.len,
                        (const char *)item->result_message.data);
        }
    assert_int_equal(wrong, 0);
    world_close(&w);
}

/* 1.x: 11.1; 2.1: 8.6, 11.46: what is wrong with a header has a reason too, and the answer no Operation. */
static void
headers(void **unused)
{
    (void)unused;
    static const struct {
        enum kmip_version since, until;
        const char *header;
        uint32_t reason;
    } cases[] = {
        {KMIP_V1_0, KMIP_V1_4, UNKNOWN_TAG, R(INVALID_FIELD)},
        {KMIP_V2_0, KMIP_V2_1, UNKNOWN_TAG, R(UNKNOWN_TAG)},
        {KMIP_V1_0, KMIP_V1_4, ENUM("KeyFormatType", "Raw"), R(INVALID_FIELD)},
        {KMIP_V2_0, KMIP_V2_1, ENUM("KeyFormatType", "Raw"), R(INVALID_MESSAGE)},
        {KMIP_V1_0, KMIP_V2_1, INT("MaximumResponseSize", "9999") INT("MaximumResponseSize", "9999"),
         R(INVALID_MESSAGE)},
        {KMIP_V1_0, KMIP_V1_4, ENUM("BatchErrorContinuationOption", "0x00000077"), R(INVALID_FIELD)},
        {KMIP_V2_0, KMIP_V2_1, ENUM("BatchErrorContinuationOption", "0x00000077"), R(UNKNOWN_ENUMERATION)},
    };
    struct world w;
    world_open(&w);
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        for (enum kmip_version v = cases[i].since; v <= cases[i].until; v++) {
            const struct kmip_response_message *m = ask(&w, v, cases[i].header, "Get", ID("$P"));
            const struct kmip_version_number number = kmip_version_number(v);
            assert_int_equal(m->response_header->protocol_version->protocol_version_major, number.major);
            assert_int_equal(m->response_header->protocol_version->protocol_version_minor, number.minor);
            assert_false(m->batch_item[0]->has_operation);
            assert_int_equal(m->batch_item[0]->result_reason, cases[i].reason);
        }
    world_close(&w);
}

/* "Operation: yes, if specified in Request Batch Item" (1.4: 7.2; 2.1: 8.6). */
static void
an_item_without_operation(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        const struct kmip_response_message *m = ask(&w, v, "", NULL, ID("$P"));
        assert_false(m->batch_item[0]->has_operation);
        assert_int_equal(m->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
        assert_int_equal(m->batch_item[0]->result_reason, R(INVALID_MESSAGE));
    }
    world_close(&w);
}

/* TTLV that ends early, behind a header that says which version it is. */
static void
bytes_that_are_no_ttlv(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        struct kmip_response_message *m;
        struct ks_diag diag = {0};
        (void)ask(&w, v, "", "Get", ID("$P"));
        /* The length of the last field goes beyond its payload. */
        w.ttlv.data[w.ttlv.len - 48 + 7] += 64;
        const struct ks_span answer = rig_ask(&w.t.rig, w.t.who, ks_buf_span(&w.ttlv));
        assert_int_equal(kmip_response_decode(answer, &kmip_limits_default, &w.t.arena, &m, &diag), 0);
        assert_false(m->batch_item[0]->has_operation);
        assert_int_equal(m->batch_item[0]->result_reason, v < KMIP_V2_0 ? R(INVALID_MESSAGE) : R(CODEC_ERROR));
    }
    world_close(&w);
}

/* The Operation is said where there is one item alone, however little fits; and the reason, rather than its words. */
static void
answers_that_do_not_fit(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        const struct kmip_response_message *m =
            ask(&w, v, INT("MaximumResponseSize", "8"), "Query", ENUM("QueryFunction", "QueryOperations"));
        assert_true(m->batch_item[0]->has_operation);
        assert_int_equal(m->batch_item[0]->result_reason, R(RESPONSE_TOO_LARGE));
        m = ask(&w, v, INT("MaximumResponseSize", "170"), "Get", ID("nobody"));
        assert_int_equal(m->batch_item[0]->result_reason, v < KMIP_V2_0 ? R(ITEM_NOT_FOUND) : R(OBJECT_NOT_FOUND));
        assert_false(m->batch_item[0]->has_result_message);
        assert_true(w.t.rig.reply.response.len <= 170);
    }
    world_close(&w);
}

/* "All of the structure fields are not REQUIRED to be specified" in a search (1.0: 4.8; 2.1: 6.1.28). */
static void
searches_by_parts(void **unused)
{
    (void)unused;
    static const struct {
        const char *name_1, *name_2, *fields;
        size_t n;
    } cases[] = {
        {"Name", "Name", TEXT("NameValue", "used"), 1},
        {"Name", "Name", TEXT("NameValue", "not used"), 0},
        {"Name", "Name", ENUM("NameType", "UninterpretedTextString"), 1},
        {"Name", "Name", ENUM("NameType", "URI"), 0},
        {"Link", "Link", TEXT("LinkedObjectIdentifier", "$P"), 1},
        {"Link", "Link", ENUM("LinkType", "ReplacementObjectLink"), 1},
        {"Digest", "Digest", ENUM("HashingAlgorithm", "SHA_256"), 5},
        {"Digest", "Digest", ENUM("HashingAlgorithm", "SHA_512"), 0},
        {"Usage Limits", "UsageLimits", FIELD("UsageLimitsTotal", "LongInteger", "1"), 0},
    };
    struct world w;
    char text[512];
    world_open(&w);
    const struct kmip_re_key_request re_key = {.unique_identifier = uid(w.by_letter['P' - 'A'])};
    talk_do(&w.t, KMIP_OPERATION_RE_KEY, &re_key);
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
            if (v < KMIP_V2_0)
                (void)snprintf(text, sizeof(text), AT("%s", "<AttributeValue>%s</AttributeValue>"), cases[i].name_1,
                               cases[i].fields);
            else
                (void)snprintf(text, sizeof(text), ATTRS("<%s>%s</%s>"), cases[i].name_2, cases[i].fields,
                               cases[i].name_2);
            const struct kmip_response_batch_item *item = ask(&w, v, "", "Locate", text)->batch_item[0];
            if (item->result_status != KMIP_RESULT_STATUS_SUCCESS)
                fail_msg("%s: %.*s", text, (int)item->result_message.len, (const char *)item->result_message.data);
            const struct kmip_locate_response *found = item->payload;
            if (found->n_unique_identifier != cases[i].n)
                fail_msg("%s: %zu found", text, found->n_unique_identifier);
        }
    /* What is kept has all that it needs. */
    const struct kmip_response_message *m =
        ask(&w, KMIP_V2_1, "", "AddAttribute", ID("$P") NEW("<Name>" TEXT("NameValue", "part") "</Name>"));
    assert_int_equal(m->batch_item[0]->result_reason, R(INVALID_ATTRIBUTE_VALUE));
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_reason),  cmocka_unit_test(headers),
        cmocka_unit_test(an_item_without_operation), cmocka_unit_test(bytes_that_are_no_ttlv),
        cmocka_unit_test(answers_that_do_not_fit),   cmocka_unit_test(searches_by_parts),
    };
    return cmocka_run_group_tests_name("the specification's tables of errors", tests, NULL, NULL);
}
