/* Lines of the audit trail: keystead audit verify reads files that anybody may have written. */
#include "fuzz.h"

#include "server/audit/line.h"

/* A line with a record's form follows the one that it names, or is refused with a reason; the chain moves or stays. */
static void
one_line(struct ks_span line)
{
    struct audit_line l;
    if (audit_line_parse(line, &l) != NULL)
        return;
    FUZZ_ASSERT(l.ts.data >= line.data && l.ts.data + l.ts.len <= line.data + line.len);
    struct audit_chain chain;
    const char *why = NULL;
    FUZZ_ASSERT(audit_chain_init(&chain) == 0);
    chain.head.seq = l.seq - 1;
    memcpy(chain.head.hash, l.prev, sizeof(l.prev));
    const int rc = audit_chain_follow(&chain, line, &why);
    FUZZ_ASSERT(rc == 0 || (rc == KS_E_CORRUPT && why != NULL));
    FUZZ_ASSERT((chain.head.seq == l.seq) == (rc == 0));
    audit_chain_done(&chain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ks_span rest = KS_SPAN(data, size);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        const size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        one_line(KS_SPAN(rest.data, len));
        const size_t used = end != NULL ? len + 1 : len;
        rest = KS_SPAN(rest.data + used, rest.len - used);
    }
    return 0;
}
