/* The whole durable path from a producer's side: publish, receipt, and the event that the mail was sent.
 *
 *   pipeline_bench [-a] [-n messages] [-s bytes] [-w window | -r rate] [-p profile] [-k key -K server-key] SUBMIT STATUS
 *
 * Closed loop: at most `window` requests are between publish and their final event. Open loop (-r): `rate` requests a second
 * become due at equal distances, whatever comes back, and times count from the moment when a request was due, not from when
 * we got round to it: a system that falls behind shows it. Prints messages a second from the first publish to the last
 * final event, the time from publish (or due) to receipt and to final event (p50, p99), and when the clock began and ended
 * on the machine's monotonic clock, for sums over several producers. A message that does not end SENT or HANDED_OFF, or
 * ends twice, makes the run no result: exit 1. With -a a message ends with its receipt, and no event is asked for. Run by
 * tests/bench/run beside its peers. */
#include "clock.h"
#include "mem.h"
#include "times.h"
#include "tpn.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 100, SETTLE_MS = 500, STALL_MS = 30000 };
/* Open loop: the library waits in whole milliseconds, and requests are due in between. We look so often. */
enum { LOOK_US = 100, US_PER_S = 1000000 };

struct bench {
    struct tpn_client *client;
    char *prefix;
    size_t messages;
    size_t window;
    double rate; /* of requests a second that become due; 0 = closed loop */
    int64_t start_us;
    size_t published;
    size_t receipts;
    size_t finished;
    size_t wrong;
    bool accept_only;
    int64_t *published_us; /* open loop: when it was due */
    int64_t *receipt_us;
    int64_t *final_us;
};

/* The number behind the prefix of our ids; messages when it is not ours. */
static size_t number_of(const struct bench *bench, const char *id)
{
    size_t len = strlen(bench->prefix);
    if (strncmp(id, bench->prefix, len) != 0) {
        return bench->messages;
    }
    return (size_t)strtoull(id + len, NULL, 10);
}

static void on_receipt(void *arg, const struct tpn_receipt *receipt)
{
    struct bench *bench = arg;
    size_t number = number_of(bench, receipt->id);
    if (receipt->status != TPN_RECEIPT_ACCEPTED || number >= bench->messages) {
        (void)fprintf(stderr, "receipt of %s: %s %s\n", receipt->id,
                      tpn_receipt_word(receipt->status), receipt->reason);
        bench->wrong++;
        return;
    }
    bench->receipts++;
    bench->receipt_us[number] = clock_mono_us() - bench->published_us[number];
    if (bench->accept_only) {
        bench->final_us[number] = bench->receipt_us[number];
        bench->finished++;
    }
}

static void on_event(void *arg, const struct tpn_event *event)
{
    struct bench *bench = arg;
    if (!tpn_state_is_final(event->state) && event->state != TPN_STATE_UNKNOWN) {
        return;
    }
    size_t number = number_of(bench, event->id);
    if (number >= bench->messages) {
        return;
    }
    bool good = event->state == TPN_STATE_SENT || event->state == TPN_STATE_HANDED_OFF;
    if (!good || bench->final_us[number] != 0) {
        (void)fprintf(stderr, "%s ended %s\n", event->id, tpn_state_word(event->state));
        bench->wrong++;
    }
    bench->finished++;
    bench->final_us[number] = clock_mono_us() - bench->published_us[number];
}

static struct tpn_request *make_request(const char *profile, size_t bytes)
{
    struct tpn_request *request = tpn_request_new();
    char *text = mem_zero(1, bytes + 1);
    memset(text, 'x', bytes);
    for (size_t i = 71; i < bytes; i += 72) {
        text[i] = '\n';
    }
    tpn_request_text(request, TPN_PROFILE, profile);
    tpn_request_mailbox(request, TPN_FROM, "Bench", "bench@example.org");
    tpn_request_mailbox(request, TPN_TO, NULL, "sink@example.org");
    tpn_request_text(request, TPN_SUBJECT, "bench");
    tpn_request_text(request, TPN_TEXT, text);
    free(text);
    return request;
}

static int64_t due_us(const struct bench *bench, size_t number)
{
    return bench->start_us + (int64_t)((double)number * US_PER_S / bench->rate);
}

/* Is it the next request's turn? */
static bool may_publish(const struct bench *bench, int64_t now_us)
{
    if (bench->published == bench->messages) {
        return false;
    }
    return bench->rate > 0 ? due_us(bench, bench->published) <= now_us
                           : bench->published - bench->finished < bench->window;
}

static void publish_some(struct bench *bench, struct tpn_request *request)
{
    char id[TPN_ID_BYTES];
    for (int64_t now_us = clock_mono_us(); may_publish(bench, now_us);
         now_us = clock_mono_us()) {
        size_t number = bench->published;
        (void)snprintf(id, sizeof id, "%s%zu", bench->prefix, number);
        tpn_request_text(request, TPN_ID, id);
        bench->published_us[number] = bench->rate > 0 ? due_us(bench, number) : now_us;
        struct tpn_why why;
        enum tpn_result result = tpn_publish(bench->client, request, NULL, &why);
        if (result == TPN_BUSY) {
            return;
        }
        if (result != TPN_OK) {
            (void)fprintf(stderr, "publish: %s\n", why.text);
            _exit(EXIT_FAILURE);
        }
        bench->published++;
    }
}

/* Until something came back, or the next request is due, or soon. */
static void wait_some(struct bench *bench)
{
    if (bench->rate <= 0 || bench->published == bench->messages) {
        (void)tpn_poll(bench->client, 10);
        return;
    }
    int64_t left_us = due_us(bench, bench->published) - clock_mono_us();
    if (left_us >= 1000) {
        (void)tpn_poll(bench->client, left_us < 10000 ? (int)(left_us / 1000) : 10);
    } else if (tpn_poll(bench->client, 0) == TPN_TIMEOUT && left_us > 0) {
        struct timespec pause = {.tv_nsec = (left_us < LOOK_US ? left_us : LOOK_US) * 1000};
        (void)nanosleep(&pause, NULL);
    }
}

static int run(struct bench *bench, struct tpn_request *request)
{
    /* Connections and subscriptions are made in the background: nothing tells when they are there. */
    (void)tpn_poll(bench->client, bench->accept_only ? CONNECT_MS : SETTLE_MS);
    bench->start_us = clock_mono_us();
    int64_t moved_us = bench->start_us;
    size_t last = 0;
    while (bench->finished < bench->messages && bench->wrong == 0) {
        publish_some(bench, request);
        wait_some(bench);
        if (bench->finished + bench->receipts != last) {
            last = bench->finished + bench->receipts;
            moved_us = clock_mono_us();
        } else if (clock_mono_us() - moved_us > (int64_t)STALL_MS * 1000) {
            (void)fprintf(stderr, "stalled: %zu published, %zu receipts, %zu final\n",
                          bench->published, bench->receipts, bench->finished);
            return EXIT_FAILURE;
        }
    }
    int64_t end_us = clock_mono_us();
    double seconds = (double)(end_us - bench->start_us) / US_PER_S;
    (void)printf("messages=%zu seconds=%.3f rate=%.0f", bench->messages, seconds,
                 (double)bench->messages / seconds);
    times_print("receipt", bench->receipt_us, bench->messages);
    times_print("final", bench->final_us, bench->messages);
    (void)printf(" began_s=%.6f ended_s=%.6f\n", (double)bench->start_us / US_PER_S,
                 (double)end_us / US_PER_S);
    return bench->wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct words {
    size_t bytes; /* of text */
    const char *profile;
    const char *key;
    const char *server_key;
    const char *submit;
    const char *status;
};

static bool read_words(int argc, char **argv, struct bench *bench, struct words *words)
{
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "an:s:w:r:p:k:K:")) != -1) {
        switch (option) {
        case 'a':
            bench->accept_only = true;
            break;
        case 'n':
            bench->messages = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 's':
            words->bytes = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'w':
            bench->window = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'r':
            bench->rate = strtod(optarg, NULL);
            break;
        case 'p':
            words->profile = optarg;
            break;
        case 'k':
            words->key = optarg;
            break;
        case 'K':
            words->server_key = optarg;
            break;
        default:
            return false;
        }
    }
    if (optind + 2 != argc || bench->messages == 0 || bench->window == 0 || bench->rate < 0) {
        return false;
    }
    words->submit = argv[optind];
    words->status = argv[optind + 1];
    return true;
}

static bool open_client(struct bench *bench, const struct words *words)
{
    struct tpn_options options;
    struct tpn_why why;
    tpn_options_init(&options);
    options.submit_endpoint = words->submit;
    options.status_endpoint = words->status;
    options.max_in_flight = (uint32_t)(bench->rate > 0 ? bench->messages : bench->window);
    options.key_file = words->key;
    options.server_key_file = words->server_key;
    options.on_receipt = on_receipt;
    options.arg = bench;
    if (tpn_open(&bench->client, &options, &why) != TPN_OK ||
        (!bench->accept_only &&
         tpn_follow(bench->client, NULL, on_event, bench, &why) != TPN_OK)) {
        (void)fprintf(stderr, "%s\n", why.text);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct bench bench = {.messages = 20000, .window = 1000};
    struct words words = {.bytes = 4096, .profile = "sink"};
    if (!read_words(argc, argv, &bench, &words)) {
        (void)fprintf(
            stderr, "usage: pipeline_bench [-a] [-n messages] [-s bytes] [-w window | -r rate] "
                    "[-p profile] [-k key -K server-key] SUBMIT STATUS\n");
        return 2;
    }
    bench.prefix = mem_format("bench-%ld-%" PRId64 "-", (long)getpid(), clock_wall_ms());
    bench.published_us = mem_zero(bench.messages, sizeof *bench.published_us);
    bench.receipt_us = mem_zero(bench.messages, sizeof *bench.receipt_us);
    bench.final_us = mem_zero(bench.messages, sizeof *bench.final_us);
    int code = EXIT_FAILURE;
    if (open_client(&bench, &words)) {
        struct tpn_request *request = make_request(words.profile, words.bytes);
        code = run(&bench, request);
        tpn_request_free(&request);
    }
    tpn_close(&bench.client);
    free(bench.prefix);
    free(bench.published_us);
    free(bench.receipt_us);
    free(bench.final_us);
    return code;
}
