/* Replays files, and all files of folders, through a fuzz target. Fails when there are none. */
#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fuzz.h"

static size_t replayed;

static void
replay(const char *path)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(1 << 20);
    struct ks_diag diag = {0};
    if (ks_file_read(path, &file, &diag) != 0) {
        fprintf(stderr, "%s\n", ks_diag_text(&diag));
        exit(1);
    }
    /* A block of just that size, so that a tool that watches memory sees a step too far. */
    uint8_t *copy = malloc(file.len != 0 ? file.len : 1);
    FUZZ_ASSERT(copy != NULL);
    if (file.len != 0)
        memcpy(copy, file.data, file.len);
    (void)LLVMFuzzerTestOneInput(copy, file.len);
    free(copy);
    replayed++;
}

static void
replay_folder(const char *path)
{
    DIR *dir = opendir(path);
    FUZZ_ASSERT(dir != NULL);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        FUZZ_ASSERT(snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file));
        replay(file);
    }
    closedir(dir);
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat st;
        FUZZ_ASSERT(stat(argv[i], &st) == 0);
        if (S_ISDIR(st.st_mode))
            replay_folder(argv[i]);
        else
            replay(argv[i]);
    }
    printf("%zu inputs replayed\n", replayed);
    return replayed == 0 ? 1 : 0;
}
