/* Small messages in one walk: the same bytes as protobuf-c's, for every message of the .proto files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "check_rules.h"
#include "mem.h"
#include "pack.h"
#include "pb.h"

/* ---- any message, filled by chance ---- */

struct filler {
    struct arena arena;
    uint64_t state; /* xorshift64 */
    unsigned full;  /* of 8 fields, so many have a value */
    size_t most;    /* bytes of a text, entries of a list */
};

static uint64_t chance(struct filler *f)
{
    f->state ^= f->state << 13;
    f->state ^= f->state >> 7;
    f->state ^= f->state << 17;
    return f->state;
}

static void *room(struct filler *f, size_t count, size_t size)
{
    return memset(arena_take(&f->arena, count * size + 1), 0, count * size + 1);
}

/* Every length of a varint, and what is negative. */
static uint64_t number(struct filler *f)
{
    uint64_t value = chance(f) >> (chance(f) % 64);
    return chance(f) % 8 == 0 ? UINT64_MAX - value % 3 : value;
}

static char *text(struct filler *f)
{
    size_t len = chance(f) % (f->most + 1);
    char *out = room(f, len, 1);
    memset(out, 'a' + (int)(chance(f) % 26), len);
    return out;
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return sizeof(uint32_t);
    }
}

static ProtobufCMessage *message(struct filler *f, const ProtobufCMessageDescriptor *type);

static void value(struct filler *f, const ProtobufCFieldDescriptor *field, void *member)
{
    ProtobufCBinaryData bytes = {0};
    uint64_t wide = number(f);
    uint32_t narrow = field->type == PROTOBUF_C_TYPE_BOOL ? wide & 1U : (uint32_t)wide;
    const void *pointer = NULL;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        pointer = text(f);
        memcpy(member, &pointer, sizeof pointer);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        pointer = message(f, field->descriptor);
        memcpy(member, &pointer, sizeof pointer);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes.data = (uint8_t *)text(f);
        bytes.len = strlen((const char *)bytes.data);
        memcpy(member, &bytes, sizeof bytes);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(member, &wide, sizeof wide);
        break;
    default:
        memcpy(member, &narrow, sizeof narrow);
        break;
    }
}

static void list(struct filler *f, const ProtobufCFieldDescriptor *field, uint8_t *base)
{
    size_t count = 1 + chance(f) % f->most;
    count = field->type == PROTOBUF_C_TYPE_MESSAGE ? 1 + count % 4 : count;
    uint8_t *items = room(f, count, size_of(field));
    for (size_t i = 0; i < count; i++) {
        value(f, field, items + i * size_of(field));
    }
    memcpy(base + field->quantifier_offset, &count, sizeof count);
    memcpy(base + field->offset, &items, sizeof items);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the .proto files
static ProtobufCMessage *message(struct filler *f, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *out = room(f, 1, type->sizeof_message);
    protobuf_c_message_init(type, out);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (chance(f) % 8 >= f->full) {
            continue;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            list(f, field, (uint8_t *)out);
        } else {
            value(f, field, (uint8_t *)out + field->offset);
        }
    }
    return out;
}

/* ---- against protobuf-c ---- */

/* True when it was written in one walk. */
static bool same(const ProtobufCMessage *packed)
{
    struct pack pack;
    size_t want = protobuf_c_message_get_packed_size(packed);
    uint8_t *theirs = mem_zero(1, want + 1);
    uint8_t *ours = mem_zero(1, want + 1);
    assert_int_equal(protobuf_c_message_pack(packed, theirs), want);
    size_t len = pack_begin(&pack, packed);
    if (len != want) {
        fail_msg("%s: %zu bytes, not %zu", packed->descriptor->short_name, len, want);
    }
    pack_write(&pack, ours);
    if (memcmp(ours, theirs, want + 1) != 0) {
        fail_msg("%s: other bytes", packed->descriptor->short_name);
    }
    free(theirs);
    free(ours);
    return pack.small != NULL;
}

static void every_message_is_packed_as_protobuf_c_does(void **state)
{
    (void)state;
    enum { ROUNDS = 64, SLACK = 32 };
    struct filler f = {.state = 88172645463325252U};
    arena_init(&f.arena, NULL, 0);
    for (size_t i = 0; check_rules_at(i) != NULL; i++) {
        size_t small = 0;
        for (unsigned round = 0; round < ROUNDS; round++) {
            f.full = round % 9;
            f.most = round % 2 == 0 ? 5 : 150;
            const ProtobufCMessage *one = message(&f, check_rules_at(i)->type);
            bool fits = protobuf_c_message_get_packed_size(one) + SLACK <= PACK_SMALL_BYTES;
            bool walked = same(one);
            if (fits && !walked) {
                fail_msg("%s: left to protobuf-c", one->descriptor->short_name);
            }
            small += walked ? 1 : 0;
            arena_reset(&f.arena);
        }
        assert_in_range(small, 1, ROUNDS);
    }
}

/* Around the end of the room, byte by byte. */
static void what_does_not_fit_goes_through_protobuf_c(void **state)
{
    (void)state;
    char subject[PACK_SMALL_BYTES + 64];
    bool seen[2] = {false, false};
    for (size_t len = PACK_SMALL_BYTES - 64; len < sizeof subject; len++) {
        PB(StatusEvent) event = PB_INIT(STATUS_EVENT);
        PB(RecipientResult) one = PB_INIT(RECIPIENT_RESULT);
        PB(RecipientResult) *all[] = {&one, &one};
        memset(subject, 'x', len);
        subject[len] = '\0';
        event.sequence = 300;
        event.recipients = all;
        event.n_recipients = 2;
        event.subject = subject;
        bool walked = same(&event.base);
        assert_true(!walked || !seen[false]); /* once too long, always */
        seen[walked] = true;
        if (len + 1 == sizeof subject) {
            break;
        }
    }
    assert_true(seen[false] && seen[true]);
}

static void fields_of_a_later_version_are_kept(void **state)
{
    (void)state;
    uint8_t bytes[] = {0x0a, 1, 'i', 0xfa, 0x7f, 2, 'n', 'o'}; /* field 1, and 2047 */
    PB(Receipt) *receipt = PB_UNPACK(receipt, sizeof bytes, bytes);
    assert_non_null(receipt);
    assert_int_equal(receipt->base.n_unknown_fields, 1);
    assert_false(same(&receipt->base));
    size_t len = 0;
    uint8_t *again = pack_new(&receipt->base, &len);
    assert_int_equal(len, sizeof bytes);
    assert_memory_equal(again, bytes, sizeof bytes);
    free(again);
    trackpro__notify__v1__receipt__free_unpacked(receipt, NULL);
}

static void an_empty_message_is_no_bytes(void **state)
{
    (void)state;
    PB(Beat) beat = PB_INIT(BEAT);
    size_t len = 1;
    uint8_t *bytes = pack_new(&beat.base, &len);
    assert_int_equal(len, 0);
    assert_true(same(&beat.base));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_packed_as_protobuf_c_does),
        cmocka_unit_test(what_does_not_fit_goes_through_protobuf_c),
        cmocka_unit_test(fields_of_a_later_version_are_kept),
        cmocka_unit_test(an_empty_message_is_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
