#include "server/engine/certificate.h"

#include "crypto/cert.h"
#include "server/engine/attr.h"
#include "server/engine/material.h"

/* The parts of a distinguished name that are attributes of their own in 2.x (2.1: 4.6). */
static const struct {
    const char *type;
    uint32_t subject, issuer;
} parts[] = {
#define PART(type, NAME)                                                                                               \
    {                                                                                                                  \
        type, KMIP_TAG_CERTIFICATE_SUBJECT_##NAME, KMIP_TAG_CERTIFICATE_ISSUER_##NAME                                  \
    }
    PART("CN", CN),
    PART("O", O),
    PART("OU", OU),
    PART("emailAddress", EMAIL),
    PART("C", C),
    PART("ST", ST),
    PART("L", L),
    PART("UID", UID),
    PART("serialNumber", SERIAL_NUMBER),
    PART("title", TITLE),
    PART("DC", DC),
    PART("dnQualifier", DN_QUALIFIER),
#undef PART
};

static int
put_text(struct ctx *ctx, struct rev *draft, uint32_t tag, struct ks_span text)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, tag, KMIP_TYPE_TEXT_STRING);
    if (item == NULL)
        return KS_E_NOMEM;
    item->s = text;
    return attr_put(ctx, draft, tag, item);
}

/* One "TYPE=value" of RFC 2253 text: escapes \x and \HH are resolved into the arena. */
static int
unescape(struct ctx *ctx, struct ks_span text, struct ks_span *ret)
{
    uint8_t *out = ks_arena_alloc(ctx->arena, text.len);
    size_t n = 0;
    if (out == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\' && i + 1 < text.len) {
            static const char digits[] = "0123456789ABCDEF";
            const char *high = i + 2 < text.len ? strchr(digits, text.data[i + 1]) : NULL;
            const char *low = high != NULL ? strchr(digits, text.data[i + 2]) : NULL;
            if (low != NULL && *low != '\0' && *high != '\0') {
                c = (uint8_t)((high - digits) << 4 | (low - digits));
                i += 2;
            } else {
                c = text.data[++i];
            }
        }
        out[n++] = c;
    }
    *ret = KS_SPAN(out, n);
    return 0;
}

static int
put_name_parts(struct ctx *ctx, struct rev *draft, const char *name, bool issuer)
{
    const char *at = name;
    while (*at != '\0') {
        const char *end = at;
        while (*end != '\0' && *end != ',' && *end != '+')
            end += *end == '\\' && end[1] != '\0' ? 2 : 1;
        const char *equals = memchr(at, '=', (size_t)(end - at));
        for (size_t i = 0; equals != NULL && i < KS_ARRAY_LEN(parts); i++) {
            if (!ks_span_is(KS_SPAN(at, (size_t)(equals - at)), parts[i].type))
                continue;
            struct ks_span value;
            KS_TRY(unescape(ctx, KS_SPAN(equals + 1, (size_t)(end - equals - 1)), &value));
            KS_TRY(put_text(ctx, draft, issuer ? parts[i].issuer : parts[i].subject, value));
        }
        at = *end != '\0' ? end + 1 : end;
    }
    return 0;
}

static int
put_struct(struct ctx *ctx, struct rev *draft, uint32_t tag, const struct kmip_schema *schema, const void *value,
           enum kmip_version version)
{
    struct kmip_item *item;
    KS_TRY(kmip_item_encode(schema, version, value, ctx->arena, &item));
    item->tag = tag;
    return attr_put(ctx, draft, tag, item);
}

/* Serial numbers are shown in capitals. */
static int
upper(struct ctx *ctx, const char *hex, struct ks_span *ret)
{
    char *copy = ks_arena_dup(ctx->arena, hex, strlen(hex));
    if (copy == NULL)
        return KS_E_NOMEM;
    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'f')
            *c = (char)(*c - 'a' + 'A');
    *ret = ks_span_str(copy);
    return 0;
}

static int
put_identifiers(struct ctx *ctx, struct rev *draft, const struct ks_cert_info *info)
{
    const struct kmip_x_509_certificate_identifier id = {.issuer_distinguished_name = info->issuer_der,
                                                         .certificate_serial_number = info->serial_der};
    const struct kmip_x_509_certificate_subject subject = {.subject_distinguished_name = info->subject_der,
                                                           .subject_alternative_name = info->subject_names_der,
                                                           .n_subject_alternative_name = info->n_subject_names_der};
    const struct kmip_x_509_certificate_issuer issuer = {.issuer_distinguished_name = info->issuer_der,
                                                         .issuer_alternative_name = info->issuer_names_der,
                                                         .n_issuer_alternative_name = info->n_issuer_names_der};
    KS_TRY(put_struct(ctx, draft, KMIP_TAG_X_509_CERTIFICATE_IDENTIFIER, &kmip_schema_x_509_certificate_identifier, &id,
                      KMIP_V2_1));
    KS_TRY(put_struct(ctx, draft, KMIP_TAG_X_509_CERTIFICATE_SUBJECT, &kmip_schema_x_509_certificate_subject, &subject,
                      KMIP_V2_1));
    KS_TRY(put_struct(ctx, draft, KMIP_TAG_X_509_CERTIFICATE_ISSUER, &kmip_schema_x_509_certificate_issuer, &issuer,
                      KMIP_V2_1));
    /* The text forms of 1.0, which 1.1 to 1.4 still know. */
    struct ks_span serial, *names = ks_arena_array(ctx->arena, info->n_names, sizeof(*names));
    KS_TRY(upper(ctx, info->serial, &serial));
    if (names == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < info->n_names; i++)
        names[i] = ks_span_str(info->names[i]);
    const struct kmip_certificate_identifier id1 = {
        .issuer = ks_span_str(info->issuer), .serial_number = serial, .has_serial_number = true};
    const struct kmip_certificate_subject subject1 = {.certificate_subject_distinguished_name =
                                                          ks_span_str(info->subject),
                                                      .certificate_subject_alternative_name = names,
                                                      .n_certificate_subject_alternative_name = info->n_names};
    const struct kmip_certificate_issuer issuer1 = {.certificate_issuer_distinguished_name = ks_span_str(info->issuer)};
    KS_TRY(
        put_struct(ctx, draft, KMIP_TAG_CERTIFICATE_IDENTIFIER, &kmip_schema_certificate_identifier, &id1, KMIP_V1_4));
    KS_TRY(
        put_struct(ctx, draft, KMIP_TAG_CERTIFICATE_SUBJECT, &kmip_schema_certificate_subject, &subject1, KMIP_V1_4));
    return put_struct(ctx, draft, KMIP_TAG_CERTIFICATE_ISSUER, &kmip_schema_certificate_issuer, &issuer1, KMIP_V1_4);
}

/* One that the client gave is overruled by what the certificate says. */
static int
put_signature(struct ctx *ctx, struct rev *draft, uint32_t number)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM, KMIP_TYPE_ENUMERATION);
    if (item == NULL)
        return KS_E_NOMEM;
    item->u32 = number;
    attr_drop(draft, KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM);
    return attr_put(ctx, draft, KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM, item);
}

int
certificate_facts(struct ctx *ctx, struct ks_span der, struct rev *draft)
{
    struct ks_cert_info info;
    const int rc = ks_cert_parse(der, ctx->arena, &info, NULL);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_BAD_FIELD, "the Certificate Value is no X.509 certificate");
    if (info.key.algorithm != 0 && !core_has(&draft->core, CORE_ALGORITHM))
        core_set(&draft->core, CORE_ALGORITHM, info.key.algorithm);
    if (info.key.bits != 0 && !core_has(&draft->core, CORE_LENGTH))
        core_set(&draft->core, CORE_LENGTH, info.key.bits);
    /* 2.x wants one of every object and has none for certificates: the published cases have Raw. */
    core_set(&draft->core, CORE_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_RAW);
    if (info.signature != 0)
        KS_TRY(put_signature(ctx, draft, info.signature));
    KS_TRY(put_name_parts(ctx, draft, info.subject, false));
    KS_TRY(put_name_parts(ctx, draft, info.issuer, true));
    return put_identifiers(ctx, draft, &info);
}

int
certificate_put(struct ctx *ctx, struct ks_span der, struct rev *draft)
{
    certificate_drop_facts(draft);
    core_set(&draft->core, CORE_CERTIFICATE_TYPE, KMIP_CERTIFICATE_TYPE_X_509);
    core_set(&draft->core, CORE_CERTIFICATE_LENGTH, (int64_t)der.len);
    KS_TRY(certificate_facts(ctx, der, draft));
    return material_put(ctx, draft, MATERIAL_BYTES, der);
}

void
certificate_drop_facts(struct rev *draft)
{
    static const uint32_t tags[] = {KMIP_TAG_X_509_CERTIFICATE_IDENTIFIER, KMIP_TAG_X_509_CERTIFICATE_SUBJECT,
                                    KMIP_TAG_X_509_CERTIFICATE_ISSUER,     KMIP_TAG_CERTIFICATE_IDENTIFIER,
                                    KMIP_TAG_CERTIFICATE_SUBJECT,          KMIP_TAG_CERTIFICATE_ISSUER};
    for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++)
        attr_drop(draft, tags[i]);
    for (size_t i = 0; i < KS_ARRAY_LEN(parts); i++) {
        attr_drop(draft, parts[i].subject);
        attr_drop(draft, parts[i].issuer);
    }
    core_clear(&draft->core, CORE_ALGORITHM);
    core_clear(&draft->core, CORE_LENGTH);
}

const char *
certificate_subject_part(uint32_t tag)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(parts); i++)
        if (parts[i].subject == tag)
            return parts[i].type;
    return NULL;
}

bool
certificate_request_readable(uint32_t type)
{
    return type == KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10 || type == KMIP_CERTIFICATE_REQUEST_TYPE_PEM;
}

int
certificate_request_der(struct ctx *ctx, uint32_t type, struct ks_span request, struct ks_span *ret,
                        struct ks_pkey **ret_key)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(1 << 16);
    struct ks_diag diag = {0};
    struct ks_span bytes = request;
    if (!certificate_request_readable(type))
        return engine_fail(ctx, COND_BAD_REQUEST_OF_CERTIFICATE,
                           "this server reads certificate requests of the types PKCS#10 and PEM alone");
    int rc = 0;
    if (type == KMIP_CERTIFICATE_REQUEST_TYPE_PEM) {
        rc = ks_pem_decode(KS_PEM_REQUEST, request, &der, &diag);
        bytes = ks_buf_span(&der);
    }
    if (rc == 0)
        rc = ks_arena_span(ctx->arena, bytes, ret);
    if (rc == 0)
        rc = ks_cert_request_key(*ret, ret_key, &diag);
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return engine_fail(ctx, COND_BAD_REQUEST_OF_CERTIFICATE, "the certificate request is not sound: %s",
                       diag.code != 0 ? diag.message : ks_err_text(rc));
}
