/* The whole durable path from a producer's side: publish, receipt, and the event that the mail was sent.
 *
 *   pipeline_bench [-a] [-n messages] [-s bytes] [-w window] [-p profile] [-k key -K server-key] SUBMIT STATUS
 *
 * At most `window` requests are between publish and their final event. Prints messages a second from the first publish to the
 * last final event, and the time from publish to receipt and to final event (p50, p99). A message that does not end SENT or
 * HANDED_OFF, or ends twice, makes the run no result: exit 1. With -a a message ends with its receipt. Run by
 * tests/bench/run beside its peers. */
#include "clock.h"
#include "mem.h"
#include "tpn.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETTLE_MS = 500, STALL_MS = 30000 };

struct bench {
    struct tpn_client *client;
    char *prefix;
    size_t messages;
    size_t published;
    size_t receipts;
    size_t finished;
    size_t wrong;
    bool accept_only;
    int64_t *published_us;
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
    if (number >= bench->messages || bench->accept_only) {
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

static void publish_some(struct bench *bench, struct tpn_request *request, size_t window)
{
    char id[TPN_ID_BYTES];
    while (bench->published < bench->messages && bench->published - bench->finished < window) {
        (void)snprintf(id, sizeof id, "%s%zu", bench->prefix, bench->published);
        tpn_request_text(request, TPN_ID, id);
        bench->published_us[bench->published] = clock_mono_us();
        struct tpn_why why;
        enum tpn_result result = tpn_publish(bench->client, request, NULL, &why);
        if (result == TPN_BUSY) {
            return;
        }
        if (result != TPN_OK) {
            (void)fprintf(stderr, "publish: %s\n", why.text);
            exit(EXIT_FAILURE);
        }
        bench->published++;
    }
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static void print_times(const char *what, int64_t *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    (void)printf(" %s_p50_ms=%.3f %s_p99_ms=%.3f", what, (double)times[count / 2] / 1000.0,
                 what, (double)times[count * 99 / 100] / 1000.0);
}

static int run(struct bench *bench, struct tpn_request *request, size_t window)
{
    /* Subscriptions travel in the background: nothing tells when they have arrived. */
    (void)tpn_poll(bench->client, SETTLE_MS);
    int64_t start_us = clock_mono_us();
    int64_t moved_us = start_us;
    size_t last = 0;
    while (bench->finished < bench->messages && bench->wrong == 0) {
        publish_some(bench, request, window);
        (void)tpn_poll(bench->client, 10);
        if (bench->finished + bench->receipts != last) {
            last = bench->finished + bench->receipts;
            moved_us = clock_mono_us();
        } else if (clock_mono_us() - moved_us > STALL_MS * 1000) {
            (void)fprintf(stderr, "stalled: %zu published, %zu receipts, %zu final\n",
                          bench->published, bench->receipts, bench->finished);
            return EXIT_FAILURE;
        }
    }
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    (void)printf("messages=%zu seconds=%.3f rate=%.0f", bench->messages, seconds,
                 (double)bench->messages / seconds);
    print_times("receipt", bench->receipt_us, bench->messages);
    print_times("final", bench->final_us, bench->messages);
    (void)printf("\n");
    return bench->wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    size_t bytes = 4096;
    size_t window = 1000;
    const char *profile = "sink";
    const char *key = NULL;
    const char *server_key = NULL;
    struct bench bench = {.messages = 20000};
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "an:s:w:p:k:K:")) != -1) {
        switch (option) {
        case 'a':
            bench.accept_only = true;
            break;
        case 'n':
            bench.messages = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 's':
            bytes = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'w':
            window = (size_t)strtoull(optarg, NULL, 10);
            break;
        case 'p':
            profile = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 'K':
            server_key = optarg;
            break;
        default:
            return 2;
        }
    }
    if (optind + 2 != argc || bench.messages == 0) {
        (void)fprintf(stderr, "usage: pipeline_bench [-a] [-n messages] [-s bytes] [-w window] "
                              "[-p profile] [-k key -K server-key] SUBMIT STATUS\n");
        return 2;
    }
    struct tpn_options options;
    struct tpn_why why;
    tpn_options_init(&options);
    options.submit_endpoint = argv[optind];
    options.status_endpoint = argv[optind + 1];
    options.max_in_flight = (uint32_t)window;
    options.key_file = key;
    options.server_key_file = server_key;
    options.on_receipt = on_receipt;
    options.arg = &bench;
    bench.prefix = mem_format("bench-%ld-%" PRId64 "-", (long)getpid(), clock_wall_ms());
    bench.published_us = mem_zero(bench.messages, sizeof *bench.published_us);
    bench.receipt_us = mem_zero(bench.messages, sizeof *bench.receipt_us);
    bench.final_us = mem_zero(bench.messages, sizeof *bench.final_us);
    if (tpn_open(&bench.client, &options, &why) != TPN_OK ||
        tpn_follow(bench.client, NULL, on_event, &bench, &why) != TPN_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return EXIT_FAILURE;
    }
    struct tpn_request *request = make_request(profile, bytes);
    int code = run(&bench, request, window);
    tpn_request_free(&request);
    tpn_close(&bench.client);
    free(bench.prefix);
    free(bench.published_us);
    free(bench.receipt_us);
    free(bench.final_us);
    return code;
}
