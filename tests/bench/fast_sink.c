/* A mail server that takes everything as fast as one thread can, counts, and can be slow on purpose:
 *
 *   fast_sink [-d delay_ms] [-t starttls|implicit -c certificate.pem -k key.pem]
 *
 * It prints "port=N stats=N" and serves on loopback until SIGTERM. Whoever connects to the stats port gets one line, at once:
 * mails=… different=… recipients=… bytes=… connections=… open=… most=…; different counts Message-IDs, so that
 * one lost and one doubled do not look like none.
 *
 * The delay is that of a long line to a server that itself takes no time: the answers to all that came together leave together,
 * delay_ms after it came. PIPELINING is offered; what TLS itself says is not delayed. smtp-sink(1) has no TLS, delays
 * whole seconds only, and is full at half the rate. */
#include "clock.h"
#include "mem.h"
#include "sink_talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    REPLIES_MAX_BYTES = 4 * 1024 * 1024,
    EVENTS = 256,
    BACKLOG = 4096,
    STATS_BYTES = 256
};

enum tls_mode { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

struct guest {
    int fd;
    SSL *ssl;        /* null in clear text */
    size_t answers;  /* of it in the line of late answers */
    bool gone;       /* closed; freed with its last answer */
    bool waits_room; /* out is not empty */
    struct buf out;  /* what the socket did not take */
    struct sink_talk talk;
};

/* Replies on their way. */
struct answer {
    struct answer *next;
    struct guest *guest;
    int64_t due_us;
    bool last; /* QUIT: close behind it */
    size_t len;
    char text[];
};

struct sink {
    int epoll_fd;
    int listen_fd;
    int stats_fd;
    int64_t delay_us;
    enum tls_mode tls;
    SSL_CTX *context;
    struct answer
        *first; /* in the order in which they are due, for the delay is the same for all */
    struct answer *last;
    struct sink_tally tally;
    struct buf replies;
    size_t connections;
    size_t open;
    size_t most;
    char data[READ_BYTES];
};

static void watch(const struct sink *sink, int fd, uint32_t events, void *what, int how)
{
    struct epoll_event event = {.events = events, .data = {.ptr = what}};
    if (epoll_ctl(sink->epoll_fd, how, fd, &event) != 0) {
        perror("epoll_ctl");
        _exit(EXIT_FAILURE);
    }
}

static void leave(struct sink *sink, struct guest *guest)
{
    if (!guest->gone) {
        guest->gone = true;
        SSL_free(guest->ssl);
        guest->ssl = NULL;
        (void)close(guest->fd);
        buf_fini(&guest->out);
        sink->open--;
    }
}

/* Free a guest who has left, once none of his answers is in the line. */
static void forget(struct guest *guest)
{
    if (guest->gone && guest->answers == 0) {
        free(guest);
    }
}

/* Returns bytes sent, 0 when there is no room, -1 when the connection is lost. */
static ssize_t put(struct guest *guest, const char *text, size_t len)
{
    if (guest->ssl == NULL || SSL_is_init_finished(guest->ssl) == 0) { /* 220 to STARTTLS */
        ssize_t sent = send(guest->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        return sent < 0 && errno == EAGAIN ? 0 : sent;
    }
    ERR_clear_error(); /* SSL_get_error(3) reads what another guest left there */
    int sent = SSL_write(guest->ssl, text, (int)len);
    if (sent > 0) {
        return sent;
    }
    return SSL_get_error(guest->ssl, sent) == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* Send what waits; false when the connection is lost. */
static bool flush(struct sink *sink, struct guest *guest)
{
    while (guest->out.len > 0) {
        ssize_t sent = put(guest, guest->out.data, guest->out.len);
        if (sent < 0) {
            return false;
        }
        if (sent == 0) {
            break;
        }
        buf_drop(&guest->out, (size_t)sent);
    }
    bool waits = guest->out.len > 0;
    if (waits != guest->waits_room) {
        guest->waits_room = waits;
        watch(sink, guest->fd, EPOLLIN | (waits ? EPOLLOUT : 0U), guest, EPOLL_CTL_MOD);
    }
    return true;
}

static void answer_now(struct sink *sink, struct guest *guest, const char *text, size_t len,
                       bool last)
{
    ssize_t sent = guest->out.len > 0 ? 0 : put(guest, text, len);
    if (sent >= 0 && (size_t)sent < len) {
        buf_add(&guest->out, text + sent, len - (size_t)sent);
    }
    if (sent < 0 || buf_status(&guest->out) != ERR_OK || !flush(sink, guest) || last) {
        leave(sink, guest);
    }
}

static void answer(struct sink *sink, struct guest *guest, const struct buf *replies, bool last)
{
    if (replies->len == 0) {
        return;
    }
    if (sink->delay_us == 0) {
        answer_now(sink, guest, replies->data, replies->len, last);
        return;
    }
    struct answer *late = mem_zero(1, sizeof *late + replies->len);
    late->guest = guest;
    late->due_us = clock_mono_us() + sink->delay_us;
    late->last = last;
    late->len = replies->len;
    memcpy(late->text, replies->data, replies->len);
    if (sink->last != NULL) {
        sink->last->next = late;
    } else {
        sink->first = late;
    }
    sink->last = late;
    guest->answers++;
}

/* Send what is due. */
static void answer_due(struct sink *sink)
{
    while (sink->first != NULL && sink->first->due_us <= clock_mono_us()) {
        struct answer *late = sink->first;
        struct guest *guest = late->guest;
        sink->first = late->next;
        sink->last = sink->first != NULL ? sink->last : NULL;
        guest->answers--;
        if (!guest->gone) {
            answer_now(sink, guest, late->text, late->len, late->last);
        }
        forget(guest);
        free(late);
    }
}

/* The handshake begins with the next bytes that come. */
static bool secure(struct sink *sink, struct guest *guest)
{
    guest->talk = (struct sink_talk){.secure = true};
    guest->ssl = SSL_new(sink->context);
    if (guest->ssl == NULL || SSL_set_fd(guest->ssl, guest->fd) != 1) {
        return false;
    }
    SSL_set_accept_state(guest->ssl);
    return true;
}

static bool hear(struct sink *sink, struct guest *guest, size_t len)
{
    buf_reset(&sink->replies);
    if (!sink_talk_feed(&guest->talk, sink->data, len, &sink->tally, &sink->replies)) {
        return false;
    }
    bool upgrade = guest->talk.upgrade;
    answer(sink, guest, &sink->replies, guest->talk.over);
    return !upgrade || guest->gone || secure(sink, guest);
}

/* false: the connection is over. */
static bool read_clear(struct sink *sink, struct guest *guest)
{
    ssize_t got = recv(guest->fd, sink->data, sizeof sink->data, MSG_DONTWAIT);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    return hear(sink, guest, (size_t)got);
}

/* false: the connection is over. full: the buffer is, and OpenSSL may hold more, which no descriptor tells of. */
static bool read_records(struct sink *sink, struct guest *guest, bool *full)
{
    size_t got = 0;
    bool open = true;
    bool greeted = SSL_is_init_finished(guest->ssl) == 1;
    do {
        ERR_clear_error();
        int part = SSL_read(guest->ssl, sink->data + got, (int)(sizeof sink->data - got));
        if (part <= 0) {
            open = SSL_get_error(guest->ssl, part) == SSL_ERROR_WANT_READ;
            break;
        }
        got += (size_t)part;
    } while (got < sizeof sink->data && SSL_has_pending(guest->ssl) == 1);
    *full = got == sizeof sink->data;
    if (!greeted && SSL_is_init_finished(guest->ssl) == 1 && sink->tls == TLS_IMPLICIT) {
        buf_reset(&sink->replies);
        sink_talk_greet(&sink->replies);
        answer(sink, guest, &sink->replies, false);
    }
    return (got == 0 || guest->gone || hear(sink, guest, got)) && open;
}

static bool read_secure(struct sink *sink, struct guest *guest)
{
    bool full = true;
    bool open = true;
    while (open && full && !guest->gone) {
        open = read_records(sink, guest, &full);
    }
    return open;
}

static void on_guest(struct sink *sink, struct guest *guest, uint32_t events)
{
    bool good = true;
    if ((events & EPOLLOUT) != 0) {
        good = flush(sink, guest);
    }
    if (good && !guest->gone && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        /* What comes behind STARTTLS before its 220 is out would be taken for the handshake: nobody's client does that. */
        good = guest->ssl != NULL ? read_secure(sink, guest) : read_clear(sink, guest);
    }
    if (!good) {
        leave(sink, guest);
    }
    forget(guest);
}

static void on_arrivals(struct sink *sink)
{
    for (;;) {
        int fd = accept4(sink->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct guest *guest = mem_zero(1, sizeof *guest);
        guest->fd = fd;
        guest->talk.offered = sink->tls == TLS_STARTTLS;
        buf_init(&guest->out, REPLIES_MAX_BYTES);
        sink->connections++;
        sink->open++;
        sink->most = sink->open > sink->most ? sink->open : sink->most;
        watch(sink, fd, EPOLLIN, guest, EPOLL_CTL_ADD);
        if (sink->tls == TLS_IMPLICIT) {
            if (!secure(sink, guest)) {
                leave(sink, guest);
                forget(guest);
            }
            continue;
        }
        buf_reset(&sink->replies);
        sink_talk_greet(&sink->replies);
        answer(sink, guest, &sink->replies, false);
        forget(guest);
    }
}

static void on_stats(struct sink *sink)
{
    int fd = accept4(sink->stats_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    char line[STATS_BYTES];
    const struct sink_tally *tally = &sink->tally;
    int len = snprintf(line, sizeof line,
                       "mails=%zu different=%zu recipients=%zu bytes=%zu connections=%zu "
                       "open=%zu most=%zu\n",
                       tally->mails, sink_tally_different(&sink->tally), tally->recipients,
                       tally->bytes, sink->connections, sink->open, sink->most);
    (void)send(fd, line, (size_t)len, MSG_NOSIGNAL);
    (void)close(fd);
}

/* Serve until a signal ends the program. */
static void serve(struct sink *sink)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int64_t left_us = sink->first != NULL ? sink->first->due_us - clock_mono_us() : 0;
        left_us = left_us > 0 ? left_us : 0;
        struct timespec wait = {.tv_sec = left_us / 1000000,
                                .tv_nsec = (left_us % 1000000) * 1000};
        int count = epoll_pwait2(sink->epoll_fd, events, EVENTS,
                                 sink->first != NULL ? &wait : NULL, NULL);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &sink->listen_fd) {
                on_arrivals(sink);
            } else if (events[i].data.ptr == &sink->stats_fd) {
                on_stats(sink);
            } else {
                on_guest(sink, events[i].data.ptr, events[i].events);
            }
        }
        answer_due(sink);
    }
}

/* A listening socket on a loopback port that the kernel chose. */
static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("listen");
        _exit(EXIT_FAILURE);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static SSL_CTX *read_certificate(const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        (void)fprintf(stderr, "fast_sink: cannot use %s and %s\n", certificate, key);
        _exit(EXIT_FAILURE);
    }
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* one recv(2) a record, not two */
    return context;
}

static enum tls_mode tls_mode_of(const char *word)
{
    if (strcmp(word, "starttls") == 0) {
        return TLS_STARTTLS;
    }
    return strcmp(word, "implicit") == 0 ? TLS_IMPLICIT : TLS_NONE;
}

static bool read_options(int argc, char **argv, struct sink *sink)
{
    const char *certificate = NULL;
    const char *key = NULL;
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "d:t:c:k:")) != -1) {
        switch (option) {
        case 'd':
            sink->delay_us = (int64_t)(strtod(optarg, NULL) * 1000);
            break;
        case 't':
            sink->tls = tls_mode_of(optarg);
            break;
        case 'c':
            certificate = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        default:
            return false;
        }
    }
    if (sink->tls != TLS_NONE && (certificate == NULL || key == NULL)) {
        return false;
    }
    sink->context = sink->tls != TLS_NONE ? read_certificate(certificate, key) : NULL;
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct sink *sink = mem_zero(1, sizeof *sink);
    uint16_t port = 0;
    uint16_t stats = 0;
    if (!read_options(argc, argv, sink)) {
        (void)fputs("usage: fast_sink [-d delay_ms] [-t starttls|implicit -c certificate.pem "
                    "-k key.pem]\n",
                    stderr);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    buf_init(&sink->replies, REPLIES_MAX_BYTES);
    sink->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sink->listen_fd = listen_anywhere(&port);
    sink->stats_fd = listen_anywhere(&stats);
    watch(sink, sink->listen_fd, EPOLLIN, &sink->listen_fd, EPOLL_CTL_ADD);
    watch(sink, sink->stats_fd, EPOLLIN, &sink->stats_fd, EPOLL_CTL_ADD);
    (void)printf("port=%u stats=%u\n", (unsigned)port, (unsigned)stats);
    (void)fflush(stdout);
    serve(sink);
    return EXIT_SUCCESS;
}
