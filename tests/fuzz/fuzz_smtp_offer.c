/* What a mail server offers, line by line as libcurl hands it on: a reply to EHLO, read as the session reads it.
 *
 * Input: the bytes of the reply. A line ends at a newline; libcurl cuts nothing off, so NULs and long lines come through. */
#include "fuzz.h"

#include "settings_login.h"
#include "smtp_offer.h"
#include "smtp_reply.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void demand_offer(const struct smtp_offer *offer, const char *line, size_t len)
{
    demand(offer->size || offer->size_bytes == 0, "a size that was not offered");
    demand(!offer->size || memchr(line, 'S', len) != NULL || memchr(line, 's', len) != NULL,
           "SIZE from nowhere");
    demand(offer->mechanisms >> SETTINGS_MECHANISM_COUNT == 0, "a mechanism that is none");
    demand(!offer->pipelining || !offer->dsn, "two words of one line");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply *reply = mem_zero(1, sizeof *reply);
    const char *at = (const char *)data;
    for (size_t left = size; left > 0;) {
        const char *end = memchr(at, '\n', left);
        size_t len = end != NULL ? (size_t)(end - at) + 1 : left;
        char *line = mem_copy(at, len); /* of exactly that size */
        struct smtp_offer offer = {.pipelining = false};
        if (reply->state == SMTP_REPLY_BAD || reply->state == SMTP_REPLY_DONE) {
            smtp_reply_reset(reply);
        }
        (void)smtp_reply_feed(reply, line, len);
        demand(strnlen(reply->text, sizeof reply->text) < sizeof reply->text, "no end");
        size_t code = len > 4 ? 4 : 0;
        smtp_offer_take(&offer, line + code, len - code);
        demand_offer(&offer, line + code, len - code);
        free(line);
        at += len;
        left -= len;
    }
    free(reply);
    return 0;
}
