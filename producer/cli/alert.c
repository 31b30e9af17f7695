/* tpn alert: one notification for each custodian who has items that are due.
 *
 * due.c reads the table, alert_mail.c and alert_calendar.c write the mails, track.c publishes them. Bad rows stop
 * the job before anything is sent, unless --skip-bad-rows: half an alert that looks like a
 * whole one is worse than none. Running the job twice mails nobody twice: the id is made of
 * custodian, day and items. */
#include "commands.h"

#include "alert_calendar.h"
#include "alert_mail.h"
#include "due.h"
#include "path.h"
#include "track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_DEFAULT_S = 3600, JSON_MAX_BYTES = 256 * 1024 * 1024 };

struct alert_options {
    struct common_options common; /* first */
    const char *items;
    const char *profile;
    const char *from;
    const char *today;
    const char *subject;
    const char *date_format;
    long early_warning_days;
    long wait_timeout_s;
    bool skip_bad_rows, calendar, dry_run, wait;
};

#define FIELD(name) offsetof(struct alert_options, name)

static const struct option_row rows[] = {
    {OPTION_TEXT, "items", 'i', FIELD(items), "FILE", "table of items, CSV"},
    {OPTION_TEXT, "profile", 'p', FIELD(profile), "NAME", "mailing settings to use"},
    {OPTION_TEXT, "from", 0, FIELD(from), "MAILBOX", "sender: address, or \"Name <address>\""},
    {OPTION_TEXT, "today", 0, FIELD(today), "DATE", "year-month-day to take for today"},
    {OPTION_NUMBER, "early-warning", 'e', FIELD(early_warning_days), "DAYS",
     "also what is due within DAYS (0)"},
    {OPTION_TEXT, "date-format", 0, FIELD(date_format), "ORDER",
     "auto, dmy, mdy or iso: how to read 3/4/2026 (auto)"},
    {OPTION_TEXT, "subject", 's', FIELD(subject), "TEXT",
     "subject; {items} and {past_due} become numbers"},
    {OPTION_FLAG, "calendar", 0, FIELD(calendar), NULL,
     "add a calendar with an event for each item"},
    {OPTION_FLAG, "skip-bad-rows", 0, FIELD(skip_bad_rows), NULL, "go on with the good rows"},
    {OPTION_FLAG, "dry-run", 'n', FIELD(dry_run), NULL,
     "print what would be sent, send nothing"},
    {OPTION_FLAG, "wait", 'w', FIELD(wait), NULL, "wait until every recipient is final"},
    {OPTION_NUMBER, "wait-timeout", 0, FIELD(wait_timeout_s), "SECONDS",
     "at most this long (3600)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "alert",
    .arguments = "",
    .summary = "Tell custodians which items are due",
    .rows = rows,
};

static const char rule_help[] =
    "An item counts when its status is Active, its date done is empty, and its due date is "
    "before today,\n"
    "or within the --early-warning days.\n\n"
    "The table: comma, semicolon or tab; UTF-8, UTF-16 with a mark, or Windows-1252; fields in "
    "quotes may hold\n"
    "line breaks. Dates: 2026-11-23, 23.11.2026, and 11/23/2026 with --date-format; a time "
    "behind is ignored.\n"
    "Columns are found by their header; blanks, punctuation and case do not matter:\n";

/* ---- options ---- */

static enum err parse_order(const char *text, enum due_date_order *order)
{
    static const char *const names[] = {[DUE_ORDER_AUTO] = "auto",
                                        [DUE_ORDER_DMY] = "dmy",
                                        [DUE_ORDER_MDY] = "mdy",
                                        [DUE_ORDER_ISO] = "iso"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *order = (enum due_date_order)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static int check_options(const struct alert_options *options, struct due_rule *rule)
{
    struct err_text why = {0};
    if (options->items == NULL) {
        return options_fail(&command, "--items is needed");
    }
    if (options->calendar && options->from == NULL) {
        return options_fail(&command,
                            "--calendar needs --from: it names who publishes the events");
    }
    if (!options->dry_run && (options->profile == NULL || options->from == NULL)) {
        return options_fail(&command, "--profile and --from are needed");
    }
    if (options->early_warning_days > 3650) {
        return options_fail(&command, "--early-warning: at most 3650 days");
    }
    if (parse_order(options->date_format, &rule->order) != ERR_OK) {
        return options_fail(&command, "--date-format: auto, dmy, mdy or iso");
    }
    rule->early_warning_days = (unsigned)options->early_warning_days;
    rule->today = due_today();
    if (options->today != NULL &&
        due_parse_day(options->today, DUE_ORDER_ISO, &rule->today, &why) != ERR_OK) {
        return options_fail(&command, "--today: %s", why.text);
    }
    return EXIT_FINE;
}

/* ---- the mail of one custodian ---- */

struct mail {
    char id[ALERT_ID_BYTES];
    struct buf subject, text, html, calendar;
};

/* Left out when it would be larger than a calendar may be: the list in the mail is whole. */
static void add_calendar(struct mail *mail, const struct due_custodian *custodian,
                         due_day today, const char *from)
{
    struct alert_organizer organizer;
    char *name = NULL;
    char *address = NULL;
    options_split_mailbox(from, &name, &address);
    organizer = (struct alert_organizer){name, address};
    alert_calendar(&mail->calendar, custodian, today, &organizer);
    if (buf_status(&mail->calendar) != ERR_OK) {
        (void)fprintf(stderr, "tpn alert: %s: too many items for a calendar, sent without\n",
                      custodian->address);
        buf_reset(&mail->calendar);
    }
    free(name);
    free(address);
}

static void mail_init(struct mail *mail, const struct due_custodian *custodian, due_day today,
                      const struct alert_options *options)
{
    (void)alert_mail_id(custodian, today, mail->id);
    buf_init(&mail->subject, ALERT_PART_MAX_BYTES);
    buf_init(&mail->text, ALERT_PART_MAX_BYTES);
    buf_init(&mail->html, ALERT_PART_MAX_BYTES);
    buf_init(&mail->calendar, ALERT_CALENDAR_MAX_BYTES);
    alert_mail_subject(&mail->subject, custodian, options->subject);
    alert_mail_text(&mail->text, custodian, today);
    alert_mail_html(&mail->html, custodian, today);
    if (options->calendar) {
        add_calendar(mail, custodian, today, options->from);
    }
}

static enum err mail_status(const struct mail *mail)
{
    enum err err = buf_status(&mail->subject);
    err = err == ERR_OK ? buf_status(&mail->text) : err;
    return err == ERR_OK ? buf_status(&mail->html) : err;
}

static void mail_fini(struct mail *mail)
{
    buf_fini(&mail->subject);
    buf_fini(&mail->text);
    buf_fini(&mail->html);
    buf_fini(&mail->calendar);
}

static struct tpn_request *build(const struct mail *mail, const struct due_custodian *custodian,
                                 const struct alert_options *options, due_day today)
{
    struct tpn_request *request = tpn_request_new();
    char *name = NULL;
    char *address = NULL;
    char day[DUE_DAY_BYTES];
    char count[32];
    options_split_mailbox(options->from, &name, &address);
    (void)snprintf(count, sizeof count, "%zu", custodian->count);
    tpn_request_text(request, TPN_ID, mail->id);
    tpn_request_number(request, TPN_KIND, 1);
    tpn_request_text(request, TPN_PROFILE, options->profile);
    tpn_request_mailbox(request, TPN_FROM, name, address);
    tpn_request_mailbox(request, TPN_TO, custodian->name, custodian->address);
    tpn_request_text(request, TPN_SUBJECT, buf_text(&mail->subject));
    tpn_request_text(request, TPN_TEXT, buf_text(&mail->text));
    tpn_request_text(request, TPN_HTML, buf_text(&mail->html));
    if (mail->calendar.len > 0) {
        tpn_request_calendar(request, mail->calendar.data, mail->calendar.len);
    }
    tpn_request_label(request, "custodian",
                      custodian->name[0] != '\0' ? custodian->name : custodian->address);
    tpn_request_label(request, "day", due_day_text(today, day));
    tpn_request_label(request, "items", count);
    free(name);
    free(address);
    return request;
}

/* ---- sending ---- */

/* ERR_AGAIN: stop, no broker answers. A request that breaks a rule is kept in the report, the
 * others go on. */
static enum err publish_one(struct track *track, const struct due_custodian *custodian,
                            const struct alert_options *options, due_day today)
{
    struct mail mail;
    struct err_text why = {0};
    mail_init(&mail, custodian, today, options);
    enum err err = mail_status(&mail);
    if (err == ERR_OK) {
        struct tpn_request *request = build(&mail, custodian, options, today);
        err = track_publish(track, request, custodian->address, &why);
        tpn_request_free(&request);
    } else {
        (void)fprintf(stderr, "tpn alert: %s: more items than fit into one mail\n",
                      custodian->address);
    }
    mail_fini(&mail);
    return err;
}

static void print_report(const struct track *track, const struct due_list *list,
                         const struct alert_options *options)
{
    if (!options->common.json) {
        printf("%zu items due, of %zu rows; %zu custodians\n", list->items, list->rows,
               list->count);
        track_print(track);
        return;
    }
    struct buf out;
    struct json j;
    buf_init(&out, JSON_MAX_BYTES);
    json_init(&j, &out);
    json_open(&j, NULL, '{');
    json_uint(&j, "rows", list->rows);
    json_uint(&j, "bad_rows", list->bad_rows);
    json_uint(&j, "items", list->items);
    json_uint(&j, "custodians", list->count);
    track_json(track, &j);
    json_close(&j);
    printf("%s\n", buf_text(&out));
    buf_fini(&out);
}

static int send_all(const struct due_list *list, const struct alert_options *options,
                    due_day today)
{
    struct track track = {0};
    struct err_text why = {0};
    int code = EXIT_USAGE;
    enum err err = track_open(&track, &options->common, list->count,
                              options->wait ? TRACK_UNTIL_FINAL : TRACK_RECEIPTS_ONLY, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn alert: %s\n", why.text);
        goto out;
    }
    for (size_t i = 0; i < list->count && err != ERR_AGAIN; i++) {
        err = publish_one(&track, &list->custodians[i], options, today);
    }
    track_receipts(&track);
    if (options->wait) {
        track_wait(&track, options->wait_timeout_s);
    }
    print_report(&track, list, options);
    code = track_exit_code(&track);
out:
    track_close(&track);
    return code;
}

/* ---- --dry-run ---- */

static void dry_json(struct json *j, const struct mail *mail,
                     const struct due_custodian *custodian)
{
    json_open(j, NULL, '{');
    json_text(j, "id", mail->id);
    json_text(j, "to", custodian->address);
    json_text(j, "name", custodian->name);
    json_uint(j, "items", custodian->count);
    json_uint(j, "past_due", custodian->past_due);
    json_text(j, "subject", buf_text(&mail->subject));
    json_text(j, "text", buf_text(&mail->text));
    json_text(j, "html", buf_text(&mail->html));
    if (mail->calendar.len > 0) {
        json_text(j, "calendar", buf_text(&mail->calendar));
    }
    json_close(j);
}

/* One JSON object a line, so that a list of any length can be read piece by piece. */
static int dry_run(const struct due_list *list, const struct alert_options *options,
                   due_day today)
{
    for (size_t i = 0; i < list->count; i++) {
        struct mail mail;
        mail_init(&mail, &list->custodians[i], today, options);
        if (options->common.json) {
            struct buf out;
            struct json j;
            buf_init(&out, JSON_MAX_BYTES);
            json_init(&j, &out);
            dry_json(&j, &mail, &list->custodians[i]);
            printf("%s\n", buf_text(&out));
            buf_fini(&out);
        } else {
            printf("Id: %s\nTo: %s <%s>\nSubject: %s\n\n%s\n", mail.id,
                   list->custodians[i].name, list->custodians[i].address,
                   buf_text(&mail.subject), buf_text(&mail.text));
        }
        mail_fini(&mail);
    }
    if (!options->common.json) {
        printf("%zu items due, of %zu rows; %zu custodians; nothing was sent\n", list->items,
               list->rows, list->count);
    }
    return EXIT_FINE;
}

/* ---- the command ---- */

static enum err read_list(const struct alert_options *options, const struct due_rule *rule,
                          struct due_list *list, struct err_text *why)
{
    struct buf file;
    /* Twice the limit of a table: UTF-16 shrinks when it is made UTF-8. */
    buf_init(&file, (size_t)2 * 64 * 1024 * 1024);
    enum err err = path_read(options->items, &file, why);
    if (err == ERR_OK) {
        err = due_read(buf_text(&file), file.len, rule, list, why);
    }
    buf_fini(&file);
    return err;
}

static int run(const struct alert_options *options, const struct due_rule *rule)
{
    struct due_list list = {0};
    struct err_text why = {0};
    int code = EXIT_USAGE;
    if (read_list(options, rule, &list, &why) != ERR_OK) {
        (void)fprintf(stderr, "tpn alert: %s: %s\n", options->items, why.text);
        goto out;
    }
    (void)fputs(buf_text(&list.bad), stderr);
    if (list.no_date > 0) {
        (void)fprintf(stderr, "%zu active rows have no due date: they do not count\n",
                      list.no_date);
    }
    if (list.bad_rows > 0 && !options->skip_bad_rows) {
        (void)fprintf(stderr,
                      "tpn alert: %zu bad rows; nothing was sent (--skip-bad-rows goes on "
                      "without them)\n",
                      list.bad_rows);
        goto out;
    }
    code = options->dry_run ? dry_run(&list, options, rule->today)
                            : send_all(&list, options, rule->today);
out:
    due_free(&list);
    return code;
}

int command_alert(int argc, char *argv[])
{
    struct alert_options options = {.wait_timeout_s = WAIT_DEFAULT_S, .date_format = "auto"};
    struct due_rule rule = {0};
    struct command described = command;
    struct buf help;
    int first = 0;
    int code = EXIT_USAGE;
    buf_init(&help, (size_t)64 * 1024);
    buf_add_text(&help, rule_help);
    due_describe_columns(&help);
    described.more = buf_text(&help);
    enum options_result read = options_read(&described, argc, argv, &options, &first, &code);
    buf_fini(&help);
    if (read == OPTIONS_STOP) {
        return code;
    }
    if (first < argc) {
        return options_fail(&command, "%s: takes no arguments", argv[first]);
    }
    code = check_options(&options, &rule);
    return code == EXIT_FINE ? run(&options, &rule) : code;
}
