/* JSON of OAuth 2 servers, read with jansson.
 *
 * Design notes. Each field is a row: key, kind, where it goes. Keys that we do not know are passed over (RFC 6749 5.1
 * says so), a key twice is refused, numbers may come as texts ("3600", seen at Azure AD v1). jansson's copies of
 * the tokens are wiped before it frees them. */
#include "oauth_reply.h"

#include "mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <openssl/crypto.h>

enum field_kind { FIELD_TOKEN, FIELD_SECONDS, FIELD_WORDS };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    size_t size; /* FIELD_WORDS: of the room; FIELD_TOKEN: most bytes */
};

#define AT(member) offsetof(struct oauth_reply, member)

static const struct field fields[] = {
    {"access_token", FIELD_TOKEN, AT(access_token), OAUTH_TOKEN_MAX_BYTES},
    {"refresh_token", FIELD_TOKEN, AT(refresh_token), OAUTH_TOKEN_MAX_BYTES},
    {"expires_in", FIELD_SECONDS, AT(expires_in_s), 0},
    {"refresh_token_expires_in", FIELD_SECONDS, AT(refresh_expires_in_s), 0},
    {"refresh_expires_in", FIELD_SECONDS, AT(refresh_expires_in_s), 0},
    {"device_code", FIELD_TOKEN, AT(device_code), OAUTH_TOKEN_MAX_BYTES},
    {"user_code", FIELD_TOKEN, AT(user_code), 64},
    {"verification_uri", FIELD_TOKEN, AT(verification_uri), 1000},
    {"verification_url", FIELD_TOKEN, AT(verification_uri), 1000}, /* Google's spelling */
    {"interval", FIELD_SECONDS, AT(interval_s), 0},
    {"error", FIELD_WORDS, AT(error), OAUTH_ERROR_BYTES},
    {"error_description", FIELD_WORDS, AT(words), OAUTH_WORDS_BYTES},
};

/* RFC 6749 A.12: VSCHAR, less the blank, which no token in use has. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x21 || text[i] > 0x7e) {
            return false;
        }
    }
    return len > 0;
}

static enum err take_token(const struct field *field, const json_t *value, char **to,
                           struct err_text *why)
{
    const char *text = json_string_value(value);
    size_t len = text != NULL ? json_string_length(value) : 0;
    if (text == NULL || len > field->size || !is_token(text, len)) {
        return err_set(why, ERR_PROTO, "%s: must be a text of 1 to %zu printable characters",
                       field->key, field->size);
    }
    if (*to == NULL) { /* the first of two spellings counts */
        *to = mem_copy(text, len + 1);
    }
    return ERR_OK;
}

static enum err take_seconds(const struct field *field, const json_t *value, uint32_t *to,
                             struct err_text *why)
{
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    const char *text = json_string_value(value);
    if (text != NULL && text[0] >= '0' && text[0] <= '9') {
        char *end = NULL;
        seconds = strtod(text, &end);
        seconds = *end == '\0' ? seconds : -1;
    }
    if (!(seconds >= 0)) {
        return err_set(why, ERR_PROTO, "%s: must be a number of seconds", field->key);
    }
    *to = seconds < OAUTH_SECONDS_MAX ? (uint32_t)seconds : OAUTH_SECONDS_MAX;
    return ERR_OK;
}

/* One line, cut to fit; what is not printable ASCII becomes '?'. */
static void take_words(const json_t *value, char *to, size_t size)
{
    const char *text = json_string_value(value);
    if (text == NULL) {
        return;
    }
    size_t len = json_string_length(value);
    len = len < size ? len : size - 1;
    for (size_t i = 0; i < len; i++) {
        bool blank = text[i] == '\r' || text[i] == '\n' || text[i] == '\t';
        bool shown = text[i] >= ' ' && text[i] <= '~';
        to[i] = '?';
        if (blank || shown) {
            to[i] = (char)(blank ? ' ' : text[i]);
        }
    }
    to[len] = '\0';
}

static enum err take_field(const struct field *field, const json_t *value,
                           struct oauth_reply *out, struct err_text *why)
{
    void *to = (char *)out + field->offset;
    if (value == NULL || json_is_null(value)) {
        return ERR_OK;
    }
    switch (field->kind) {
    case FIELD_TOKEN:
        return take_token(field, value, to, why);
    case FIELD_SECONDS:
        return take_seconds(field, value, to, why);
    default:
        take_words(value, to, field->size);
        return ERR_OK;
    }
}

static enum err check_type(const json_t *root, const struct oauth_reply *out,
                           struct err_text *why)
{
    const json_t *type = json_object_get(root, "token_type");
    if (out->access_token != NULL && type != NULL &&
        (!json_is_string(type) || strcasecmp(json_string_value(type), "bearer") != 0)) {
        return err_set(why, ERR_PROTO, "token_type: must be Bearer");
    }
    if (out->access_token == NULL && out->device_code == NULL && out->error[0] == '\0') {
        return err_set(why, ERR_PROTO, "neither a token nor an error stands in it");
    }
    if (out->device_code != NULL && (out->user_code == NULL || out->verification_uri == NULL)) {
        return err_set(why, ERR_PROTO, "device_code without user_code and verification_uri");
    }
    return ERR_OK;
}

/* jansson lends its own bytes; they are secret and about to be freed. */
static void wipe_strings(json_t *root)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(root, key, value)
    {
        if (json_is_string(value)) {
            OPENSSL_cleanse((void *)(uintptr_t)json_string_value(value),
                            json_string_length(value));
        }
    }
}

static json_t *parse(const char *json, size_t len, struct err_text *why)
{
    json_error_t error = {.line = 0};
    json_t *root = len <= OAUTH_REPLY_MAX_BYTES
                       ? json_loadb(json, len, JSON_REJECT_DUPLICATES, &error)
                       : NULL;
    if (!json_is_object(root)) {
        /* jansson's own words quote the input, which may hold a token. */
        (void)err_set(why, ERR_PROTO, "is no JSON object (line %d, column %d)", error.line,
                      error.column);
        json_decref(root);
        return NULL;
    }
    return root;
}

enum err oauth_reply_read(const char *json, size_t len, struct oauth_reply *out,
                          struct err_text *why)
{
    *out = (struct oauth_reply){.expires_in_s = 0};
    json_t *root = parse(json, len, why);
    if (root == NULL) {
        return ERR_PROTO;
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && err == ERR_OK; i++) {
        err = take_field(&fields[i], json_object_get(root, fields[i].key), out, why);
    }
    if (err == ERR_OK) {
        err = check_type(root, out, why);
    }
    wipe_strings(root);
    json_decref(root);
    if (err != ERR_OK) {
        oauth_reply_fini(out);
    }
    return err;
}

static void wipe_text(char **text)
{
    if (*text != NULL) {
        OPENSSL_cleanse(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

void oauth_reply_fini(struct oauth_reply *reply)
{
    wipe_text(&reply->access_token);
    wipe_text(&reply->refresh_token);
    wipe_text(&reply->device_code);
    wipe_text(&reply->user_code);
    wipe_text(&reply->verification_uri);
    *reply = (struct oauth_reply){.expires_in_s = 0};
}

enum err oauth_key_file_read(const char *json, size_t len, char **key, char **email,
                             struct err_text *why)
{
    json_t *root = parse(json, len, why);
    *key = NULL;
    *email = NULL;
    if (root == NULL) {
        return ERR_PROTO;
    }
    const char *private_key = json_string_value(json_object_get(root, "private_key"));
    const char *client_email = json_string_value(json_object_get(root, "client_email"));
    enum err err = ERR_OK;
    if (private_key == NULL || client_email == NULL) {
        err = err_set(why, ERR_PROTO, "the key file has no private_key or no client_email");
    } else {
        *key = mem_text(private_key);
        *email = mem_text(client_email);
    }
    wipe_strings(root);
    json_decref(root);
    return err;
}
