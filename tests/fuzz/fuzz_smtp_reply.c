/* SMTP replies: the same bytes give the same replies however they are cut.
 *
 * Input: a byte (the size of the pieces), then what a server sent. */
#include "fuzz.h"

#include "smtp_reply.h"

#include <string.h>

static void demand_reply(const struct smtp_reply *reply)
{
    demand(reply->code >= 200 && reply->code <= 599, "code %u", reply->code);
    demand(strnlen(reply->text, sizeof reply->text) < sizeof reply->text, "no end of text");
    demand(strchr(reply->text, '\n') == NULL, "a line end in the text");
    demand(reply->enhanced[0] == '\0' ||
               (unsigned)(reply->enhanced[0] - '0') == reply->code / 100,
           "%u with %s", reply->code, reply->enhanced);
    demand(reply->enhanced[0] == '\0' ||
               smtp_reply_enhanced(reply->enhanced, strlen(reply->enhanced)) ==
                   strlen(reply->enhanced),
           "enhanced code %s", reply->enhanced);
}

/* FNV-1a, 64 bits: enough to tell two runs apart. */
static void mix(uint64_t *sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        *sum = (*sum ^ bytes[i]) * UINT64_C(1099511628211);
    }
}

/* All replies in data, fed in pieces; returns a hash of what was read. */
static uint64_t read_all(const char *data, size_t size, size_t piece)
{
    static const struct smtp_reply nothing;
    struct smtp_reply reply = nothing;
    uint64_t sum = UINT64_C(14695981039346656037);
    size_t at = 0;
    while (at < size && reply.state != SMTP_REPLY_BAD) {
        size_t len = size - at < piece ? size - at : piece;
        size_t taken = smtp_reply_feed(&reply, data + at, len);
        demand(taken <= len, "%zu of %zu bytes taken", taken, len);
        demand(taken > 0 || reply.state == SMTP_REPLY_BAD, "nothing taken");
        at += taken;
        if (reply.state == SMTP_REPLY_DONE) {
            demand_reply(&reply);
            mix(&sum, &reply.code, sizeof reply.code);
            mix(&sum, reply.enhanced, strlen(reply.enhanced) + 1);
            mix(&sum, reply.text, strlen(reply.text) + 1);
        } else if (reply.state == SMTP_REPLY_BAD) {
            mix(&sum, "bad", sizeof "bad");
        } else {
            demand(taken == len, "bytes left, but the reply goes on");
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t piece = 1U + data[0] % 32;
    demand(read_all(text, size - 1, size) == read_all(text, size - 1, piece),
           "pieces of %zu bytes give other replies", piece);
    return 0;
}
