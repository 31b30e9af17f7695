/* HTML to text, for the text part of a mail that came with HTML only.
 *
 * No parser of HTML: no tree, no style sheets, no <pre>. White space is collapsed as a browser would; pending line breaks
 * and blanks are written only before the next visible character, so there are none at the end. Broken HTML gives some
 * text, never a failure. Every search goes forward and is not repeated once it found nothing, so time is linear. */
#include "html.h"

#include "encode.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NAME_BYTES = 12,     /* of a tag or a character reference; longer ones are unknown anyway */
    BREAKS_MAX = 2,      /* at most one empty line */
    UNBALANCED_MAX = 16, /* after so many tags with an open quote, quotes are not looked at */
    LINK_MAX_BYTES = 500
};

struct html {
    struct buf *out;
    const char *at;
    const char *end;
    unsigned breaks; /* line breaks owed before the next character */
    bool blank;      /* a blank is owed */
    bool no_tag_end; /* there is no '>' in what is left */
    unsigned unbalanced;
    const char *link; /* of the open <a>, borrowed from the html */
    size_t link_len;
    size_t link_text; /* where its text began in out */
};

static void put(struct html *h, const char *data, size_t len)
{
    if (h->out->len > 0) {
        for (; h->breaks > 0; h->breaks--) {
            buf_add_char(h->out, '\n');
            h->blank = false;
        }
        if (h->blank) {
            buf_add_char(h->out, ' ');
        }
    }
    h->breaks = 0;
    h->blank = false;
    buf_add(h->out, data, len);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static void put_code_point(struct html *h, unsigned long code)
{
    char utf8[4];
    size_t len = 1;
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        code = 0xfffd;
    }
    if (code < 0x80) {
        utf8[0] = (char)(code >= ' ' && code != 0x7f ? code : ' ');
    } else {
        len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = len - 1; i > 0; i--) {
            utf8[i] = (char)(0x80U | (code & 0x3fU));
            code >>= 6;
        }
        utf8[0] = (char)(lead[len] | code);
    }
    put(h, utf8, len);
}

struct reference {
    const char *name;
    unsigned code;
};

static int compare_reference(const void *key, const void *row)
{
    return strcmp(key, ((const struct reference *)row)->name);
}

/* The code point of &name;, 0 when it is none. Sorted by strcmp. */
static unsigned long named_reference(const char *name)
{
    static const struct reference rows[] = {
        {"Auml", 0xc4},    {"Eacute", 0xc9},   {"Ouml", 0xd6},    {"Uuml", 0xdc},
        {"aacute", 0xe1},  {"agrave", 0xe0},   {"amp", '&'},      {"apos", '\''},
        {"auml", 0xe4},    {"bull", 0x2022},   {"ccedil", 0xe7},  {"copy", 0xa9},
        {"deg", 0xb0},     {"eacute", 0xe9},   {"egrave", 0xe8},  {"euro", 0x20ac},
        {"gt", '>'},       {"hellip", 0x2026}, {"laquo", 0xab},   {"ldquo", 0x201c},
        {"lsquo", 0x2018}, {"lt", '<'},        {"mdash", 0x2014}, {"micro", 0xb5},
        {"middot", 0xb7},  {"nbsp", ' '},      {"ndash", 0x2013}, {"ntilde", 0xf1},
        {"ouml", 0xf6},    {"plusmn", 0xb1},   {"pound", 0xa3},   {"quot", '"'},
        {"raquo", 0xbb},   {"rdquo", 0x201d},  {"reg", 0xae},     {"rsquo", 0x2019},
        {"sect", 0xa7},    {"szlig", 0xdf},    {"times", 0xd7},   {"trade", 0x2122},
        {"uuml", 0xfc},
    };
    const struct reference *row =
        bsearch(name, rows, sizeof rows / sizeof rows[0], sizeof rows[0], compare_reference);
    return row != NULL ? row->code : 0;
}

/* At '&': a character reference, or the '&' itself. */
static void put_reference(struct html *h)
{
    char name[NAME_BYTES] = "";
    size_t len = 0;
    const char *at = h->at + 1;
    bool number = at < h->end && *at == '#';
    at += number ? 1 : 0;
    while (at < h->end && len + 1 < sizeof name && is_name_char(*at)) {
        name[len++] = *at++;
    }
    unsigned long code = 0;
    if (number && len > 0) {
        bool hex = name[0] == 'x' || name[0] == 'X';
        char *end = NULL;
        code = strtoul(name + (hex ? 1 : 0), &end, hex ? 16 : 10);
        code = *end == '\0' && end > name + (hex ? 1 : 0) ? (code == 0 ? 0xfffd : code) : 0;
    } else if (!number) {
        code = named_reference(name);
    }
    if (code == 0 || at == h->end || *at != ';') {
        put(h, "&", 1);
        h->at++;
        return;
    }
    put_code_point(h, code);
    h->at = at + 1;
}

/* What a tag does to the text, whether it opens or closes something. */
struct tag {
    const char *name;
    unsigned breaks; /* at least so many line breaks */
    bool more;       /* breaks add up, as those of <br> */
    bool raw;        /* its content is no text */
    const char *lead;
};

static int compare_tag(const void *key, const void *row)
{
    return strcmp(key, ((const struct tag *)row)->name);
}

/* name in lower case; sorted by strcmp. */
static const struct tag *find_tag(const char *name)
{
    static const struct tag rows[] = {
        {.name = "article", .breaks = 1},
        {.name = "blockquote", .breaks = 2},
        {.name = "br", .breaks = 1, .more = true},
        {.name = "dd", .breaks = 1},
        {.name = "div", .breaks = 1},
        {.name = "dt", .breaks = 1},
        {.name = "h1", .breaks = 2},
        {.name = "h2", .breaks = 2},
        {.name = "h3", .breaks = 2},
        {.name = "h4", .breaks = 2},
        {.name = "h5", .breaks = 2},
        {.name = "h6", .breaks = 2},
        {.name = "hr", .breaks = 1},
        {.name = "li", .breaks = 1, .lead = "- "},
        {.name = "ol", .breaks = 1},
        {.name = "p", .breaks = 2},
        {.name = "pre", .breaks = 1},
        {.name = "script", .raw = true},
        {.name = "section", .breaks = 1},
        {.name = "style", .raw = true},
        {.name = "table", .breaks = 1},
        {.name = "template", .raw = true},
        {.name = "title", .raw = true},
        {.name = "tr", .breaks = 1},
        {.name = "ul", .breaks = 1},
    };
    return bsearch(name, rows, sizeof rows / sizeof rows[0], sizeof rows[0], compare_tag);
}

/* The '>' that ends the tag at `at`, quotes respected; null when there is none. */
static const char *tag_end(struct html *h, const char *at)
{
    char quote = '\0';
    for (const char *c = at; h->unbalanced < UNBALANCED_MAX && c < h->end; c++) {
        if (quote != '\0') {
            if (*c == quote) {
                quote = '\0';
            }
        } else if ((*c == '"' || *c == '\'') && (c[-1] == '=' || is_space(c[-1]))) {
            quote = *c;
        } else if (*c == '>') {
            return c;
        }
    }
    h->unbalanced++;
    const char *hit = memchr(at, '>', (size_t)(h->end - at));
    h->no_tag_end = hit == NULL;
    return hit;
}

/* Behind the closing tag of an element that has no text; the end when it is missing. */
static const char *skip_raw(const struct html *h, const char *at, const char *name)
{
    size_t len = strlen(name);
    for (; at < h->end; at++) {
        at = memchr(at, '<', (size_t)(h->end - at));
        if (at == NULL) {
            break;
        }
        if ((size_t)(h->end - at) > len + 2 && at[1] == '/' &&
            strncasecmp(at + 2, name, len) == 0) {
            const char *close = memchr(at, '>', (size_t)(h->end - at));
            return close != NULL ? close + 1 : h->end;
        }
    }
    return h->end;
}

static bool has_control(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c < ' ' || c == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Remember the href of <a …>. One with a control character in it (a line break, most likely of an attribute whose quote
 * is missing) is not shown: it would break the line. */
static void open_link(struct html *h, const char *at, const char *end)
{
    static const char href[] = "href=";
    h->link = NULL;
    h->link_text = h->out->len;
    for (; (size_t)(end - at) > sizeof href; at++) {
        if (is_space(at[0]) && strncasecmp(at + 1, href, sizeof href - 1) == 0) {
            at += sizeof href;
            char quote = ' ';
            if (*at == '"' || *at == '\'') {
                quote = *at++;
            }
            const char *stop = memchr(at, quote, (size_t)(end - at));
            stop = stop != NULL ? stop : end;
            size_t len = (size_t)(stop - at);
            bool web = len > 8 && (strncasecmp(at, "https://", 8) == 0 ||
                                   strncasecmp(at, "http://", 7) == 0);
            if (web && len <= LINK_MAX_BYTES && !has_control(at, len)) {
                h->link = at;
                h->link_len = len;
            }
            return;
        }
    }
}

/* The address of a link, in which "&amp;" is the usual way to write '&'. */
static void put_link(struct html *h)
{
    static const char amp[] = "&amp;";
    put(h, "<", 1);
    for (size_t i = 0; i < h->link_len; i++) {
        bool reference =
            h->link_len - i >= sizeof amp - 1 && memcmp(h->link + i, amp, sizeof amp - 1) == 0;
        put(h, h->link + i, 1);
        i += reference ? sizeof amp - 2 : 0;
    }
    put(h, ">", 1);
}

static void close_link(struct html *h)
{
    const struct buf *out = h->out;
    bool shown = h->link != NULL && out->len >= h->link_text + h->link_len &&
                 memcmp(out->data + out->len - h->link_len, h->link, h->link_len) == 0;
    if (h->link != NULL && !shown) {
        h->blank = true;
        put_link(h);
    }
    h->link = NULL;
}

static void apply_tag(struct html *h, const char *name, bool closing)
{
    if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        h->blank = true;
        return;
    }
    const struct tag *tag = find_tag(name);
    if (tag == NULL) {
        return;
    }
    unsigned breaks = tag->more ? h->breaks + tag->breaks : tag->breaks;
    breaks = breaks > h->breaks ? breaks : h->breaks;
    h->breaks = breaks < BREAKS_MAX ? breaks : BREAKS_MAX;
    if (tag->raw && !closing) {
        h->at = skip_raw(h, h->at, tag->name);
    }
    if (tag->lead != NULL && !closing) {
        put(h, tag->lead, strlen(tag->lead));
    }
}

static void skip_comment(struct html *h)
{
    const char *close = memmem(h->at + 4, (size_t)(h->end - h->at) - 4, "-->", 3);
    h->at = close != NULL ? close + 3 : h->end;
}

/* At '<': a tag, a comment, or the character itself. */
static void take_tag(struct html *h)
{
    size_t left = (size_t)(h->end - h->at);
    if (left >= 4 && memcmp(h->at, "<!--", 4) == 0) {
        skip_comment(h);
        return;
    }
    bool closing = left > 1 && h->at[1] == '/';
    const char *start = h->at + (closing ? 2 : 1);
    bool tag = start < h->end && !h->no_tag_end &&
               (is_letter(*start) || *start == '!' || *start == '?');
    const char *end = tag ? tag_end(h, start) : NULL;
    if (end == NULL) {
        put(h, "<", 1);
        h->at++;
        return;
    }
    char name[NAME_BYTES] = "";
    for (size_t i = 0; i + 1 < sizeof name && is_name_char(start[i]); i++) {
        name[i] = start[i];
        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] = (char)(name[i] + ('a' - 'A'));
        }
    }
    h->at = end + 1;
    if (strcmp(name, "a") == 0) {
        if (closing) {
            close_link(h);
        } else {
            open_link(h, start + 1, end);
        }
        return;
    }
    apply_tag(h, name, closing);
}

void html_to_text(struct buf *out, const char *html, size_t len)
{
    struct html h = {.out = out, .at = html, .end = html + len};
    while (h.at < h.end && buf_status(out) == ERR_OK) {
        char c = *h.at;
        if (c == '<') {
            take_tag(&h);
        } else if (c == '&') {
            put_reference(&h);
        } else if (is_space(c)) {
            h.blank = true;
            h.at++;
        } else {
            size_t run = 1;
            while (h.at + run < h.end && h.at[run] != '<' && h.at[run] != '&' &&
                   !is_space(h.at[run])) {
                run++;
            }
            put(&h, h.at, run);
            h.at += run;
        }
    }
}
