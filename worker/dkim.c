/* DKIM (RFC 6376): canonical forms, digests, the header.
 *
 * The body's digest is made once for all keys. A signature covers its own header without its b= value, and no other
 * signature. The mail is hashed as it lies there, in one walk with a small buffer, so a large attachment is not copied.
 * Does not decide who signs: that stands in the profile. */
#include "dkim.h"

#include "clock.h"
#include "digest.h"
#include "encode.h"
#include "header.h"
#include "mem.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/evp.h>

enum {
    RUN_BYTES = 4096,
    SIGNATURE_MAX_BYTES = DKIM_RSA_MOST_BITS / 8,
    SIGNATURE_MAX_CHARS = (SIGNATURE_MAX_BYTES + 2) / 3 * 4,
    WORD_CHARS = 64, /* of the lists that are folded: h= and b= */
    BODY_HASH_CHARS = (DIGEST_BYTES + 2) / 3 * 4,
    HEADER_MAX_BYTES = 8192,
    DATA_MAX_BYTES = 4 * 1024 * 1024 /* the header block in its canonical form */
};

/* What is signed. Over-signed: those that a reader shows or that say how the body is to be read (RFC 6376 5.4.1, 8.15). The
 * others when they are there; they may be added on the way, as a list does. */
static const struct signed_header {
    const char *name;
    bool over;
} signed_headers[] = {
    {"from", true},
    {"to", true},
    {"cc", true},
    {"subject", true},
    {"date", true},
    {"message-id", true},
    {"reply-to", true},
    {"sender", true},
    {"mime-version", true},
    {"content-type", true},
    {"content-transfer-encoding", true},
    {"auto-submitted", false},
    {"disposition-notification-to", false},
    {"importance", false},
    {"in-reply-to", false},
    {"list-unsubscribe", false}, /* RFC 8058 4: must be signed */
    {"list-unsubscribe-post", false},
    {"references", false},
};

struct field {
    const char *at;
    size_t name_len;
    size_t len; /* without the CRLF at its end */
};

/* The parts of a mail. */
struct parts {
    struct field *fields; /* owned */
    size_t count;
    const char *body;
    size_t body_len;
};

/* ---- canonical forms ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    if (c < 'A' || c > 'Z') {
        return c;
    }
    return (char)((unsigned char)c | 0x20U);
}

/* RFC 6376 3.4.2: name in lower case, unfolded, runs of blanks as one, none around the colon and at the end. */
static void add_relaxed(struct buf *out, const struct field *field)
{
    for (size_t i = 0; i < field->name_len; i++) {
        buf_add_char(out, lower(field->at[i]));
    }
    buf_add_char(out, ':');
    bool blank = false;
    bool begun = false;
    for (size_t i = field->name_len + 1; i < field->len; i++) {
        char c = field->at[i];
        if (is_blank(c) || c == '\r' || c == '\n') {
            blank = true;
            continue;
        }
        if (blank && begun) {
            buf_add_char(out, ' ');
        }
        blank = false;
        begun = true;
        buf_add_char(out, c);
    }
}

/* The body on its way into a digest. */
struct body {
    EVP_MD_CTX *digest;
    bool good;
    size_t used;
    size_t empty_lines; /* held back: those at the end do not count */
    char run[RUN_BYTES];
};

static void body_put(struct body *body, const char *data, size_t len)
{
    if (body->used + len > sizeof body->run) {
        body->good = body->good && EVP_DigestUpdate(body->digest, body->run, body->used) == 1;
        body->used = 0;
    }
    if (len > sizeof body->run) {
        body->good = body->good && EVP_DigestUpdate(body->digest, data, len) == 1;
        return;
    }
    memcpy(body->run + body->used, data, len);
    body->used += len;
}

/* RFC 6376 3.4.4. */
static void body_line(struct body *body, const char *line, size_t len)
{
    while (len > 0 && is_blank(line[len - 1])) {
        len--;
    }
    if (len == 0) {
        body->empty_lines++;
        return;
    }
    for (; body->empty_lines > 0; body->empty_lines--) {
        body_put(body, "\r\n", 2);
    }
    while (len > 0) {
        size_t blanks = 0;
        while (is_blank(line[blanks])) { /* ends: the last character is none */
            blanks++;
        }
        if (blanks > 0) {
            body_put(body, " ", 1);
        }
        size_t word = blanks;
        while (word < len && !is_blank(line[word])) {
            word++;
        }
        body_put(body, line + blanks, word - blanks);
        line += word;
        len -= word;
    }
    body_put(body, "\r\n", 2);
}

static void digest_body(const struct parts *parts, uint8_t out[DIGEST_BYTES])
{
    struct body body = {.digest = EVP_MD_CTX_new()};
    const char *at = parts->body;
    const char *end = at + parts->body_len;
    body.good = body.digest != NULL && EVP_DigestInit_ex(body.digest, EVP_sha256(), NULL) == 1;
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf != NULL ? lf : end;
        size_t len = (size_t)(stop - at);
        body_line(&body, at, len > 0 && at[len - 1] == '\r' ? len - 1 : len);
        at = lf != NULL ? lf + 1 : end;
    }
    body.good = body.good && EVP_DigestUpdate(body.digest, body.run, body.used) == 1;
    if (!body.good || EVP_DigestFinal_ex(body.digest, out, NULL) != 1) {
        bug("SHA-256 is not available");
    }
    EVP_MD_CTX_free(body.digest);
}

/* ---- the mail ---- */

/* The end of a header that begins at `at`: behind its last line. */
static const char *field_end(const char *at, const char *end)
{
    do {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        at = lf != NULL ? lf + 1 : end;
    } while (at < end && is_blank(*at));
    return at;
}

static void take_apart(const struct buf *mail, size_t head, struct parts *parts)
{
    size_t room = 0;
    const char *at = mail->data + head;
    const char *end = mail->data + mail->len;
    *parts = (struct parts){.fields = NULL};
    while (at < end && *at != '\r') {
        const char *next = field_end(at, end);
        const char *colon = memchr(at, ':', (size_t)(next - at));
        if (parts->count == room) {
            room = room * 2 + 32;
            parts->fields = mem_resize(parts->fields, room, sizeof *parts->fields);
        }
        parts->fields[parts->count++] =
            (struct field){.at = at,
                           .name_len = colon != NULL ? (size_t)(colon - at) : 0,
                           .len = (size_t)(next - at) - 2};
        at = next;
    }
    parts->body = at + 2 <= end ? at + 2 : end;
    parts->body_len = (size_t)(end - parts->body);
}

static bool has_name(const struct field *field, const char *name)
{
    return field->name_len == strlen(name) &&
           strncasecmp(field->at, name, field->name_len) == 0;
}

/* The fields to be signed, those of one name from the last to the first (RFC 6376 5.4.2), and the list h=. */
static void add_signed_fields(const struct parts *parts, struct buf *data, struct buf *names)
{
    for (size_t i = 0; i < sizeof signed_headers / sizeof signed_headers[0]; i++) {
        const struct signed_header *row = &signed_headers[i];
        for (size_t k = parts->count; k > 0; k--) {
            if (has_name(&parts->fields[k - 1], row->name)) {
                buf_add_format(names, "%s%s", names->len > 0 ? ":" : "", row->name);
                add_relaxed(data, &parts->fields[k - 1]);
                buf_add_text(data, "\r\n");
            }
        }
        if (row->over) {
            buf_add_format(names, "%s%s", names->len > 0 ? ":" : "", row->name);
        }
    }
}

/* ---- one signature ---- */

static enum err make_signature(const struct dkim_key *key, const struct buf *data,
                               uint8_t out[SIGNATURE_MAX_BYTES], size_t *len)
{
    bool rsa = key->algorithm == DKIM_RSA_SHA256;
    uint8_t digest[DIGEST_BYTES];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const void *input = rsa ? (const void *)data->data : digest;
    size_t input_len = rsa ? data->len : sizeof digest;
    digest_sha256(data->data, data->len, digest); /* RFC 8463 3: Ed25519 signs the digest */
    *len = SIGNATURE_MAX_BYTES;
    bool good =
        context != NULL &&
        EVP_DigestSignInit(context, NULL, rsa ? EVP_sha256() : NULL, NULL, key->key) == 1 &&
        EVP_DigestSign(context, out, len, input, input_len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good ? ERR_OK : ERR_CONFIG;
}

/* A value that may be folded anywhere between `stops` (or anywhere at all, when that is null), as words. */
static void add_folded(struct header *h, const char *tag, const char *value, const char *stop)
{
    char word[WORD_CHARS + 8];
    size_t left = strlen(value);
    while (left > 0) {
        size_t take = left < WORD_CHARS ? left : (size_t)WORD_CHARS;
        if (stop != NULL && take < left) {
            while (take > 1 && value[take - 1] != *stop) {
                take--;
            }
        }
        int len = snprintf(word, sizeof word, "%s%.*s", tag, (int)take, value);
        header_word(h, word, (size_t)len);
        tag = "";
        value += take;
        left -= take;
    }
}

/* The header up to its b=. */
static void add_tags(struct header *h, const struct dkim_job *job, const char *selector,
                     enum dkim_algorithm algorithm, const char *body_hash, const char *names)
{
    const char *const algorithms[] = {
        [DKIM_RSA_SHA256] = "a=rsa-sha256;", [DKIM_ED25519_SHA256] = "a=ed25519-sha256;"};
    char word[SETTINGS_SERVER_BYTES + 8];
    header_word(h, "v=1;", 4);
    header_word(h, algorithms[algorithm], strlen(algorithms[algorithm]));
    header_word(h, "c=relaxed/relaxed;", 18);
    int len = snprintf(word, sizeof word, "d=%s;", job->settings->domain);
    header_word(h, word, (size_t)len);
    len = snprintf(word, sizeof word, "s=%s;", selector);
    header_word(h, word, (size_t)len);
    len = snprintf(word, sizeof word, "t=%" PRId64 ";", job->signed_at_ms / 1000);
    header_word(h, word, (size_t)len);
    add_folded(h, "h=", names, ":");
    buf_add_char(h->out, ';');
    len = snprintf(word, sizeof word, "bh=%s;", body_hash);
    header_word(h, word, (size_t)len);
}

/* What all signatures of a mail share. */
struct common {
    struct buf data;  /* the signed fields, canonical */
    struct buf names; /* h= */
    char body_hash[BODY_HASH_CHARS + 1];
};

static enum err add_signature(const struct dkim_job *job,
                              const struct settings_dkim_key *wanted, struct common *common,
                              struct buf *out, struct err_text *why)
{
    uint8_t signature[SIGNATURE_MAX_BYTES];
    char text[SIGNATURE_MAX_CHARS + 1];
    size_t len = 0;
    struct dkim_key key;
    struct header h;
    enum err err =
        dkim_keys_get(job->keys, wanted->field, wanted->key, clock_mono_ms(), &key, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t start = out->len;
    header_open(&h, out, "DKIM-Signature");
    add_tags(&h, job, wanted->selector, key.algorithm, common->body_hash,
             buf_text(&common->names));
    size_t tags_end = out->len;
    header_word(&h, "b=", 2);
    const struct field own = {
        .at = out->data + start, .name_len = strlen("DKIM-Signature"), .len = out->len - start};
    size_t fields_end = common->data.len;
    add_relaxed(&common->data, &own);
    err = make_signature(&key, &common->data, signature, &len);
    common->data.len = fields_end; /* the next signature does not cover this one */
    if (err != ERR_OK) {
        return err_set(why, err, "%s: OpenSSL cannot sign with this key", wanted->field);
    }
    char *end = encode_base64_run(text, signature, len);
    *end = '\0';
    out->len = tags_end;
    /* The column of the line may have changed with the fold before b=; header_word looks at it. */
    h.line_start = start;
    for (size_t i = start; i < tags_end; i++) {
        h.line_start = out->data[i] == '\n' ? i + 1 : h.line_start;
    }
    add_folded(&h, "b=", text, NULL);
    header_close(&h);
    return ERR_OK;
}

/* Put the headers where the header block begins. */
static enum err insert(struct buf *mail, size_t head, const struct buf *headers,
                       struct err_text *why)
{
    if (buf_status(headers) != ERR_OK || buf_reserve(mail, headers->len) != ERR_OK) {
        mail->status = ERR_LIMIT;
        return err_set(why, ERR_LIMIT, "message: no room for its signature");
    }
    memmove(mail->data + head + headers->len, mail->data + head, mail->len - head + 1);
    memcpy(mail->data + head, headers->data, headers->len);
    mail->len += headers->len;
    return ERR_OK;
}

enum err dkim_sign(const struct dkim_job *job, struct buf *mail, struct err_text *why)
{
    struct parts parts;
    struct common common;
    struct buf headers;
    uint8_t digest[DIGEST_BYTES];
    enum err err = ERR_OK;
    take_apart(mail, job->head, &parts);
    buf_init(&common.data, DATA_MAX_BYTES);
    buf_init(&common.names, HEADER_MAX_BYTES);
    buf_init(&headers, 2 * (size_t)HEADER_MAX_BYTES);
    digest_body(&parts, digest);
    *encode_base64_run(common.body_hash, digest, sizeof digest) = '\0';
    add_signed_fields(&parts, &common.data, &common.names);
    if (buf_status(&common.data) != ERR_OK || buf_status(&common.names) != ERR_OK) {
        err = err_set(why, ERR_LIMIT, "message: its headers are too large to be signed");
    }
    for (unsigned i = 0; i < job->settings->count && err == ERR_OK; i++) {
        err = add_signature(job, &job->settings->keys[i], &common, &headers, why);
    }
    if (err == ERR_OK) {
        err = insert(mail, job->head, &headers, why);
    }
    free(parts.fields);
    buf_fini(&common.data);
    buf_fini(&common.names);
    buf_fini(&headers);
    return err;
}
