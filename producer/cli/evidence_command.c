/* tpn evidence: who was told what, when, and the server's own words; and the proof that nothing of it was changed.
 *
 * export reads from the broker and writes; verify reads an export, or the broker, and works the chain out anew; days prints the
 * heads, to be noted where nobody who can write the store can write. */
#include "commands.h"

#include "ask.h"
#include "chain.h"
#include "clock.h"
#include "conf.h"
#include "evidence_check.h"
#include "evidence_feed.h"
#include "evidence_form.h"
#include "filter.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

struct evidence_options {
    struct common_options common; /* first */
    const char *from;
    const char *to;
    const char *label;
    const char *form;
    const char *out;
    bool audit;
    struct option_texts heads;
};

#define FIELD(name) offsetof(struct evidence_options, name)
#define RANGE_ROWS                                                                             \
    {OPTION_TEXT, "from", 0, FIELD(from), "TIME", "a day (UTC) as 2026-11-25, or an age: 7d"}, \
        {OPTION_TEXT, "to", 0, FIELD(to), "TIME", "up to the end of that day"},                \
    {                                                                                          \
        OPTION_FLAG, "audit", 0, FIELD(audit), NULL, "the log of what operators did"           \
    }

static const struct option_row export_rows[] = {
    RANGE_ROWS,
    {OPTION_TEXT, "label", 0, FIELD(label), "NAME=VALUE", "only requests with this label"},
    {OPTION_TEXT, "format", 0, FIELD(form), "json|csv", "JSON lines (default) or CSV"},
    {OPTION_TEXT, "output", 'o', FIELD(out), "FILE", "write there"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct option_row verify_rows[] = {
    RANGE_ROWS,
    {OPTION_TEXTS, "head", 0, FIELD(heads), "DAY=HEX", "a head that was noted elsewhere"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct option_row days_rows[] = {
    RANGE_ROWS,
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

static const struct command verify_command = {
    .name = "evidence verify",
    .arguments = "[FILE]",
    .summary = "Work out the chain of an export (- = standard input), or of the broker's store",
    .more =
        "Exit code 1: something was altered, is missing or out of order; the first finding is\n"
        "told. Whoever can write the store can make a whole chain anew: what proves that this\n"
        "did not happen is a head that was noted elsewhere, given with --head. The broker logs "
        "the\nhead of each day that is over; tpn evidence days prints them.\n",
    .rows = verify_rows,
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

/* A day begins at its midnight, UTC; an age is counted from now. end: of that day. */
static enum err read_time(const char *option, const char *text, bool end, int64_t *out,
                          struct err_text *why)
{
    struct tm parts = {0};
    uint64_t age_ms = 0;
    if (text == NULL) {
        return ERR_OK;
    }
    const char *rest = strptime(text, "%Y-%m-%d", &parts);
    if (rest != NULL && *rest == '\0') {
        *out = (int64_t)timegm(&parts) * 1000 + (end ? CHAIN_DAY_MS : 0);
    } else if (conf_duration(text, &age_ms, NULL) == ERR_OK) {
        *out = clock_wall_ms() - (int64_t)age_ms;
    } else {
        return err_set(why, ERR_INVALID, "--%s %s: write 2026-11-25, or an age as 7d", option,
                       text);
    }
    *out = *out > 0 ? *out : 1; /* 0 would be "all" */
    return ERR_OK;
}

static enum err read_wish(const struct evidence_options *options, struct evidence_wish *wish,
                          struct err_text *why)
{
    *wish = (struct evidence_wish){.log = options->audit ? 1 : 0, .label = options->label};
    if (options->label != NULL && strchr(options->label, '=') == NULL) {
        return err_set(why, ERR_INVALID, "--label %s: write NAME=VALUE", options->label);
    }
    enum err err = read_time("from", options->from, false, &wish->from_ms, why);
    err = err == ERR_OK ? read_time("to", options->to, true, &wish->to_ms, why) : err;
    if (err == ERR_OK && wish->to_ms != 0 && wish->to_ms <= wish->from_ms) {
        err = err_set(why, ERR_INVALID, "--from %s is behind --to %s", options->from,
                      options->to);
    }
    return err;
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
    enum err err = read_wish(&options, &wish, &why);
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

/* ---- verify ---- */

/* Heads that were noted: each has to be met. */
struct verify {
    struct evidence_check check;
    const struct option_texts *heads;
    bool *met; /* of each of heads, owned */
    char head[2 * DIGEST_BYTES + 1];
    char date[CHAIN_DATE_BYTES];
};

static enum err compare_heads(struct verify *verify, const PB(EvidenceDay) *day,
                              struct err_text *why)
{
    (void)chain_date(day->day, verify->date);
    if (day->head.len == DIGEST_BYTES) {
        (void)digest_hex(day->head.data, day->head.len, verify->head);
    }
    size_t len = strlen(verify->date);
    for (size_t i = 0; i < verify->heads->count; i++) {
        const char *noted = verify->heads->items[i];
        if (strncmp(noted, verify->date, len) != 0 || noted[len] != '=') {
            continue;
        }
        if (strcmp(noted + len + 1, verify->head) != 0) {
            return err_set(why, ERR_INVALID, "%s: its head is %s, not the one that was noted",
                           verify->date, verify->head);
        }
        verify->met[i] = true;
    }
    return ERR_OK;
}

/* DAY=HEX, or what is wrong with it. */
static enum err check_heads(const struct option_texts *heads, struct err_text *why)
{
    for (size_t i = 0; i < heads->count; i++) {
        struct tm parts = {0};
        const char *rest = strptime(heads->items[i], "%Y-%m-%d", &parts);
        if (rest == NULL || *rest != '=') {
            return err_set(why, ERR_CONFIG, "--head %s: write DAY=HEX, as 2026-11-25=eb61…",
                           heads->items[i]);
        }
    }
    return ERR_OK;
}

static enum err verify_day(void *arg, const PB(EvidenceDay) *day, struct err_text *why)
{
    struct verify *verify = arg;
    enum err err = evidence_check_day(&verify->check, day, why);
    return err == ERR_OK ? compare_heads(verify, day, why) : err;
}

static enum err verify_entry(void *arg, const PB(EvidenceEntry) *entry, struct err_text *why)
{
    struct verify *verify = arg;
    return evidence_check_entry(&verify->check, entry, why);
}

/* One line of a file. `wanted` holds what the lines that follow an entry in CSV must be. */
static enum err verify_line(struct verify *verify, enum evidence_form form, const char *text,
                            struct buf *wanted, struct err_text *why)
{
    struct evidence_line line;
    size_t len = strlen(text);
    if (wanted->len > 0) {
        bool same = len <= wanted->len && memcmp(wanted->data, text, len) == 0;
        buf_drop(wanted, same ? len : 0);
        return same ? ERR_OK : err_set(why, ERR_INVALID, "it does not say what its entry says");
    }
    enum err err = evidence_form_read(form, text, &line);
    if (err != ERR_OK || line.kind == EVIDENCE_LINE_MORE) {
        err = err_set(why, ERR_INVALID, "it is no line of evidence");
        goto out;
    }
    if (line.kind == EVIDENCE_LINE_DAY) {
        evidence_form_day(form, line.log, &line.day, wanted);
        err = verify_day(verify, &line.day, why);
    } else {
        evidence_form_entry(form, line.log, &line.entry, wanted);
        err = verify_entry(verify, &line.entry, why);
    }
    if (err == ERR_OK && (len > wanted->len || memcmp(wanted->data, text, len) != 0)) {
        err = err_set(why, ERR_INVALID, "what people read was changed: its bytes say other");
    }
    buf_drop(wanted, len < wanted->len ? len : wanted->len);
out:
    evidence_line_fini(&line);
    return err;
}

static enum err verify_file(struct verify *verify, const char *name, struct err_text *why)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char *text = NULL;
    size_t room = 0;
    size_t number = 0;
    struct buf wanted;
    struct err_text reason = {0};
    enum evidence_form form = EVIDENCE_JSON;
    enum err err = ERR_OK;
    if (file == NULL) {
        return err_set_errno(why, ERR_IO, errno, "%s", name);
    }
    buf_init(&wanted, LINE_MAX_BYTES);
    while (err == ERR_OK && getline(&text, &room, file) >= 0) {
        if (++number == 1 && text[0] != '{') {
            form = EVIDENCE_CSV;
            evidence_form_head(form, &wanted);
            bool head = strcmp(text, buf_text(&wanted)) == 0;
            buf_reset(&wanted);
            err = head ? ERR_OK : err_set(&reason, ERR_INVALID, "it is no line of evidence");
            continue;
        }
        err = verify_line(verify, form, text, &wanted, &reason);
    }
    if (err == ERR_OK && wanted.len > 0) {
        err = err_set(&reason, ERR_INVALID, "the file ends within an entry");
    }
    if (err == ERR_OK) {
        err = evidence_check_end(&verify->check, &reason);
    }
    if (err != ERR_OK) {
        err = err_set(why, ERR_INVALID, "%s, line %zu: %s", name, number, reason.text);
    }
    if (file != stdin) {
        (void)fclose(file);
    }
    free(text);
    buf_fini(&wanted);
    return err;
}

static enum err verify_broker(struct verify *verify, const struct evidence_options *options,
                              bool *reached, struct err_text *why)
{
    struct ask ask = {0};
    struct evidence_wish wish;
    const struct evidence_sink sink = {verify_day, verify_entry, verify};
    enum err err = read_wish(options, &wish, why);
    if (err != ERR_OK) {
        return err;
    }
    err = ask_open(&ask, &options->common, options->common.admin, why);
    if (err == ERR_OK) {
        err = evidence_feed(&ask, &wish, &sink, why);
    }
    *reached = err != ERR_AGAIN;
    if (err == ERR_OK) {
        err = evidence_check_end(&verify->check, why);
    }
    ask_close(&ask);
    return err;
}

static int tell_verified(const struct verify *verify, const struct evidence_options *options)
{
    const struct evidence_check *check = &verify->check;
    size_t met = 0;
    for (size_t i = 0; i < verify->heads->count; i++) {
        met += verify->met[i] ? 1 : 0;
    }
    if (options->common.json) {
        printf("{\"verified\":true,\"days\":%zu,\"entries\":%zu,\"digests\":%zu,"
               "\"unchained\":%zu,\"swept_days\":%zu,\"noted_heads\":%zu,\"last_day\":\"%s\","
               "\"head\":\"%s\"}\n",
               check->days, check->entries, check->digests, check->unchained, check->swept_days,
               met, verify->date, verify->head);
    } else {
        printf("%zu day%s, %zu entr%s, %zu more by digest: nothing was altered, is missing or "
               "out of order\n",
               check->days, check->days == 1 ? "" : "s", check->entries,
               check->entries == 1 ? "y" : "ies", check->digests);
        if (check->unchained > 0) {
            printf("%zu entries are from before there was a chain: nothing proves them\n",
                   check->unchained);
        }
        if (check->swept_days > 0) {
            printf("%zu days were swept: only their heads are left\n", check->swept_days);
        }
        if (check->days > 0) {
            printf("head of %s: %s\n", verify->date, verify->head);
        }
    }
    for (size_t i = 0; i < verify->heads->count; i++) {
        if (!verify->met[i]) {
            (void)fprintf(stderr, "tpn evidence verify: --head %s: that day is not in it\n",
                          verify->heads->items[i]);
        }
    }
    return met == verify->heads->count ? EXIT_FINE : EXIT_SOME_FAILED;
}

static int run_verify(int argc, char *argv[])
{
    struct evidence_options options = {0};
    struct verify verify = {0};
    struct err_text why = {0};
    bool reached = true;
    int first = 0;
    int code = EXIT_USAGE;
    evidence_check_init(&verify.check);
    verify.heads = &options.heads;
    if (options_read(&verify_command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        goto out;
    }
    if (argc - first > 1 ||
        (argc - first == 1 && (options.from != NULL || options.to != NULL))) {
        code =
            options_fail(&verify_command, "one FILE, or the broker's store with --from, --to");
        goto out;
    }
    verify.met = mem_zero(options.heads.count + 1, sizeof *verify.met);
    enum err err = check_heads(&options.heads, &why);
    if (err == ERR_OK) {
        err = first < argc ? verify_file(&verify, argv[first], &why)
                           : verify_broker(&verify, &options, &reached, &why);
    }
    if (err == ERR_OK) {
        code = tell_verified(&verify, &options);
    } else {
        (void)fprintf(stderr, "tpn evidence verify: %s\n", why.text);
        code = !reached ? EXIT_UNREACHABLE : err == ERR_INVALID ? EXIT_SOME_FAILED : EXIT_USAGE;
    }
out:
    free(verify.met);
    evidence_check_fini(&verify.check);
    options_free(&verify_command, &options);
    return code;
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
    enum err err = read_wish(&options, &wish, &why);
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
    {"verify", run_verify, "was anything altered?"},
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
