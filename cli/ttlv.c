/* keystead ttlv: shows and converts KMIP messages. */
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/split.h"
#include "kmip/wire.h"

static const char help[] =
    "Usage: keystead ttlv [OPTION]... [FILE]\n"
    "Shows KMIP messages, or converts them between TTLV, JSON and XML.\n"
    "\n"
    "Reads FILE, or standard input where FILE is - or absent. What it is, also TTLV in hexadecimal, is found out from\n"
    "its first characters. There may be several messages, one behind the other.\n"
    "\n"
    "  -f, --from=ENCODING  ttlv, hex, json or xml, instead of finding out\n"
    "  -t, --to=ENCODING    outline (the default), ttlv, hex, json or xml\n"
    "  -x, --hex=DIGITS     take the message from the command line; without DIGITS the same as --from hex\n"
    "      --show-secrets   show keys and passwords in the outline; the other encodings always have them\n"
    "      --help           show this\n"
    "\n"
    "Ends with 0, with 65 if the input is malformed (the error says where), with 64 for wrong usage.\n"
    "\n"
    "Examples:\n"
    "  keystead ttlv request.bin\n"
    "  keystead ttlv --hex 42007801000000004200770100000000\n"
    "  keystead ttlv --to ttlv request.xml > request.bin\n"
    "  xxd -p request.bin | keystead ttlv --to json\n";

/* A tool for looking at things takes more than a server does. */
static const struct kmip_limits limits = {
    .bytes = 64 << 20, .depth = KMIP_DEPTH_MAX, .items = 4 << 20, .text = 64 << 20};

enum { MEMORY = 1 << 30 };

/* What can be read and printed; hexadecimal is TTLV in other clothes. */
static const struct form {
    const char *name;
    enum kmip_encoding encoding;
    bool hex;
} forms[] = {
    {"ttlv", KMIP_ENCODING_TTLV, false}, {"hex", KMIP_ENCODING_TTLV, true},         {"json", KMIP_ENCODING_JSON, false},
    {"xml", KMIP_ENCODING_XML, false},   {"outline", KMIP_ENCODING_OUTLINE, false},
};

struct options {
    const char *file, *hex;
    const struct form *from, *to; /* from: NULL to find out */
    bool show_secrets;
};

static const struct form *
find_form(const char *name)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

static bool
is_hex(struct ks_span in)
{
    size_t digits = 0;
    for (size_t i = 0; i < in.len; i++) {
        const uint8_t c = in.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            digits++;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return digits >= 2;
}

/* TTLV in base64 begins with Qg or VA, since tags begin with 42 or 54. */
static bool
is_base64(struct ks_span in)
{
    if (in.len < 8 || (memcmp(in.data, "Qg", 2) != 0 && memcmp(in.data, "VA", 2) != 0))
        return false;
    for (size_t i = 0; i < in.len; i++)
        if (isalnum(in.data[i]) == 0 && (in.data[i] == 0 || strchr("+/=\r\n", in.data[i]) == NULL))
            return false;
    return true;
}

static int
not_readable(struct ks_span in, const char *what, struct ks_diag *diag)
{
    return ks_fail(diag, KS_E_MALFORMED, "%s%s", what,
                   is_base64(in) ? "; it looks like base64: decode it first, with base64 -d" : "");
}

static int
decode_hex(struct ks_span digits, struct ks_buf *in, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(limits.bytes);
    const int rc = ks_hex_decode(digits, &bytes);
    if (rc != 0)
        return rc == KS_E_MALFORMED
                   ? not_readable(digits, "the input is not an even number of hexadecimal digits", diag)
                   : ks_fail(diag, rc, "the input is too large");
    ks_buf_reset(in);
    return ks_buf_add_span(in, ks_buf_span(&bytes));
}

/* The input, and what it is. Hexadecimal is TTLV by then. */
static int
read_input(const struct options *o, struct ks_buf *in, enum kmip_encoding *ret, struct ks_diag *diag)
{
    *ret = KMIP_ENCODING_TTLV;
    if (o->hex != NULL)
        return decode_hex(ks_span_str(o->hex), in, diag);
    const int rc = command_read(o->file, in, diag);
    if (rc == KS_E_NOT_FOUND && is_hex(ks_span_str(o->file))) {
        *diag = (struct ks_diag){0};
        return ks_fail(diag, rc, "there is no file %.80s; if that is the message itself, say --hex before it", o->file);
    }
    KS_TRY(rc);
    const struct ks_span data = ks_buf_span(in);
    if (data.len == 0)
        return ks_fail(diag, KS_E_MALFORMED, "the input is empty");
    if (o->from == NULL) {
        if (is_hex(data))
            return decode_hex(data, in, diag);
        if (kmip_encoding_guess(data, ret))
            return 0;
        return not_readable(data, "the input is neither TTLV nor hexadecimal, JSON or XML", diag);
    }
    *ret = o->from->encoding;
    if (o->from->hex)
        return decode_hex(data, in, diag);
    return 0;
}

static int
print_message(const struct options *o, enum kmip_encoding from, struct ks_span message, struct ks_diag *diag)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(MEMORY);
    struct kmip_any_reader reader;
    struct kmip_any_writer writer;
    struct kmip_reader *r;
    struct kmip_writer *w;
    KS_TRY(kmip_write_to(o->to->encoding, o->show_secrets, &writer, &out, &w, diag));
    KS_TRY(kmip_read_from(from, message, &limits, &arena, &reader, &r, diag));
    const int rc = kmip_pump(r, w);
    if (rc != 0)
        return ks_fail(diag, rc, "%s", ks_err_text(rc));
    struct ks_span print = ks_buf_span(&out);
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(MEMORY);
    if (o->to->hex) {
        ks_hex_add(&hex, print.data, print.len);
        if (ks_buf_add_u8(&hex, '\n') != 0)
            return ks_fail(diag, hex.err, "%s", ks_err_text(hex.err));
        print = ks_buf_span(&hex);
    }
    if (ks_write_all(STDOUT_FILENO, print.data, print.len) != 0)
        return ks_fail(diag, KS_E_IO, "cannot write to standard output");
    return 0;
}

static int
print_all(const struct options *o, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(2 * limits.bytes);
    enum kmip_encoding from;
    KS_TRY(read_input(o, &in, &from, diag));
    const struct ks_span all = ks_buf_span(&in);
    size_t at = 0;
    for (unsigned n = 1;; n++) {
        struct ks_span message;
        int rc = split_next(from, all, &at, &limits, &message, diag);
        if (rc == 0 && message.len == 0)
            return n > 1 ? 0 : ks_fail(diag, KS_E_MALFORMED, "the input has no message");
        if (rc == 0 && n > 1 && o->to->encoding == KMIP_ENCODING_OUTLINE && ks_write_all(STDOUT_FILENO, "\n", 1) != 0)
            rc = ks_fail(diag, KS_E_IO, "cannot write to standard output");
        if (rc == 0)
            rc = print_message(o, from, message, diag);
        if (rc == 0)
            continue;
        /* Offsets are in the whole input. */
        if (diag->offset != KS_DIAG_NO_OFFSET && message.data != NULL)
            diag->offset += (size_t)(message.data - all.data);
        return rc;
    }
}

enum { SHOW_SECRETS = 256, HELP };

const struct option ttlv_options[] = {
    {"from", required_argument, NULL, 'f'}, {"to", required_argument, NULL, 't'},
    {"hex", required_argument, NULL, 'x'},  {"show-secrets", no_argument, NULL, SHOW_SECRETS},
    {"help", no_argument, NULL, HELP},      {0}};

int
cmd_ttlv(int argc, char **argv)
{
    struct options o = {.file = "-", .to = find_form("outline")};
    /* Digits may come on standard input: --hex at the end needs none. */
    if (argc > 1 && (strcmp(argv[argc - 1], "--hex") == 0 || strcmp(argv[argc - 1], "-x") == 0)) {
        o.from = find_form("hex");
        argc--;
    }
    for (int c; (c = getopt_long(argc, argv, "f:t:x:", ttlv_options, NULL)) != -1;) {
        switch (c) {
        case 'f':
            o.from = find_form(optarg);
            if (o.from == NULL || o.from->encoding == KMIP_ENCODING_OUTLINE)
                return command_usage("ttlv", "'%s' cannot be read", optarg);
            break;
        case 't':
            o.to = find_form(optarg);
            if (o.to == NULL)
                return command_usage("ttlv", "'%s' is no encoding", optarg);
            break;
        case 'x':
            o.hex = optarg;
            break;
        case SHOW_SECRETS:
            o.show_secrets = true;
            break;
        case HELP:
            fputs(help, stdout);
            return 0;
        default: /* getopt_long has said what is wrong */
            return command_try_help("ttlv");
        }
    }
    if (optind < argc)
        o.file = argv[optind++];
    if (optind < argc || (o.hex != NULL && (o.from != NULL || strcmp(o.file, "-") != 0)))
        return command_usage("ttlv", "one input at a time");
    if (o.to->encoding == KMIP_ENCODING_TTLV && !o.to->hex && isatty(STDOUT_FILENO))
        return command_usage("ttlv", "TTLV is binary: redirect it, or use --to hex");
    struct ks_diag diag = {0};
    return print_all(&o, &diag) == 0 ? 0 : command_failed("ttlv", &diag);
}
