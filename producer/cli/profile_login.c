/* tpn profile login: a person logs in once in a browser, and the profile has its refresh token (RFC 8628).
 *
 * To be run where the worker runs, for the token goes into the file that the profile names. Does not need the worker, and
 * shows no token. Blocks: there is nothing else to do while a person types. */
#include "profile_verbs.h"

#include "clock.h"
#include "json.h"
#include "mem.h"
#include "oauth_http.h"
#include "oauth_reply.h"
#include "options.h"
#include "path.h"
#include "profile_ask.h"
#include "settings.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum {
    INTERVAL_DEFAULT_S = 5, /* RFC 8628 3.2 */
    INTERVAL_STEP_S = 5,    /* slow_down, 3.5 */
    LIFE_DEFAULT_S = 900,
    SECRET_MAX_BYTES = 8192
};

struct login_options {
    struct common_options common; /* first */
    const char *device_endpoint;
};

static const struct option_row rows[] = {
    {OPTION_TEXT, "device-endpoint", 0, offsetof(struct login_options, device_endpoint), "URL",
     "where the login begins; known for Microsoft and Google"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "profile login",
    .arguments = "NAME",
    .summary =
        "Log a profile with oauth_grant refresh_token in: a person confirms it in a browser",
    .more = "Run it on the worker's machine: the refresh token is written into the file that\n"
            "oauth_refresh_token of the profile names (file:PATH), mode 0600, for its present "
            "owner.\n"
            "The scope must ask for one: offline_access at Microsoft.\n"
            "Exit code 1 when the login was refused, or nobody confirmed it in time.\n",
    .rows = rows,
};

static const char file_prefix[] = "file:";

/* Token endpoints whose device endpoint is known. */
static const struct known_row {
    const char *host;  /* behind https:// */
    const char *tail;  /* of the token endpoint, cut off */
    const char *other; /* put in its place */
} known[] = {
    {"login.microsoftonline.com/", "/token", "/devicecode"},
    {"oauth2.googleapis.com/", "/token", "/device/code"},
};

/* The caller's; null when it is not known. */
static char *device_endpoint(const char *token_endpoint)
{
    static const char scheme[] = "https://";
    const char *host = token_endpoint + sizeof scheme - 1;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t len = strlen(token_endpoint);
        size_t tail = strlen(known[i].tail);
        if (strncmp(host, known[i].host, strlen(known[i].host)) == 0 && len > tail &&
            strcmp(token_endpoint + len - tail, known[i].tail) == 0) {
            return mem_format("%.*s%s", (int)(len - tail), token_endpoint, known[i].other);
        }
    }
    return NULL;
}

/* One POST; what it says. ERR_PROTO, ERR_IO with the reason in why. */
static enum err post(struct oauth_http *http, const char *url, const char *ca_file,
                     struct oauth_reply *reply, struct err_text *why)
{
    struct err_text inner = {.code = ERR_OK};
    *reply = (struct oauth_reply){.expires_in_s = 0};
    enum err err = oauth_http_open(http, url, ca_file, why);
    if (err == ERR_OK) {
        CURLcode code = curl_easy_perform(http->easy);
        if (code != CURLE_OK) {
            err = err_set(why, ERR_IO, "%s: %s", url,
                          http->error[0] != '\0' ? http->error : curl_easy_strerror(code));
        }
    }
    if (err == ERR_OK &&
        oauth_reply_read(buf_text(&http->answer), http->answer.len, reply, &inner) != ERR_OK) {
        err = err_set(why, ERR_PROTO, "%s: HTTP %u, and its answer %s", url,
                      oauth_http_status(http), inner.text);
    }
    oauth_http_fini(http);
    return err;
}

/* The client's secret, when it lies in a file that we may read. */
static enum err add_client_secret(struct oauth_http *http, const char *reference,
                                  struct err_text *why)
{
    struct buf secret;
    if (reference[0] == '\0') {
        return ERR_OK;
    }
    if (strncmp(reference, file_prefix, sizeof file_prefix - 1) != 0) {
        return err_set(why, ERR_INVALID,
                       "oauth_client_secret: only file:PATH can be read here");
    }
    buf_init(&secret, SECRET_MAX_BYTES);
    enum err err = path_read(reference + sizeof file_prefix - 1, &secret, why);
    if (err == ERR_OK && secret.len > 0) {
        secret.data[strcspn(secret.data, "\r\n")] = '\0';
        oauth_http_add(http, "client_secret", secret.data);
        OPENSSL_cleanse(secret.data, secret.cap);
    }
    buf_fini(&secret);
    return err;
}

static enum err ask_device(const PB(MailingSettings) *settings, const char *endpoint,
                           struct oauth_reply *reply, struct err_text *why)
{
    struct oauth_http http;
    oauth_http_init(&http);
    oauth_http_add(&http, "client_id", settings->oauth_client_id);
    oauth_http_add(&http, "scope", settings->oauth_scope);
    enum err err = post(&http, endpoint, settings->oauth_ca_file, reply, why);
    if (err == ERR_OK && reply->device_code == NULL) {
        err = err_set(why, ERR_PROTO, "%s: %s %s", endpoint,
                      reply->error[0] != '\0' ? reply->error : "gave no device_code",
                      reply->words);
    }
    return err;
}

static enum err ask_token(const PB(MailingSettings) *settings, const char *device_code,
                          struct oauth_reply *reply, struct err_text *why)
{
    struct oauth_http http;
    *reply = (struct oauth_reply){.expires_in_s = 0};
    oauth_http_init(&http);
    oauth_http_add(&http, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    oauth_http_add(&http, "client_id", settings->oauth_client_id);
    oauth_http_add(&http, "device_code", device_code);
    enum err err = add_client_secret(&http, settings->oauth_client_secret, why);
    if (err != ERR_OK) {
        oauth_http_fini(&http);
        return err;
    }
    return post(&http, settings->oauth_token_endpoint, settings->oauth_ca_file, reply, why);
}

/* Until the person has confirmed it, refused it, or the code ran out. A lost answer is asked for again. */
static enum err wait_for_person(const PB(MailingSettings) *settings,
                                const struct oauth_reply *device, struct oauth_reply *token,
                                struct err_text *why)
{
    uint32_t interval_s = device->interval_s > 0 ? device->interval_s : INTERVAL_DEFAULT_S;
    uint32_t life_s = device->expires_in_s > 0 ? device->expires_in_s : LIFE_DEFAULT_S;
    int64_t end_ms = clock_mono_ms() + 1000 * (int64_t)life_s;
    while (clock_mono_ms() < end_ms) {
        const struct timespec pause = {.tv_sec = interval_s};
        (void)nanosleep(&pause, NULL);
        enum err err = ask_token(settings, device->device_code, token, why);
        if (err == ERR_OK && token->access_token != NULL) {
            return ERR_OK;
        }
        if (err != ERR_OK && err != ERR_IO) {
            return err;
        }
        if (strcmp(token->error, "slow_down") == 0) {
            interval_s += INTERVAL_STEP_S;
        } else if (err == ERR_OK && strcmp(token->error, "authorization_pending") != 0) {
            return err_set(why, ERR_INVALID, "the login was refused: %s %s", token->error,
                           token->words);
        }
        oauth_reply_fini(token);
    }
    return err_set(why, ERR_INVALID, "nobody confirmed the login in time");
}

/* The token goes to who owns the file now, or its folder: a worker does not run as root. */
static enum err store(const char *path, const char *token, struct err_text *why)
{
    struct stat st;
    char *folder = mem_text(path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0'; /* the root keeps its slash */
    }
    bool known_owner = stat(path, &st) == 0 || stat(folder, &st) == 0;
    enum err err = path_write(path, token, strlen(token), 0600, why);
    if (err == ERR_OK && known_owner && geteuid() == 0 &&
        chown(path, st.st_uid, st.st_gid) != 0) {
        err = err_set(why, ERR_IO, "%s: written, but its owner could not be set", path);
    }
    free(folder);
    return err;
}

static void say_done(const struct login_options *options, const char *name, const char *path)
{
    if (!options->common.json) {
        printf("Logged in. The refresh token is in %s; a waiting profile goes on after "
               "\"tpn profile test %s\" and a reload of the broker (SIGHUP).\n",
               path, name);
        return;
    }
    struct json j;
    struct buf out;
    buf_init(&out, 65536);
    json_init(&j, &out);
    json_open(&j, NULL, '{');
    json_text(&j, "profile", name);
    json_text(&j, "stored", path);
    json_close(&j);
    puts(buf_text(&out));
    buf_fini(&out);
}

static int fail(int code, const struct err_text *why)
{
    (void)fprintf(stderr, "tpn profile login: %s\n", why->text);
    return code;
}

static int log_in(const struct login_options *options, const char *name,
                  const PB(MailingSettings) *settings)
{
    struct err_text why = {0};
    struct oauth_reply device = {.expires_in_s = 0};
    struct oauth_reply token = {.expires_in_s = 0};
    int code = EXIT_SOME_FAILED;
    const char *path = settings->oauth_refresh_token + sizeof file_prefix - 1;
    char *endpoint = options->device_endpoint != NULL
                         ? mem_text(options->device_endpoint)
                         : device_endpoint(settings->oauth_token_endpoint);
    if (endpoint == NULL) {
        return options_fail(&command, "give --device-endpoint: that of %s is not known",
                            settings->oauth_token_endpoint);
    }
    enum err err = ask_device(settings, endpoint, &device, &why);
    if (err == ERR_OK) {
        (void)fprintf(stderr, "Open   %s\ntype   %s\nand log in as the mailbox %s. Waiting …\n",
                      device.verification_uri, device.user_code, settings->user_name);
        err = wait_for_person(settings, &device, &token, &why);
    }
    if (err == ERR_OK && token.refresh_token != NULL) {
        err = store(path, token.refresh_token, &why);
    } else if (err == ERR_OK) {
        err = err_set(&why, ERR_INVALID,
                      "the server gave no refresh token: does oauth_scope ask for one "
                      "(offline_access)?");
    }
    if (err == ERR_OK) {
        say_done(options, name, path);
        code = EXIT_FINE;
    } else {
        (void)fail(code, &why);
    }
    oauth_reply_fini(&token);
    oauth_reply_fini(&device);
    free(endpoint);
    return code;
}

/* Has the profile what a login needs? */
static enum err check_settings(const char *name, const PB(MailingSettings) *settings,
                               struct err_text *why)
{
    if (settings->authentication != PB_AUTH(OAUTH2) ||
        (settings->oauth_grant != PB_GRANT(UNSPECIFIED) &&
         settings->oauth_grant != PB_GRANT(REFRESH_TOKEN))) {
        return err_set(why, ERR_INVALID,
                       "profile %s: needs authentication oauth2 and oauth_grant refresh_token",
                       name);
    }
    if (strncmp(settings->oauth_refresh_token, file_prefix, sizeof file_prefix - 1) != 0 ||
        settings->oauth_refresh_token[sizeof file_prefix - 1] != '/') {
        return err_set(why, ERR_INVALID,
                       "profile %s: oauth_refresh_token must be file:/PATH, to be written to",
                       name);
    }
    return ERR_OK;
}

static int run(const struct login_options *options, const char *name)
{
    struct err_text why = {0};
    ProtobufCMessage *answer = NULL;
    enum err err = profile_ask(&options->common, name, PROFILE_IN_FORCE, &answer, &why);
    if (err != ERR_OK) {
        return fail(err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE, &why);
    }
    const PB(ProfileList) *found = (const PB(ProfileList) *)answer;
    int code = EXIT_UNREACHABLE;
    if (found->n_profiles != 1) {
        (void)fprintf(stderr, "tpn profile login: no profile %s\n", name);
    } else if (check_settings(name, found->profiles[0]->settings, &why) != ERR_OK) {
        code = fail(EXIT_USAGE, &why);
    } else {
        code = log_in(options, name, found->profiles[0]->settings);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int profile_login(int argc, char *argv[])
{
    struct login_options options = {.device_endpoint = NULL};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&command, "one NAME is needed");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)fprintf(stderr, "tpn profile login: libcurl cannot start\n");
        return EXIT_SOME_FAILED;
    }
    code = run(&options, argv[first]);
    curl_global_cleanup();
    return code;
}
