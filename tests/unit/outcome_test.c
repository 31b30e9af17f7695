/* The table from replies to outcomes, by the cases that matter to a person. */
#include "outcome.h"
#include "pb.h"
#include "pb_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ROW(phase, code, enhanced, outcome, class)                                             \
    {                                                                                          \
        PB_PHASE(phase), code, enhanced, PB_OUTCOME(outcome), PB_CLASS(class)                  \
    }

static const struct row {
    int phase;
    unsigned code;
    const char *enhanced;
    int outcome;
    int class;
} rows[] = {
    /* no reply */
    ROW(CONNECT, 0, "", DEFERRED, HOST_DOWN),
    ROW(TLS, 0, "", DEFERRED, CONFIGURATION),
    ROW(AUTH, 0, "", DEFERRED, CONFIGURATION),
    ROW(MAIL, 0, "", DEFERRED, TRANSIENT),
    ROW(CONTENT, 0, "", DEFERRED, TRANSIENT),
    ROW(FINAL_DOT, 0, "", UNKNOWN, UNCERTAIN),
    /* yes, and what is neither yes nor no */
    ROW(FINAL_DOT, 250, "2.0.0", DELIVERED, NONE),
    ROW(FINAL_DOT, 251, "", DELIVERED, NONE),
    ROW(FINAL_DOT, 354, "", UNKNOWN, UNCERTAIN),
    ROW(CONTENT, 250, "", DEFERRED, TRANSIENT),
    ROW(DATA, 250, "", DEFERRED, TRANSIENT),
    /* server */
    ROW(CONNECT, 554, "5.3.2", DEFERRED, HOST_DOWN),
    ROW(RCPT, 421, "4.7.0", DEFERRED, HOST_DOWN),
    ROW(FINAL_DOT, 421, "", DEFERRED, HOST_DOWN),
    ROW(MAIL, 451, "4.3.0", DEFERRED, HOST_DOWN),
    ROW(FINAL_DOT, 452, "4.3.1", DEFERRED, HOST_DOWN),
    /* login */
    ROW(AUTH, 535, "5.7.8", DEFERRED, LOGIN),
    ROW(AUTH, 535, "5.7.139", DEFERRED, LOGIN),
    ROW(AUTH, 432, "", DEFERRED, LOGIN),
    ROW(AUTH, 454, "4.7.0", DEFERRED, TRANSIENT),
    ROW(MAIL, 530, "5.7.0", DEFERRED, LOGIN),
    ROW(MAIL, 550, "5.7.57", DEFERRED, LOGIN),
    ROW(FINAL_DOT, 554, "5.7.0", REFUSED, MESSAGE), /* a spam filter, not a login */
    ROW(FINAL_DOT, 554, "5.7.9", REFUSED, MESSAGE),
    /* sender */
    ROW(MAIL, 550, "5.1.8", DEFERRED, CONFIGURATION),
    ROW(FINAL_DOT, 550, "5.7.60", DEFERRED, CONFIGURATION),
    ROW(MAIL, 554, "5.2.252", DEFERRED, CONFIGURATION),
    /* recipients */
    ROW(RCPT, 550, "", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.1.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.2.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.4.1", REFUSED, RECIPIENT),
    ROW(RCPT, 550, "5.7.1", REFUSED, RECIPIENT),
    ROW(RCPT, 450, "4.2.0", DEFERRED, TRANSIENT),
    ROW(RCPT, 451, "4.7.1", DEFERRED, TRANSIENT),
    ROW(RCPT, 452, "4.5.3", DEFERRED, TRANSIENT),
    ROW(RCPT, 552, "", DEFERRED, TRANSIENT), /* RFC 5321: counts as 452 */
    ROW(RCPT, 552, "5.2.2", DEFERRED, TRANSIENT),
    ROW(RCPT, 552, "5.3.4", REFUSED, MESSAGE),
    ROW(RCPT, 554, "5.4.4", DEFERRED, TRANSIENT), /* the way to one recipient */
    ROW(MAIL, 554, "5.4.4", DEFERRED, HOST_DOWN),
    /* message */
    ROW(MAIL, 552, "", REFUSED, MESSAGE),
    ROW(MAIL, 552, "5.3.4", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 552, "5.2.3", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 554, "5.6.0", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 550, "5.7.1", REFUSED, MESSAGE),
    ROW(FINAL_DOT, 550, "5.7.26", REFUSED, MESSAGE),
    /* quota */
    ROW(MAIL, 550, "5.4.5", DEFERRED, QUOTA),
    ROW(RCPT, 450, "4.4.5", DEFERRED, QUOTA),
    ROW(FINAL_DOT, 432, "4.3.2", DEFERRED, TRANSIENT),
};

static struct outcome asked(int phase, unsigned code, const char *enhanced,
                            const struct settings_plan *plan, const char *text)
{
    const struct outcome_reply reply = {
        .plan = plan, .phase = phase, .code = code, .enhanced = enhanced, .text = text};
    return outcome_of(&reply);
}

static void each_reply_has_its_outcome(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome got = asked(rows[i].phase, rows[i].code, rows[i].enhanced, NULL, "");
        if (got.outcome != rows[i].outcome || got.class != rows[i].class) {
            fail_msg("phase %d code %u %s: outcome %d class %s", rows[i].phase, rows[i].code,
                     rows[i].enhanced, got.outcome, pb_class_word(got.class));
        }
    }
}

/* What the services say that people use (Gmail, Workspace, Microsoft 365, Outlook.com, Yahoo, Amazon SES). */
static const struct {
    const char *server;
    int phase;
    unsigned code;
    const char *enhanced;
    const char *text;
    int outcome;
    int class;
} services[] = {
#define SAYS(server, phase, code, enhanced, text, outcome, class)                              \
    {                                                                                          \
        server, PB_PHASE(phase), code, enhanced, text, PB_OUTCOME(outcome), PB_CLASS(class)    \
    }
    SAYS("smtp.gmail.com", AUTH, 535, "5.7.8", "Username and Password not accepted", DEFERRED,
         LOGIN),
    SAYS("smtp.gmail.com", AUTH, 534, "5.7.9", "Application-specific password required",
         DEFERRED, LOGIN),
    SAYS("smtp.gmail.com", AUTH, 454, "4.7.0",
         "Too many login attempts, please try again later", DEFERRED, QUOTA),
    SAYS("smtp.gmail.com", MAIL, 550, "5.4.5", "Daily user sending limit exceeded", DEFERRED,
         QUOTA),
    SAYS("smtp-relay.gmail.com", MAIL, 450, "4.2.1",
         "Peak SMTP relay limit exceeded for customer", DEFERRED, QUOTA),
    SAYS("smtp-relay.gmail.com", MAIL, 550, "5.7.1",
         "Daily SMTP relay limit exceeded for customer", DEFERRED, QUOTA),
    SAYS("smtp-relay.gmail.com", RCPT, 450, "4.2.1",
         "The user you are trying to contact is receiving mail too quickly", DEFERRED,
         TRANSIENT),
    SAYS("notgmail.com", MAIL, 550, "5.7.1", "rate limit exceeded", REFUSED, MESSAGE),
    SAYS("smtp.gmail.com", FINAL_DOT, 552, "5.7.0", "Our system detected an illegal attachment",
         REFUSED, MESSAGE),
    SAYS("smtp.office365.com", AUTH, 535, "5.7.139",
         "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
         DEFERRED, LOGIN),
    SAYS("smtp.office365.com", AUTH, 550, "5.7.30", "Basic authentication is not supported",
         DEFERRED, LOGIN),
    SAYS("smtp.office365.com", MAIL, 530, "5.7.57", "Client not authenticated to send mail",
         DEFERRED, LOGIN),
    SAYS("smtp.office365.com", FINAL_DOT, 432, "4.3.2",
         "Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
         DEFERRED, TRANSIENT),
    SAYS("smtp.office365.com", MAIL, 421, "4.3.2", "Concurrent connections limit exceeded",
         DEFERRED, TRANSIENT),
    SAYS("smtp.office365.com", FINAL_DOT, 554, "5.2.252",
         "SendAsDenied; a@b not allowed to send as c", DEFERRED, CONFIGURATION),
    SAYS("smtp.office365.com", FINAL_DOT, 554, "5.2.0",
         "STOREDRV.Submission.Exception:SubmissionQuotaExceededException", DEFERRED, QUOTA),
    SAYS("smtp.office365.com", FINAL_DOT, 550, "5.1.90", "daily limit for message recipients",
         DEFERRED, QUOTA),
    SAYS("x.mail.protection.outlook.com", RCPT, 550, "5.4.1",
         "Recipient address rejected: Access denied", REFUSED, RECIPIENT),
    SAYS("smtp-mail.outlook.com", AUTH, 535, "5.7.139", "basic authentication is disabled",
         DEFERRED, LOGIN),
    SAYS("smtp-mail.outlook.com", FINAL_DOT, 550, "5.7.705", "tenant has exceeded threshold",
         DEFERRED, CONFIGURATION),
    SAYS("smtp.mail.yahoo.com", AUTH, 535, "5.7.0", "(#AUTH005) Too many bad auth attempts",
         DEFERRED, LOGIN),
    SAYS("smtp.mail.yahoo.com", MAIL, 550, "5.7.1", "You have reached your daily sending limit",
         DEFERRED, QUOTA),
    SAYS("email-smtp.eu-west-1.amazonaws.com", FINAL_DOT, 454, "",
         "Throttling failure: Daily message quota exceeded.", DEFERRED, QUOTA),
    SAYS("email-smtp.eu-west-1.amazonaws.com", FINAL_DOT, 454, "",
         "Throttling failure: Maximum sending rate exceeded.", DEFERRED, TRANSIENT),
    SAYS("email-smtp.eu-west-1.amazonaws.com", FINAL_DOT, 554, "",
         "Message rejected: Email address is not verified.", DEFERRED, CONFIGURATION),
    SAYS("mx.example.org", FINAL_DOT, 554, "",
         "Message rejected: Email address is not verified.", REFUSED, MESSAGE),
};

static void each_service_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        struct settings_plan plan = {.route = SETTINGS_SMTP};
        (void)snprintf(plan.server, sizeof plan.server, "%s", services[i].server);
        struct outcome got = asked(services[i].phase, services[i].code, services[i].enhanced,
                                   &plan, services[i].text);
        if (got.outcome != services[i].outcome || got.class != services[i].class) {
            fail_msg("%s: %u %s %s: outcome %d class %s", services[i].server, services[i].code,
                     services[i].enhanced, services[i].text, got.outcome,
                     pb_class_word(got.class));
        }
    }
}

static void too_many_recipients_may_go_in_the_next_mail(void **state)
{
    (void)state;
    assert_true(asked(PB_PHASE(RCPT), 452, "4.5.3", NULL, "").split);
    assert_true(asked(PB_PHASE(RCPT), 552, "5.5.3", NULL, "").split);
    assert_true(asked(PB_PHASE(RCPT), 552, "", NULL, "").split);
    assert_true(asked(PB_PHASE(RCPT), 452, "", NULL, "Too many recipients").split);
    assert_false(asked(PB_PHASE(RCPT), 452, "4.2.2", NULL, "mailbox full").split);
    assert_false(asked(PB_PHASE(RCPT), 452, "4.3.1", NULL, "").split);
    assert_false(asked(PB_PHASE(RCPT), 552, "5.2.2", NULL, "").split);
    assert_false(asked(PB_PHASE(MAIL), 552, "", NULL, "").split);
}

static char *text(const char *words)
{
    return (char *)(uintptr_t)words;
}

/* The first rule that fits decides, before the table; an acceptance is nobody's to change. */
static void the_rules_of_a_profile_come_first(void **state)
{
    (void)state;
    PB(ReplyRule) sender = PB_INIT(REPLY_RULE);
    sender.phase = PB_PHASE(MAIL);
    sender.code = text("55x");
    sender.text = text("not today");
    sender.failure_class = PB_CLASS(QUOTA);
    PB(ReplyRule) gone = PB_INIT(REPLY_RULE);
    gone.enhanced_code = text("4.1.x");
    gone.failure_class = PB_CLASS(RECIPIENT);
    PB(ReplyRule) *rules[] = {&sender, &gone};
    const struct settings_plan plan = {.reply_rules = rules, .reply_rule_count = 2};
    struct outcome got = asked(PB_PHASE(MAIL), 550, "5.7.1", &plan, "NOT TODAY, thanks");
    assert_int_equal(got.outcome, PB_OUTCOME(DEFERRED));
    assert_int_equal(got.class, PB_CLASS(QUOTA));
    got = asked(PB_PHASE(RCPT), 550, "5.7.1", &plan, "not today");
    assert_int_equal(got.class, PB_CLASS(RECIPIENT));
    assert_int_equal(got.outcome, PB_OUTCOME(REFUSED));
    got = asked(PB_PHASE(MAIL), 540, "", &plan, "not today");
    assert_int_equal(got.class, PB_CLASS(MESSAGE));
    got = asked(PB_PHASE(RCPT), 450, "4.1.1", &plan, "");
    assert_int_equal(got.outcome, PB_OUTCOME(REFUSED));
    gone.enhanced_code = text("");
    gone.text = text("ok");
    got = asked(PB_PHASE(FINAL_DOT), 250, "2.0.0", &plan, "Ok");
    assert_int_equal(got.outcome, PB_OUTCOME(DELIVERED));
    got = asked(PB_PHASE(FINAL_DOT), 0, "", &plan, "ok");
    assert_int_equal(got.outcome, PB_OUTCOME(UNKNOWN));
}

/* The promises of the design, over every code and phase. */
static void no_reply_breaks_a_promise(void **state)
{
    (void)state;
    for (int phase = PB_PHASE(PREPARE); phase <= PB_PHASE(BROKER); phase++) {
        for (unsigned code = 0; code < 600; code++) {
            int outcome = asked(phase, code, "", NULL, "").outcome;
            bool dot = phase == PB_PHASE(FINAL_DOT);
            if (code >= 400 && code < 500) {
                assert_int_equal(outcome, PB_OUTCOME(DEFERRED)); /* a 4xx is never final */
            }
            if (code >= 400 || !dot) {
                assert_int_not_equal(outcome, PB_OUTCOME(UNKNOWN)); /* an answer is an answer */
            }
            if (dot && code < 200) {
                assert_int_equal(outcome, PB_OUTCOME(UNKNOWN));
            }
            if (code < 200 || code > 299) {
                assert_int_not_equal(outcome, PB_OUTCOME(DELIVERED));
            }
        }
    }
}

static void an_outcome_alone_has_a_class(void **state)
{
    (void)state;
    assert_int_equal(outcome_plain(PB_OUTCOME(DELIVERED)).class, PB_CLASS(NONE));
    assert_int_equal(outcome_plain(PB_OUTCOME(REFUSED)).class, PB_CLASS(CONFIGURATION));
    assert_int_equal(outcome_plain(PB_OUTCOME(DEFERRED)).class, PB_CLASS(TRANSIENT));
    assert_int_equal(outcome_plain(PB_OUTCOME(UNKNOWN)).class, PB_CLASS(UNCERTAIN));
    assert_int_equal(outcome_plain(PB_OUTCOME(PERMITTED)).class, PB_CLASS(NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reply_has_its_outcome),
        cmocka_unit_test(each_service_is_understood),
        cmocka_unit_test(too_many_recipients_may_go_in_the_next_mail),
        cmocka_unit_test(the_rules_of_a_profile_come_first),
        cmocka_unit_test(no_reply_breaks_a_promise),
        cmocka_unit_test(an_outcome_alone_has_a_class),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
