/* Set and Get Constraints, Set Defaults, and what Query says of defaults. */
#include <keystead/access.h>

#include "client/call.h"
#include "client/rows.h"

int
client_rows_numbers(struct client_call *call, const uint32_t *from, size_t n, uint32_t **ret, size_t *ret_n)
{
    uint32_t *copy = ks_arena_array(&call->arena, n + 1, sizeof(*copy));
    if (copy == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        copy[i] = from[i];
    *ret = copy;
    *ret_n = n;
    return 0;
}

int
client_rows_groups(struct client_call *call, const char *const *from, size_t n, struct kmip_object_groups **ret)
{
    if (n == 0)
        return 0;
    struct kmip_object_groups *groups = ks_arena_alloc(&call->arena, sizeof(*groups));
    struct ks_span *names = ks_arena_array(&call->arena, n, sizeof(*names));
    if (groups == NULL || names == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        names[i] = ks_span_str(from[i]);
    *groups = (struct kmip_object_groups){.object_group = names, .n_object_group = n};
    *ret = groups;
    return 0;
}

/* ---- To the server ---- */

static int
put_types(struct client_call *call, const struct ks_rule *from, struct kmip_object_types **ret)
{
    if (from->n_object_types == 0)
        return 0;
    struct kmip_object_types *types = ks_arena_alloc(&call->arena, sizeof(*types));
    if (types == NULL)
        return client_report(call, KS_E_NOMEM);
    KS_TRY(client_rows_numbers(call, from->object_types, from->n_object_types, &types->object_type,
                               &types->n_object_type));
    *ret = types;
    return 0;
}

static int
put_attributes(struct client_call *call, const struct ks_rule *from, struct kmip_attrs *ret)
{
    const struct ks_new_object only = {.attributes = from->attributes, .n_attributes = from->n_attributes};
    return client_new_attributes(call, &only, ret);
}

int
ks_client_set_constraints(struct ks_client *client, const struct ks_call *options, const struct ks_rule *rules,
                          size_t n, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_constraints all = {.n_constraint = n};
    struct kmip_constraint *rows = ks_arena_array(&call.arena, n + 1, sizeof(*rows));
    all.constraint = ks_arena_array(&call.arena, n + 1, sizeof(void *));
    if (rows == NULL || all.constraint == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        KS_TRY(put_types(&call, &rules[i], &rows[i].object_types));
        KS_TRY(client_rows_groups(&call, rules[i].groups, rules[i].n_groups, &rows[i].object_groups));
        KS_TRY(put_attributes(&call, &rules[i], &rows[i].attributes));
        all.constraint[i] = &rows[i];
    }
    const struct kmip_set_constraints_request request = {.constraints = n != 0 ? &all : NULL};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_SET_CONSTRAINTS, &request, &response, "set constraints", NULL);
}

int
ks_client_set_defaults(struct ks_client *client, const struct ks_call *options, const struct ks_rule *rules, size_t n,
                       struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_defaults_information all = {.n_object_defaults = n};
    struct kmip_object_defaults *rows = ks_arena_array(&call.arena, n + 1, sizeof(*rows));
    all.object_defaults = ks_arena_array(&call.arena, n + 1, sizeof(void *));
    if (rows == NULL || all.object_defaults == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        KS_TRY(put_types(&call, &rules[i], &rows[i].object_types));
        KS_TRY(client_rows_groups(&call, rules[i].groups, rules[i].n_groups, &rows[i].object_groups));
        KS_TRY(put_attributes(&call, &rules[i], &rows[i].attributes));
        all.object_defaults[i] = &rows[i];
    }
    const struct kmip_set_defaults_request request = {.defaults_information = n != 0 ? &all : NULL};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_SET_DEFAULTS, &request, &response, "set defaults", NULL);
}

/* ---- From the server ---- */

static int
take_rule(void *result, const struct kmip_object_types *types, const struct kmip_object_groups *groups,
          const struct kmip_attrs *attrs, struct ks_rule *ret)
{
    struct ks_arena *arena = client_result_arena(result);
    if (types != NULL) {
        ret->n_object_types = types->n_object_type;
        ret->object_types = ks_arena_dup(arena, types->object_type, types->n_object_type * sizeof(*types->object_type));
        if (ret->object_types == NULL)
            return KS_E_NOMEM;
    }
    if (groups != NULL) {
        const char **names = ks_arena_array(arena, groups->n_object_group + 1, sizeof(*names));
        if (names == NULL)
            return KS_E_NOMEM;
        for (size_t i = 0; i < groups->n_object_group; i++)
            if ((names[i] = client_result_text(result, groups->object_group[i])) == NULL)
                return KS_E_NOMEM;
        ret->n_groups = groups->n_object_group;
        ret->groups = names;
    }
    struct ks_attributes attributes = {0};
    KS_TRY(client_attributes_from(attrs, arena, &attributes));
    ret->attributes = attributes.v;
    ret->n_attributes = attributes.n;
    return 0;
}

/* Room for n rules. */
static struct ks_rules *
new_rules(size_t n, struct ks_rule **ret_v)
{
    CLIENT_RESULT struct ks_rules *rules = client_result_new(sizeof(*rules));
    if (rules == NULL || (*ret_v = ks_arena_array(client_result_arena(rules), n + 1, sizeof(**ret_v))) == NULL)
        return NULL;
    rules->n = n;
    rules->v = *ret_v;
    struct ks_rules *made = rules;
    rules = NULL;
    return made;
}

int
ks_client_get_constraints(struct ks_client *client, const struct ks_call *options, struct ks_rules **ret,
                          struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_get_constraints_request request = {0};
    struct kmip_get_constraints_response *response = NULL;
    KS_TRY(
        client_call_one(&call, KMIP_OPERATION_GET_CONSTRAINTS, &request, (void **)&response, "read constraints", NULL));
    const struct kmip_constraints *all = response->constraints;
    struct ks_rule *v = NULL;
    CLIENT_RESULT struct ks_rules *rules = new_rules(all->n_constraint, &v);
    if (rules == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < all->n_constraint; i++) {
        const struct kmip_constraint *c = all->constraint[i];
        KS_TRY(client_report(&call, take_rule(rules, c->object_types, c->object_groups, &c->attributes, &v[i])));
    }
    *ret = rules;
    rules = NULL;
    return 0;
}

int
ks_client_get_defaults(struct ks_client *client, const struct ks_call *options, struct ks_rules **ret,
                       struct ks_error *error)
{
    CALL(call, client, options, error);
    uint32_t function = KMIP_QUERY_FUNCTION_QUERY_DEFAULTS_INFORMATION;
    const struct kmip_query_request request = {.query_function = &function, .n_query_function = 1};
    struct kmip_query_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_QUERY, &request, (void **)&response, "read defaults", NULL));
    const struct kmip_defaults_information *all = response->defaults_information;
    const size_t n = all != NULL ? all->n_object_defaults : 0;
    struct ks_rule *v = NULL;
    CLIENT_RESULT struct ks_rules *rules = new_rules(n, &v);
    if (rules == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        const struct kmip_object_defaults *d = all->object_defaults[i];
        uint32_t type = d->object_type;
        const struct kmip_object_types one = {.object_type = &type, .n_object_type = 1}; /* 2.0 */
        const struct kmip_object_types *types = d->object_types == NULL && d->has_object_type ? &one : d->object_types;
        KS_TRY(client_report(&call, take_rule(rules, types, d->object_groups, &d->attributes, &v[i])));
    }
    *ret = rules;
    rules = NULL;
    return 0;
}

void
ks_rules_free(struct ks_rules *rules)
{
    client_result_free(rules);
}
