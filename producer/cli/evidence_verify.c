/* tpn evidence verify: the chain of an export, or of the broker's store, worked out anew; and heads that were noted elsewhere held
 * against it. How one entry is judged stands in evidence_check.c. */
#include "evidence_options.h"

#include "ask.h"
#include "chain.h"
#include "digest.h"
#include "evidence_check.h"
#include "evidence_form.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

static const struct option_row verify_rows[] = {
    EVIDENCE_RANGE_ROWS,
    {OPTION_TEXTS, "head", 0, EVIDENCE_FIELD(heads), "DAY=HEX",
     "a head that was noted elsewhere"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
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
    enum err err = evidence_options_wish(options, &wish, why);
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

int evidence_verify(int argc, char *argv[])
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
