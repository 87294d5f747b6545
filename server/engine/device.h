/* What a Device credential says, in a header (kmip_device_credential) and kept (kmip_kept_device_credential). */
#pragma once

#include "kmip/kmip.h"

enum { DEVICE_FIELDS = 5 };

struct device_field {
    uint32_t tag;
    bool has;
    struct ks_span value;
};

#define DEVICE_FIELDS_OF(d)                                                                                            \
    {                                                                                                                  \
        {KMIP_TAG_DEVICE_SERIAL_NUMBER, (d)->has_device_serial_number, (d)->device_serial_number},                     \
            {KMIP_TAG_DEVICE_IDENTIFIER, (d)->has_device_identifier, (d)->device_identifier},                          \
            {KMIP_TAG_NETWORK_IDENTIFIER, (d)->has_network_identifier, (d)->network_identifier},                       \
            {KMIP_TAG_MACHINE_IDENTIFIER, (d)->has_machine_identifier, (d)->machine_identifier},                       \
            {KMIP_TAG_MEDIA_IDENTIFIER, (d)->has_media_identifier, (d)->media_identifier},                             \
    }
