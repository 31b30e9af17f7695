/* What composing costs: microseconds a message, best of five rounds.
 *
 * usage: compose_bench [messages per round, default 20000] [PEM file of a DKIM key] */
#include "clock.h"
#include "compose.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, TEXT_BYTES = 4096, ATTACHMENT_BYTES = 100 * 1024 };

struct sample {
    const char *name;
    PB(Message) message;
    long fraction; /* of the messages of a round, for the slow ones */
};

static char *make_text(const char *line)
{
    size_t len = strlen(line);
    char *text = mem_zero(TEXT_BYTES + 1, 1);
    for (size_t used = 0; used + len <= TEXT_BYTES; used += len) {
        (void)snprintf(text + used, len + 1, "%s", line);
    }
    return text;
}

/* The bytes of one mail, or 0 when it failed. */
static size_t compose_once(const struct compose_input *input)
{
    struct delivery delivery = {0};
    struct err_text why = {0};
    size_t len = 0;
    if (compose_mail(input, &delivery, &why) == ERR_OK) {
        len = delivery.content.len;
    } else {
        (void)fprintf(stderr, "%s\n", why.text);
    }
    delivery_fini(&delivery);
    return len;
}

static bool run(struct sample *sample, const struct settings_plan *plan, long messages)
{
    static const uint32_t recipients[] = {0};
    PB(NotificationRequest) request = PB_INIT(NOTIFICATION_REQUEST);
    struct dkim_keys *keys = dkim_keys_new(NULL);
    char id[32];
    request.id = id;
    request.message = &sample->message;
    const struct compose_input input = {
        .request = &request,
        .plan = plan,
        .keys = keys,
        .producer = "bench",
        .recipients = recipients,
        .recipient_count = 1,
    };
    int64_t best_us = INT64_MAX;
    size_t len = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_us = clock_mono_us();
        for (long i = 0; i < messages; i++) {
            (void)snprintf(id, sizeof id, "id-%ld", i);
            len = compose_once(&input);
            if (len == 0) {
                dkim_keys_free(&keys);
                return false;
            }
        }
        int64_t took_us = clock_mono_us() - start_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    double each_us = (double)best_us / (double)messages;
    (void)printf("%-34s %8zu bytes %9.2f us %10.0f messages/s\n", sample->name, len, each_us,
                 1e6 / each_us);
    dkim_keys_free(&keys);
    return true;
}

int main(int argc, char **argv)
{
    long messages = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    if (messages < 100) {
        (void)fputs("usage: compose_bench [messages per round, 100 and up] [PEM file]\n",
                    stderr);
        return 2;
    }
    char address[] = "someone@example.test";
    char name[] = "Some One";
    char subject[] = "Calibration due";
    char file_name[] = "report.pdf";
    char *plain =
        make_text("The calibration of item 4711 is due on 2026-11-30, see the list.\n");
    char *quoted = make_text("Die Pr\xc3\xbc"
                             "fung von Ger\xc3\xa4t 4711 ist am 30. November f\xc3\xa4llig.\n");
    char *html =
        make_text("<p>The calibration of <b>item 4711</b> is due on 2026-11-30.</p>\n");
    uint8_t *bytes = mem_zero(ATTACHMENT_BYTES, 1);
    PB(Mailbox) mailbox = PB_INIT(MAILBOX);
    PB(Mailbox) *mailboxes[] = {&mailbox};
    PB(Attachment) attachment = PB_INIT(ATTACHMENT);
    PB(Attachment) *attachments[] = {&attachment};
    mailbox.name = name;
    mailbox.address = address;
    attachment.file_name = file_name;
    attachment.content = (ProtobufCBinaryData){ATTACHMENT_BYTES, bytes};

    PB(Message) message = PB_INIT(MESSAGE);
    message.from = &mailbox;
    message.to = mailboxes;
    message.n_to = 1;
    message.subject = subject;
    struct sample samples[] = {
        {"4 KB text", message, 1},
        {"4 KB text, quoted-printable", message, 1},
        {"4 KB HTML, text made of it", message, 1},
        {"4 KB text + HTML + 100 KB attached", message, 20},
    };
    samples[0].message.text = plain;
    samples[1].message.text = quoted;
    samples[2].message.html = html;
    samples[3].message.text = plain;
    samples[3].message.html = html;
    samples[3].message.attachments = attachments;
    samples[3].message.n_attachments = 1;
    struct settings_plan plan = {.route = SETTINGS_SMTP};
    char key[1024];
    bool good = true;
    if (argc > 2) {
        (void)snprintf(key, sizeof key, "file:%s", argv[2]);
        plan.dkim = (struct settings_dkim){
            .domain = "example.test", .keys = {{"bench", key, "dkim_key"}}, .count = 1};
    }
    for (size_t i = 0; good && i < sizeof samples / sizeof samples[0]; i++) {
        good = run(&samples[i], &plan, messages / samples[i].fraction);
    }
    free(plain);
    free(quoted);
    free(html);
    free(bytes);
    return good ? 0 : 1;
}
