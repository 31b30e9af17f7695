/* SMTP replies, incrementally.
 *
 * Does not know what a reply means: that is outcome.c. Lenient where servers are sloppy and
 * nothing is at stake (bare LF ends a line, a missing text), strict where sequence is at
 * stake (code of three digits, the same in every line). Invariant: bytes are looked at once;
 * a line that lies whole in the caller's bytes is not copied. */
#include "smtp_reply.h"

#include <string.h>

void smtp_reply_reset(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->enhanced[0] = '\0';
    reply->text[0] = '\0';
    reply->text_len = 0;
    reply->lines = 0;
    reply->state = SMTP_REPLY_MORE;
    reply->line_len = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of a number of 1 to 3 digits; 0 when there is none. */
static size_t number_len(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && n < 4 && is_digit(text[n])) {
        n++;
    }
    return n <= 3 ? n : 0;
}

size_t smtp_reply_enhanced(const char *text, size_t len)
{
    if (len < 5 || (text[0] != '2' && text[0] != '4' && text[0] != '5') || text[1] != '.') {
        return 0;
    }
    size_t at = 2;
    size_t subject = number_len(text + at, len - at);
    at += subject;
    if (subject == 0 || at >= len || text[at] != '.') {
        return 0;
    }
    at++;
    size_t detail = number_len(text + at, len - at);
    at += detail;
    if (detail == 0 || (at < len && text[at] != ' ')) {
        return 0;
    }
    return at;
}

static void add_text(struct smtp_reply *reply, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }
    size_t room = sizeof reply->text - 1 - reply->text_len;
    if (reply->text_len > 0 && room > 0) {
        reply->text[reply->text_len++] = ' ';
        room--;
    }
    size_t take = len < room ? len : room;
    memcpy(reply->text + reply->text_len, text, take);
    reply->text_len += take;
    reply->text[reply->text_len] = '\0';
}

/* The text of a line: an enhanced code in front of it is kept once and cut off every line. */
static void add_line_text(struct smtp_reply *reply, const char *text, size_t len)
{
    size_t code_len = smtp_reply_enhanced(text, len);
    if (code_len > 0 && text[0] == (char)('0' + reply->code / 100)) {
        if (reply->enhanced[0] == '\0' && code_len < sizeof reply->enhanced) {
            memcpy(reply->enhanced, text, code_len);
            reply->enhanced[code_len] = '\0';
        }
        size_t skip = code_len < len ? code_len + 1 : code_len;
        text += skip;
        len -= skip;
    }
    add_text(reply, text, len);
}

/* One line without its CRLF. */
static enum smtp_reply_state take_line(struct smtp_reply *reply, const char *line, size_t len)
{
    if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2])) {
        return SMTP_REPLY_BAD;
    }
    unsigned code = (unsigned)(line[0] - '0') * 100 + (unsigned)(line[1] - '0') * 10 +
                    (unsigned)(line[2] - '0');
    if (reply->lines > 0 && code != reply->code) {
        return SMTP_REPLY_BAD;
    }
    if (++reply->lines > SMTP_REPLY_LINES) {
        return SMTP_REPLY_BAD;
    }
    reply->code = code;
    if (len == 3) {
        return SMTP_REPLY_DONE;
    }
    if (line[3] != ' ' && line[3] != '-') {
        return SMTP_REPLY_BAD;
    }
    add_line_text(reply, line + 4, len - 4);
    return line[3] == ' ' ? SMTP_REPLY_DONE : SMTP_REPLY_MORE;
}

/* The bytes up to and with LF make a line, together with what was kept of it. */
static void end_line(struct smtp_reply *reply, const char *data, size_t len)
{
    const char *line = data;
    size_t line_len = len - 1;
    if (reply->line_len > 0) {
        memcpy(reply->line + reply->line_len, data, len - 1);
        line = reply->line;
        line_len = reply->line_len + len - 1;
        reply->line_len = 0;
    }
    if (line_len > 0 && line[line_len - 1] == '\r') {
        line_len--;
    }
    reply->state = take_line(reply, line, line_len);
}

size_t smtp_reply_feed(struct smtp_reply *reply, const char *data, size_t len)
{
    if (reply->state == SMTP_REPLY_DONE) {
        smtp_reply_reset(reply);
    }
    size_t at = 0;
    while (at < len && reply->state == SMTP_REPLY_MORE) {
        const char *lf = memchr(data + at, '\n', len - at);
        size_t piece = lf != NULL ? (size_t)(lf - (data + at)) + 1 : len - at;
        if (piece > SMTP_REPLY_LINE_BYTES - reply->line_len) {
            reply->state = SMTP_REPLY_BAD;
            break;
        }
        if (lf != NULL) {
            end_line(reply, data + at, piece);
        } else {
            memcpy(reply->line + reply->line_len, data + at, piece);
            reply->line_len += piece;
        }
        at += piece;
    }
    return at;
}
