/* The SMTP engine alone: mails of one size to a server that takes them all, permits granted
 * at once.
 *
 *   smtp_engine_bench [-c connections] [-n messages] [-u untimed] [-s bytes] [-p auto|full|envelope|off]
 *                     [-r recipients] [-t starttls|implicit] [-a ca.pem] host:port
 *
 * Prints messages a second and CPU microseconds a message (user and system, this process
 * only). Compare in the same run with
 *   smtp-source -d -s CONNECTIONS -m MESSAGES -l BYTES host:port
 * for absolute figures move with the machine. Twice as many mails are under way as there are
 * connections. With -u so many mails go before the clock starts: connecting is not timed then, nor the end, when connections run out of mails. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct word {
    const char *name;
    int value;
};

static const struct word pipelining_words[] = {
    {"auto", PB_PIPELINING(AUTO)},
    {"full", PB_PIPELINING(FULL)},
    {"envelope", PB_PIPELINING(ENVELOPE)},
    {"off", PB_PIPELINING(OFF)},
    {NULL, 0},
};

static const struct word tls_words[] = {
    {"none", SETTINGS_TLS_NONE},
    {"starttls", SETTINGS_TLS_STARTTLS},
    {"implicit", SETTINGS_TLS_IMPLICIT},
    {NULL, 0},
};

/* The value of a word; of an unknown one the program ends. */
static int value_of(const struct word *words, const char *name)
{
    for (const struct word *word = words; word->name != NULL; word++) {
        if (strcmp(word->name, name) == 0) {
            return word->value;
        }
    }
    (void)fprintf(stderr, "smtp_engine_bench: no such word: %s\n", name);
    _exit(2);
}

/* The last argument, host:port. */
static bool read_target(const char *target, struct settings_plan *plan)
{
    const char *colon = strrchr(target, ':');
    if (colon == NULL || (size_t)(colon - target) >= sizeof plan->server) {
        return false;
    }
    memcpy(plan->server, target, (size_t)(colon - target));
    plan->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return plan->port != 0;
}

static bool read_options(int argc, char **argv, struct feed *feed)
{
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "c:n:u:s:p:r:t:a:")) != -1) {
        switch (option) {
        case 'c':
            feed->plan.max_connections = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            feed->messages = strtoul(optarg, NULL, 10);
            break;
        case 'u':
            feed->untimed = strtoul(optarg, NULL, 10);
            break;
        case 's':
            feed->size = strtoul(optarg, NULL, 10);
            break;
        case 'p':
            feed->plan.pipelining = value_of(pipelining_words, optarg);
            break;
        case 'r':
            feed->recipients = strtoul(optarg, NULL, 10);
            break;
        case 't':
            feed->plan.tls = (enum settings_tls)value_of(tls_words, optarg);
            break;
        case 'a':
            feed->plan.ca_file = optarg;
            break;
        default:
            return false;
        }
    }
    feed->ahead = (size_t)feed->plan.max_connections * 2;
    return optind + 1 == argc && feed->messages > 0 && feed->recipients > 0 &&
           feed->plan.max_connections > 0 && read_target(argv[optind], &feed->plan);
}

int main(int argc, char **argv)
{
    struct feed feed = {.backend = &deliver_smtp,
                        .context = {.helo_name = "bench.example"},
                        .messages = 10000,
                        .size = 4096,
                        .recipients = 1};
    feed.plan = (struct settings_plan){.route = SETTINGS_SMTP,
                                       .tls = SETTINGS_TLS_NONE,
                                       .authentication = PB_AUTH(ANONYMOUS),
                                       .verify = true,
                                       .connect_timeout_ms = 10000,
                                       .reply_timeout_ms = 60000,
                                       .content_timeout_ms = 60000,
                                       .idle_timeout_ms = 60000,
                                       .max_connections = 10};
    if (!read_options(argc, argv, &feed)) {
        (void)fprintf(
            stderr,
            "usage: %s [-c connections] [-n messages] [-u untimed] [-s bytes]\n"
            "       [-p auto|full|envelope|off] [-r recipients] [-t starttls|implicit]\n"
            "       [-a ca.pem] host:port\n",
            argv[0]);
        return 2;
    }
    return feed_run(&feed);
}
