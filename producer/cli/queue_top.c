/* tpn queue top: what waits, by profile, producer or domain, and for how long; the table of Postfix's qshape.
 *
 * The broker answers page by page; the pages are added up here. Between two pages the queue goes on moving, so the sums are those
 * of a few moments, not of one. */
#include "queue_verbs.h"

#include "ask.h"
#include "clock.h"
#include "filter.h"
#include "map.h"
#include "mem.h"
#include "options.h"
#include "pb_text.h"
#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGES = 10, LINES_DEFAULT = 20 };

struct top_options {
    struct common_options common; /* first */
    struct filter_options filter;
    const char *by;
    long limit;
};

#define FIELD(name) offsetof(struct top_options, name)

static const struct option_row rows[] = {
    {OPTION_TEXT, "by", 'b', FIELD(by), "profile|producer|domain", "how to group (profile)"},
    FILTER_ROWS(FIELD(filter)),
    {OPTION_NUMBER, "limit", 'n', FIELD(limit), "N", "at most N lines, 0 = all (20)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "queue top",
    .arguments = "",
    .summary = "Count what waits: how many for each profile, producer or recipient domain, and "
               "for how long",
    .more =
        "The columns are ages in minutes: accepted less than 5, 10, 20 … minutes ago. Without\n"
        "--state: all that is not final. A request with recipients in several domains counts "
        "once in each.\n",
    .rows = rows,
};

struct line {
    char *name;
    uint64_t ages[AGES];
    uint64_t total;
    int64_t oldest_ms;
};

struct sums {
    struct map *by_name;
    struct line **lines;
    size_t count;
    uint64_t looked;
};

static void add_row(struct sums *sums, const PB(TopRow) *row)
{
    struct line *line = map_get_text(sums->by_name, row->name);
    if (line == NULL) {
        line = mem_zero(1, sizeof *line);
        line->name = mem_text(row->name);
        line->oldest_ms = row->oldest_ms;
        (void)map_put_text(&sums->by_name, row->name, line);
        sums->lines = mem_resize(sums->lines, sums->count + 1, sizeof(struct line *));
        sums->lines[sums->count++] = line;
    }
    for (size_t i = 0; i < row->n_ages && i < AGES; i++) {
        line->ages[i] += row->ages[i];
        line->total += row->ages[i];
    }
    line->oldest_ms = row->oldest_ms < line->oldest_ms ? row->oldest_ms : line->oldest_ms;
}

static void free_sums(struct sums *sums)
{
    for (size_t i = 0; i < sums->count; i++) {
        free(sums->lines[i]->name);
        free(sums->lines[i]);
    }
    free(sums->lines);
    map_clear(&sums->by_name);
}

static enum err read_all(const struct top_options *options, PB(Top) *question,
                         struct sums *sums, struct err_text *why)
{
    struct ask ask = {0};
    enum err err = ask_open(&ask, &options->common, options->common.admin, why);
    bool more = err == ERR_OK;
    while (more) {
        ProtobufCMessage *answer = NULL;
        err = ask_for(&ask, WIRE_TOP, &question->base, WIRE_TOPS, &answer, why);
        if (err != ERR_OK) {
            break;
        }
        const PB(Tops) *page = (const PB(Tops) *)answer;
        for (size_t i = 0; i < page->n_rows; i++) {
            add_row(sums, page->rows[i]);
        }
        sums->looked += page->looked;
        /* A cursor that does not rise would make this endless. */
        more = page->next > question->after;
        question->after = page->next;
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    ask_close(&ask);
    return err;
}

static int compare_lines(const void *a_p, const void *b_p)
{
    const struct line *a = *(struct line *const *)a_p;
    const struct line *b = *(struct line *const *)b_p;
    return a->total != b->total ? (a->total < b->total) - (a->total > b->total)
                                : strcmp(a->name, b->name);
}

static void print_line(const char *name, const struct line *line)
{
    char when[CLOCK_TEXT_BYTES];
    printf("%-28.28s %8" PRIu64, name, line->total);
    for (size_t i = 0; i < AGES; i++) {
        printf(" %6" PRIu64, line->ages[i]);
    }
    printf("  %s\n", line->total > 0 ? clock_text(line->oldest_ms, when) : "");
}

static void print_json(const struct line *line)
{
    PB(TopRow) row = PB_INIT(TOP_ROW);
    row.name = line->name;
    row.ages = (uint64_t *)(uintptr_t)line->ages;
    row.n_ages = AGES;
    row.oldest_ms = line->oldest_ms;
    show_json(&row.base);
}

static void print_sums(const struct sums *sums, const struct top_options *options)
{
    static const char *const heads[AGES] = {"5",   "10",  "20",  "40",   "80",
                                            "160", "320", "640", "1280", "1280+"};
    size_t limit = options->limit > 0 ? (size_t)options->limit : sums->count;
    struct line total = {.oldest_ms = INT64_MAX};
    for (size_t i = 0; i < sums->count; i++) {
        const struct line *line = sums->lines[i];
        for (size_t k = 0; k < AGES; k++) {
            total.ages[k] += line->ages[k];
        }
        total.total += line->total;
        total.oldest_ms = line->oldest_ms < total.oldest_ms ? line->oldest_ms : total.oldest_ms;
    }
    if (!options->common.json) {
        printf("%-28s %8s", "minutes ago, less than", "total");
        for (size_t i = 0; i < AGES; i++) {
            printf(" %6s", heads[i]);
        }
        printf("  oldest\n");
        print_line("all", &total);
    }
    for (size_t i = 0; i < sums->count && i < limit; i++) {
        if (options->common.json) {
            print_json(sums->lines[i]);
        } else {
            print_line(sums->lines[i]->name[0] != '\0' ? sums->lines[i]->name : "(settings)",
                       sums->lines[i]);
        }
    }
}

static bool read_by(const char *word, int *by)
{
    static const char *const words[] = {"", "profile", "producer", "domain"};
    for (int i = 1; i < 4; i++) {
        if (strcmp(word, words[i]) == 0) {
            *by = i; /* the numbers of enum TopBy */
            return true;
        }
    }
    return false;
}

int queue_top(int argc, char *argv[])
{
    struct top_options options = {.by = "profile", .limit = LINES_DEFAULT};
    struct err_text why = {0};
    struct sums sums = {0};
    PB(Top) question = PB_INIT(TOP);
    PB(QueueFilter) filter = PB_INIT(QUEUE_FILTER);
    int by = 0;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        goto out;
    }
    if (first < argc) {
        code = options_fail(&command, "%s: takes no arguments", argv[first]);
        goto out;
    }
    if (!read_by(options.by, &by)) {
        code = options_fail(&command, "--by %s: profile, producer or domain", options.by);
        goto out;
    }
    question.by = (Trackpro__Notify__V1__TopBy)by;
    question.filter = &filter;
    enum err err = filter_fill(&options.filter, &filter, &why);
    if (err == ERR_OK) {
        err = read_all(&options, &question, &sums, &why);
    }
    question.filter = NULL;
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn queue top: %s\n", why.text);
        code = err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
        goto out;
    }
    if (sums.count > 0) {
        qsort(sums.lines, sums.count, sizeof(struct line *), compare_lines);
    }
    print_sums(&sums, &options);
    code = EXIT_FINE;
out:
    free(filter.states);
    free_sums(&sums);
    options_free(&command, &options);
    return code;
}
