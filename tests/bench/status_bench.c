/* Subscribers of the status socket, many in one process, that only count.
 *
 *   status_bench [-k subscribers] [-n messages] STATUS-ENDPOINT
 *
 * Prints "ready" when all are connected, and "subscribers=… events=… lost=… final=… seconds=… rate=…" when each has heard of so many
 * mails that were sent, or nothing comes any more: events of all subscribers together, lost by the gaps in their sequence,
 * final = SENT and HANDED_OFF, rate = events a second from the first event to the last. */
#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum {
    TOPIC_BYTES = 512,
    EVENT_BYTES = 65536,
    FRAMES_A_TURN = 200, /* of one subscriber, before the next one has its turn */
    SETTLE_MS = 500,
    CONNECT_MS = 10000,
    FIRST_MS = 60000,
    SILENT_MS = 3000
};

struct subscriber {
    void *socket;
    uint64_t first; /* sequence numbers; 0 = none yet */
    uint64_t last;
    uint64_t events;
    uint64_t final;
};

struct bench {
    void *context;
    struct subscriber *subscribers;
    zmq_pollitem_t *items;
    size_t count;
    uint64_t messages;
    uint64_t final;
    int64_t first_us;
    int64_t last_us;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "status_bench: %s: %s\n", what, zmq_strerror(errno));
    _exit(EXIT_FAILURE);
}

/* A varint (protobuf's encoding) at data + *at; 0 when there is none. */
static uint64_t read_varint(const uint8_t *data, size_t len, size_t *at)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < len && shift < 64; shift += 7) {
        uint8_t byte = data[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    return 0;
}

/* StatusEvent.sequence, field 2, wherever it stands; 0 when there is none. Unpacking it all for 50 subscribers would be most of the CPU
 * time. */
static uint64_t sequence_of(const uint8_t *event, size_t len)
{
    size_t at = 0;
    uint64_t sequence = 0;
    while (at < len) {
        uint64_t key = read_varint(event, len, &at);
        switch (key & 7) { /* the wire types of protobuf */
        case 0: {
            uint64_t value = read_varint(event, len, &at);
            sequence = key >> 3 == 2 ? value : sequence;
            break;
        }
        case 1:
            at += 8;
            break;
        case 2: {
            uint64_t bytes = read_varint(event, len, &at);
            at += (size_t)bytes;
            break;
        }
        case 5:
            at += 4;
            break;
        default:
            return 0;
        }
    }
    return sequence;
}

static bool is_final(const char *topic)
{
    return strstr(topic, ".SENT.") != NULL || strstr(topic, ".HANDED_OFF.") != NULL;
}

/* What is there for one subscriber, some of it. */
static void hear(struct bench *bench, struct subscriber *subscriber)
{
    char topic[TOPIC_BYTES];
    uint8_t event[EVENT_BYTES];
    for (int i = 0; i < FRAMES_A_TURN; i++) {
        int len = zmq_recv(subscriber->socket, topic, sizeof topic - 1, ZMQ_DONTWAIT);
        if (len < 0) {
            return;
        }
        topic[len < (int)sizeof topic ? len : (int)sizeof topic - 1] = '\0';
        len = zmq_recv(subscriber->socket, event, sizeof event, 0);
        uint64_t sequence = len > 0 ? sequence_of(event, (size_t)len) : 0;
        if (sequence <= subscriber->last) {
            (void)fprintf(stderr, "status_bench: event %" PRIu64 " after %" PRIu64 "\n",
                          sequence, subscriber->last);
            _exit(EXIT_FAILURE);
        }
        subscriber->first = subscriber->first > 0 ? subscriber->first : sequence;
        subscriber->last = sequence;
        subscriber->events++;
        subscriber->final += is_final(topic) ? 1 : 0;
        bench->final += is_final(topic) ? 1 : 0;
    }
}

static void connect_one(struct bench *bench, size_t number, const char *endpoint)
{
    struct subscriber *subscriber = &bench->subscribers[number];
    char name[64];
    int none = 0;
    int wait_ms = CONNECT_MS;
    subscriber->socket = zmq_socket(bench->context, ZMQ_SUB);
    void *monitor = zmq_socket(bench->context, ZMQ_PAIR);
    (void)snprintf(name, sizeof name, "inproc://monitor-%zu", number);
    if (subscriber->socket == NULL || monitor == NULL ||
        zmq_setsockopt(subscriber->socket, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(subscriber->socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(subscriber->socket, ZMQ_SUBSCRIBE, "tpn1.", 5) != 0 ||
        zmq_socket_monitor(subscriber->socket, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0 ||
        zmq_setsockopt(monitor, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms) != 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_connect(monitor, name) != 0 || zmq_connect(subscriber->socket, endpoint) != 0) {
        die(endpoint);
    }
    char said[TOPIC_BYTES];
    for (int frame = 0; frame < 2; frame++) { /* of one event: what happened, and where */
        if (zmq_recv(monitor, said, sizeof said, 0) < 0) {
            die("no publisher");
        }
    }
    (void)zmq_socket_monitor(subscriber->socket, NULL, 0);
    (void)zmq_close(monitor);
    bench->items[number] = (zmq_pollitem_t){.socket = subscriber->socket, .events = ZMQ_POLLIN};
}

/* Until everybody has heard of every mail, or nothing comes any more. */
static void listen_all(struct bench *bench)
{
    while (bench->final < bench->messages * bench->count) {
        int ready = zmq_poll(bench->items, (int)bench->count,
                             bench->first_us > 0 ? SILENT_MS : FIRST_MS);
        if (ready <= 0) {
            return;
        }
        bench->first_us = bench->first_us > 0 ? bench->first_us : clock_mono_us();
        for (size_t i = 0; i < bench->count; i++) {
            if ((bench->items[i].revents & ZMQ_POLLIN) != 0) {
                hear(bench, &bench->subscribers[i]);
            }
        }
        bench->last_us = clock_mono_us();
    }
}

static void tell(const struct bench *bench)
{
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    uint64_t events = 0;
    for (size_t i = 0; i < bench->count; i++) {
        const struct subscriber *subscriber = &bench->subscribers[i];
        first = subscriber->first > 0 && subscriber->first < first ? subscriber->first : first;
        last = subscriber->last > last ? subscriber->last : last;
        events += subscriber->events;
    }
    uint64_t wanted = events > 0 ? (last - first + 1) * bench->count : 0;
    double seconds = (double)(bench->last_us - bench->first_us) / 1e6;
    (void)printf("subscribers=%zu events=%" PRIu64 " lost=%" PRIu64 " final=%" PRIu64
                 " seconds=%.3f rate=%.0f\n",
                 bench->count, events, wanted - events, bench->final, seconds,
                 seconds > 0 ? (double)events / seconds : 0.0);
}

int main(int argc, char **argv)
{
    struct bench bench = {.count = 1, .messages = 1000};
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "k:n:")) != -1) {
        bench.count = option == 'k' ? strtoul(optarg, NULL, 10) : bench.count;
        bench.messages = option == 'n' ? strtoul(optarg, NULL, 10) : bench.messages;
    }
    if (optind + 1 != argc || bench.count == 0 || bench.messages == 0) {
        (void)fputs("usage: status_bench [-k subscribers] [-n messages] STATUS-ENDPOINT\n",
                    stderr);
        return 2;
    }
    bench.context = zmq_ctx_new();
    bench.subscribers = mem_zero(bench.count, sizeof *bench.subscribers);
    bench.items = mem_zero(bench.count, sizeof *bench.items);
    for (size_t i = 0; i < bench.count; i++) {
        connect_one(&bench, i, argv[optind]);
    }
    (void)zmq_poll(
        NULL, 0,
        SETTLE_MS); /* subscriptions travel behind the handshake, and nothing tells when they are there */
    (void)puts("ready");
    (void)fflush(stdout);
    listen_all(&bench);
    tell(&bench);
    for (size_t i = 0; i < bench.count; i++) {
        (void)zmq_close(bench.subscribers[i].socket);
    }
    (void)zmq_ctx_term(bench.context);
    free(bench.subscribers);
    free(bench.items);
    return EXIT_SUCCESS;
}
