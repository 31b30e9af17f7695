/* curl_multi on our loop: CURLMOPT_SOCKETFUNCTION becomes watches, CURLMOPT_TIMERFUNCTION
 * one timer.
 *
 * Traps (libcurl's manual, checked with 7.88.1): no curl function may be called from inside
 * the two callbacks, so they only touch the loop; a CURLMsg dies with its handle, so it is
 * copied before anybody is told. libcurl says CURL_POLL_REMOVE before it closes a socket, so
 * a watch never outlives its descriptor. */
#include "smtp_multi.h"

#include "mem.h"

#include <stdlib.h>

struct smtp_multi {
    struct loop *loop;
    CURLM *curl;
    struct loop_timer timer;
};

/* A socket that libcurl wants watched. */
struct multi_socket {
    struct smtp_multi *multi;
    curl_socket_t fd;
    struct loop_watch *watch;
};

/* Who hears of an easy handle; hangs on CURLOPT_PRIVATE. */
struct multi_listener {
    smtp_multi_fn *fn;
    void *arg;
};

static void tell_finished(struct smtp_multi *multi)
{
    int left = 0;
    for (CURLMsg *msg = curl_multi_info_read(multi->curl, &left); msg != NULL;
         msg = curl_multi_info_read(multi->curl, &left)) {
        CURLcode code = msg->data.result;
        struct multi_listener *listener = NULL;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&listener);
        if (msg->msg == CURLMSG_DONE && listener != NULL) {
            listener->fn(listener->arg, code);
        }
    }
}

static void on_socket_ready(void *arg, int events)
{
    const struct multi_socket *socket = arg;
    struct smtp_multi *multi = socket->multi;
    int bits = 0;
    bits |= (events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0;
    bits |= (events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0;
    int running = 0;
    (void)curl_multi_socket_action(multi->curl, socket->fd, bits, &running);
    tell_finished(multi);
}

static void on_timer(void *arg)
{
    struct smtp_multi *multi = arg;
    int running = 0;
    (void)curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    tell_finished(multi);
}

static int set_timer(CURLM *curl, long timeout_ms, void *arg)
{
    struct smtp_multi *multi = arg;
    (void)curl;
    if (timeout_ms < 0) {
        loop_timer_disarm(&multi->timer);
    } else {
        loop_timer_arm(&multi->timer, timeout_ms);
    }
    return 0;
}

static int wanted_events(int what)
{
    int events = 0;
    events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? LOOP_READ : 0;
    events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? LOOP_WRITE : 0;
    return events;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct smtp_multi *multi = arg;
    struct multi_socket *socket = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            loop_unwatch(&socket->watch);
            free(socket);
            (void)curl_multi_assign(multi->curl, fd, NULL);
        }
        return 0;
    }
    if (socket != NULL) {
        loop_rewatch(socket->watch, wanted_events(what));
        return 0;
    }
    socket = mem_zero(1, sizeof *socket);
    socket->multi = multi;
    socket->fd = fd;
    if (loop_watch(multi->loop, fd, wanted_events(what), on_socket_ready, socket,
                   &socket->watch) != ERR_OK) {
        free(socket);
        return -1; /* libcurl fails the transfers with CURLM_ABORTED_BY_CALLBACK */
    }
    (void)curl_multi_assign(multi->curl, fd, socket);
    return 0;
}

enum err smtp_multi_new(struct loop *loop, struct smtp_multi **out, struct err_text *why)
{
    struct smtp_multi *multi = mem_zero(1, sizeof *multi);
    multi->loop = loop;
    multi->curl = curl_multi_init();
    if (multi->curl == NULL) {
        free(multi);
        return err_set(why, ERR_CONFIG, "libcurl: curl_multi_init failed");
    }
    loop_timer_init(&multi->timer, loop, on_timer, multi);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, set_socket);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    *out = multi;
    return ERR_OK;
}

void smtp_multi_free(struct smtp_multi **multi_p)
{
    struct smtp_multi *multi = *multi_p;
    if (multi == NULL) {
        return;
    }
    (void)curl_multi_cleanup(multi->curl);
    loop_timer_disarm(&multi->timer);
    free(multi);
    *multi_p = NULL;
}

enum err smtp_multi_add(struct smtp_multi *multi, CURL *easy, smtp_multi_fn *fn, void *arg)
{
    struct multi_listener *listener = mem_zero(1, sizeof *listener);
    listener->fn = fn;
    listener->arg = arg;
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, listener);
    if (curl_multi_add_handle(multi->curl, easy) != CURLM_OK) {
        (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
        free(listener);
        return ERR_IO;
    }
    return ERR_OK;
}

void smtp_multi_remove(struct smtp_multi *multi, CURL **easy)
{
    struct multi_listener *listener = NULL;
    if (*easy == NULL) {
        return;
    }
    (void)curl_easy_getinfo(*easy, CURLINFO_PRIVATE, (char **)&listener);
    (void)curl_multi_remove_handle(multi->curl, *easy);
    curl_easy_cleanup(*easy);
    free(listener);
    *easy = NULL;
}
