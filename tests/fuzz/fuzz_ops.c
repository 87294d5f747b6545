/*
 * Valid requests of every operation and version against an engine with a store, in any order. The input is not a
 * message: its bytes decide what the rows of kmip/spec leave open (which operation, which optional fields, which of the
 * objects that there are), who asks, how much time goes by, when what was done is committed, and what fails. What
 * answers hold (identifiers, correlation values, tickets, tokens, signatures) is put into later requests, so that long
 * stories happen. After each request the invariants of ops_check.h hold, its answer can be read in its version, and
 * there is an audit record for each item; at the end of a story the store holds what the engine does.
 */
#include "ops_check.h"
#include "ops_faults.h"
#include "ops_pkcs11.h"
#include "ops_world.h"
#include "server/engine/ctx.h"
#include "server/engine/message.h"

enum { REQUESTS_MAX = 40, ITEMS_MAX = 4, OPERATIONS_MOST = 96 };

static struct world world;

/* How often each operation was asked for and done: FUZZ_STATS=1 prints it at the end. A story that never gets anywhere
 * tests little. In the order of kmip_operations. */
static struct {
    unsigned long asked, done;
} stats[OPERATIONS_MOST];

/* Every row of the operations has a place there, and every one that the engine carries out is a row. */
#define KMIP_OPERATION(NAME, VALUE, ...) +1
_Static_assert((0
#include "kmip/spec/ops.def"
                ) <= OPERATIONS_MOST,
               "more operations than there is room for");
#undef KMIP_OPERATION

static void
count(uint32_t operation, bool done)
{
    size_t n;
    const struct kmip_operation *operations = kmip_operations(&n);
    for (size_t i = 0; i < n; i++)
        if (operations[i].value == operation) {
            stats[i].asked++;
            stats[i].done += done;
        }
}

/* ---- Messages ---- */

static bool
in_version(const struct feed *f, const struct kmip_operation *op)
{
    return op->since <= f->version && op->until >= f->version;
}

static struct kmip_request_batch_item *
draw_batch_item(struct feed *f, const struct kmip_operation *op)
{
    size_t n_operations;
    const struct kmip_operation *operations = kmip_operations(&n_operations);
    if (op == NULL) {
        const struct kmip_operation *known[OPERATIONS_MOST] = {0};
        uint32_t n = 0;
        for (size_t i = 0; i < n_operations; i++)
            if (in_version(f, &operations[i]))
                known[n++] = &operations[i];
        op = known[draw(f, n)];
    }
    struct kmip_request_batch_item *item = fresh(f, sizeof(*item));
    f->for_admin = (op->flags & KMIP_OP_VENDOR) != 0 || op->value == (uint32_t)KMIP_OPERATION_CREATE_GROUP ||
                   op->value == (uint32_t)KMIP_OPERATION_CREATE_USER ||
                   op->value == (uint32_t)KMIP_OPERATION_CREATE_CREDENTIAL;
    f->for_two = op->value == (uint32_t)KMIP_OPERATION_RESUME;
    item->operation = op->value;
    item->payload = fresh(f, op->request->size);
    if (draw(f, 4) == 0) {
        item->has_unique_batch_item_id = true;
        item->unique_batch_item_id = keep(f, KS_LIT("item"));
    }
    static const uint8_t sparse[] = {1, 3, 7, 15};
    f->sparse = sparse[draw(f, KS_ARRAY_LEN(sparse))];
    draw_struct(f, op->request, item->payload, 0);
    if (op->value == KMIP_OPERATION_PKCS_11 && draw(f, 16) != 0)
        draw_pkcs11(f, item->payload);
    return item;
}

/* A user's password, right or wrong, or a ticket that an answer held. */
static struct kmip_authentication *
draw_credential(struct feed *f)
{
    static const char *const users[] = {"ada", "bob", "cyd", "nobody"};
    struct kmip_authentication *a = fresh(f, sizeof(*a));
    struct kmip_credential *c = fresh(f, sizeof(*c));
    int rc;
    a->credential = fresh(f, sizeof(*a->credential));
    a->credential[0] = c;
    a->n_credential = 1;
    const struct value *ticket = NULL;
    for (size_t i = 0; i < f->values.n; i++)
        if (f->values.v[i].tag == KMIP_TAG_TICKET_VALUE && (ticket == NULL || draw(f, 2) == 0))
            ticket = &f->values.v[i];
    if (ticket != NULL && f->version >= KMIP_V2_0 && draw(f, 2) == 0) {
        struct kmip_ticket t = {.ticket_type = KMIP_TICKET_TYPE_LOGIN,
                                .ticket_value = keep(f, KS_SPAN(ticket->b, ticket->len))};
        const struct kmip_ticket_credential value = {.ticket = &t};
        c->credential_type = KMIP_CREDENTIAL_TYPE_TICKET;
        rc = kmip_item_encode(&kmip_schema_ticket_credential, f->version, &value, f->arena, &c->credential_value);
    } else {
        const struct kmip_username_password_credential value = {
            .username = ks_span_str(users[draw(f, KS_ARRAY_LEN(users))]),
            .password = draw(f, 8) == 0 ? KS_LIT("guess") : KS_LIT("secret"),
            .has_password = true};
        c->credential_type = KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD;
        rc = kmip_item_encode(&kmip_schema_username_password_credential, f->version, &value, f->arena,
                              &c->credential_value);
    }
    return rc == 0 ? a : NULL;
}

static void
draw_header(struct feed *f, struct kmip_request_header *header)
{
    const uint32_t how = draw(f, 16);
    f->sparse = 1;
    if (how == 0) { /* anything */
        draw_struct(f, &kmip_schema_request_header, header, 2);
        if (draw(f, 2) == 0)
            header->has_maximum_response_size = false;
        return;
    }
    if (how <= 2) {
        header->has_asynchronous = f->version < KMIP_V2_0;
        header->asynchronous = true;
        header->has_asynchronous_indicator = f->version >= KMIP_V2_0;
        header->asynchronous_indicator = KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY + draw(f, 3);
    }
    if (how >= 14)
        header->authentication = draw_credential(f);
    if (draw(f, 2) == 0) {
        header->has_batch_error_continuation_option = true;
        header->batch_error_continuation_option = 1 + draw(f, 3);
    }
    header->has_batch_order_option = f->version <= KMIP_V2_1 && draw(f, 4) == 0;
    header->batch_order_option = true;
}

/* only: the operation; NULL: any. */
static bool
draw_message(struct feed *f, const struct kmip_operation *only, struct ks_buf *ret, bool *ret_plain)
{
    static const uint8_t lengths[] = {1, 1, 1, 1, 2, 2, 3, ITEMS_MAX};
    struct ks_diag diag = {0};
    struct kmip_request_message msg = {0};
    struct kmip_request_header header = {0};
    struct kmip_protocol_version version = {0};
    struct kmip_request_batch_item *items[ITEMS_MAX];
    const struct kmip_version_number number = kmip_version_number(f->version);
    draw_header(f, &header);
    version.protocol_version_major = number.major;
    version.protocol_version_minor = number.minor;
    header.protocol_version = &version;
    msg.request_header = &header;
    msg.n_batch_item = only != NULL ? 1 : lengths[draw(f, KS_ARRAY_LEN(lengths))];
    for (f->item = 0; f->item < msg.n_batch_item; f->item++) {
        items[f->item] = draw_batch_item(f, only);
        if (f->item == 0 && f->for_admin) /* most of these stand alone */
            msg.n_batch_item = 1;
        if (engine_item_is_slow(items[f->item])) /* an RSA key takes longer than a fuzzer has: the kit has one */
            return false;
    }
    header.batch_count = (int32_t)msg.n_batch_item;
    msg.batch_item = items;
    *ret_plain = header.authentication == NULL;
    return kmip_request_encode(&msg, ret, &diag) == 0;
}

/* ---- Answers ---- */

/* What later requests can use. */
static void
harvest(struct feed *f, const struct kmip_item *item)
{
    for (; item != NULL; item = item->next) {
        switch (item->type) {
        case KMIP_TYPE_STRUCTURE:
            harvest(f, item->first);
            break;
        case KMIP_TYPE_TEXT_STRING:
        case KMIP_TYPE_IDENTIFIER:
            if (item->tag != KMIP_TAG_RESULT_MESSAGE)
                pool_add(item->s.len == 36 ? &f->uids : &f->texts, item->tag, item->s);
            break;
        case KMIP_TYPE_BYTE_STRING:
            pool_add(&f->values, item->tag, item->s);
            break;
        default:
            break;
        }
    }
}

static const struct kmip_item *
child(const struct kmip_item *item, uint32_t tag)
{
    for (const struct kmip_item *c = item->first; c != NULL; c = c->next)
        if (c->tag == tag)
            return c;
    return NULL;
}

/* A client who shows no credential is answered about objects of its own, and of a group's at most. */
static void
check_isolation(const struct identity *by, const struct kmip_item *message)
{
    const struct clients *clients = &world.rig.engine->clients;
    const struct client *client = clients_by_fingerprint(clients, by->fingerprint);
    for (const struct kmip_item *item = message->first; item != NULL; item = item->next) {
        const struct kmip_item *payload = child(item, KMIP_TAG_RESPONSE_PAYLOAD);
        const struct kmip_item *status = child(item, KMIP_TAG_RESULT_STATUS);
        const struct kmip_item *uid = payload != NULL ? child(payload, KMIP_TAG_UNIQUE_IDENTIFIER) : NULL;
        if (item->tag != KMIP_TAG_BATCH_ITEM || uid == NULL || status->u32 != KMIP_RESULT_STATUS_SUCCESS)
            continue;
        const struct object *object = objects_handle(&world.rig.engine->objects, uid->s);
        if (object == NULL) /* obliterated, or undone */
            continue;
        FUZZ_ASSERT(client != NULL && (client->role != IDENTITY_CLIENT || object->owner == client || object->in_group));
    }
}

/* What is suspended is not used: of a request that could not suspend it itself. */
static void
check_suspended(const struct kmip_response_message *response, const struct kmip_item *message)
{
    static const uint32_t refused[] = {KMIP_OPERATION_ENCRYPT, KMIP_OPERATION_SIGN,         KMIP_OPERATION_MAC,
                                       KMIP_OPERATION_EXPORT,  KMIP_OPERATION_OBTAIN_LEASE, KMIP_OPERATION_ACTIVATE,
                                       KMIP_OPERATION_ARCHIVE, KMIP_OPERATION_GET,          KMIP_OPERATION_DECRYPT};
    enum { LEFT_TO_PROTECT = 2 /* the last two */ };
    const struct kmip_item *item = child(message, KMIP_TAG_BATCH_ITEM);
    const struct kmip_item *payload = item != NULL ? child(item, KMIP_TAG_RESPONSE_PAYLOAD) : NULL;
    const struct kmip_item *uid = payload != NULL ? child(payload, KMIP_TAG_UNIQUE_IDENTIFIER) : NULL;
    if (response->n_batch_item != 1 || response->batch_item[0]->result_status != KMIP_RESULT_STATUS_SUCCESS ||
        uid == NULL)
        return;
    const struct object *object = objects_handle(&world.rig.engine->objects, uid->s);
    if (object == NULL || object->rev == NULL || rev_is_destroyed(object->rev))
        return;
    const int64_t mode = core_get(&object->rev->core, CORE_SUSPENSION);
    const size_t n = KS_ARRAY_LEN(refused) - (mode == SUSPENSION_PROTECT ? LEFT_TO_PROTECT : 0);
    for (size_t i = 0; mode != SUSPENSION_NONE && i < n; i++)
        FUZZ_ASSERT(response->batch_item[0]->operation != refused[i]);
}

static void
check_answer(struct feed *f, const struct identity *by, bool plain)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    struct kmip_response_message *response;
    struct kmip_item *item;
    struct ks_diag diag = {0};
    const struct engine_reply *reply = world_reply(&world);
    const struct ks_span answer = ks_buf_span(&reply->response);
    if (answer.len == 0) {
        FUZZ_ASSERT(reply->drop && faults_memory_hit());
        return;
    }
    FUZZ_ASSERT(kmip_response_decode(answer, &kmip_limits_default, &arena, &response, &diag) == 0);
    FUZZ_ASSERT(response->n_batch_item >= 1);
    FUZZ_ASSERT(reply->job.n_records >= response->n_batch_item || faults_memory_hit());
    for (size_t i = 0; i < response->n_batch_item; i++) {
        const struct kmip_response_batch_item *one = response->batch_item[i];
        const bool done = one->result_status == KMIP_RESULT_STATUS_SUCCESS;
        FUZZ_ASSERT(one->has_result_reason == (one->result_status == KMIP_RESULT_STATUS_OPERATION_FAILED));
        FUZZ_ASSERT(by->authenticated || !done || one->operation == (uint32_t)KMIP_OPERATION_ENROLL);
        count(one->operation, done);
        if (one->has_asynchronous_correlation_value)
            pool_add(&f->values, KMIP_TAG_ASYNCHRONOUS_CORRELATION_VALUE, one->asynchronous_correlation_value);
    }
    FUZZ_ASSERT(kmip_item_from_ttlv(answer, &kmip_limits_default, &arena, &item, &diag) == 0);
    if (!engine_sealed(world.rig.engine))
        check_suspended(response, item);
    if (plain && by->authenticated && !engine_sealed(world.rig.engine))
        check_isolation(by, item);
    harvest(f, item);
}

/* ---- Stories ---- */

static void
draw_commit(struct feed *f)
{
    if (world.n_queued < QUEUE - 1 && draw(f, 8) == 0)
        return; /* more joins the group */
    const uint32_t how = draw(f, 128);
    if (how >= 125)
        faults_disk(DISK_FULL + (how - 125), 1 + draw(f, 4));
    (void)world_commit(&world, how == 1 || how == 2, how == 2);
    faults_disk(DISK_WELL, 0);
    check_engine(world.rig.engine, true);
}

static void
pass_time(struct feed *f)
{
    /* Mostly little: what is kept for minutes or an hour should be found again. */
    static const int64_t seconds[] = {0, 10, 61, 301, 3601, 86401, 8640000};
    world.rig.now_us += draw(f, 8) != 7 ? 1000000 : seconds[draw(f, KS_ARRAY_LEN(seconds))] * 1000000;
    f->now_us = world.rig.now_us;
}

/* What the server does by itself. */
static void
tick(struct feed *f)
{
    struct engine *engine = world.rig.engine;
    if (engine_tick(engine, world_reply(&world))) {
        world.n_queued++;
        draw_commit(f);
    }
    struct engine_notice notice;
    if (draw(f, 4) != 0 || !engine_notice(engine, world_reply(&world), &notice))
        return;
    const bool sent = world_reply(&world)->response.len != 0;
    world.n_queued++;
    if (!world_commit(&world, false, false) || !sent)
        return;
    const bool final = draw(f, 2) == 0;
    if (engine_notice_done(engine, notice.id, final, final ? KS_SPAN_NONE : KS_LIT("nobody listens"),
                           world_reply(&world))) {
        world.n_queued++;
        draw_commit(f);
    }
}

static void
look_around(struct feed *f, const struct identity *by)
{
    enum { MINE = 16 };
    const struct engine *engine = world.rig.engine;
    const struct client *client =
        engine_sealed(engine) ? NULL : clients_by_fingerprint(&engine->clients, by->fingerprint);
    f->mine.n = f->mine.next = 0;
    if (client == NULL)
        return;
    for (const struct object *o = client->objects.newest; o != NULL && f->mine.n < MINE; o = o->own.older)
        pool_add(&f->mine, KMIP_TAG_UNIQUE_IDENTIFIER, object_uid(o));
}

static void
one_request(struct feed *f, const struct kmip_operation *only, bool failing)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 20);
    bool plain;
    f->arena = &arena;
    f->now_us = world.rig.now_us;
    const struct identity *by = &world.who[draw(f, (uint32_t)world.n_who)];
    look_around(f, by);
    const bool drawn = draw_message(f, only, &request, &plain);
    f->arena = NULL;
    if (!drawn)
        return;
    if (f->for_admin && draw(f, 4) != 3)
        by = f->for_two && draw(f, 2) == 0 ? &world.deputy : &world.rig.admin;
    if (f->by_pkcs11 && draw(f, 16) != 0)
        by = &world.rig.client; /* whose application it is */
    const uint32_t nth = failing && draw(f, 16) == 0 ? 1 + draw(f, 1 + (1U << (2 + draw(f, 10)))) : 0;
    faults_memory(nth, nth != 0 && draw(f, 4) == 0);
    engine_handle(world.rig.engine, by, ks_buf_span(&request), world_reply(&world));
    faults_memory_end();
    check_answer(f, by, plain);
    check_engine(world.rig.engine, false);
    world.n_queued++;
    draw_commit(f);
}

static void
begin(struct feed *f, const uint8_t *data, size_t size)
{
    static const enum profile profiles[] = {PROFILE_COMPAT, PROFILE_FIPS, PROFILE_COMPAT, PROFILE_CNSA2};
    *f = (struct feed){.data = data, .len = size, .kit = &world.kit, .uids = world.uids};
    const enum profile profile = profiles[draw(f, KS_ARRAY_LEN(profiles))];
    world_begin(&world, profile, draw(f, 8) == 0 ? 1 : 0);
}

/* Something to begin with: a client's keys of several kinds, active and good for everything. */
static void
furnish(struct feed *f)
{
    static const struct {
        uint32_t type, algorithm, length, how;
    } objects[] = {
        {KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, KMIP_OPERATION_CREATE},
        {KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, KMIP_OPERATION_CREATE},
        {KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 256, KMIP_OPERATION_CREATE},
        {KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, KMIP_OPERATION_CREATE_KEY_PAIR},
        {KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, 256, KMIP_OPERATION_CREATE_KEY_PAIR},
    };
    const uint32_t n = 1 + draw(f, KS_ARRAY_LEN(objects));
    for (uint32_t i = 0; i < n; i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
        KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 16);
        struct ks_diag diag = {0};
        struct kmip_attrs attrs = {.present = true};
        struct kmip_create_request create = {.object_type = objects[i].type};
        struct kmip_create_key_pair_request pair = {0};
        struct kmip_protocol_version version = {2, 1, 0};
        struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
        struct kmip_request_batch_item item = {.operation = objects[i].how};
        struct kmip_request_batch_item *items[] = {&item};
        const struct kmip_request_message msg = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
        f->arena = &arena;
        add_number(f, &attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_TYPE_ENUMERATION, objects[i].algorithm);
        add_number(f, &attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, KMIP_TYPE_INTEGER, objects[i].length);
        add_number(f, &attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_TYPE_INTEGER, 0xFFFFF);
        add_date(f, &attrs, KMIP_TAG_ACTIVATION_DATE, world.rig.now_us / 1000000 - 10);
        add_custom(f, &attrs);
        create.attributes = pair.common_attributes = attrs;
        item.payload = objects[i].how == KMIP_OPERATION_CREATE ? (void *)&create : (void *)&pair;
        FUZZ_ASSERT(kmip_request_encode(&msg, &request, &diag) == 0);
        engine_handle(world.rig.engine, &world.rig.client, ks_buf_span(&request), world_reply(&world));
        check_answer(f, &world.rig.client, true);
        world.n_queued++;
        FUZZ_ASSERT(world_commit(&world, false, false));
        f->arena = NULL;
    }
}

/* The end of a story: the store has it all, and so has an engine that is loaded from it. */
static void
end(void)
{
    if (world.n_queued != 0)
        (void)world_commit(&world, false, false);
    check_engine(world.rig.engine, true);
    check_store(&world.rig);
}

/* Every operation of every version is asked for, whatever the inputs are. */
static void
ask_everything(void)
{
    static struct feed f;
    uint8_t data[1024];
    size_t n_operations;
    const struct kmip_operation *operations = kmip_operations(&n_operations);
    for (unsigned version = KMIP_V1_0; version <= KMIP_V3_0; version++) {
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)((i * i + 7 * i + version * 31) * 2654435761U >> 13);
        begin(&f, data, sizeof(data));
        furnish(&f);
        f.version = (enum kmip_version)version;
        for (size_t i = 0; i < n_operations; i++) {
            const unsigned long before = stats[i].asked;
            if (!in_version(&f, &operations[i]))
                continue;
            /* Where the input is at its end, what can be left out is. */
            for (unsigned tries = 0; tries < 64 && stats[i].asked == before; tries++) {
                f.pos = tries == 63 ? f.len : (i * 131 + tries * 17) % 768;
                one_request(&f, &operations[i], false);
            }
            if (stats[i].asked == before)
                fprintf(stderr, "%s was not asked for in version %u\n", operations[i].name, version);
            FUZZ_ASSERT(stats[i].asked != before);
        }
        end();
    }
}

static void
finish(void)
{
    size_t n;
    const char *const wanted = getenv("FUZZ_STATS");
    const struct kmip_operation *operations = kmip_operations(&n);
    for (size_t i = 0; wanted != NULL && i < n; i++)
        fprintf(stderr, "%-30s %10lu asked %10lu done\n", operations[i].name, stats[i].asked, stats[i].done);
    if (wanted != NULL)
        fprintf(stderr, "%lu commits refused\n", world.n_refused);
    world_free(&world);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct feed f;
    static bool open;
    if (!open) {
        open = true;
        world_make(&world);
        (void)atexit(finish);
        ask_everything();
    }
    begin(&f, data, size);
    furnish(&f);
    f.by_pkcs11 = draw(&f, 8) == 7; /* a story told through the other interface */
    for (size_t n = 0; n < REQUESTS_MAX && f.pos < f.len; n++) {
        if (draw(&f, 1024) == 1023 && !engine_sealed(world.rig.engine)) {
            if (world.n_queued == 0 || world_commit(&world, false, false))
                engine_seal(world.rig.engine);
        }
        f.version = (enum kmip_version)draw(&f, KMIP_V3_0 + 1);
        const bool call = f.by_pkcs11 && f.version >= KMIP_V2_0 && draw(&f, 8) != 0;
        one_request(&f, call ? kmip_operation_find(KMIP_OPERATION_PKCS_11) : NULL, true);
        pass_time(&f);
        tick(&f);
    }
    end();
    return 0;
}
