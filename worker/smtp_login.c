/* SASL over SMTP: one function for each mechanism says what to answer to a 334.
 *
 * Invariants: a secret lies in the login and in the line that is about to leave, and is wiped in
 * both. No mechanism is tried after another: a refused one is the end of the login. */
#include "smtp_login.h"

#include "clock.h"
#include "mem.h"
#include "ntlm.h"
#include "redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum {
    LINE_MAX_BYTES = 16384, /* of the server; RFC 4954 4 asks for 12288 */
    OUT_MAX_BYTES = 65536,
    INITIAL_MAX_BYTES = 500, /* so that the AUTH line fits in 512, RFC 4954 4 */
    ROUNDS_MAX = 4,
    TOKEN_ERROR_BYTES = 200
};

/* Answer the 334 number `round` (from 0): append the clear bytes of the answer, base64 follows. */
typedef enum err answer_fn(struct smtp_login *login, const struct buf *challenge,
                           struct buf *clear, struct err_text *why);

struct smtp_login {
    const struct mechanism *mechanism;
    char *user;
    char *secret;
    char *server;
    uint16_t port;
    unsigned round;       /* 334 answered */
    bool initial_sent;    /* the first answer went with AUTH */
    struct buf line;      /* of the server, without its end */
    struct buf negotiate; /* NTLM */
    struct buf sent;      /* the base64 of every answer, to know it again in a reply */
    struct smtp_reply reply;
    char token_error[TOKEN_ERROR_BYTES];
};

/* ---- mechanisms ---- */

static void add_nul(struct buf *out)
{
    buf_add_char(out, '\0');
}

/* RFC 4616. */
static enum err answer_plain(struct smtp_login *login, const struct buf *challenge,
                             struct buf *clear, struct err_text *why)
{
    (void)challenge;
    if (login->round > 0) {
        return err_set(why, ERR_PROTO, "PLAIN: the server asks for more than there is");
    }
    add_nul(clear);
    buf_add_text(clear, login->user);
    add_nul(clear);
    buf_add_text(clear, login->secret);
    return ERR_OK;
}

/* The prompts are words in any language: only their order counts. */
static enum err answer_login(struct smtp_login *login, const struct buf *challenge,
                             struct buf *clear, struct err_text *why)
{
    (void)challenge;
    if (login->round > 1) {
        return err_set(why, ERR_PROTO,
                       "LOGIN: the server asks for more than user and password");
    }
    buf_add_text(clear, login->round == 0 ? login->user : login->secret);
    return ERR_OK;
}

/* RFC 2195: user, blank, HMAC-MD5 of the challenge in hex. */
static enum err answer_cram(struct smtp_login *login, const struct buf *challenge,
                            struct buf *clear, struct err_text *why)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (login->round > 0) {
        return err_set(why, ERR_PROTO, "CRAM-MD5: the server asks twice");
    }
    if (HMAC(EVP_md5(), login->secret, (int)strlen(login->secret),
             (const uint8_t *)buf_text(challenge), challenge->len, digest, &len) == NULL) {
        return err_set(why, ERR_CONFIG, "CRAM-MD5: this OpenSSL does not do MD5 (FIPS?)");
    }
    buf_add_text(clear, login->user);
    buf_add_char(clear, ' ');
    for (unsigned i = 0; i < len; i++) {
        buf_add_format(clear, "%02x", digest[i]);
    }
    return ERR_OK;
}

/* MS-SMTPNTLM: the first 334 asks for NEGOTIATE, the second has the CHALLENGE. */
static enum err answer_ntlm(struct smtp_login *login, const struct buf *challenge,
                            struct buf *clear, struct err_text *why)
{
    if (login->round == 0) {
        ntlm_negotiate(&login->negotiate);
        buf_add(clear, login->negotiate.data, login->negotiate.len);
        return ERR_OK;
    }
    if (login->round > 1) {
        return err_set(why, ERR_PROTO, "NTLM: the server asks for more than there is");
    }
    const struct ntlm_identity identity = {.name = login->user, .password = login->secret};
    struct ntlm_chance chance = {.time = ntlm_time(clock_wall_ms())};
    if (RAND_bytes(chance.nonce, sizeof chance.nonce) != 1) {
        return err_set(why, ERR_IO, "NTLM: OpenSSL has no random bytes");
    }
    return ntlm_authenticate(&identity, &login->negotiate, challenge, &chance, clear, why);
}

/* What the server says of a token that it refuses: JSON, shown as it is without control bytes. */
static void note_token_error(struct smtp_login *login, const struct buf *challenge)
{
    size_t room = sizeof login->token_error - 1;
    size_t len = challenge->len < room ? challenge->len : room;
    for (size_t i = 0; i < len; i++) {
        char c = challenge->data[i];
        bool shown = c >= ' ' && c <= '~';
        login->token_error[i] = '?';
        if (shown) {
            login->token_error[i] = c;
        }
    }
    login->token_error[len] = '\0';
}

/* Google and Microsoft: user and token; a second 334 has the error, an empty line asks for the 535. */
static enum err answer_xoauth2(struct smtp_login *login, const struct buf *challenge,
                               struct buf *clear, struct err_text *why)
{
    (void)why;
    if (login->round > 0) {
        note_token_error(login, challenge);
        return ERR_OK;
    }
    buf_add_format(clear, "user=%s\001auth=Bearer %s\001\001", login->user, login->secret);
    return ERR_OK;
}

/* "," and "=" in the name are spelt out, RFC 5801 4. */
static void add_authzid(struct buf *out, const char *name)
{
    for (; *name != '\0'; name++) {
        if (*name == ',' || *name == '=') {
            buf_add_text(out, *name == ',' ? "=2C" : "=3D");
        } else {
            buf_add_char(out, *name);
        }
    }
}

/* RFC 7628 3.1; after an error a lone 0x01, 3.2.3. */
static enum err answer_bearer(struct smtp_login *login, const struct buf *challenge,
                              struct buf *clear, struct err_text *why)
{
    (void)why;
    if (login->round > 0) {
        note_token_error(login, challenge);
        buf_add_char(clear, '\001');
        return ERR_OK;
    }
    buf_add_text(clear, "n,a=");
    add_authzid(clear, login->user);
    buf_add_format(clear, ",\001host=%s\001port=%u\001auth=Bearer %s\001\001", login->server,
                   (unsigned)login->port, login->secret);
    return ERR_OK;
}

enum initial { INITIAL_NO, INITIAL_IF_SHORT };

static const struct mechanism {
    answer_fn *answer;
    enum initial initial; /* the first answer may ride with AUTH */
} mechanisms[SETTINGS_MECHANISM_COUNT] = {
    [SETTINGS_MECHANISM_PLAIN] = {answer_plain, INITIAL_IF_SHORT},
    [SETTINGS_MECHANISM_LOGIN] = {answer_login, INITIAL_NO},
    [SETTINGS_MECHANISM_CRAM_MD5] = {answer_cram, INITIAL_NO},
    [SETTINGS_MECHANISM_NTLM] = {answer_ntlm, INITIAL_NO},
    [SETTINGS_MECHANISM_XOAUTH2] = {answer_xoauth2, INITIAL_IF_SHORT},
    [SETTINGS_MECHANISM_OAUTHBEARER] = {answer_bearer, INITIAL_IF_SHORT},
};

/* ---- choosing ---- */

static void list_names(unsigned set, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < SETTINGS_MECHANISM_COUNT && at < size; i++) {
        if ((set & 1U << i) != 0) {
            int n = snprintf(out + at, size - at, "%s%s", at > 0 ? " " : "",
                             settings_mechanism_name((enum settings_mechanism)i));
            at += n > 0 ? (size_t)n : 0;
        }
    }
}

enum err smtp_login_choose(const struct settings_plan *plan, unsigned offered,
                           enum settings_mechanism *out, struct err_text *why)
{
    struct settings_mechanisms wanted;
    unsigned set = 0;
    settings_mechanisms(plan, &wanted);
    for (size_t i = 0; i < wanted.count; i++) {
        if ((offered & 1U << wanted.items[i]) != 0) {
            *out = wanted.items[i];
            return ERR_OK;
        }
        set |= 1U << wanted.items[i];
    }
    if (offered == 0) {
        return err_set(why, ERR_NOT_FOUND,
                       "the server offered no AUTH of a kind that is known, nothing was sent");
    }
    char allowed[96];
    char there[96];
    list_names(set, allowed, sizeof allowed);
    list_names(offered, there, sizeof there);
    return err_set(why, ERR_NOT_FOUND,
                   "no login of the kind that the settings ask for (%s): the server offers %s, "
                   "nothing was sent",
                   allowed, there);
}

/* ---- base64 ---- */

static void add_base64(struct buf *out, const struct buf *clear)
{
    size_t room = 4 * ((clear->len + 2) / 3);
    if (clear->len == 0 || buf_reserve(out, room + 1) != ERR_OK) {
        return;
    }
    (void)EVP_EncodeBlock((unsigned char *)out->data + out->len,
                          (const unsigned char *)clear->data, (int)clear->len);
    out->len += room;
    out->data[out->len] = '\0';
}

/* Strict but for blanks at the end. */
static enum err decode(const char *text, size_t len, struct buf *out, struct err_text *why)
{
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\r')) {
        len--;
    }
    size_t padding = len > 1 && text[len - 1] == '=' ? 1U + (text[len - 2] == '=') : 0;
    if (len % 4 != 0 || buf_reserve(out, len) != ERR_OK) {
        return err_set(why, ERR_PROTO, "a challenge of the server is no base64");
    }
    if (len == 0) {
        return ERR_OK;
    }
    int got =
        EVP_DecodeBlock((unsigned char *)out->data, (const unsigned char *)text, (int)len);
    if (got < 0 || (size_t)got < padding) {
        return err_set(why, ERR_PROTO, "a challenge of the server is no base64");
    }
    out->len = (size_t)got - padding;
    return ERR_OK;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, b->cap);
    }
    buf_fini(b);
}

/* ---- the dialogue ---- */

/* One answer as base64, reserved whole so that no copy of a secret is left by growing. */
static enum err add_answer(struct smtp_login *login, const struct buf *challenge,
                           struct buf *out, struct err_text *why)
{
    struct buf clear;
    buf_init(&clear, OUT_MAX_BYTES);
    enum err err = buf_reserve(&clear, OUT_MAX_BYTES / 2);
    if (err == ERR_OK) {
        err = login->mechanism->answer(login, challenge, &clear, why);
    }
    if (err == ERR_OK) {
        size_t before = out->len;
        add_base64(out, &clear);
        buf_add(&login->sent, out->data + before, out->len - before);
        err = buf_status(&clear);
    }
    wipe(&clear);
    login->round++;
    return err;
}

struct smtp_login *smtp_login_new(const struct smtp_login_setup *setup, struct buf *out)
{
    struct smtp_login *login = mem_zero(1, sizeof *login);
    login->mechanism = &mechanisms[setup->mechanism];
    login->user = mem_text(setup->user);
    login->secret = mem_text(setup->secret);
    login->server = mem_text(setup->server);
    login->port = setup->port;
    buf_init(&login->line, LINE_MAX_BYTES);
    buf_init(&login->negotiate, 256);
    buf_init(&login->sent, OUT_MAX_BYTES);
    buf_add_format(out, "AUTH %s", settings_mechanism_name(setup->mechanism));
    size_t raw = strlen(login->user) + strlen(login->secret) + strlen(login->server) + 64;
    (void)buf_reserve(&login->sent, 4 * raw); /* whole, as in add_answer; NTLM's is no secret */
    if (login->mechanism->initial == INITIAL_IF_SHORT && 4 * raw / 3 < INITIAL_MAX_BYTES) {
        const struct buf nothing = {.len = 0};
        struct err_text why;
        buf_add_char(out, ' ');
        login->initial_sent = add_answer(login, &nothing, out, &why) == ERR_OK;
    }
    buf_add_text(out, "\r\n");
    return login;
}

void smtp_login_free(struct smtp_login **login_p)
{
    struct smtp_login *login = *login_p;
    if (login == NULL) {
        return;
    }
    OPENSSL_cleanse(login->secret, strlen(login->secret));
    free(login->secret);
    free(login->user);
    free(login->server);
    buf_fini(&login->line);
    buf_fini(&login->negotiate);
    wipe(&login->sent);
    free(login);
    *login_p = NULL;
}

static enum smtp_login_next take_challenge(struct smtp_login *login, const char *text,
                                           size_t len, struct buf *out, struct err_text *why)
{
    struct buf challenge;
    buf_init(&challenge, LINE_MAX_BYTES);
    enum err err = ERR_OK;
    if (login->round >= ROUNDS_MAX) {
        err = err_set(why, ERR_PROTO, "the server asks for more and more");
    }
    /* What asks for the first answer is a prompt in no fixed form: "334 NTLM supported". */
    bool prompt = login->round == 0 || login->mechanism->answer == answer_login;
    if (err == ERR_OK && (!prompt || login->mechanism->answer == answer_cram)) {
        err = decode(text, len, &challenge, why);
    }
    if (err == ERR_OK) {
        err = add_answer(login, &challenge, out, why);
    }
    buf_add_text(out, "\r\n");
    buf_fini(&challenge);
    return err == ERR_OK ? SMTP_LOGIN_SEND : SMTP_LOGIN_BROKEN;
}

/* The words about the token behind those of the refusal: the latch shows both. */
static void add_token_error(struct smtp_login *login)
{
    if (login->token_error[0] == '\0') {
        return;
    }
    char *text = login->reply.text;
    size_t room = sizeof login->reply.text;
    size_t len = strlen(text);
    (void)snprintf(text + len, room - len, " (of the token: %s)", login->token_error);
}

/* A line that is no 334, with its LF. */
static enum smtp_login_next take_final(struct smtp_login *login, struct err_text *why)
{
    struct smtp_reply *reply = &login->reply;
    (void)smtp_reply_feed(reply, login->line.data, login->line.len);
    if (reply->state == SMTP_REPLY_MORE) {
        return SMTP_LOGIN_MORE;
    }
    if (reply->state == SMTP_REPLY_DONE && reply->code == 235) {
        return SMTP_LOGIN_DONE;
    }
    if (reply->state == SMTP_REPLY_DONE && reply->code >= 400) {
        add_token_error(login);
        redact_text(reply->text, buf_text(&login->sent), login->sent.len, login->secret);
        return SMTP_LOGIN_REFUSED;
    }
    (void)err_set(why, ERR_PROTO,
                  "the server's answer to the login is neither 235 nor a refusal");
    return SMTP_LOGIN_BROKEN;
}

static enum smtp_login_next take_line(struct smtp_login *login, struct buf *out,
                                      struct err_text *why)
{
    const char *line = login->line.data;
    size_t len = login->line.len;
    bool begins = login->reply.state != SMTP_REPLY_MORE || login->reply.lines == 0;
    if (begins && len > 4 && memcmp(line, "334", 3) == 0 &&
        (line[3] == ' ' || line[3] == '\r')) {
        size_t skip = line[3] == ' ' ? 4 : 3;
        size_t end = len - 1 - (line[len - 2] == '\r');
        return take_challenge(login, line + skip, end > skip ? end - skip : 0, out, why);
    }
    return take_final(login, why);
}

enum smtp_login_next smtp_login_feed(struct smtp_login *login, const char *data, size_t len,
                                     struct buf *out, struct err_text *why)
{
    enum smtp_login_next next = SMTP_LOGIN_MORE;
    size_t at = 0;
    while (at < len && next == SMTP_LOGIN_MORE) {
        const char *lf = memchr(data + at, '\n', len - at);
        size_t piece = lf != NULL ? (size_t)(lf - (data + at)) + 1 : len - at;
        buf_add(&login->line, data + at, piece);
        at += piece;
        if (buf_status(&login->line) != ERR_OK) {
            (void)err_set(why, ERR_LIMIT, "a line of the server is longer than %d bytes",
                          (int)LINE_MAX_BYTES);
            return SMTP_LOGIN_BROKEN;
        }
        if (lf != NULL) {
            next = take_line(login, out, why);
            buf_reset(&login->line);
        }
    }
    if (at < len && next != SMTP_LOGIN_BROKEN) {
        (void)err_set(why, ERR_PROTO, "the server speaks out of turn during the login");
        return SMTP_LOGIN_BROKEN;
    }
    return next;
}

const struct smtp_reply *smtp_login_reply(const struct smtp_login *login)
{
    return &login->reply;
}
