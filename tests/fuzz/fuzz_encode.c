/* Transfer encodings: what is encoded decodes to the same text.
 *
 * Input: a byte (which encoding), then a body; what the field rules refuse never gets here. */
#include "fuzz.h"

#include "buf.h"
#include "encode.h"
#include "text.h"

#include <openssl/evp.h>

#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { OUT_MAX_BYTES = 1 << 24 };

/* Every line end of a text as CRLF: what the recipient is to have. */
static void normalise(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            buf_add(out, "\r\n", 2);
            i += text[i] == '\r' && i + 1 < len && text[i + 1] == '\n';
        } else {
            buf_add_char(out, text[i]);
        }
    }
}

static int hex(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    demand(at != NULL, "no hex digit: %d", c);
    return (int)(at - digits);
}

/* RFC 2045 6.7, strictly. */
static void decode_printable(struct buf *out, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '=') {
            demand((data[i] != ' ' && data[i] != '\t') || (i + 1 < len && data[i + 1] != '\r'),
                   "a blank at the end of a line");
            buf_add_char(out, data[i]);
            continue;
        }
        demand(i + 2 < len, "a cut escape");
        if (data[i + 1] != '\r') {
            buf_add_char(out, (char)(hex(data[i + 1]) * 16 + hex(data[i + 2])));
        }
        i += 2;
    }
}

static void decode_base64(struct buf *out, const char *data, size_t len)
{
    struct buf plain;
    buf_init(&plain, OUT_MAX_BYTES);
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\r' && data[i] != '\n') {
            buf_add_char(&plain, data[i]);
        }
    }
    uint8_t *bytes = mem_zero(plain.len + 3, 1);
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)buf_text(&plain), (int)plain.len);
    demand(n >= 0, "no base64");
    /* EVP_DecodeBlock counts the bytes that the padding stands for. */
    for (size_t i = plain.len; i > 0 && plain.data[i - 1] == '='; i--) {
        n--;
    }
    buf_add(out, bytes, (size_t)n);
    free(bytes);
    buf_fini(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || text_check(data + 1, size - 1, TEXT_BODY) != TEXT_OK) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    enum encode_kind kind = ENCODE_7BIT;
    struct buf wanted;
    struct buf encoded;
    struct buf got;
    buf_init(&wanted, OUT_MAX_BYTES);
    buf_init(&encoded, OUT_MAX_BYTES);
    buf_init(&got, OUT_MAX_BYTES);
    normalise(&wanted, text, len);
    if (!encode_plain(&encoded, text, len)) {
        demand(encoded.len == 0, "%zu bytes of what cannot go as 7bit", encoded.len);
        kind = data[0] % 2 == 1 ? encode_choose(text, len)
                                : (enum encode_kind)(ENCODE_QUOTED_PRINTABLE + data[0] / 2 % 2);
        encode_text(&encoded, kind, text, len);
    }
    fuzz_demand_lines(buf_text(&encoded), encoded.len,
                      &(struct fuzz_lines){.longest = ENCODE_LINE_CHARS});
    if (kind == ENCODE_QUOTED_PRINTABLE) {
        decode_printable(&got, buf_text(&encoded), encoded.len);
    } else if (kind == ENCODE_BASE64) {
        decode_base64(&got, buf_text(&encoded), encoded.len);
    } else {
        buf_add(&got, buf_text(&encoded), encoded.len);
    }
    demand(got.len == wanted.len && memcmp(buf_text(&got), buf_text(&wanted), got.len) == 0,
           "%s: %zu bytes become %zu", encode_name(kind), wanted.len, got.len);
    buf_fini(&got);
    buf_fini(&encoded);
    buf_fini(&wanted);
    return 0;
}
