/* Secrets by reference: a setting names where the secret lies, never the secret itself.
 *
 *   file:/absolute/path      the file's bytes without one newline at the end; warns when group or others may read it
 *   env:NAME                 an environment variable
 *   credential:NAME          $CREDENTIALS_DIRECTORY/NAME, what systemd's LoadCredential= gives (systemd.exec(5))
 *   sealed:BASE64            the secret itself, encrypted to this worker's certificate (seal.h) */
#ifndef TPN_SECRET_H
#define TPN_SECRET_H

#include "err.h"
#include "seal.h"

enum { SECRET_MAX_BYTES = 8192 };

/* Fetch the secret of one line that password names.
 *  keys  for sealed:, may be null
 *  out  the caller's, to be given to secret_free as soon as it was used; null on failure
 * Returns ERR_OK; ERR_INVALID no such form of reference, or a secret with control bytes;
 * ERR_NOT_FOUND nothing there; ERR_LIMIT larger than SECRET_MAX_BYTES; ERR_IO cannot be
 * read. why never has the secret or a part of it. */
enum err secret_open(const struct seal_keys *keys, const char *reference, char **out,
                     struct err_text *why) NODISCARD;

/* The same for a secret of several lines, as a private key in PEM: its bytes up to the first NUL.
 *  field  name of the setting that holds the reference, for messages */
enum err secret_open_lines(const struct seal_keys *keys, const char *field,
                           const char *reference, char **out, struct err_text *why) NODISCARD;

/* Read this worker's own keys, which open sealed values.
 *  certificates  paths of PEM files, null-terminated, or null for none
 *  keys          a reference each, in the same order and number; not sealed
 *  out           null when there are none; the caller's, to be given to seal_keys_free
 * Returns ERR_OK, or ERR_CONFIG with the key of worker.yaml at fault in why. */
enum err secret_keys_read(const char *const *certificates, const char *const *keys,
                          struct seal_keys **out, struct err_text *why) NODISCARD;

/* Overwrite, free and null; accepts null. OPENSSL_cleanse(3): a compiler may not leave it
 * out. */
void secret_free(char **secret);

#endif
