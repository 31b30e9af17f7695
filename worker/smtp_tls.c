/* OpenSSL on the socket of a connection that libcurl has made.
 *
 * libcurl itself gave OpenSSL the descriptor until 7.86; since 7.87 a BIO of its own leads back into libcurl, which knows the
 * handle it works for only inside its own calls. So that BIO is replaced. libcurl closes with SSL_shutdown(3) and
 * SSL_free(3), which go with any BIO; the descriptor is not the new one's to close (BIO_NOCLOSE). OpenSSL writes with
 * write(2): SIGPIPE is ignored (smtp.c).
 *
 * SSL_get_error(3) reads the thread's queue of errors, where others of this thread leave theirs. It is nearly always empty, and to
 * look is a tenth of the price of emptying it. */
#include "smtp_tls.h"

#include <openssl/err.h>

enum { TLS_RECORD_BYTES = 16384 /* RFC 8446 5.1 */ };

bool smtp_tls_take_over(SSL *ssl, int fd)
{
    if (SSL_set_fd(ssl, fd) != 1) {
        return false;
    }
    SSL_set_read_ahead(ssl, 1);
    /* Of TLS 1.2. No mail server asks for one; in one, reading may wait for room to write, and the other way round. */
    (void)SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    return true;
}

static void clear_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

static enum err of_result(const SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_NONE:
        return ERR_OK;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

enum err smtp_tls_send(SSL *ssl, const char *data, size_t len, size_t *sent)
{
    clear_errors();
    *sent = 0;
    enum err err = of_result(
        ssl, SSL_write_ex(ssl, data, len < TLS_RECORD_BYTES ? len : TLS_RECORD_BYTES, sent));
    return err == ERR_NOT_FOUND ? ERR_IO : err;
}

enum err smtp_tls_recv(SSL *ssl, char *data, size_t room, size_t *got)
{
    clear_errors();
    *got = 0;
    return of_result(ssl, SSL_read_ex(ssl, data, room, got));
}

bool smtp_tls_holds(const SSL *ssl)
{
    return SSL_has_pending(ssl) == 1;
}
