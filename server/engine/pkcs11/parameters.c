/* Parameters of mechanisms: marshalled field by field, pointers as what they point to with its length before it. */
#include "server/engine/pkcs11/p11.h"

static const struct {
    uint64_t mechanism, mgf;
    uint32_t hash;
} hashes[] = {
    {0x220, 1, KMIP_HASHING_ALGORITHM_SHA_1},   {0x250, 2, KMIP_HASHING_ALGORITHM_SHA_256},
    {0x255, 5, KMIP_HASHING_ALGORITHM_SHA_224}, {0x260, 3, KMIP_HASHING_ALGORITHM_SHA_384},
    {0x270, 4, KMIP_HASHING_ALGORITHM_SHA_512},
};

/* CKD_*: how a key is made of an agreed secret (ANSI X9.63); 0: it is the secret. */
static const struct {
    uint64_t kdf;
    uint32_t hash;
} kdfs[] = {
    {1, 0},
    {2, KMIP_HASHING_ALGORITHM_SHA_1},
    {5, KMIP_HASHING_ALGORITHM_SHA_224},
    {6, KMIP_HASHING_ALGORITHM_SHA_256},
    {7, KMIP_HASHING_ALGORITHM_SHA_384},
    {8, KMIP_HASHING_ALGORITHM_SHA_512},
};

static bool
hash_of(uint64_t mechanism, uint32_t *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(hashes); i++)
        if (hashes[i].mechanism == mechanism) {
            *ret = hashes[i].hash;
            return true;
        }
    return false;
}

static bool
mgf_of(uint64_t mgf, uint32_t *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(hashes); i++)
        if (hashes[i].mgf == mgf) {
            *ret = hashes[i].hash;
            return true;
        }
    return false;
}

static struct ks_span
counted(struct ks_cursor *c)
{
    const uint32_t len = ks_cursor_be32(c);
    return ks_cursor_take(c, len);
}

/* A CK_ULONG that may be meant as a length, so some send four bytes and some eight. */
static uint64_t
number(struct ks_cursor *c, bool wide)
{
    return wide ? ks_cursor_be64(c) : ks_cursor_be32(c);
}

static bool
all_read(const struct ks_cursor *c)
{
    return c->err == 0 && ks_cursor_left(c) == 0;
}

/* CK_GCM_PARAMS: pIv, ulIvLen; ulIvBits; pAAD, ulAADLen; ulTagBits */
static bool
gcm(struct ks_span in, bool wide, struct p11_parameters *ret)
{
    struct ks_cursor c = KS_CURSOR(in);
    ret->iv = counted(&c);
    const uint64_t iv_bits = number(&c, wide);
    ret->aad = counted(&c);
    const uint64_t tag_bits = number(&c, wide);
    if (!all_read(&c) || (iv_bits != 0 && iv_bits != (uint64_t)ret->iv.len * 8) || tag_bits % 8 != 0 || tag_bits < 32 ||
        tag_bits > 128)
        return false;
    ret->tag_len = (size_t)tag_bits / 8;
    ret->kmip.tag_length = (int32_t)ret->tag_len;
    ret->kmip.has_tag_length = true;
    return ret->iv.len != 0;
}

/* CK_AES_CTR_PARAMS: ulCounterBits, cb[16]. The counter is the whole block here. */
static bool
ctr(struct ks_span in, struct p11_parameters *ret)
{
    struct ks_cursor c = KS_CURSOR(in);
    const uint64_t bits = number(&c, in.len == 24);
    ret->iv = ks_cursor_take(&c, 16);
    return all_read(&c) && bits == 128;
}

/* CK_RSA_PKCS_OAEP_PARAMS: hashAlg, mgf, source; pSourceData, ulSourceDataLen */
static bool
oaep(struct ks_span in, struct p11_parameters *ret)
{
    enum { CKZ_DATA_SPECIFIED = 1 };
    struct ks_cursor c = KS_CURSOR(in);
    const uint64_t hash = ks_cursor_be64(&c), mgf = ks_cursor_be64(&c), source = ks_cursor_be64(&c);
    const struct ks_span label = counted(&c);
    ret->kmip.mask_generator = KMIP_MASK_GENERATOR_MGF1;
    ret->kmip.has_mask_generator = ret->kmip.has_hashing_algorithm = ret->kmip.has_mask_generator_hashing_algorithm =
        true;
    ret->kmip.p_source = label;
    ret->kmip.has_p_source = label.len != 0;
    return all_read(&c) && (source == CKZ_DATA_SPECIFIED || label.len == 0) &&
           hash_of(hash, &ret->kmip.hashing_algorithm) && mgf_of(mgf, &ret->kmip.mask_generator_hashing_algorithm);
}

/* CK_RSA_PKCS_PSS_PARAMS: hashAlg, mgf, sLen */
static bool
pss(const struct p11_mechanism *m, bool digest, struct ks_span in, struct p11_parameters *ret)
{
    uint32_t own = 0;
    struct ks_cursor c = KS_CURSOR(in);
    const uint64_t hash = ks_cursor_be64(&c), mgf = ks_cursor_be64(&c), salt = number(&c, in.len == 24);
    ret->kmip.mask_generator = KMIP_MASK_GENERATOR_MGF1;
    ret->kmip.has_mask_generator = ret->kmip.has_mask_generator_hashing_algorithm = true;
    ret->kmip.salt_length = (int32_t)(salt & 0xffff);
    ret->kmip.has_salt_length = true;
    if (!hash_of(hash, &own) || (!digest && own != m->hash))
        return false;
    ret->kmip.hashing_algorithm = own;
    ret->kmip.has_hashing_algorithm = true;
    return all_read(&c) && salt <= 0xffff && mgf_of(mgf, &ret->kmip.mask_generator_hashing_algorithm);
}

/* CK_EDDSA_PARAMS: phFlag; pContextData, ulContextDataLen. The message itself is signed, without a context. */
static bool
eddsa(struct ks_span in)
{
    struct ks_cursor c = KS_CURSOR(in);
    if (in.len == 0)
        return true;
    const bool prehash = ks_cursor_u8(&c) != 0;
    return counted(&c).len == 0 && all_read(&c) && !prehash;
}

/* CK_ECDH1_DERIVE_PARAMS: kdf; ulSharedDataLen, pSharedData; ulPublicDataLen, pPublicData */
static bool
ecdh(struct ks_span in, struct p11_parameters *ret)
{
    struct ks_cursor c = KS_CURSOR(in);
    const uint64_t kdf = ks_cursor_be64(&c);
    ret->agreement.shared = counted(&c);
    ret->agreement.peer = counted(&c);
    for (size_t i = 0; i < KS_ARRAY_LEN(kdfs); i++) {
        if (kdfs[i].kdf != kdf)
            continue;
        ret->agreement.hash = kdfs[i].hash;
        return all_read(&c) && ret->agreement.peer.len != 0 &&
               (ret->agreement.hash != 0 || ret->agreement.shared.len == 0);
    }
    return false;
}

/* CK_KEY_DERIVATION_STRING_DATA: pData, ulLen. CK_AES_CBC_ENCRYPT_DATA_PARAMS: iv[16]; pData, length */
static bool
string_data(struct ks_span in, bool has_iv, struct p11_parameters *ret)
{
    struct ks_cursor c = KS_CURSOR(in);
    ret->iv = has_iv ? ks_cursor_take(&c, 16) : KS_SPAN_NONE;
    ret->data = counted(&c);
    return all_read(&c) && ret->data.len != 0;
}

/* CK_HKDF_PARAMS: bExtract, bExpand; prfHashMechanism; ulSaltType; pSalt, ulSaltLen; hSaltKey; pInfo, ulInfoLen */
static bool
hkdf(struct ks_span in, struct p11_parameters *ret)
{
    enum { SALT_NULL = 1, SALT_DATA = 2 };
    struct ks_cursor c = KS_CURSOR(in);
    const bool extract = ks_cursor_u8(&c) != 0, expand = ks_cursor_u8(&c) != 0;
    const uint64_t hash = ks_cursor_be64(&c), type = ks_cursor_be64(&c);
    ret->salt = counted(&c);
    const uint64_t key = ks_cursor_be64(&c);
    ret->data = counted(&c);
    ret->kmip.has_hashing_algorithm = true;
    return all_read(&c) && extract && expand && key == 0 && hash_of(hash, &ret->kmip.hashing_algorithm) &&
           (type == SALT_NULL ? ret->salt.len == 0 : type == SALT_DATA);
}

bool
p11_parameters_of(const struct p11_mechanism *m, struct ks_span in, struct p11_parameters *ret)
{
    *ret = (struct p11_parameters){0};
    struct kmip_cryptographic_parameters *k = &ret->kmip;
    k->block_cipher_mode = m->mode;
    k->has_block_cipher_mode = m->mode != 0;
    k->padding_method = m->padding;
    k->has_padding_method = m->padding != 0;
    k->hashing_algorithm = m->hash;
    k->has_hashing_algorithm = m->hash != 0;
    k->digital_signature_algorithm = m->signature;
    k->has_digital_signature_algorithm = m->signature != 0;
    k->cryptographic_algorithm = m->algorithm;
    /* Of a digest by whatever hash nothing else says how to sign it. */
    const bool bare =
        m->operation == KMIP_OPERATION_SIGN && m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC && m->hash == 0;
    k->has_cryptographic_algorithm = m->operation == KMIP_OPERATION_MAC || bare;
    struct ks_cursor c = KS_CURSOR(in);
    switch (m->parameter) {
    case P11_PARAMETER_NO:
        return in.len == 0;
    case P11_PARAMETER_IV: /* an array of bytes, which says its length once more */
        ret->iv = in.len == 16 ? in : counted(&c);
        return ret->iv.len == 16 && (in.len == 16 || all_read(&c));
    case P11_PARAMETER_CTR:
        return ctr(in, ret);
    case P11_PARAMETER_GCM:
        return gcm(in, true, ret) || gcm(in, false, ret);
    case P11_PARAMETER_OAEP:
        return oaep(in, ret);
    case P11_PARAMETER_PSS:
        return pss(m, false, in, ret);
    case P11_PARAMETER_PSS_DIGEST:
        return pss(m, true, in, ret);
    case P11_PARAMETER_EDDSA:
        return eddsa(in);
    case P11_PARAMETER_ECDH:
        return ecdh(in, ret);
    case P11_PARAMETER_DATA:
        return string_data(in, false, ret);
    case P11_PARAMETER_IV_DATA:
        return string_data(in, true, ret);
    case P11_PARAMETER_HKDF:
        return hkdf(in, ret);
    }
    return false;
}
