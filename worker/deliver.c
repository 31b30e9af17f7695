/* What all back ends share: the table of them, and the one way to write an outcome.
 *
 * A server's words go into protobuf strings and into logs, so they are cut to printable UTF-8 here, once. */
#include "deliver.h"

#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

static const struct deliver_backend *const backends[SETTINGS_ROUTE_COUNT] = {
    [SETTINGS_SMTP] = &deliver_smtp,
    [SETTINGS_PICKUP] = &deliver_pickup,
    [SETTINGS_CLIENT] = &deliver_client,
};

const struct deliver_backend *deliver_backend_of(enum settings_route route)
{
    if ((unsigned)route >= SETTINGS_ROUTE_COUNT) {
        bug("no back end for route %d", (int)route);
    }
    return backends[route];
}

/* Whole characters of text, at most room bytes; a control byte becomes a blank, a byte that is no UTF-8 a '?'. */
size_t deliver_clean(char *out, size_t room, const char *text)
{
    size_t left = strnlen(text, room);
    size_t used = 0;
    while (left > 0) {
        uint32_t code;
        size_t n = utf8_next(text, left, &code);
        if (n == 0 && left < 4 && utf8_next(text, strnlen(text, 4), &code) > 0) {
            break; /* a good character that does not fit as a whole */
        }
        bool control = n > 0 && (code < 0x20 || (code >= 0x7f && code < 0xa0));
        if (n > 0 && !control) {
            memcpy(out + used, text, n);
            used += n;
        } else {
            out[used++] = control ? ' ' : '?';
            n = n > 0 ? n : 1;
        }
        text += n;
        left -= n;
    }
    return used;
}

void deliver_set(struct deliver_recipient *recipient, struct outcome outcome, int phase,
                 unsigned code, const char *enhanced, const char *text)
{
    char cleaned[DELIVER_TEXT_BYTES];
    recipient->outcome = outcome.outcome;
    recipient->class = outcome.class;
    recipient->phase = phase;
    recipient->code = code;
    size_t len =
        deliver_clean(cleaned, DELIVER_ENHANCED_BYTES - 1, enhanced != NULL ? enhanced : "");
    memcpy(recipient->enhanced, cleaned, len);
    recipient->enhanced[len] = '\0';
    /* The old text may be the new one's source. */
    len = deliver_clean(cleaned, DELIVER_TEXT_BYTES - 1, text != NULL ? text : "");
    cleaned[len] = '\0';
    free(recipient->text);
    recipient->text = len > 0 ? mem_text(cleaned) : NULL;
}

void deliver_set_rest(struct delivery *delivery, struct outcome outcome, int phase,
                      unsigned code, const char *enhanced, const char *text)
{
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        if (delivery->recipients[i].outcome == PB_OUTCOME(PENDING)) {
            deliver_set(&delivery->recipients[i], outcome, phase, code, enhanced, text);
        }
    }
}

void delivery_fini(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        free(delivery->recipients[i].text);
    }
    free(delivery->recipients);
    delivery->recipients = NULL;
    delivery->recipient_count = 0;
    buf_fini(&delivery->content);
}
