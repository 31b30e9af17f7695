/* The wall clock of a program, moved from outside: preloaded (ld.so(8), LD_PRELOAD) in front of the C library.
 *
 * TPN_CLOCK_FILE names a file of 8 bytes, a signed number of milliseconds in this machine's byte order; it is mapped, so
 * a change holds from the next call on. CLOCK_REALTIME and what is made of it are moved, CLOCK_MONOTONIC is not: as when
 * somebody sets the clock. The programs under test are the real ones and know nothing of it. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int clock_fn(clockid_t id, struct timespec *now);

static clock_fn *real_clock;
static const _Atomic int64_t *offset_ms;

/* Once, before main and any thread. */
__attribute__((constructor)) static void open_clock(void)
{
    *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("TPN_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) {
        offset_ms = page;
    }
    (void)close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *now)
{
    if (real_clock == NULL) { /* another library's constructor asks before ours ran */
        *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int rc = real_clock(id, now);
    if (rc == 0 && offset_ms != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t moved = (int64_t)now->tv_nsec / 1000000 + atomic_load(offset_ms);
        int64_t seconds = moved / 1000 - (moved % 1000 < 0 ? 1 : 0);
        now->tv_sec += (time_t)seconds;
        now->tv_nsec = (long)((moved - seconds * 1000) * 1000000 + now->tv_nsec % 1000000);
    }
    return rc;
}

/* The zone is obsolete and null with everybody (gettimeofday(2)). */
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict now,
                                                        void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return rc;
}

__attribute__((visibility("default"))) time_t time(time_t *out)
{
    struct timespec exact;
    (void)clock_gettime(CLOCK_REALTIME, &exact);
    if (out != NULL) {
        *out = exact.tv_sec;
    }
    return exact.tv_sec;
}
