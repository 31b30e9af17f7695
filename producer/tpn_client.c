/* libtpn: the handle, its sockets, publishing, waiting, following and asking.
 *
 * Everything happens in the caller's thread, inside tpn_poll, tpn_wait and tpn_query: one loop
 * with two sockets. What is sent and when it is sent again is in tpn_flight.c; how a request is
 * built in tpn_request.c.
 *
 * Invariants: callbacks run only while `inside` is set, and with `inside` set no call waits. A
 * flight that is DONE stays in the table until its receipt is fetched, so the bound on flights
 * also bounds the memory for receipts. */
#include "tpn.h"

#include "bus.h"
#include "check.h"
#include "clock.h"
#include "digest.h"
#include "loop.h"
#include "mem.h"
#include "pb.h"
#include "tpn_convert.h"
#include "tpn_flight.h"
#include "tpn_request.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECEIPT_TIMEOUT_MS = 5000,
    DEADLINE_MS = 60000,
    MAX_IN_FLIGHT = 1000,
    MAX_IN_FLIGHT_LIMIT = 1000000,
    MESSAGES_A_TURN = 256,
    ARENA_BYTES = 4096, /* a usual event, unpacked */
    QUERY_IDS = 64,     /* of one message, so that its answer stays small */
    QUERY_RETRY_MS = 2000,
    QUERY_SOCKET_MS = 50, /* try again when there is no connection */
    EVENT_QUEUE = 100000, /* a burst of events while the caller does something else */
    SUBMIT_SLACK = 16
};

/* One question on its way. */
struct query {
    const char *const *ids;
    size_t count;
    tpn_status_fn *fn;
    void *arg;
    bool answered;
};

struct tpn_client {
    void *context;
    struct loop *loop;
    struct bus_lock lock;
    struct bus *submit;
    struct bus *status; /* null until tpn_follow */
    char *status_endpoint;
    uint32_t max_in_flight;
    tpn_receipt_fn *on_receipt;
    void *arg;
    tpn_event_fn *on_event;
    void *event_arg;
    struct flight_table flights;
    struct flight *shown; /* the receipt that tpn_wait gave out last */
    struct query *query;  /* the one that tpn_query waits for, or null */
    uint64_t news;        /* receipts and events so far */
    bool inside;          /* a callback may be running */
    struct arena arena;   /* of the event that is being told */
    max_align_t arena_room[ARENA_BYTES / sizeof(max_align_t)];
};

void tpn_options_init(struct tpn_options *options)
{
    *options = (struct tpn_options){
        .struct_bytes = sizeof *options,
        .submit_endpoint = "tcp://127.0.0.1:5551",
        .status_endpoint = "tcp://127.0.0.1:5553",
        .receipt_timeout_ms = RECEIPT_TIMEOUT_MS,
        .deadline_ms = DEADLINE_MS,
        .max_in_flight = MAX_IN_FLIGHT,
    };
}

static enum tpn_result fail(struct tpn_why *why, enum tpn_result result, const char *text)
{
    if (why != NULL) {
        (void)snprintf(why->text, sizeof why->text, "%s", text);
    }
    return result;
}

/* ---- what comes in ---- */

static void flight_done(void *arg, struct flight *flight)
{
    struct tpn_client *client = arg;
    client->news++;
    if (client->on_receipt != NULL) {
        struct tpn_receipt receipt;
        flight_show(flight, &receipt);
        client->on_receipt(client->arg, &receipt);
        flight_remove(&flight);
    }
}

/* Answers carry no number of their question, but they repeat its ids in order. */
static bool answers(const PB(QueryReply) *reply, const struct query *query)
{
    if (query == NULL || query->answered || reply->n_requests != query->count) {
        return false;
    }
    for (size_t i = 0; i < query->count; i++) {
        if (strcmp(reply->requests[i]->id, query->ids[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void take_reply(struct tpn_client *client, const PB(QueryReply) *reply)
{
    struct query *query = client->query;
    if (!answers(reply, query)) {
        return;
    }
    query->answered = true;
    for (size_t i = 0; i < reply->n_requests; i++) {
        struct tpn_status status;
        convert_status(reply->requests[i], &status);
        query->fn(query->arg, &status);
        convert_free_recipients(status.recipients);
    }
}

static void submit_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct tpn_client *client = arg;
    (void)bus;
    if (err != ERR_OK) {
        (void)snprintf(client->flights.last_error, sizeof client->flights.last_error,
                       "an answer that cannot be read: %.180s", in->fault.rule);
    } else if (in->verb == WIRE_RECEIPT) {
        flight_receipt(&client->flights, (const PB(Receipt) *)in->body);
    } else if (in->verb == WIRE_RECEIPTS) {
        const PB(Receipts) *list = (const PB(Receipts) *)in->body;
        for (size_t i = 0; i < list->n_receipts; i++) {
            flight_receipt(&client->flights, list->receipts[i]);
        }
    } else if (in->verb == WIRE_STATE) {
        take_reply(client, (const PB(QueryReply) *)in->body);
    } else if (in->verb == WIRE_ERROR) {
        const PB(Error) *error = (const PB(Error) *)in->body;
        (void)snprintf(client->flights.last_error, sizeof client->flights.last_error,
                       "%.60s %.180s", error->field, error->reason);
        /* An older broker does not know the verb, and so does not tell it. */
        if (error->verb[0] == '\0' || strcmp(error->verb, wire_verb_name(WIRE_SUBMITS)) == 0) {
            flight_refused(&client->flights);
        }
    }
}

static void drain_events(struct tpn_client *client)
{
    char topic[WIRE_TOPIC_BYTES];
    for (int i = 0; i < MESSAGES_A_TURN; i++) {
        ProtobufCMessage *message = NULL;
        enum err err =
            wire_recv_event(bus_socket(client->status), &client->arena, topic, &message);
        if (err == ERR_AGAIN || err == ERR_IO) {
            return;
        }
        if (err == ERR_OK) {
            struct tpn_event event;
            convert_event((const PB(StatusEvent) *)message, &event);
            client->news++;
            client->on_event(client->event_arg, &event);
            convert_free_recipients(event.recipients);
        }
        arena_reset(&client->arena);
    }
    loop_again(client->loop);
}

/* The hook before each wait: send, receive, then see whether receiving made something to send.
 */
static void serve(void *arg)
{
    struct tpn_client *client = arg;
    client->inside = true;
    flight_flush(&client->flights);
    bus_pump(client->submit, MESSAGES_A_TURN);
    if (client->status != NULL) {
        drain_events(client);
    }
    client->inside = false;
    if (client->flights.queued != NULL && client->flights.writable) {
        loop_again(client->loop);
    }
}

/* One turn; timers call back too. */
static enum err turn(struct tpn_client *client, int64_t wait_ms)
{
    int wait = wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (int)wait_ms;
    client->inside = true;
    enum err err = loop_turn(client->loop, wait, NULL);
    client->inside = false;
    return err;
}

/* ---- open and close ---- */

/* The fields that the caller's tpn.h knows, over the defaults. */
static enum tpn_result read_options(const struct tpn_options *given,
                                    struct tpn_options *options, struct tpn_why *why)
{
    tpn_options_init(options);
    if (given == NULL) {
        return TPN_OK;
    }
    if (given->struct_bytes == 0 || given->struct_bytes > 4096) {
        return fail(why, TPN_INVALID, "options: call tpn_options_init first");
    }
    size_t known =
        given->struct_bytes < sizeof *options ? given->struct_bytes : sizeof *options;
    memcpy(options, given, known);
    if (options->submit_endpoint == NULL || options->status_endpoint == NULL) {
        return fail(why, TPN_INVALID, "options: an endpoint is null");
    }
    if (options->max_in_flight == 0 || options->max_in_flight > MAX_IN_FLIGHT_LIMIT) {
        return fail(why, TPN_INVALID, "options.max_in_flight: 1 to 1000000");
    }
    if (options->receipt_timeout_ms == 0 || options->deadline_ms == 0) {
        return fail(why, TPN_INVALID,
                    "options: receipt_timeout_ms and deadline_ms must be above 0");
    }
    return TPN_OK;
}

static enum err open_submit(struct tpn_client *client, const struct tpn_options *options,
                            struct err_text *why)
{
    /* Room for everything in flight and once more for resending: a full queue must not look
     * like a lost connection. */
    struct bus_options bus = {
        .role = BUS_DEALER,
        .endpoint = options->submit_endpoint,
        .lock = &client->lock,
        .send_queue_messages = (int)(options->max_in_flight * 2 + SUBMIT_SLACK),
        .receive_queue_messages = (int)(options->max_in_flight * 2 + SUBMIT_SLACK),
        .bodies_borrowed = true,
    };
    enum err err = loop_new(&client->loop, why);
    if (err != ERR_OK) {
        return err;
    }
    err = bus_lock_client(&client->lock, options->key_file, options->server_key_file,
                          options->insecure != 0, why);
    if (err != ERR_OK) {
        return err;
    }
    client->context = bus_context_new();
    err = bus_open(&client->submit, client->context, &bus, why);
    if (err != ERR_OK) {
        return err;
    }
    return bus_attach(client->submit, client->loop, submit_message, client);
}

enum tpn_result tpn_open(struct tpn_client **out, const struct tpn_options *given,
                         struct tpn_why *why)
{
    struct tpn_options options;
    struct err_text text = {0};
    *out = NULL;
    enum tpn_result result = read_options(given, &options, why);
    if (result != TPN_OK) {
        return result;
    }
    struct tpn_client *client = mem_zero(1, sizeof *client);
    if (open_submit(client, &options, &text) != ERR_OK) {
        tpn_close(&client);
        return fail(why, TPN_FAILED, text.text);
    }
    client->status_endpoint = mem_text(options.status_endpoint);
    client->max_in_flight = options.max_in_flight;
    client->on_receipt = options.on_receipt;
    client->arg = options.arg;
    client->flights = (struct flight_table){
        .loop = client->loop,
        .bus = client->submit,
        .receipt_timeout_ms = options.receipt_timeout_ms,
        .deadline_ms = options.deadline_ms,
        .done = flight_done,
        .arg = client,
    };
    flight_table_init(&client->flights);
    loop_before_wait(client->loop, serve, client);
    arena_init(&client->arena, client->arena_room, sizeof client->arena_room);
    *out = client;
    return TPN_OK;
}

void tpn_close(struct tpn_client **client_p)
{
    struct tpn_client *client = *client_p;
    if (client == NULL || client->inside) {
        return;
    }
    if (client->flights.queued != NULL) {
        flight_flush(&client->flights);
    }
    flight_table_fini(&client->flights);
    bus_close(&client->submit);
    bus_close(&client->status);
    bus_context_free(&client->context);
    loop_free(&client->loop);
    bus_lock_fini(&client->lock);
    free(client->status_endpoint);
    free(client);
    *client_p = NULL;
}

/* ---- publishing ---- */

/* data is taken over. */
static enum tpn_result launch(struct tpn_client *client, const char *id, uint8_t *data,
                              size_t len, struct tpn_why *why)
{
    struct err_text text = {0};
    if (request_check(data, len, &text) != ERR_OK) {
        free(data);
        return fail(why, TPN_INVALID, text.text);
    }
    if (flight_add(&client->flights, id, data, len) != ERR_OK) {
        return fail(why, TPN_INVALID, "id: a request with this id is in flight in this handle");
    }
    flight_offer(&client->flights);
    return TPN_OK;
}

static bool full(const struct tpn_client *client)
{
    return map_count(client->flights.by_id) >= client->max_in_flight;
}

static void tell_id(const char *id, char out[TPN_ID_BYTES])
{
    if (out != NULL) {
        (void)snprintf(out, TPN_ID_BYTES, "%s", id);
    }
}

enum tpn_result tpn_publish(struct tpn_client *client, const struct tpn_request *request,
                            char id[TPN_ID_BYTES], struct tpn_why *why)
{
    struct err_text text = {0};
    char fresh[DIGEST_UUID_BYTES];
    uint8_t *data = NULL;
    size_t len = 0;
    if (full(client)) {
        return fail(why, TPN_BUSY, "max_in_flight is reached");
    }
    const char *use = request_id(request);
    if (use[0] == '\0') {
        use = digest_uuid7(fresh);
    }
    if (strlen(use) >= TPN_ID_BYTES) {
        return fail(why, TPN_INVALID, "id: longer than 128 bytes");
    }
    if (request_encode(request, use, &data, &len, &text) != ERR_OK) {
        return fail(why, TPN_INVALID, text.text);
    }
    tell_id(use, id);
    return launch(client, use, data, len, why);
}

enum tpn_result tpn_publish_bytes(struct tpn_client *client, const void *data, size_t len,
                                  char id[TPN_ID_BYTES], struct tpn_why *why)
{
    enum { ID_FIELD = 1, ID_KEY = ID_FIELD << 3 | 2, ID_FRAME = 2 };
    char found[TPN_ID_BYTES];
    if (full(client)) {
        return fail(why, TPN_BUSY, "max_in_flight is reached");
    }
    if (len > WIRE_REQUEST_MAX_BYTES) {
        return fail(why, TPN_INVALID, "the request is larger than 25 MiB");
    }
    uint8_t *copy = mem_zero(len + ID_FRAME + DIGEST_UUID_BYTES, 1);
    memcpy(copy, data, len);
    check_find_text(copy, len, ID_FIELD, found, sizeof found);
    if (found[0] == '\0') {
        /* Fields of a protobuf message may come in any order and may be appended (encoding
         * guide, "Last One Wins"). */
        (void)digest_uuid7(found);
        size_t id_len = strlen(found);
        copy[len++] = ID_KEY;
        copy[len++] = (uint8_t)id_len;
        // NOLINTNEXTLINE(bugprone-not-null-terminated-result): the field has its length before it
        memcpy(copy + len, found, id_len);
        len += id_len;
    }
    tell_id(found, id);
    return launch(client, found, copy, len, why);
}

const char *tpn_refusal(const struct tpn_client *client)
{
    const char *refusal = bus_refusal(client->submit);
    return refusal[0] != '\0' || client->status == NULL ? refusal : bus_refusal(client->status);
}

size_t tpn_in_flight(const struct tpn_client *client)
{
    return client->flights.waiting;
}

/* ---- waiting ---- */

enum tpn_result tpn_poll(struct tpn_client *client, int timeout_ms)
{
    if (client->inside) {
        return TPN_INVALID;
    }
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    uint64_t news = client->news;
    serve(client); /* sending and asking both may have used up the edge that the descriptor
                      shows */
    int64_t left_ms = client->news != news ? 0 : timeout_ms;
    do {
        if (turn(client, left_ms) != ERR_OK) {
            return TPN_FAILED;
        }
        left_ms = until_ms - clock_mono_ms();
    } while (client->news == news && left_ms > 0);
    if (client->flights.queued != NULL) {
        flight_flush(&client->flights); /* what a callback published last */
    }
    return client->news != news ? TPN_OK : TPN_TIMEOUT;
}

enum tpn_result tpn_wait(struct tpn_client *client, const char *id, int timeout_ms,
                         struct tpn_receipt *receipt)
{
    if (client->inside || client->on_receipt != NULL) {
        return TPN_INVALID;
    }
    if (client->shown != NULL) {
        flight_remove(&client->shown);
    }
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    struct flight *flight = flight_find(&client->flights, id);
    while (flight != NULL && flight->state != FLIGHT_DONE) {
        int64_t left_ms = until_ms - clock_mono_ms();
        enum tpn_result result = tpn_poll(client, left_ms > 0 ? (int)left_ms : 0);
        if (result == TPN_FAILED) {
            return result;
        }
        if (left_ms <= 0 && flight->state != FLIGHT_DONE) {
            return TPN_TIMEOUT;
        }
    }
    if (flight == NULL) {
        return TPN_NOT_FOUND;
    }
    client->shown = flight;
    flight_show(flight, receipt);
    return TPN_OK;
}

/* ---- following and asking ---- */

static enum err open_status(struct tpn_client *client, struct err_text *why)
{
    struct bus_options bus = {
        .role = BUS_SUB,
        .endpoint = client->status_endpoint,
        .lock = &client->lock,
        .receive_queue_messages = EVENT_QUEUE,
    };
    enum err err = bus_open(&client->status, client->context, &bus, why);
    if (err != ERR_OK) {
        return err;
    }
    err = bus_attach(client->status, client->loop, submit_message, client);
    if (err != ERR_OK) {
        bus_close(&client->status);
    }
    return err;
}

enum tpn_result tpn_follow(struct tpn_client *client, const char *producer, tpn_event_fn *fn,
                           void *arg, struct tpn_why *why)
{
    struct err_text text = {0};
    char prefix[WIRE_TOPIC_BYTES];
    if (client->inside || fn == NULL) {
        return fail(why, TPN_INVALID, "tpn_follow: no function, or called from a callback");
    }
    client->on_event = fn;
    client->event_arg = arg;
    if (client->status == NULL && open_status(client, &text) != ERR_OK) {
        return fail(why, TPN_FAILED, text.text);
    }
    /* The dot at the end keeps "lab" from hearing "lab2". */
    const char *dot = producer != NULL ? "." : "";
    (void)snprintf(prefix, sizeof prefix, "tpn1.%s%s", producer != NULL ? producer : "", dot);
    if (bus_subscribe(client->status, prefix) != ERR_OK) {
        return fail(why, TPN_FAILED, "the status socket takes no subscription");
    }
    return TPN_OK;
}

/* Ask for query->ids until they are answered or the time is over. */
static bool ask(struct tpn_client *client, struct query *query, int64_t until_ms)
{
    PB(Query) body = PB_INIT(QUERY);
    char **ids = mem_zero(query->count, sizeof *ids);
    for (size_t i = 0; i < query->count; i++) {
        ids[i] = mem_text(query->ids[i]);
    }
    body.n_ids = query->count;
    body.ids = ids;
    client->query = query;
    int64_t next_ms = 0;
    for (int64_t now_ms = clock_mono_ms();
         !query->answered && now_ms < until_ms && bus_refusal(client->submit)[0] == '\0';
         now_ms = clock_mono_ms()) {
        if (now_ms >= next_ms) {
            enum err err = bus_send(client->submit, NULL, WIRE_QUERY, &body.base, NULL);
            next_ms = now_ms + (err == ERR_OK ? QUERY_RETRY_MS : QUERY_SOCKET_MS);
        }
        serve(client);
        int64_t wait_ms = (next_ms < until_ms ? next_ms : until_ms) - clock_mono_ms();
        if (!query->answered && turn(client, wait_ms) != ERR_OK) {
            break;
        }
    }
    client->query = NULL;
    for (size_t i = 0; i < query->count; i++) {
        free(ids[i]);
    }
    free(ids);
    return query->answered;
}

enum tpn_result tpn_query(struct tpn_client *client, const char *const ids[], size_t count,
                          int timeout_ms, tpn_status_fn *fn, void *arg, struct tpn_why *why)
{
    if (client->inside) {
        return fail(why, TPN_INVALID, "tpn_query: called from a callback");
    }
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    for (size_t at = 0; at < count; at += QUERY_IDS) {
        size_t left = count - at;
        struct query query = {.ids = ids + at,
                              .count = left < QUERY_IDS ? left : QUERY_IDS,
                              .fn = fn,
                              .arg = arg};
        if (!ask(client, &query, until_ms)) {
            const char *refusal = bus_refusal(client->submit);
            const char *said = refusal[0] != '\0' ? refusal : client->flights.last_error;
            return fail(why, TPN_UNREACHABLE,
                        said[0] != '\0' ? said : "no answer from the broker");
        }
    }
    return TPN_OK;
}
