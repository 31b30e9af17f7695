/* The desk where tests of settings wait for their worker. */
#include "probe_desk.h"

#include "address.h"
#include "broker.h"
#include "clock.h"
#include "gate.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 110000 /* the contract says 2 minutes */ };

static void forget(struct probe_ask *ask)
{
    *ask = (struct probe_ask){.number = 0};
}

static void answer(const struct probe_ask *ask, PB(ProbeReport) *report)
{
    report->number = 0; /* the broker's own */
    enum err err = bus_send(ask->bus, &ask->client, WIRE_PROBED, &report->base, NULL);
    log_info("probe", "profile=%s worker=%s passed=%d answer=%s", ask->profile, report->worker,
             report->passed, err_name(err));
}

/* No worker made the test: say so in the form of a report. */
static void answer_failure(const struct probe_ask *ask, const char *text, const char *remedy)
{
    PB(ProbeReport) report = PB_INIT(PROBE_REPORT);
    PB(ProbeStep) step = PB_INIT(PROBE_STEP);
    PB(ProbeStep) *steps[] = {&step};
    step.name = PB_PROBE(WORKER);
    step.verdict = PB_VERDICT(FAILED);
    step.text = (char *)(uintptr_t)text;
    step.remedy = (char *)(uintptr_t)remedy;
    report.steps = steps;
    report.n_steps = 1;
    report.profile = (char *)(uintptr_t)ask->profile;
    answer(ask, &report);
}

/* The test of that number; 0 gives a free place. Null when there is none. */
static struct probe_ask *find(struct probe_desk *desk, uint64_t number)
{
    for (size_t i = 0; i < PROBE_DESK_ASKS; i++) {
        if (desk->asks[i].number == number) {
            return &desk->asks[i];
        }
    }
    return NULL;
}

static bool is_tested(const struct probe_desk *desk, const char *profile)
{
    for (size_t i = 0; i < PROBE_DESK_ASKS && profile[0] != '\0'; i++) {
        if (desk->asks[i].number != 0 && strcmp(desk->asks[i].profile, profile) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what may be asked ---- */

static bool good_address(const char *field, const char *address, struct wire_fault *fault)
{
    struct err_text why;
    char ascii[ADDRESS_MAX_BYTES + 1];
    bool needs_utf8 = false;
    if (address[0] == '\0') {
        return true;
    }
    if (address_check(address, &why) != ERR_OK ||
        address_to_ascii(address, ascii, &needs_utf8, &why) != ERR_OK) {
        return wire_refuse(fault, field, "%s", why.text);
    }
    return !needs_utf8 || wire_refuse(fault, field, "a test takes ASCII before the @ only");
}

static bool good_probe(struct broker *broker, const PB(Probe) *probe, struct wire_fault *fault)
{
    if ((probe->profile[0] == '\0') == (probe->settings == NULL)) {
        return wire_refuse(fault, "profile", "either a profile or settings, not both");
    }
    if (probe->profile[0] != '\0' && profiles_find(broker->profiles, probe->profile) == NULL) {
        return wire_refuse(fault, "profile", "no such profile");
    }
    if (probe->settings != NULL &&
        !gate_check_secrets(probe->settings, GATE_NO_PASSWORD, fault)) {
        return false;
    }
    if (find(&broker->probe_desk, 0) == NULL) {
        return wire_refuse(fault, "", "too many tests are under way: try again later");
    }
    if (is_tested(&broker->probe_desk, probe->profile)) {
        return wire_refuse(fault, "profile", "a test of this profile is under way");
    }
    return good_address("from", probe->from, fault) &&
           good_address("recipient", probe->recipient, fault);
}

/* ---- to the worker ---- */

/* The plan says who can walk the way. Settings that make no plan are for any worker to refuse, with a remedy. */
static struct worker *choose(const struct broker *broker, const struct profile *profile,
                             const PB(Probe) *probe)
{
    struct settings_plan own = {.route = SETTINGS_SMTP, .folder = ""};
    const struct settings_plan *plan = &own;
    const char *field = "";
    struct err_text why;
    if (profile != NULL) {
        plan = &profile->plan;
    } else if (settings_plan(probe->settings, &own, &field, &why) != ERR_OK) {
        own = (struct settings_plan){.route = SETTINGS_SMTP, .folder = ""};
    }
    return roster_prober(&broker->roster, plan->route, plan->folder);
}

static bool send_on(struct broker *broker, struct probe_ask *ask, PB(Probe) *probe)
{
    const struct profile *profile = profiles_find(broker->profiles, probe->profile);
    struct worker *worker = choose(broker, profile, probe);
    if (worker == NULL) {
        answer_failure(
            ask, "no worker that can test settings is connected",
            "Start tpn-worker, and see that it reaches this broker (tpn status lists "
            "the workers).");
        return false;
    }
    probe->number = ask->number;
    probe->profile_version = profile != NULL ? profile->wire.version : 0;
    ask->worker = worker->peer;
    if ((profile != NULL && lease_give_profile(broker, profile, worker) != ERR_OK) ||
        bus_send(broker->work, &worker->peer, WIRE_PROBE, &probe->base, NULL) != ERR_OK) {
        answer_failure(ask, "the worker cannot be reached", "Try again.");
        return false;
    }
    return true;
}

void probe_desk_ask(struct broker *broker, struct bus *bus, struct wire_in *in)
{
    PB(Probe) *probe = (PB(Probe) *)in->body;
    struct probe_desk *desk = &broker->probe_desk;
    if (!good_probe(broker, probe, &in->fault)) {
        gate_send_error(bus, in);
        return;
    }
    struct probe_ask *ask = find(desk, 0);
    ask->number = ++desk->last;
    ask->bus = bus;
    ask->client = in->peer;
    (void)snprintf(ask->profile, sizeof ask->profile, "%s", probe->profile);
    ask->until_ms = clock_mono_ms() + ANSWER_MS;
    if (!send_on(broker, ask, probe)) {
        forget(ask);
    }
}

/* ---- back ---- */

void probe_desk_answer(struct broker *broker, const struct worker *worker,
                       PB(ProbeReport) *report)
{
    struct probe_ask *ask = find(&broker->probe_desk, report->number);
    if (report->number == 0 || ask == NULL || !wire_peer_same(&ask->worker, &worker->peer)) {
        return;
    }
    char *own = report->worker;
    report->worker = (char *)(uintptr_t)worker->name;
    answer(ask, report);
    report->worker = own;
    forget(ask);
}

void probe_desk_tick(struct broker *broker)
{
    for (size_t i = 0; i < PROBE_DESK_ASKS; i++) {
        struct probe_ask *ask = &broker->probe_desk.asks[i];
        if (ask->number == 0) {
            continue;
        }
        bool gone = roster_find(&broker->roster, &ask->worker) == NULL;
        if (gone || clock_mono_ms() > ask->until_ms) {
            answer_failure(ask,
                           gone ? "the worker was lost during the test"
                                : "the worker did not finish the test in time",
                           "Try again; see the worker's log.");
            forget(ask);
        }
    }
}
