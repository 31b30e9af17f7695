/* Probes: from PROBE to PROBED. What is tested is what a job would meet: the same plan, the same session, the same roots.
 *
 * A route may find its end inside its own start (settings that cannot be); so the report goes out from a timer, and a
 * probe is freed in one place. */
#include "probe.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TAILQ_HEAD(probe_list, probe);

struct probes {
    struct probe_context context;
    char *helo_name;
    struct smtp_multi *multi;
    struct oauth *oauth;
    struct probe_list list;
    struct probe_list ended;
    struct loop_timer report; /* armed when a probe has ended */
    size_t count;
};

static const struct probe_route *const routes[SETTINGS_ROUTE_COUNT] = {
    [SETTINGS_SMTP] = &probe_smtp,
    [SETTINGS_PICKUP] = &probe_folder,
};

struct probe_step *probe_add(struct probe *probe, int name, int verdict, int64_t duration_us)
{
    if (probe->count == PROBE_STEPS) {
        return NULL;
    }
    struct probe_step *step = &probe->steps[probe->count++];
    step->name = name;
    step->verdict = verdict;
    step->duration_us = duration_us > 0 ? duration_us : 0;
    return step;
}

void probe_say(struct probe_step *step, unsigned code, const char *enhanced, const char *text)
{
    step->code = code;
    step->enhanced[deliver_clean(step->enhanced, sizeof step->enhanced - 1, enhanced)] = '\0';
    step->text[deliver_clean(step->text, sizeof step->text - 1, text)] = '\0';
}

static void free_probe(struct probe *probe)
{
    if (probe->plan != NULL && routes[probe->plan->route] != NULL) {
        routes[probe->plan->route]->stop(probe);
    }
    trackpro__notify__v1__probe__free_unpacked(probe->asked, NULL);
    free(probe);
}

static void fill_step(struct probe_step *step, PB(ProbeStep) *out)
{
    PB(ProbeStep) init = PB_INIT(PROBE_STEP);
    *out = init;
    out->name = (Trackpro__Notify__V1__ProbeStepName)step->name;
    out->verdict = (Trackpro__Notify__V1__ProbeVerdict)step->verdict;
    out->duration_us =
        step->duration_us < UINT32_MAX ? (uint32_t)step->duration_us : UINT32_MAX;
    out->detail = step->detail;
    out->smtp_code = step->code;
    out->enhanced_code = step->enhanced;
    out->text = step->text;
    out->remedy = step->remedy;
}

static void report(struct probe *probe)
{
    PB(ProbeReport) report = PB_INIT(PROBE_REPORT);
    PB(ProbeStep) steps[PROBE_STEPS];
    PB(ProbeStep) *pointers[PROBE_STEPS];
    report.passed = true;
    for (size_t i = 0; i < probe->count; i++) {
        fill_step(&probe->steps[i], &steps[i]);
        pointers[i] = &steps[i];
        report.passed = report.passed && steps[i].verdict != PB_VERDICT(FAILED);
    }
    report.steps = pointers;
    report.n_steps = probe->count;
    report.profile = probe->asked->profile;
    report.number = probe->asked->number;
    report.server = probe->server;
    probe->context.done(probe->context.arg, &report);
}

static void on_report(void *arg)
{
    struct probes *probes = arg;
    struct probe *probe = NULL;
    while ((probe = TAILQ_FIRST(&probes->ended)) != NULL) {
        TAILQ_REMOVE(&probes->ended, probe, link);
        probes->count--;
        report(probe);
        free_probe(probe);
    }
}

void probe_finish(struct probe *probe)
{
    struct probes *probes = probe->probes;
    TAILQ_REMOVE(&probes->list, probe, link);
    TAILQ_INSERT_TAIL(&probes->ended, probe, link);
    loop_timer_arm(&probes->report, 0);
}

enum err probes_new(const struct probe_context *context, struct probes **out,
                    struct err_text *why)
{
    struct probes *probes = mem_zero(1, sizeof *probes);
    probes->context = *context;
    probes->helo_name = mem_text(context->helo_name);
    probes->context.helo_name = probes->helo_name;
    TAILQ_INIT(&probes->list);
    TAILQ_INIT(&probes->ended);
    loop_timer_init(&probes->report, context->loop, on_report, probes);
    enum err err = smtp_multi_new(context->loop, &probes->multi, why);
    if (err != ERR_OK) {
        free(probes->helo_name);
        free(probes);
        return err;
    }
    probes->oauth = oauth_new(context->loop, probes->multi);
    *out = probes;
    return ERR_OK;
}

static void free_list(struct probe_list *list)
{
    struct probe *probe = NULL;
    while ((probe = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, probe, link);
        free_probe(probe);
    }
}

void probes_free(struct probes **probes_p)
{
    struct probes *probes = *probes_p;
    if (probes == NULL) {
        return;
    }
    loop_timer_disarm(&probes->report);
    free_list(&probes->list);
    free_list(&probes->ended);
    oauth_free(&probes->oauth);
    smtp_multi_free(&probes->multi);
    free(probes->helo_name);
    free(probes);
    *probes_p = NULL;
}

/* The settings as a sentence. */
static void describe(const struct settings_plan *plan, char out[PROBE_TEXT_BYTES])
{
    static const char *const tls[] = {[SETTINGS_TLS_NONE] = "no TLS",
                                      [SETTINGS_TLS_STARTTLS] = "STARTTLS required",
                                      [SETTINGS_TLS_IMPLICIT] = "TLS from the first byte"};
    static const struct {
        int authentication;
        const char *name;
    } logins[] = {{PB_AUTH(ANONYMOUS), "no login"},
                  {PB_AUTH(BASIC), "basic login"},
                  {PB_AUTH(NTLM), "NTLM login"},
                  {PB_AUTH(OAUTH2), "OAuth2 login"}};
    if (plan->route != SETTINGS_SMTP) {
        (void)snprintf(out, PROBE_TEXT_BYTES, "pickup folder %.512s", plan->folder);
        return;
    }
    const char *login = "login";
    for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++) {
        login = logins[i].authentication == plan->authentication ? logins[i].name : login;
    }
    bool anonymous = plan->authentication == PB_AUTH(ANONYMOUS);
    (void)snprintf(out, PROBE_TEXT_BYTES, "%s port %u, %s%s, %s%s%.256s", plan->server,
                   (unsigned)plan->port, tls[plan->tls],
                   plan->tls != SETTINGS_TLS_NONE && !plan->verify
                       ? " (certificate is not checked: tls_no_verify)"
                       : "",
                   login, anonymous ? "" : " as ", anonymous ? "" : plan->user_name);
}

/* Check the settings. Returns whether there is a way to walk. */
static bool plan(struct probe *probe, const PB(MailingSettings) *settings)
{
    struct err_text why = {.code = ERR_OK};
    const char *field = "";
    struct probe_step *step =
        probe_add(probe, PB_PROBE(SETTINGS), PB_VERDICT(FAILED), 0); /* the first always fits */
    if (settings_plan(settings, &probe->own_plan, &field, &why) != ERR_OK) {
        const struct settings_plan none = {.server = "", .folder = "", .user_name = ""};
        const struct remedy_case what = {
            .phase = PB_PHASE(PREPARE), .enhanced = "", .text = why.text, .plan = &none};
        (void)snprintf(step->text, sizeof step->text, "%s: %.440s", field, why.text);
        (void)remedy_for(&what, step->remedy);
        return false;
    }
    if (routes[probe->own_plan.route] == NULL) {
        (void)snprintf(step->text, sizeof step->text,
                       "method: this worker cannot use a mail client (MAPI)");
        (void)snprintf(step->remedy, sizeof step->remedy,
                       "Set method to cdo: an SMTP server or a pickup folder.");
        return false;
    }
    probe->own_plan.of_request = probe->asked->settings != NULL;
    step->verdict = PB_VERDICT(PASSED);
    probe->plan = &probe->own_plan;
    describe(probe->plan, step->detail);
    return true;
}

void probes_start(struct probes *probes, PB(Probe) *asked, const PB(MailingSettings) *settings)
{
    struct probe *probe = mem_zero(1, sizeof *probe);
    probe->probes = probes;
    probe->context = probes->context;
    probe->multi = probes->multi;
    probe->oauth = probes->oauth;
    probe->asked = asked;
    TAILQ_INSERT_TAIL(&probes->list, probe, link);
    probes->count++;
    static const PB(MailingSettings) none = PB_INIT(MAILING_SETTINGS);
    if (settings == NULL) {
        settings = asked->settings != NULL ? asked->settings : &none;
    }
    if (probes->count > PROBES_AT_ONCE) {
        struct probe_step *step = probe_add(probe, PB_PROBE(WORKER), PB_VERDICT(FAILED), 0);
        (void)snprintf(step->text, sizeof step->text, "too many tests are under way");
        probe_finish(probe);
    } else if (plan(probe, settings)) {
        routes[probe->plan->route]->start(probe);
    } else {
        probe_finish(probe);
    }
}
