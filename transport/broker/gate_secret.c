/* A password inside a request.
 *
 * The digest that a repeated request is known by leaves the password out: it stands in an event and in the store, beside a
 * body that has all the rest, and a digest of what can be guessed tells it to who guesses. So a request that comes again
 * with another password is a duplicate. What libzmq had in its buffers is not ours to wipe; it is overwritten by the next
 * messages. */
#include "gate_secret.h"

#include "broker.h"
#include "digest.h"
#include "pack.h"
#include "seal.h"
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(struct wire_in *in, const char *rule)
{
    (void)snprintf(in->fault.field, sizeof in->fault.field, "settings.password");
    (void)snprintf(in->fault.rule, sizeof in->fault.rule, "%.*s",
                   (int)sizeof in->fault.rule - 1, rule);
    return false;
}

static void digest_without(PB(NotificationRequest) *request, uint8_t digest[STORE_DIGEST_BYTES])
{
    static char nothing[] = "";
    char *password = request->settings->password;
    size_t len = 0;
    request->settings->password = nothing;
    uint8_t *bytes = pack_new(&request->base, &len);
    digest_sha256(bytes, len, digest);
    free(bytes);
    request->settings->password = password;
}

/* Put the sealed text in the place of the clear one, in the message and in its bytes. */
static void replace(struct wire_in *in, const char *sealed)
{
    PB(NotificationRequest) *request = (PB(NotificationRequest) *)in->body;
    char **password = &request->settings->password;
    explicit_bzero(*password, strlen(*password));
    wire_in_set_text(in, password, sealed);
    /* Nobody else holds the bytes yet. */
    explicit_bzero((void *)(uintptr_t)wire_blob_data(in->raw), wire_blob_len(in->raw));
    wire_blob_free(&in->raw);
    size_t len = 0;
    uint8_t *bytes = pack_new(&request->base, &len);
    in->raw = wire_blob_copy(bytes, len);
    free(bytes);
}

static bool seal_clear(const struct broker *broker, struct wire_in *in, struct gate_secret *out)
{
    PB(NotificationRequest) *request = (PB(NotificationRequest) *)in->body;
    const char *password = request->settings->password;
    struct err_text why = {.code = ERR_OK};
    struct buf sealed;
    if (in->user[0] == '\0') {
        return refuse(in, "a clear password needs a connection with keys (CURVE)");
    }
    if (broker->seal == NULL) {
        return refuse(in, "this broker has no certificate to seal it to (sealed.certificate of "
                          "broker.yaml): name a profile");
    }
    buf_init(&sealed, SEAL_TEXT_MAX_BYTES);
    bool good = seal_make(broker->seal, password, strlen(password), &sealed, &why) == ERR_OK;
    if (good) {
        digest_without(request, out->digest);
        replace(in, buf_text(&sealed));
        out->sealed_here = true;
    } else {
        (void)refuse(in, why.text);
    }
    buf_fini(&sealed);
    return good;
}

bool gate_secret_take(struct broker *broker, const struct access_entry *who, struct wire_in *in,
                      struct gate_secret *out)
{
    const PB(NotificationRequest) *request = (const PB(NotificationRequest) *)in->body;
    *out = (struct gate_secret){.sealed_here = false};
    if (request->settings == NULL || request->settings->password[0] == '\0') {
        return true;
    }
    const char *password = request->settings->password;
    bool sealed = seal_is_sealed(password);
    if (!who->inline_password || (settings_is_reference(password) && !sealed)) {
        return refuse(in, "no secret travels in a request: name a profile");
    }
    return sealed || seal_clear(broker, in, out);
}
