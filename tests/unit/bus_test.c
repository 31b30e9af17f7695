/* A peer that goes away while a burst of it is being read. libzmq 4.3.4 ends the whole process when it learns of that between
 * two frames of a message; see look_before_message in bus.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "bus.h"
#include "pb.h"

enum { BURST = 200, WAIT_MS = 20000 };

struct lab {
    void *context;
    void *peer_context;
    struct loop *loop;
    struct bus *peer;
    struct bus *bus;
    void *monitor;
    int received;
    int broken;
    struct wire_peer id;
};

static void on_message(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct lab *lab = arg;
    (void)bus;
    lab->received += err == ERR_OK;
    lab->broken += err != ERR_OK;
    lab->id = in->peer;
}

static void wait_readable(struct bus *bus)
{
    zmq_pollitem_t item = {.socket = bus_socket(bus), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
}

/* Until the I/O thread has said that the connection is gone. */
static void wait_disconnected(struct lab *lab)
{
    int timeout = WAIT_MS;
    assert_int_equal(zmq_setsockopt(lab->monitor, ZMQ_RCVTIMEO, &timeout, sizeof timeout), 0);
    char event[6];
    char address[256];
    assert_int_equal(zmq_recv(lab->monitor, event, sizeof event, 0), sizeof event);
    assert_true(zmq_recv(lab->monitor, address, sizeof address, 0) >= 0);
}

static void open_both(struct lab *lab)
{
    struct err_text why = {0};
    lab->context = bus_context_new();
    lab->peer_context = bus_context_new();
    assert_int_equal(loop_new(&lab->loop, &why), ERR_OK);
    struct bus_options bind = {.role = BUS_ROUTER, .endpoint = "tcp://127.0.0.1:*"};
    assert_int_equal(bus_open(&lab->peer, lab->peer_context, &bind, &why), ERR_OK);
    struct bus_options join = {.role = BUS_DEALER, .endpoint = bus_endpoint(lab->peer)};
    assert_int_equal(bus_open(&lab->bus, lab->context, &join, &why), ERR_OK);
    assert_int_equal(bus_attach(lab->peer, lab->loop, on_message, lab), ERR_OK);
    assert_int_equal(bus_attach(lab->bus, lab->loop, on_message, lab), ERR_OK);
    assert_int_equal(
        zmq_socket_monitor(bus_socket(lab->bus), "inproc://events", ZMQ_EVENT_DISCONNECTED), 0);
    lab->monitor = zmq_socket(lab->context, ZMQ_PAIR);
    assert_int_equal(zmq_connect(lab->monitor, "inproc://events"), 0);
}

static void close_both(struct lab *lab)
{
    (void)zmq_close(lab->monitor);
    bus_close(&lab->bus);
    bus_close(&lab->peer);
    loop_free(&lab->loop);
    bus_context_free(&lab->context);
    bus_context_free(&lab->peer_context);
}

/* The peer hears us, so that it knows our id, and answers with a burst. */
static void send_burst(struct lab *lab)
{
    PB(Beat) beat = PB_INIT(BEAT);
    zmq_pollitem_t item = {.socket = bus_socket(lab->bus), .events = ZMQ_POLLOUT};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
    assert_int_equal(bus_send(lab->bus, NULL, WIRE_BEAT, &beat.base, NULL), ERR_OK);
    wait_readable(lab->peer);
    bus_pump(lab->peer, 1);
    assert_int_equal(lab->received, 1);
    struct wire_peer id = lab->id;
    for (int i = 0; i < BURST; i++) {
        assert_int_equal(bus_send(lab->peer, &id, WIRE_BEAT, &beat.base, NULL), ERR_OK);
    }
}

/* already: messages read before the peer goes, so that every place of the break is tried. */
static void break_after(int already)
{
    struct lab lab = {0};
    open_both(&lab);
    send_burst(&lab);
    lab.received = 0;
    while (lab.received < already) {
        wait_readable(lab.bus);
        bus_pump(lab.bus, already - lab.received);
    }
    bus_close(&lab.peer); /* and wait until it has sent what it had */
    bus_context_free(&lab.peer_context);
    wait_disconnected(&lab);
    (void)bus_socket(lab.bus);
    bus_pump(lab.bus, 2 * BURST);
    assert_in_range(lab.received, already, BURST);
    assert_int_equal(lab.broken, 0);
    close_both(&lab);
}

static void a_peer_that_goes_in_the_middle_of_a_burst_does_not_end_the_process(void **state)
{
    (void)state;
    static const int places[] = {1, 2, 47, 48, 49, 50, 97, 98, 99, 100};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        break_after(places[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_goes_in_the_middle_of_a_burst_does_not_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
