/* tpn evidence: who was told what, when, and the server's own words; and the proof that nothing of it was changed.
 *
 * export reads from the broker and writes; verify reads an export, or the broker, and works the chain out anew; days prints the
 * heads, to be noted where nobody who can write the store can write. */
#include "commands.h"

#include "ask.h"
#include "chain.h"
#include "evidence_form.h"
#include "evidence_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

static const struct option_row export_rows[] = {
    EVIDENCE_RANGE_ROWS,
    {OPTION_TEXT, "label", 0, EVIDENCE_FIELD(label), "NAME=VALUE",
     "only requests with this label"},
    {OPTION_TEXT, "format", 0, EVIDENCE_FIELD(form), "json|csv", "JSON lines (default) or CSV"},
    {OPTION_TEXT, "output", 'o', EVIDENCE_FIELD(out), "FILE", "write there"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct option_row days_rows[] = {
    EVIDENCE_RANGE_ROWS,
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command export_command = {
    .name = "evidence export",
    .arguments = "",
    .summary = "Write what happened, entry by entry, with what proves it",
    .more =
        "What --label or a time leaves out stands in the export as its digest, so that the\n"
        "rest can still be checked: tpn evidence verify FILE. CSV has a row for each "
        "recipient.\n",
    .rows = export_rows,
};

static const struct command days_command = {
    .name = "evidence days",
    .arguments = "",
    .summary = "Print each day's head and how many entries it has",
    .rows = days_rows,
};

static int fail(const struct command *command, enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn %s: %s\n", command->name, why->text);
    return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
}

/* ---- export ---- */

struct export
{
    enum evidence_form form;
    int log;
    FILE *to;
    struct buf line;
};

static enum err write_line(struct export *export, struct err_text *why)
{
    enum err err = buf_status(&export->line);
    if (err == ERR_OK &&
        fwrite(export->line.data, 1, export->line.len, export->to) != export->line.len) {
        err = err_set_errno(why, ERR_IO, errno, "write");
    }
    buf_reset(&export->line);
    return err;
}

static enum err export_day(void *arg, const PB(EvidenceDay) *day, struct err_text *why)
{
    struct export *export = arg;
    evidence_form_day(export->form, export->log, day, &export->line);
    return write_line(export, why);
}

static enum err export_entry(void *arg, const PB(EvidenceEntry) *entry, struct err_text *why)
{
    struct export *export = arg;
    evidence_form_entry(export->form, export->log, entry, &export->line);
    return write_line(export, why);
}

static enum err export_all(const struct evidence_options *options,
                           const struct evidence_wish *wish, struct export *export,
                           struct err_text *why)
{
    struct ask ask = {0};
    const struct evidence_sink sink = {export_day, export_entry, export};
    evidence_form_head(export->form, &export->line);
    enum err err = export->line.len > 0 ? write_line(export, why) : ERR_OK;
    if (err == ERR_OK) {
        err = ask_open(&ask, &options->common, options->common.admin, why);
    }
    if (err == ERR_OK) {
        err = evidence_feed(&ask, wish, &sink, why);
    }
    ask_close(&ask);
    if (err == ERR_OK && fflush(export->to) != 0) {
        err = err_set_errno(why, ERR_IO, errno, "write");
    }
    return err;
}

static int run_export(int argc, char *argv[])
{
    struct evidence_options options = {.form = "json"};
    struct evidence_wish wish;
    struct err_text why = {0};
    struct export export = {.to = stdout};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&export_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    bool csv = strcmp(options.form, "csv") == 0;
    if (first < argc) {
        return options_fail(&export_command, "%s: takes no arguments", argv[first]);
    }
    if (!csv && strcmp(options.form, "json") != 0) {
        return options_fail(&export_command, "--format %s: json or csv", options.form);
    }
    enum err err = evidence_options_wish(&options, &wish, &why);
    if (err != ERR_OK) {
        return fail(&export_command, err, &why);
    }
    export.form = csv ? EVIDENCE_CSV : EVIDENCE_JSON;
    export.log = wish.log;
    if (options.out != NULL && (export.to = fopen(options.out, "we")) == NULL) {
        err = err_set_errno(&why, ERR_IO, errno, "%s", options.out);
        return fail(&export_command, err, &why);
    }
    buf_init(&export.line, LINE_MAX_BYTES);
    err = export_all(&options, &wish, &export, &why);
    if (options.out != NULL && fclose(export.to) != 0 && err == ERR_OK) {
        err = err_set_errno(&why, ERR_IO, errno, "%s", options.out);
    }
    buf_fini(&export.line);
    return err == ERR_OK ? EXIT_FINE : fail(&export_command, err, &why);
}

/* ---- days ---- */

static enum err print_day(void *arg, const PB(EvidenceDay) *day, struct err_text *why)
{
    const struct evidence_options *options = arg;
    char date[CHAIN_DATE_BYTES];
    char head[2 * DIGEST_BYTES + 1] = "";
    (void)why;
    (void)chain_date(day->day, date);
    if (day->head.len == DIGEST_BYTES) {
        (void)digest_hex(day->head.data, day->head.len, head);
    }
    if (options->common.json) {
        printf("{\"day\":\"%s\",\"entries\":%" PRIu64 ",\"head\":\"%s\",\"open\":%s,"
               "\"swept\":%s,\"chained\":%s}\n",
               date, day->count, head, day->open ? "true" : "false",
               day->swept ? "true" : "false", day->chained ? "true" : "false");
    } else {
        printf("%s  %10" PRIu64 "  %s%s%s\n", date, day->count,
               head[0] != '\0' ? head : "before there was a chain", day->open ? "  open" : "",
               day->swept ? "  swept" : "");
    }
    return ERR_OK;
}

static enum err skip_entry(void *arg, const PB(EvidenceEntry) *entry, struct err_text *why)
{
    (void)arg;
    (void)entry;
    (void)why;
    return ERR_OK;
}

static int run_days(int argc, char *argv[])
{
    struct evidence_options options = {0};
    struct evidence_wish wish;
    struct err_text why = {0};
    struct ask ask = {0};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&days_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (first < argc) {
        return options_fail(&days_command, "%s: takes no arguments", argv[first]);
    }
    const struct evidence_sink sink = {print_day, skip_entry, &options};
    enum err err = evidence_options_wish(&options, &wish, &why);
    wish.days_only = true;
    if (err == ERR_OK) {
        err = ask_open(&ask, &options.common, options.common.admin, &why);
    }
    if (err == ERR_OK) {
        err = evidence_feed(&ask, &wish, &sink, &why);
    }
    ask_close(&ask);
    return err == ERR_OK ? EXIT_FINE : fail(&days_command, err, &why);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    int (*run)(int argc, char *argv[]);
    const char *summary;
} verbs[] = {
    {"days", run_days, "the head of each day"},
    {"export", run_export, "who was told what, when, and the server's own words"},
    {"verify", evidence_verify, "was anything altered?"},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

int command_evidence(int argc, char *argv[])
{
    for (size_t i = 0; argc > 1 && i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    FILE *to = help ? stdout : stderr;
    if (!help && argc > 1) {
        (void)fprintf(to, "tpn evidence: no verb \"%s\"\n", argv[1]);
    }
    (void)fprintf(to, "Usage: tpn evidence VERB [options]\n\nVerbs:\n");
    for (size_t i = 0; i < VERBS; i++) {
        (void)fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    }
    return help ? EXIT_FINE : EXIT_USAGE;
}
