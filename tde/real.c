#include "tde/real.h"

#include <dlfcn.h>
#include <string.h>

struct tde_real tde_real_functions;

void
tde_real_find(void)
{
    void *p;
    /* POSIX has dlsym's result converted by way of its bytes. */
#define X(name, type, args)                                                                                            \
    p = dlsym(RTLD_NEXT, #name);                                                                                       \
    memcpy(&tde_real_functions.name, &p, sizeof(p));
    TDE_REAL_FUNCTIONS(X)
#undef X
}
