/* Knows no mechanism: only what was sent. */
#include "redact.h"

#include "mem.h"
#include "secret.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void cover(char *text, size_t len)
{
    memset(text, '*', len);
}

/* The next byte of a text; with `encoded`, what its percent-encoding stands for. */
static char take_byte(const char **at, bool encoded)
{
    const char *c = *at;
    if (encoded && c[0] == '%' && isxdigit((unsigned char)c[1]) &&
        isxdigit((unsigned char)c[2])) {
        const char digits[] = {c[1], c[2], '\0'};
        *at += 3;
        return (char)strtoul(digits, NULL, 16);
    }
    *at += 1;
    if (encoded && *c == '+') {
        return ' ';
    }
    return *c;
}

/* Length of what the text begins with when that is the secret, or enough of it before it was cut off; else 0. */
static size_t match_secret(const char *text, bool encoded, const char *secret, size_t len)
{
    const char *end = text;
    size_t same = 0;
    for (const char *at = text; same < len && *at != '\0'; same++) {
        if (take_byte(&at, encoded) != secret[same]) {
            break;
        }
        end = at;
    }
    return same == len || same >= REDACT_CUT_BYTES ? (size_t)(end - text) : 0;
}

static void cover_secret(char *text, const char *secret)
{
    size_t len = strlen(secret);
    if (len < REDACT_SECRET_BYTES) {
        return;
    }
    for (char *at = text; *at != '\0';) {
        size_t raw = match_secret(at, false, secret, len);
        size_t encoded = match_secret(at, true, secret, len);
        size_t found = raw > encoded ? raw : encoded;
        cover(at, found);
        at += found > 0 ? found : 1;
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

static void cover_value(char *text, const char *value, size_t len)
{
    char *secret = mem_zero(len + 1, 1);
    const char *at = value;
    for (size_t i = 0; at < value + len; i++) {
        secret[i] = take_byte(&at, true);
    }
    cover_secret(text, secret);
    secret_free(&secret);
}

void redact_form(char *text, const char *form)
{
    static const char *const names[] = {"client_secret=", "refresh_token=", "assertion="};
    while (*form != '\0') {
        size_t len = strcspn(form, "&");
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            size_t skip = strlen(names[i]);
            if (strncmp(form, names[i], skip) == 0) {
                cover_value(text, form + skip, len - skip);
            }
        }
        form += len;
        form += strspn(form, "&");
    }
}
