/* Knows no mechanism: only what was sent. */
#include "redact.h"

#include <stdbool.h>
#include <string.h>

static void cover(char *text, size_t len)
{
    memset(text, '*', len);
}

static void cover_secret(char *text, const char *secret)
{
    size_t len = strlen(secret);
    if (len < REDACT_SECRET_BYTES) {
        return;
    }
    for (char *at = strstr(text, secret); at != NULL; at = strstr(at + len, secret)) {
        cover(at, len);
    }
}

/* Has the run a piece of REDACT_TOKEN_BYTES of what was sent? Pieces, because a quote or a prefix may stick to it. */
static bool has_part(const char *run, size_t len, const char *sent, size_t sent_len)
{
    for (size_t i = 0; i + REDACT_TOKEN_BYTES <= len; i++) {
        if (memmem(sent, sent_len, run + i, REDACT_TOKEN_BYTES) != NULL) {
            return true;
        }
    }
    return false;
}

void redact_text(char *text, const char *sent, size_t sent_len, const char *secret)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    cover_secret(text, secret);
    for (char *at = text; *at != '\0';) {
        size_t len = strspn(at, digits);
        if (has_part(at, len, sent, sent_len)) {
            cover(at, len);
        }
        at += len;
        at += strcspn(at, digits);
    }
}
