/* JSON, written piece by piece into a buffer (RFC 8259). Commas and quotes are the writer's
 * business.
 *
 *   struct json j;
 *   json_init(&j, &buf);
 *   json_open(&j, NULL, '{');
 *   json_text(&j, "id", id);
 *   json_close(&j);
 *
 * A key is null inside an array and at the top. The output has no line breaks, so a line holds
 * one value. */
#ifndef TPN_JSON_H
#define TPN_JSON_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 32 };

struct json {
    struct buf *out;
    unsigned depth;
    char closers[JSON_MAX_DEPTH]; /* what ends each open level */
    bool comma;                   /* a value stands before the next one */
};

/* Write into out, which is borrowed; it may hold something already. */
void json_init(struct json *j, struct buf *out);

/* Open an object with '{' or an array with '['; json_close ends the innermost. */
void json_open(struct json *j, const char *key, char opener);
void json_close(struct json *j);

/* Values. Text must be UTF-8; bytes that are not become U+FFFD, control characters are escaped.
 */
void json_text(struct json *j, const char *key, const char *value);
void json_int(struct json *j, const char *key, int64_t value);
void json_uint(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

#endif
