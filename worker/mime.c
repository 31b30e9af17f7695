/* The body of a mail (RFC 2045, 2046, 2387, 6047).
 *
 * A text keeps its exact bytes but for line ends; the line end before a boundary belongs to the boundary. A boundary
 * holds "=_", which none of our encodings can produce at the start of a line, so the content needs no search for it.
 * Attachments are base64, or quoted-printable with their line ends encoded where that is shorter: their bytes arrive as
 * they are. */
#include "mime.h"

#include "encode.h"
#include "header.h"
#include "html.h"
#include "text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BOUNDARY_BYTES = MIME_ID_CHARS + 16, METHOD_BYTES = 24, PART_OVERHEAD_BYTES = 512 };

/* What is made of the message. */
struct mime {
    struct buf *out;
    const PB(Message) *message;
    const char *id;
    size_t inlines;
    size_t attachments;
};

static bool is_set(const char *text)
{
    return text[0] != '\0';
}

size_t mime_guess_bytes(const PB(Message) *message)
{
    size_t text = strlen(message->text) + 2 * strlen(message->html) + message->calendar.len;
    size_t bytes = text + text / 8 + 4 * (size_t)PART_OVERHEAD_BYTES;
    for (size_t i = 0; i < message->n_attachments; i++) {
        size_t len = message->attachments[i]->content.len;
        bytes += len + len / 8 * 3 + PART_OVERHEAD_BYTES;
    }
    return bytes;
}

/* One multipart: 'm'ixed, 'a'lternative or 'r'elated. The boundaries differ in that letter and are of one length,
 * so none is the beginning of another. */
struct multipart {
    char boundary[BOUNDARY_BYTES];
    bool begun;
};

static void open_multipart(struct mime *m, struct multipart *multipart, const char *subtype)
{
    char type[32];
    struct header h;
    (void)snprintf(type, sizeof type, "multipart/%s", subtype);
    (void)snprintf(multipart->boundary, sizeof multipart->boundary, "=_%s_%c", m->id,
                   subtype[0]);
    multipart->begun = false;
    header_open(&h, m->out, "Content-Type");
    header_word(&h, type, strlen(type));
    if (subtype[0] == 'r') {
        header_parameter(&h, "type", "text/html"); /* RFC 2387 3.1 */
    }
    header_parameter(&h, "boundary", multipart->boundary);
    header_close(&h);
    buf_add_text(m->out, "\r\n");
}

static void next_part(struct mime *m, struct multipart *multipart)
{
    buf_add_text(m->out, multipart->begun ? "\r\n--" : "--");
    buf_add_text(m->out, multipart->boundary);
    buf_add_text(m->out, "\r\n");
    multipart->begun = true;
}

static void close_multipart(struct mime *m, const struct multipart *multipart)
{
    buf_add_text(m->out, "\r\n--");
    buf_add_text(m->out, multipart->boundary);
    buf_add_text(m->out, "--");
}

static void put_text_headers(struct mime *m, const char *type, enum encode_kind kind)
{
    header_line(m->out, "Content-Type", type);
    header_line(m->out, "Content-Transfer-Encoding", encode_name(kind));
    buf_add_text(m->out, "\r\n");
}

static void put_text_part(struct mime *m, const char *type, const char *text, size_t len)
{
    size_t before = m->out->len;
    put_text_headers(m, type, ENCODE_7BIT);
    if (!encode_plain(m->out, text, len)) {
        enum encode_kind kind = encode_choose(text, len);
        m->out->len = before;
        put_text_headers(m, type, kind);
        encode_text(m->out, kind, text, len);
    }
}

/* The text as it was given, or made of the HTML. */
static void put_text(struct mime *m)
{
    static const char type[] = "text/plain; charset=utf-8";
    const char *text = m->message->text;
    if (is_set(text) || !is_set(m->message->html)) {
        put_text_part(m, type, text, strlen(text));
        return;
    }
    struct buf made;
    buf_init(&made, m->out->max);
    html_to_text(&made, m->message->html, strlen(m->message->html));
    put_text_part(m, type, buf_text(&made), made.len);
    if (buf_status(&made) != ERR_OK) {
        m->out->status = buf_status(&made);
    }
    buf_fini(&made);
}

/* The media type of an attachment. RFC 2046 5.2.1 and 5.1.1 forbid base64 for message/ and multipart/; an attached mail
 * must arrive byte for byte, so it goes as plain bytes and its file name says what it is. */
static void put_media_type(struct header *h, const PB(Attachment) *a)
{
    const char *type = a->content_type;
    if (!is_set(type) || strncasecmp(type, "message/", 8) == 0 ||
        strncasecmp(type, "multipart/", 10) == 0) {
        type = "application/octet-stream";
    }
    header_word(h, type, strlen(type));
    if (strncasecmp(type, "text/", 5) == 0 &&
        text_check(a->content.data, a->content.len, TEXT_BODY) == TEXT_OK) {
        header_parameter(h, "charset", "utf-8");
    }
}

static void put_attachment(struct mime *m, const PB(Attachment) *a)
{
    struct header h;
    header_open(&h, m->out, "Content-Type");
    put_media_type(&h, a);
    header_close(&h);
    enum encode_kind kind = encode_choose_bytes(a->content.data, a->content.len);
    header_line(m->out, "Content-Transfer-Encoding", encode_name(kind));
    const char *disposition = a->is_inline ? "inline" : "attachment";
    header_open(&h, m->out, "Content-Disposition");
    header_word(&h, disposition, strlen(disposition));
    if (is_set(a->file_name)) {
        header_parameter(&h, "filename", a->file_name);
    }
    header_close(&h);
    if (is_set(a->content_id)) {
        buf_add_text(m->out, "Content-ID: <");
        buf_add_text(m->out, a->content_id);
        buf_add_text(m->out, ">\r\n");
    }
    buf_add_text(m->out, "\r\n");
    encode_bytes(m->out, kind, a->content.data, a->content.len);
}

enum kind { KIND_INLINE, KIND_ATTACHED };

static void put_attachments(struct mime *m, struct multipart *multipart, enum kind kind)
{
    for (size_t i = 0; i < m->message->n_attachments; i++) {
        const PB(Attachment) *a = m->message->attachments[i];
        if ((a->is_inline != 0) == (kind == KIND_INLINE)) {
            next_part(m, multipart);
            put_attachment(m, a);
        }
    }
}

static void put_html(struct mime *m)
{
    struct multipart related;
    if (m->inlines > 0) {
        open_multipart(m, &related, "related");
        next_part(m, &related);
    }
    put_text_part(m, "text/html; charset=utf-8", m->message->html, strlen(m->message->html));
    if (m->inlines > 0) {
        put_attachments(m, &related, KIND_INLINE);
        close_multipart(m, &related);
    }
}

/* The value of the first METHOD line; PUBLISH when there is none that we understand (RFC 5546 1.4). */
static void calendar_method(const ProtobufCBinaryData *calendar, char out[METHOD_BYTES])
{
    static const char head[] = "METHOD:";
    const char *at = (const char *)calendar->data;
    const char *end = at + calendar->len;
    (void)snprintf(out, METHOD_BYTES, "PUBLISH");
    while (at != NULL && (size_t)(end - at) >= sizeof head) {
        if (strncasecmp(at, head, sizeof head - 1) == 0) {
            at += sizeof head - 1;
            size_t len = 0;
            while (at + len < end && ((at[len] | 32) >= 'a' && (at[len] | 32) <= 'z')) {
                len++;
            }
            bool whole = at + len == end || at[len] == '\r' || at[len] == '\n';
            if (whole && len > 0 && len < METHOD_BYTES) {
                (void)snprintf(out, METHOD_BYTES, "%.*s", (int)len, at);
            }
            return;
        }
        at = memchr(at, '\n', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
}

static void put_calendar(struct mime *m)
{
    const ProtobufCBinaryData *calendar = &m->message->calendar;
    char method[METHOD_BYTES];
    char type[METHOD_BYTES + 48];
    calendar_method(calendar, method);
    (void)snprintf(type, sizeof type, "text/calendar; charset=utf-8; method=%s", method);
    put_text_part(m, type, (const char *)calendar->data, calendar->len);
}

static void put_readable(struct mime *m)
{
    bool html = is_set(m->message->html);
    bool calendar = m->message->calendar.len > 0;
    if (!html && !calendar) {
        put_text(m);
        return;
    }
    struct multipart alternative;
    open_multipart(m, &alternative, "alternative");
    next_part(m, &alternative);
    put_text(m);
    if (html) {
        next_part(m, &alternative);
        put_html(m);
    }
    if (calendar) {
        next_part(m, &alternative);
        put_calendar(m);
    }
    close_multipart(m, &alternative);
}

void mime_put_body(struct buf *out, const PB(Message) *message,
                   const char id[MIME_ID_CHARS + 1])
{
    struct mime m = {.out = out, .message = message, .id = id};
    for (size_t i = 0; i < message->n_attachments; i++) {
        if (message->attachments[i]->is_inline) {
            m.inlines++;
        } else {
            m.attachments++;
        }
    }
    if (m.attachments == 0) {
        put_readable(&m);
    } else {
        struct multipart mixed;
        open_multipart(&m, &mixed, "mixed");
        next_part(&m, &mixed);
        put_readable(&m);
        put_attachments(&m, &mixed, KIND_ATTACHED);
        close_multipart(&m, &mixed);
    }
    if (out->len < 2 || memcmp(out->data + out->len - 2, "\r\n", 2) != 0) {
        buf_add_text(out, "\r\n");
    }
}
