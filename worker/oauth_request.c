/* One function a grant: RFC 6749 6 (refresh_token), 4.4 (client_credentials), RFC 7523 2.1 (jwt-bearer). */
#include "oauth_request.h"

#include "mem.h"
#include "oauth_jwt.h"
#include "oauth_reply.h"
#include "secret.h"

#include <stdlib.h>
#include <string.h>

enum { ASSERTION_MAX_BYTES = 32768 };

static enum err add_client_secret(const struct settings_plan *plan, struct oauth_http *http,
                                  struct err_text *why)
{
    char *secret = NULL;
    if (plan->oauth_client_secret[0] == '\0') {
        return ERR_OK; /* a public client, RFC 6749 2.1 */
    }
    enum err err = secret_open_lines(plan->keys, "oauth_client_secret",
                                     plan->oauth_client_secret, &secret, why);
    if (err == ERR_OK) {
        secret[strcspn(secret, "\r\n")] = '\0';
        oauth_http_add(http, "client_secret", secret);
    }
    secret_free(&secret);
    return err;
}

static enum err fill_refresh(const struct settings_plan *plan, const char *refresh_token,
                             struct oauth_http *http, struct err_text *why)
{
    oauth_http_add(http, "grant_type", "refresh_token");
    oauth_http_add(http, "client_id", plan->oauth_client_id);
    oauth_http_add(http, "refresh_token", refresh_token);
    oauth_http_add(http, "scope", plan->oauth_scope);
    return add_client_secret(plan, http, why);
}

static enum err fill_client(const struct settings_plan *plan, struct oauth_http *http,
                            struct err_text *why)
{
    oauth_http_add(http, "grant_type", "client_credentials");
    oauth_http_add(http, "client_id", plan->oauth_client_id);
    oauth_http_add(http, "scope", plan->oauth_scope);
    return add_client_secret(plan, http, why);
}

/* The key is PEM, or Google's JSON file with a PEM in it. */
static enum err fill_service(const struct settings_plan *plan, int64_t now_s,
                             struct oauth_http *http, struct err_text *why)
{
    char *secret = NULL;
    char *pem = NULL;
    char *email = NULL;
    struct buf assertion;
    buf_init(&assertion, ASSERTION_MAX_BYTES);
    enum err err = secret_open_lines(plan->keys, "oauth_key", plan->oauth_key, &secret, why);
    if (err == ERR_OK && secret[strspn(secret, " \r\n\t")] == '{') {
        struct err_text inner = {.code = ERR_OK};
        err = oauth_key_file_read(secret, strlen(secret), &pem, &email, &inner);
        err = err == ERR_OK ? ERR_OK : err_set(why, ERR_INVALID, "oauth_key: %s", inner.text);
    }
    if (err == ERR_OK) {
        const struct oauth_jwt jwt = {
            .issuer = plan->oauth_client_id[0] != '\0' || email == NULL ? plan->oauth_client_id
                                                                        : email,
            .subject = plan->user_name,
            .audience = plan->oauth_token_endpoint,
            .scope = plan->oauth_scope,
            .issued_at_s = now_s};
        err = oauth_jwt_sign(&jwt, pem != NULL ? pem : secret, &assertion, why);
    }
    if (err == ERR_OK) {
        oauth_http_add(http, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        oauth_http_add(http, "assertion", buf_text(&assertion));
    }
    buf_fini(&assertion);
    free(email);
    secret_free(&pem);
    secret_free(&secret);
    return err;
}

enum err oauth_request_fill(const struct settings_plan *plan, const char *refresh_token,
                            int64_t now_s, struct oauth_http *http, struct err_text *why)
{
    switch (plan->oauth_grant) {
    case PB_GRANT(CLIENT_CREDENTIALS):
        return fill_client(plan, http, why);
    case PB_GRANT(SERVICE_ACCOUNT):
        return fill_service(plan, now_s, http, why);
    default:
        return fill_refresh(plan, refresh_token, http, why);
    }
}
