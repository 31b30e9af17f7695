/* Packs small protobuf messages in one walk, byte for byte as protobuf-c does in two (size, then bytes).
 *
 * An event, a receipt, a permit or a list of recipients is a few hundred bytes, and a broker packs eight of them for every
 * request. They are written from their last byte to their first, so the length of a message inside is known when it is
 * written. What is larger, or has what only protobuf-c writes (unknown fields, floats), goes through protobuf-c. */
#ifndef TPN_PACK_H
#define TPN_PACK_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

enum { PACK_SMALL_BYTES = 16 * 1024 };

/* A message on its way into bytes: on the stack of whoever needs it. */
struct pack {
    const ProtobufCMessage *message; /* borrowed */
    size_t len;
    const uint8_t *small; /* the bytes, in room; null = protobuf-c writes them */
    uint8_t room[PACK_SMALL_BYTES];
};

/* How many bytes the message has; it is borrowed, and must not change, until the last pack_write. */
size_t pack_begin(struct pack *pack, const ProtobufCMessage *message);
/* Write that many bytes to out. */
void pack_write(const struct pack *pack, uint8_t *out);

/* Both, into bytes of the caller's; never null, not even for an empty message. */
uint8_t *pack_new(const ProtobufCMessage *message, size_t *len)
    __attribute__((malloc, returns_nonnull));

#endif
