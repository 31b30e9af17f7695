/* Durable puts a second into a beanstalkd, by a client that is no bottleneck: many puts under way on each connection.
 *
 *   beanstalk_bench [-n messages] [-s bytes] [-w window] [-c connections] HOST-IPv4 PORT
 *
 * At most `window` puts without an answer on each connection. Prints messages a second and the time from a put to its
 * answer (p50, p99). Any answer but INSERTED, and a count of ready jobs at the end that is not `messages`, is exit 1: the
 * server must have been empty. Run by tests/bench/run. Protocol: doc/protocol.txt of beanstalkd 1.12. */
#include "clock.h"
#include "mem.h"
#include "times.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, ANSWER_MAX = 16384, STALL_MS = 30000 };

struct link {
    int fd;
    size_t sent;           /* puts begun */
    size_t answered;       /* and answered: in their order */
    size_t offset;         /* bytes of the put under way that are out */
    int64_t *sent_us;      /* ring of window times */
    char line[ANSWER_MAX]; /* answer under way */
    size_t line_len;
};

struct bench {
    size_t messages;
    size_t window;
    size_t links;
    char *put; /* one put with its body: the same bytes for each */
    size_t put_len;
    size_t begun; /* over all links */
    size_t answers;
    int64_t *times_us;
    struct link link[CONNECTIONS_MAX];
    struct pollfd polled[CONNECTIONS_MAX];
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    _exit(EXIT_FAILURE);
}

static int connect_to(const char *host, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        fail(host);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        fail("connect");
    }
    return fd;
}

static void make_put(struct bench *bench, size_t bytes)
{
    bench->put = mem_zero(1, bytes + 64);
    int head = snprintf(bench->put, 64, "put 1024 0 60 %zu\r\n", bytes);
    memset(bench->put + head, 'x', bytes);
    memcpy(bench->put + (size_t)head + bytes, "\r\n", 2);
    bench->put_len = (size_t)head + bytes + 2;
}

static bool may_begin(const struct bench *bench, const struct link *link)
{
    return bench->begun < bench->messages && link->sent - link->answered < bench->window;
}

/* Until the socket is full or the window is. As many puts in one call as it takes. */
static void send_some(struct bench *bench, struct link *link)
{
    enum { AT_ONCE = 32 };
    while (link->offset > 0 || may_begin(bench, link)) {
        struct iovec parts[AT_ONCE];
        int count = 0;
        if (link->offset > 0) {
            parts[count++] =
                (struct iovec){bench->put + link->offset, bench->put_len - link->offset};
        }
        while (count < AT_ONCE && may_begin(bench, link)) {
            parts[count++] = (struct iovec){bench->put, bench->put_len};
            link->sent_us[link->sent++ % bench->window] = clock_mono_us();
            bench->begun++;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        size_t total = 0;
        for (int i = 0; i < count; i++) {
            total += parts[i].iov_len;
        }
        ssize_t done = sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN) {
            fail("send");
        }
        size_t left = total - (done > 0 ? (size_t)done : 0);
        /* Whole puts that are not out have not begun. */
        for (; left >= bench->put_len; left -= bench->put_len) {
            link->sent--;
            bench->begun--;
        }
        link->offset = left > 0 ? bench->put_len - left : 0;
        if (done < (ssize_t)total) {
            return;
        }
    }
}

static void take_answers(struct bench *bench, struct link *link)
{
    ssize_t got =
        recv(link->fd, link->line + link->line_len, sizeof link->line - link->line_len, 0);
    if (got <= 0) {
        fail("receive");
    }
    int64_t now_us = clock_mono_us();
    link->line_len += (size_t)got;
    char *at = link->line;
    char *end = link->line + link->line_len;
    for (char *stop = memchr(at, '\n', (size_t)(end - at)); stop;
         stop = memchr(at, '\n', (size_t)(end - at))) {
        if (strncmp(at, "INSERTED ", 9) != 0) {
            (void)fprintf(stderr, "answer %.*s\n", (int)(stop - at), at);
            _exit(EXIT_FAILURE);
        }
        bench->times_us[bench->answers++] =
            now_us - link->sent_us[link->answered++ % bench->window];
        at = stop + 1;
    }
    link->line_len = (size_t)(end - at);
    memmove(link->line, at, link->line_len);
}

static void turn(struct bench *bench)
{
    for (size_t i = 0; i < bench->links; i++) {
        struct link *link = &bench->link[i];
        bool full = link->offset > 0 || may_begin(bench, link);
        bench->polled[i] =
            (struct pollfd){.fd = link->fd, .events = POLLIN | (full ? POLLOUT : 0)};
    }
    int ready = poll(bench->polled, bench->links, STALL_MS);
    if (ready <= 0) {
        fail(ready == 0 ? "no answer for long" : "poll");
    }
    for (size_t i = 0; i < bench->links; i++) {
        if (bench->polled[i].revents & (POLLIN | POLLERR | POLLHUP)) {
            take_answers(bench, &bench->link[i]);
        }
        if (bench->polled[i].revents & (POLLIN | POLLOUT)) {
            send_some(bench, &bench->link[i]);
        }
    }
}

/* current-jobs-ready, or -1. */
static long ready_jobs(const struct link *link)
{
    char answer[ANSWER_MAX];
    size_t len = 0;
    if (send(link->fd, "stats\r\n", 7, MSG_NOSIGNAL) != 7) {
        fail("send");
    }
    /* "OK <bytes>\r\n---\n… \r\n": its last line but one tells the end well enough. */
    do {
        ssize_t got = recv(link->fd, answer + len, sizeof answer - 1 - len, 0);
        if (got <= 0) {
            fail("receive");
        }
        len += (size_t)got;
        answer[len] = '\0';
    } while (len < 4 || strcmp(answer + len - 2, "\r\n") != 0 ||
             strchr(answer, '\n') == answer + len - 1);
    const char *found = strstr(answer, "current-jobs-ready: ");
    return found ? strtol(found + strlen("current-jobs-ready: "), NULL, 10) : -1;
}

static int run(struct bench *bench)
{
    int64_t start_us = clock_mono_us();
    for (size_t i = 0; i < bench->links; i++) {
        send_some(bench, &bench->link[i]);
    }
    while (bench->answers < bench->messages) {
        turn(bench);
    }
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    long ready = ready_jobs(&bench->link[0]);
    if (ready < 0 || (size_t)ready != bench->messages) {
        (void)fprintf(stderr, "ready jobs: %ld, wanted %zu\n", ready, bench->messages);
        return EXIT_FAILURE;
    }
    (void)printf("messages=%zu seconds=%.3f rate=%.0f", bench->messages, seconds,
                 (double)bench->messages / seconds);
    times_print("receipt", bench->times_us, bench->answers);
    (void)printf("\n");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct bench *bench = mem_zero(1, sizeof *bench);
    *bench = (struct bench){.messages = 20000, .window = 1, .links = 1};
    size_t bytes = 4096;
    int option = 0;
    /* One thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt(argc, argv, "n:s:w:c:")) != -1) {
        size_t value = option == '?' ? 0 : (size_t)strtoull(optarg, NULL, 10);
        switch (option) {
        case 'n':
            bench->messages = value;
            break;
        case 's':
            bytes = value;
            break;
        case 'w':
            bench->window = value;
            break;
        case 'c':
            bench->links = value;
            break;
        default:
            return 2;
        }
    }
    if (optind + 2 != argc || bench->messages == 0 || bytes == 0 || bench->window == 0 ||
        bench->links == 0 || bench->links > CONNECTIONS_MAX) {
        (void)fprintf(stderr, "usage: beanstalk_bench [-n messages] [-s bytes] [-w window] "
                              "[-c connections] HOST-IPv4 PORT\n");
        return 2;
    }
    make_put(bench, bytes);
    bench->times_us = mem_zero(bench->messages, sizeof *bench->times_us);
    for (size_t i = 0; i < bench->links; i++) {
        bench->link[i].fd = connect_to(argv[optind], argv[optind + 1]);
        bench->link[i].sent_us = mem_zero(bench->window, sizeof *bench->link[i].sent_us);
    }
    int code = run(bench);
    for (size_t i = 0; i < bench->links; i++) {
        (void)close(bench->link[i].fd);
        free(bench->link[i].sent_us);
    }
    free(bench->times_us);
    free(bench->put);
    free(bench);
    return code;
}
