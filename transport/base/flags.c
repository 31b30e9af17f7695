/* Flags from a table, on getopt_long(3). */
#include "flags.h"

#include "log.h"
#include "mem.h"
#include "version.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST = 256,
    MAX_ROWS = 64
}; /* above any character, so that no short flag can be meant */

static void help(const struct flag_program *program)
{
    (void)printf("%s: %s\n\nUsage: %s [FLAG]...\n\n", program->name, program->summary,
                 program->name);
    for (const struct flag_row *row = program->rows; row->name != NULL; row++) {
        int used = printf("  --%s%s%s", row->name, row->value != NULL ? " " : "",
                          row->value != NULL ? row->value : "");
        (void)printf("%*s%s%s\n", used < 28 ? 28 - used : 1, "", row->doc,
                     row->kind == FLAG_LIST ? "; may be given several times" : "");
    }
    (void)printf(
        "  --help                    this text\n  --version                 the version\n");
    if (program->notes != NULL) {
        (void)printf("\n%s", program->notes);
    }
}

static void store(const struct flag_row *row, void *target)
{
    char *place = (char *)target + row->offset;
    if (row->kind == FLAG_SWITCH) {
        *(bool *)place = true;
        return;
    }
    if (row->kind == FLAG_LIST) {
        struct flag_list *list = (struct flag_list *)(void *)place;
        list->items = mem_resize(list->items, list->count + 2, sizeof(char *));
        list->items[list->count++] = mem_text(optarg);
        list->items[list->count] = NULL;
        return;
    }
    char **text = (char **)(void *)place;
    free(*text);
    *text = mem_text(optarg);
}

static int count_rows(const struct flag_row *rows, struct option options[MAX_ROWS + 3])
{
    int count = 0;
    for (; count < MAX_ROWS && rows[count].name != NULL; count++) {
        options[count] = (struct option){rows[count].name, rows[count].kind != FLAG_SWITCH,
                                         NULL, FIRST + count};
    }
    options[count] = (struct option){"help", 0, NULL, FIRST + count};
    options[count + 1] = (struct option){"version", 0, NULL, FIRST + count + 1};
    return count;
}

int flag_read(const struct flag_program *program, int argc, char **argv, void *target)
{
    struct option options[MAX_ROWS + 3] = {0};
    int count = count_rows(program->rows, options);
    int chosen = 0;
    /* Called once, from main, before any thread starts. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((chosen = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (chosen == FIRST + count) {
            help(program);
            return FLAG_EXIT_OK;
        }
        if (chosen == FIRST + count + 1) {
            (void)printf("%s %s\n", program->name, TPN_VERSION_TEXT);
            return FLAG_EXIT_OK;
        }
        if (chosen < FIRST) {
            (void)fprintf(stderr, "Try %s --help.\n", program->name);
            return FLAG_EXIT_USAGE;
        }
        store(&program->rows[chosen - FIRST], target);
    }
    if (optind < argc) {
        (void)fprintf(stderr, "%s: %s: not expected here. Try %s --help.\n", program->name,
                      argv[optind], program->name);
        return FLAG_EXIT_USAGE;
    }
    return FLAG_GO_ON;
}

void flag_free(const struct flag_program *program, void *target)
{
    for (const struct flag_row *row = program->rows; row->name != NULL; row++) {
        char *place = (char *)target + row->offset;
        if (row->kind == FLAG_SWITCH) {
            continue;
        }
        if (row->kind == FLAG_LIST) {
            struct flag_list *list = (struct flag_list *)(void *)place;
            for (size_t i = 0; i < list->count; i++) {
                free(list->items[i]);
            }
            free(list->items);
            *list = (struct flag_list){0};
        } else {
            free(*(char **)(void *)place);
            *(char **)(void *)place = NULL;
        }
    }
}

void flag_over_text(char **target, const char *value)
{
    if (value != NULL) {
        free(*target);
        *target = mem_text(value);
    }
}

enum err flag_over_level(int *target, const char *value, struct buf *errors)
{
    enum log_level level = (enum log_level) * target;
    if (value != NULL && log_level_parse(value, &level) != ERR_OK) {
        buf_add_text(errors, "--log-level: must be error, warn, info or debug\n");
        return ERR_CONFIG;
    }
    *target = (int)level;
    return ERR_OK;
}
