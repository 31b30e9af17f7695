/* The pickup back end alone: files of one size into a folder, each with file and folder on disk before it counts as handed over.
 *
 *   pickup_engine_bench [-n messages] [-s bytes] [-j threads] [-w window] FOLDER
 *
 * No broker: permits are granted at once. The counterpart is files_bench with as many threads. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Nobody listens to what becomes of the files; but traces are left, as a worker leaves them. */
static void on_note(void *arg, const PB(JobResult) *fate)
{
    (void)arg;
    (void)fate;
}

static bool is_over(void *arg, uint64_t lease)
{
    (void)arg;
    (void)lease;
    return false;
}

static bool read_options(int argc, char **argv, struct feed *feed)
{
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "n:s:j:w:")) != -1) {
        switch (option) {
        case 'n':
            feed->messages = strtoul(optarg, NULL, 10);
            break;
        case 's':
            feed->size = strtoul(optarg, NULL, 10);
            break;
        case 'j':
            feed->context.pickup_threads = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            feed->ahead = strtoul(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return optind + 1 == argc && feed->messages > 0 && feed->ahead > 0;
}

int main(int argc, char **argv)
{
    struct feed feed = {.backend = &deliver_pickup,
                        .plan = {.route = SETTINGS_PICKUP, .dialect = PB_DIALECT(IIS)},
                        .messages = 5000,
                        .size = 4096,
                        .recipients = 1,
                        .ahead = 400};
    feed.context.follow = (struct deliver_follow){.look_ms = 5000,
                                                  .stale_ms = 600000,
                                                  .instance = "bench",
                                                  .note = on_note,
                                                  .is_over = is_over};
    const char *roots[] = {NULL, NULL};
    if (!read_options(argc, argv, &feed)) {
        (void)fprintf(stderr,
                      "usage: %s [-n messages] [-s bytes] [-j threads] [-w window] FOLDER\n",
                      argv[0]);
        return 2;
    }
    roots[0] = argv[optind];
    feed.plan.folder = argv[optind];
    feed.context.pickup_roots = roots;
    return feed_run(&feed);
}
