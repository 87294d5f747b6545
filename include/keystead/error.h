/* The error codes of Keystead: 0 or a negative KS_E_*, one row each in keystead/spec/err.def. */
#ifndef KEYSTEAD_ERROR_H
#define KEYSTEAD_ERROR_H

enum ks_err {
#define KS_ERR(name, number, exit_status, text) KS_E_##name = (number),
#include <keystead/spec/err.def>
#undef KS_ERR
};

#endif
