/* NTLMv2 messages, MS-NLMP.
 *
 * Design notes. The response is NTProofStr and "temp" (3.3.2); when the server gave a time it also
 * wants a MIC over all three messages and no LMv2 response (3.1.5.1.2). KEY_EXCH, SIGN and SEAL are
 * not asked for, so the exported session key is the session base key. Everything that a password
 * can be computed from is wiped before the functions return. */
#include "ntlm.h"

#include "md4.h"
#include "utf8.h"

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    FLAG_UNICODE = 0x00000001,
    FLAG_REQUEST_TARGET = 0x00000004,
    FLAG_NTLM = 0x00000200,
    FLAG_ALWAYS_SIGN = 0x00008000,
    FLAG_EXTENDED = 0x00080000,
    FLAG_TARGET_INFO = 0x00800000,
    FLAG_128 = 0x20000000
};
static const uint32_t flag_56 = 0x80000000U;

enum { AV_EOL = 0, AV_FLAGS = 6, AV_TIMESTAMP = 7, AV_FLAGS_MIC = 2 };
enum {
    CHALLENGE_HEAD_BYTES =
        48, /* up to the target information's place; the version is optional */
    AUTHENTICATE_HEAD_BYTES = 88,
    MIC_AT = 72,
    LM_BYTES = 24,
    UTF16_MAX_BYTES = 2 * 8192
};
static const uint64_t epoch_1601_ms = UINT64_C(11644473600000);
static const char signature[8] = "NTLMSSP"; /* with its NUL */

static uint32_t our_flags(void)
{
    return FLAG_UNICODE | FLAG_REQUEST_TARGET | FLAG_NTLM | FLAG_ALWAYS_SIGN | FLAG_EXTENDED |
           FLAG_TARGET_INFO | FLAG_128 | flag_56;
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] | (unsigned)at[1] << 8;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const uint8_t *at)
{
    return (uint64_t)get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* Append a number of `bytes` bytes. */
static void put(struct buf *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buf_add_char(out, (char)(uint8_t)(value >> (8 * i)));
    }
}

/* The length twice, and where it stands: how every message names its parts. */
static void put_part(struct buf *out, size_t len, size_t offset)
{
    put(out, len, 2);
    put(out, len, 2);
    put(out, offset, 4);
}

uint64_t ntlm_time(int64_t unix_ms)
{
    return ((uint64_t)unix_ms + epoch_1601_ms) * 10000;
}

void ntlm_negotiate(struct buf *out)
{
    buf_add(out, signature, sizeof signature);
    put(out, 1, 4);
    put(out, our_flags(), 4);
    put_part(out, 0, 0); /* domain */
    put_part(out, 0, 0); /* workstation */
    put(out, 0, 8);      /* version: FLAG_VERSION is not set */
}

/* ---- CHALLENGE ---- */

/* Walk the AV pairs: id, length, value; the list must end. */
static enum err read_target_info(struct ntlm_challenge *out, const uint8_t *info, size_t len,
                                 struct err_text *why)
{
    size_t at = 0;
    while (at + 4 <= len) {
        unsigned id = get16(info + at);
        unsigned value_len = get16(info + at + 2);
        if (id == AV_EOL) {
            out->target_info = info;
            out->target_info_len = at;
            return ERR_OK;
        }
        if (value_len > len - at - 4) {
            break;
        }
        if (id == AV_TIMESTAMP && value_len == 8) {
            out->has_time = true;
            out->time = get64(info + at + 4);
        }
        at += 4U + value_len;
    }
    return err_set(why, ERR_PROTO,
                   "NTLM: the target information of the challenge does not end");
}

enum err ntlm_challenge_read(const uint8_t *data, size_t len, struct ntlm_challenge *out,
                             struct err_text *why)
{
    *out = (struct ntlm_challenge){.flags = 0};
    if (len < sizeof signature + 4 || memcmp(data, signature, sizeof signature) != 0 ||
        get32(data + 8) != 2) {
        return err_set(why, ERR_PROTO, "NTLM: the server sent no challenge");
    }
    if (len < 32) {
        return err_set(why, ERR_PROTO, "NTLM: the challenge is cut short");
    }
    out->flags = get32(data + 20);
    memcpy(out->nonce, data + 24, sizeof out->nonce);
    if ((out->flags & FLAG_UNICODE) == 0) {
        return err_set(why, ERR_PROTO, "NTLM: the server does not speak Unicode");
    }
    if ((out->flags & FLAG_TARGET_INFO) == 0 || len < CHALLENGE_HEAD_BYTES) {
        return err_set(why, ERR_PROTO,
                       "NTLM: the server knows version 1 only, which is not answered");
    }
    size_t info_len = get16(data + 40);
    size_t info_at = get32(data + 44);
    if (info_at > len || info_len > len - info_at) {
        return err_set(why, ERR_PROTO, "NTLM: the challenge points outside of itself");
    }
    return read_target_info(out, data + info_at, info_len, why);
}

/* ---- texts ---- */

static void put_utf16(struct buf *out, uint32_t code)
{
    if (code < 0x10000) {
        put(out, code, 2);
        return;
    }
    put(out, 0xD800 + ((code - 0x10000) >> 10), 2);
    put(out, 0xDC00 + ((code - 0x10000) & 0x3FF), 2);
}

enum letter_case { AS_IT_IS, UPPER };

/* Upper case as Windows has it: one character becomes one, whatever the user's language. */
static enum err to_upper(uint32_t *code, locale_t locale)
{
    if (*code < 0x80) {
        *code -= *code >= 'a' && *code <= 'z' ? 'a' - 'A' : 0;
        return ERR_OK;
    }
    if (locale == (locale_t)0) {
        return ERR_INVALID;
    }
    *code = (uint32_t)towupper_l((wint_t)*code, locale);
    return ERR_OK;
}

/* UTF-8 to UTF-16LE, behind what is in out; its room must have been reserved, so that no copy of a
 * password stays behind. */
static enum err add_utf16(struct buf *out, const char *text, size_t len, enum letter_case which,
                          const char *field, struct err_text *why)
{
    enum err err = ERR_OK;
    locale_t locale =
        which == UPPER ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
    for (size_t at = 0; at < len && err == ERR_OK;) {
        uint32_t code = 0;
        size_t step = utf8_next(text + at, len - at, &code);
        if (step == 0) {
            err = err_set(why, ERR_INVALID, "%s: is not UTF-8, NTLM needs Unicode", field);
        } else if (which == UPPER && to_upper(&code, locale) != ERR_OK) {
            err = err_set(
                why, ERR_INVALID,
                "%s: has letters beyond ASCII, and this machine has no locale C.UTF-8 to "
                "put them in upper case for NTLM",
                field);
        } else {
            put_utf16(out, code);
        }
        at += step;
    }
    if (locale != (locale_t)0) {
        freelocale(locale);
    }
    return err == ERR_OK ? buf_status(out) : err;
}

/* Where domain and user stand in a name. */
struct parts {
    const char *domain;
    size_t domain_len;
    const char *user;
    size_t user_len;
};

static void split(const char *name, struct parts *out)
{
    size_t cut = strcspn(name, "\\/");
    bool has_domain = name[cut] != '\0';
    out->domain = name;
    out->domain_len = has_domain ? cut : 0;
    out->user = has_domain ? name + cut + 1 : name;
    out->user_len = strlen(out->user);
}

/* ---- keys ---- */

static enum err hmac_md5(const uint8_t key[NTLM_KEY_BYTES], const void *data, size_t len,
                         uint8_t out[NTLM_KEY_BYTES], struct err_text *why)
{
    unsigned out_len = 0;
    if (HMAC(EVP_md5(), key, NTLM_KEY_BYTES, data, len, out, &out_len) == NULL ||
        out_len != NTLM_KEY_BYTES) {
        return err_set(why, ERR_CONFIG, "NTLM: this OpenSSL does not do MD5 (FIPS?)");
    }
    return ERR_OK;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, b->cap);
    }
    buf_fini(b);
}

enum err ntlm_key(const struct ntlm_identity *identity, uint8_t key[NTLM_KEY_BYTES],
                  struct err_text *why)
{
    struct buf text;
    uint8_t hash[MD4_BYTES] = {0};
    struct parts parts;
    size_t password_len = strlen(identity->password);
    split(identity->name, &parts);
    buf_init(&text, UTF16_MAX_BYTES);
    enum err err = buf_reserve(&text, 2 * password_len);
    if (err != ERR_OK || strlen(identity->name) > NTLM_TEXT_MAX_BYTES) {
        err = err_set(why, ERR_INVALID, "user_name or password: too long for NTLM");
        goto out;
    }
    err = add_utf16(&text, identity->password, password_len, AS_IT_IS, "password", why);
    if (err != ERR_OK) {
        goto out;
    }
    md4(text.data, text.len, hash);
    OPENSSL_cleanse(text.data, text.cap);
    buf_reset(&text);
    err = add_utf16(&text, parts.user, parts.user_len, UPPER, "user_name", why);
    if (err == ERR_OK) {
        err = add_utf16(&text, parts.domain, parts.domain_len, AS_IT_IS, "user_name", why);
    }
    if (err == ERR_OK) {
        err = hmac_md5(hash, buf_text(&text), text.len, key, why);
    }
out:
    OPENSSL_cleanse(hash, sizeof hash);
    wipe(&text);
    return err;
}

/* ---- AUTHENTICATE ---- */

/* One answer in the making. */
struct answer {
    const struct ntlm_chance *chance;
    struct ntlm_challenge challenge;
    uint8_t key[NTLM_KEY_BYTES];
    uint8_t session_key[NTLM_KEY_BYTES];
    struct buf nt; /* NTProofStr and temp */
    uint8_t lm[LM_BYTES];
    struct buf user;
    struct buf domain;
};

/* The server's target information, with our word that a MIC follows when it gave a time. */
static void add_target_info(struct buf *out, const struct ntlm_challenge *challenge)
{
    const uint8_t *info = challenge->target_info;
    uint32_t flags = 0;
    for (size_t at = 0; at < challenge->target_info_len;) {
        size_t pair_len = 4U + get16(info + at + 2);
        if (get16(info + at) == AV_FLAGS && pair_len == 8) {
            flags = get32(info + at + 4);
        } else {
            buf_add(out, info + at, pair_len);
        }
        at += pair_len;
    }
    flags |= challenge->has_time ? (uint32_t)AV_FLAGS_MIC : 0;
    if (flags != 0) {
        put(out, AV_FLAGS, 2);
        put(out, 4, 2);
        put(out, flags, 4);
    }
    put(out, AV_EOL, 4);
}

/* NTProofStr = HMAC-MD5(key, server's nonce, temp); the response is both. */
static enum err make_nt(struct answer *a, struct err_text *why)
{
    struct buf temp;
    buf_init(&temp, 2 * (size_t)NTLM_MESSAGE_MAX_BYTES);
    buf_add(&temp, a->challenge.nonce, NTLM_NONCE_BYTES);
    put(&temp, 0x0101, 2); /* versions of the response */
    put(&temp, 0, 6);
    put(&temp, a->challenge.has_time ? a->challenge.time : a->chance->time, 8);
    buf_add(&temp, a->chance->nonce, NTLM_NONCE_BYTES);
    put(&temp, 0, 4);
    add_target_info(&temp, &a->challenge);
    put(&temp, 0, 4);
    uint8_t proof[NTLM_KEY_BYTES];
    enum err err = buf_status(&temp);
    if (err == ERR_OK) {
        err = hmac_md5(a->key, temp.data, temp.len, proof, why);
    }
    if (err == ERR_OK) {
        buf_add(&a->nt, proof, sizeof proof);
        buf_add(&a->nt, temp.data + NTLM_NONCE_BYTES, temp.len - NTLM_NONCE_BYTES);
        err = hmac_md5(a->key, proof, sizeof proof, a->session_key, why);
    }
    buf_fini(&temp);
    return err;
}

/* LMv2, for servers that give no time; else zeros. */
static enum err make_lm(struct answer *a, struct err_text *why)
{
    uint8_t both[2 * NTLM_NONCE_BYTES];
    if (a->challenge.has_time) {
        return ERR_OK;
    }
    memcpy(both, a->challenge.nonce, NTLM_NONCE_BYTES);
    memcpy(both + NTLM_NONCE_BYTES, a->chance->nonce, NTLM_NONCE_BYTES);
    memcpy(a->lm + NTLM_KEY_BYTES, a->chance->nonce, NTLM_NONCE_BYTES);
    return hmac_md5(a->key, both, sizeof both, a->lm, why);
}

static enum err make_names(struct answer *a, const char *name, struct err_text *why)
{
    struct parts parts;
    split(name, &parts);
    enum err err = add_utf16(&a->user, parts.user, parts.user_len, AS_IT_IS, "user_name", why);
    if (err == ERR_OK) {
        err = add_utf16(&a->domain, parts.domain, parts.domain_len, AS_IT_IS, "user_name", why);
    }
    return err;
}

/* The head names the parts in this order: LM, NT, domain, user, workstation, session key. */
static void write_message(const struct answer *a, struct buf *out)
{
    size_t at = AUTHENTICATE_HEAD_BYTES;
    buf_add(out, signature, sizeof signature);
    put(out, 3, 4);
    put_part(out, sizeof a->lm, at);
    at += sizeof a->lm;
    put_part(out, a->nt.len, at);
    at += a->nt.len;
    put_part(out, a->domain.len, at);
    at += a->domain.len;
    put_part(out, a->user.len, at);
    at += a->user.len;
    put_part(out, 0, at);
    put_part(out, 0, at);
    put(out, our_flags() & a->challenge.flags, 4);
    put(out, 0, 8);                  /* version */
    put(out, 0, NTLM_KEY_BYTES / 2); /* MIC, filled in when there is one */
    put(out, 0, NTLM_KEY_BYTES / 2);
    buf_add(out, a->lm, sizeof a->lm);
    buf_add(out, a->nt.data, a->nt.len);
    buf_add(out, a->domain.data, a->domain.len);
    buf_add(out, a->user.data, a->user.len);
}

/* MIC = HMAC-MD5(session key, NEGOTIATE, CHALLENGE, AUTHENTICATE with zeros for it). */
static enum err sign(const struct answer *a, const struct buf *negotiate,
                     const struct buf *challenge, struct buf *message, struct err_text *why)
{
    struct buf all;
    uint8_t mic[NTLM_KEY_BYTES];
    if (!a->challenge.has_time) {
        return ERR_OK;
    }
    buf_init(&all, 8 * (size_t)NTLM_MESSAGE_MAX_BYTES);
    buf_add(&all, negotiate->data, negotiate->len);
    buf_add(&all, challenge->data, challenge->len);
    buf_add(&all, message->data, message->len);
    enum err err = buf_status(&all);
    if (err == ERR_OK) {
        err = hmac_md5(a->session_key, all.data, all.len, mic, why);
    }
    if (err == ERR_OK) {
        memcpy(message->data + MIC_AT, mic, sizeof mic);
    }
    buf_fini(&all);
    return err;
}

enum err ntlm_authenticate(const struct ntlm_identity *identity, const struct buf *negotiate,
                           const struct buf *challenge, const struct ntlm_chance *chance,
                           struct buf *out, struct err_text *why)
{
    struct answer a = {.chance = chance};
    struct buf message;
    buf_init(&a.nt, 2 * (size_t)NTLM_MESSAGE_MAX_BYTES);
    buf_init(&a.user, 2 * (size_t)NTLM_TEXT_MAX_BYTES);
    buf_init(&a.domain, 2 * (size_t)NTLM_TEXT_MAX_BYTES);
    buf_init(&message, 4 * (size_t)NTLM_MESSAGE_MAX_BYTES);
    enum err err = ntlm_challenge_read((const uint8_t *)buf_text(challenge), challenge->len,
                                       &a.challenge, why);
    if (err == ERR_OK) {
        err = ntlm_key(identity, a.key, why);
    }
    if (err == ERR_OK) {
        err = make_nt(&a, why);
    }
    if (err == ERR_OK) {
        err = make_lm(&a, why);
    }
    if (err == ERR_OK) {
        err = make_names(&a, identity->name, why);
    }
    if (err == ERR_OK) {
        write_message(&a, &message);
        err = buf_status(&message);
    }
    if (err == ERR_OK) {
        err = sign(&a, negotiate, challenge, &message, why);
    }
    if (err == ERR_OK) {
        buf_add(out, message.data, message.len);
        err = buf_status(out);
    }
    buf_fini(&message);
    buf_fini(&a.domain);
    buf_fini(&a.user);
    buf_fini(&a.nt);
    OPENSSL_cleanse(&a, sizeof a);
    return err;
}
