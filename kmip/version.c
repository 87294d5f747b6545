#include "kmip/kmip.h"

static const struct kmip_version_number numbers[] = {
#define KMIP_VERSION(name, major, minor) [KMIP_##name] = {(major), (minor)},
#include <keystead/spec/versions.def>
#undef KMIP_VERSION
};

struct kmip_version_number
kmip_version_number(enum kmip_version version)
{
    return numbers[version];
}

int
kmip_version_find(int32_t major, int32_t minor, enum kmip_version *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(numbers); i++)
        if (numbers[i].major == major && numbers[i].minor == minor) {
            *ret = (enum kmip_version)i;
            return 0;
        }
    return KS_E_UNSUPPORTED;
}
