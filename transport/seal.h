/* Sealed values: a secret encrypted to the certificates of workers, so that it may stand in a profile, lie in a store and
 * pass through a broker, and only a worker reads it.
 *
 *   sealed:BASE64    of a CMS EnvelopedData or AuthEnvelopedData in DER (RFC 5652, RFC 5083), without line breaks
 *
 * "tpn profile seal" makes one, and so does
 *   openssl cms -encrypt -binary -aes-256-cbc -outform DER worker.pem | base64 -w0
 * Several certificates: any one of their keys opens it. So a key is changed without an outage: seal to the old and the
 * new certificate, give the worker the new one, seal to the new one alone. What is sealed is secret; that nobody changed
 * it is not promised by EnvelopedData, and a value that was changed opens to nonsense that no server takes. */
#ifndef TPN_SEAL_H
#define TPN_SEAL_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    SEAL_TEXT_MAX_BYTES =
        8192, /* "sealed:" and the base64: the limit of the settings that hold one */
    SEAL_CLEAR_MAX_BYTES = 4096, /* of a secret */
    SEAL_CERTIFICATES_MAX = 8    /* of one value, and of one worker */
};

/* True for a text that begins with "sealed:" and has the characters of base64 behind it. Opens nothing. */
bool seal_is_sealed(const char *text);

/* ---- to seal: public keys ---- */

struct seal_certificates;

/* Read PEM files with one certificate or several each.
 *  paths  null-terminated, one and up
 * Returns ERR_OK; ERR_CONFIG no certificate in a file, one that cannot be encrypted to (neither RSA nor EC), more than
 * SEAL_CERTIFICATES_MAX; ERR_NOT_FOUND, ERR_IO the file. Validity times are not looked at: the key opens what it opens. */
enum err seal_certificates_read(const char *const *paths, struct seal_certificates **out,
                                struct err_text *why) NODISCARD;
/* Accepts null. */
void seal_certificates_free(struct seal_certificates **certificates);

/* Append "sealed:BASE64". RSA keys are used with OAEP, the content is AES-256-CBC.
 *  clear  len bytes, 1–SEAL_CLEAR_MAX_BYTES
 * ERR_LIMIT too long, or too many certificates for SEAL_TEXT_MAX_BYTES; ERR_INVALID empty; ERR_IO OpenSSL. */
enum err seal_make(const struct seal_certificates *certificates, const char *clear, size_t len,
                   struct buf *out, struct err_text *why) NODISCARD;

/* ---- to open: private keys ---- */

struct seal_keys;

/* Take a certificate and its key; *keys is made when null.
 *  certificate  path of a PEM file with one certificate
 *  key          the private key in PEM; borrowed for the call
 * ERR_CONFIG with the reason: not readable as PEM, an encrypted key, a key that is not the certificate's, too many. */
enum err seal_keys_add(struct seal_keys **keys, const char *certificate, const char *key,
                       struct err_text *why) NODISCARD;
/* Wipes the keys (OpenSSL does); accepts null. */
void seal_keys_free(struct seal_keys **keys);

/* Open a sealed value.
 *  keys   may be null: then nothing can be opened
 *  text   with "sealed:"
 *  out    room bytes; *len of them are the secret, which is the caller's to wipe. Wiped on failure
 * Returns ERR_OK; ERR_INVALID no base64, or no CMS of that kind; ERR_NOT_FOUND none of the keys is a recipient;
 * ERR_LIMIT longer than room; ERR_IO OpenSSL could not decrypt it. why never has the secret. */
enum err seal_open(const struct seal_keys *keys, const char *text, char *out, size_t room,
                   size_t *len, struct err_text *why) NODISCARD;

#endif
