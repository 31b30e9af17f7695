/* The pickup back end alone: files of one size into a folder, each with file and folder on disk before it counts as handed over.
 *
 *   pickup_engine_bench [-n messages] [-s bytes] [-j threads] [-w window] FOLDER
 *
 * No broker: permits are granted at once. The counterpart is files_bench with as many threads. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
