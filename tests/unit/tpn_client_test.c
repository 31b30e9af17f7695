/* libtpn against a broker of a few lines that does as it is told: take, refuse, be busy, lose,
 * go away and come back.
 *
 * The broker runs in a thread of its own with its own ZeroMQ context, on ports that the kernel
 * chose, and follows a script: one letter for each SUBMIT it gets. Nothing here waits for a
 * time to pass; every wait ends with what it waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "clock.h"
#include "pb.h"
#include "tpn.h"

enum { MAX_SEEN = 64, PATIENCE_MS = 20000 };

struct fake {
    pthread_t thread;
    void *context;
    struct bus *submit, *status;
    struct loop *loop;
    char submit_endpoint[128], status_endpoint[128];
    const char
        *script; /* a accept, d duplicate, r reject, b busy, l lose; the last letter is kept */
    atomic_bool stop;
    atomic_bool tells;  /* in its receipts that it takes SUBMITS */
    atomic_bool knows;  /* SUBMITS; an older one answers that it is no verb */
    atomic_int submits; /* requests, however they came */
    atomic_int joined;  /* SUBMITS that were taken */
    atomic_int refused; /* and that were not */
    char seen[MAX_SEEN][TPN_ID_BYTES];
    size_t lens[MAX_SEEN];
    uint64_t sequence;
    uint64_t sums[MAX_SEEN];
};

static uint64_t sum_of(const struct wire_blob *raw)
{
    uint64_t sum = 14695981039346656037U;
    for (size_t i = 0; i < wire_blob_len(raw); i++) {
        sum = (sum ^ wire_blob_data(raw)[i]) * 1099511628211U;
    }
    return sum;
}

static void fake_publish(struct fake *fake, char *id)
{
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    char topic[WIRE_TOPIC_BYTES];
    uint8_t bytes[512];
    event.epoch = 7;
    event.sequence = ++fake->sequence;
    event.request_id = id;
    event.producer = (char *)(uintptr_t) "lab";
    event.state = PB_STATE(SENT);
    size_t len = protobuf_c_message_pack(&event.base, bytes);
    assert_int_equal(wire_publish(bus_socket(fake->status),
                                  wire_topic("lab", "SENT", id, topic), bytes, len),
                     ERR_OK);
}

/* An event of no request. */
static void fake_silence(struct fake *fake)
{
    PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
    PB(Watch) watch = PB_INIT(WATCH);
    char topic[WIRE_TOPIC_BYTES];
    uint8_t bytes[512];
    event.epoch = 7;
    event.sequence = ++fake->sequence;
    event.producer = (char *)(uintptr_t) "tpn-broker";
    event.reason = (char *)(uintptr_t) "nothing came";
    watch.name = (char *)(uintptr_t) "alerts";
    watch.kind = PB_WATCH(SILENT);
    event.watch = &watch;
    size_t len = protobuf_c_message_pack(&event.base, bytes);
    assert_int_equal(wire_publish(bus_socket(fake->status),
                                  wire_topic("tpn-broker", "SILENT", "alerts", topic), bytes,
                                  len),
                     ERR_OK);
}

static void fake_submit(struct fake *fake, struct wire_in *in)
{
    int number = atomic_load(&fake->submits);
    char *id = ((PB(NotificationRequest) *)in->body)->id;
    char step = fake->script[(size_t)number < strlen(fake->script) ? (size_t)number
                                                                   : strlen(fake->script) - 1];
    if (number < MAX_SEEN) {
        (void)snprintf(fake->seen[number], TPN_ID_BYTES, "%s", id);
        fake->lens[number] = wire_blob_len(in->raw);
        fake->sums[number] = sum_of(in->raw);
    }
    /* Before the receipt goes out: whoever has the receipt may look at the count. */
    atomic_fetch_add(&fake->submits, 1);
    PB(Receipt) receipt = PB_INIT(RECEIPT);
    receipt.id = id;
    receipt.status = step == 'a'   ? PB_RECEIPT(ACCEPTED)
                     : step == 'd' ? PB_RECEIPT(DUPLICATE)
                     : step == 'r' ? PB_RECEIPT(REJECTED)
                                   : PB_RECEIPT(BUSY);
    receipt.state = step == 'd' ? PB_STATE(SENT) : PB_STATE(ACCEPTED);
    receipt.field = (char *)(uintptr_t)(step == 'r' ? "profile" : "");
    receipt.reason = (char *)(uintptr_t)(step == 'r' ? "no such profile" : "");
    receipt.retry_after_ms = 20;
    receipt.takes_submits = atomic_load(&fake->tells);
    PB(Receipt) *both[] = {&receipt, &receipt}; /* the second is of no request any more */
    PB(Receipts) receipts = PB_INIT(RECEIPTS);
    receipts.receipts = both;
    receipts.n_receipts = 2;
    if (step != 'l') {
        assert_int_equal(
            in->peer.together
                ? bus_send(fake->submit, &in->peer, WIRE_RECEIPTS, &receipts.base, NULL)
                : bus_send(fake->submit, &in->peer, WIRE_RECEIPT, &receipt.base, NULL),
            ERR_OK);
    }
    fake_publish(fake, id);
    fake_silence(fake);
}

static void fake_query(struct fake *fake, struct wire_in *in)
{
    const PB(Query) *query = (const PB(Query) *)in->body;
    PB(QueryReply) reply = PB_INIT(QUERY_REPLY);
    PB(RequestStatus) rows[128];
    PB(RequestStatus) *pointers[128];
    for (size_t i = 0; i < query->n_ids; i++) {
        PB(RequestStatus) row = PB_INIT(REQUEST_STATUS);
        row.id = query->ids[i];
        row.state = strncmp(row.id, "no", 2) == 0 ? PB_STATE(UNSPECIFIED) : PB_STATE(SENT);
        rows[i] = row;
        pointers[i] = &rows[i];
    }
    reply.n_requests = query->n_ids;
    reply.requests = pointers;
    assert_int_equal(bus_send(fake->submit, &in->peer, WIRE_STATE, &reply.base, NULL), ERR_OK);
}

static void fake_submits(struct fake *fake, struct wire_in *in)
{
    const PB(Submits) *list = (const PB(Submits) *)wire_in_take_body(in);
    struct wire_piece piece = {.data = wire_blob_data(in->payload)};
    atomic_fetch_add(&fake->joined, 1);
    for (size_t i = 0; i < list->n_request_bytes; i++) {
        struct wire_in part;
        piece.len = list->request_bytes[i];
        assert_int_equal(wire_recv_part(in, piece, &part), ERR_OK);
        fake_submit(fake, &part);
        wire_in_fini(&part);
        piece.data += piece.len;
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)&list->base, NULL);
}

static void fake_refuse(struct fake *fake, const struct wire_in *in)
{
    PB(Error) error = PB_INIT(ERROR);
    error.reason = (char *)(uintptr_t) "unknown verb";
    atomic_fetch_add(&fake->refused, 1);
    assert_int_equal(bus_send(fake->submit, &in->peer, WIRE_ERROR, &error.base, NULL), ERR_OK);
}

static void fake_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct fake *fake = arg;
    (void)bus;
    if (err == ERR_OK && in->verb == WIRE_SUBMIT) {
        fake_submit(fake, in);
    } else if (err == ERR_OK && in->verb == WIRE_QUERY) {
        fake_query(fake, in);
    } else if (err == ERR_OK && in->verb == WIRE_SUBMITS) {
        if (atomic_load(&fake->knows)) {
            fake_submits(fake, in);
        } else {
            fake_refuse(fake, in);
        }
    }
}

static void fake_hook(void *arg)
{
    struct fake *fake = arg;
    bus_pump(fake->submit, 100);
    bus_pump(fake->status, 100);
}

static void *fake_run(void *arg)
{
    struct fake *fake = arg;
    while (!atomic_load(&fake->stop)) {
        (void)!loop_turn(fake->loop, 10, NULL);
    }
    return NULL;
}

static void fake_bind(struct fake *fake, struct bus **bus, enum bus_role role,
                      char endpoint[128])
{
    struct bus_options options = {.role = role, .endpoint = endpoint};
    struct err_text why = {0};
    if (bus_open(bus, fake->context, &options, &why) != ERR_OK ||
        bus_attach(*bus, fake->loop, fake_message, fake) != ERR_OK) {
        fail_msg("%s: %s", endpoint, why.text);
    }
    (void)snprintf(endpoint, 128, "%s", bus_endpoint(*bus));
}

/* Endpoints are empty (the kernel chooses) or those of an earlier start. */
static void fake_start(struct fake *fake, const char *script)
{
    static const char any[] = "tcp://127.0.0.1:*";
    if (fake->submit_endpoint[0] == '\0') {
        memcpy(fake->submit_endpoint, any, sizeof any);
        memcpy(fake->status_endpoint, any, sizeof any);
    }
    fake->script = script;
    atomic_store(&fake->stop, false);
    atomic_store(&fake->submits, 0);
    atomic_store(&fake->joined, 0);
    atomic_store(&fake->refused, 0);
    fake->context = bus_context_new();
    assert_int_equal(loop_new(&fake->loop, NULL), ERR_OK);
    fake_bind(fake, &fake->submit, BUS_ROUTER, fake->submit_endpoint);
    fake_bind(fake, &fake->status, BUS_XPUB, fake->status_endpoint);
    loop_before_wait(fake->loop, fake_hook, fake);
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    atomic_store(&fake->stop, true);
    assert_int_equal(pthread_join(fake->thread, NULL), 0);
    bus_close(&fake->submit);
    bus_close(&fake->status);
    bus_context_free(&fake->context);
    loop_free(&fake->loop);
}

/* ---- the client's side ---- */

static struct tpn_client *open_client(const struct fake *fake, uint32_t receipt_timeout_ms,
                                      uint32_t deadline_ms)
{
    struct tpn_options options;
    struct tpn_client *client = NULL;
    tpn_options_init(&options);
    options.submit_endpoint = fake->submit_endpoint;
    options.status_endpoint = fake->status_endpoint;
    options.receipt_timeout_ms = receipt_timeout_ms;
    options.deadline_ms = deadline_ms;
    options.max_in_flight = 4;
    assert_int_equal(tpn_open(&client, &options, NULL), TPN_OK);
    return client;
}

static void publish(struct tpn_client *client, const char *id, char used[TPN_ID_BYTES])
{
    struct tpn_request *request = tpn_request_new();
    struct tpn_why why;
    tpn_request_text(request, TPN_ID, id);
    tpn_request_text(request, TPN_PROFILE, "office");
    tpn_request_mailbox(request, TPN_FROM, "T", "t@example.org");
    tpn_request_mailbox(request, TPN_TO, "A", "a@example.org");
    tpn_request_text(request, TPN_SUBJECT, "s");
    tpn_request_text(request, TPN_TEXT, "t");
    if (tpn_publish(client, request, used, &why) != TPN_OK) {
        fail_msg("%s", why.text);
    }
    tpn_request_free(&request);
}

struct script_row {
    const char *name;
    const char *script;
    enum tpn_receipt_status wanted;
    int submits;
};

static const struct script_row scripts[] = {
    {"accepted", "a", TPN_RECEIPT_ACCEPTED, 1},
    {"busy twice, then accepted", "bba", TPN_RECEIPT_ACCEPTED, 3},
    {"first receipt lost", "la", TPN_RECEIPT_ACCEPTED, 2},
    {"lost, then known already", "ld", TPN_RECEIPT_DUPLICATE, 2},
    {"rejected", "r", TPN_RECEIPT_REJECTED, 1},
};

static void test_receipts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct fake fake = {0};
        struct tpn_receipt receipt = {0};
        char id[TPN_ID_BYTES];
        fake_start(&fake, scripts[i].script);
        /* Only where a receipt is lost may the time-out decide. */
        bool lossy = scripts[i].script[0] == 'l';
        struct tpn_client *client = open_client(&fake, lossy ? 200 : PATIENCE_MS, PATIENCE_MS);
        publish(client, "id-1", id);
        assert_int_equal(tpn_wait(client, "id-1", PATIENCE_MS, &receipt), TPN_OK);
        if (receipt.status != scripts[i].wanted ||
            atomic_load(&fake.submits) < scripts[i].submits) {
            fail_msg("%s: receipt %d after %d", scripts[i].name, (int)receipt.status,
                     atomic_load(&fake.submits));
        }
        for (int n = 1; n < scripts[i].submits; n++) {
            assert_string_equal(fake.seen[n], "id-1");
            assert_true(fake.sums[n] == fake.sums[0] && fake.lens[n] == fake.lens[0]);
        }
        if (scripts[i].wanted == TPN_RECEIPT_REJECTED) {
            assert_string_equal(receipt.field, "profile");
        }
        assert_int_equal(tpn_in_flight(client), 0);
        assert_int_equal(tpn_wait(client, "id-1", 0, &receipt), TPN_NOT_FOUND);
        tpn_close(&client);
        fake_stop(&fake);
    }
}

/* The receipt is lost with the broker; a new one on the same port must get the same bytes, long
 * before any time-out. */
static void test_broker_restart(void **state)
{
    struct fake fake = {0};
    struct tpn_receipt receipt = {0};
    char id[TPN_ID_BYTES];
    (void)state;
    fake_start(&fake, "l");
    struct tpn_client *client = open_client(&fake, PATIENCE_MS * 10, PATIENCE_MS * 10);
    publish(client, "", id);
    while (atomic_load(&fake.submits) == 0) {
        (void)tpn_poll(client, 10);
    }
    uint64_t before = fake.sums[0];
    fake_stop(&fake);
    (void)tpn_poll(client,
                   50); /* sees the connection go; the reconnect below needs no luck with it */
    fake_start(&fake, "d");
    assert_int_equal(tpn_wait(client, id, PATIENCE_MS, &receipt), TPN_OK);
    assert_int_equal(receipt.status, TPN_RECEIPT_DUPLICATE);
    assert_int_equal(receipt.state, TPN_STATE_SENT);
    assert_int_not_equal(atomic_load(&fake.submits), 0); /* makes seen ours to read */
    assert_string_equal(fake.seen[0], id);
    assert_true(fake.sums[0] == before);
    tpn_close(&client);
    fake_stop(&fake);
}

static void test_nobody_there(void **state)
{
    struct fake fake = {.submit_endpoint = "ipc://@tpn-nobody-listens-here",
                        .status_endpoint = "ipc://@tpn-nor-here"};
    struct tpn_receipt receipt = {0};
    struct tpn_why why;
    char id[TPN_ID_BYTES];
    (void)state;
    struct tpn_client *client = open_client(&fake, 50, 100);
    publish(client, "", id);
    assert_int_equal(tpn_wait(client, id, PATIENCE_MS, &receipt), TPN_OK);
    assert_int_equal(receipt.status, TPN_RECEIPT_NOT_KNOWN);
    assert_int_equal(receipt.sends, 0);
    assert_non_null(strstr(receipt.reason, "never sent"));
    const char *const ids[] = {id};
    assert_int_equal(tpn_query(client, ids, 1, 50, NULL, NULL, &why), TPN_UNREACHABLE);
    tpn_close(&client);
}

static void test_bounds_and_conflicts(void **state)
{
    struct fake fake = {.submit_endpoint = "ipc://@tpn-nobody-listens-here",
                        .status_endpoint = "ipc://@tpn-nor-here"};
    struct tpn_why why;
    char id[TPN_ID_BYTES];
    (void)state;
    struct tpn_client *client = open_client(&fake, PATIENCE_MS, PATIENCE_MS);
    for (int i = 0; i < 3; i++) {
        publish(client, "", id);
    }
    publish(client, "same", id);
    assert_int_equal(tpn_in_flight(client), 4);
    assert_int_equal(tpn_publish_bytes(client, "", 0, id, &why), TPN_BUSY);
    tpn_close(&client);
    client = open_client(&fake, PATIENCE_MS, PATIENCE_MS);
    assert_int_equal(tpn_publish_bytes(client, "\xff\xff", 2, id, &why), TPN_INVALID);
    publish(client, "same", id);
    struct tpn_request *request = tpn_request_new();
    assert_int_equal(tpn_publish(client, request, id, &why), TPN_INVALID);
    assert_true(why.text[0] != '\0');
    tpn_request_free(&request);
    tpn_close(&client);
}

static void test_bytes_without_id_get_one(void **state)
{
    struct fake fake = {0};
    struct tpn_receipt receipt = {0};
    struct tpn_why why;
    char id[TPN_ID_BYTES];
    void *data = NULL;
    size_t len = 0;
    (void)state;
    fake_start(&fake, "a");
    struct tpn_client *client = open_client(&fake, PATIENCE_MS, PATIENCE_MS);
    struct tpn_request *request = tpn_request_new();
    tpn_request_text(request, TPN_PROFILE, "office");
    tpn_request_mailbox(request, TPN_FROM, "T", "t@example.org");
    tpn_request_mailbox(request, TPN_TO, "A", "a@example.org");
    tpn_request_text(request, TPN_SUBJECT, "s");
    tpn_request_text(request, TPN_TEXT, "t");
    assert_int_equal(tpn_request_pack(request, &data, &len, NULL), TPN_OK);
    if (tpn_publish_bytes(client, data, len, id, &why) != TPN_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(strlen(id), 36);
    assert_int_equal(tpn_wait(client, id, PATIENCE_MS, &receipt), TPN_OK);
    assert_int_not_equal(atomic_load(&fake.submits), 0); /* makes seen ours to read */
    assert_string_equal(fake.seen[0], id);
    tpn_free(data);
    tpn_request_free(&request);
    tpn_close(&client);
    fake_stop(&fake);
}

/* ---- several in one message ---- */

/* A broker has told, if it does, what it takes; then three more are published before anything is heard. */
static struct tpn_client *publish_three(struct fake *fake, uint32_t receipt_timeout_ms)
{
    struct tpn_receipt receipt;
    char id[TPN_ID_BYTES];
    struct tpn_client *client = open_client(fake, receipt_timeout_ms, PATIENCE_MS);
    publish(client, "first", id);
    assert_int_equal(tpn_wait(client, "first", PATIENCE_MS, &receipt), TPN_OK);
    publish(client, "x1", id); /* leaves at once: nothing else is under way */
    publish(client, "x2", id);
    publish(client, "x3", id);
    return client;
}

struct together_row {
    const char *name;
    const char *script;
    bool tells;
    bool knows;
    uint32_t receipt_timeout_ms;
    int joined, refused, submits;
    unsigned sends; /* of x2 and x3 */
    enum tpn_receipt_status wanted;
};

static const struct together_row together_rows[] = {
    {"a broker that takes them", "a", true, true, PATIENCE_MS, 1, 0, 4, 1,
     TPN_RECEIPT_ACCEPTED},
    {"one that did not say so", "a", false, false, PATIENCE_MS, 0, 0, 4, 1,
     TPN_RECEIPT_ACCEPTED},
    {"refused one by one", "aarr", true, true, PATIENCE_MS, 1, 0, 4, 1, TPN_RECEIPT_REJECTED},
    {"an older one in its place", "a", true, false, PATIENCE_MS, 0, 1, 4, 2,
     TPN_RECEIPT_ACCEPTED},
    {"receipts lost: again, alone", "aalld", true, true, 200, 1, 0, 6, 2,
     TPN_RECEIPT_DUPLICATE},
    {"busy: again, alone", "aabba", true, true, PATIENCE_MS, 1, 0, 6, 2, TPN_RECEIPT_ACCEPTED},
};

static void test_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof together_rows / sizeof together_rows[0]; i++) {
        const struct together_row *row = &together_rows[i];
        struct fake fake = {0};
        struct tpn_receipt receipt;
        atomic_store(&fake.tells, row->tells);
        atomic_store(&fake.knows, row->knows);
        fake_start(&fake, row->script);
        struct tpn_client *client = publish_three(&fake, row->receipt_timeout_ms);
        const char *const ids[] = {"x1", "x2", "x3"};
        for (size_t n = 0; n < 3; n++) {
            assert_int_equal(tpn_wait(client, ids[n], PATIENCE_MS, &receipt), TPN_OK);
            if (n > 0 && (receipt.status != row->wanted || receipt.sends < row->sends)) {
                fail_msg("%s: %s: %s after %u", row->name, ids[n],
                         tpn_receipt_word(receipt.status), receipt.sends);
            }
        }
        if (atomic_load(&fake.joined) != row->joined ||
            atomic_load(&fake.refused) != row->refused ||
            atomic_load(&fake.submits) < row->submits) {
            fail_msg("%s: %d joined, %d refused, %d requests", row->name,
                     atomic_load(&fake.joined), atomic_load(&fake.refused),
                     atomic_load(&fake.submits));
        }
        assert_string_equal(fake.seen[2], "x2");
        assert_string_equal(fake.seen[3], "x3");
        assert_int_equal(fake.lens[2], fake.lens[1]);
        tpn_close(&client);
        fake_stop(&fake);
    }
}

/* What one broker takes says nothing of the next one at the same address. */
static void test_together_with_the_next_broker(void **state)
{
    struct fake fake = {0};
    struct tpn_receipt receipt;
    char id[TPN_ID_BYTES];
    (void)state;
    atomic_store(&fake.tells, true);
    fake_start(&fake, "a");
    struct tpn_client *client = open_client(&fake, PATIENCE_MS, PATIENCE_MS);
    publish(client, "first", id);
    assert_int_equal(tpn_wait(client, "first", PATIENCE_MS, &receipt), TPN_OK);
    fake_stop(&fake);
    (void)tpn_poll(client, 50); /* sees the connection go */
    publish(client, "y1", id);
    publish(client, "y2", id);
    atomic_store(&fake.tells, false);
    fake_start(&fake, "a");
    assert_int_equal(tpn_wait(client, "y1", PATIENCE_MS, &receipt), TPN_OK);
    assert_int_equal(tpn_wait(client, "y2", PATIENCE_MS, &receipt), TPN_OK);
    assert_int_equal(atomic_load(&fake.refused), 0);
    tpn_close(&client);
    fake_stop(&fake);
}

/* A request that waits for company leaves when the handle is closed. */
static void test_close_sends_what_waits(void **state)
{
    struct fake fake = {0};
    (void)state;
    atomic_store(&fake.tells, true);
    atomic_store(&fake.knows, true);
    fake_start(&fake, "al"); /* whoever is gone cannot be answered */
    struct tpn_client *client = publish_three(&fake, PATIENCE_MS);
    tpn_close(&client);
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while (atomic_load(&fake.submits) < 4 && clock_mono_ms() < until) {
        (void)sched_yield();
    }
    assert_int_equal(atomic_load(&fake.submits), 4);
    fake_stop(&fake);
}

/* ---- events and queries ---- */

struct heard {
    int events;
    int silences;
    int known, unknown;
};

static void on_event(void *arg, const struct tpn_event *event)
{
    struct heard *heard = arg;
    if (event->watch != TPN_WATCH_NONE) {
        assert_int_equal(event->watch, TPN_WATCH_SILENT);
        assert_string_equal(event->expectation, "alerts");
        assert_string_equal(event->id, "");
        assert_int_equal(event->state, TPN_STATE_NONE);
        assert_string_equal(event->reason, "nothing came");
        heard->silences++;
        return;
    }
    assert_string_equal(event->expectation, "");
    assert_string_equal(event->producer, "lab");
    assert_int_equal(event->state, TPN_STATE_SENT);
    heard->events++;
}

static void on_status(void *arg, const struct tpn_status *status)
{
    struct heard *heard = arg;
    if (status->state == TPN_STATE_NONE) {
        heard->unknown++;
    } else {
        heard->known++;
    }
}

static void test_follow_and_query(void **state)
{
    struct fake fake = {0};
    struct heard heard = {0};
    char id[TPN_ID_BYTES];
    (void)state;
    fake_start(&fake, "b");
    struct tpn_client *client = open_client(&fake, PATIENCE_MS, PATIENCE_MS);
    assert_int_equal(tpn_follow(client, NULL, on_event, &heard, NULL), TPN_OK);
    publish(client, "id-1",
            id); /* busy for ever: sent again and again, with an event each time */
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while ((heard.events < 2 || heard.silences < 1) && clock_mono_ms() < until) {
        (void)tpn_poll(client, 100);
    }
    assert_true(heard.events >= 2);
    assert_true(heard.silences >= 1);
    const char *ids[100];
    char names[100][16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s-%d", i % 4 == 0 ? "no" : "yes", i);
        ids[i] = names[i];
    }
    assert_int_equal(tpn_query(client, ids, 100, PATIENCE_MS, on_status, &heard, NULL), TPN_OK);
    assert_int_equal(heard.known, 75);
    assert_int_equal(heard.unknown, 25);
    tpn_close(&client);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_broker_restart),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_bounds_and_conflicts),
        cmocka_unit_test(test_bytes_without_id_get_one),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_together_with_the_next_broker),
        cmocka_unit_test(test_close_sends_what_waits),
        cmocka_unit_test(test_follow_and_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
