/* See the header. A header is read line by line for its Message-ID; the body is only searched for its end, which is
 * done by its lines: memchr(3) is several times faster than memmem(3) on text. */
#include "sink_talk.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char end_mark[] = "\r\n.\r\n";
enum { END_MARK_BYTES = sizeof end_mark - 1 };

void sink_talk_greet(struct buf *replies)
{
    buf_add_text(replies, "220 fast-sink.test ESMTP\r\n");
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/; blanks do not count, for a long one may be folded. */
static void add_to_id(struct sink_talk *talk, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] > ' ') {
            talk->id = (talk->id ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        }
    }
}

static void begin_mail(struct sink_talk *talk)
{
    talk->phase = SINK_HEADER;
    talk->id = UINT64_C(0xcbf29ce484222325);
    talk->has_id = false;
    talk->in_id = false;
}

static void take_mail(struct sink_talk *talk, struct sink_tally *tally, struct buf *replies)
{
    if (talk->has_id) {
        if (tally->named == tally->room) {
            tally->room = tally->room > 0 ? tally->room * 2 : 65536;
            tally->ids = mem_resize(tally->ids, tally->room, sizeof *tally->ids);
        }
        tally->ids[tally->named++] = talk->id;
    }
    tally->mails++;
    tally->recipients += talk->recipients;
    talk->recipients = 0;
    talk->phase = SINK_COMMAND;
    buf_add_text(replies, "250 2.0.0 taken\r\n");
}

static void say_ehlo(const struct sink_talk *talk, struct buf *replies)
{
    buf_add_text(replies,
                 "250-fast-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n");
    if (talk->offered && !talk->secure) {
        buf_add_text(replies, "250-STARTTLS\r\n");
    }
    buf_add_text(replies, "250 ENHANCEDSTATUSCODES\r\n");
}

static void on_command(struct sink_talk *talk, const char *line, struct buf *replies)
{
    if (strncasecmp(line, "MAIL", 4) == 0) {
        talk->recipients = 0;
        buf_add_text(replies, "250 2.1.0 ok\r\n");
    } else if (strncasecmp(line, "RCPT", 4) == 0) {
        talk->recipients++;
        buf_add_text(replies, "250 2.1.5 ok\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        begin_mail(talk);
        buf_add_text(replies, "354 go\r\n");
    } else if (strncasecmp(line, "EHLO", 4) == 0) {
        say_ehlo(talk, replies);
    } else if (strncasecmp(line, "STARTTLS", 8) == 0) {
        talk->upgrade = talk->offered && !talk->secure;
        buf_add_text(replies, talk->upgrade ? "220 2.0.0 go\r\n" : "503 5.5.1 not now\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        talk->over = true;
        buf_add_text(replies, "221 2.0.0 bye\r\n");
    } else if (strncasecmp(line, "HELO", 4) == 0 || strncasecmp(line, "RSET", 4) == 0 ||
               strncasecmp(line, "NOOP", 4) == 0) {
        buf_add_text(replies, "250 2.0.0 ok\r\n");
    } else {
        buf_add_text(replies, "500 5.5.1 what?\r\n");
    }
}

/* A line of the header, without its end. */
static void on_header(struct sink_talk *talk, const char *line, size_t len)
{
    static const char name[] = "message-id:";
    bool folded = len > 0 && (line[0] == ' ' || line[0] == '\t');
    if (!folded) {
        talk->in_id = len > sizeof name - 1 && strncasecmp(line, name, sizeof name - 1) == 0 &&
                      !talk->has_id;
        line += talk->in_id ? sizeof name - 1 : 0;
        len -= talk->in_id ? sizeof name - 1 : 0;
    }
    if (talk->in_id) {
        talk->has_id = true;
        add_to_id(talk, line, len);
    }
}

/* A whole line of commands or of a header; line ends in NUL, CR and LF are gone. */
static void on_line(struct sink_talk *talk, char *line, size_t len, struct sink_tally *tally,
                    struct buf *replies)
{
    if (talk->phase == SINK_COMMAND) {
        on_command(talk, line, replies);
    } else if (len == 1 && line[0] == '.') {
        take_mail(talk, tally, replies); /* a mail that is only a header */
    } else if (len == 0) {
        talk->phase = SINK_BODY;
        talk->matched = 2;
    } else {
        on_header(talk, line, len);
    }
}

/* Returns how many bytes were used, 0 when the line is too long. */
static size_t feed_line(struct sink_talk *talk, const char *data, size_t len,
                        struct sink_tally *tally, struct buf *replies)
{
    const char *end = memchr(data, '\n', len);
    size_t used = end != NULL ? (size_t)(end - data) + 1 : len;
    if (talk->line_len + used >= sizeof talk->line) {
        return 0;
    }
    memcpy(talk->line + talk->line_len, data, used);
    talk->line_len += used;
    if (end != NULL) {
        size_t text = talk->line_len - 1;
        text -= text > 0 && talk->line[text - 1] == '\r' ? 1 : 0;
        talk->line[text] = '\0';
        talk->line_len = 0;
        on_line(talk, talk->line, text, tally, replies);
    }
    return used;
}

/* The end mark in data, or null. */
static const char *find_mark(const char *data, size_t len)
{
    const char *end = data + len;
    for (const char *at = data; end - at >= END_MARK_BYTES; at++) {
        at = memchr(at, '\n', (size_t)(end - at) - 3);
        if (at == NULL) {
            return NULL;
        }
        if (at > data && at[1] == '.' && at[2] == '\r' && at[3] == '\n' && at[-1] == '\r') {
            return at - 1;
        }
    }
    return NULL;
}

/* How much of the end mark stands at the end of data, where it does not stand whole. */
static uint8_t tail_match(const char *data, size_t len)
{
    size_t most = len < END_MARK_BYTES - 1 ? len : END_MARK_BYTES - 1;
    for (size_t i = most; i > 0; i--) {
        if (memcmp(data + len - i, end_mark, i) == 0) {
            return (uint8_t)i;
        }
    }
    return 0;
}

/* Up to and with the end mark; returns how many bytes were used. */
static size_t feed_body(struct sink_talk *talk, const char *data, size_t len,
                        struct sink_tally *tally, struct buf *replies)
{
    /* The mark may have begun in what came before: look at that end with the first bytes of this. */
    char seam[2 * END_MARK_BYTES];
    size_t before = talk->matched;
    size_t behind = len < END_MARK_BYTES ? len : END_MARK_BYTES;
    memcpy(seam, end_mark, before);
    memcpy(seam + before, data, behind);
    const char *at_seam = find_mark(seam, before + behind);
    const char *later = at_seam == NULL ? find_mark(data, len) : NULL;
    if (at_seam != NULL || later != NULL) {
        take_mail(talk, tally, replies);
        return END_MARK_BYTES +
               (later != NULL ? (size_t)(later - data) : (size_t)(at_seam - seam) - before);
    }
    talk->matched =
        len < END_MARK_BYTES ? tail_match(seam, before + behind) : tail_match(data, len);
    return len;
}

bool sink_talk_feed(struct sink_talk *talk, const char *data, size_t len,
                    struct sink_tally *tally, struct buf *replies)
{
    tally->bytes += len;
    while (len > 0 && !talk->over && !talk->upgrade) {
        size_t used = talk->phase == SINK_BODY ? feed_body(talk, data, len, tally, replies)
                                               : feed_line(talk, data, len, tally, replies);
        if (used == 0) {
            return false;
        }
        data += used;
        len -= used;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

size_t sink_tally_different(struct sink_tally *tally)
{
    size_t different = tally->named > 0 ? 1 : 0;
    if (tally->named == 0) {
        return 0;
    }
    qsort(tally->ids, tally->named, sizeof *tally->ids, compare_ids);
    for (size_t i = 1; i < tally->named; i++) {
        different += tally->ids[i] != tally->ids[i - 1] ? 1 : 0;
    }
    return different;
}
