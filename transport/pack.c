#include "pack.h"

#include "mem.h"

uint8_t *pack_new(const ProtobufCMessage *message, size_t *len)
{
    *len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_resize(NULL, 1, *len + 1); /* an empty message has no bytes */
    (void)protobuf_c_message_pack(message, bytes);
    return bytes;
}
