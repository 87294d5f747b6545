/*
 * What has to hold between any two requests. Each of these aborts the process where it does not.
 */
#pragma once

#include "engine_rig.h"

/* The engine's tables and indexes against a walk of its objects; what is destroyed has no material, and is found by
 * nothing. settled: nothing waits to be committed. */
void check_engine(struct engine *engine, bool settled);

/* An engine that is loaded from the store now is the one that there is. Nothing waits to be committed. */
void check_store(struct rig *rig);
