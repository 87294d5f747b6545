/* All commands that are tables. One a line. */
#include "cli/cli.h"

extern const struct cli_command cli_key_create, cli_key_register, cli_key_get, cli_key_list, cli_key_show,
    cli_key_activate, cli_key_revoke, cli_key_destroy, cli_key_rotate, cli_key_encrypt, cli_key_decrypt;
extern const struct cli_command cli_key_export, cli_key_import, cli_cert_issue, cli_cert_renew, cli_cert_validate;
extern const struct cli_command cli_key_derive, cli_key_split, cli_key_join;
extern const struct cli_command cli_key_archive, cli_key_recover;
extern const struct cli_command cli_request_list, cli_request_result, cli_request_cancel;
extern const struct cli_command cli_key_sign, cli_key_verify, cli_key_mac, cli_hash, cli_random;
extern const struct cli_command cli_client_token_create, cli_client_enroll, cli_client_list, cli_client_revoke;
extern const struct cli_command cli_client_listen;
extern const struct cli_command cli_status, cli_unseal, cli_conform, cli_completion;

const struct cli_command *const cli_commands[] = {
    &cli_key_create,
    &cli_key_register,
    &cli_key_get,
    &cli_key_list,
    &cli_key_show,
    &cli_key_activate,
    &cli_key_revoke,
    &cli_key_destroy,
    &cli_key_archive,
    &cli_key_recover,
    &cli_key_export,
    &cli_key_import,
    &cli_key_rotate,
    &cli_key_encrypt,
    &cli_key_decrypt,
    &cli_key_sign,
    &cli_key_verify,
    &cli_key_mac,
    &cli_key_derive,
    &cli_key_split,
    &cli_key_join,
    &cli_cert_issue,
    &cli_cert_renew,
    &cli_cert_validate,
    &cli_request_list,
    &cli_request_result,
    &cli_request_cancel,
    &cli_hash,
    &cli_random,
    &cli_client_token_create,
    &cli_client_enroll,
    &cli_client_list,
    &cli_client_revoke,
    &cli_client_listen,
    &cli_status,
    &cli_unseal,
    &cli_conform,
    &cli_completion,
};
const size_t cli_n_commands = KS_ARRAY_LEN(cli_commands);
