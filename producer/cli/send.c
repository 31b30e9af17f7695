/* tpn send: one notification.
 *
 * Builds a request of its options and leaves the rest to track.c. Files are read whole; how
 * large a request may be, and what its fields may hold, is the library's business. */
#include "commands.h"

#include "buf.h"
#include "mem.h"
#include "path.h"
#include "track.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART_MAX_BYTES = 25 * 1024 * 1024, WAIT_DEFAULT_S = 600 };

struct send_options {
    struct common_options common; /* first */
    const char *profile;
    const char *supersede_key;
    const char *from;
    struct option_texts to, cc, bcc, reply_to;
    const char *subject;
    const char *text;
    const char *text_file;
    const char *html_file;
    struct option_texts attach, labels;
    const char *id;
    bool bulk, urgent, one_each, wait;
    long wait_timeout_s;
};

#define FIELD(name) offsetof(struct send_options, name)

static const struct option_row rows[] = {
    {OPTION_TEXT, "profile", 'p', FIELD(profile), "NAME", "mailing settings to use"},
    {OPTION_TEXT, "from", 0, FIELD(from), "MAILBOX", "sender: address, or \"Name <address>\""},
    {OPTION_TEXTS, "to", 0, FIELD(to), "MAILBOX", "recipient"},
    {OPTION_TEXTS, "cc", 0, FIELD(cc), "MAILBOX", "copy"},
    {OPTION_TEXTS, "bcc", 0, FIELD(bcc), "MAILBOX", "blind copy"},
    {OPTION_TEXTS, "reply-to", 0, FIELD(reply_to), "MAILBOX", "where answers go"},
    {OPTION_TEXT, "subject", 's', FIELD(subject), "TEXT", "subject"},
    {OPTION_TEXT, "text", 0, FIELD(text), "TEXT", "body"},
    {OPTION_TEXT, "text-file", 0, FIELD(text_file), "FILE", "body from a file"},
    {OPTION_TEXT, "html-file", 0, FIELD(html_file), "FILE", "HTML body from a file"},
    {OPTION_TEXTS, "attach", 'a', FIELD(attach), "FILE", "attach a file"},
    {OPTION_TEXTS, "label", 0, FIELD(labels), "NAME=VALUE", "label, kept with the request"},
    {OPTION_TEXT, "id", 0, FIELD(id), "ID", "idempotency key: the same id is sent once"},
    {OPTION_TEXT, "supersede-key", 0, FIELD(supersede_key), "KEY",
     "take the place of what waits under this key"},
    {OPTION_FLAG, "bulk", 0, FIELD(bulk), NULL, "low priority"},
    {OPTION_FLAG, "urgent", 0, FIELD(urgent), NULL, "high priority"},
    {OPTION_FLAG, "one-each", 0, FIELD(one_each), NULL, "one mail to each recipient"},
    {OPTION_FLAG, "wait", 'w', FIELD(wait), NULL, "wait until every recipient is final"},
    {OPTION_NUMBER, "wait-timeout", 0, FIELD(wait_timeout_s), "SECONDS",
     "at most this long (600)"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "send",
    .arguments = "",
    .summary = "Send one notification. Without --text, --text-file and --html-file the body is "
               "read from standard input",
    .rows = rows,
};

/* ---- building ---- */

static void add_mailboxes(struct tpn_request *request, enum tpn_mailbox which,
                          const struct option_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        char *name = NULL;
        char *address = NULL;
        options_split_mailbox(texts->items[i], &name, &address);
        tpn_request_mailbox(request, which, name, address);
        free(name);
        free(address);
    }
}

static enum err read_stdin(struct buf *out, struct err_text *why)
{
    char block[16384];
    ssize_t got = 0;
    while ((got = read(STDIN_FILENO, block, sizeof block)) != 0) {
        if (got < 0 && errno != EINTR) {
            return err_set_errno(why, ERR_IO, errno, "standard input");
        }
        if (got > 0) {
            buf_add(out, block, (size_t)got);
        }
    }
    return buf_status(out) == ERR_OK
               ? ERR_OK
               : err_set(why, ERR_LIMIT, "standard input: larger than 25 MiB");
}

/* file null = standard input. */
static enum err add_part(struct tpn_request *request, enum tpn_text which, const char *file,
                         struct err_text *why)
{
    struct buf part;
    buf_init(&part, PART_MAX_BYTES);
    enum err err = file != NULL ? path_read(file, &part, why) : read_stdin(&part, why);
    if (err == ERR_OK && memchr(buf_text(&part), '\0', part.len) != NULL) {
        err = err_set(why, ERR_INVALID, "%s: has NUL bytes, it is no text",
                      file != NULL ? file : "standard input");
    }
    if (err == ERR_OK) {
        tpn_request_text(request, which, buf_text(&part));
    }
    buf_fini(&part);
    return err;
}

static enum err add_attachments(struct tpn_request *request, const struct option_texts *files,
                                struct err_text *why)
{
    for (size_t i = 0; i < files->count; i++) {
        struct buf content;
        buf_init(&content, PART_MAX_BYTES);
        enum err err = path_read(files->items[i], &content, why);
        if (err == ERR_OK) {
            const char *slash = strrchr(files->items[i], '/');
            tpn_request_attachment(request, slash != NULL ? slash + 1 : files->items[i], NULL,
                                   NULL, buf_text(&content), content.len);
        }
        buf_fini(&content);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err add_labels(struct tpn_request *request, const struct option_texts *labels,
                           struct err_text *why)
{
    for (size_t i = 0; i < labels->count; i++) {
        const char *equals = strchr(labels->items[i], '=');
        if (equals == NULL) {
            return err_set(why, ERR_INVALID, "--label %s: write NAME=VALUE", labels->items[i]);
        }
        char *name = mem_format("%.*s", (int)(equals - labels->items[i]), labels->items[i]);
        tpn_request_label(request, name, equals + 1);
        free(name);
    }
    return ERR_OK;
}

static enum err add_body(struct tpn_request *request, const struct send_options *options,
                         struct err_text *why)
{
    enum err err = ERR_OK;
    if (options->text != NULL) {
        tpn_request_text(request, TPN_TEXT, options->text);
    } else if (options->text_file != NULL || options->html_file == NULL) {
        err = add_part(request, TPN_TEXT, options->text_file, why);
    }
    if (err == ERR_OK && options->html_file != NULL) {
        err = add_part(request, TPN_HTML, options->html_file, why);
    }
    return err;
}

static enum err build(struct tpn_request *request, const struct send_options *options,
                      struct err_text *why)
{
    const struct option_texts from = {(const char **)(uintptr_t)&options->from, 1};
    add_mailboxes(request, TPN_FROM, &from);
    add_mailboxes(request, TPN_TO, &options->to);
    add_mailboxes(request, TPN_CC, &options->cc);
    add_mailboxes(request, TPN_BCC, &options->bcc);
    add_mailboxes(request, TPN_REPLY_TO, &options->reply_to);
    tpn_request_text(request, TPN_PROFILE, options->profile);
    tpn_request_text(request, TPN_SUBJECT, options->subject);
    tpn_request_text(request, TPN_ID, options->id);
    tpn_request_text(request, TPN_SUPERSEDE_KEY, options->supersede_key);
    tpn_request_number(request, TPN_PRIORITY, options->urgent ? 3 : options->bulk ? 1 : 2);
    tpn_request_number(request, TPN_SPLIT, options->one_each ? 2 : 1);
    tpn_request_number(request, TPN_KIND, 2);
    enum err err = add_body(request, options, why);
    if (err == ERR_OK) {
        err = add_attachments(request, &options->attach, why);
    }
    return err == ERR_OK ? add_labels(request, &options->labels, why) : err;
}

/* ---- sending ---- */

static void print_json(const struct track *track)
{
    struct buf out;
    struct json j;
    buf_init(&out, PART_MAX_BYTES);
    json_init(&j, &out);
    json_open(&j, NULL, '{');
    json_text(&j, "id", track->entries[0].id);
    json_text(&j, "receipt", tpn_receipt_word(track->entries[0].status));
    json_text(&j, "state", tpn_state_word(track->entries[0].state));
    track_json(track, &j);
    json_close(&j);
    printf("%s\n", buf_text(&out));
    buf_fini(&out);
}

static int publish(const struct tpn_request *request, const struct send_options *options,
                   struct err_text *why)
{
    struct track track = {0};
    const char *who = options->to.count > 0 ? options->to.items[0] : "-";
    int code = EXIT_USAGE;
    enum err err = track_open(&track, &options->common, 1,
                              options->wait ? TRACK_UNTIL_FINAL : TRACK_RECEIPTS_ONLY, why);
    if (err == ERR_OK) {
        err = track_publish(&track, request, who, why);
    }
    if (err != ERR_OK) {
        goto out;
    }
    track_receipts(&track);
    if (options->wait) {
        track_wait(&track, options->wait_timeout_s);
    }
    if (options->common.json) {
        print_json(&track);
    } else {
        printf("id %s\n", track.entries[0].id);
        track_print(&track);
    }
    code = track_exit_code(&track);
out:
    track_close(&track);
    return code;
}

static int send_one(const struct send_options *options)
{
    struct err_text why = {0};
    if (options->profile == NULL || options->from == NULL || options->subject == NULL) {
        return options_fail(&command, "--profile, --from and --subject are needed");
    }
    if (options->to.count + options->cc.count + options->bcc.count == 0) {
        return options_fail(&command, "no recipient: --to, --cc or --bcc is needed");
    }
    struct tpn_request *request = tpn_request_new();
    int code = EXIT_USAGE;
    if (build(request, options, &why) == ERR_OK) {
        code = publish(request, options, &why);
    }
    if (code == EXIT_USAGE) {
        (void)fprintf(stderr, "tpn send: %s\n", why.text);
    }
    tpn_request_free(&request);
    return code;
}

int command_send(int argc, char *argv[])
{
    struct send_options options = {.wait_timeout_s = WAIT_DEFAULT_S};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_RUN) {
        code = first < argc ? options_fail(&command, "%s: takes no arguments", argv[first])
                            : send_one(&options);
    }
    options_free(&command, &options);
    return code;
}
