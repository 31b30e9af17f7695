/* What the SQLite store costs: CPU microseconds a message and commits a second, for batches of
 * several sizes.
 *
 * The batches are those of a broker under steady load. Each accepts N requests, leases the N of
 * the batch before, permits the N before those and notes the results of the N before those,
 * each with its event: so a message is one accept and three moves, in four commits. Engine and
 * thread are one here: what the figures leave out is the hand-over between threads.
 *
 * usage: store_bench [folder, default /tmp] [messages a round, default 10000]
 *                    [N …, default 10 30 60] */
#include "clock.h"
#include "mem.h"
#include "path.h"
#include "store.h"
#include "times.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BATCH_MAX = 250,
    ROUNDS = 4,
    STEPS = 4, /* accept, lease, permit, result */
    BODY_BYTES = 4096,
    /* As the broker packs them for a mail to one recipient. */
    EVENT_ACCEPT_BYTES = 130,
    EVENT_MOVE_BYTES = 170,
    EVENT_RESULT_BYTES = 330,
    RESULTS_BYTES = 60,
    RESULTS_END_BYTES = 140
};

/* The requests that one batch accepted. */
struct wave {
    uint64_t pks[BATCH_MAX];
    int64_t visible_at_ms;
};

struct bench {
    struct store *store;
    struct wave waves[STEPS]; /* at batch number % STEPS */
    struct store_op ops[BATCH_MAX * STEPS];
    struct store_op *list[BATCH_MAX * STEPS];
    size_t count;
    long batches;
    int64_t *times_us; /* of each batch */
    uint64_t chance;
    uint8_t body[BODY_BYTES];
    uint8_t bytes[512];
};

static int64_t time_us(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_usec;
}

static struct store_op *add_op(struct bench *bench, enum store_kind kind, size_t event_len)
{
    struct store_op *op = &bench->ops[bench->count];
    *op = (struct store_op){.kind = kind, .event = bench->bytes, .event_len = event_len};
    bench->list[bench->count++] = op;
    return op;
}

/* Shaped as a UUIDv7 (time first, then chance), without the price of real chance. */
static void make_id(struct bench *bench, int64_t now_ms, char id[STORE_ID_BYTES])
{
    bench->chance ^= bench->chance << 13;
    bench->chance ^= bench->chance >> 7;
    bench->chance ^= bench->chance << 17;
    (void)snprintf(id, STORE_ID_BYTES, "%08" PRIx64 "-%04x-7%03x-8%03x-%012" PRIx64,
                   (uint64_t)now_ms >> 16, (unsigned)now_ms & 0xffff,
                   (unsigned)bench->chance & 0xfff, (unsigned)(bench->chance >> 12) & 0xfff,
                   bench->chance >> 24 & 0xffffffffffff);
}

static void add_accept(struct bench *bench, int64_t now_ms)
{
    struct store_op *op = add_op(bench, STORE_ACCEPT, EVENT_ACCEPT_BYTES);
    struct store_row *row = &op->accept.row;
    (void)snprintf(row->producer, sizeof row->producer, "trackpro");
    (void)snprintf(row->profile, sizeof row->profile, "office");
    make_id(bench, now_ms, row->id);
    row->state = STATE_ACCEPTED;
    row->priority = 2;
    row->visible_at_ms = now_ms;
    row->expire_at_ms = now_ms + 86400000;
    row->accepted_at_ms = now_ms;
    row->changed_at_ms = now_ms;
    row->recipients = 1;
    memcpy(op->accept.digest, row->id, STORE_DIGEST_BYTES);
    op->accept.results = bench->bytes;
    op->accept.results_len = RESULTS_BYTES;
    op->accept.body = bench->body;
    op->accept.body_len = BODY_BYTES;
}

/* Step 1 leases, 2 permits, 3 is the result. */
static void add_move(struct bench *bench, const struct wave *wave, size_t item, int step)
{
    static const struct {
        enum state from, to;
        size_t event_len, results_len;
    } moves[STEPS] = {
        [1] = {STATE_ACCEPTED, STATE_LEASED, EVENT_MOVE_BYTES, 0},
        [2] = {STATE_LEASED, STATE_PERMITTED, EVENT_MOVE_BYTES, RESULTS_BYTES},
        [3] = {STATE_PERMITTED, STATE_SENT, EVENT_RESULT_BYTES, RESULTS_END_BYTES},
    };
    struct store_op *op = add_op(bench, STORE_MOVE, moves[step].event_len);
    op->move.pk = wave->pks[item];
    op->move.expect_lease = UINT64_MAX;
    op->move.from = moves[step].from;
    op->move.to = moves[step].to;
    op->move.visible_at_ms = wave->visible_at_ms;
    op->move.changed_at_ms = clock_wall_ms();
    op->move.attempt = step > 1 ? 1 : 0;
    op->move.lease = bench->store->epoch << STORE_SEQUENCE_BITS | wave->pks[item];
    op->move.worker = "worker-1.mail.example.com";
    op->move.reason = step == 3 ? "2.0.0 Ok: queued as 4F1A2B3C4D" : "";
    op->move.results = moves[step].results_len > 0 ? bench->bytes : NULL;
    op->move.results_len = moves[step].results_len;
}

static bool run_batch(struct bench *bench, size_t size)
{
    long number = bench->batches++;
    struct wave *fresh = &bench->waves[number % STEPS];
    struct err_text why = {0};
    bench->count = 0;
    fresh->visible_at_ms = clock_wall_ms();
    for (size_t i = 0; i < size; i++) {
        add_accept(bench, fresh->visible_at_ms);
    }
    for (int step = 1; step < STEPS && step <= number; step++) {
        for (size_t i = 0; i < size; i++) {
            add_move(bench, &bench->waves[(number - step) % STEPS], i, step);
        }
    }
    int64_t start_us = clock_mono_us();
    enum store_call call =
        bench->store->engine->exec(bench->store, bench->list, bench->count, &why);
    bench->times_us[number] = clock_mono_us() - start_us;
    bench->store->engine->tidy(bench->store);
    if (call != STORE_CALL_DONE) {
        (void)fprintf(stderr, "store_bench: %s\n", why.text);
        return false;
    }
    for (size_t i = 0; i < bench->count; i++) {
        if (bench->ops[i].result != STORE_DONE) {
            (void)fprintf(stderr, "store_bench: op %zu: result %d\n", i, bench->ops[i].result);
            return false;
        }
    }
    for (size_t i = 0; i < size; i++) {
        fresh->pks[i] = bench->ops[i].accept.row.pk;
    }
    return true;
}

/* What one run took: CPU and wall time in microseconds, write calls and bytes. */
struct cost {
    double writes;
    double written;
    double user_us;
    double kernel_us;
    double wall_us;
};

/* A line of /proc/self/io (proc(5)); 0 where there is none. */
static double io_figure(const char *name)
{
    FILE *file = fopen("/proc/self/io", "re");
    char line[64];
    double value = 0;
    size_t len = strlen(name);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, len) == 0) {
            value = strtod(line + len, NULL);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return value;
}

static bool measure(struct bench *bench, long batches, size_t size, struct cost *best)
{
    struct rusage before = {0};
    struct rusage after = {0};
    double writes = io_figure("syscw:");
    double written = io_figure("wchar:");
    (void)getrusage(RUSAGE_SELF, &before);
    int64_t start_us = clock_mono_us();
    for (long i = 0; i < batches; i++) {
        if (!run_batch(bench, size)) {
            return false;
        }
    }
    int64_t took_us = clock_mono_us() - start_us;
    (void)getrusage(RUSAGE_SELF, &after);
    const struct cost cost = {
        .writes = io_figure("syscw:") - writes,
        .written = io_figure("wchar:") - written,
        .user_us = (double)(time_us(&after.ru_utime) - time_us(&before.ru_utime)),
        .kernel_us = (double)(time_us(&after.ru_stime) - time_us(&before.ru_stime)),
        .wall_us = (double)took_us,
    };
    if (best->wall_us <= 0 || cost.user_us + cost.kernel_us < best->user_us + best->kernel_us) {
        *best = cost;
    }
    return true;
}

/* The cheapest of some runs in one store: other work of the machine only ever adds. */
static bool measure_best(struct bench *bench, long messages, size_t size)
{
    struct cost best = {0};
    long batches = messages / (long)size + 1;
    bench->times_us = mem_zero((size_t)batches * ROUNDS, sizeof *bench->times_us);
    for (int round = 0; round < ROUNDS; round++) {
        if (!measure(bench, batches, size, &best)) {
            return false;
        }
    }
    double done = (double)batches * (double)size;
    (void)printf("N=%-4zu cpu %6.1f us a message (user %6.1f, kernel %5.1f)"
                 " %5.2f writes %6.1f KB %6.0f commits/s %6.0f messages/s",
                 size, (best.user_us + best.kernel_us) / done, best.user_us / done,
                 best.kernel_us / done, best.writes / done, best.written / done / 1024,
                 (double)batches / best.wall_us * 1e6, done / best.wall_us * 1e6);
    times_print("batch", bench->times_us, (size_t)bench->batches);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    return true;
}

static void drop_folder(const char *folder)
{
    static const char *const names[] = {"store.db", "store.db-wal", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = path_join(folder, names[i]);
        (void)unlink(path);
        free(path);
    }
    (void)rmdir(folder);
}

/* A fresh store for each size, so that the order of the sizes does not matter. */
static bool run_size(const char *parent, long messages, size_t size)
{
    struct bench *bench = mem_zero(1, sizeof *bench);
    char *folder = path_join(parent, "store-bench-XXXXXX");
    struct err_text why = {0};
    bool good = false;
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        goto out;
    }
    const struct store_options options = {.folder = folder, .log_bytes = STORE_LOG_BYTES};
    if (store_sqlite.open(&options, &bench->store, &why) != ERR_OK) {
        (void)fprintf(stderr, "store_bench: %s\n", why.text);
        goto out;
    }
    bench->chance = 88172645463325252u;
    memset(bench->body, 'x', sizeof bench->body);
    memset(bench->bytes, 'y', sizeof bench->bytes);
    good = measure_best(bench, messages, size);
    bench->store->engine->close(&bench->store);
out:
    drop_folder(folder);
    free(folder);
    free(bench->times_us);
    free(bench);
    return good;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {10, 30, 60};
    const char *parent = argc > 1 ? argv[1] : "/tmp";
    long messages = argc > 2 ? strtol(argv[2], NULL, 10) : 10000;
    bool good = messages > 0;
    for (int i = 3; i < argc && good; i++) {
        long size = strtol(argv[i], NULL, 10);
        good = size > 0 && size <= BATCH_MAX && run_size(parent, messages, (size_t)size);
    }
    for (size_t i = 0; argc <= 3 && i < sizeof sizes / sizeof sizes[0] && good; i++) {
        good = run_size(parent, messages, sizes[i]);
    }
    if (!good) {
        (void)fputs("usage: store_bench [folder] [messages] [N up to 250 …]\n", stderr);
    }
    return good ? 0 : 1;
}
