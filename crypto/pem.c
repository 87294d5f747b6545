/* PEM (crypto/cert.h). */
#include <keystead/kmip.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>

#include "crypto/cert.h"
#include "crypto/ossl.h"

enum { PEM_MAX = 1 << 24, DER_MAX = 1 << 20 };

int
ks_pem_encode(const char *label, struct ks_span der, struct ks_buf *ret, struct ks_diag *diag)
{
    if (der.len == 0 || der.len > DER_MAX)
        return ks_fail(diag, KS_E_INVALID, "PEM %s: %zu bytes cannot be written", label, der.len);
    KS_CLEANUP(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem()); /* wipes its buffer when it is freed */
    if (bio == NULL || PEM_write_bio(bio, label, "", der.data, (long)der.len) <= 0)
        return ks_ossl_fail(diag, KS_E_NOMEM, "PEM %s", label);
    char *text = NULL;
    const long len = BIO_get_mem_data(bio, &text);
    const int rc = ks_buf_add(ret, text, (size_t)len);
    return rc == 0 ? 0 : ks_fail(diag, rc, "PEM %s: no room for %ld bytes", label, len);
}

/* Appends the first block whose label is one of n, and says which; KS_E_NOT_FOUND. */
static int
find(struct ks_span pem, const char *const *labels, size_t n, struct ks_buf *ret, size_t *ret_which,
     struct ks_diag *diag)
{
    if (pem.len > PEM_MAX)
        return ks_fail(diag, KS_E_LIMIT, "PEM: a text of %zu bytes; %d at most", pem.len, PEM_MAX);
    KS_CLEANUP(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem.len != 0 ? (const void *)pem.data : "", (int)pem.len);
    if (bio == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "PEM");
    for (;;) {
        char *name = NULL, *header = NULL;
        unsigned char *data = NULL;
        long len = 0;
        if (PEM_read_bio(bio, &name, &header, &data, &len) != 1) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                return ks_ossl_fail(diag, KS_E_MALFORMED, "PEM: damaged text");
            ERR_clear_error();
            return ks_fail(diag, KS_E_NOT_FOUND, "PEM: there is no \"-----BEGIN %s-----\" in the text", labels[0]);
        }
        size_t which = 0;
        while (which < n && strcmp(name, labels[which]) != 0)
            which++;
        int rc = 0;
        if (which < n)
            rc = header[0] != '\0' ? ks_fail(diag, KS_E_UNSUPPORTED,
                                             "PEM %s: the block is encrypted; write it unencrypted (PKCS#8)", name)
                                   : ks_buf_add(ret, data, (size_t)len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len);
        if (rc != 0)
            return ks_fail(diag, rc, "PEM: no room for %ld bytes", len);
        if (which < n) {
            *ret_which = which;
            return 0;
        }
    }
}

int
ks_pem_decode(const char *label, struct ks_span pem, struct ks_buf *ret, struct ks_diag *diag)
{
    size_t which;
    return find(pem, &label, 1, ret, &which, diag);
}

int
ks_pem_encode_key(const struct ks_pkey *key, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(DER_MAX);
    KS_TRY(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &der, diag));
    return ks_pem_encode(KS_PEM_KEY, ks_buf_span(&der), ret, diag);
}

int
ks_pem_decode_key(struct ks_span pem, struct ks_pkey **ret, struct ks_diag *diag)
{
    static const char *const labels[] = {KS_PEM_KEY, "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"};
    static const uint32_t formats[] = {KMIP_KEY_FORMAT_TYPE_PKCS_8, KMIP_KEY_FORMAT_TYPE_PKCS_1,
                                       KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY};
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(DER_MAX);
    size_t which = 0;
    KS_TRY(find(pem, labels, KS_ARRAY_LEN(labels), &der, &which, diag));
    if (which >= KS_ARRAY_LEN(formats))
        return ks_fail(diag, KS_E_UNSUPPORTED, "PEM %s: the key is encrypted; write it unencrypted (PKCS#8)",
                       labels[which]);
    return ks_pkey_parse(formats[which], true, 0, 0, ks_buf_span(&der), ret, diag);
}
