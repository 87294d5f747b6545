#include "server/engine/state.h"

const struct state_row state_rows[USE_COUNT] = {
#define STATE_USE(USE, RIGHT, PRE, IN, OUT, DEACT, COMP, DEST, DCOMP, ARCH, ALL, PROT)                                 \
    [USE_##USE] = {RIGHT_##RIGHT,                                                                                      \
                   {#PRE[0], #IN[0], #OUT[0], #DEACT[0], #COMP[0], #DEST[0], #DCOMP[0], #ARCH[0], #ALL[0], #PROT[0]}},
#include "server/engine/states.def"
#undef STATE_USE
};

/* An Active object and the dates that bound a use: KMIP 2.1, 4.41 and 4.42. */
static bool
in_window(const struct core *core, enum state_use use, int64_t now)
{
    if (use == USE_PROCESS)
        return !core_has(core, CORE_PROCESS_START_DATE) || core->v[CORE_PROCESS_START_DATE] <= now;
    if (use == USE_PROTECT || use == USE_USAGE_ALLOCATION)
        return !core_has(core, CORE_PROTECT_STOP_DATE) || now < core->v[CORE_PROTECT_STOP_DATE];
    return true;
}

enum state_column
state_column(const struct core *core, enum state_use use, int64_t now)
{
    const int64_t state = core_get(core, CORE_STATE);
    if (state == KMIP_STATE_DESTROYED)
        return STATE_DESTROYED;
    if (state == KMIP_STATE_DESTROYED_COMPROMISED)
        return STATE_DESTROYED_COMPROMISED;
    if (core_has(core, CORE_ARCHIVE_DATE))
        return STATE_ARCHIVED;
    switch (state) {
    case KMIP_STATE_ACTIVE:
        return in_window(core, use, now) ? STATE_ACTIVE_IN : STATE_ACTIVE_OUT;
    case KMIP_STATE_DEACTIVATED:
        return STATE_DEACTIVATED;
    case KMIP_STATE_COMPROMISED:
        return STATE_COMPROMISED;
    default:
        return STATE_PRE_ACTIVE;
    }
}

char
state_suspended(const struct core *core, enum state_use use)
{
    /* A mode that this version does not know can only be a stricter one. */
    const bool protect = core_get(core, CORE_SUSPENSION) == SUSPENSION_PROTECT;
    const char cell = state_rows[use].cell[protect ? STATE_SUSPENDED_TO_PROTECT : STATE_SUSPENDED];
    if (cell != 'N')
        return cell;
    return core_get(core, CORE_STATE) > KMIP_STATE_ACTIVE ? 'K' : 'D';
}

/* Transitions by date (KMIP 2.1, 4.57: 4 and 6): in this state, at that date, to the next. */
static const struct {
    int64_t from, to;
    enum core_id date;
} by_date[] = {
    {KMIP_STATE_PRE_ACTIVE, KMIP_STATE_ACTIVE, CORE_ACTIVATION_DATE},
    {KMIP_STATE_ACTIVE, KMIP_STATE_DEACTIVATED, CORE_DEACTIVATION_DATE},
};

int64_t
state_rotation_due(const struct core *core)
{
    const int64_t state = core_get(core, CORE_STATE), type = core_get(core, CORE_OBJECT_TYPE);
    const int64_t interval = core_get(core, CORE_ROTATE_INTERVAL);
    int64_t due;
    /* The public key of a pair goes with the private one. */
    if (core_get(core, CORE_ROTATE_AUTOMATIC) == 0 || interval == 0 || core_has(core, CORE_ROTATE_DATE) ||
        core_has(core, CORE_ARCHIVE_DATE) || core_has(core, CORE_SUSPENSION) ||
        (state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE) ||
        (type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && type != KMIP_OBJECT_TYPE_PRIVATE_KEY &&
         type != KMIP_OBJECT_TYPE_CERTIFICATE) ||
        __builtin_add_overflow(core_get(core, CORE_INITIAL_DATE), interval, &due))
        return STATE_NEVER;
    return core_has(core, CORE_ROTATE_RETRY) && core->v[CORE_ROTATE_RETRY] > due ? core->v[CORE_ROTATE_RETRY] : due;
}

static int64_t
transition_due(const struct core *core)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(by_date); i++)
        if (core_get(core, CORE_STATE) == by_date[i].from && core_has(core, by_date[i].date))
            return core->v[by_date[i].date];
    return STATE_NEVER;
}

int64_t
state_next_due(const struct core *core)
{
    const int64_t transition = transition_due(core), rotation = state_rotation_due(core);
    return transition < rotation ? transition : rotation;
}

bool
state_settle(struct core *core, int64_t now)
{
    bool changed = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(by_date); i++)
        if (core_get(core, CORE_STATE) == by_date[i].from && core_has(core, by_date[i].date) &&
            core->v[by_date[i].date] <= now) {
            core_set(core, CORE_STATE, by_date[i].to);
            changed = true;
        }
    return changed;
}

bool
state_dates_fit(const struct core *core, const char **ret_what)
{
    static const struct {
        enum core_id first, second;
        const char *what;
    } order[] = {
        {CORE_ACTIVATION_DATE, CORE_PROCESS_START_DATE, "Process Start Date is before Activation Date"},
        {CORE_PROTECT_STOP_DATE, CORE_DEACTIVATION_DATE, "Deactivation Date is before Protect Stop Date"},
        {CORE_ACTIVATION_DATE, CORE_DEACTIVATION_DATE, "Deactivation Date is before Activation Date"},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(order); i++)
        if (core_has(core, order[i].first) && core_has(core, order[i].second) &&
            core->v[order[i].first] > core->v[order[i].second]) {
            *ret_what = order[i].what;
            return false;
        }
    return true;
}

const char *
state_name(uint32_t state)
{
    return state != 0 ? kmip_enum_xml_name(KMIP_TAG_STATE, state) : NULL;
}
