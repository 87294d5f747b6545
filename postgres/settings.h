/*
 * The settings (GUCs) under "keystead.". All but superusers are kept from setting them, and from seeing those that
 * name files. docs/postgresql.md explains each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ks_settings {
    char *config_file; /* "" where not set, as the other texts */
    char *servers;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    int connect_timeout_ms;
    int request_timeout_ms;
    int data_key_cache_ttl_s;
};

/* The values now; the texts belong to PostgreSQL and live until the setting changes. */
extern struct ks_settings ks_settings;

/* Grows with every change of a setting that the connection depends on. */
extern uint64_t ks_settings_generation;

/* Called from _PG_init. */
void ks_settings_define(void);
