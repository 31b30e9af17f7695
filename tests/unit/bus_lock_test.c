/* Key files, locks, and the handshakes between every sort of right and wrong side: what is let in, who it is said to be, and
 * that who is not let in hears why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "bus.h"
#include "clock.h"
#include "mem.h"
#include "path.h"
#include "pb.h"
#include "zap.h"

enum { WAIT_MS = 20000 };

/* ---- files ---- */

struct desk {
    char folder[64];
    char *key_path;
    char *pub_path;
    struct bus_key key;
};

static void desk_open(struct desk *desk, const char *name, enum bus_key_role role)
{
    struct err_text why = {0};
    (void)snprintf(desk->folder, sizeof desk->folder, "/tmp/tpn-keys-XXXXXX");
    assert_non_null(mkdtemp(desk->folder));
    assert_int_equal(bus_key_new(name, role, &desk->key, &why), ERR_OK);
    assert_int_equal(bus_key_write(&desk->key, desk->folder, &why), ERR_OK);
    desk->key_path = mem_format("%s/%s.key", desk->folder, name);
    desk->pub_path = mem_format("%s/%s.pub", desk->folder, name);
}

static void desk_close(struct desk *desk)
{
    (void)unlink(desk->key_path);
    (void)unlink(desk->pub_path);
    assert_int_equal(rmdir(desk->folder), 0); /* nothing else was left in it */
    free(desk->key_path);
    free(desk->pub_path);
}

static void a_pair_is_written_once_and_read_back(void **state)
{
    (void)state;
    struct desk desk;
    struct bus_key back;
    struct bus_key_list list;
    struct stat info;
    struct err_text why = {0};
    desk_open(&desk, "trackpro", BUS_KEY_PRODUCER);
    assert_int_equal(stat(desk.key_path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(bus_key_read(desk.key_path, &back, &why), ERR_OK);
    assert_memory_equal(&back, &desk.key, sizeof back);
    assert_int_equal(bus_key_read_public(desk.pub_path, &list, &why), ERR_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.texts[0], desk.key.public_text);

    struct bus_key other;
    assert_int_equal(bus_key_new("trackpro", BUS_KEY_PRODUCER, &other, &why), ERR_OK);
    assert_int_equal(bus_key_write(&other, desk.folder, &why), ERR_CONFLICT);
    assert_int_equal(unlink(desk.pub_path), 0);
    assert_int_equal(bus_key_write(&other, desk.folder, &why), ERR_CONFLICT);
    assert_int_equal(bus_key_read(desk.key_path, &back, &why), ERR_OK);
    assert_string_equal(back.public_text, desk.key.public_text);
    desk_close(&desk);
}

static void a_file_that_must_not_be_used_is_refused_by_its_rule(void **state)
{
    (void)state;
    struct desk desk;
    struct bus_key back;
    struct err_text why = {0};
    desk_open(&desk, "w", BUS_KEY_WORKER);
    static const struct {
        mode_t mode;
        enum err wanted;
    } modes[] = {{0600, ERR_OK},     {0400, ERR_OK},     {0640, ERR_OK},
                 {0644, ERR_CONFIG}, {0604, ERR_CONFIG}, {0660, ERR_CONFIG}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(desk.key_path, modes[i].mode), 0);
        assert_int_equal(bus_key_read(desk.key_path, &back, &why), modes[i].wanted);
    }
    assert_non_null(strstr(why.text, "0600"));
    assert_int_equal(chmod(desk.pub_path, 0600), 0);
    assert_int_equal(bus_key_read(desk.pub_path, &back, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, ".key file"));
    assert_int_equal(bus_key_read("/nonexistent/x.key", &back, &why), ERR_NOT_FOUND);

    struct bus_key mixed = desk.key;
    struct bus_key other;
    assert_int_equal(bus_key_new("w", BUS_KEY_WORKER, &other, &why), ERR_OK);
    memcpy(mixed.public_text, other.public_text, sizeof mixed.public_text);
    (void)unlink(desk.key_path);
    (void)unlink(desk.pub_path);
    assert_int_equal(bus_key_write(&mixed, desk.folder, &why), ERR_OK);
    assert_int_equal(bus_key_read(desk.key_path, &back, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "public half"));
    desk_close(&desk);
}

static void names_that_would_be_paths_or_topics_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "a/b",
        "..",  ".hidden",
        "a b", "a\n",
        "ü",   "0123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(bus_key_name_good(bad[i]));
    }
    assert_true(bus_key_name_good("lab-1.trackpro@example"));
}

static void only_loopback_is_local(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        bool local;
    } rows[] = {
        {"tcp://127.0.0.1:5551", true},
        {"tcp://127.8.9.1:*", true},
        {"tcp://localhost:5551", true},
        {"tcp://[::1]:5551", true},
        {"tcp://lo:5551", true},
        {"ipc:///run/tpn/submit", true},
        {"inproc://x", true},
        {"tcp://*:5551", false},
        {"tcp://0.0.0.0:5551", false},
        {"tcp://[::]:5551", false},
        {"tcp://eth0:5551", false},
        {"tcp://192.0.2.1:5551", false},
        {"tcp://127.example.org:55", false},
        {"tcp://localhost.example.org:1", false},
        {"tcp://127.0.0.1;192.0.2.1:1", false},
        {"udp://127.0.0.1:1", false},
    };
    struct bus_lock insecure = {.insecure = true};
    struct bus_lock curve = {.curve = true};
    struct err_text why = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (bus_lock_is_local(rows[i].endpoint) != rows[i].local) {
            fail_msg("%s", rows[i].endpoint);
        }
        assert_int_equal(bus_lock_allows(NULL, rows[i].endpoint, &why),
                         rows[i].local ? ERR_OK : ERR_CONFIG);
        assert_int_equal(bus_lock_allows(&insecure, rows[i].endpoint, &why), ERR_OK);
        assert_int_equal(bus_lock_allows(&curve, rows[i].endpoint, &why), ERR_OK);
    }
}

/* ---- handshakes ---- */

struct lab {
    void *context;
    void *peer_context;
    struct loop *loop;
    struct zap *zap;
    struct bus *server;
    struct bus *client;
    struct bus_lock server_lock;
    struct bus_lock client_lock;
    struct bus_key allowed;
    char user[WIRE_USER_BYTES];
    char domain[ZAP_DOMAIN_BYTES];
    int asked;
    int received;
};

static bool decide(void *arg, const struct zap_ask *ask)
{
    struct lab *lab = arg;
    lab->asked++;
    (void)snprintf(lab->domain, sizeof lab->domain, "%s", ask->domain);
    assert_string_equal(ask->address, "127.0.0.1");
    return strcmp(ask->key, lab->allowed.public_text) == 0;
}

static void on_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct lab *lab = arg;
    (void)bus;
    assert_int_equal(err, ERR_OK);
    (void)snprintf(lab->user, sizeof lab->user, "%s", in->user);
    lab->received++;
}

static void pump(void *arg)
{
    struct lab *lab = arg;
    bus_pump(lab->server, 10);
    bus_pump(lab->client, 10);
}

static void lab_open(struct lab *lab, bool server_curve, bool client_curve)
{
    struct err_text why = {0};
    struct bus_key broker;
    *lab = (struct lab){0};
    lab->context = bus_context_new();
    lab->peer_context = bus_context_new();
    assert_int_equal(loop_new(&lab->loop, &why), ERR_OK);
    assert_int_equal(bus_key_new("broker", BUS_KEY_BROKER, &broker, &why), ERR_OK);
    assert_int_equal(bus_key_new("lab", BUS_KEY_PRODUCER, &lab->allowed, &why), ERR_OK);
    lab->server_lock = (struct bus_lock){.curve = server_curve, .own = broker};
    lab->client_lock = (struct bus_lock){.curve = client_curve, .own = lab->allowed};
    memcpy(lab->client_lock.servers.texts[0], broker.public_text, BUS_KEY_TEXT_BYTES);
    lab->client_lock.servers.count = 1;
    assert_int_equal(zap_open(&lab->zap, lab->context, lab->loop, decide, lab, &why), ERR_OK);
    struct bus_options bind = {.role = BUS_ROUTER,
                               .endpoint = "tcp://127.0.0.1:*",
                               .lock = &lab->server_lock,
                               .domain = "submit"};
    assert_int_equal(bus_open(&lab->server, lab->context, &bind, &why), ERR_OK);
    assert_int_equal(bus_attach(lab->server, lab->loop, on_message, lab), ERR_OK);
}

static void lab_join(struct lab *lab)
{
    struct err_text why = {0};
    struct bus_options join = {
        .role = BUS_DEALER, .endpoint = bus_endpoint(lab->server), .lock = &lab->client_lock};
    assert_int_equal(bus_open(&lab->client, lab->peer_context, &join, &why), ERR_OK);
    assert_int_equal(bus_attach(lab->client, lab->loop, on_message, lab), ERR_OK);
    loop_before_wait(lab->loop, pump, lab);
}

static void lab_close(struct lab *lab)
{
    loop_before_wait(lab->loop, NULL, NULL);
    bus_close(&lab->client);
    bus_close(&lab->server);
    zap_close(&lab->zap);
    loop_free(&lab->loop);
    bus_context_free(&lab->peer_context);
    bus_context_free(&lab->context);
}

/* Say BEAT until it is heard or the client knows why it is not let in; true = heard. */
static bool talk(struct lab *lab)
{
    struct err_text why = {0};
    PB(Beat) beat = PB_INIT(BEAT);
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (lab->received == 0 && bus_refusal(lab->client)[0] == '\0') {
        assert_true(clock_mono_ms() < until_ms);
        enum err sent = bus_send(lab->client, NULL, WIRE_BEAT, &beat.base, NULL);
        assert_true(sent == ERR_OK || sent == ERR_AGAIN);
        assert_int_equal(loop_turn(lab->loop, 10, &why), ERR_OK);
    }
    return lab->received > 0;
}

static void the_right_key_is_let_in_under_its_own_name(void **state)
{
    (void)state;
    struct lab lab;
    lab_open(&lab, true, true);
    lab_join(&lab);
    assert_true(talk(&lab));
    assert_string_equal(lab.user, lab.allowed.public_text);
    assert_string_equal(lab.domain, "submit");
    assert_string_equal(bus_refusal(lab.client), "");
    lab_close(&lab);
}

static void plain_sockets_have_no_user(void **state)
{
    (void)state;
    struct lab lab;
    lab_open(&lab, false, false);
    lab_join(&lab);
    assert_true(talk(&lab));
    assert_string_equal(lab.user, "");
    assert_int_equal(lab.asked, 0);
    lab_close(&lab);
}

static void expect_refusal(struct lab *lab, const char *words)
{
    assert_false(talk(lab));
    assert_int_equal(lab->received, 0);
    if (strstr(bus_refusal(lab->client), words) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", words, bus_refusal(lab->client));
    }
}

static void a_key_that_is_not_allowed_is_told_so_and_let_in_once_it_is(void **state)
{
    (void)state;
    struct lab lab;
    struct err_text why = {0};
    lab_open(&lab, true, true);
    assert_int_equal(bus_key_new("x", BUS_KEY_PRODUCER, &lab.client_lock.own, &why), ERR_OK);
    lab_join(&lab);
    expect_refusal(&lab, "refuses this key");
    lab.allowed = lab.client_lock.own;
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (bus_refusal(lab.client)[0] != '\0') {
        assert_true(clock_mono_ms() < until_ms);
        assert_int_equal(loop_turn(lab.loop, 10, &why), ERR_OK);
    }
    assert_true(talk(&lab));
    lab_close(&lab);
}

static void a_wrong_server_key_is_told(void **state)
{
    (void)state;
    struct lab lab;
    lab_open(&lab, true, true);
    memcpy(lab.client_lock.servers.texts[0], lab.allowed.public_text, BUS_KEY_TEXT_BYTES);
    lab_join(&lab);
    expect_refusal(&lab, "server key");
    assert_int_equal(lab.asked, 0);
    assert_true(bus_handshakes_failed(lab.server) > 0);
    lab_close(&lab);
}

static void the_second_server_key_is_tried_when_the_first_is_wrong(void **state)
{
    (void)state;
    struct lab lab;
    lab_open(&lab, true, true);
    struct bus_key_list *servers = &lab.client_lock.servers;
    memcpy(servers->texts[1], servers->texts[0], BUS_KEY_TEXT_BYTES);
    memcpy(servers->texts[0], lab.allowed.public_text, BUS_KEY_TEXT_BYTES);
    servers->count = 2;
    lab_join(&lab);
    assert_true(talk(&lab));
    lab_close(&lab);
}

static void sides_that_differ_are_told(void **state)
{
    (void)state;
    struct lab lab;
    lab_open(&lab, true, false);
    lab_join(&lab);
    expect_refusal(&lab, "wants keys");
    assert_int_equal(lab.asked, 0);
    lab_close(&lab);

    lab_open(&lab, false, true);
    lab_join(&lab);
    expect_refusal(&lab, "keys on our side only");
    lab_close(&lab);
}

/* ---- subscriptions ---- */

static const char *own_topics(void *arg, const char *user, const char *prefix, bool begins)
{
    struct lab *lab = arg;
    lab->asked++;
    assert_string_equal(user, lab->allowed.public_text);
    assert_true(begins);
    return strcmp(prefix, "tpn1.") == 0 ? "tpn1.lab." : NULL;
}

static void only_allowed_subscriptions_count(void **state)
{
    (void)state;
    struct lab lab;
    struct err_text why = {0};
    char topic[WIRE_TOPIC_BYTES] = "";
    ProtobufCMessage *event = NULL;
    lab_open(&lab, true, true);
    struct bus *status = NULL;
    struct bus_options bind = {.role = BUS_XPUB,
                               .endpoint = "tcp://127.0.0.1:*",
                               .lock = &lab.server_lock,
                               .domain = "status"};
    assert_int_equal(bus_open(&status, lab.context, &bind, &why), ERR_OK);
    assert_int_equal(bus_attach(status, lab.loop, NULL, NULL), ERR_OK);
    bus_allow_subscriptions(status, own_topics, &lab);
    struct bus *sub = NULL;
    struct bus_options join = {
        .role = BUS_SUB, .endpoint = bus_endpoint(status), .lock = &lab.client_lock};
    assert_int_equal(bus_open(&sub, lab.peer_context, &join, &why), ERR_OK);
    assert_int_equal(bus_subscribe(sub, "tpn1.other."), ERR_OK);
    assert_int_equal(bus_subscribe(sub, "tpn1."), ERR_OK);
    assert_int_equal(bus_attach(sub, lab.loop, NULL, NULL), ERR_OK);
    int round = 0;
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; event == NULL || round < 2;) {
        assert_true(clock_mono_ms() < until_ms);
        assert_int_equal(loop_turn(lab.loop, 5, &why), ERR_OK);
        bus_pump(status, 0);
        assert_int_equal(wire_publish(bus_socket(status), "tpn1.other.SENT.1", "", 0), ERR_OK);
        assert_int_equal(wire_publish(bus_socket(status), "tpn1.lab.SENT.1", "", 0), ERR_OK);
        while (wire_recv_event(bus_socket(sub), NULL, topic, &event) == ERR_OK) {
            assert_string_equal(topic, "tpn1.lab.SENT.1");
            protobuf_c_message_free_unpacked(event, NULL);
        }
        if (event != NULL && round == 0) { /* the same once more, over new connections */
            bus_drop_peers(status);
            event = NULL;
            round = 1;
        } else if (event != NULL) {
            round = 2;
        }
    }
    bus_close(&sub);
    bus_close(&status);
    loop_before_wait(lab.loop, NULL, NULL);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_written_once_and_read_back),
        cmocka_unit_test(a_file_that_must_not_be_used_is_refused_by_its_rule),
        cmocka_unit_test(names_that_would_be_paths_or_topics_are_refused),
        cmocka_unit_test(only_loopback_is_local),
        cmocka_unit_test(the_right_key_is_let_in_under_its_own_name),
        cmocka_unit_test(plain_sockets_have_no_user),
        cmocka_unit_test(a_key_that_is_not_allowed_is_told_so_and_let_in_once_it_is),
        cmocka_unit_test(a_wrong_server_key_is_told),
        cmocka_unit_test(the_second_server_key_is_tried_when_the_first_is_wrong),
        cmocka_unit_test(sides_that_differ_are_told),
        cmocka_unit_test(only_allowed_subscriptions_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
