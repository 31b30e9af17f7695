/* THE table: SMTP reply to outcome and class. To change how a reply is treated, change a row
 * here; a profile can put rows of its own before it (reply_rules).
 *
 * Rows are tried from the top and the first that fits decides, so the special stands above
 * the general; the last rows catch everything. A row fits when the server is of that
 * service, the phase in its set, the code in its range, the enhanced code matches its
 * pattern ("5.7.8" that code, "x.2.2" any class, "5.5.x" any detail, "" anything) and the
 * server's words have its text in them.
 *
 * Rules behind the rows: a 4xx is never final. A 5xx is final, but not where a person at the
 * settings or the next window of a quota will change it (login, sender not permitted,
 * mailbox full). Before the final dot nothing can have been accepted; after it only a reply
 * tells (RFC 1047). */
#include "outcome.h"

#include "reply_rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define IN(name) (1U << PB_PHASE(name))

enum { ANY = 0xFFFF };

/* Services with replies of their own. */
enum service { ANYBODY, GOOGLE, MICROSOFT, AMAZON };

/* A server's name is one of these, or ends in it behind a dot. */
static const struct domain {
    const char *name;
    enum service service;
} domains[] = {
    {"gmail.com", GOOGLE},        {"googlemail.com", GOOGLE}, {"google.com", GOOGLE},
    {"office365.com", MICROSOFT}, {"outlook.com", MICROSOFT}, {"hotmail.com", MICROSOFT},
    {"live.com", MICROSOFT},      {"amazonaws.com", AMAZON},
};

struct row {
    unsigned phases;
    unsigned from; /* code, from and to */
    unsigned to;
    const char *enhanced;
    int outcome;
    int class;
    bool split;
    enum service service;
    const char *text;
};

/* Phases, code from and to, pattern of the enhanced code, and what it means; FROM also whose server and its words. */
#define ROW(phases, from, to, enhanced, ...)                                                   \
    {                                                                                          \
        phases, from, to, enhanced, __VA_ARGS__, ANYBODY, ""                                   \
    }
#define FROM(who, words, phases, from, to, enhanced, ...)                                      \
    {                                                                                          \
        phases, from, to, enhanced, __VA_ARGS__, who, words                                    \
    }

#define DELIVERED PB_OUTCOME(DELIVERED), PB_CLASS(NONE), false
#define REFUSED(c) PB_OUTCOME(REFUSED), PB_CLASS(c), false
#define DEFERRED(c) PB_OUTCOME(DEFERRED), PB_CLASS(c), false
#define SPLIT PB_OUTCOME(DEFERRED), PB_CLASS(TRANSIENT), true
#define UNKNOWN PB_OUTCOME(UNKNOWN), PB_CLASS(UNCERTAIN), false

static const struct row rows[] = {
    /* No reply: the connection was lost or too slow. */
    ROW(IN(FINAL_DOT), 0, 0, "", UNKNOWN), ROW(IN(CONNECT), 0, 0, "", DEFERRED(HOST_DOWN)),
    ROW(IN(PREPARE) | IN(TLS) | IN(AUTH), 0, 0, "", DEFERRED(CONFIGURATION)),
    ROW(ANY, 0, 0, "", DEFERRED(TRANSIENT)),

    /* Yes. A 3xx or 1xx to the dot is no answer that RFC 5321 knows. */
    ROW(IN(MAIL) | IN(RCPT) | IN(FINAL_DOT), 200, 299, "", DELIVERED),
    ROW(IN(FINAL_DOT), 1, 399, "", UNKNOWN),

    /* What services say in words or in codes of their own. Only where the general rows below would be wrong. */
    FROM(GOOGLE, "relay limit", ANY, 400, 599, "x.2.1", DEFERRED(QUOTA)),
    FROM(GOOGLE, "limit exceeded", ANY, 500, 599, "5.7.1", DEFERRED(QUOTA)),
    FROM(MICROSOFT, "concurrent", ANY, 400, 499, "4.3.2", DEFERRED(TRANSIENT)),
    FROM(MICROSOFT, "SubmissionQuotaExceeded", ANY, 400, 599, "", DEFERRED(QUOTA)),
    FROM(MICROSOFT, "SendAsDenied", ANY, 400, 599, "", DEFERRED(CONFIGURATION)),
    FROM(MICROSOFT, "", ANY, 500, 599, "5.1.90", DEFERRED(QUOTA)),  /* recipients of the day */
    FROM(MICROSOFT, "", ANY, 500, 599, "5.7.232", DEFERRED(QUOTA)), /* of a trial tenant */
    FROM(MICROSOFT, "", ANY, 500, 599, "5.7.233", DEFERRED(QUOTA)), /* of a tenant (TERRL) */
    FROM(MICROSOFT, "", ANY, 500, 599, "5.7.705", DEFERRED(CONFIGURATION)), /* tenant blocked */
    FROM(MICROSOFT, "", ANY, 500, 599, "5.7.708",
         DEFERRED(CONFIGURATION)), /* address blocked */
    FROM(AMAZON, "not verified", ANY, 500, 599, "", DEFERRED(CONFIGURATION)),
    FROM(ANYBODY, "too many login", IN(AUTH), 400, 499, "", DEFERRED(QUOTA)),
    FROM(ANYBODY, "daily message quota", ANY, 400, 599, "", DEFERRED(QUOTA)),
    FROM(ANYBODY, "daily sending", ANY, 400, 599, "", DEFERRED(QUOTA)),
    FROM(ANYBODY, "sending limit", ANY, 400, 599, "", DEFERRED(QUOTA)),

    /* The server as a whole. */
    ROW(ANY, 421, 421, "", DEFERRED(HOST_DOWN)),
    ROW(IN(CONNECT), 100, 599, "",
        DEFERRED(HOST_DOWN)), /* a 5xx greeting is often a passing block */
    ROW(IN(EHLO) | IN(TLS), 100, 499, "", DEFERRED(TRANSIENT)),
    ROW(IN(EHLO) | IN(TLS), 500, 599, "", DEFERRED(CONFIGURATION)),

    /* Login. 432 without 4.3.2: a password transition is needed (RFC 4954). 5.7.0 and 5.7.9 mean login
     * only before the recipients: after them they are what spam filters say. */
    ROW(IN(AUTH), 432, 432, "", DEFERRED(LOGIN)),
    ROW(IN(AUTH), 100, 499, "", DEFERRED(TRANSIENT)),
    ROW(IN(AUTH), 500, 599, "", DEFERRED(LOGIN)), ROW(ANY, 530, 530, "", DEFERRED(LOGIN)),
    ROW(ANY, 534, 535, "", DEFERRED(LOGIN)), ROW(ANY, 538, 538, "", DEFERRED(LOGIN)),
    ROW(IN(MAIL), 500, 599, "5.7.0", DEFERRED(LOGIN)),
    ROW(IN(MAIL), 500, 599, "5.7.9", DEFERRED(LOGIN)),
    ROW(ANY, 500, 599, "5.7.3", DEFERRED(LOGIN)), ROW(ANY, 500, 599, "5.7.8", DEFERRED(LOGIN)),
    ROW(ANY, 500, 599, "5.7.30", DEFERRED(LOGIN)),
    ROW(ANY, 500, 599, "5.7.57", DEFERRED(LOGIN)),
    ROW(ANY, 500, 599, "5.7.139", DEFERRED(LOGIN)),

    /* The profile may not send as this sender. */
    ROW(ANY, 400, 599, "x.1.7", DEFERRED(CONFIGURATION)),
    ROW(ANY, 400, 599, "x.1.8", DEFERRED(CONFIGURATION)),
    ROW(ANY, 500, 599, "5.7.60", DEFERRED(CONFIGURATION)),
    ROW(ANY, 500, 599, "5.2.252", DEFERRED(CONFIGURATION)),

    /* Limits of the service. */
    ROW(ANY, 400, 599, "x.4.5", DEFERRED(QUOTA)),
    ROW(ANY, 432, 432, "4.3.2",
        DEFERRED(TRANSIENT)), /* Exchange: too many connections at once */
    ROW(ANY, 400, 599, "x.2.2", DEFERRED(TRANSIENT)), /* mailbox full: somebody may empty it */
    /* Too many recipients: the rest goes in the next mail. */
    ROW(ANY, 400, 599, "x.5.3", SPLIT),
    FROM(ANYBODY, "too many", IN(RCPT), 452, 452, "", SPLIT),

    /* The message is too large: before the row that takes 552 to RCPT for "too many". */
    ROW(ANY, 500, 599, "5.2.3", REFUSED(MESSAGE)),
    ROW(ANY, 500, 599, "5.3.4", REFUSED(MESSAGE)),
    ROW(IN(RCPT), 552, 552, "", SPLIT), /* RFC 5321 4.5.3.1.10: as 452 for too many */

    /* The system behind the server. 5.4.1 to RCPT is how Exchange Online says "no such mailbox"; any other x.4 there is
     * the way to one recipient, not the server that we talk to. */
    ROW(ANY, 400, 599, "x.3.1", DEFERRED(HOST_DOWN)),
    ROW(ANY, 400, 599, "x.3.2", DEFERRED(HOST_DOWN)),
    ROW(IN(RCPT), 500, 599, "5.4.1", REFUSED(RECIPIENT)),
    ROW(IN(RCPT), 400, 599, "x.4.x", DEFERRED(TRANSIENT)),
    ROW(ANY, 400, 599, "x.4.1", DEFERRED(HOST_DOWN)),
    ROW(ANY, 400, 599, "x.4.2", DEFERRED(HOST_DOWN)),
    ROW(ANY, 400, 599, "x.4.4", DEFERRED(HOST_DOWN)),
    ROW(ANY, 400, 599, "x.4.7", DEFERRED(HOST_DOWN)),
    ROW(ANY, 400, 499, "4.3.x", DEFERRED(HOST_DOWN)),

    /* The general rules. */
    ROW(ANY, 400, 499, "", DEFERRED(TRANSIENT)),
    ROW(IN(RCPT), 500, 599, "5.6.x", REFUSED(MESSAGE)),
    ROW(IN(RCPT), 500, 599, "", REFUSED(RECIPIENT)), ROW(ANY, 500, 599, "", REFUSED(MESSAGE)),
    ROW(ANY, 0, 999, "", DEFERRED(TRANSIENT)), /* a reply out of place: nothing was accepted */
};

static enum service service_of(const char *server)
{
    size_t len = strlen(server);
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        size_t tail = strlen(domains[i].name);
        if (len >= tail && strcasecmp(server + len - tail, domains[i].name) == 0 &&
            (len == tail || server[len - tail - 1] == '.')) {
            return domains[i].service;
        }
    }
    return ANYBODY;
}

static bool row_fits(const struct row *row, enum service service,
                     const struct outcome_reply *reply)
{
    unsigned bit = reply->phase >= 0 && reply->phase < 16 ? 1U << reply->phase : 1U;
    return (row->phases & bit) != 0 && reply->code >= row->from && reply->code <= row->to &&
           (row->service == ANYBODY || row->service == service) &&
           reply_rule_enhanced_fits(row->enhanced, reply->enhanced) &&
           (row->text[0] == '\0' || strcasestr(reply->text, row->text) != NULL);
}

/* A profile's own rules. */
static bool rules_decide(const struct outcome_reply *reply, struct outcome *out)
{
    const struct settings_plan *plan = reply->plan;
    for (size_t i = 0; i < plan->reply_rule_count; i++) {
        const PB(ReplyRule) *rule = plan->reply_rules[i];
        if (reply_rule_fits(rule, reply->phase, reply->code, reply->enhanced, reply->text)) {
            bool is_final = rule->failure_class == PB_CLASS(RECIPIENT) ||
                            rule->failure_class == PB_CLASS(MESSAGE);
            *out = (struct outcome){.outcome =
                                        is_final ? PB_OUTCOME(REFUSED) : PB_OUTCOME(DEFERRED),
                                    .class = (int)rule->failure_class};
            return true;
        }
    }
    return false;
}

struct outcome outcome_of(const struct outcome_reply *reply)
{
    struct outcome out;
    enum service service = ANYBODY;
    if (reply->plan != NULL && reply->code >= 400) {
        if (rules_decide(reply, &out)) {
            return out;
        }
        service = service_of(reply->plan->server);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (row_fits(&rows[i], service, reply)) {
            return (struct outcome){rows[i].outcome, rows[i].class, rows[i].split};
        }
    }
    return OUTCOME(DEFERRED, TRANSIENT);
}

struct outcome outcome_of_silence(int phase)
{
    const struct outcome_reply nothing = {.phase = phase, .enhanced = "", .text = ""};
    return outcome_of(&nothing);
}

struct outcome outcome_plain(int outcome)
{
    static const int classes[] = {
        [PB_OUTCOME(REFUSED)] = PB_CLASS(CONFIGURATION),
        [PB_OUTCOME(DEFERRED)] = PB_CLASS(TRANSIENT),
        [PB_OUTCOME(UNKNOWN)] = PB_CLASS(UNCERTAIN),
    };
    bool known = outcome >= 0 && (size_t)outcome < sizeof classes / sizeof classes[0];
    return (struct outcome){.outcome = outcome,
                            .class = known ? classes[outcome] : PB_CLASS(NONE)};
}
