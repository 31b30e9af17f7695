/* The field rules and protobuf-c, over every verb's message.
 *
 * Input: a byte that picks the verb, then frame 1. What the rules let through must unpack, must pack into something that
 * they let through again, and must print as JSON without a control byte. What they refuse must be told with a rule. */
#include "fuzz.h"

#include "check.h"
#include "json.h"
#include "pb_text.h"
#include "text.h"
#include "wire.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { ID_FIELD = 1, ID_BYTES = 129, JSON_MAX_BYTES = 64 * 1024 * 1024 };

static void demand_find(const uint8_t *data, size_t size)
{
    char id[ID_BYTES];
    memset(id, 'x', sizeof id);
    check_find_text(data, size, ID_FIELD, id, sizeof id);
    size_t len = strnlen(id, sizeof id);
    demand(len < sizeof id, "no end of the text");
    demand(text_check(id, len, TEXT_BODY) != TEXT_MALFORMED, "not a text");
}

static void demand_json(const ProtobufCMessage *message)
{
    struct buf out;
    struct json j;
    buf_init(&out, JSON_MAX_BYTES);
    json_init(&j, &out);
    pb_json(&j, NULL, message);
    demand(buf_status(&out) == ERR_OK, "JSON does not fit");
    demand(text_check(buf_text(&out), out.len, TEXT_LINE) == TEXT_OK, "JSON is no line");
    buf_fini(&out);
}

static void demand_again(const ProtobufCMessageDescriptor *type,
                         const ProtobufCMessage *message)
{
    struct wire_fault fault = {.field = ""};
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_zero(len + 1, 1);
    demand(protobuf_c_message_pack(message, packed) == len, "packed size");
    enum err err = check_bytes(type, packed, len, &fault);
    demand(err == ERR_OK, "packed again, %s: %s", fault.field, fault.rule);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int pick = WIRE_NONE + 1 + data[0] % (WIRE_VERB_COUNT - 1);
    const ProtobufCMessageDescriptor *type = wire_verb_type((enum wire_verb)pick);
    data++;
    size--;
    demand_find(data, size);
    struct wire_fault fault = {.field = ""};
    enum err err = check_bytes(type, data, size, &fault);
    if (err != ERR_OK) {
        demand(fault.rule[0] != '\0', "%s without a rule", err_name(err));
        return 0;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, data);
    demand(message != NULL, "%s does not unpack", type->name);
    demand_again(type, message);
    demand_json(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
