/* Mail headers, written word by word into a buffer.
 *
 * A fold goes before a word that would pass the line; so whatever can be folded stays within 76 characters, and an
 * address or a message id, which cannot, may be longer (RFC 5322 2.1.1 allows 998). A text is encoded as a whole or
 * not at all: half-encoded texts are where decoders disagree about blanks. Decides nothing about which headers exist. */
#include "header.h"

#include "address.h"
#include "encode.h"
#include "mem.h"
#include "utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_CHARS = ENCODE_LINE_CHARS,
    WORD_MAX = 2 * LINE_CHARS,
    WORD_OVERHEAD = 12,   /* "=?UTF-8?Q?" and "?=" */
    WORD_LEAST = 12,      /* one character of four bytes in Q */
    QUOTED_CHARS = 60,    /* a longer name is encoded, because a name is one word */
    PARAMETER_CHARS = 60, /* a longer value is cut into RFC 2231 segments */
    FALLBACK_HEAD = 40,   /* of a long file name, the plain form has so much of the head … */
    FALLBACK_TAIL = 12    /* … and of the tail, where the extension is */
};

/* Which characters stand for themselves in a Q encoded word. */
enum place { IN_TEXT, IN_PHRASE };

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_atext(char c)
{
    return is_alnum(c) || is_one_of(c, "!#$%&'*+-/=?^_`{|}~");
}

/* RFC 2231 attribute-char. */
static bool is_attribute_char(char c)
{
    return is_alnum(c) || is_one_of(c, "!#$&+-.^_`{|}~");
}

/* RFC 2047 4.2 and, in a phrase, 5(3). */
static bool is_q_literal(char c, enum place place)
{
    if (place == IN_PHRASE) {
        return is_alnum(c) || is_one_of(c, "!*+-/");
    }
    return c > ' ' && c <= '~' && !is_one_of(c, "=?_");
}

static bool is_ascii_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

/* A parameter value without quotes: fewer characters than a token may have, because ' * and % mean something to readers
 * of RFC 2231. */
static bool is_bare_value(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (!is_alnum(*c) && !is_one_of(*c, "+-._")) {
            return false;
        }
    }
    return *text != '\0';
}

static size_t column(const struct header *h)
{
    return h->out->len - h->line_start;
}

static void fold(struct header *h)
{
    buf_add_text(h->out, "\r\n");
    h->line_start = h->out->len;
}

void header_open(struct header *h, struct buf *out, const char *name)
{
    *h = (struct header){.out = out, .line_start = out->len};
    buf_add_text(out, name);
    buf_add_char(out, ':');
}

void header_close(struct header *h)
{
    buf_add_text(h->out, "\r\n");
}

void header_line(struct buf *out, const char *name, const char *value)
{
    buf_add_text(out, name);
    buf_add_text(out, ": ");
    buf_add_text(out, value);
    buf_add_text(out, "\r\n");
}

void header_word(struct header *h, const char *word, size_t len)
{
    /* One character is kept free for the ',' or ';' that may follow. */
    if (column(h) + 1 + len >= LINE_CHARS) {
        fold(h);
    }
    buf_add_char(h->out, ' ');
    buf_add(h->out, word, len);
}

/* Bytes of the character at text; a stray byte counts as one, so that nothing here can loop for ever. */
static size_t char_bytes(const char *text, size_t left)
{
    uint32_t code;
    size_t n = utf8_next(text, left, &code);
    return n > 0 ? n : 1;
}

static size_t q_chars(const char *text, size_t len, enum place place)
{
    size_t chars = 0;
    for (size_t i = 0; i < len; i++) {
        chars += text[i] == ' ' || is_q_literal(text[i], place) ? 1 : 3;
    }
    return chars;
}

static size_t b_chars(size_t len)
{
    return (len + 2) / 3 * 4;
}

static void put_hex(struct buf *out, char mark, char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[3] = {mark, hex[(unsigned char)c >> 4], hex[(unsigned char)c & 15]};
    buf_add(out, text, sizeof text);
}

static void put_q(struct buf *out, const char *text, size_t len, enum place place)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') {
            buf_add_char(out, '_');
        } else if (is_q_literal(text[i], place)) {
            buf_add_char(out, text[i]);
        } else {
            put_hex(out, '=', text[i]);
        }
    }
}

/* How many bytes of text, in whole characters, go into room characters of Q. */
static size_t fit_q(const char *text, size_t room, enum place place)
{
    size_t left = strnlen(text, LINE_CHARS + 4); /* more than room: keeps long texts linear */
    size_t used = 0;
    size_t chars = 0;
    while (used < left) {
        size_t n = char_bytes(text + used, left - used);
        chars += q_chars(text + used, n, place);
        if (chars > room) {
            break;
        }
        used += n;
    }
    return used;
}

/* The same for B; but only the last word of a text may end in padding: GMime 3.2 decodes neighbours of one encoding as one,
 * and stops at a '='. 0 when every place to cut would leave some. */
static size_t fit_b(const char *text, size_t room)
{
    size_t left = strnlen(text, LINE_CHARS + 4);
    size_t used = 0;
    size_t whole = 0;
    while (used < left) {
        size_t n = char_bytes(text + used, left - used);
        if (b_chars(used + n) > room) {
            return whole;
        }
        used += n;
        whole = used % 3 == 0 ? used : whole;
    }
    return used;
}

/* The whole text as encoded words. Blanks between encoded words are not part of the text (RFC 2047 6.2), so they may
 * be cut anywhere but inside a character. */
static void encoded_words(struct header *h, const char *text, enum place place)
{
    size_t left = strlen(text);
    bool prefer_q = q_chars(text, left, place) <= b_chars(left);
    while (left > 0 && buf_status(h->out) == ERR_OK) {
        if (column(h) + 1 + WORD_OVERHEAD + WORD_LEAST > LINE_CHARS) {
            fold(h);
        }
        size_t room = LINE_CHARS - column(h) - 1 - WORD_OVERHEAD;
        size_t n = prefer_q ? 0 : fit_b(text, room);
        bool b = n > 0;
        n = b ? n : fit_q(text, room, place);
        buf_add_text(h->out, b ? " =?UTF-8?B?" : " =?UTF-8?Q?");
        if (b) {
            char run[LINE_CHARS];
            const char *end = encode_base64_run(run, (const uint8_t *)text, n);
            buf_add(h->out, run, (size_t)(end - run));
        } else {
            put_q(h->out, text, n, place);
        }
        buf_add_text(h->out, "?=");
        text += n;
        left -= n;
    }
}

/* A text that can stand as it is: ASCII, no blanks at its ends, no word too long, nothing that reads as an encoded word. */
static bool is_plain_text(const char *text, size_t longest)
{
    size_t len = strlen(text);
    if (!is_ascii_text(text) || strstr(text, "=?") != NULL || text[0] == ' ' ||
        (len > 0 && text[len - 1] == ' ')) {
        return false;
    }
    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        size_t word = strcspn(text + blanks, " ");
        if (blanks + word > longest) {
            return false;
        }
        text += blanks + word;
    }
    return true;
}

void header_text(struct header *h, const char *text, size_t longest)
{
    if (!is_plain_text(text, longest)) {
        encoded_words(h, text, IN_TEXT);
        return;
    }
    /* The first word stays on the first line even when it passes the end: some readers of a text take a fold before it as
     * a part of the value, or see no value at all. */
    size_t first = strcspn(text, " ");
    if (first > 0) {
        buf_add_char(h->out, ' ');
        buf_add(h->out, text, first);
        text += first;
    }
    while (*text != '\0') {
        /* A run of blanks stays with the word behind it; header_word writes the first of them. */
        size_t blanks = strspn(text, " ");
        size_t word = strcspn(text + blanks, " ");
        header_word(h, text + 1, blanks + word - 1);
        text += blanks + word;
    }
}

/* Atoms with single blanks between, short enough to stay on one line: GMime 3.2 keeps a fold inside a name as a part of it. */
static bool is_plain_phrase(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (!is_atext(*c) && !(*c == ' ' && c > name && c[1] != ' ' && c[1] != '\0')) {
            return false;
        }
    }
    return strlen(name) <= QUOTED_CHARS && is_plain_text(name, QUOTED_CHARS);
}

/* ASCII in quotes; false when it is too long or better encoded. */
static bool quoted_word(struct header *h, const char *text)
{
    char word[2 * QUOTED_CHARS + 2];
    size_t len = 0;
    if (!is_ascii_text(text) || strstr(text, "=?") != NULL || strlen(text) > QUOTED_CHARS) {
        return false;
    }
    word[len++] = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            word[len++] = '\\';
        }
        word[len++] = *text;
    }
    word[len++] = '"';
    if (len > QUOTED_CHARS) {
        return false;
    }
    header_word(h, word, len);
    return true;
}

void header_mailbox(struct header *h, const char *name, const char *address, const char *after)
{
    char word[ADDRESS_MAX_BYTES + 8];
    size_t len = strnlen(address, ADDRESS_MAX_BYTES);
    size_t bare = *name == '\0' ? 0 : 1; /* without a name, no < > */
    word[0] = '<';
    memcpy(word + bare, address, len);
    word[bare + len] = '>';
    len += 2 * bare;
    if (bare == 1) {
        if (is_plain_phrase(name)) {
            header_word(h, name, strlen(name));
        } else if (!quoted_word(h, name)) {
            encoded_words(h, name, IN_PHRASE);
        }
    }
    header_word(h, word, len);
    buf_add_text(h->out, after);
}

void header_mailbox_group(struct header *h, const char *name, const char *address)
{
    char *words = *name == '\0' ? mem_text(address) : mem_format("%s <%s>", name, address);
    encoded_words(h, words, IN_PHRASE);
    header_word(h, ":;", 2);
    free(words);
}

/* A plain stand-in for a value: other than printable ASCII becomes '_', a long one loses its middle. */
static void fallback_parameter(struct header *h, const char *name, const char *value)
{
    struct buf plain;
    buf_init(&plain, strlen(value) + 1);
    size_t left = strlen(value);
    for (size_t n = 0; left > 0; value += n, left -= n) {
        n = char_bytes(value, left);
        bool odd = *value < ' ' || *value > '~' || is_one_of(*value, "\"\\%?");
        buf_add(&plain, odd ? "_" : value, 1);
    }
    struct buf word;
    buf_init(&word, WORD_MAX);
    buf_add_text(&word, name);
    buf_add_text(&word, "=\"");
    if (plain.len <= FALLBACK_HEAD + FALLBACK_TAIL) {
        buf_add(&word, plain.data, plain.len);
    } else {
        buf_add(&word, plain.data, FALLBACK_HEAD);
        buf_add(&word, plain.data + plain.len - FALLBACK_TAIL, FALLBACK_TAIL);
    }
    buf_add_char(&word, '"');
    header_word(h, word.data, word.len);
    buf_fini(&word);
    buf_fini(&plain);
}

/* Append characters of value, percent-encoded, while the word has room; returns how many bytes went in. */
static size_t put_percent(struct buf *word, const char *value)
{
    size_t left = strnlen(value, LINE_CHARS + 4);
    size_t used = 0;
    while (used < left) {
        size_t n = char_bytes(value + used, left - used);
        size_t chars = is_attribute_char(value[used]) ? 1 : 3 * n;
        if (word->len + chars + 2 > LINE_CHARS) { /* the blank before and the ';' behind it */
            break;
        }
        for (size_t i = 0; i < n; i++) {
            if (is_attribute_char(value[used + i])) {
                buf_add_char(word, value[used + i]);
            } else {
                put_hex(word, '%', value[used + i]);
            }
        }
        used += n;
    }
    return used;
}

/* RFC 2231: name*=UTF-8''…, or name*0*=UTF-8''…; name*1*=… when one line is not enough. */
static void extended_parameter(struct header *h, const char *name, const char *value)
{
    struct buf word;
    buf_init(&word, WORD_MAX);
    buf_add_format(&word, "%s*=UTF-8''", name);
    size_t used = put_percent(&word, value);
    if (value[used] == '\0') {
        header_word(h, word.data, word.len);
        value = "";
    }
    for (unsigned segment = 0; *value != '\0' && buf_status(h->out) == ERR_OK; segment++) {
        buf_reset(&word);
        buf_add_format(&word, "%s*%u*=%s", name, segment, segment == 0 ? "UTF-8''" : "");
        used = put_percent(&word, value);
        value += used;
        if (segment > 0) {
            buf_add_char(h->out, ';');
        }
        header_word(h, word.data, word.len);
    }
    buf_fini(&word);
}

static bool has_outer_blank(const char *value, size_t len)
{
    return len > 0 && (value[0] == ' ' || value[len - 1] == ' ');
}

void header_parameter(struct header *h, const char *name, const char *value)
{
    size_t len = strlen(value);
    bool token = is_bare_value(value);
    buf_add_char(h->out, ';');
    /* Readers disagree about backslashes inside quotes and about blanks at the ends, so such a value goes the RFC 2231
     * way. */
    if (len > PARAMETER_CHARS || !is_ascii_text(value) || strpbrk(value, "\"\\") != NULL ||
        strstr(value, "=?") != NULL || has_outer_blank(value, len)) {
        /* The full form first: readers that take the first of the two get the real name, old ones know the
         * second only. */
        extended_parameter(h, name, value);
        buf_add_char(h->out, ';');
        fallback_parameter(h, name, value);
        return;
    }
    char word[HEADER_NAME_MAX_BYTES + PARAMETER_CHARS + 4];
    size_t name_len = strnlen(name, HEADER_NAME_MAX_BYTES);
    char *to = word;
    memcpy(to, name, name_len);
    to += name_len;
    *to++ = '=';
    if (!token) {
        *to++ = '"';
    }
    memcpy(to, value, len);
    to += len;
    if (!token) {
        *to++ = '"';
    }
    header_word(h, word, (size_t)(to - word));
}
