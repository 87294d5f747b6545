/* XML from the wire. */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_text(KMIP_ENCODING_XML, data, size);
}
