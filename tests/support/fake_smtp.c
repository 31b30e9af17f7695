/* The fake server: no thread, no sleep, one answer a command. */
#include "fake_smtp.h"

#include "mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEN_BYTES = 1 << 20 };

static const struct manner good_manner = {.split = false};

static const struct manner *manner_of(const struct visitor *v)
{
    return v->good ? &good_manner : v->fake->manner;
}

void fake_leave(struct visitor *v)
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
            fake_leave(v);
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
        fake_leave(v);
    } else {
        say(v, m->mail_reply != NULL ? m->mail_reply : "250 2.1.0 Ok\r\n");
    }
}

static void on_data(struct visitor *v)
{
    const struct manner *m = manner_of(v);
    if (m->drop_at_data) {
        fake_leave(v);
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
        fake_leave(v);
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
        fake_leave(v);
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
        fake_leave(v);
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
        fake_leave(v);
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
        fake_leave(v);
    }
}

void fake_open(struct fake *fake, struct loop *loop, const struct manner *manner)
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

void fake_close(struct fake *fake)
{
    while (fake->visitors != NULL) {
        struct visitor *v = fake->visitors;
        fake->visitors = v->next;
        fake_leave(v);
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
