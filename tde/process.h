/*
 * Which program this is, where its data directory is, where its keys come from, and what its children get.
 *
 * Everything that hands the layer on (LD_PRELOAD, the keys' descriptor, the root) is taken out of the environment at
 * the start, so that no child has it, however it is made. Programs whose work is to start others of PostgreSQL's
 * (initdb, pg_ctl, pg_upgrade, pg_rewind) put it back for those alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tde/classify.h"
#include "tde/helper.h"

/* What the guard is told; its layout changes with TDE_LAYER_VERSION alone. */
#define TDE_LAYER_VERSION 3
#define TDE_STATE_FUNCTION "keystead_tde_state"

/* What the file that is being opened for reading is read for. */
enum tde_sends {
    TDE_SENDS_NOTHING, /* for this server */
    TDE_SENDS_RAW,     /* for a base backup: as it is on the disk */
    TDE_SENDS_CLEAR,   /* for a base backup in the clear */
};

enum { TDE_STATE_KEYS = 3 * 32 + 1 };

struct tde_state {
    unsigned version; /* TDE_LAYER_VERSION of the layer */
    bool active;      /* files are encrypted */
    const char *root;
    void (*report)(const char *path);  /* set by the guard: a file below the root that no row knows was made */
    bool guarded;                      /* set by the guard */
    bool (*known)(const char *path);   /* is this path, below the root, known to the classifier? */
    char keys[TDE_STATE_KEYS];         /* identifiers of the active data keys, hexadecimal */
    enum tde_sends (*sends)(void);     /* set by the guard; may not come back, but end in an error of the server's */
    int (*permit)(int64_t *ret_until); /* tde_permit_check of the file below the root; KS_E_NOT_FOUND: there is none */
    char helper[TDE_HELPER_PATH];      /* the keystead command, by which the guard asks for the key's lease */
};

extern struct tde_state tde_state;

/* The layer encrypts in this process. */
static inline bool
tde_active(void)
{
    return tde_state.active;
}

/* Before the first encrypted file is opened: ends a server whose guard is not loaded. */
void tde_process_guarded(void);

/* A file below the root that no row knows was made. */
void tde_process_unknown(const char *path);

/*
 * pg_basebackup, connected to a server: what comes is ciphertext under these keys (in the end tde_state.keys; streams
 * are then written as they are), or, NULL, in the clear and encrypted here. Ends the program where that cannot be.
 */
void tde_process_receives(const char *keys);

/* The streams of this program are the files of a base backup that comes encrypted. */
bool tde_process_streams_raw(void);

/* The program receives base backups or WAL. */
bool tde_process_receiver(void);
bool tde_process_wants_clear(void);

/*
 * The environment for a child: for a command of the shell (sh_command), or the program itself. NULL: it gets what the
 * process has, without the layer. The descriptors are closed by _done, when the child is on its way; -1: none. A child
 * of pg_upgrade gets those of both clusters, and takes that of its own data directory.
 */
char **tde_process_child(const char *program, const char *sh_command, char *const env[], int ret_fds[TDE_ROOTS]);
void tde_process_child_done(char **env, int fds[TDE_ROOTS]);

/*
 * pg_rewind makes all that is no relation as it is in the other cluster. What is below keystead/ belongs to the keys
 * that this one is written with: that is what this path is, and it is to stay as it is.
 */
bool tde_process_keeps(int dirfd, const char *path);

/*
 * After a command of the shell has been run with success. pg_upgrade has folders of transaction status copied by cp,
 * which knows no keys: they are copied once more, from the keys of one cluster to those of the other. 0, or -1 and
 * errno.
 */
int tde_upgrade_copied(const char *command);
