/* Composes what it reads, for tests in other languages.
 *
 *   compose_tool [smtp|iis|exchange|plain] [each:N] [dkim:DOMAIN:SELECTOR:KEY]…
 *
 * stdin:  length (4 bytes, big-endian) and a packed NotificationRequest, repeated
 * stdout: length and an answer for each: 'M' and the mail, or 'E' and why there is none
 *
 * The dialect is that of the pickup route, default smtp. With each:N the mail is for recipient N only, as split.
 * dkim: signs with the PEM file KEY; given twice, with both keys. */
#include "compose.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 * 1024 * 1024 };

struct options {
    struct settings_plan plan;
    struct dkim_keys *keys;
    struct signer {
        char selector[64];
        char key[1024];
    } signers[2]; /* the texts that the plan borrows */
    bool one_each;
    uint32_t recipient;
};

/* DOMAIN:SELECTOR:KEY */
static bool parse_dkim(const char *text, struct options *options)
{
    struct settings_dkim *dkim = &options->plan.dkim;
    if (dkim->count == 2) {
        return false;
    }
    struct signer *signer = &options->signers[dkim->count];
    (void)snprintf(signer->key, sizeof signer->key, "file:");
    if (sscanf(text, "%255[^:]:%63[^:]:%1000s", dkim->domain, signer->selector,
               signer->key + 5) != 3) {
        return false;
    }
    dkim->keys[dkim->count++] =
        (struct settings_dkim_key){signer->selector, signer->key, "dkim_key"};
    return true;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct {
        const char *name;
        enum settings_route route;
        int dialect;
    } rows[] = {
        {"smtp", SETTINGS_SMTP, PB_DIALECT(IIS)},
        {"iis", SETTINGS_PICKUP, PB_DIALECT(IIS)},
        {"exchange", SETTINGS_PICKUP, PB_DIALECT(EXCHANGE)},
        {"plain", SETTINGS_PICKUP, PB_DIALECT(PLAIN)},
    };
    for (int i = 1; i < argc; i++) {
        bool known = strncmp(argv[i], "each:", 5) == 0;
        if (strncmp(argv[i], "dkim:", 5) == 0) {
            known = parse_dkim(argv[i] + 5, options);
        }
        if (strncmp(argv[i], "each:", 5) == 0) {
            options->one_each = true;
            options->recipient = (uint32_t)strtoul(argv[i] + 5, NULL, 10);
        }
        for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
            if (strcmp(argv[i], rows[row].name) == 0) {
                options->plan.route = rows[row].route;
                options->plan.dialect = rows[row].dialect;
                known = true;
            }
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

/* The next frame, or null at the end; the caller frees it. */
static uint8_t *read_frame(size_t *len)
{
    uint8_t head[4];
    if (fread(head, 1, sizeof head, stdin) != sizeof head) {
        return NULL;
    }
    *len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (*len > MAX_BYTES) {
        return NULL;
    }
    uint8_t *data = mem_zero(*len + 1, 1);
    if (fread(data, 1, *len, stdin) != *len) {
        free(data);
        return NULL;
    }
    return data;
}

static bool write_frame(char kind, const char *data, size_t len)
{
    size_t n = len + 1;
    const uint8_t head[5] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                             (uint8_t)n, (uint8_t)kind};
    return fwrite(head, 1, sizeof head, stdout) == sizeof head &&
           fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0;
}

static bool answer(const struct options *options, const PB(NotificationRequest) *request)
{
    struct delivery delivery = {0};
    struct err_text why = {0};
    size_t count = compose_recipient_count(request);
    uint32_t *all = mem_zero(count + 1, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i] = (uint32_t)i;
    }
    const struct compose_input input = {
        .request = request,
        .plan = &options->plan,
        .producer = "oracle",
        .accepted_at_ms = 1795420800123,
        .recipients = options->one_each ? &options->recipient : all,
        .recipient_count = options->one_each ? 1 : count,
        .one_each = options->one_each,
        .keys = options->keys,
    };
    bool good = compose_mail(&input, &delivery, &why) == ERR_OK
                    ? write_frame('M', buf_text(&delivery.content), delivery.content.len)
                    : write_frame('E', why.text, strlen(why.text));
    free(all);
    delivery_fini(&delivery);
    return good;
}

int main(int argc, char **argv)
{
    struct options options = {.plan = {.route = SETTINGS_SMTP}};
    if (!parse_options(argc, argv, &options)) {
        (void)fputs("usage: compose_tool [smtp|iis|exchange|plain] [each:N] "
                    "[dkim:DOMAIN:SELECTOR:KEY]...\n",
                    stderr);
        return 2;
    }
    size_t len = 0;
    bool good = true;
    options.keys = dkim_keys_new(NULL);
    for (uint8_t *data = read_frame(&len); good && data != NULL; data = read_frame(&len)) {
        PB(NotificationRequest) *request = PB_UNPACK(notification_request, len, data);
        good =
            request != NULL ? answer(&options, request) : write_frame('E', "not protobuf", 12);
        if (request != NULL) {
            protobuf_c_message_free_unpacked(&request->base, NULL);
        }
        free(data);
    }
    dkim_keys_free(&options.keys);
    return good ? 0 : 1;
}
