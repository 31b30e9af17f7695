/* NTLM challenges of a hostile server: what is read lies inside the message, and an answer is well formed.
 *
 * Input: the CHALLENGE message. */
#include "fuzz.h"

#include "ntlm.h"

#include <string.h>

static size_t get16(const char *at)
{
    return (size_t)(uint8_t)at[0] | (size_t)(uint8_t)at[1] << 8;
}

/* Every part that the head names lies behind the head and inside the message. */
static void demand_parts(const struct buf *message)
{
    static const size_t heads[] = {12, 20, 28, 36, 44, 52};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t len = get16(message->data + heads[i]);
        size_t at = get16(message->data + heads[i] + 4);
        demand(at >= 88 && at + len <= message->len, "a part outside of the answer");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ntlm_identity who = {"CORP\\j\xc3\xb6rg", "secret"};
    static const struct ntlm_chance chance = {.time = 1};
    struct ntlm_challenge read;
    struct err_text why = {0};
    struct buf negotiate;
    struct buf challenge;
    struct buf out;
    if (size > NTLM_MESSAGE_MAX_BYTES) {
        return 0;
    }
    buf_init(&negotiate, 1024);
    buf_init(&challenge, NTLM_MESSAGE_MAX_BYTES);
    buf_init(&out, 65536);
    ntlm_negotiate(&negotiate);
    buf_add(&challenge, data, size);
    enum err err = ntlm_challenge_read(data, size, &read, &why);
    if (err == ERR_OK) {
        demand(read.target_info >= data && read.target_info_len <= size &&
                   read.target_info + read.target_info_len <= data + size,
               "target information outside of the challenge");
    }
    enum err answer = ntlm_authenticate(&who, &negotiate, &challenge, &chance, &out, &why);
    demand(answer == err, "read: %d, answered: %d", (int)err, (int)answer);
    if (answer == ERR_OK) {
        demand_parts(&out);
    }
    buf_fini(&negotiate);
    buf_fini(&challenge);
    buf_fini(&out);
    return 0;
}
