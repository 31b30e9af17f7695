/* tpn profile test: ask for a test of a profile (PROBE), show its steps; send a real mail on request.
 *
 * The test is made by a worker, where the secrets and the network are; see worker/probe.h. */
#include "profile_verbs.h"

#include "ask.h"
#include "filter.h"
#include "mem.h"
#include "options.h"
#include "pb_text.h"
#include "show.h"
#include "track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_TIMEOUT_S = 120, KIND_TEST = 3 };

struct test_options {
    struct common_options common; /* first */
    const char *from;
    const char *to;
    const char *send_to;
};

#define FIELD(name) offsetof(struct test_options, name)

static const struct option_row rows[] = {
    {OPTION_TEXT, "from", 'f', FIELD(from), "ADDRESS",
     "sender of MAIL (user_name, when it is an address)"},
    {OPTION_TEXT, "to", 't', FIELD(to), "ADDRESS", "recipient of RCPT (the sender)"},
    {OPTION_TEXT, "send-to", 0, FIELD(send_to), "ADDRESS",
     "if all passes, send a real mail there and wait for its end"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "profile test",
    .arguments = "NAME",
    .summary = "Walk the way to the profile's server, from DNS to RCPT (or into its pickup "
               "folder), and say what to change. No mail is sent, but with --send-to",
    .more = "Exit code 1 when a step failed.\n",
    .rows = rows,
};

/* ---- the report ---- */

static const char *verdict_mark(int verdict)
{
    switch (verdict) {
    case PB_VERDICT(PASSED):
        return "ok";
    case PB_VERDICT(FAILED):
        return "FAILED";
    default:
        return "-";
    }
}

static void print_words(const PB(ProbeStep) *step)
{
    const char *space = "";
    if (step->smtp_code != 0) {
        printf("%u", (unsigned)step->smtp_code);
        space = " ";
    }
    if (step->enhanced_code[0] != '\0') {
        printf("%s%s", space, step->enhanced_code);
        space = " ";
    }
    if (step->text[0] != '\0') {
        printf("%s%s", space, step->text);
    }
}

static void print_step(const PB(ProbeStep) *step)
{
    printf("  %-7s %-9s", verdict_mark(step->verdict),
           pb_enum_word(PB_DESCRIPTOR(probe_step_name), step->name));
    if (step->verdict != PB_VERDICT(SKIPPED)) {
        printf("%9.1f ms", step->duration_us / 1000.0);
    }
    if (step->detail[0] != '\0') {
        printf("  %s", step->detail);
    }
    if (step->smtp_code != 0 || step->text[0] != '\0') {
        printf("%s", step->detail[0] != '\0' ? ": " : "  ");
        print_words(step);
    }
    printf("\n");
    if (step->remedy[0] != '\0') {
        printf("          -> %s\n", step->remedy);
    }
}

static void print_report(const PB(ProbeReport) *report)
{
    printf("profile %s", report->profile);
    if (report->server[0] != '\0') {
        printf(", %s", report->server);
    }
    if (report->worker[0] != '\0') {
        printf(", tested by worker %s", report->worker);
    }
    printf("\n");
    for (size_t i = 0; i < report->n_steps; i++) {
        print_step(report->steps[i]);
    }
    printf("%s\n", report->passed ? "passed" : "failed");
}

/* ---- asking ---- */

static enum err ask_probe(const struct test_options *options, const char *profile,
                          ProtobufCMessage **answer, struct err_text *why)
{
    struct ask ask = {0};
    PB(Probe) probe = PB_INIT(PROBE);
    probe.profile = (char *)(uintptr_t)profile;
    probe.from = filter_text(options->from);
    probe.recipient = filter_text(options->to != NULL ? options->to : options->send_to);
    enum err err = ask_open(&ask, &options->common, options->common.submit, why);
    if (err == ERR_OK) {
        ask.once = true; /* each is a login */
        err = ask_for(&ask, WIRE_PROBE, &probe.base, WIRE_PROBED, answer, why);
    }
    ask_close(&ask);
    return err;
}

/* ---- a real mail ---- */

static int send_mail(const struct test_options *options, const char *profile)
{
    struct err_text why = {0};
    struct track track = {0};
    int code = EXIT_USAGE;
    char *subject = mem_format("Test of profile %s", profile);
    struct tpn_request *request = tpn_request_new();
    tpn_request_mailbox(request, TPN_FROM, NULL, options->from);
    tpn_request_mailbox(request, TPN_TO, NULL, options->send_to);
    tpn_request_text(request, TPN_PROFILE, profile);
    tpn_request_text(request, TPN_SUBJECT, subject);
    tpn_request_text(
        request, TPN_TEXT,
        "This mail was sent by \"tpn profile test --send-to\". The profile works.\r\n");
    tpn_request_number(request, TPN_KIND, KIND_TEST);
    enum err err = track_open(&track, &options->common, 1, TRACK_UNTIL_FINAL, &why);
    if (err == ERR_OK) {
        err = track_publish(&track, request, options->send_to, &why);
    }
    if (err == ERR_OK) {
        track_receipts(&track);
        track_wait(&track, options->common.timeout_s);
        printf("id %s\n", track.entries[0].id);
        track_print(&track);
        code = track_exit_code(&track);
    } else {
        (void)fprintf(stderr, "tpn profile test: %s\n", why.text);
    }
    track_close(&track);
    tpn_request_free(&request);
    free(subject);
    return code;
}

static int test(const struct test_options *options, const char *profile)
{
    struct err_text why = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = ask_probe(options, profile, &answer, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn profile test: %s\n", why.text);
        return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
    }
    const PB(ProbeReport) *report = (const PB(ProbeReport) *)answer;
    int code = report->passed ? EXIT_FINE : EXIT_SOME_FAILED;
    if (options->common.json) {
        show_json(answer);
    } else {
        print_report(report);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code == EXIT_FINE && options->send_to != NULL ? send_mail(options, profile) : code;
}

int profile_test(int argc, char *argv[])
{
    struct test_options options = {.common.timeout_s = TEST_TIMEOUT_S};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&command, "one NAME is needed");
    }
    if (options.send_to != NULL && options.from == NULL) {
        return options_fail(&command, "--send-to needs --from");
    }
    return test(&options, argv[first]);
}
