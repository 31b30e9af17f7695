/* The bytes of an open TLS connection, past libcurl: OpenSSL on the socket itself.
 *
 * libcurl makes the connection and its handshake, and closes it. In between its calls would cost more than TLS: each searches
 * all connections of its multi (7.88), and reads the header of a record, the record, and once more in vain. */
#ifndef TPN_SMTP_TLS_H
#define TPN_SMTP_TLS_H

#include "err.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* Let OpenSSL read and write the descriptor itself, and read ahead: as much as is there with one recv(2). From here on libcurl may
 * only close the connection.
 *  ssl  libcurl's (CURLINFO_TLS_SSL_PTR), its handshake over, nothing of it under way
 *  fd   its socket, not blocking; stays libcurl's
 * False when there is no memory: then nothing has changed. Source: SSL_set_fd(3), SSL_CTX_set_read_ahead(3). */
bool smtp_tls_take_over(SSL *ssl, int fd) NODISCARD;

/* As smtp_session_send and smtp_session_recv. A record is written whole or not at all. */
enum err smtp_tls_send(SSL *ssl, const char *data, size_t len, size_t *sent) NODISCARD;
enum err smtp_tls_recv(SSL *ssl, char *data, size_t room, size_t *got) NODISCARD;

/* Whether bytes were read ahead that smtp_tls_recv has not given yet: the descriptor does not tell of them. Part of a record
 * counts, too; then smtp_tls_recv says ERR_AGAIN. */
bool smtp_tls_holds(const SSL *ssl);

#endif
