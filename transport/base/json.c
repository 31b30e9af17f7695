/* JSON, written piece by piece.
 *
 * Writes only; nothing here reads JSON. A failure of the buffer (its maximum) is found by the
 * caller with buf_status. Invariant: as many closers are kept as levels are open. */
#include "json.h"

#include "utf8.h"

#include <inttypes.h>
#include <string.h>

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

/* One string with its quotes. */
static void add_string(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    uint32_t code = 0;
    buf_add_char(out, '"');
    for (size_t at = 0; at < len;) {
        size_t used = utf8_next(text + at, len - at, &code);
        if (used == 0) {
            buf_add_text(out, "\xEF\xBF\xBD");
            used = 1;
        } else if (code == '"' || code == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, (char)code);
        } else if (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 ||
                   code == 0x2029) {
            /* 85, 2028 and 2029 end a line for some readers of JSON lines; terminals obey 80 to 9F. */
            buf_add_format(out, "\\u%04" PRIx32, code);
        } else {
            buf_add(out, text + at, used);
        }
        at += used;
    }
    buf_add_char(out, '"');
}

static void before_value(struct json *j, const char *key)
{
    if (j->comma) {
        buf_add_char(j->out, ',');
    }
    j->comma = true;
    if (key != NULL) {
        add_string(j->out, key);
        buf_add_char(j->out, ':');
    }
}

void json_open(struct json *j, const char *key, char opener)
{
    if (j->depth == JSON_MAX_DEPTH) {
        bug("JSON deeper than %d", JSON_MAX_DEPTH);
    }
    before_value(j, key);
    buf_add_char(j->out, opener);
    j->closers[j->depth++] = opener == '{' ? '}' : ']';
    j->comma = false;
}

void json_close(struct json *j)
{
    if (j->depth == 0) {
        bug("JSON closed more often than opened");
    }
    buf_add_char(j->out, j->closers[--j->depth]);
    j->comma = true;
}

void json_text(struct json *j, const char *key, const char *value)
{
    before_value(j, key);
    add_string(j->out, value);
}

void json_int(struct json *j, const char *key, int64_t value)
{
    before_value(j, key);
    buf_add_format(j->out, "%" PRId64, value);
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
    before_value(j, key);
    buf_add_format(j->out, "%" PRIu64, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    before_value(j, key);
    buf_add_text(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
    before_value(j, key);
    buf_add_text(j->out, "null");
}
