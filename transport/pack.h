/* A protobuf message as bytes of its own. */
#ifndef TPN_PACK_H
#define TPN_PACK_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* The message packed by protobuf-c, *len bytes; the caller frees. Never null, not even for an empty message. */
uint8_t *pack_new(const ProtobufCMessage *message, size_t *len)
    __attribute__((malloc, returns_nonnull));

#endif
