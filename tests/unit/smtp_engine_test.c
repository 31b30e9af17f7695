/* The smtp back end against a fake server that misbehaves to order, both in one loop: no
 * thread, no sleep.
 *
 * A row is one mail and one server; the tests below the table have several mails. The fake
 * notes what came byte for byte, so that a test can also say what must not have been sent. */
#include "buf.h"
#include "clock.h"
#include "deliver.h"
#include "loop.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAILS = 8, RECIPIENTS = 4, SEEN_BYTES = 1 << 20, PATIENCE_MS = 10000 };

enum dot_action { DOT_REPLY, DOT_DROP, DOT_STALL };

/* How the fake behaves. Zeroed: a good server with PIPELINING. */
struct manner {
    bool no_pipelining;
    bool split; /* one byte a send */
    bool drop_at_data;
    bool choke_on_rider;        /* no answer to a dot with something behind it */
    bool swallow_behind_dot;    /* forget what came behind the dot */
    bool go_without_recipients; /* 354 though all RCPT were refused */
    bool drip_at_mail;          /* a byte every 10 ms instead of the reply to MAIL */
    bool close_when_idle;       /* close after the first mail, without a word */
    const char *greeting;
    const char *offer;
    const char *mail_reply;
    const char *data_reply;
    const char *dot_reply;
    enum dot_action dot_action;
    unsigned goodbye_at_mail; /* 421 to the MAIL with this number on a connection */
    unsigned rcpt_limit;      /* 452 to every RCPT behind so many accepted ones, 0 = none */
    unsigned once;            /* misbehave on this many connections only, 0 = always */
};

struct fake;

struct visitor {
    struct fake *fake;
    struct loop_watch *watch;
    struct visitor *next;
    int fd;
    bool in_data;
    bool good; /* behaves, whatever the manner */
    unsigned mails;
    unsigned accepted;
    struct loop_timer drip;
    struct buf in;
};

struct fake {
    struct loop *loop;
    struct loop_watch *watch;
    struct visitor *visitors;
    const struct manner *manner;
    int fd;
    uint16_t port;
    unsigned connections;
    unsigned gos;   /* 354 said */
    unsigned taken; /* mails with 250 after the dot */
    struct buf seen;
};

static const struct manner good_manner = {.split = false};

static const struct manner *manner_of(const struct visitor *v)
{
    return v->good ? &good_manner : v->fake->manner;
}

static void leave(struct visitor *v)
{
    loop_unwatch(&v->watch);
    if (v->fd >= 0) {
        (void)close(v->fd);
        v->fd = -1;
    }
}

static void say(struct visitor *v, const char *text)
{
    size_t len = strlen(text);
    size_t step = manner_of(v)->split ? 1 : len;
    for (size_t at = 0; at < len && v->fd >= 0; at += step) {
        if (send(v->fd, text + at, step, MSG_NOSIGNAL) < 0) {
            leave(v);
        }
    }
}

static bool begins(const char *line, const char *word)
{
    return strncasecmp(line, word, strlen(word)) == 0;
}

static void on_rcpt(struct visitor *v, const char *line)
{
    static const struct {
        const char *start;
        const char *reply;
    } rules[] = {
        {"RCPT TO:<no", "550-5.1.1 No such\r\n550 5.1.1 person here\r\n"},
        {"RCPT TO:<grey", "450 4.2.0 Come back later\r\n"},
        {"RCPT TO:<many", "552 Too many recipients\r\n"},
        {"RCPT TO:<full", "552 5.2.2 Mailbox full\r\n"},
        {"RCPT TO:<bye", "421 4.3.2 Going down\r\n"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (begins(line, rules[i].start)) {
            say(v, rules[i].reply);
            return;
        }
    }
    if (manner_of(v)->rcpt_limit > 0 && v->accepted >= manner_of(v)->rcpt_limit) {
        say(v, "452 4.5.3 Too many recipients\r\n");
        return;
    }
    v->accepted++;
    say(v, "250 2.1.5 Ok\r\n");
}

static void drip(void *arg)
{
    struct visitor *v = arg;
    if (v->fd >= 0) {
        say(v, "2");
        loop_timer_arm(&v->drip, 10);
    }
}

static void on_mail(struct visitor *v)
{
    const struct manner *m = manner_of(v);
    v->mails++;
    v->accepted = 0;
    if (m->drip_at_mail) {
        loop_timer_init(&v->drip, v->fake->loop, drip, v);
        loop_timer_arm(&v->drip, 0);
    } else if (m->goodbye_at_mail == v->mails) {
        say(v, "421 4.7.0 Enough for one connection\r\n");
        leave(v);
    } else {
        say(v, m->mail_reply != NULL ? m->mail_reply : "250 2.1.0 Ok\r\n");
    }
}

static void on_data(struct visitor *v)
{
    const struct manner *m = manner_of(v);
    if (m->drop_at_data) {
        leave(v);
    } else if (m->data_reply != NULL) {
        say(v, m->data_reply);
    } else if (v->accepted == 0 && !m->go_without_recipients) {
        say(v, "554 5.5.1 No valid recipients\r\n");
    } else {
        v->in_data = true;
        v->fake->gos++;
        say(v, "354 Go\r\n");
    }
}

static void on_command(struct visitor *v, const char *line)
{
    const struct manner *m = manner_of(v);
    if (begins(line, "EHLO")) {
        say(v, "250-fake.example\r\n");
        say(v, m->no_pipelining ? "" : "250-PIPELINING\r\n");
        say(v, m->offer != NULL ? m->offer : "");
        say(v, "250 8BITMIME\r\n");
    } else if (begins(line, "MAIL")) {
        on_mail(v);
    } else if (begins(line, "RCPT")) {
        on_rcpt(v, line);
    } else if (begins(line, "DATA")) {
        on_data(v);
    } else if (begins(line, "QUIT")) {
        leave(v);
    } else {
        say(v, begins(line, "RSET") ? "250 2.0.0 Ok\r\n" : "500 5.5.2 What?\r\n");
    }
}

static void on_dot(struct visitor *v)
{
    const struct manner *m = manner_of(v);
    v->in_data = false;
    if (m->swallow_behind_dot) {
        buf_reset(&v->in);
    }
    if (m->dot_action == DOT_DROP) {
        leave(v);
        return;
    }
    if (m->dot_action == DOT_STALL || (m->choke_on_rider && v->in.len > 0)) {
        buf_reset(&v->in);
        return;
    }
    const char *reply =
        m->dot_reply != NULL ? m->dot_reply : "250 2.0.0 Ok: queued as 4F2A\r\n";
    v->fake->taken += reply[0] == '2' && v->accepted > 0 ? 1 : 0;
    say(v, reply);
    if (m->close_when_idle) {
        leave(v);
    }
}

/* Where the next line, or the content with its dot, ends; 0 = not here yet. */
static size_t next_piece(const struct visitor *v)
{
    const char *data = v->in.data;
    size_t len = v->in.len;
    if (!v->in_data) {
        const char *lf = len > 0 ? memchr(data, '\n', len) : NULL;
        return lf != NULL ? (size_t)(lf - data) + 1 : 0;
    }
    if (len >= 3 && memcmp(data, ".\r\n", 3) == 0) {
        return 3;
    }
    const char *dot = len > 0 ? memmem(data, len, "\r\n.\r\n", 5) : NULL;
    return dot != NULL ? (size_t)(dot - data) + 5 : 0;
}

static void read_visitor(void *arg, int events)
{
    struct visitor *v = arg;
    char data[8192];
    (void)events;
    ssize_t n = recv(v->fd, data, sizeof data, MSG_DONTWAIT);
    if (n <= 0) {
        leave(v);
        return;
    }
    buf_add(&v->in, data, (size_t)n);
    buf_add(&v->fake->seen, data, (size_t)n);
    size_t commands = 0;
    for (size_t end = next_piece(v); end > 0 && v->fd >= 0; end = next_piece(v)) {
        bool content = v->in_data;
        char *piece = mem_zero(end + 1, 1);
        memcpy(piece, v->in.data, end);
        buf_drop(&v->in, end);
        if (content) {
            on_dot(v);
        } else {
            commands++;
            on_command(v, piece);
        }
        free(piece);
    }
    if (manner_of(v)->no_pipelining && commands > 1) {
        fail_msg("%zu commands at once to a server without PIPELINING", commands);
    }
}

static void on_visit(void *arg, int events)
{
    struct fake *fake = arg;
    (void)events;
    struct visitor *v = mem_zero(1, sizeof *v);
    v->fake = fake;
    v->fd = accept(fake->fd, NULL, NULL);
    assert_true(v->fd >= 0);
    int on =
        1; /* replies come in several sends: no waiting for acknowledgements between them */
    assert_int_equal(setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    v->next = fake->visitors;
    fake->visitors = v;
    fake->connections++;
    v->good = fake->manner->once > 0 && fake->connections > fake->manner->once;
    buf_init(&v->in, SEEN_BYTES);
    assert_int_equal(loop_watch(fake->loop, v->fd, LOOP_READ, read_visitor, v, &v->watch),
                     ERR_OK);
    const char *greeting = manner_of(v)->greeting;
    say(v, greeting != NULL ? greeting : "220 fake.example ESMTP\r\n");
    if (greeting != NULL && greeting[0] != '2') {
        leave(v);
    }
}

static void fake_open(struct fake *fake, struct loop *loop, const struct manner *manner)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fake = (struct fake){.loop = loop, .manner = manner};
    buf_init(&fake->seen, SEEN_BYTES);
    fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->fd, 64), 0);
    assert_int_equal(getsockname(fake->fd, (struct sockaddr *)&address, &len), 0);
    fake->port = ntohs(address.sin_port);
    assert_int_equal(loop_watch(loop, fake->fd, LOOP_READ, on_visit, fake, &fake->watch),
                     ERR_OK);
}

static void fake_close(struct fake *fake)
{
    while (fake->visitors != NULL) {
        struct visitor *v = fake->visitors;
        fake->visitors = v->next;
        leave(v);
        if (v->drip.loop != NULL) {
            loop_timer_disarm(&v->drip);
        }
        buf_fini(&v->in);
        free(v);
    }
    loop_unwatch(&fake->watch);
    (void)close(fake->fd);
    buf_fini(&fake->seen);
}

/* The side of the job. */

enum permits { PERMIT_AT_ONCE, PERMIT_NEVER, PERMIT_DENIED, PERMIT_BY_HAND };

struct world {
    struct loop *loop;
    struct fake fake;
    void *backend;
    struct settings_plan plan;
    struct delivery mails[MAILS];
    bool over[MAILS];
    bool asked[MAILS];
    unsigned asks;
    unsigned done;
    enum permits permits;
};

static size_t number_of(const struct world *w, const struct delivery *delivery)
{
    return (size_t)(delivery - w->mails);
}

static void on_ask(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    size_t i = number_of(w, delivery);
    assert_false(w->over[i]);
    assert_false(w->asked[i]);
    w->asked[i] = true;
    w->asks++;
    if (w->permits == PERMIT_AT_ONCE) {
        deliver_smtp.permit(w->backend, delivery, DELIVER_GRANTED);
    } else if (w->permits == PERMIT_DENIED) {
        deliver_smtp.permit(w->backend, delivery, DELIVER_DENIED);
    }
}

static void on_done(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    size_t i = number_of(w, delivery);
    assert_false(w->over[i]);
    w->over[i] = true;
    w->done++;
    for (size_t r = 0; r < delivery->recipient_count; r++) {
        assert_int_not_equal(delivery->recipients[r].outcome, PB_OUTCOME(PENDING));
    }
}

static const struct deliver_owner owner = {.ask = on_ask, .done = on_done};

static void world_open(struct world *w, const struct manner *manner)
{
    struct err_text why = {.code = ERR_OK};
    *w = (struct world){.permits = PERMIT_AT_ONCE};
    assert_int_equal(loop_new(&w->loop, &why), ERR_OK);
    fake_open(&w->fake, w->loop, manner);
    const struct deliver_context context = {.loop = w->loop, .helo_name = "test.example"};
    assert_int_equal(deliver_smtp.open(&context, &w->backend, &why), ERR_OK);
    w->plan = (struct settings_plan){.route = SETTINGS_SMTP,
                                     .tls = SETTINGS_TLS_NONE,
                                     .server = "127.0.0.1",
                                     .port = w->fake.port,
                                     .authentication = PB_AUTH(ANONYMOUS),
                                     .verify = true,
                                     .connect_timeout_ms = 5000,
                                     .reply_timeout_ms = 5000,
                                     .content_timeout_ms = 5000,
                                     .idle_timeout_ms = 5000,
                                     .max_connections = 1};
}

static void world_close(struct world *w)
{
    deliver_smtp.close(&w->backend);
    fake_close(&w->fake);
    loop_free(&w->loop);
    for (size_t i = 0; i < MAILS; i++) {
        delivery_fini(&w->mails[i]);
    }
}

/* recipients: addresses, null-terminated. */
static struct delivery *start_as(struct world *w, size_t i, const char *const *recipients,
                                 const struct settings_plan *plan, uint64_t version)
{
    struct delivery *delivery = &w->mails[i];
    delivery->plan = plan;
    delivery->profile_version = version;
    delivery->owner = &owner;
    delivery->owner_arg = w;
    (void)snprintf(delivery->mail_from, sizeof delivery->mail_from, "boss@here.example");
    buf_init(&delivery->content, 4096);
    buf_add_format(&delivery->content, "Subject: mail %zu\r\n\r\nbody %zu\r\n", i, i);
    delivery->recipients = mem_zero(RECIPIENTS, sizeof *delivery->recipients);
    for (size_t r = 0; recipients[r] != NULL; r++) {
        struct deliver_recipient *recipient = &delivery->recipients[r];
        (void)snprintf(recipient->address, sizeof recipient->address, "%s", recipients[r]);
        recipient->needs_utf8 = strstr(recipients[r], "\xc3") != NULL;
        delivery->recipient_count = r + 1;
    }
    deliver_smtp.start(w->backend, delivery);
    return delivery;
}

static struct delivery *start(struct world *w, size_t i, const char *const *recipients)
{
    return start_as(w, i, recipients, &w->plan, 7);
}

static void turn_until(struct world *w, const unsigned *counter, unsigned wanted)
{
    struct err_text why = {.code = ERR_OK};
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    while (*counter < wanted) {
        assert_true(clock_mono_ms() < end_ms);
        assert_int_equal(loop_turn(w->loop, 1000, &why), ERR_OK);
    }
}

/* Let everything that is ready happen. */
static void settle(struct world *w)
{
    struct err_text why = {.code = ERR_OK};
    for (int i = 0; i < 50; i++) {
        assert_int_equal(loop_turn(w->loop, 1, &why), ERR_OK);
    }
}

static bool was_seen(const struct world *w, const char *text)
{
    return strstr(buf_text(&w->fake.seen), text) != NULL;
}

/* One mail, one server. */

struct want {
    int outcome;
    int phase;
    unsigned code;
};

struct row {
    const char *name;
    struct manner manner;
    const char *recipients[RECIPIENTS + 1];
    struct want want[RECIPIENTS];
    bool content_is_sent;
    unsigned connections;
};

#define GOOD                                                                                   \
    {                                                                                          \
        PB_OUTCOME(DELIVERED), PB_PHASE(FINAL_DOT), 250                                        \
    }
#define WANT(outcome, phase, code)                                                             \
    {                                                                                          \
        PB_OUTCOME(outcome), PB_PHASE(phase), code                                             \
    }

static const struct row rows[] = {
    {"plain", {0}, {"a@x.test"}, {GOOD}, true, 1},
    {"three_recipients",
     {0},
     {"a@x.test", "b@x.test", "c@x.test"},
     {GOOD, GOOD, GOOD},
     true,
     1},
    {"no_pipelining", {.no_pipelining = true}, {"a@x.test", "b@x.test"}, {GOOD, GOOD}, true, 1},
    {"some_refused",
     {0},
     {"a@x.test", "no@x.test", "grey@x.test", "many@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 550), WANT(DEFERRED, RCPT, 450), WANT(DEFERRED, RCPT, 552)},
     true,
     1},
    {"some_refused_one_at_a_time",
     {.no_pipelining = true},
     {"no@x.test", "a@x.test", "full@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD, WANT(DEFERRED, RCPT, 552)},
     true,
     1},
    {"all_refused",
     {0},
     {"no@x.test", "grey@x.test"},
     {WANT(REFUSED, RCPT, 550), WANT(DEFERRED, RCPT, 450)},
     false,
     1},
    {"all_refused_one_at_a_time",
     {.no_pipelining = true},
     {"no@x.test"},
     {WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"all_refused_but_go",
     {.go_without_recipients = true},
     {"no@x.test"},
     {WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"split_replies",
     {.split = true},
     {"a@x.test", "no@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 550)},
     true,
     1},
    {"sender_refused",
     {.mail_reply = "550 5.7.1 Not from you\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, MAIL, 550)},
     false,
     1},
    {"sender_put_off_one_at_a_time",
     {.mail_reply = "451 4.3.0 Later\r\n", .no_pipelining = true},
     {"a@x.test"},
     {WANT(DEFERRED, MAIL, 451)},
     false,
     1},
    {"data_put_off",
     {.data_reply = "451 4.3.0 Later\r\n"},
     {"a@x.test", "no@x.test"},
     {WANT(DEFERRED, DATA, 451), WANT(REFUSED, RCPT, 550)},
     false,
     1},
    {"greeting_421",
     {.greeting = "421 4.3.2 Too busy\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, CONNECT, 421)},
     false,
     1},
    {"greeting_554",
     {.greeting = "554 5.3.2 No service\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, CONNECT, 554)},
     false,
     1},
    {"first_mail_421",
     {.goodbye_at_mail = 1},
     {"a@x.test"},
     {WANT(DEFERRED, MAIL, 421)},
     false,
     1},
    {"recipient_421",
     {0},
     {"bye@x.test", "a@x.test"},
     {WANT(DEFERRED, RCPT, 421), WANT(DEFERRED, RCPT, 421)},
     false,
     1},
    {"drop_at_data", {.drop_at_data = true}, {"a@x.test"}, {WANT(DEFERRED, DATA, 0)}, false, 1},
    {"drop_after_dot",
     {.dot_action = DOT_DROP},
     {"a@x.test", "no@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0), WANT(REFUSED, RCPT, 550)},
     true,
     1},
    {"451_after_dot",
     {.dot_reply = "451 4.3.0 Queue full\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, FINAL_DOT, 451)},
     true,
     1},
    {"554_after_dot",
     {.dot_reply = "554-5.7.1 Spam\r\n554 5.7.1 they say\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, FINAL_DOT, 554)},
     true,
     1},
    {"251_after_dot",
     {.dot_reply = "251 2.0.0 Forwarded\r\n"},
     {"a@x.test"},
     {WANT(DELIVERED, FINAL_DOT, 251)},
     true,
     1},
    {"421_after_dot",
     {.dot_reply = "421 4.3.0 Down\r\n"},
     {"a@x.test"},
     {WANT(DEFERRED, FINAL_DOT, 421)},
     true,
     1},
    {"garbage_after_dot",
     {.dot_reply = "HTTP/1.1 200 OK\r\n"},
     {"a@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0)},
     true,
     1},
    {"too_large",
     {.offer = "250-SIZE 10\r\n"},
     {"a@x.test"},
     {WANT(REFUSED, MAIL, 0)},
     false,
     1},
    {"size_fits", {.offer = "250-SIZE 100000\r\n"}, {"a@x.test"}, {GOOD}, true, 1},
    {"utf8_not_offered",
     {0},
     {"a@x.test", "j\xc3\xb6rg@x.test"},
     {GOOD, WANT(REFUSED, RCPT, 0)},
     true,
     1},
    {"all_refused_of_the_first_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n"},
     {"no@x.test", "a@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD},
     true,
     1},
    {"a_lone_dot_before_the_second_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .go_without_recipients = true},
     {"no@x.test", "a@x.test"},
     {WANT(REFUSED, RCPT, 550), GOOD},
     true,
     1},
    {"content_refused_for_all_rounds",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .dot_reply = "554 5.7.1 Spam\r\n"},
     {"a@x.test", "b@x.test"},
     {WANT(REFUSED, FINAL_DOT, 554), WANT(REFUSED, FINAL_DOT, 554)},
     true,
     1},
    {"lost_in_the_first_round",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .dot_action = DOT_DROP},
     {"a@x.test", "b@x.test"},
     {WANT(UNKNOWN, FINAL_DOT, 0), WANT(DEFERRED, RCPT, 0)},
     true,
     1},
    {"limits_that_make_no_sense",
     {.offer = "250-LIMITS RCPTMAX=0 MAILMAX=x\r\n"},
     {"a@x.test", "b@x.test"},
     {GOOD, GOOD},
     true,
     1},
    {"utf8_offered", {.offer = "250-SMTPUTF8\r\n"}, {"j\xc3\xb6rg@x.test"}, {GOOD}, true, 1},
};

static void test_row(const struct row *row)
{
    struct world w;
    print_message("  %s\n", row->name);
    world_open(&w, &row->manner);
    const struct delivery *delivery = start(&w, 0, row->recipients);
    turn_until(&w, &w.done, 1);
    for (size_t r = 0; r < delivery->recipient_count; r++) {
        assert_int_equal(delivery->recipients[r].outcome, row->want[r].outcome);
        assert_int_equal(delivery->recipients[r].phase, row->want[r].phase);
        assert_int_equal(delivery->recipients[r].code, row->want[r].code);
    }
    assert_int_equal(was_seen(&w, "Subject: mail 0"), row->content_is_sent);
    assert_int_equal(w.fake.connections, row->connections);
    world_close(&w);
}

static void one_mail_has_the_outcome_of_its_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row(&rows[i]);
    }
}

/* Several mails. */

static const char *const to_a[] = {"a@x.test", NULL};
static const char *const to_no[] = {"no@x.test", NULL};

static void assert_all(const struct world *w, size_t count, int outcome)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(w->mails[i].recipients[0].outcome, outcome);
    }
}

static void start_many(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)start(w, i, to_a);
    }
}

static void the_reply_is_kept_with_its_recipient(void **state)
{
    static const struct manner manner = {0};
    static const char *const recipients[] = {"a@x.test", "no@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    const struct delivery *delivery = start(&w, 0, recipients);
    turn_until(&w, &w.done, 1);
    assert_string_equal(delivery->recipients[0].text, "Ok: queued as 4F2A");
    assert_string_equal(delivery->recipients[0].enhanced, "2.0.0");
    assert_string_equal(delivery->recipients[1].text, "No such person here");
    assert_string_equal(delivery->recipients[1].enhanced, "5.1.1");
    assert_string_equal(delivery->queue_id, "4F2A");
    assert_string_equal(delivery->tls_version, "");
    assert_true(strncmp(delivery->server, "127.0.0.1:", 10) == 0);
    world_close(&w);
}

static void the_next_envelope_rides_behind_the_dot(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 1);
    assert_true(
        was_seen(&w, "body 0\r\n.\r\nMAIL FROM:<boss@here.example>\r\nRCPT TO:<a@x.test>\r\n"
                     "DATA\r\nSubject: mail 1"));
    world_close(&w);
}

/* Recipients beyond the server's limit: the same content again, under the one permit, until everybody has it. */
static const struct round_row {
    const char *name;
    struct manner manner;
    unsigned taken; /* mails */
    unsigned connections;
} round_rows[] = {
    {"452 pipelined", {.rcpt_limit = 1}, 4, 1},
    {"452 one at a time", {.rcpt_limit = 1, .no_pipelining = true}, 4, 1},
    {"452 after three", {.rcpt_limit = 3}, 2, 1},
    {"RCPTMAX", {.offer = "250-LIMITS MAILMAX=50 RCPTMAX=3\r\n"}, 2, 1},
    {"RCPTMAX one at a time",
     {.offer = "250-LIMITS RCPTMAX=1\r\n", .no_pipelining = true},
     4,
     1},
    {"RCPTMAX, and less", {.offer = "250-LIMITS RCPTMAX=3\r\n", .rcpt_limit = 2}, 2, 1},
    {"421 at the second round", {.rcpt_limit = 1, .goodbye_at_mail = 2}, 4, 4},
    {"MAILMAX", {.offer = "250-LIMITS MAILMAX=1\r\n", .rcpt_limit = 2}, 2, 2},
};

static void recipients_beyond_the_limit_go_in_further_mails(void **state)
{
    static const char *const four[] = {"a@x.test", "b@x.test", "c@x.test", "d@x.test", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof round_rows / sizeof round_rows[0]; i++) {
        const struct round_row *row = &round_rows[i];
        struct world w;
        print_message("  %s\n", row->name);
        world_open(&w, &row->manner);
        const struct delivery *delivery = start(&w, 0, four);
        turn_until(&w, &w.done, 1);
        for (size_t r = 0; r < 4; r++) {
            assert_int_equal(delivery->recipients[r].outcome, PB_OUTCOME(DELIVERED));
            assert_int_equal(delivery->recipients[r].code, 250);
        }
        assert_int_equal(w.fake.taken, row->taken);
        assert_int_equal(w.fake.connections, row->connections);
        assert_int_equal(w.asks, 1);
        assert_true(strncmp(delivery->queue_id, "4F2A,4F2A", 9) == 0);
        world_close(&w);
    }
}

/* A reply too many or too few: nobody is blamed for another's refusal, and no content goes out. */
static void replies_out_of_step_count_for_nobody(void **state)
{
    static const char twice[] = "250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n";
    static const struct {
        struct manner manner;
        const char *to[3];
    } steps[] = {
        {{.mail_reply = twice}, {"a@x.test", "b@x.test"}},
        {{.mail_reply = twice, .no_pipelining = true}, {"a@x.test", "no@x.test"}},
        {{.mail_reply = "250 2.1.0 Ok\r\n354 Go\r\n"}, {"a@x.test", "no@x.test"}},
        {{.mail_reply = "354 Go\r\n"}, {"a@x.test", "no@x.test"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct world w;
        world_open(&w, &steps[i].manner);
        const struct delivery *delivery = start(&w, 0, steps[i].to);
        turn_until(&w, &w.done, 1);
        for (size_t r = 0; r < 2; r++) {
            assert_int_equal(delivery->recipients[r].outcome, PB_OUTCOME(DEFERRED));
            assert_int_equal(delivery->recipients[r].code, 0);
        }
        assert_false(was_seen(&w, "Subject"));
        world_close(&w);
    }
}

/* A byte now and then is no answer: the time for a reply runs on. */
static void a_server_that_drips_does_not_hold_us(void **state)
{
    static const struct manner manner = {.drip_at_mail = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 60;
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_string_equal(w.mails[0].recipients[0].text, "no reply in time");
    world_close(&w);
}

static void mails_behind_one_of_several_rounds_are_not_held_up(void **state)
{
    static const struct manner manner = {.rcpt_limit = 1};
    static const char *const two[] = {"a@x.test", "b@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    for (size_t i = 0; i < 4; i++) {
        (void)start(&w, i, two);
    }
    turn_until(&w, &w.done, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
        assert_int_equal(w.mails[i].recipients[1].outcome, PB_OUTCOME(DELIVERED));
    }
    assert_int_equal(w.fake.taken, 8);
    assert_int_equal(w.asks, 4);
    world_close(&w);
}

/* The server's SIZE, DSN and SMTPUTF8 are used, and only when the mail wants them. */
static void commands_say_what_the_mail_needs(void **state)
{
    static const struct manner manner = {.offer = "250-DSN\r\n250-SMTPUTF8\r\n250-SIZE\r\n"};
    static const char *const to[] = {"a+b=c@x.test", "j\xc3\xb6rg@x.test", NULL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.mails[0].want_delivery_receipt = true;
    w.mails[0].needs_utf8 = true;
    (void)snprintf(w.mails[0].file_name, sizeof w.mails[0].file_name, "tpn-7=1");
    (void)start(&w, 0, to);
    turn_until(&w, &w.done, 1);
    assert_true(was_seen(&w, "MAIL FROM:<boss@here.example> SIZE=27 BODY=8BITMIME SMTPUTF8 "
                             "RET=HDRS ENVID=tpn-7+3D1\r\n"));
    assert_true(was_seen(
        &w, "RCPT TO:<a+b=c@x.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb+3Dc@x.test\r\n"));
    assert_true(was_seen(&w, "RCPT TO:<j\xc3\xb6rg@x.test> NOTIFY=SUCCESS,FAILURE\r\n"));
    (void)start(&w, 1, to_a);
    turn_until(&w, &w.done, 2);
    assert_true(was_seen(
        &w, "MAIL FROM:<boss@here.example> SIZE=27\r\nRCPT TO:<a@x.test>\r\nDATA\r\n"));
    world_close(&w);
}

static void mode_envelope_waits_for_the_answer(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.pipelining = PB_PIPELINING(ENVELOPE);
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 1);
    world_close(&w);
}

/* The rider's silence is found by its time-out, a short one here. */
static void a_server_that_swallows_the_rider_is_stepped_down(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 50;
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 3);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

/* The first mail is in doubt, but the server is not put to the same test again. */
static void a_server_that_chokes_on_the_rider_is_stepped_down(void **state)
{
    static const struct manner manner = {.choke_on_rider = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.content_timeout_ms = 50;
    start_many(&w, 4);
    turn_until(&w, &w.done, 4);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(UNKNOWN));
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(w.mails[i].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    }
    assert_int_equal(w.fake.taken, 3);
    world_close(&w);
}

/* What was learnt about a server outlives the pool: here the profile changes, and nothing is swallowed again. */
static void a_stumble_is_remembered_for_the_server(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.reply_timeout_ms = 50;
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_int_equal(w.fake.connections, 2);
    struct settings_plan changed = w.plan;
    changed.idle_timeout_ms++;
    for (size_t i = 3; i < 6; i++) {
        (void)start_as(&w, i, to_a, &changed, 8);
    }
    turn_until(&w, &w.done, 6);
    assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    assert_int_equal(w.fake.taken, 6);
    world_close(&w);
}

/* A mail that comes while another awaits its answer need not wait for it. */
static void a_late_mail_rides_too(void **state)
{
    static const struct manner manner = {.dot_action = DOT_STALL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = start(&w, 0, to_a);
    turn_until(&w, &w.asks, 1);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    turn_until(&w, &w.fake.gos, 1);
    settle(&w);
    assert_true(was_seen(&w, "body 0\r\n.\r\n"));
    (void)start(&w, 1, to_a);
    settle(&w);
    assert_int_equal(w.asks, 2);
    assert_true(was_seen(&w, "body 0\r\n.\r\nMAIL FROM"));
    world_close(&w);
}

static void a_421_at_the_nth_mail_costs_no_mail(void **state)
{
    static const struct manner manner = {.goodbye_at_mail = 3};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    start_many(&w, 6);
    turn_until(&w, &w.done, 6);
    assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 6);
    assert_int_equal(w.fake.connections, 3);
    assert_int_equal(w.asks, 6);
    world_close(&w);
}

static void a_silent_close_after_each_mail_costs_no_mail(void **state)
{
    static const struct manner manner = {.close_when_idle = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 3);
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

/* The server closes a kept connection and the next mail starts before anybody has looked. */
static void a_stale_connection_costs_no_mail(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    leave(w.fake.visitors);
    (void)start(&w, 1, to_a);
    turn_until(&w, &w.done, 2);
    assert_all(&w, 2, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void a_connection_is_kept_for_the_next_mail(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)start(&w, 0, to_no);
    turn_until(&w, &w.done, 1);
    (void)start(&w, 1, to_a);
    turn_until(&w, &w.done, 2);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(REFUSED));
    assert_int_equal(w.mails[1].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_true(was_seen(&w, "RSET\r\nMAIL FROM"));
    assert_int_equal(w.fake.connections, 1);
    world_close(&w);
}

static void a_lost_answer_is_unknown_and_its_rider_is_sent_once(void **state)
{
    static const struct manner manner = {.dot_action = DOT_DROP, .once = 1};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    start_many(&w, 2);
    turn_until(&w, &w.done, 2);
    assert_int_equal(w.mails[0].recipients[0].outcome, PB_OUTCOME(UNKNOWN));
    assert_int_equal(w.mails[1].recipients[0].outcome, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.taken, 1);
    world_close(&w);
}

static void a_stall_after_the_dot_is_unknown(void **state)
{
    static const struct manner manner = {.dot_action = DOT_STALL};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.content_timeout_ms = 30;
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(UNKNOWN));
    assert_string_equal(w.mails[0].recipients[0].text, "no reply in time");
    world_close(&w);
}

static void a_denied_permit_sends_no_content(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_DENIED;
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    settle(&w);
    assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(BROKER));
    assert_string_equal(w.mails[0].recipients[0].text, "permit denied");
    assert_false(was_seen(&w, "Subject"));
    world_close(&w);
}

static void content_waits_for_a_late_permit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = start(&w, 0, to_a);
    turn_until(&w, &w.fake.gos, 1);
    settle(&w);
    assert_false(was_seen(&w, "Subject"));
    assert_int_equal(w.done, 0);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DELIVERED));
    world_close(&w);
}

/* The server loses patience while the permit is on its way: nothing was sent, so it is begun
 * again. */
static void a_permit_that_comes_after_the_connection_is_used_on_the_next(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_BY_HAND;
    struct delivery *delivery = start(&w, 0, to_a);
    turn_until(&w, &w.fake.gos, 1);
    settle(&w);
    leave(w.fake.visitors);
    settle(&w);
    assert_int_equal(w.done, 0);
    deliver_smtp.permit(w.backend, delivery, DELIVER_GRANTED);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.asks, 1);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void a_refused_connection_fails_all_that_wait(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.port = 1; /* tcpmux: nobody listens */
    w.plan.max_connections = 4;
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(CONNECT));
    assert_int_equal(w.asks, 0);
    world_close(&w);
}

static void a_login_that_is_not_offered_fails_closed(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    assert_int_equal(setenv("ENGINE_TEST_SECRET", "open sesame", 1), 0);
    w.plan.authentication = PB_AUTH(BASIC);
    w.plan.allow_cleartext_auth = true;
    w.plan.user_name = "user";
    w.plan.password = "env:ENGINE_TEST_SECRET";
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(AUTH));
    assert_string_equal(w.mails[0].recipients[0].text,
                        "the server offered no AUTH of a kind that is known, nothing was sent");
    assert_false(was_seen(&w, "MAIL"));
    world_close(&w);
}

static void a_login_without_tls_needs_leave(void **state)
{
    static const struct manner manner = {.offer = "250-AUTH PLAIN\r\n"};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.authentication = PB_AUTH(BASIC);
    w.plan.user_name = "user";
    w.plan.password = "env:ENGINE_TEST_SECRET";
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.fake.connections, 0);
    world_close(&w);
}

static void starttls_is_never_skipped(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.tls = SETTINGS_TLS_STARTTLS;
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    assert_all(&w, 1, PB_OUTCOME(DEFERRED));
    assert_int_equal(w.mails[0].recipients[0].phase, PB_PHASE(TLS));
    assert_false(was_seen(&w, "MAIL"));
    world_close(&w);
}

static void drain_closes_with_quit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    start_many(&w, 2);
    deliver_smtp.drain(w.backend);
    turn_until(&w, &w.done, 2);
    settle(&w);
    assert_all(&w, 2, PB_OUTCOME(DELIVERED));
    assert_true(was_seen(&w, "QUIT\r\n"));
    world_close(&w);
}

static void close_gives_up_in_every_state(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.permits = PERMIT_NEVER;
    start_many(&w, 4);
    turn_until(&w, &w.fake.gos, 1);
    settle(&w);
    assert_int_equal(w.done, 0);
    world_close(&w);
}

static void other_settings_never_share_a_connection(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    w.plan.reply_timeout_ms += 1; /* the same version number, another plan */
    (void)start(&w, 1, to_a);
    turn_until(&w, &w.done, 2);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

static void a_connection_ends_at_its_number_of_mails(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.max_messages_per_connection = 2;
    start_many(&w, 6);
    turn_until(&w, &w.done, 6);
    assert_all(&w, 6, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

static void a_connection_ends_at_its_age(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.max_connection_age_ms = 1;
    for (size_t i = 0; i < 3; i++) {
        int64_t old_ms = clock_mono_ms() + 2;
        (void)start(&w, i, to_a);
        turn_until(&w, &w.done, (unsigned)i + 1);
        while (clock_mono_ms() < old_ms) {
            settle(&w);
        }
    }
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

/* Said goodbye to, not just left. */
static void an_idle_connection_ends_with_quit(void **state)
{
    static const struct manner manner = {0};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.idle_timeout_ms = 20;
    (void)start(&w, 0, to_a);
    turn_until(&w, &w.done, 1);
    for (int i = 0; i < 100 && !was_seen(&w, "QUIT\r\n"); i++) {
        settle(&w);
    }
    assert_true(was_seen(&w, "QUIT\r\n"));
    (void)start(&w, 1, to_a);
    turn_until(&w, &w.done, 2);
    assert_int_equal(w.fake.connections, 2);
    world_close(&w);
}

/* FULL in so many words is not stepped down: the person knows the server. */
static void mode_full_is_not_stepped_down(void **state)
{
    static const struct manner manner = {.swallow_behind_dot = true};
    struct world w;
    (void)state;
    world_open(&w, &manner);
    w.plan.pipelining = PB_PIPELINING(FULL);
    w.plan.reply_timeout_ms = 30;
    start_many(&w, 3);
    turn_until(&w, &w.done, 3);
    assert_all(&w, 3, PB_OUTCOME(DELIVERED));
    assert_int_equal(w.fake.connections, 3);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mail_has_the_outcome_of_its_server),
        cmocka_unit_test(the_reply_is_kept_with_its_recipient),
        cmocka_unit_test(the_next_envelope_rides_behind_the_dot),
        cmocka_unit_test(recipients_beyond_the_limit_go_in_further_mails),
        cmocka_unit_test(replies_out_of_step_count_for_nobody),
        cmocka_unit_test(a_server_that_drips_does_not_hold_us),
        cmocka_unit_test(mails_behind_one_of_several_rounds_are_not_held_up),
        cmocka_unit_test(commands_say_what_the_mail_needs),
        cmocka_unit_test(mode_envelope_waits_for_the_answer),
        cmocka_unit_test(a_server_that_swallows_the_rider_is_stepped_down),
        cmocka_unit_test(a_server_that_chokes_on_the_rider_is_stepped_down),
        cmocka_unit_test(a_stumble_is_remembered_for_the_server),
        cmocka_unit_test(a_late_mail_rides_too),
        cmocka_unit_test(a_421_at_the_nth_mail_costs_no_mail),
        cmocka_unit_test(a_silent_close_after_each_mail_costs_no_mail),
        cmocka_unit_test(a_stale_connection_costs_no_mail),
        cmocka_unit_test(a_connection_is_kept_for_the_next_mail),
        cmocka_unit_test(a_lost_answer_is_unknown_and_its_rider_is_sent_once),
        cmocka_unit_test(a_stall_after_the_dot_is_unknown),
        cmocka_unit_test(a_denied_permit_sends_no_content),
        cmocka_unit_test(content_waits_for_a_late_permit),
        cmocka_unit_test(a_permit_that_comes_after_the_connection_is_used_on_the_next),
        cmocka_unit_test(a_refused_connection_fails_all_that_wait),
        cmocka_unit_test(a_login_that_is_not_offered_fails_closed),
        cmocka_unit_test(a_login_without_tls_needs_leave),
        cmocka_unit_test(starttls_is_never_skipped),
        cmocka_unit_test(drain_closes_with_quit),
        cmocka_unit_test(close_gives_up_in_every_state),
        cmocka_unit_test(other_settings_never_share_a_connection),
        cmocka_unit_test(a_connection_ends_at_its_number_of_mails),
        cmocka_unit_test(a_connection_ends_at_its_age),
        cmocka_unit_test(an_idle_connection_ends_with_quit),
        cmocka_unit_test(mode_full_is_not_stepped_down),
    };
    return cmocka_run_group_tests_name("smtp_engine", tests, NULL, NULL);
}
