/* The way to an SMTP server, step by step.
 *
 *   CONNECT ─connected─► MAIL ─► RCPT ─► RSET ─► QUIT, report
 *      └─failed─► TRIAL (each other TLS mode of the port, without login) ─► report with a remedy
 *
 * A trial never logs in and sends no MAIL: it only finds out which TLS mode the port speaks, or, when the certificate was
 * not accepted, what the certificate says. So nothing secret leaves in a mode that the settings did not ask for. */
#include "probe.h"

#include "clock.h"
#include "mem.h"
#include "settings_login.h"
#include "smtp_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLY_MS = 30000,        /* for one reply, if the settings say no less */
    TRIAL_CONNECT_MS = 5000, /* a trial is a guess: not worth waiting for */
    COMMAND_BYTES = 600,
    TRIALS = 2,
    EXPIRY_WARNING_DAYS = 21,
    DAY_MS = 86400000
};

enum walk_stage { WALK_CONNECT, WALK_MAIL, WALK_RCPT, WALK_RSET, WALK_TRIAL, WALK_OVER };

struct walk {
    struct probe *probe;
    enum walk_stage stage;
    struct smtp_session *session;
    struct loop_timer timer; /* of the reply that is awaited */
    struct loop_timer
        next; /* goes on in the next turn, so that no step is made inside another */
    struct smtp_reply reply;
    char command[COMMAND_BYTES];
    size_t command_len;
    size_t command_sent;
    int64_t began_us; /* of this stage */
    char from[ADDRESS_MAX_BYTES + 1];
    char recipient[ADDRESS_MAX_BYTES + 1];
    /* after a failure */
    struct smtp_failure failure;
    struct settings_plan trial_plan;
    enum settings_tls trials[TRIALS];
    size_t trial_count;
    size_t trial_at;
    unsigned works;
    bool has_certificate;
    struct certificate certificate;
};

static void end(struct walk *walk);

static void go_on(struct walk *walk)
{
    loop_timer_arm(&walk->next, 0);
}

/* ---- steps that failed, and those behind ---- */

/* The steps of the walk in their order; TLS stands where the settings have it. */
static size_t step_names(const struct settings_plan *plan, int names[PROBE_STEPS])
{
    size_t count = 0;
    names[count++] = PB_PROBE(DNS);
    names[count++] = PB_PROBE(TCP);
    if (plan->tls == SETTINGS_TLS_IMPLICIT) {
        names[count++] = PB_PROBE(TLS);
    }
    names[count++] = PB_PROBE(GREETING);
    if (plan->tls == SETTINGS_TLS_STARTTLS) {
        names[count++] = PB_PROBE(TLS);
    }
    names[count++] = PB_PROBE(EHLO);
    if (plan->authentication != PB_AUTH(ANONYMOUS)) {
        names[count++] = PB_PROBE(AUTH);
    }
    names[count++] = PB_PROBE(MAIL);
    names[count++] = PB_PROBE(RCPT);
    names[count++] = PB_PROBE(RSET);
    return count;
}

/* The steps behind the last one that was told. */
static void skip_rest(struct walk *walk)
{
    struct probe *probe = walk->probe;
    int names[PROBE_STEPS];
    size_t count = step_names(probe->plan, names);
    int last = probe->count > 0 ? probe->steps[probe->count - 1].name : 0;
    bool behind = last == PB_PROBE(SETTINGS);
    for (size_t i = 0; i < count; i++) {
        if (behind) {
            (void)probe_add(probe, names[i], PB_VERDICT(SKIPPED), 0);
        }
        behind = behind || names[i] == last;
    }
}

/* Give the last step, which failed, its remedy; the others are skipped; report. */
static void conclude(struct walk *walk)
{
    struct probe *probe = walk->probe;
    struct probe_step *step = &probe->steps[probe->count - 1];
    const struct remedy_case what = {.phase = walk->failure.phase,
                                     .code = step->code,
                                     .enhanced = step->enhanced,
                                     .text = step->text,
                                     .plan = probe->plan,
                                     .works = walk->works,
                                     .certificate =
                                         walk->has_certificate ? &walk->certificate : NULL,
                                     .from = walk->from,
                                     .recipient = walk->recipient};
    (void)remedy_for(&what, step->remedy);
    skip_rest(walk);
    end(walk);
}

/* ---- what was found ---- */

static void describe_tls(struct walk *walk, struct probe_step *step)
{
    struct certificate seen;
    const char *version = smtp_session_tls(walk->session);
    if (!smtp_session_certificate(walk->session, &seen)) {
        (void)snprintf(step->detail, sizeof step->detail, "%s", version);
        return;
    }
    char until[CLOCK_TEXT_BYTES];
    (void)clock_text(seen.not_after_ms, until);
    (void)snprintf(step->detail, sizeof step->detail,
                   "%s, certificate for %s, issued by %s, until %.10s, key %s", version,
                   seen.names[0] != '\0' ? seen.names : "no name", seen.issuer, until,
                   seen.pin);
    int64_t days = (seen.not_after_ms - clock_wall_ms()) / DAY_MS;
    if (days < EXPIRY_WARNING_DAYS) {
        (void)snprintf(step->remedy, sizeof step->remedy,
                       "The certificate ends in %lld days: have it renewed before.",
                       (long long)days);
    }
}

static void describe_ehlo(const struct walk *walk, struct probe_step *step)
{
    const struct smtp_offer *offer = smtp_session_offer(walk->session);
    (void)snprintf(step->detail, sizeof step->detail, "offers%s%s%s",
                   offer->pipelining ? " PIPELINING" : "", offer->smtputf8 ? " SMTPUTF8" : "",
                   offer->dsn ? " DSN" : "");
    size_t used = strlen(step->detail);
    if (offer->size) {
        (void)snprintf(step->detail + used, sizeof step->detail - used, " SIZE %llu",
                       (unsigned long long)offer->size_bytes);
    }
    const char *lead = " AUTH";
    for (int i = 0; i < SETTINGS_MECHANISM_COUNT; i++) {
        if ((offer->mechanisms & (1U << i)) != 0) {
            used = strlen(step->detail);
            (void)snprintf(step->detail + used, sizeof step->detail - used, "%s %s", lead,
                           settings_mechanism_name((enum settings_mechanism)i));
            lead = "";
        }
    }
}

/* How long a step took: from the end of the one before it to its own. */
static int64_t took(int64_t *before_us, int64_t at_us)
{
    int64_t duration_us = at_us > *before_us ? at_us - *before_us : 0;
    *before_us = at_us > *before_us ? at_us : *before_us;
    return duration_us;
}

/* The steps up to the login, up to and without `failed` (0 = all of them passed). */
static void tell_connection(struct walk *walk, int failed)
{
    struct probe *probe = walk->probe;
    struct smtp_session_story story = {.name_us = 0};
    if (walk->session != NULL) {
        smtp_session_story(walk->session, &story);
    }
    int64_t now_us = clock_mono_us() - walk->began_us;
    int64_t at_us[] = {
        [PB_PROBE(DNS)] = story.name_us,  [PB_PROBE(TCP)] = story.tcp_us,
        [PB_PROBE(TLS)] = story.tls_us,   [PB_PROBE(GREETING)] = story.greeting_us,
        [PB_PROBE(EHLO)] = story.ehlo_us, [PB_PROBE(AUTH)] = now_us,
    };
    int names[PROBE_STEPS];
    size_t count = step_names(probe->plan, names);
    int64_t before_us = 0;
    for (size_t i = 0; i < count && names[i] != failed && names[i] != PB_PROBE(MAIL); i++) {
        struct probe_step *step =
            probe_add(probe, names[i], PB_VERDICT(PASSED), took(&before_us, at_us[names[i]]));
        if (names[i] == PB_PROBE(DNS)) {
            (void)snprintf(step->detail, sizeof step->detail, "%s", story.address);
        } else if (names[i] == PB_PROBE(TLS) && failed == 0) {
            describe_tls(walk, step);
        } else if (names[i] == PB_PROBE(EHLO)) {
            describe_ehlo(walk, step);
        }
    }
    if (failed != 0) {
        (void)probe_add(probe, failed, PB_VERDICT(FAILED), took(&before_us, now_us));
    }
}

/* Which step it was that failed. */
static int failed_step(const struct walk *walk, const struct smtp_session_story *story)
{
    static const int steps[] = {
        [PB_PHASE(TLS)] = PB_PROBE(TLS),
        [PB_PHASE(AUTH)] = PB_PROBE(AUTH),
        [PB_PHASE(EHLO)] = PB_PROBE(EHLO),
    };
    int phase = walk->failure.phase;
    if (walk->session == NULL) {
        return PB_PROBE(SETTINGS); /* nothing was tried */
    }
    if (phase == PB_PHASE(CONNECT)) {
        if (story->name_us == 0) {
            return PB_PROBE(DNS);
        }
        return story->tcp_us == 0 ? PB_PROBE(TCP) : PB_PROBE(GREETING);
    }
    bool known = phase > 0 && (size_t)phase < sizeof steps / sizeof steps[0];
    return known && steps[phase] != 0 ? steps[phase] : PB_PROBE(SETTINGS);
}

/* ---- trials ---- */

static void trial_over(struct walk *walk)
{
    smtp_session_free(&walk->session);
    walk->trial_at++;
    go_on(walk);
}

/* A trial of the mode itself, unchecked, is there to read the certificate. */
static void plan_trials(struct walk *walk, int failed_at)
{
    const struct settings_plan *plan = walk->probe->plan;
    bool reached = failed_at == PB_PROBE(GREETING) || failed_at == PB_PROBE(TLS);
    if (!reached || walk->failure.code != 0) {
        return; /* nobody is there, or somebody spoke SMTP to us in this mode */
    }
    if (walk->failure.certificate) {
        walk->trials[walk->trial_count++] = plan->tls;
    } else {
        for (int mode = SETTINGS_TLS_IMPLICIT; mode >= SETTINGS_TLS_NONE; mode--) {
            if (mode != (int)plan->tls) {
                walk->trials[walk->trial_count++] = (enum settings_tls)mode;
            }
        }
    }
}

static void trial_connected(struct walk *walk)
{
    enum settings_tls mode = walk->trials[walk->trial_at];
    if (mode == walk->probe->plan->tls) {
        walk->has_certificate = smtp_session_certificate(walk->session, &walk->certificate);
    } else {
        walk->works |= 1U << mode;
        walk->trial_count = walk->trial_at + 1; /* the strongest that works is the answer */
    }
    trial_over(walk);
}

/* ---- the session ---- */

static void connected(void *arg)
{
    struct walk *walk = arg;
    if (walk->stage == WALK_TRIAL) {
        trial_connected(walk);
        return;
    }
    tell_connection(walk, 0);
    go_on(walk);
}

static void connect_failed(struct walk *walk)
{
    struct probe *probe = walk->probe;
    struct smtp_session_story story = {.name_us = 0};
    if (walk->session != NULL) {
        smtp_session_story(walk->session, &story);
    }
    int failed = failed_step(walk, &story);
    if (failed == PB_PROBE(SETTINGS)) {
        probe->count = 0; /* they were called good too early */
        (void)probe_add(probe, failed, PB_VERDICT(FAILED), 0);
    } else if (failed == PB_PROBE(AUTH) && story.tcp_us == 0) {
        /* No token, so no connection was made. */
        (void)probe_add(probe, failed, PB_VERDICT(FAILED), clock_mono_us() - walk->began_us);
    } else {
        tell_connection(walk, failed);
    }
    struct probe_step *step = &probe->steps[probe->count - 1];
    probe_say(step, walk->failure.code, walk->failure.enhanced, walk->failure.text);
    plan_trials(walk, failed);
    smtp_session_free(&walk->session);
    walk->stage = WALK_TRIAL;
    go_on(walk);
}

static void failed(void *arg, const struct smtp_failure *failure)
{
    struct walk *walk = arg;
    if (walk->stage == WALK_TRIAL) {
        trial_over(walk);
        return;
    }
    walk->failure = *failure;
    connect_failed(walk);
}

/* ---- commands ---- */

static int step_of(enum walk_stage stage)
{
    static const int names[] = {[WALK_MAIL] = PB_PROBE(MAIL),
                                [WALK_RCPT] = PB_PROBE(RCPT),
                                [WALK_RSET] = PB_PROBE(RSET)};
    return names[stage];
}

static int phase_of(enum walk_stage stage)
{
    return stage == WALK_RCPT ? PB_PHASE(RCPT) : PB_PHASE(MAIL);
}

/* Courtesy only: its reply is not waited for. */
static void say_quit(struct walk *walk)
{
    size_t sent = 0;
    enum err err = smtp_session_send(walk->session, "QUIT\r\n", 6, &sent);
    (void)err;
}

/* The reply to the present command, or why there is none. */
static void answer(struct walk *walk, const char *loss)
{
    bool good = loss == NULL && walk->reply.code >= 200 && walk->reply.code < 300;
    struct probe_step *step = probe_add(walk->probe, step_of(walk->stage),
                                        good ? PB_VERDICT(PASSED) : PB_VERDICT(FAILED),
                                        clock_mono_us() - walk->began_us);
    loop_timer_disarm(&walk->timer);
    if (loss == NULL) {
        probe_say(step, walk->reply.code, walk->reply.enhanced, walk->reply.text);
    } else {
        probe_say(step, 0, "", loss);
    }
    if (walk->stage == WALK_MAIL) {
        (void)snprintf(step->detail, sizeof step->detail, "from <%s>", walk->from);
    } else if (walk->stage == WALK_RCPT) {
        (void)snprintf(step->detail, sizeof step->detail, "to <%s>", walk->recipient);
    }
    if (good) {
        go_on(walk);
        return;
    }
    walk->failure.phase = phase_of(walk->stage);
    say_quit(walk);
    conclude(walk);
}

static void send_command(struct walk *walk)
{
    while (walk->command_sent < walk->command_len) {
        size_t sent = 0;
        enum err err = smtp_session_send(walk->session, walk->command + walk->command_sent,
                                         walk->command_len - walk->command_sent, &sent);
        if (err == ERR_AGAIN) {
            smtp_session_watch(walk->session, true);
            return;
        }
        if (err != ERR_OK) {
            answer(walk, "connection lost");
            return;
        }
        walk->command_sent += sent;
    }
    smtp_session_watch(walk->session, false);
}

static void read_reply(struct walk *walk)
{
    char bytes[SMTP_REPLY_LINE_BYTES];
    size_t got = 0;
    enum err err = ERR_OK;
    while ((err = smtp_session_recv(walk->session, bytes, sizeof bytes, &got)) == ERR_OK) {
        size_t used = smtp_reply_feed(&walk->reply, bytes, got);
        if (walk->reply.state == SMTP_REPLY_BAD || used < got) {
            answer(walk, "a reply that is no SMTP, or more than was asked for");
            return;
        }
        if (walk->reply.state == SMTP_REPLY_DONE) {
            answer(walk, NULL);
            return;
        }
    }
    if (err != ERR_AGAIN) {
        answer(walk, "connection lost");
    }
}

static void ready(void *arg, int events)
{
    struct walk *walk = arg;
    if (!loop_timer_armed(&walk->timer)) {
        return; /* no reply is awaited */
    }
    if (walk->command_sent < walk->command_len) {
        send_command(walk);
    }
    if ((events & LOOP_READ) != 0 && walk->session != NULL) {
        read_reply(walk);
    }
}

static const struct smtp_session_owner owner = {
    .connected = connected, .failed = failed, .ready = ready};

static void too_slow(void *arg)
{
    answer(arg, "no answer in time");
}

static void command(struct walk *walk, const char *verb, const char *address)
{
    int len = address != NULL
                  ? snprintf(walk->command, sizeof walk->command, "%s<%s>\r\n", verb, address)
                  : snprintf(walk->command, sizeof walk->command, "%s\r\n", verb);
    uint32_t wait_ms = walk->probe->plan->reply_timeout_ms;
    walk->command_len = (size_t)len;
    walk->command_sent = 0;
    walk->began_us = clock_mono_us();
    smtp_reply_reset(&walk->reply);
    loop_timer_arm(&walk->timer, wait_ms < REPLY_MS ? wait_ms : REPLY_MS);
    send_command(walk);
}

/* Whatever was asked for has passed: what comes now. */
static void next_stage(struct walk *walk)
{
    walk->stage++;
    if (walk->stage == WALK_RCPT && walk->recipient[0] == '\0') {
        struct probe_step *step =
            probe_add(walk->probe, PB_PROBE(RCPT), PB_VERDICT(SKIPPED), 0);
        (void)snprintf(step->detail, sizeof step->detail, "no recipient was given");
        walk->stage++;
    }
    switch (walk->stage) {
    case WALK_MAIL:
        command(walk, "MAIL FROM:", walk->from);
        break;
    case WALK_RCPT:
        command(walk, "RCPT TO:", walk->recipient);
        break;
    case WALK_RSET:
        command(walk, "RSET", NULL);
        break;
    default:
        say_quit(walk);
        end(walk);
        break;
    }
}

/* ---- start and end ---- */

static void open_session(struct walk *walk, const struct settings_plan *plan)
{
    const struct smtp_session_setup setup = {.multi = walk->probe->multi,
                                             .oauth = walk->probe->oauth,
                                             .loop = walk->probe->context.loop,
                                             .plan = plan,
                                             .helo_name = walk->probe->context.helo_name,
                                             .egress = walk->probe->context.egress,
                                             .owner = &owner,
                                             .owner_arg = walk};
    struct smtp_failure failure;
    if (smtp_session_open(&setup, &walk->session, &failure) != ERR_OK) {
        failed(walk, &failure);
    }
}

static void open_trial(struct walk *walk)
{
    walk->trial_plan = *walk->probe->plan;
    walk->trial_plan.tls = walk->trials[walk->trial_at];
    walk->trial_plan.authentication = PB_AUTH(ANONYMOUS);
    walk->trial_plan.verify = false;
    walk->trial_plan.pinned_public_key = "";
    if (walk->trial_plan.connect_timeout_ms > TRIAL_CONNECT_MS) {
        walk->trial_plan.connect_timeout_ms = TRIAL_CONNECT_MS;
    }
    open_session(walk, &walk->trial_plan);
}

static void on_next(void *arg)
{
    struct walk *walk = arg;
    if (walk->stage != WALK_TRIAL) {
        next_stage(walk);
    } else if (walk->trial_at < walk->trial_count) {
        open_trial(walk);
    } else {
        conclude(walk);
    }
}

/* An address as MAIL and RCPT spell it; "" when it is none (a user name that only looks like one), or needs SMTPUTF8. The
 * broker has refused what a person got wrong. */
static void envelope(const char *text, char out[ADDRESS_MAX_BYTES + 1])
{
    struct err_text why;
    bool needs_utf8 = false;
    if (address_check(text, &why) != ERR_OK ||
        address_to_ascii(text, out, &needs_utf8, &why) != ERR_OK || needs_utf8) {
        out[0] = '\0';
    }
}

static void start(struct probe *probe)
{
    struct walk *walk = mem_zero(1, sizeof *walk);
    const char *from = probe->asked->from;
    probe->walk = walk;
    walk->probe = probe;
    loop_timer_init(&walk->timer, probe->context.loop, too_slow, walk);
    loop_timer_init(&walk->next, probe->context.loop, on_next, walk);
    if (from[0] == '\0' && strchr(probe->plan->user_name, '@') != NULL) {
        from = probe->plan->user_name;
    }
    envelope(from, walk->from);
    envelope(probe->asked->recipient[0] != '\0' ? probe->asked->recipient : from,
             walk->recipient);
    (void)snprintf(probe->server, sizeof probe->server, "%s:%u", probe->plan->server,
                   (unsigned)probe->plan->port);
    walk->began_us = clock_mono_us();
    open_session(walk, probe->plan);
}

static void end(struct walk *walk)
{
    walk->stage = WALK_OVER;
    loop_timer_disarm(&walk->timer);
    probe_finish(walk->probe);
}

static void stop(struct probe *probe)
{
    struct walk *walk = probe->walk;
    if (walk == NULL) {
        return;
    }
    loop_timer_disarm(&walk->timer);
    loop_timer_disarm(&walk->next);
    smtp_session_free(&walk->session);
    free(walk);
    probe->walk = NULL;
}

const struct probe_route probe_smtp = {.start = start, .stop = stop};
