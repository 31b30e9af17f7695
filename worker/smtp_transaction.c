/* The mails of one connection.
 *
 * Design notes. Everything happens in `advance`, which runs until nothing can be done;
 * `pump` keeps it from running inside itself, because owner and job may call back from
 * anywhere (a permit from inside ask, a new mail from inside done). One piece of output is
 * under way at a time and its bytes do not move until it is gone (SSL_write(3) wants the
 * same bytes again). So a mail that was answered while bytes behind its dot still wait stays
 * (ANSWERED) until they are out.
 *
 * Invariants: content goes out only with 354 and permit; what is lost before a byte of the
 * dot was handed over was not accepted; a mail leaves exactly once, by finished or by again;
 * after `lost` only `over` follows. */
#include "smtp_transaction.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 16384,
    COMMANDS_MAX_BYTES = 4 * 1024 * 1024,
    RIDER_SILENCE_MS = 20000 /* dot answered, but not the MAIL behind it: the server lost it */
};

struct smtp_transaction {
    struct smtp_transaction_setup setup;
    const struct smtp_offer *offer;
    struct smtp_mail *current;
    struct smtp_mail *rider;
    struct buf commands;
    struct smtp_reply reply;
    const char *out; /* what is being sent: in commands or in a mail's content */
    size_t out_len;
    size_t out_sent;
    struct loop_timer timer;
    int64_t born_ms;
    unsigned begun;    /* mails */
    unsigned answered; /* mails that came to an end with a reply */
    size_t ignore;     /* replies to RSET that will come */
    enum smtp_mode mode;
    bool needs_reset; /* the server still has an envelope */
    bool retired;
    bool pumping;
    bool again;
    bool rode;  /* the current mail came as a rider */
    bool idle;  /* the owner was told */
    bool heard; /* a whole reply, since the timer was armed */
    bool due;   /* the loop counts on a reply */
    bool lost;
};

static void pump(struct smtp_transaction *t);
static void on_timer(void *arg);

static void set_due(struct smtp_transaction *t, bool due)
{
    if (t->due != due) {
        t->due = due;
        loop_due(t->setup.loop, due ? 1 : -1);
    }
}

struct smtp_transaction *smtp_transaction_new(const struct smtp_transaction_setup *setup)
{
    struct smtp_transaction *t = mem_zero(1, sizeof *t);
    t->setup = *setup;
    t->offer = smtp_session_offer(setup->session);
    t->mode = t->offer->pipelining ? setup->mode : SMTP_MODE_OFF;
    t->born_ms = clock_mono_ms();
    buf_init(&t->commands, COMMANDS_MAX_BYTES);
    loop_timer_init(&t->timer, setup->loop, on_timer, t);
    return t;
}

void smtp_transaction_free(struct smtp_transaction **transaction)
{
    struct smtp_transaction *t = *transaction;
    if (t == NULL) {
        return;
    }
    loop_timer_disarm(&t->timer);
    set_due(t, false);
    buf_fini(&t->commands);
    free(t);
    *transaction = NULL;
}

void smtp_transaction_lower(struct smtp_transaction *t, enum smtp_mode mode)
{
    if (mode < t->mode) {
        t->mode = mode;
    }
}

/* How a mail leaves. */

static void finish(struct smtp_transaction *t, struct smtp_mail *mail)
{
    mail->on = NULL;
    if (smtp_mail_next_round(mail)) {
        t->setup.owner->again(t->setup.owner_arg, mail);
    } else {
        t->setup.owner->finished(t->setup.owner_arg, mail);
    }
}

static void finish_current(struct smtp_transaction *t)
{
    struct smtp_mail *mail = t->current;
    t->current = t->rider;
    t->rider = NULL;
    t->rode = t->current != NULL;
    finish(t, mail);
}

/* Nothing of the content was sent: begin again elsewhere, or give up with this text. */
static void restart(struct smtp_transaction *t, struct smtp_mail *mail, const char *text)
{
    int phase = smtp_mail_phase(mail);
    smtp_mail_rewind(mail);
    if (mail->restarts++ >= SMTP_MAIL_RESTARTS) {
        smtp_mail_answer_loss(mail, phase, text);
        finish(t, mail);
        return;
    }
    mail->on = NULL;
    t->setup.owner->again(t->setup.owner_arg, mail);
}

/* The first byte of the dot is handed over. */
static bool dot_is_out(const struct smtp_transaction *t, const struct smtp_mail *mail)
{
    return mail->step == SMTP_MAIL_DOT ||
           (mail->step == SMTP_MAIL_CONTENT && t->out_sent > mail->content_len);
}

static int phase_of(const struct smtp_transaction *t, const struct smtp_mail *mail)
{
    return dot_is_out(t, mail) ? PB_PHASE(FINAL_DOT) : smtp_mail_phase(mail);
}

/* A connection that served before may be stale: its loss before any reply says nothing about
 * this mail, and to a rider it says nothing at all. */
static bool is_stale(const struct smtp_transaction *t, const struct smtp_mail *mail)
{
    return mail->step == SMTP_MAIL_ENVELOPE && t->begun > 1 && (mail->replies == 0 || t->rode);
}

static void lose_mail(struct smtp_transaction *t, struct smtp_mail *mail, const char *text)
{
    if (mail->step == SMTP_MAIL_ANSWERED) {
        finish(t, mail);
    } else if (dot_is_out(t, mail)) {
        smtp_mail_answer_loss(mail, PB_PHASE(FINAL_DOT), text);
        finish(t, mail);
    } else if (is_stale(t, mail) || mail->step == SMTP_MAIL_GO ||
               (mail->step == SMTP_MAIL_CONTENT && t->out_sent == 0)) {
        restart(t, mail, text);
    } else {
        smtp_mail_answer_loss(mail, smtp_mail_phase(mail), text);
        finish(t, mail);
    }
}

/* The connection is of no more use; say so for each mail on it. */
static void lose(struct smtp_transaction *t, const char *text)
{
    if (t->lost) {
        return;
    }
    t->lost = true;
    if (t->out_sent < t->out_len) {
        smtp_session_cut(t->setup.session);
    }
    struct smtp_mail *current = t->current;
    struct smtp_mail *rider = t->rider;
    t->current = NULL;
    t->rider = NULL;
    log_debug("smtp_lost", "server=%s mails=%u reason=\"%s\"",
              smtp_session_server(t->setup.session), t->answered, text);
    if (current != NULL) {
        lose_mail(t, current, text);
    }
    if (rider != NULL) {
        restart(t, rider, text);
    }
}

/* QUIT in good order; its reply is not waited for. */
static void quit(struct smtp_transaction *t)
{
    size_t sent = 0;
    enum err err = smtp_session_send(t->setup.session, "QUIT\r\n", 6, &sent);
    log_debug("smtp_quit", "server=%s mails=%u sent=%s", smtp_session_server(t->setup.session),
              t->answered, err_name(err));
    t->lost = true;
}

/* Time-outs: RFC 5321 4.5.3.2, from the plan. */

static void arm(struct smtp_transaction *t)
{
    const struct settings_plan *plan = t->setup.plan;
    int64_t wait_ms = plan->reply_timeout_ms;
    const struct smtp_mail *mail = t->current;
    if (mail == NULL) {
        int64_t left_ms = t->born_ms + plan->max_connection_age_ms - clock_mono_ms();
        wait_ms = plan->idle_timeout_ms;
        if (plan->max_connection_age_ms > 0 && left_ms < wait_ms) {
            wait_ms = left_ms > 0 ? left_ms : 0;
        }
    } else if (mail->step == SMTP_MAIL_DOT) {
        wait_ms = plan->content_timeout_ms;
    } else if (t->rode && mail->replies == 0 && wait_ms > RIDER_SILENCE_MS) {
        wait_ms = RIDER_SILENCE_MS;
    }
    loop_timer_arm(&t->timer, wait_ms);
}

static void on_timer(void *arg)
{
    struct smtp_transaction *t = arg;
    if (t->current == NULL) {
        t->retired = true;
    } else {
        bool lost_rider = t->rode && t->current->replies == 0;
        bool choked = t->current->step == SMTP_MAIL_DOT && t->rider != NULL;
        if (lost_rider || choked) {
            t->setup.owner->stumbled(t->setup.owner_arg);
        }
        t->pumping = true;
        lose(t, t->current->step == SMTP_MAIL_GO ? "no permit in time" : "no reply in time");
        t->pumping = false;
    }
    pump(t);
}

/* Sending. */

static void set_out(struct smtp_transaction *t, const struct buf *bytes)
{
    t->out = bytes->data;
    t->out_len = bytes->len;
    t->out_sent = 0;
}

static void read_replies(struct smtp_transaction *t);

/* ERR_OK: nothing is left to send. */
static enum err flush(struct smtp_transaction *t)
{
    size_t before = t->out_sent;
    while (t->out_sent < t->out_len) {
        size_t sent = 0;
        enum err err = smtp_session_send(t->setup.session, t->out + t->out_sent,
                                         t->out_len - t->out_sent, &sent);
        if (err == ERR_AGAIN) {
            smtp_session_watch(t->setup.session, true);
            if (t->out_sent > before) {
                arm(t); /* it moves */
            }
            return err;
        }
        if (err != ERR_OK) {
            read_replies(t); /* it may have said why before it hung up */
            lose(t, "connection lost while sending");
            return ERR_IO;
        }
        t->out_sent += sent;
    }
    t->out_len = 0;
    t->out_sent = 0;
    smtp_session_watch(t->setup.session, false);
    if (t->current != NULL && t->current->step == SMTP_MAIL_CONTENT) {
        t->current->step = SMTP_MAIL_DOT;
        arm(t);
    }
    return ERR_OK;
}

/* Beginning a mail. */

static bool may_take(const struct smtp_transaction *t)
{
    const struct settings_plan *plan = t->setup.plan;
    bool worn =
        plan->max_messages_per_connection > 0 && t->begun >= plan->max_messages_per_connection;
    worn = worn || (t->offer->mail_max > 0 && t->begun >= t->offer->mail_max);
    bool old = plan->max_connection_age_ms > 0 &&
               clock_mono_ms() - t->born_ms >= plan->max_connection_age_ms;
    return !t->retired && !t->lost && !worn && !old;
}

static void write_envelope(struct smtp_transaction *t, struct smtp_mail *mail, struct buf *out)
{
    mail->one_by_one = t->mode == SMTP_MODE_OFF;
    smtp_mail_write_mail(mail, t->offer, out);
    if (!mail->one_by_one) {
        while (smtp_mail_write_rcpt(mail, t->offer, out)) {
        }
        smtp_mail_write_data(mail, out);
    }
}

static void place(struct smtp_transaction *t, struct smtp_mail *mail)
{
    struct delivery *delivery = mail->delivery;
    smtp_mail_rewind(mail);
    mail->on = t;
    mem_text_into(delivery->server, sizeof delivery->server,
                  smtp_session_server(t->setup.session));
    mem_text_into(delivery->tls_version, sizeof delivery->tls_version,
                  smtp_session_tls(t->setup.session));
}

/* The next mail that this server can take, its envelope appended to out; null when there is
 * none. */
static struct smtp_mail *begin(struct smtp_transaction *t, enum smtp_take how, struct buf *out)
{
    while (may_take(t)) {
        struct smtp_mail *mail = t->setup.owner->take(t->setup.owner_arg, how);
        if (mail == NULL) {
            return NULL;
        }
        place(t, mail);
        if (smtp_mail_check(mail, t->offer)) {
            mail->step = SMTP_MAIL_ENVELOPE;
            t->begun++;
            write_envelope(t, mail, out);
            if (buf_status(out) != ERR_OK) {
                bug("no memory for an envelope of %zu recipients",
                    mail->delivery->recipient_count);
            }
            return mail;
        }
        finish(t, mail);
    }
    return NULL;
}

static void ask_permit(struct smtp_mail *mail)
{
    if (mail->permit == SMTP_PERMIT_NOT_ASKED) {
        mail->permit = SMTP_PERMIT_ASKED;
        mail->delivery->owner->ask(mail->delivery->owner_arg, mail->delivery);
    }
}

static void begin_current(struct smtp_transaction *t)
{
    buf_reset(&t->commands);
    if (t->needs_reset) {
        buf_add_text(&t->commands, "RSET\r\n");
    }
    struct smtp_mail *mail = begin(t, SMTP_TAKE_CURRENT, &t->commands);
    if (mail == NULL) {
        return;
    }
    t->current = mail;
    t->rode = false;
    t->idle = false;
    t->ignore += t->needs_reset ? 1 : 0;
    t->needs_reset = false;
    set_out(t, &t->commands);
    arm(t);
    ask_permit(mail);
    t->again = true;
}

/* Behind a dot that is out already, or goes out with it. */
static void begin_rider(struct smtp_transaction *t, struct buf *out)
{
    if (t->mode != SMTP_MODE_FULL || t->rider != NULL) {
        return;
    }
    t->rider = begin(t, SMTP_TAKE_RIDER, out);
}

/* 354 and the permit are here. */
static void send_content(struct smtp_transaction *t)
{
    struct smtp_mail *mail = t->current;
    struct buf *content = &mail->delivery->content;
    content->max =
        SIZE_MAX / 4; /* the dot and the rider's commands stand behind a content of any size */
    if (buf_reserve(content, 3) != ERR_OK) {
        lose(t, "no memory");
        return;
    }
    buf_add(content, ".\r\n", 3);
    mail->step = SMTP_MAIL_CONTENT;
    if (mail->delivery->owner->begin != NULL) {
        mail->delivery->owner->begin(mail->delivery->owner_arg, mail->delivery);
    }
    begin_rider(t, content);
    set_out(t, content);
    arm(t);
    if (t->rider != NULL) {
        ask_permit(t->rider);
    }
    t->again = true;
}

static void ride_late(struct smtp_transaction *t)
{
    buf_reset(&t->commands);
    begin_rider(t, &t->commands);
    if (t->rider != NULL) {
        set_out(t, &t->commands);
        ask_permit(t->rider);
        t->again = true;
    }
}

/* Replies. */

static void begin_next_command(struct smtp_transaction *t, struct smtp_mail *mail)
{
    buf_reset(&t->commands);
    if (!smtp_mail_write_rcpt(mail, t->offer, &t->commands)) {
        smtp_mail_write_data(mail, &t->commands);
    }
    set_out(t, &t->commands);
}

static void send_lone_dot(struct smtp_transaction *t, struct smtp_mail *mail)
{
    buf_reset(&t->commands);
    buf_add_text(&t->commands, ".\r\n");
    set_out(t, &t->commands);
    mail->step = SMTP_MAIL_DOT;
}

/* A server that offered PIPELINING and calls it an error: 503 or a 5.5.x to the MAIL of a
 * group. */
static bool is_stumble(const struct smtp_transaction *t, const struct smtp_mail *mail,
                       const struct smtp_reply *reply)
{
    return t->mode != SMTP_MODE_OFF && mail->replies == 0 &&
           (reply->code == 503 ||
            (reply->code == 554 && strncmp(reply->enhanced, "5.5.", 4) == 0));
}

/* Nobody knows any more which of the replies belongs to whom, so none of them counts. Pipelining may be too much for the
 * server, and a connection that served before may bring a reply too many along: then it is begun again. */
static void fall_out_of_step(struct smtp_transaction *t, struct smtp_mail *mail, int phase)
{
    static const char text[] = "a reply that does not fit the command";
    enum smtp_mode before = t->mode;
    if (before != SMTP_MODE_OFF) {
        t->setup.owner->stumbled(t->setup.owner_arg);
    }
    if (t->mode < before || t->begun > 1) {
        t->current = NULL;
        restart(t, mail, text);
    } else {
        smtp_mail_rewind(mail);
        smtp_mail_answer_loss(mail, phase, text);
        mail->step = SMTP_MAIL_ANSWERED;
    }
    lose(t, text);
}

static void on_envelope_reply(struct smtp_transaction *t, struct smtp_mail *mail)
{
    int phase = smtp_mail_phase(mail);
    if (is_stumble(t, mail, &t->reply)) {
        t->setup.owner->stumbled(t->setup.owner_arg);
        t->current = NULL;
        restart(t, mail, t->reply.text);
        lose(t, "the server does not take pipelined commands");
        return;
    }
    if (mail->one_by_one && t->out_len > 0) {
        fall_out_of_step(t, mail, phase); /* an answer to a command that is not out yet */
        return;
    }
    switch (smtp_mail_take_reply(mail, &t->reply)) {
    case SMTP_NEXT_REPLY:
        if (!mail->data_written) {
            begin_next_command(t, mail);
        }
        return;
    case SMTP_NEXT_CONTENT:
        mail->step = SMTP_MAIL_GO;
        return;
    case SMTP_NEXT_LONE_DOT:
        send_lone_dot(t, mail);
        return;
    case SMTP_NEXT_ANSWERED:
        t->needs_reset = true;
        mail->step = SMTP_MAIL_ANSWERED;
        return;
    case SMTP_NEXT_BROKEN:
        break;
    }
    fall_out_of_step(t, mail, phase);
}

/* 421: the server closes, whatever was asked (RFC 5321 3.8). */
static void on_goodbye(struct smtp_transaction *t, struct smtp_mail *mail)
{
    if (mail != NULL && mail->step != SMTP_MAIL_GO && !is_stale(t, mail)) {
        smtp_mail_answer(mail, phase_of(t, mail), &t->reply);
        mail->step = SMTP_MAIL_ANSWERED;
    }
    lose(t, t->reply.text);
}

/* A reply while content, dot or what rides behind are still going out. Returns false when
 * the connection must go: an answer before the dot is through counts only when it is a no. */
static bool on_early_reply(struct smtp_transaction *t, struct smtp_mail *mail)
{
    bool through = t->out_sent >= mail->content_len + 3;
    if (!through && t->reply.code < 400) {
        return false;
    }
    smtp_mail_answer(mail, phase_of(t, mail), &t->reply);
    mail->step = SMTP_MAIL_ANSWERED;
    t->answered += through ? 1 : 0;
    return through;
}

static void on_reply(struct smtp_transaction *t)
{
    struct smtp_mail *mail = t->current;
    if (mail != NULL && mail->step == SMTP_MAIL_ANSWERED) {
        mail = t->rider;
    }
    if (t->reply.code == 421) {
        on_goodbye(t, mail);
        return;
    }
    if (t->ignore > 0) {
        t->ignore--;
        return;
    }
    switch (mail != NULL ? mail->step : SMTP_MAIL_STEP_COUNT) {
    case SMTP_MAIL_ENVELOPE:
        on_envelope_reply(t, mail);
        return;
    case SMTP_MAIL_CONTENT:
        if (on_early_reply(t, mail)) {
            return;
        }
        break;
    case SMTP_MAIL_DOT:
        smtp_mail_answer(mail, PB_PHASE(FINAL_DOT), &t->reply);
        mail->step = SMTP_MAIL_ANSWERED;
        t->answered++;
        return;
    default:
        break;
    }
    lose(t, "the server spoke out of turn");
}

/* Finish what is answered, as soon as no byte of it is still to be sent. */
static void settle(struct smtp_transaction *t)
{
    if (t->current != NULL && t->current->step == SMTP_MAIL_ANSWERED && t->out_len == 0) {
        finish_current(t);
        t->again = true;
    }
}

static void take_bytes(struct smtp_transaction *t, const char *data, size_t len)
{
    for (size_t at = 0; at < len && !t->lost;) {
        at += smtp_reply_feed(&t->reply, data + at, len - at);
        if (t->reply.state == SMTP_REPLY_BAD) {
            lose(t, "the server's answer is no SMTP reply");
        } else if (t->reply.state == SMTP_REPLY_DONE) {
            t->heard = true;
            on_reply(t);
            settle(t);
        }
    }
}

static void read_replies(struct smtp_transaction *t)
{
    char data[READ_BYTES];
    while (!t->lost) {
        size_t got = 0;
        enum err err = smtp_session_recv(t->setup.session, data, sizeof data, &got);
        if (err == ERR_AGAIN) {
            break;
        }
        if (err != ERR_OK) {
            lose(t,
                 err == ERR_NOT_FOUND ? "the server closed the connection" : "connection lost");
            return;
        }
        take_bytes(t, data, got);
        if (got < sizeof data && !smtp_session_holds(t->setup.session)) {
            break; /* the descriptor wakes us when there is more */
        }
    }
    if (!t->lost && t->heard) {
        arm(t); /* only whole replies count: a server that drips bytes must not hold us for ever */
    }
    t->heard = false;
}

/* Driving. */

/* A permit was denied: the server has an envelope that must not be filled, and closing is
 * the way out. */
static void drop_denied(struct smtp_transaction *t)
{
    struct smtp_mail *mail = t->current;
    if (mail != NULL && mail->permit == SMTP_PERMIT_DENIED && mail->step <= SMTP_MAIL_GO) {
        t->current = NULL;
        smtp_mail_rewind(mail);
        smtp_mail_answer_loss(mail, PB_PHASE(BROKER), "permit denied");
        finish(t, mail);
        lose(t, "permit denied");
    }
}

static void become_idle(struct smtp_transaction *t)
{
    if (!may_take(t)) {
        quit(t);
    } else if (!t->idle) {
        t->idle = true;
        arm(t);
        t->setup.owner->idle(t->setup.owner_arg);
    }
}

static void advance(struct smtp_transaction *t)
{
    if (flush(t) != ERR_OK) {
        return;
    }
    settle(t);
    drop_denied(t);
    if (t->lost) {
        return;
    }
    if (t->current == NULL) {
        begin_current(t);
    }
    if (t->current == NULL) {
        become_idle(t);
        return;
    }
    if (t->out_len > 0) {
        return; /* flushed in the next round */
    }
    if (t->current->step == SMTP_MAIL_GO && t->current->permit == SMTP_PERMIT_GRANTED) {
        send_content(t);
    } else if (t->current->step == SMTP_MAIL_DOT && t->rider == NULL) {
        ride_late(t);
    }
}

static void pump(struct smtp_transaction *t)
{
    if (t->pumping) {
        t->again = true;
        return;
    }
    t->pumping = true;
    do {
        t->again = false;
        if (!t->lost) {
            advance(t);
        }
    } while (t->again && !t->lost);
    t->pumping = false;
    set_due(t, t->current != NULL && !t->lost);
    if (t->lost) {
        t->setup.owner->over(t->setup.owner_arg);
    }
}

void smtp_transaction_kick(struct smtp_transaction *t)
{
    t->idle = false; /* whoever kicks it took it off its list: it will say so again */
    pump(t);
}

void smtp_transaction_retire(struct smtp_transaction *t)
{
    t->retired = true;
    pump(t);
}

void smtp_transaction_ready(struct smtp_transaction *t, int events)
{
    if (t->pumping) {
        bug("a descriptor's event inside a transaction's own turn");
    }
    t->pumping = true;
    if ((events & LOOP_READ) != 0) {
        read_replies(t);
    }
    t->pumping = false;
    pump(t);
}
