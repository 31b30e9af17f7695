/* tpn-monitor: what happens, for people and for scripts.
 *
 * So far it follows the status topic. Starts, runs until SIGINT or SIGTERM or until nobody
 * reads its output, and stops. */
#include "follow.h"
#include "log.h"
#include "notify.h"
#include "pb_text.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_WRONG_USE = 2 };

static const char usage[] =
    "Usage: tpn-monitor --follow [options]\n\n"
    "Print each step of each request as a line, as it happens.\n\n"
    "  --follow             follow the status topic\n"
    "  --json               print JSON lines\n"
    "  --status ENDPOINT    status topic (TPN_STATUS; tcp://127.0.0.1:5553)\n"
    "  --key FILE           this program's key (TPN_KEY)\n"
    "  --server-key FILE    the broker's public key (TPN_SERVER_KEY)\n"
    "  --insecure           connect without keys beyond loopback too (TPN_INSECURE=1)\n"
    "  --replay ENDPOINT    ask there for what was missed: the broker's admin or submit "
    "socket\n"
    "                       (TPN_REPLAY; none)\n"
    "  --producer NAME      only this producer's requests\n"
    "  --state STATE        only steps into this state, as FAILED\n"
    "  --version            print the version\n"
    "  -h, --help           print this\n\n"
    "A line GAP says that events are missing: the topic does not repeat what was not heard. "
    "With --replay they\n"
    "are fetched from the broker's history and stand in their place; GAP tells what could not "
    "be had. A line RESTART that the broker started anew. With --json they are {\"gap\":…} and "
    "{\"restart\":…}.\n"
    "Exit codes: 0 stopped by SIGINT or SIGTERM, or nobody reads any more; 1 failed; 2 wrong "
    "options.\n";

struct monitor {
    struct follow follow;
    const char *status;
    const char *key;
    const char *server_key;
    bool insecure;
    struct bus_lock lock;
    bool wanted; /* --follow was given */
    struct loop *loop;
    void *context;
    int signals;
    struct loop_watch *watch;
    struct notify_watchdog watchdog;
};

enum option_value {
    OPT_FOLLOW = 256,
    OPT_JSON,
    OPT_STATUS,
    OPT_KEY,
    OPT_SERVER_KEY,
    OPT_INSECURE,
    OPT_PRODUCER,
    OPT_REPLAY,
    OPT_STATE,
    OPT_VERSION
};

static const struct option options[] = {
    {"follow", no_argument, NULL, OPT_FOLLOW},
    {"help", no_argument, NULL, 'h'},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"json", no_argument, NULL, OPT_JSON},
    {"key", required_argument, NULL, OPT_KEY},
    {"producer", required_argument, NULL, OPT_PRODUCER},
    {"replay", required_argument, NULL, OPT_REPLAY},
    {"server-key", required_argument, NULL, OPT_SERVER_KEY},
    {"state", required_argument, NULL, OPT_STATE},
    {"status", required_argument, NULL, OPT_STATUS},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* One option. False: wrong. */
static bool take_option(struct monitor *monitor, int value)
{
    switch (value) {
    case OPT_FOLLOW:
        monitor->wanted = true;
        return true;
    case OPT_JSON:
        monitor->follow.form = FOLLOW_JSON;
        return true;
    case OPT_STATUS:
        monitor->status = optarg;
        return true;
    case OPT_KEY:
        monitor->key = optarg;
        return true;
    case OPT_SERVER_KEY:
        monitor->server_key = optarg;
        return true;
    case OPT_INSECURE:
        monitor->insecure = true;
        return true;
    case OPT_PRODUCER:
        monitor->follow.producer = optarg;
        return true;
    case OPT_REPLAY:
        monitor->follow.replay = optarg[0] != '\0' ? optarg : NULL;
        return true;
    case OPT_STATE:
        return pb_enum_parse(PB_DESCRIPTOR(state), optarg, &monitor->follow.state) == ERR_OK;
    default:
        return false;
    }
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): no thread has started
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* -1 = run; else the exit code. */
static int read_options(struct monitor *monitor, int argc, char *argv[])
{
    monitor->status = from_environment("TPN_STATUS", "tcp://127.0.0.1:5553");
    monitor->key = from_environment("TPN_KEY", "");
    monitor->server_key = from_environment("TPN_SERVER_KEY", "");
    const char *replay = from_environment("TPN_REPLAY", "");
    monitor->follow.replay = replay[0] != '\0' ? replay : NULL;
    monitor->insecure = strcmp(from_environment("TPN_INSECURE", ""), "1") == 0;
    int value = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has started
    while ((value = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (value == 'h') {
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        }
        if (value == OPT_VERSION) {
            printf("tpn-monitor %s\n", TPN_VERSION_TEXT);
            return EXIT_SUCCESS;
        }
        if (!take_option(monitor, value)) {
            (void)fputs("tpn-monitor: wrong option or value\n", stderr);
            return EXIT_WRONG_USE;
        }
    }
    if (optind < argc || !monitor->wanted) {
        (void)fputs(usage, stderr);
        return EXIT_WRONG_USE;
    }
    return -1;
}

static void signal_came(void *arg, int events)
{
    struct monitor *monitor = arg;
    (void)events;
    loop_stop(monitor->loop);
}

/* SIGINT and SIGTERM come as a descriptor; SIGPIPE as a failed write. Before any thread starts:
 * they inherit the mask. */
static enum err watch_signals(struct monitor *monitor, struct err_text *why)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return err_set_errno(why, ERR_IO, errno, "pthread_sigmask, signal");
    }
    monitor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (monitor->signals < 0) {
        return err_set_errno(why, ERR_IO, errno, "signalfd");
    }
    return loop_watch(monitor->loop, monitor->signals, LOOP_READ, signal_came, monitor,
                      &monitor->watch);
}

static enum err run(struct monitor *monitor, struct err_text *why)
{
    enum err err = loop_new(&monitor->loop, why);
    if (err == ERR_OK) {
        err = watch_signals(monitor, why);
    }
    if (err == ERR_OK) {
        err = bus_lock_client(&monitor->lock, monitor->key, monitor->server_key,
                              monitor->insecure, why);
        monitor->follow.lock = &monitor->lock;
    }
    if (err == ERR_OK) {
        monitor->context = bus_context_new();
        err = follow_start(&monitor->follow, monitor->loop, monitor->context, monitor->status,
                           why);
    }
    if (err == ERR_OK) {
        notify_ready(&monitor->watchdog, monitor->loop);
        err = loop_run(monitor->loop, why);
    }
    return err;
}

static void shut_down(struct monitor *monitor)
{
    notify_stop(&monitor->watchdog);
    follow_stop(&monitor->follow);
    bus_lock_fini(&monitor->lock);
    bus_context_free(&monitor->context);
    loop_unwatch(&monitor->watch);
    loop_free(&monitor->loop);
    if (monitor->signals >= 0) {
        (void)close(monitor->signals);
    }
}

int main(int argc, char *argv[])
{
    struct monitor monitor = {.follow = {.state = -1, .out = stdout}, .signals = -1};
    struct err_text why = {0};
    int code = read_options(&monitor, argc, argv);
    if (code >= 0) {
        return code;
    }
    log_init("tpn-monitor", LOG_LEVEL_INFO);
    enum err err = run(&monitor, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn-monitor: %s\n", why.text);
    }
    shut_down(&monitor);
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
