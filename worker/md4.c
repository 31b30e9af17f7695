/* MD4 as RFC 1320 tells it: three rounds of sixteen steps over blocks of 64 bytes.
 *
 * Broken as a digest since 1995; here only because a password hash of Windows is defined by it
 * (MS-NLMP 3.3.2 NTOWFv2). Not fast: it sees one password a login. */
#include "md4.h"

#include <string.h>

#include <openssl/crypto.h>

enum { BLOCK_BYTES = 64, LENGTH_AT = 56, STEPS = 48 };

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* The words of a block in the order of the steps, how far each is turned, and what is added: RFC
 * 1320 3.4. */
static const uint8_t word_of[STEPS] = {0, 1, 2, 3,  4, 5,  6, 7,  8, 9, 10, 11, 12, 13, 14, 15,
                                       0, 4, 8, 12, 1, 5,  9, 13, 2, 6, 10, 14, 3,  7,  11, 15,
                                       0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5,  13, 3,  11, 7,  15};
static const uint8_t turn_of[3][4] = {{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}};
static const uint32_t constant_of[3] = {0, 0x5a827999, 0x6ed9eba1};

static uint32_t mix(unsigned round, uint32_t x, uint32_t y, uint32_t z)
{
    switch (round) {
    case 0:
        return (x & y) | (~x & z);
    case 1:
        return (x & y) | (x & z) | (y & z);
    default:
        return x ^ y ^ z;
    }
}

static uint32_t read_word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static void take_block(uint32_t state[4], const uint8_t *block)
{
    uint32_t s[4];
    memcpy(s, state, sizeof s);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned round = i / 16;
        uint32_t sum = s[0] + mix(round, s[1], s[2], s[3]) +
                       read_word(block + (size_t)4 * word_of[i]) + constant_of[round];
        uint32_t turned = rotate(sum, turn_of[round][i % 4]);
        s[0] = s[3];
        s[3] = s[2];
        s[2] = s[1];
        s[1] = turned;
    }
    for (int i = 0; i < 4; i++) {
        state[i] += s[i];
    }
    OPENSSL_cleanse(s, sizeof s);
}

void md4(const void *data, size_t len, uint8_t out[MD4_BYTES])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const uint8_t *at = data;
    size_t left = len;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES) {
        take_block(state, at);
    }
    uint8_t tail[2 * BLOCK_BYTES] = {0};
    if (left > 0) {
        memcpy(tail, at, left);
    }
    tail[left] = 0x80;
    size_t tail_len = left < LENGTH_AT ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    uint64_t bits = (uint64_t)len * 8;
    for (unsigned i = 0; i < 8; i++) {
        tail[tail_len - 8 + i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t done = 0; done < tail_len; done += BLOCK_BYTES) {
        take_block(state, tail + done);
    }
    for (unsigned i = 0; i < MD4_BYTES; i++) {
        out[i] = (uint8_t)(state[i / 4] >> (8 * (i % 4)));
    }
    OPENSSL_cleanse(tail, sizeof tail);
    OPENSSL_cleanse(state, sizeof state);
}
