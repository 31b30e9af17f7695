/* What GMime asks for composing the mails of compose_bench: microseconds a message, best of five rounds.
 *
 * usage: gmime_bench [messages per round, default 20000]
 *
 * It makes the object tree of each message anew and writes it, with CR LF, into memory: what a program does that composes with it. The
 * kind "HTML, text made of it" is not here, for GMime makes no text of HTML. */
#include <gmime/gmime.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5, TEXT_BYTES = 4096, ATTACHMENT_BYTES = 100 * 1024, LEAST_MESSAGES = 100 };

struct sample {
    const char *name;
    const char *text;
    const char *html;       /* null = none */
    const char *attachment; /* null = none */
    long fraction;          /* of the messages of a round, for the slow ones */
};

static double now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static char *make_text(const char *line)
{
    size_t len = strlen(line);
    char *text = g_malloc0(TEXT_BYTES + 1);
    for (size_t used = 0; used + len <= TEXT_BYTES; used += len) {
        (void)snprintf(text + used, len + 1, "%s", line);
    }
    return text;
}

static GMimeObject *make_text_part(const char *subtype, const char *text)
{
    GMimeTextPart *part = g_mime_text_part_new_with_subtype(subtype);
    g_mime_text_part_set_charset(part, "utf-8");
    g_mime_text_part_set_text(part, text);
    g_mime_part_set_content_encoding(GMIME_PART(part),
                                     g_mime_part_get_best_content_encoding(
                                         GMIME_PART(part), GMIME_ENCODING_CONSTRAINT_7BIT));
    return GMIME_OBJECT(part);
}

static GMimeObject *make_attachment(const char *bytes)
{
    GMimePart *part = g_mime_part_new_with_type("application", "pdf");
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(bytes, ATTACHMENT_BYTES);
    GMimeDataWrapper *content =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_part_set_content(part, content);
    g_mime_part_set_filename(part, "report.pdf");
    g_mime_object_set_disposition(GMIME_OBJECT(part), GMIME_DISPOSITION_ATTACHMENT);
    g_mime_part_set_content_encoding(part, GMIME_CONTENT_ENCODING_BASE64);
    g_object_unref(content);
    g_object_unref(stream);
    return GMIME_OBJECT(part);
}

/* The two in a multipart of that kind; takes both. */
static GMimeObject *join(const char *subtype, GMimeObject *first, GMimeObject *second)
{
    GMimeMultipart *both = g_mime_multipart_new_with_subtype(subtype);
    g_mime_multipart_add(both, first);
    g_mime_multipart_add(both, second);
    g_object_unref(first);
    g_object_unref(second);
    return GMIME_OBJECT(both);
}

/* The bytes of one mail. */
static size_t compose_once(const struct sample *sample, GMimeFormatOptions *options,
                           long number)
{
    char id[64];
    GMimeMessage *message = g_mime_message_new(TRUE);
    GDateTime *date = g_date_time_new_now_utc();
    GMimeObject *body = make_text_part("plain", sample->text);
    if (sample->html != NULL) {
        body = join("alternative", body, make_text_part("html", sample->html));
    }
    if (sample->attachment != NULL) {
        body = join("mixed", body, make_attachment(sample->attachment));
    }
    (void)snprintf(id, sizeof id, "id-%ld@example.test", number);
    g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_FROM, "Some One",
                               "someone@example.test");
    g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_TO, "Some One",
                               "someone@example.test");
    g_mime_message_set_subject(message, "Calibration due", "utf-8");
    g_mime_message_set_message_id(message, id);
    g_mime_message_set_date(message, date);
    g_mime_message_set_mime_part(message, body);
    GMimeStream *out = g_mime_stream_mem_new();
    gssize written = g_mime_object_write_to_stream(GMIME_OBJECT(message), options, out);
    g_object_unref(out);
    g_object_unref(body);
    g_object_unref(message);
    g_date_time_unref(date);
    return written > 0 ? (size_t)written : 0;
}

static bool run(const struct sample *sample, long messages)
{
    GMimeFormatOptions *options = g_mime_format_options_new();
    double best_us = 0;
    size_t len = 1;
    g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS);
    for (int round = 0; round < ROUNDS; round++) {
        double start_us = now_us();
        for (long i = 0; i < messages && len > 0; i++) {
            len = compose_once(sample, options, i);
        }
        double took_us = now_us() - start_us;
        best_us = round == 0 || took_us < best_us ? took_us : best_us;
    }
    double each_us = best_us / (double)messages;
    (void)printf("%-34s %8zu bytes %9.2f us %10.0f messages/s\n", sample->name, len, each_us,
                 1e6 / each_us);
    g_mime_format_options_free(options);
    return len > 0;
}

int main(int argc, char **argv)
{
    long messages = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    if (messages < LEAST_MESSAGES) {
        (void)fputs("usage: gmime_bench [messages per round, 100 and up]\n", stderr);
        return 2;
    }
    g_mime_init();
    char *plain =
        make_text("The calibration of item 4711 is due on 2026-11-30, see the list.\n");
    char *quoted = make_text("Die Pr\xc3\xbc"
                             "fung von Ger\xc3\xa4t 4711 ist am 30. November f\xc3\xa4llig.\n");
    char *html =
        make_text("<p>The calibration of <b>item 4711</b> is due on 2026-11-30.</p>\n");
    char *bytes = g_malloc0(ATTACHMENT_BYTES);
    const struct sample samples[] = {
        {"4 KB text", plain, NULL, NULL, 1},
        {"4 KB text, quoted-printable", quoted, NULL, NULL, 1},
        {"4 KB text + HTML + 100 KB attached", plain, html, bytes, 20},
    };
    bool good = true;
    for (size_t i = 0; good && i < sizeof samples / sizeof samples[0]; i++) {
        good = run(&samples[i], messages / samples[i].fraction);
    }
    g_free(plain);
    g_free(quoted);
    g_free(html);
    g_free(bytes);
    g_mime_shutdown();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
