/* A disk that takes its time: preloaded (ld.so(8), LD_PRELOAD) in front of the C library. While the file that TPN_SYNC_GATE names is
 * there, fsync and fdatasync wait; then they do what they always do. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_US = 2000 };

typedef int sync_fn(int fd);

static const char *gate; /* null = none */

/* Once, before main and any thread. */
__attribute__((constructor)) static void find_gate(void)
{
    gate = getenv("TPN_SYNC_GATE"); /* NOLINT(concurrency-mt-unsafe) */
}

static int sync_behind_gate(const char *name, int fd)
{
    sync_fn *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, name);
    while (gate != NULL && access(gate, F_OK) == 0) {
        (void)usleep(LOOK_US);
    }
    return real(fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return sync_behind_gate("fsync", fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return sync_behind_gate("fdatasync", fd);
}
