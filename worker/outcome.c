/* THE table: SMTP reply to outcome and class. To change how a reply is treated, change a row
 * here.
 *
 * Rows are tried from the top and the first that fits decides, so the special stands above
 * the general; the last rows catch everything. A row fits when the phase is in its set, the
 * code in its range, and the enhanced code matches its pattern: "5.7.8" that code, "x.2.2"
 * any class, "5.5.x" any detail, "" anything.
 *
 * Rules behind the rows: a 4xx is never final. A 5xx is final, but not where a person at the
 * settings or the next window of a quota will change it (login, sender not permitted,
 * mailbox full). Before the final dot nothing can have been accepted; after it only a reply
 * tells (RFC 1047). */
#include "outcome.h"

#include <stdbool.h>
#include <stddef.h>

#define IN(name) (1U << PB_PHASE(name))

enum { ANY = 0xFFFF };

/* Columns: phases, code from–to, enhanced pattern, outcome, class. */
struct row {
    unsigned phases;
    unsigned from;
    unsigned to;
    const char *enhanced;
    int outcome;
    int class;
};

#define DELIVERED PB_OUTCOME(DELIVERED), PB_CLASS(NONE)
#define REFUSED(c) PB_OUTCOME(REFUSED), PB_CLASS(c)
#define DEFERRED(c) PB_OUTCOME(DEFERRED), PB_CLASS(c)
#define UNKNOWN PB_OUTCOME(UNKNOWN), PB_CLASS(UNCERTAIN)

static const struct row rows[] = {
    /* No reply: the connection was lost or too slow. */
    {IN(FINAL_DOT), 0, 0, "", UNKNOWN},
    {IN(CONNECT), 0, 0, "", DEFERRED(HOST_DOWN)},
    {IN(PREPARE) | IN(TLS) | IN(AUTH), 0, 0, "", DEFERRED(CONFIGURATION)},
    {ANY, 0, 0, "", DEFERRED(TRANSIENT)},

    /* Yes. A 3xx or 1xx to the dot is no answer that RFC 5321 knows. */
    {IN(MAIL) | IN(RCPT) | IN(FINAL_DOT), 200, 299, "", DELIVERED},
    {IN(FINAL_DOT), 1, 399, "", UNKNOWN},

    /* The server as a whole. */
    {ANY, 421, 421, "", DEFERRED(HOST_DOWN)},
    {IN(CONNECT), 100, 599, "",
     DEFERRED(HOST_DOWN)}, /* a 5xx greeting is often a passing block */
    {IN(EHLO) | IN(TLS), 100, 499, "", DEFERRED(TRANSIENT)},
    {IN(EHLO) | IN(TLS), 500, 599, "", DEFERRED(CONFIGURATION)},

    /* Login. 432 without 4.3.2: a password transition is needed (RFC 4954). 5.7.0 and 5.7.9 mean login
     * only before the recipients: after them they are what spam filters say. */
    {IN(AUTH), 432, 432, "", DEFERRED(LOGIN)},
    {IN(AUTH), 100, 499, "", DEFERRED(TRANSIENT)},
    {IN(AUTH), 500, 599, "", DEFERRED(LOGIN)},
    {ANY, 530, 530, "", DEFERRED(LOGIN)},
    {ANY, 534, 535, "", DEFERRED(LOGIN)},
    {ANY, 538, 538, "", DEFERRED(LOGIN)},
    {IN(MAIL), 500, 599, "5.7.0", DEFERRED(LOGIN)},
    {IN(MAIL), 500, 599, "5.7.9", DEFERRED(LOGIN)},
    {ANY, 500, 599, "5.7.3", DEFERRED(LOGIN)},
    {ANY, 500, 599, "5.7.8", DEFERRED(LOGIN)},
    {ANY, 500, 599, "5.7.30", DEFERRED(LOGIN)},
    {ANY, 500, 599, "5.7.57", DEFERRED(LOGIN)},
    {ANY, 500, 599, "5.7.139", DEFERRED(LOGIN)},

    /* The profile may not send as this sender. */
    {ANY, 400, 599, "x.1.7", DEFERRED(CONFIGURATION)},
    {ANY, 400, 599, "x.1.8", DEFERRED(CONFIGURATION)},
    {ANY, 500, 599, "5.7.60", DEFERRED(CONFIGURATION)},
    {ANY, 500, 599, "5.2.252", DEFERRED(CONFIGURATION)},

    /* Limits of the service. 432 4.3.2 is Microsoft's "too many connections at once". */
    {ANY, 400, 599, "x.4.5", DEFERRED(QUOTA)},
    {ANY, 432, 432, "4.3.2", DEFERRED(QUOTA)},
    {ANY, 400, 599, "x.2.2", DEFERRED(TRANSIENT)}, /* mailbox full: somebody may empty it */
    {ANY, 400, 599, "x.5.3",
     DEFERRED(TRANSIENT)}, /* too many recipients: the rest goes later */

    /* The message is too large: before the row that takes 552 to RCPT for "too many". */
    {ANY, 500, 599, "5.2.3", REFUSED(MESSAGE)},
    {ANY, 500, 599, "5.3.4", REFUSED(MESSAGE)},
    {IN(RCPT), 552, 552, "", DEFERRED(TRANSIENT)}, /* RFC 5321 4.5.3.1.10: as 452 */

    /* The system behind the server. 5.4.1 to RCPT is how Exchange Online says "no such mailbox". */
    {ANY, 400, 599, "x.3.1", DEFERRED(HOST_DOWN)},
    {ANY, 400, 599, "x.3.2", DEFERRED(HOST_DOWN)},
    {IN(RCPT), 500, 599, "5.4.1", REFUSED(RECIPIENT)},
    {ANY, 400, 599, "x.4.1", DEFERRED(HOST_DOWN)},
    {ANY, 400, 599, "x.4.2", DEFERRED(HOST_DOWN)},
    {ANY, 400, 599, "x.4.4", DEFERRED(HOST_DOWN)},
    {ANY, 400, 599, "x.4.7", DEFERRED(HOST_DOWN)},
    {ANY, 400, 499, "4.3.x", DEFERRED(HOST_DOWN)},

    /* The general rules. */
    {ANY, 400, 499, "", DEFERRED(TRANSIENT)},
    {IN(RCPT), 500, 599, "5.6.x", REFUSED(MESSAGE)},
    {IN(RCPT), 500, 599, "", REFUSED(RECIPIENT)},
    {ANY, 500, 599, "", REFUSED(MESSAGE)},
    {ANY, 0, 999, "", DEFERRED(TRANSIENT)}, /* a reply out of place: nothing was accepted */
};

static bool pattern_fits(const char *pattern, const char *code)
{
    while (*pattern != '\0' && *code != '\0') {
        if (*pattern == 'x') {
            while (*code != '.' && *code != '\0') {
                code++;
            }
            pattern++;
            continue;
        }
        if (*pattern != *code) {
            return false;
        }
        pattern++;
        code++;
    }
    return *pattern == '\0' && *code == '\0';
}

static bool row_fits(const struct row *row, unsigned phase, unsigned code, const char *enhanced)
{
    return (row->phases & phase) != 0 && code >= row->from && code <= row->to &&
           (row->enhanced[0] == '\0' || pattern_fits(row->enhanced, enhanced));
}

struct outcome outcome_of(int phase, unsigned code, const char *enhanced)
{
    unsigned bit = phase >= 0 && phase < 16 ? 1U << phase : 1U;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (row_fits(&rows[i], bit, code, enhanced)) {
            return (struct outcome){rows[i].outcome, rows[i].class};
        }
    }
    return (struct outcome){DEFERRED(TRANSIENT)};
}

struct outcome outcome_plain(int outcome)
{
    static const int classes[] = {
        [PB_OUTCOME(REFUSED)] = PB_CLASS(CONFIGURATION),
        [PB_OUTCOME(DEFERRED)] = PB_CLASS(TRANSIENT),
        [PB_OUTCOME(UNKNOWN)] = PB_CLASS(UNCERTAIN),
    };
    bool known = outcome >= 0 && (size_t)outcome < sizeof classes / sizeof classes[0];
    return (struct outcome){outcome, known ? classes[outcome] : PB_CLASS(NONE)};
}
