/* One mail against a server that says anything: the dialogue as smtp_transaction.c leads it, round by round, without a
 * socket.
 *
 * Input: a byte for the number of recipients (bits 0-2), LIMITS RCPTMAX (3-4), one command at a time (5), a rule of the
 * profile (6) and an address that needs SMTPUTF8 (7); then what the server says. When it has said all, the connection is
 * lost. Promised: everybody ends with an outcome; nobody is delivered to without a 2xx behind content of ours, and
 * nobody unknown without such content; a 354 with nobody accepted gets no content; the rounds come to an end. */
#include "fuzz.h"

#include "mem.h"
#include "smtp_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECIPIENTS_MAX = 8 };

struct talk {
    struct smtp_mail mail;
    struct delivery delivery;
    struct settings_plan plan;
    struct smtp_offer offer;
    struct smtp_reply *reply;
    const char *at;
    size_t left;
    bool sent[RECIPIENTS_MAX];      /* content went out while it was among the accepted */
    bool was_taken[RECIPIENTS_MAX]; /* and was answered with 2xx */
    bool lost;
};

/* The server's next whole reply; false when it has said all, or nonsense. */
static bool hear(struct talk *t)
{
    while (t->left > 0) {
        size_t took = smtp_reply_feed(t->reply, t->at, t->left);
        t->at += took;
        t->left -= took;
        if (t->reply->state == SMTP_REPLY_DONE) {
            return true;
        }
        if (t->reply->state == SMTP_REPLY_BAD) {
            return false;
        }
    }
    return false;
}

static void lose(struct talk *t, int phase)
{
    smtp_mail_answer_loss(&t->mail, phase, "lost");
    t->mail.step = SMTP_MAIL_ANSWERED;
    t->lost = true;
}

/* The content, or the lone dot. */
static void send_content(struct talk *t, bool content)
{
    const struct delivery *d = &t->delivery;
    demand(!content || t->mail.accepted > 0, "content for nobody");
    for (size_t i = 0; i < d->recipient_count && content; i++) {
        t->sent[i] = t->sent[i] || (d->recipients[i].outcome == PB_OUTCOME(PENDING) &&
                                    d->recipients[i].turn == SMTP_TURN_ASKED);
    }
    t->mail.step = SMTP_MAIL_DOT;
    if (!hear(t)) {
        lose(t, PB_PHASE(FINAL_DOT));
        return;
    }
    for (size_t i = 0; i < d->recipient_count; i++) {
        t->was_taken[i] = t->was_taken[i] || (t->sent[i] && t->reply->code / 100 == 2);
    }
    smtp_mail_answer(&t->mail, PB_PHASE(FINAL_DOT), t->reply);
    t->mail.step = SMTP_MAIL_ANSWERED;
}

static void take(struct talk *t)
{
    int phase = smtp_mail_phase(&t->mail);
    if (t->reply->code == 421) {
        smtp_mail_answer(&t->mail, phase, t->reply);
        t->mail.step = SMTP_MAIL_ANSWERED;
        t->lost = true;
        return;
    }
    switch (smtp_mail_take_reply(&t->mail, t->reply)) {
    case SMTP_NEXT_REPLY:
        break;
    case SMTP_NEXT_CONTENT:
        send_content(t, true);
        break;
    case SMTP_NEXT_LONE_DOT:
        send_content(t, false);
        break;
    case SMTP_NEXT_ANSWERED:
        t->mail.step = SMTP_MAIL_ANSWERED;
        break;
    case SMTP_NEXT_BROKEN:
        smtp_mail_rewind(&t->mail);
        lose(t, phase);
        break;
    }
}

static void talk_one_round(struct talk *t, bool one_by_one)
{
    struct buf out;
    buf_init(&out, 65536);
    smtp_mail_rewind(&t->mail);
    if (smtp_mail_check(&t->mail, &t->offer)) {
        t->mail.step = SMTP_MAIL_ENVELOPE;
        smtp_mail_write_mail(&t->mail, &t->offer, &out);
        while (!one_by_one && smtp_mail_write_rcpt(&t->mail, &t->offer, &out)) {
        }
        if (!one_by_one) {
            smtp_mail_write_data(&t->mail, &out);
        }
    }
    while (t->mail.step != SMTP_MAIL_ANSWERED) {
        if (!hear(t)) {
            lose(t, smtp_mail_phase(&t->mail));
            break;
        }
        take(t);
        if (t->mail.step == SMTP_MAIL_ENVELOPE && !t->mail.data_written &&
            !smtp_mail_write_rcpt(&t->mail, &t->offer, &out)) {
            smtp_mail_write_data(&t->mail, &out);
        }
    }
    demand(buf_status(&out) == ERR_OK, "commands of %zu bytes", out.len);
    buf_fini(&out);
}

static void demand_outcomes(const struct talk *t)
{
    for (size_t i = 0; i < t->delivery.recipient_count; i++) {
        const struct deliver_recipient *one = &t->delivery.recipients[i];
        demand(one->outcome != PB_OUTCOME(PENDING), "recipient %zu has no outcome", i);
        demand(one->outcome != PB_OUTCOME(DELIVERED) || t->was_taken[i],
               "recipient %zu: delivered without a 2xx behind content", i);
        demand(one->outcome != PB_OUTCOME(UNKNOWN) || t->sent[i],
               "recipient %zu: unknown, but nothing was sent", i);
        demand(one->class != PB_CLASS(NONE) || one->outcome == PB_OUTCOME(DELIVERED),
               "recipient %zu: no class", i);
    }
}

static void open_talk(struct talk *t, unsigned choice, PB(ReplyRule) *rule,
                      PB(ReplyRule) *const *rules)
{
    t->plan.reply_rules = rules;
    t->plan.reply_rule_count = (choice >> 6) & 1U;
    rule->text = (char *)(uintptr_t) "5.";
    rule->failure_class = PB_CLASS(QUOTA);
    t->offer.rcpt_max = (choice >> 3) & 3U;
    t->offer.dsn = true;
    t->offer.size = true;
    t->delivery.plan = &t->plan;
    t->delivery.recipient_count = (choice & 7U) + 1;
    t->delivery.recipients = mem_zero(RECIPIENTS_MAX, sizeof *t->delivery.recipients);
    t->delivery.want_delivery_receipt = true;
    for (size_t i = 0; i < t->delivery.recipient_count; i++) {
        struct deliver_recipient *one = &t->delivery.recipients[i];
        (void)snprintf(one->address, sizeof one->address, "p%zu@x.test", i);
        one->needs_utf8 = i == 1 && (choice & 0x80U) != 0;
    }
    buf_init(&t->delivery.content, 4096);
    buf_add_text(&t->delivery.content, "Subject: x\r\n\r\nx\r\n");
    t->mail.delivery = &t->delivery;
    t->mail.content_len = t->delivery.content.len;
    t->reply = mem_zero(1, sizeof *t->reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PB(ReplyRule) rule = PB_INIT(REPLY_RULE);
    PB(ReplyRule) *const rules[] = {&rule};
    struct talk t = {.at = (const char *)data + 1};
    if (size < 1) {
        return 0;
    }
    t.left = size - 1;
    open_talk(&t, data[0], &rule, rules);
    size_t rounds = 0;
    do {
        demand(rounds++ <= t.delivery.recipient_count, "round %zu", rounds);
        talk_one_round(&t, (data[0] & 0x20U) != 0);
        if (t.lost) {
            smtp_reply_reset(t.reply); /* the next round has a connection of its own */
            t.lost = false;
        }
    } while (smtp_mail_next_round(&t.mail));
    demand_outcomes(&t);
    delivery_fini(&t.delivery);
    free(t.reply);
    return 0;
}
