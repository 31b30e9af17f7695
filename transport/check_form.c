/* The forms of texts: which characters each may hold.
 *
 * Sets are narrower than the RFCs where a wider one would mean something to a program on the way (a log, a topic, a file
 * name, a header). Lengths are not looked at. Plain ASCII lines and bodies go 64 bytes a step (text.h). */
#include "check_form.h"

#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char *const form_texts[CHECK_FORM_COUNT] = {
    [CHECK_LINE] = "must not contain CR, LF or other control characters",
    [CHECK_TEXT] = "must not contain control characters other than tab, CR and LF",
    [CHECK_ID] = "may only contain letters, digits and . _ : @ + = -",
    [CHECK_HEADER_NAME] = "may only contain letters, digits, - and _",
    [CHECK_MEDIA_TYPE] = "must be type/subtype without parameters",
    [CHECK_CONTENT_ID] =
        "may only contain visible ASCII without < > ( ) , quotes and backslash",
    [CHECK_URI] =
        "must be a mailto: or https: URI of visible ASCII without < > quotes and backslash",
};

const char *check_form_text(enum check_form form)
{
    if ((unsigned)form >= CHECK_FORM_COUNT || form_texts[form] == NULL) {
        return "";
    }
    return form_texts[form];
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20U) >= 'a' && (c | 0x20U) <= 'z');
}

/* True for letters, digits and the bytes of extra. */
static bool all_of(const uint8_t *p, size_t len, const char *extra)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(p[i]) && (p[i] == '\0' || strchr(extra, p[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

/* True for visible ASCII without the bytes of barred. */
static bool none_of(const uint8_t *p, size_t len, const char *barred)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] < 0x21 || p[i] > 0x7e || strchr(barred, p[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* type "/" subtype, each of the characters of RFC 6838 4.2. */
static bool is_media_type(const uint8_t *p, size_t len)
{
    static const char extra[] = "!#$&-^_.+";
    const uint8_t *slash = memchr(p, '/', len);
    if (slash == NULL) {
        return false;
    }
    size_t left = (size_t)(slash - p);
    size_t right = len - left - 1;
    return left > 0 && right > 0 && all_of(p, left, extra) && all_of(slash + 1, right, extra);
}

static bool is_uri(const uint8_t *p, size_t len)
{
    bool scheme =
        (len > 7 && memcmp(p, "mailto:", 7) == 0) || (len > 8 && memcmp(p, "https://", 8) == 0);
    return scheme && none_of(p, len, "<>\"\\");
}

const char *check_form_fault(enum check_form form, const void *text, size_t len)
{
    const uint8_t *p = text;
    bool good = true;
    switch (form) {
    case CHECK_LINE:
    case CHECK_TEXT: {
        enum text_fault fault = text_check(p, len, form == CHECK_LINE ? TEXT_LINE : TEXT_BODY);
        if (fault == TEXT_MALFORMED) {
            return "must be valid UTF-8";
        }
        good = fault == TEXT_OK;
        break;
    }
    case CHECK_ID:
        good = all_of(p, len, "._:@+=-");
        break;
    case CHECK_HEADER_NAME:
        good = all_of(p, len, "-_");
        break;
    case CHECK_MEDIA_TYPE:
        good = is_media_type(p, len);
        break;
    case CHECK_CONTENT_ID:
        good = none_of(p, len, "<>(),\"\\");
        break;
    case CHECK_URI:
        good = is_uri(p, len);
        break;
    default:
        break;
    }
    return good ? NULL : check_form_text(form);
}
