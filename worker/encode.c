/* Content transfer encodings (RFC 2045 section 6).
 *
 * Texts are walked line by line, whatever their line ends are, without a normalised copy. All loops are linear in the
 * input: a search that found nothing is not repeated. Speed: most mails are short ASCII lines: the whole text is
 * judged first, many bytes at once, and its lines are judged while they are copied; base64 looks up two characters at a time. Knows nothing of headers or of the structure of mail. */
#include "encode.h"

#include "text.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* Rows of the base64 table: the 12 bits of two characters select a pair. */
/* clang-format off */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): string literals are joined, which parentheses would prevent */
#define PAIRS(a) a "A" a "B" a "C" a "D" a "E" a "F" a "G" a "H" a "I" a "J" a "K" a "L" a "M" \
    a "N" a "O" a "P" a "Q" a "R" a "S" a "T" a "U" a "V" a "W" a "X" a "Y" a "Z" \
    a "a" a "b" a "c" a "d" a "e" a "f" a "g" a "h" a "i" a "j" a "k" a "l" a "m" \
    a "n" a "o" a "p" a "q" a "r" a "s" a "t" a "u" a "v" a "w" a "x" a "y" a "z" \
    a "0" a "1" a "2" a "3" a "4" a "5" a "6" a "7" a "8" a "9" a "+" a "/"

static const char base64_pairs[64][129] = {
    PAIRS("A"), PAIRS("B"), PAIRS("C"), PAIRS("D"), PAIRS("E"), PAIRS("F"), PAIRS("G"), PAIRS("H"),
    PAIRS("I"), PAIRS("J"), PAIRS("K"), PAIRS("L"), PAIRS("M"), PAIRS("N"), PAIRS("O"), PAIRS("P"),
    PAIRS("Q"), PAIRS("R"), PAIRS("S"), PAIRS("T"), PAIRS("U"), PAIRS("V"), PAIRS("W"), PAIRS("X"),
    PAIRS("Y"), PAIRS("Z"), PAIRS("a"), PAIRS("b"), PAIRS("c"), PAIRS("d"), PAIRS("e"), PAIRS("f"),
    PAIRS("g"), PAIRS("h"), PAIRS("i"), PAIRS("j"), PAIRS("k"), PAIRS("l"), PAIRS("m"), PAIRS("n"),
    PAIRS("o"), PAIRS("p"), PAIRS("q"), PAIRS("r"), PAIRS("s"), PAIRS("t"), PAIRS("u"), PAIRS("v"),
    PAIRS("w"), PAIRS("x"), PAIRS("y"), PAIRS("z"), PAIRS("0"), PAIRS("1"), PAIRS("2"), PAIRS("3"),
    PAIRS("4"), PAIRS("5"), PAIRS("6"), PAIRS("7"), PAIRS("8"), PAIRS("9"), PAIRS("+"), PAIRS("/"),
};
/* clang-format on */

enum {
    BASE64_LINE_BYTES = 57,   /* make 76 characters */
    QUOTED_LINE_CHARS = 75,   /* one more for the '=' of a soft line break */
    QUOTED_RESERVE_BYTES = 80 /* one line with its end */
};

static const char *const names[ENCODE_KIND_COUNT] = {
    [ENCODE_7BIT] = "7bit",
    [ENCODE_QUOTED_PRINTABLE] = "quoted-printable",
    [ENCODE_BASE64] = "base64",
};

const char *encode_name(enum encode_kind kind)
{
    return names[kind];
}

/* A walk over the lines of a text. next_lf is kept from line to line, so that a text that ends its lines with CR
 * only is not searched for LF again and again. */
struct lines {
    const char *at;
    const char *end;
    const char *next_lf; /* the first LF at or behind `at`, or end */
    bool has_cr;
};

struct line {
    const char *data;
    size_t len;
    bool ended; /* a line end followed; only the last line may have none */
};

static const char *find(const char *at, const char *end, char c)
{
    const char *hit = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;
    return hit != NULL ? hit : end;
}

static struct lines lines_of(const char *text, size_t len)
{
    const char *end = text + len;
    return (struct lines){
        .at = text,
        .end = end,
        .next_lf = find(text, end, '\n'),
        .has_cr = find(text, end, '\r') != end,
    };
}

static bool next_line(struct lines *l, struct line *line)
{
    if (l->at == l->end) {
        return false;
    }
    if (!l->has_cr) {
        const char *stop = find(l->at, l->end, '\n');
        *line = (struct line){l->at, (size_t)(stop - l->at), stop < l->end};
        l->at = stop < l->end ? stop + 1 : stop;
        return true;
    }
    if (l->next_lf < l->at) {
        l->next_lf = find(l->at, l->end, '\n');
    }
    const char *stop = l->has_cr ? find(l->at, l->next_lf, '\r') : l->next_lf;
    *line = (struct line){l->at, (size_t)(stop - l->at), stop < l->end};
    l->at = stop;
    if (l->at < l->end && *l->at == '\r') {
        l->at++;
        line->ended = true;
    }
    if (l->at < l->end && l->at == l->next_lf) {
        l->at++;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

static bool starts_with(const char *data, size_t len, const char *head)
{
    size_t head_len = strlen(head);
    return len >= head_len && memcmp(data, head, head_len) == 0;
}

/* Of a plain text. Trailing blanks get lost on the way (RFC 2045 6.7 rule 3), "From " gets a '>' in mbox files, a leading '.' must
 * not need stuffing (pickup folders differ in that), and "--=_" could be one of our boundaries. */
static bool is_7bit_line(const struct line *line)
{
    const char *data = line->data;
    size_t len = line->len;
    if (len == 0) {
        return true;
    }
    return len <= ENCODE_LINE_CHARS && data[0] != '.' && !is_blank(data[len - 1]) &&
           !starts_with(data, len, "From ") && !starts_with(data, len, "--=_");
}

static bool is_quoted_literal(char c)
{
    return (is_printable(c) && c != '=') || c == '\t';
}

/* Quoted-printable grows by two for each byte that is not literal and by the soft line breaks. */
enum encode_kind encode_choose(const char *text, size_t len)
{
    struct lines lines = lines_of(text, len);
    struct line line;
    size_t quoted = 0;
    size_t plain = 0;
    while (next_line(&lines, &line)) {
        size_t chars = line.len;
        for (size_t i = 0; i < line.len; i++) {
            chars += is_quoted_literal(line.data[i]) ? 0U : 2U;
        }
        quoted += chars + chars / QUOTED_LINE_CHARS * 3 + 2;
        plain += line.len + 2;
    }
    size_t base64 = (plain + 2) / 3 * 4;
    base64 += base64 / ENCODE_LINE_CHARS * 2;
    return quoted <= base64 ? ENCODE_QUOTED_PRINTABLE : ENCODE_BASE64;
}

enum encode_kind encode_choose_bytes(const void *data, size_t len)
{
    enum {
        LOOK_BYTES = 4096
    }; /* until the sum is compared: most binary files are decided early */
    const char *bytes = data;
    size_t base64 = (len + 2) / 3 * 4;
    base64 += base64 / ENCODE_LINE_CHARS * 2;
    size_t quoted = 0;
    for (size_t at = 0; at < len && quoted <= base64;) {
        size_t end = len - at > LOOK_BYTES ? at + LOOK_BYTES : len;
        quoted += end - at;
        for (; at < end; at++) {
            quoted += is_quoted_literal(bytes[at]) ? 0U : 2U;
        }
    }
    quoted += quoted / QUOTED_LINE_CHARS * 3;
    return quoted < base64 ? ENCODE_QUOTED_PRINTABLE : ENCODE_BASE64;
}

/* Append a line as it is. One reservation for all of it: this is the inner loop of most mails. */
static void put_line(struct buf *out, const struct line *line)
{
    if (buf_reserve(out, line->len + 2) != ERR_OK) {
        return;
    }
    char *to = out->data + out->len;
    memcpy(to, line->data, line->len);
    to += line->len;
    if (line->ended) {
        *to++ = '\r';
        *to++ = '\n';
    }
    *to = '\0';
    out->len = (size_t)(to - out->data);
}

bool encode_plain(struct buf *out, const char *text, size_t len)
{
    size_t before = out->len;
    struct lines lines = lines_of(text, len);
    struct line line;
    bool plain = text_is_plain(text, len);
    while (plain && next_line(&lines, &line)) {
        plain = is_7bit_line(&line);
        if (plain) {
            put_line(out, &line);
        }
    }
    if (!plain && out->len > before) {
        out->len = before;
        out->data[before] = '\0';
    }
    return plain;
}

/* Fill one output line from *at on; returns the end of what was written. */
static char *quote_some(char *to, const struct line *line, size_t *at)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *start = to;
    size_t i = *at;
    for (; i < line->len; i++) {
        char c = line->data[i];
        bool literal = is_quoted_literal(c) && !(is_blank(c) && i + 1 == line->len);
        if (to == start && (c == '.' || starts_with(line->data + i, line->len - i, "From "))) {
            literal = false;
        }
        if (to - start + (literal ? 1 : 3) > QUOTED_LINE_CHARS) {
            break;
        }
        if (literal) {
            *to++ = c;
        } else {
            *to++ = '=';
            *to++ = hex[(uint8_t)c >> 4];
            *to++ = hex[(uint8_t)c & 15];
        }
    }
    *at = i;
    return to;
}

static void quote_line(struct buf *out, const struct line *line)
{
    size_t at = 0;
    bool more = true;
    while (more && buf_reserve(out, QUOTED_RESERVE_BYTES) == ERR_OK) {
        char *to = quote_some(out->data + out->len, line, &at);
        more = at < line->len;
        if (more) {
            *to++ = '=';
        }
        if (more || line->ended) {
            *to++ = '\r';
            *to++ = '\n';
        }
        *to = '\0';
        out->len = (size_t)(to - out->data);
    }
}

void encode_bytes(struct buf *out, enum encode_kind kind, const void *data, size_t len)
{
    /* As one line: CR and LF are bytes like any other, so that no reader can take them for line ends. */
    const struct line all = {.data = data, .len = len};
    if (kind == ENCODE_QUOTED_PRINTABLE) {
        quote_line(out, &all);
    } else {
        encode_base64(out, data, len);
    }
}

void encode_text(struct buf *out, enum encode_kind kind, const char *text, size_t len)
{
    struct buf normal;
    buf_init(&normal, out->max);
    struct lines lines = lines_of(text, len);
    struct line line;
    while (next_line(&lines, &line)) {
        if (kind == ENCODE_QUOTED_PRINTABLE) {
            quote_line(out, &line);
        } else {
            put_line(&normal, &line);
        }
    }
    if (buf_status(&normal) != ERR_OK) {
        out->status = buf_status(&normal);
    } else if (kind == ENCODE_BASE64) {
        encode_base64(out, normal.data, normal.len);
    }
    buf_fini(&normal);
}

static char *put_pair(char *out, unsigned bits)
{
    memcpy(out, &base64_pairs[bits >> 6][2 * (size_t)(bits & 63U)], 2);
    return out + 2;
}

char *encode_base64_run(char *out, const uint8_t *data, size_t len)
{
    /* Six bytes a step; the eight that are loaded must be there. */
    for (; len >= 8; len -= 6, data += 6) {
        uint64_t bits;
        memcpy(&bits, data, sizeof bits);
        bits = be64toh(bits);
        out = put_pair(out, (unsigned)(bits >> 52));
        out = put_pair(out, (unsigned)(bits >> 40) & 4095U);
        out = put_pair(out, (unsigned)(bits >> 28) & 4095U);
        out = put_pair(out, (unsigned)(bits >> 16) & 4095U);
    }
    for (; len >= 3; len -= 3, data += 3) {
        unsigned bits = (unsigned)data[0] << 16 | (unsigned)data[1] << 8 | data[2];
        out = put_pair(out, bits >> 12);
        out = put_pair(out, bits & 4095U);
    }
    if (len > 0) {
        unsigned bits = (unsigned)data[0] << 16 | (len > 1 ? (unsigned)data[1] << 8 : 0U);
        out = put_pair(out, bits >> 12);
        out = put_pair(out, bits & 4095U);
        memset(out - (3 - len), '=', 3 - len);
    }
    return out;
}

void encode_base64(struct buf *out, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    size_t breaks = (len - 1) / BASE64_LINE_BYTES;
    if (len > out->max || buf_reserve(out, (len + 2) / 3 * 4 + 2 * breaks) != ERR_OK) {
        out->status = ERR_LIMIT;
        return;
    }
    const uint8_t *from = data;
    char *to = out->data + out->len;
    for (; len > BASE64_LINE_BYTES; len -= BASE64_LINE_BYTES, from += BASE64_LINE_BYTES) {
        to = encode_base64_run(to, from, BASE64_LINE_BYTES);
        *to++ = '\r';
        *to++ = '\n';
    }
    to = encode_base64_run(to, from, len);
    *to = '\0';
    out->len = (size_t)(to - out->data);
}
