/* SMTP replies: the same bytes give the same replies however they are cut.
 *
 * Input: a byte (the size of the pieces), then what a server sent. */
#include "fuzz.h"

#include "smtp_reply.h"
#include "text.h"

#include "digest.h"

#include <stdio.h>
#include <string.h>

static void demand_reply(const struct smtp_reply *reply)
{
    demand(reply->code >= 200 && reply->code <= 599, "code %u", reply->code);
    demand(strnlen(reply->text, sizeof reply->text) < sizeof reply->text, "no end of text");
    demand(strpbrk(reply->text, "\r\n") == NULL, "a line end in the text");
    demand(reply->enhanced[0] == '\0' ||
               (unsigned)(reply->enhanced[0] - '0') == reply->code / 100,
           "%u with %s", reply->code, reply->enhanced);
    demand(reply->enhanced[0] == '\0' ||
               smtp_reply_enhanced(reply->enhanced, strlen(reply->enhanced)) ==
                   strlen(reply->enhanced),
           "enhanced code %s", reply->enhanced);
}

/* All replies in data, fed in pieces; a digest of what was read. */
static void read_all(const char *data, size_t size, size_t piece, uint8_t out[DIGEST_BYTES])
{
    static const struct smtp_reply nothing;
    struct smtp_reply reply = nothing;
    char line[DELIVER_TEXT_BYTES + 64];
    uint8_t sum[2 * DIGEST_BYTES] = {0};
    size_t at = 0;
    while (at < size && reply.state != SMTP_REPLY_BAD) {
        size_t len = size - at < piece ? size - at : piece;
        size_t taken = smtp_reply_feed(&reply, data + at, len);
        demand(taken <= len, "%zu of %zu bytes taken", taken, len);
        demand(taken > 0 || reply.state == SMTP_REPLY_BAD, "nothing taken");
        at += taken;
        if (reply.state == SMTP_REPLY_MORE) {
            demand(taken == len, "bytes left, but the reply goes on");
            continue;
        }
        int n = 3;
        if (reply.state == SMTP_REPLY_DONE) {
            demand_reply(&reply);
            n = snprintf(line, sizeof line, "%u %s %s", reply.code, reply.enhanced, reply.text);
        } else {
            memcpy(line, "bad", 3);
        }
        digest_sha256(line, (size_t)n, sum + DIGEST_BYTES);
        digest_sha256(sum, sizeof sum, sum);
    }
    memcpy(out, sum, DIGEST_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t whole[DIGEST_BYTES];
    uint8_t cut[DIGEST_BYTES];
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    read_all(text, size - 1, size, whole);
    read_all(text, size - 1, 1U + data[0] % 32, cut);
    demand(memcmp(whole, cut, DIGEST_BYTES) == 0, "pieces of %u bytes give other replies",
           1U + data[0] % 32);
    return 0;
}
