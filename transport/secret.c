/* Secrets by reference.
 *
 * Does not cache: a secret is fetched for each new connection, so a changed file counts at
 * once, and lies in memory only from here until secret_free. A reference may stand in a log,
 * a secret never: no message here has one. */
#include "secret.h"

#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

struct raw {
    const char *field; /* of the settings, for messages */
    const struct seal_keys *keys;
    size_t len;
    char bytes[SECRET_MAX_BYTES + 3]; /* with CRLF and one byte to notice that there is more */
};

typedef enum err secret_form_fn(const char *name, struct raw *raw, struct err_text *why);

static enum err read_all(int fd, struct raw *raw)
{
    while (raw->len < sizeof raw->bytes) {
        ssize_t n = read(fd, raw->bytes + raw->len, sizeof raw->bytes - raw->len);
        if (n == 0) {
            return ERR_OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        raw->len += n > 0 ? (size_t)n : 0;
    }
    return ERR_OK;
}

static enum err from_path(const char *path, struct raw *raw, struct err_text *why)
{
    enum err err = ERR_OK;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set_errno(why, err, errno, "%s: cannot open %s", raw->field, path);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err = err_set(why, ERR_IO, "%s: %s is not a regular file", raw->field, path);
        goto out;
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        log_warn("secret_mode", "path=%s mode=%03o wanted=600", path,
                 (unsigned)(st.st_mode & 0777));
    }
    err = read_all(fd, raw);
    if (err != ERR_OK) {
        err = err_set_errno(why, err, errno, "%s: cannot read %s", raw->field, path);
    }
out:
    (void)close(fd);
    return err;
}

static enum err from_file(const char *name, struct raw *raw, struct err_text *why)
{
    if (name[0] != '/') {
        return err_set(why, ERR_INVALID, "%s: file: needs an absolute path", raw->field);
    }
    return from_path(name, raw, why);
}

static enum err from_environment(const char *name, struct raw *raw, struct err_text *why)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program changes the environment */
    const char *value = getenv(name);
    if (value == NULL) {
        return err_set(why, ERR_NOT_FOUND, "%s: environment has no variable %s", raw->field,
                       name);
    }
    raw->len = strnlen(value, sizeof raw->bytes);
    memcpy(raw->bytes, value, raw->len);
    return ERR_OK;
}

static enum err from_credential(const char *name, struct raw *raw, struct err_text *why)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program changes the environment */
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
        return err_set(why, ERR_INVALID, "%s: credential: needs a plain file name", raw->field);
    }
    if (folder == NULL || folder[0] != '/') {
        return err_set(why, ERR_NOT_FOUND,
                       "%s: credential:%s, but CREDENTIALS_DIRECTORY is not set", raw->field,
                       name);
    }
    char *path = mem_format("%s/%s", folder, name);
    enum err err = from_path(path, raw, why);
    free(path);
    return err;
}

static enum err from_sealed(const char *text, struct raw *raw, struct err_text *why)
{
    struct err_text inner = {.code = ERR_OK};
    enum err err = seal_open(raw->keys, text, raw->bytes, sizeof raw->bytes, &raw->len, &inner);
    return err == ERR_OK ? ERR_OK : err_set(why, err, "%s: %s", raw->field, inner.text);
}

static const struct form {
    const char *prefix;
    secret_form_fn *fetch;
} forms[] = {
    {"credential:", from_credential},
    {"env:", from_environment},
    {"file:", from_file},
    {"sealed:", from_sealed},
};

/* A secret of one line: cut one newline; refuse what no SMTP login can carry. */
static enum err check_line(struct raw *raw, struct err_text *why)
{
    if (raw->len > 0 && raw->bytes[raw->len - 1] == '\n') {
        raw->len--;
        if (raw->len > 0 && raw->bytes[raw->len - 1] == '\r') {
            raw->len--;
        }
    }
    for (size_t i = 0; i < raw->len; i++) {
        if ((unsigned char)raw->bytes[i] < ' ') {
            return err_set(why, ERR_INVALID, "%s: has a line break or control byte",
                           raw->field);
        }
    }
    return ERR_OK;
}

static enum err check_length(const struct raw *raw, struct err_text *why)
{
    if (raw->len > SECRET_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "%s: longer than %d bytes", raw->field,
                       (int)SECRET_MAX_BYTES);
    }
    if (raw->len == 0) {
        return err_set(why, ERR_NOT_FOUND, "%s: the reference leads to an empty secret",
                       raw->field);
    }
    return ERR_OK;
}

enum shape { ONE_LINE, MANY_LINES };

static enum err open_secret(const struct raw *asked, const char *reference, enum shape shape,
                            char **out, struct err_text *why)
{
    const char *field = asked->field;
    *out = NULL;
    const struct form *form = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && form == NULL; i++) {
        if (strncmp(reference, forms[i].prefix, strlen(forms[i].prefix)) == 0) {
            form = &forms[i];
        }
    }
    if (form == NULL) {
        return err_set(why, ERR_INVALID,
                       "%s: must be a reference: file:/path, env:NAME, credential:NAME "
                       "or sealed:BASE64",
                       field);
    }
    struct raw raw = {.field = field, .keys = asked->keys};
    bool whole = form->fetch == from_sealed; /* the text of a value, not the name of a place */
    enum err err = form->fetch(reference + (whole ? 0 : strlen(form->prefix)), &raw, why);
    if (err == ERR_OK && shape == ONE_LINE) {
        err = check_line(&raw, why);
    }
    if (err == ERR_OK) {
        err = check_length(&raw, why);
    }
    if (err == ERR_OK) {
        raw.bytes[raw.len] = '\0';
        *out = mem_copy(raw.bytes, raw.len + 1);
    }
    OPENSSL_cleanse(&raw, sizeof raw);
    return err;
}

enum err secret_open(const struct seal_keys *keys, const char *reference, char **out,
                     struct err_text *why)
{
    struct raw raw = {.field = "password", .keys = keys};
    return open_secret(&raw, reference, ONE_LINE, out, why);
}

enum err secret_open_lines(const struct seal_keys *keys, const char *field,
                           const char *reference, char **out, struct err_text *why)
{
    struct raw raw = {.field = field, .keys = keys};
    return open_secret(&raw, reference, MANY_LINES, out, why);
}

enum err secret_keys_read(const char *const *certificates, const char *const *keys,
                          struct seal_keys **out, struct err_text *why)
{
    *out = NULL;
    enum err err = ERR_OK;
    for (size_t i = 0; certificates != NULL && certificates[i] != NULL && err == ERR_OK; i++) {
        struct err_text inner = {.code = ERR_OK};
        char *pem = NULL;
        if (secret_open_lines(NULL, "sealed.key", keys[i], &pem, why) != ERR_OK) {
            err = ERR_CONFIG;
        } else if (seal_keys_add(out, certificates[i], pem, &inner) != ERR_OK) {
            err = err_set(why, ERR_CONFIG, "sealed.certificate, sealed.key: %s", inner.text);
        }
        secret_free(&pem);
    }
    if (err != ERR_OK) {
        seal_keys_free(out);
    }
    return err;
}

void secret_free(char **secret)
{
    if (*secret != NULL) {
        OPENSSL_cleanse(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}
