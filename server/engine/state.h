/* The life of an object: its states, what may be done in them, and the transitions that dates bring about. */
#pragma once

#include "server/engine/object.h"
#include "server/engine/policy.h"

enum state_use {
#define STATE_USE(USE, RIGHT, PRE, IN, OUT, DEACT, COMP, DEST, DCOMP, ARCH, ALL, PROT) USE_##USE,
#include "server/engine/states.def"
#undef STATE_USE
    USE_COUNT
};

/* The columns of states.def. */
enum state_column {
    STATE_PRE_ACTIVE,
    STATE_ACTIVE_IN,
    STATE_ACTIVE_OUT,
    STATE_DEACTIVATED,
    STATE_COMPROMISED,
    STATE_DESTROYED,
    STATE_DESTROYED_COMPROMISED,
    STATE_ARCHIVED,
    STATE_SUSPENDED,
    STATE_SUSPENDED_TO_PROTECT,
    STATE_COLUMNS
};

/* How an object is suspended (CORE_SUSPENSION): not used for anything, or for nothing new. */
enum suspension { SUSPENSION_NONE, SUSPENSION_ALL, SUSPENSION_PROTECT };

struct state_row {
    enum right right;
    char cell[STATE_COLUMNS];
};
extern const struct state_row state_rows[USE_COUNT];

/* By state and dates: what lies over it comes on top. */
enum state_column state_column(const struct core *core, enum state_use use, int64_t now);

/* What suspension says of a use: Y, R, W, D or K. The object is suspended, and neither destroyed nor archived. */
char state_suspended(const struct core *core, enum state_use use);

#define STATE_NEVER INT64_MAX

/* When the object is to be replaced by the server (rotate.h); STATE_NEVER. */
int64_t state_rotation_due(const struct core *core);

/* When the next transition by date, or the rotation, falls due; STATE_NEVER. */
int64_t state_next_due(const struct core *core);

/* Carries out what is due: the state, and nothing else, changes. Returns whether it did. */
bool state_settle(struct core *core, int64_t now);

/* Activation <= Process Start, Protect Stop <= Deactivation, Activation <= Deactivation; false names the two. */
bool state_dates_fit(const struct core *core, const char **ret_what);

/* "Pre-Active" as a KMIP name for the audit trail; NULL for no state. */
const char *state_name(uint32_t state);
