/* One connection: libcurl up to EHLO behind TLS, then our login, then plain bytes.
 *
 * Traps this file guards against (servers and libcurl 7.88 alike): credentials that are
 * silently not used when the server offers no AUTH (235 must have been seen); USE_SSL TRY
 * (never used); a CAPATH that is parsed again for every connection (null; CAINFO is cached
 * in the multi); all_proxy of the environment (egress_guard); and libcurl's pruning of old
 * connections that no handle is attached to (one curl_easy_recv attaches it). Once a connection
 * stands its bytes go past libcurl, for curl_easy_send searches all connections of the multi on
 * every call: with send(2) and recv(2) in clear text, else by smtp_tls.h. */
#include "smtp_session.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "secret.h"
#include "smtp_auth.h"
#include "smtp_login.h"
#include "smtp_options.h"
#include "smtp_reply.h"
#include "smtp_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

enum { LOGIN_OUT_BYTES = 65536 };

struct smtp_session {
    struct smtp_session_setup setup;
    CURL *easy;
    curl_socket_t fd;
    struct loop_watch *watch;
    bool for_writing;
    SSL *ssl; /* libcurl's; null in clear text, and before the handshake */
    struct smtp_offer offer;
    struct smtp_offer reading; /* of the EHLO reply that is coming in */
    struct smtp_reply *reply;  /* the last one; null once connected */
    struct smtp_dialogue seen;
    enum smtp_auth_by auth;
    char *secret; /* until the login begins; a token until it ends */
    struct oauth_wait wait;
    bool token_is_old; /* out of the cache: may have been revoked */
    bool tried_again;
    struct smtp_login *login; /* while it goes on; null for libcurl's */
    struct buf out;           /* its line that is being sent */
    size_t out_sent;
    struct loop_timer timer;         /* the login's end, at the end of connect_timeout */
    int64_t opened_us;               /* monotonic */
    struct smtp_session_story story; /* of what libcurl does not tell the time of */
    char server[DELIVER_SERVER_BYTES];
    char tls[16];
    char error[CURL_ERROR_SIZE];
    struct egress_door door;
};

/* CURLOPT_HEADERFUNCTION: every reply line of the server, one a call. Capabilities count
 * from the last EHLO only: what was said before STARTTLS may have been said by anybody (RFC
 * 3207 4.2). */
static void note_time(struct smtp_session *session, unsigned code)
{
    int64_t now_us = clock_mono_us() - session->opened_us;
    if (code == 220 && !session->seen.starttls) {
        session->story.greeting_us = now_us;
    } else if (code == 220) {
        session->story.tls_us = now_us;
    } else if (code == 250) {
        session->story.ehlo_us = now_us;
    }
}

static size_t on_reply_line(char *data, size_t size, size_t count, void *arg)
{
    struct smtp_session *session = arg;
    struct smtp_reply *reply = session->reply;
    size_t len = size * count;
    if (reply == NULL) {
        return len;
    }
    bool first = reply->state != SMTP_REPLY_MORE || reply->lines == 0;
    if (reply->state == SMTP_REPLY_BAD) {
        smtp_reply_reset(reply); /* libcurl judges; we only listen */
    }
    (void)smtp_reply_feed(reply, data, len);
    if (first) {
        session->reading = (struct smtp_offer){.mechanisms = 0};
    } else if (reply->code == 250 && len > 4) {
        smtp_offer_take(&session->reading, data + 4, len - 4);
    }
    if (reply->state == SMTP_REPLY_DONE) {
        smtp_dialogue_add(&session->seen, reply->code);
        note_time(session, reply->code);
        if (reply->code == 220 || reply->code == 250) {
            session->offer = session->reading;
        }
    }
    return len;
}

static void tell_failed(struct smtp_session *session, const struct smtp_failure *failure)
{
    session->setup.owner->failed(session->setup.owner_arg, failure);
}

static void go_on_with_login(struct smtp_session *session);
static void start_again(struct smtp_session *session);

static void on_ready(void *arg, int events)
{
    struct smtp_session *session = arg;
    if (session->login != NULL) {
        go_on_with_login(session);
        return;
    }
    session->setup.owner->ready(session->setup.owner_arg, events);
}

/* OpenSSL's side of the connection, borrowed; null without TLS. */
static SSL *ssl_of(const struct smtp_session *session)
{
    const struct curl_tlssessioninfo *info = NULL;
    bool known = curl_easy_getinfo(session->easy, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK &&
                 info != NULL && info->backend == CURLSSLBACKEND_OPENSSL;
    return known ? info->internals : NULL;
}

/* Why the TLS that was asked for cannot be used; null when it can. */
static const char *take_tls(struct smtp_session *session)
{
    if (session->setup.plan->tls == SETTINGS_TLS_NONE) {
        return NULL;
    }
    SSL *ssl = ssl_of(session);
    if (ssl == NULL) {
        return "libcurl's TLS is not OpenSSL's";
    }
    if (!smtp_tls_take_over(ssl, session->fd)) {
        return "OpenSSL did not take over the connection";
    }
    session->ssl = ssl;
    (void)snprintf(session->tls, sizeof session->tls, "%s", SSL_get_version(ssl));
    return NULL;
}

/* Attach the handle to its connection: with bytes that came already, or with none. */
static bool attach(struct smtp_session *session)
{
    char byte = 0;
    size_t got = 0;
    CURLcode code = curl_easy_recv(session->easy, &byte, 1, &got);
    return code == CURLE_AGAIN; /* a server that speaks unasked or closes is of no use */
}

static const char *why_not_usable(struct smtp_session *session, int *phase)
{
    const struct settings_plan *plan = session->setup.plan;
    *phase = PB_PHASE(AUTH);
    if (session->auth == SMTP_AUTH_LIBCURL && !session->seen.login) {
        return "the server offered no AUTH, nothing was sent";
    }
    *phase = PB_PHASE(TLS);
    if (plan->tls == SETTINGS_TLS_STARTTLS && !session->seen.starttls) {
        return "the connection has no TLS, nothing was sent";
    }
    *phase = PB_PHASE(CONNECT);
    if (!attach(session)) {
        return "the server closed the connection or spoke out of turn after the greeting";
    }
    if (curl_easy_getinfo(session->easy, CURLINFO_ACTIVESOCKET, &session->fd) != CURLE_OK ||
        session->fd == CURL_SOCKET_BAD ||
        loop_watch(session->setup.loop, session->fd, LOOP_READ, on_ready, session,
                   &session->watch) != ERR_OK) {
        return "the connection is gone";
    }
    *phase = PB_PHASE(TLS);
    return take_tls(session);
}

static void tell_connected(struct smtp_session *session)
{
    loop_timer_disarm(&session->timer);
    free(session->reply);
    session->reply = NULL;
    session->setup.owner->connected(session->setup.owner_arg);
}

/* ---- the login ---- */

static void wipe_out(struct smtp_session *session)
{
    if (session->out.data != NULL) {
        OPENSSL_cleanse(session->out.data, session->out.cap);
    }
    buf_reset(&session->out);
    session->out_sent = 0;
}

static void tell_login_text(struct smtp_session *session, const char *text)
{
    struct smtp_failure failure;
    smtp_failure_of_text(PB_PHASE(AUTH), text, &failure);
    tell_failed(session, &failure);
}

static void on_login_late(void *arg)
{
    struct smtp_session *session = arg;
    struct smtp_failure failure;
    smtp_failure_of_loss(PB_PHASE(AUTH), "no answer to the login in time", &failure);
    tell_failed(session, &failure);
}

/* Send what is left of the line. ERR_AGAIN: when there is room. */
static enum err send_line(struct smtp_session *session)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && session->out_sent < session->out.len) {
        size_t sent = 0;
        err = smtp_session_send(session, session->out.data + session->out_sent,
                                session->out.len - session->out_sent, &sent);
        session->out_sent += sent;
    }
    if (err == ERR_OK) {
        wipe_out(session);
    }
    smtp_session_watch(session, err == ERR_AGAIN);
    return err;
}

/* Read and answer until the server has to speak, or the login is over. Returns ERR_AGAIN while it
 * goes on; then nobody was told yet. */
static enum err talk(struct smtp_session *session, enum smtp_login_next *next,
                     struct err_text *why)
{
    char data[2048];
    enum err err = send_line(session);
    *next = SMTP_LOGIN_MORE;
    while (err == ERR_OK && (*next == SMTP_LOGIN_MORE || *next == SMTP_LOGIN_SEND)) {
        size_t got = 0;
        err = smtp_session_recv(session, data, sizeof data, &got);
        if (err == ERR_OK) {
            *next = smtp_login_feed(session->login, data, got, &session->out, why);
        }
        if (err == ERR_OK && *next == SMTP_LOGIN_SEND) {
            err = send_line(session);
        }
    }
    return err;
}

/* A token that was refused for good is given to nobody again. True when a new one is worth a try. */
static bool refuse_token(struct smtp_session *session)
{
    const struct settings_plan *plan = session->setup.plan;
    if (plan->authentication != PB_AUTH(OAUTH2) ||
        smtp_login_reply(session->login)->code < 500) {
        return false;
    }
    oauth_refused(session->setup.oauth, plan, session->secret);
    return session->token_is_old && !session->tried_again;
}

static void go_on_with_login(struct smtp_session *session)
{
    struct smtp_failure failure;
    struct err_text why = {.code = ERR_OK};
    enum smtp_login_next next = SMTP_LOGIN_MORE;
    enum err err = talk(session, &next, &why);
    if (err == ERR_AGAIN) {
        return;
    }
    if (err != ERR_OK) {
        smtp_failure_of_loss(PB_PHASE(AUTH), "connection lost during the login", &failure);
        tell_failed(session, &failure);
        return;
    }
    if (next == SMTP_LOGIN_DONE) {
        smtp_login_free(&session->login);
        secret_free(&session->secret);
        session->seen.login = true;
        tell_connected(session);
        return;
    }
    if (next == SMTP_LOGIN_REFUSED && refuse_token(session)) {
        start_again(session);
        return;
    }
    if (next == SMTP_LOGIN_REFUSED) {
        smtp_failure_of_reply(PB_PHASE(AUTH), smtp_login_reply(session->login),
                              session->setup.plan, &failure);
        tell_failed(session, &failure);
        return;
    }
    tell_login_text(session, why.text);
}

static void begin_login(struct smtp_session *session)
{
    const struct settings_plan *plan = session->setup.plan;
    struct err_text why;
    enum settings_mechanism mechanism = SETTINGS_MECHANISM_COUNT;
    if (smtp_login_choose(plan, session->offer.mechanisms, &mechanism, &why) != ERR_OK) {
        tell_login_text(session, why.text);
        return;
    }
    const struct smtp_login_setup setup = {.mechanism = mechanism,
                                           .user = plan->user_name,
                                           .secret = session->secret,
                                           .server = plan->server,
                                           .port = plan->port};
    int64_t left_ms = session->opened_us / 1000 + plan->connect_timeout_ms - clock_mono_ms();
    log_debug("smtp_login", "server=%s mechanism=%s", session->server,
              settings_mechanism_name(mechanism));
    session->login = smtp_login_new(&setup, &session->out);
    if (plan->authentication != PB_AUTH(OAUTH2)) {
        secret_free(&session->secret);
    }
    loop_timer_arm(&session->timer, left_ms > 0 ? left_ms : 0);
    go_on_with_login(session);
}

static void on_finished(void *arg, CURLcode code)
{
    struct smtp_session *session = arg;
    struct smtp_failure failure = {.phase = 0};
    if (code != CURLE_OK && egress_shut(&session->door)) {
        smtp_failure_of_text(PB_PHASE(PREPARE), session->door.refused.text, &failure);
        tell_failed(session, &failure);
        return;
    }
    if (code != CURLE_OK) {
        struct smtp_failure_input in = {.curl = code,
                                        .error = session->error,
                                        .dialogue = &session->seen,
                                        .reply = session->reply,
                                        .plan = session->setup.plan};
        smtp_failure_of_curl(&in, &failure);
        tell_failed(session, &failure);
        return;
    }
    int phase = 0;
    const char *text = why_not_usable(session, &phase);
    if (text != NULL) {
        smtp_failure_of_text(phase, text, &failure);
        tell_failed(session, &failure);
        return;
    }
    if (session->auth == SMTP_AUTH_OURS) {
        begin_login(session);
    } else {
        tell_connected(session);
    }
}

/* ---- opening ---- */

static int set_ears(struct smtp_session *session)
{
    CURL *easy = session->easy;
    int code = (int)egress_guard(easy, &session->door);
    code |= (int)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, session->error);
    code |= (int)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply_line);
    code |= (int)curl_easy_setopt(easy, CURLOPT_HEADERDATA, session);
    return code;
}

/* Begin to connect. Returns ERR_OK, else failure says why. */
static enum err begin_connect(struct smtp_session *session, struct smtp_failure *failure)
{
    const struct settings_plan *plan = session->setup.plan;
    struct err_text why = {.code = ERR_OK};
    int phase = PB_PHASE(PREPARE);
    session->opened_us = clock_mono_us();
    session->easy = curl_easy_init();
    const char *text = "libcurl: no memory";
    if (session->easy == NULL || set_ears(session) != CURLE_OK) {
        goto failed;
    }
    text = smtp_options_set(session->easy, plan, session->setup.helo_name, session->server);
    if (text != NULL) {
        goto failed;
    }
    phase = PB_PHASE(AUTH);
    text = why.text;
    if (smtp_auth_prepare(plan, session->easy, &session->secret, &session->auth, &why) !=
        ERR_OK) {
        goto failed;
    }
    phase = PB_PHASE(CONNECT);
    text = "libcurl: cannot begin to connect";
    if (smtp_multi_add(session->setup.multi, session->easy, on_finished, session) == ERR_OK) {
        return ERR_OK;
    }
failed:
    smtp_failure_of_text(phase, text, failure);
    return ERR_INVALID;
}

static void on_token(void *arg, const char *token, const struct oauth_failure *why)
{
    struct smtp_session *session = arg;
    struct smtp_failure failure = {.phase = 0};
    if (token == NULL) {
        smtp_failure_of_class(PB_PHASE(AUTH), why->class, why->text, &failure);
        tell_failed(session, &failure);
        return;
    }
    session->secret = mem_text(token);
    if (begin_connect(session, &failure) != ERR_OK) {
        tell_failed(session, &failure);
    }
}

/* The token first: without one there is no need to disturb the mail server. */
static enum err ask_token(struct smtp_session *session, struct smtp_failure *failure)
{
    struct oauth_failure why;
    session->wait.fn = on_token;
    session->wait.arg = session;
    enum err err = oauth_ask(session->setup.oauth, session->setup.plan, &session->wait,
                             &session->secret, &why);
    if (err == ERR_OK) {
        session->token_is_old = true;
        return begin_connect(session, failure);
    }
    if (err == ERR_AGAIN) {
        return ERR_OK;
    }
    smtp_failure_of_class(PB_PHASE(AUTH), why.class, why.text, failure);
    return ERR_INVALID;
}

/* A token of the cache was refused: the mail server may know better than its life time (revoked, a new password). Once
 * more with a new one, on a new connection. */
static void start_again(struct smtp_session *session)
{
    struct smtp_failure failure = {.phase = 0};
    log_info("oauth_token_refused", "server=%s again=1", session->server);
    loop_unwatch(&session->watch);
    loop_timer_disarm(&session->timer);
    smtp_multi_remove(session->setup.multi, &session->easy);
    session->ssl = NULL;
    smtp_login_free(&session->login);
    secret_free(&session->secret);
    wipe_out(session);
    smtp_reply_reset(session->reply);
    session->fd = CURL_SOCKET_BAD;
    session->for_writing = false;
    session->seen = (struct smtp_dialogue){.greeting = false};
    session->offer = (struct smtp_offer){.mechanisms = 0};
    session->token_is_old = false;
    session->tried_again = true;
    if (ask_token(session, &failure) != ERR_OK) {
        tell_failed(session, &failure);
    }
}

enum err smtp_session_open(const struct smtp_session_setup *setup, struct smtp_session **out,
                           struct smtp_failure *failure)
{
    struct smtp_session *session = mem_zero(1, sizeof *session);
    session->setup = *setup;
    session->fd = CURL_SOCKET_BAD;
    session->door.rules = setup->egress;
    session->door.trust = egress_trust_of(setup->plan);
    session->reply = mem_zero(1, sizeof *session->reply);
    buf_init(&session->out, LOGIN_OUT_BYTES);
    loop_timer_init(&session->timer, setup->loop, on_login_late, session);
    enum err err = setup->plan->authentication == PB_AUTH(OAUTH2)
                       ? ask_token(session, failure)
                       : begin_connect(session, failure);
    if (err != ERR_OK) {
        smtp_session_free(&session);
        return err;
    }
    if (!setup->plan->verify && setup->plan->tls != SETTINGS_TLS_NONE) {
        log_warn("tls_no_verify", "server=%s certificate=unchecked", setup->plan->server);
    }
    *out = session;
    return ERR_OK;
}

void smtp_session_free(struct smtp_session **session_p)
{
    struct smtp_session *session = *session_p;
    if (session == NULL) {
        return;
    }
    oauth_forget(&session->wait);
    loop_unwatch(&session->watch);
    loop_timer_disarm(&session->timer);
    smtp_multi_remove(session->setup.multi, &session->easy);
    smtp_login_free(&session->login);
    secret_free(&session->secret);
    wipe_out(session);
    buf_fini(&session->out);
    free(session->reply);
    free(session);
    *session_p = NULL;
}

void smtp_session_cut(struct smtp_session *session)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (session->fd != CURL_SOCKET_BAD &&
        setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) {
        log_debug("smtp_cut", "server=%s errno=%d", session->server, errno);
    }
}

const struct smtp_offer *smtp_session_offer(const struct smtp_session *session)
{
    return &session->offer;
}

const char *smtp_session_server(const struct smtp_session *session)
{
    return session->server;
}

const char *smtp_session_tls(const struct smtp_session *session)
{
    return session->tls;
}

void smtp_session_story(const struct smtp_session *session, struct smtp_session_story *out)
{
    curl_off_t name_us = 0;
    curl_off_t tcp_us = 0;
    curl_off_t tls_us = 0;
    const char *address = NULL;
    *out = session->story;
    if (session->easy == NULL ||
        curl_easy_getinfo(session->easy, CURLINFO_NAMELOOKUP_TIME_T, &name_us) != CURLE_OK ||
        curl_easy_getinfo(session->easy, CURLINFO_CONNECT_TIME_T, &tcp_us) != CURLE_OK ||
        curl_easy_getinfo(session->easy, CURLINFO_APPCONNECT_TIME_T, &tls_us) != CURLE_OK ||
        curl_easy_getinfo(session->easy, CURLINFO_PRIMARY_IP, &address) != CURLE_OK) {
        return;
    }
    out->name_us = name_us;
    out->tcp_us = tcp_us;
    if (session->setup.plan->tls == SETTINGS_TLS_IMPLICIT) {
        out->tls_us = tls_us;
    }
    (void)snprintf(out->address, sizeof out->address, "%s", address != NULL ? address : "");
}

bool smtp_session_certificate(const struct smtp_session *session, struct certificate *out)
{
    X509 *x509 = session->ssl != NULL ? SSL_get1_peer_certificate(session->ssl) : NULL;
    if (x509 != NULL) {
        certificate_read(x509, out);
        X509_free(x509);
    }
    return x509 != NULL;
}

static enum err of_errno(int number)
{
    return number == EAGAIN || number == EWOULDBLOCK || number == EINTR ? ERR_AGAIN : ERR_IO;
}

enum err smtp_session_send(struct smtp_session *session, const char *data, size_t len,
                           size_t *sent)
{
    if (session->ssl != NULL) {
        return smtp_tls_send(session->ssl, data, len, sent);
    }
    ssize_t n = send(session->fd, data, len, MSG_NOSIGNAL);
    *sent = n > 0 ? (size_t)n : 0;
    return n > 0 ? ERR_OK : of_errno(errno);
}

enum err smtp_session_recv(struct smtp_session *session, char *data, size_t room, size_t *got)
{
    if (session->ssl != NULL) {
        return smtp_tls_recv(session->ssl, data, room, got);
    }
    ssize_t n = recv(session->fd, data, room, 0);
    *got = n > 0 ? (size_t)n : 0;
    if (n == 0) {
        return ERR_NOT_FOUND;
    }
    return n > 0 ? ERR_OK : of_errno(errno);
}

bool smtp_session_holds(const struct smtp_session *session)
{
    return session->ssl != NULL && smtp_tls_holds(session->ssl);
}

void smtp_session_watch(struct smtp_session *session, bool for_writing)
{
    if (session->for_writing != for_writing && session->watch != NULL) {
        session->for_writing = for_writing;
        loop_rewatch(session->watch, for_writing ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    }
}
