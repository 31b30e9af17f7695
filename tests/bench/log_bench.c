/* The bare log that every durable queue is measured against: append a batch, fdatasync, the next one.
 *
 *   log_bench [-n messages] [-s bytes] [-b batch] [-p] FILE
 *
 * FILE is created and must not be there. It grows with each append; with -p it has its full size, written with zeros and
 * synced, before the clock starts: what a log of recycled segments would reach. Prints messages a second and the time of a
 * batch (p50, p99). Run by tests/bench/run. */
#include "clock.h"
#include "mem.h"
#include "times.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct log {
    const char *path;
    int fd;
    size_t messages;
    size_t bytes;
    size_t batch;
    bool written_before;
};

static _Noreturn void fail(const struct log *log, const char *what)
{
    int code = errno;
    (void)fprintf(stderr, "%s: ", log->path);
    errno = code;
    perror(what);
    _exit(EXIT_FAILURE);
}

/* All of it, at this place of the file. */
static void write_at(const struct log *log, const char *data, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t done = pwrite(log->fd, data, len, at);
        if (done < 0 && errno != EINTR) {
            fail(log, "pwrite");
        }
        if (done > 0) {
            data += done;
            len -= (size_t)done;
            at += done;
        }
    }
}

/* Every block of the file is written once before it counts. */
static void write_before(const struct log *log)
{
    enum { STEP = 1 << 20 };
    char *zeros = mem_zero(1, STEP);
    size_t total = log->messages * log->bytes;
    for (size_t at = 0; at < total; at += STEP) {
        write_at(log, zeros, total - at < STEP ? total - at : STEP, (off_t)at);
    }
    free(zeros);
    if (fsync(log->fd) != 0) {
        fail(log, "fsync");
    }
}

static void run(const struct log *log)
{
    char *data = mem_zero(log->batch, log->bytes);
    memset(data, 'x', log->batch * log->bytes);
    size_t batches = (log->messages + log->batch - 1) / log->batch;
    int64_t *times = mem_zero(batches, sizeof *times);
    size_t done = 0;
    int64_t start_us = clock_mono_us();
    for (size_t i = 0; i < batches; i++) {
        size_t count = log->messages - done < log->batch ? log->messages - done : log->batch;
        int64_t batch_us = clock_mono_us();
        write_at(log, data, count * log->bytes, (off_t)(done * log->bytes));
        if (fdatasync(log->fd) != 0) {
            fail(log, "fdatasync");
        }
        times[i] = clock_mono_us() - batch_us;
        done += count;
    }
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    (void)printf("messages=%zu seconds=%.3f rate=%.0f", done, seconds, (double)done / seconds);
    times_print("receipt", times, batches);
    (void)printf("\n");
    free(times);
    free(data);
}

int main(int argc, char **argv)
{
    struct log log = {.messages = 20000, .bytes = 4096, .batch = 1};
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "n:s:b:p")) != -1) {
        switch (option) {
        case 'n':
            log.messages = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 's':
            log.bytes = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'b':
            log.batch = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'p':
            log.written_before = true;
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc || log.messages == 0 || log.bytes == 0 || log.batch == 0) {
        (void)fprintf(stderr,
                      "usage: log_bench [-n messages] [-s bytes] [-b batch] [-p] FILE\n");
        return 2;
    }
    log.path = argv[optind];
    log.fd = open(log.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (log.fd < 0) {
        fail(&log, "open");
    }
    if (log.written_before) {
        write_before(&log);
    }
    run(&log);
    (void)close(log.fd);
    return EXIT_SUCCESS;
}
