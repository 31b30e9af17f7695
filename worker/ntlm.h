/* NTLM version 2, the messages: what a client says to log in to an Exchange server (MS-NLMP).
 *
 *   client                                   server
 *   NEGOTIATE   40 bytes                ──►
 *                                       ◄──  CHALLENGE     its nonce and target information
 *   AUTHENTICATE  88 bytes and payload  ──►
 *
 * All numbers little-endian, all texts UTF-16LE. Version 1 is never answered: a challenge without
 * target information, to which a version 2 response means nothing, is refused. No session
 * security, no channel binding: TLS does the protecting. Pure: no socket, no clock, no chance. */
#ifndef TPN_NTLM_H
#define TPN_NTLM_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NTLM_NONCE_BYTES = 8,
    NTLM_KEY_BYTES = 16,
    NTLM_MESSAGE_MAX_BYTES = 8192, /* of a challenge that is read */
    NTLM_TEXT_MAX_BYTES = 1024     /* of a user name; of a password SECRET_MAX_BYTES */
};

/* What a CHALLENGE says. Borrows target_info from the message. */
struct ntlm_challenge {
    uint32_t flags;
    uint8_t nonce[NTLM_NONCE_BYTES];
    const uint8_t *target_info; /* AV pairs without the last, MsvAvEOL */
    size_t target_info_len;
    bool has_time;
    uint64_t time; /* 100 ns since 1601 */
};

/* Who logs in. Texts are UTF-8.
 *  name  "DOMAIN\user" or "DOMAIN/user"; "user@domain" and "user" go whole, with an empty domain */
struct ntlm_identity {
    const char *name;
    const char *password;
};

/* What makes one login differ from another. */
struct ntlm_chance {
    uint8_t nonce[NTLM_NONCE_BYTES];
    uint64_t time; /* 100 ns since 1601, used when the challenge has none */
};

/* Append the NEGOTIATE message. Source: MS-NLMP 2.2.1.1. */
void ntlm_negotiate(struct buf *out);

/* Read a CHALLENGE message.
 * Returns ERR_OK; ERR_PROTO with the rule in why: no such message, a field outside of it, target
 * information that does not end, a server of version 1. Source: MS-NLMP 2.2.1.2, 2.2.2.1. */
enum err ntlm_challenge_read(const uint8_t *data, size_t len, struct ntlm_challenge *out,
                             struct err_text *why) NODISCARD;

/* Append the AUTHENTICATE message that answers a challenge.
 *  negotiate, challenge  the two messages before it, byte for byte: the MIC is made over them
 * Returns ERR_OK; ERR_PROTO as ntlm_challenge_read; ERR_INVALID user_name or password cannot be
 * put in UTF-16, or the name not in upper case; ERR_CONFIG when OpenSSL has no MD5 (FIPS).
 * Source: MS-NLMP 2.2.1.3, 3.1.5.1.2, 3.3.2. */
enum err ntlm_authenticate(const struct ntlm_identity *identity, const struct buf *negotiate,
                           const struct buf *challenge, const struct ntlm_chance *chance,
                           struct buf *out, struct err_text *why) NODISCARD;

/* NTOWFv2: HMAC-MD5(MD4(password), upper case of user, domain). The caller wipes the key. For the
 * tests with MS-NLMP 4.2. */
enum err ntlm_key(const struct ntlm_identity *identity, uint8_t key[NTLM_KEY_BYTES],
                  struct err_text *why) NODISCARD;

/* Now, as NTLM counts it. */
uint64_t ntlm_time(int64_t unix_ms);

#endif
