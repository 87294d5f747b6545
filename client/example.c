/*
 * A program that uses libkeystead: makes a key, encrypts and decrypts with it, and destroys it again.
 *
 *     cc example.c $(pkg-config --cflags --libs libkeystead) -o example
 *     ./example /etc/keystead/client.conf
 */
#include <stdio.h>
#include <string.h>

#include <keystead/client.h>

static int
use_key(struct ks_client *client, const char *uid, struct ks_error *error)
{
    static const char text[] = "4111 1111 1111 1111";
    const struct ks_crypto_params gcm = {
        .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM, .random_iv = true, .iv_length = 96, .tag_length = 16};
    struct ks_cipher_result *encrypted = NULL;
    int rc = ks_client_encrypt(client, NULL,
                               &(struct ks_cipher){.uid = uid,
                                                   .crypto = &gcm,
                                                   .data = {(const uint8_t *)text, sizeof(text) - 1},
                                                   .aad = {(const uint8_t *)"card", 4}},
                               &encrypted, error);
    if (rc != 0)
        return rc;
    printf("encrypted %zu bytes\n", encrypted->data.len);
    struct ks_cipher_result *decrypted = NULL;
    rc = ks_client_decrypt(client, NULL,
                           &(struct ks_cipher){.uid = uid,
                                               .crypto = &gcm,
                                               .data = encrypted->data,
                                               .iv = encrypted->iv,
                                               .tag = encrypted->tag,
                                               .aad = {(const uint8_t *)"card", 4}},
                           &decrypted, error);
    ks_cipher_result_free(encrypted);
    if (rc != 0)
        return rc;
    const int same =
        decrypted->data.len == sizeof(text) - 1 && memcmp(decrypted->data.data, text, sizeof(text) - 1) == 0;
    printf("%s\n", same ? "decrypted to the same" : "decrypted to something else");
    ks_cipher_result_free(decrypted);
    return same ? 0 : KS_E_INTEGRITY;
}

static int
run(struct ks_client *client, struct ks_error *error)
{
    char uid[KS_UID_SIZE];
    const struct ks_create aes = {
        .object = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                   .length = 256,
                   .usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
                   .activate = true}};
    int rc = ks_client_create(client, NULL, &aes, uid, error);
    if (rc != 0)
        return rc;
    printf("created %s\n", uid);
    rc = use_key(client, uid, error);
    /* Whatever happened, the key goes: revoked first, because an active key cannot be destroyed. */
    int cleanup = ks_client_revoke(client, NULL, uid, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION, NULL, 0,
                                   rc == 0 ? error : NULL);
    if (cleanup == 0)
        cleanup = ks_client_destroy(client, NULL, uid, rc == 0 ? error : NULL);
    if (cleanup == 0)
        printf("destroyed %s\n", uid);
    return rc != 0 ? rc : cleanup;
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CLIENT.CONF\n", argv[0]);
        return 64;
    }
    struct ks_error error = {0};
    struct ks_client_config *config = NULL;
    struct ks_client *client = NULL;
    int rc = ks_client_config_new(&config);
    if (rc == 0)
        rc = ks_client_config_load(config, argv[1], &error);
    if (rc == 0)
        rc = ks_client_new(config, &client, &error);
    if (rc == 0)
        rc = run(client, &error);
    ks_client_free(client);
    ks_client_config_free(config);
    if (rc != 0)
        fprintf(stderr, "%s\n", error.message[0] != '\0' ? error.message : ks_client_error_text(rc));
    return ks_client_exit_status(rc);
}
