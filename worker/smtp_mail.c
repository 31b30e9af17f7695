/* One mail: envelope commands out, replies in, outcomes per recipient.
 *
 * Knows no socket and no timer; smtp_transaction.c has those. Invariants: replies come in
 * the order of the commands, so `to_answer` walks the recipients just as `to_write` did,
 * both leaving out those that are not asked in this round; an outcome is set once in a round,
 * and smtp_mail_rewind takes those of the round back. No address reaches a command with < > or a
 * line break in it, whoever let it through before. */
#include "smtp_mail.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENVELOPE_ID_MAX_BYTES = 100 }; /* RFC 3461 5.4: before the xtext */

static void forget_outcome(struct deliver_recipient *recipient)
{
    free(recipient->text);
    recipient->text = NULL;
    recipient->outcome = PB_OUTCOME(PENDING);
    recipient->class = PB_CLASS(NONE);
    recipient->phase = PB_PHASE(UNSPECIFIED);
    recipient->code = 0;
    recipient->enhanced[0] = '\0';
    recipient->turn = SMTP_TURN_WAITS;
}

static void begin_round(struct smtp_mail *mail)
{
    struct buf *content = &mail->delivery->content;
    if (content->len > mail->content_len) {
        content->len = mail->content_len;
        content->data[mail->content_len] = '\0';
    }
    mail->step = SMTP_MAIL_WAITING;
    mail->to_write = 0;
    mail->to_answer = 0;
    mail->replies = 0;
    mail->accepted = 0;
    mail->mail_refused = false;
    mail->data_written = false;
}

void smtp_mail_rewind(struct smtp_mail *mail)
{
    struct delivery *delivery = mail->delivery;
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        if (delivery->recipients[i].turn != SMTP_TURN_OVER) {
            forget_outcome(&delivery->recipients[i]);
        }
    }
    begin_round(mail);
}

/* Those beyond the server's limit, and those that were one too many in a mail that others got: so every round has
 * fewer than the one before. */
bool smtp_mail_next_round(struct smtp_mail *mail)
{
    struct delivery *delivery = mail->delivery;
    bool more = false;
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct deliver_recipient *recipient = &delivery->recipients[i];
        more = more || recipient->outcome == PB_OUTCOME(PENDING) ||
               (mail->delivered && recipient->turn == SMTP_TURN_NEXT);
    }
    if (!more) {
        return false;
    }
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct deliver_recipient *recipient = &delivery->recipients[i];
        if (mail->delivered && recipient->turn == SMTP_TURN_NEXT) {
            forget_outcome(recipient);
        } else if (recipient->outcome != PB_OUTCOME(PENDING)) {
            recipient->turn = SMTP_TURN_OVER;
        }
    }
    mail->delivered = false;
    mail->restarts = 0;
    begin_round(mail);
    return true;
}

static bool address_is_safe(const char *address)
{
    return address[strcspn(address, "<>\r\n \t")] == '\0';
}

/* Has or had a RCPT in this round. */
static bool is_asked(const struct deliver_recipient *recipient)
{
    return recipient->turn == SMTP_TURN_ASKED || recipient->turn == SMTP_TURN_NEXT;
}

/* Why this server cannot take the recipient; null = it can. */
static const char *why_not(const struct deliver_recipient *recipient,
                           const struct smtp_offer *offer)
{
    if (recipient->address[0] == '\0' || !address_is_safe(recipient->address)) {
        return "the address has a byte that no command can carry";
    }
    return recipient->needs_utf8 && !offer->smtputf8
               ? "needs SMTPUTF8, which the server does not offer"
               : NULL;
}

/* The headers name somebody whose address needs SMTPUTF8. He cannot have the mail from this server, the others can. */
static bool drop_utf8(struct smtp_mail *mail)
{
    struct delivery *delivery = mail->delivery;
    if (delivery->owner->without_utf8 == NULL ||
        !delivery->owner->without_utf8(delivery->owner_arg, delivery)) {
        return false;
    }
    mail->content_len = delivery->content.len;
    return true;
}

static bool whole_mail_fits(struct smtp_mail *mail, const struct smtp_offer *offer)
{
    struct delivery *delivery = mail->delivery;
    char text[128];
    if (!address_is_safe(delivery->mail_from)) {
        deliver_set_rest(delivery, OUTCOME(REFUSED, MESSAGE), PB_PHASE(PREPARE), 0, "",
                         "the sender's address has a byte that no command can carry");
        return false;
    }
    if (delivery->recipient_count > SMTP_MAIL_RECIPIENTS) {
        deliver_set_rest(delivery, OUTCOME(REFUSED, MESSAGE), PB_PHASE(PREPARE), 0, "",
                         "more recipients than one envelope can have");
        return false;
    }
    if (delivery->needs_utf8 && !offer->smtputf8 && !drop_utf8(mail)) {
        deliver_set_rest(delivery, OUTCOME(REFUSED, MESSAGE), PB_PHASE(MAIL), 0, "",
                         "needs SMTPUTF8, which the server does not offer");
        return false;
    }
    if (offer->size_bytes > 0 && mail->content_len > offer->size_bytes) {
        (void)snprintf(text, sizeof text, "message of %zu bytes, the server takes at most %llu",
                       mail->content_len, (unsigned long long)offer->size_bytes);
        deliver_set_rest(delivery, OUTCOME(REFUSED, MESSAGE), PB_PHASE(MAIL), 0, "", text);
        return false;
    }
    return true;
}

bool smtp_mail_check(struct smtp_mail *mail, const struct smtp_offer *offer)
{
    struct delivery *delivery = mail->delivery;
    size_t asked = 0;
    size_t most = offer->rcpt_max > 0 ? offer->rcpt_max : SIZE_MAX;
    if (!whole_mail_fits(mail, offer)) {
        mail->step = SMTP_MAIL_ANSWERED;
        return false;
    }
    for (size_t i = 0; i < delivery->recipient_count && asked < most; i++) {
        struct deliver_recipient *recipient = &delivery->recipients[i];
        if (recipient->turn != SMTP_TURN_WAITS) {
            continue;
        }
        const char *text = why_not(recipient, offer);
        if (text != NULL) {
            deliver_set(recipient, OUTCOME(REFUSED, RECIPIENT), PB_PHASE(RCPT), 0, "", text);
        } else {
            recipient->turn = SMTP_TURN_ASKED;
            asked++;
        }
    }
    if (asked == 0) {
        mail->step = SMTP_MAIL_ANSWERED;
    }
    return asked > 0;
}

static bool some_recipient_needs_utf8(const struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        if (delivery->recipients[i].needs_utf8 && is_asked(&delivery->recipients[i])) {
            return true;
        }
    }
    return false;
}

/* RFC 3461 4: what is no printable ASCII, + and = as +HH. */
static void add_xtext(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < '!' || c > '~' || c == '+' || c == '=') {
            buf_add_format(out, "+%02X", (unsigned)c);
        } else {
            buf_add_char(out, *text);
        }
    }
}

/* The name by which a delivery report tells which mail it is about: the same on every attempt. */
static void add_envelope_id(struct buf *out, const char *name)
{
    size_t len = strlen(name);
    if (len > 0 && len <= ENVELOPE_ID_MAX_BYTES) {
        buf_add_text(out, " ENVID=");
        add_xtext(out, name);
    }
}

void smtp_mail_write_mail(const struct smtp_mail *mail, const struct smtp_offer *offer,
                          struct buf *out)
{
    const struct delivery *delivery = mail->delivery;
    buf_add(out, "MAIL FROM:<", 11);
    buf_add_text(out, delivery->mail_from);
    buf_add_char(out, '>');
    if (offer->size) {
        buf_add_text(out, " SIZE="); /* RFC 1870 */
        buf_add_number(out, mail->content_len);
    }
    if (offer->eight_bit && delivery->needs_utf8) {
        buf_add_text(
            out,
            " BODY=8BITMIME"); /* RFC 6531 3.4: only such headers have a byte beyond ASCII */
    }
    if (offer->smtputf8 && (delivery->needs_utf8 || some_recipient_needs_utf8(delivery))) {
        buf_add_text(out, " SMTPUTF8"); /* RFC 6531 3.4 */
    }
    if (offer->dsn && delivery->want_delivery_receipt) {
        buf_add_text(
            out, " RET=HDRS"); /* RFC 3461 4.3: the headers are enough to know the mail by */
        add_envelope_id(out, delivery->file_name);
    }
    buf_add(out, "\r\n", 2);
}

/* RFC 3461 4.1 and 4.2; an address beyond ASCII would need the utf-8 type of RFC 6533. */
static void add_notify(struct buf *out, const struct deliver_recipient *recipient)
{
    buf_add_text(out, " NOTIFY=SUCCESS,FAILURE");
    if (!recipient->needs_utf8) {
        buf_add_text(out, " ORCPT=rfc822;");
        add_xtext(out, recipient->address);
    }
}

bool smtp_mail_write_rcpt(struct smtp_mail *mail, const struct smtp_offer *offer,
                          struct buf *out)
{
    const struct delivery *delivery = mail->delivery;
    while (mail->to_write < delivery->recipient_count) {
        const struct deliver_recipient *recipient = &delivery->recipients[mail->to_write++];
        if (is_asked(recipient)) {
            buf_add(out, "RCPT TO:<", 9);
            buf_add_text(out, recipient->address);
            buf_add_char(out, '>');
            if (offer->dsn && delivery->want_delivery_receipt) {
                add_notify(out, recipient);
            }
            buf_add(out, "\r\n", 2);
            return true;
        }
    }
    return false;
}

void smtp_mail_write_data(struct smtp_mail *mail, struct buf *out)
{
    buf_add(out, "DATA\r\n", 6);
    mail->data_written = true;
}

/* The next recipient that a RCPT went out for, or null: then the reply belongs to DATA. */
static struct deliver_recipient *next_asked(const struct smtp_mail *mail, size_t *at)
{
    struct delivery *delivery = mail->delivery;
    for (*at = mail->to_answer; *at < delivery->recipient_count; (*at)++) {
        if (is_asked(&delivery->recipients[*at])) {
            return &delivery->recipients[*at];
        }
    }
    return NULL;
}

static struct outcome outcome_at(const struct smtp_mail *mail, int phase,
                                 const struct smtp_reply *reply)
{
    const struct outcome_reply asked = {.plan = mail->delivery->plan,
                                        .phase = phase,
                                        .code = reply->code,
                                        .enhanced = reply->enhanced,
                                        .text = reply->text};
    return outcome_of(&asked);
}

/* Everybody of this round that has no outcome yet, and those of later rounds when it holds for them as well. */
static void set_rest(struct smtp_mail *mail, struct outcome outcome, int phase,
                     const struct smtp_reply *reply, const char *text)
{
    struct delivery *delivery = mail->delivery;
    bool not_for_all =
        outcome.outcome == PB_OUTCOME(DELIVERED) || outcome.outcome == PB_OUTCOME(UNKNOWN);
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct deliver_recipient *recipient = &delivery->recipients[i];
        if (recipient->outcome != PB_OUTCOME(PENDING)) {
            continue;
        }
        if (is_asked(recipient) || !not_for_all) {
            deliver_set(recipient, outcome, phase, reply != NULL ? reply->code : 0,
                        reply != NULL ? reply->enhanced : "", text);
        } else if (outcome.outcome == PB_OUTCOME(UNKNOWN)) {
            deliver_set(recipient, OUTCOME(DEFERRED, TRANSIENT), PB_PHASE(RCPT), 0, "",
                        "not sent: the mail to the recipients before was lost");
        }
    }
}

void smtp_mail_answer(struct smtp_mail *mail, int phase, const struct smtp_reply *reply)
{
    if (mail->accepted == 0 && (phase == PB_PHASE(DATA) || phase == PB_PHASE(FINAL_DOT))) {
        return; /* a DATA or a lone dot behind refusals: each of this round has its own reply, and it is not about the others */
    }
    struct outcome outcome = outcome_at(mail, phase, reply);
    set_rest(mail, outcome, phase, reply, reply->text);
    if (outcome.outcome == PB_OUTCOME(DELIVERED)) {
        char id[DELIVER_QUEUE_ID_BYTES];
        char *all = mail->delivery->queue_id;
        size_t len = strlen(all);
        mail->delivered = true;
        smtp_mail_queue_id(reply->text, id);
        if (id[0] != '\0' && len + strlen(id) + 2 <= DELIVER_QUEUE_ID_BYTES) {
            if (len > 0) {
                all[len++] = ',';
            }
            mem_text_into(all + len, DELIVER_QUEUE_ID_BYTES - len, id);
        }
    }
}

void smtp_mail_answer_loss(struct smtp_mail *mail, int phase, const char *text)
{
    set_rest(mail, outcome_of_silence(phase), phase, NULL, text);
}

int smtp_mail_phase(const struct smtp_mail *mail)
{
    if (mail->step >= SMTP_MAIL_DOT) {
        return PB_PHASE(FINAL_DOT);
    }
    if (mail->step == SMTP_MAIL_CONTENT) {
        return PB_PHASE(CONTENT);
    }
    if (mail->replies == 0) {
        return PB_PHASE(MAIL);
    }
    return mail->to_answer < mail->delivery->recipient_count ? PB_PHASE(RCPT) : PB_PHASE(DATA);
}

static bool is_verdict(const struct smtp_reply *reply)
{
    return reply->code / 100 == 2 || reply->code / 100 >= 4;
}

static enum smtp_mail_next take_mail_reply(struct smtp_mail *mail,
                                           const struct smtp_reply *reply)
{
    if (!is_verdict(reply)) {
        return SMTP_NEXT_BROKEN;
    }
    if (reply->code >= 400) {
        mail->mail_refused = true;
        smtp_mail_answer(mail, PB_PHASE(MAIL), reply);
    }
    return mail->mail_refused && !mail->data_written ? SMTP_NEXT_ANSWERED : SMTP_NEXT_REPLY;
}

static enum smtp_mail_next take_rcpt_reply(struct smtp_mail *mail,
                                           struct deliver_recipient *recipient,
                                           const struct smtp_reply *reply)
{
    if (!is_verdict(reply)) {
        return SMTP_NEXT_BROKEN;
    }
    if (mail->mail_refused) {
        return SMTP_NEXT_REPLY; /* 503 to what was pipelined behind MAIL: it has its outcome */
    }
    if (reply->code < 400) {
        mail->accepted++;
        return SMTP_NEXT_REPLY;
    }
    struct outcome outcome = outcome_at(mail, PB_PHASE(RCPT), reply);
    deliver_set(recipient, outcome, PB_PHASE(RCPT), reply->code, reply->enhanced, reply->text);
    if (outcome.split) {
        recipient->turn = SMTP_TURN_NEXT;
    }
    return SMTP_NEXT_REPLY;
}

static enum smtp_mail_next take_data_reply(struct smtp_mail *mail,
                                           const struct smtp_reply *reply)
{
    if (reply->code == 354) {
        return mail->accepted > 0 ? SMTP_NEXT_CONTENT : SMTP_NEXT_LONE_DOT;
    }
    if (reply->code < 400) {
        return SMTP_NEXT_BROKEN;
    }
    smtp_mail_answer(mail, PB_PHASE(DATA), reply);
    return SMTP_NEXT_ANSWERED;
}

enum smtp_mail_next smtp_mail_take_reply(struct smtp_mail *mail, const struct smtp_reply *reply)
{
    if (mail->replies++ == 0) {
        return take_mail_reply(mail, reply);
    }
    size_t at = 0;
    struct deliver_recipient *recipient = next_asked(mail, &at);
    if (recipient == NULL) {
        return take_data_reply(mail, reply);
    }
    mail->to_answer = at + 1;
    enum smtp_mail_next next = take_rcpt_reply(mail, recipient, reply);
    bool last = next_asked(mail, &at) == NULL;
    if (last) {
        mail->to_answer = at;
    }
    /* One command at a time: without a recipient there is no reason for DATA. */
    return last && next == SMTP_NEXT_REPLY && mail->accepted == 0 && !mail->data_written
               ? SMTP_NEXT_ANSWERED
               : next;
}

/* Where servers put the name of a mail in their last reply. */
static const struct queue_id_mark {
    const char *mark;
    bool before; /* the word before the mark, not behind it */
} queue_id_marks[] = {
    {"queued as ", false},                    /* Postfix */
    {"InternalId=", false},                   /* Exchange */
    {" id=", false},                          /* Exim: "OK id=1abc-…" */
    {" message accepted for delivery", true}, /* Sendmail, OpenSMTPD */
    {" - gsmtp", true},                       /* Gmail */
};

static bool ends_id(char c)
{
    return c == '\0' || strchr(" ,;()[]<>\t", c) != NULL;
}

void smtp_mail_queue_id(const char *text, char out[DELIVER_QUEUE_ID_BYTES])
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof queue_id_marks / sizeof queue_id_marks[0]; i++) {
        const struct queue_id_mark *mark = &queue_id_marks[i];
        const char *found = strcasestr(text, mark->mark);
        if (found == NULL) {
            continue;
        }
        const char *from = mark->before ? found : found + strlen(mark->mark);
        const char *to = from;
        while (mark->before && from > text && !ends_id(from[-1])) {
            from--;
        }
        while (!mark->before && !ends_id(*to)) {
            to++;
        }
        if (to > from && (size_t)(to - from) < DELIVER_QUEUE_ID_BYTES) {
            memcpy(out, from, (size_t)(to - from));
            out[to - from] = '\0';
            return;
        }
    }
}
