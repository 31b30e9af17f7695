/* The room of the log: it is there from the opening on, commits and checkpoints stay inside of it, and a disk without room for
 * it is no error. What a crash leaves of it is in store_power_test.c, which opens its stores with room, too. */
#include "buf.h"
#include "disk_shim.h"
#include "store_fixture.h"

#include <sys/stat.h>

enum { ROOM = 1000000, COMMITS = 20 };

/* What is wanted of the disk, and what was seen of it. */
static struct {
    bool full;  /* no zeros fit into a log */
    bool dying; /* no log can be synced */
    bool blind; /* nobody can say how long a log is */
    int zeros;  /* writes of nothing but zeros into a log */
    int grown;  /* writes behind the end of a log, but for those */
} disk;

static bool is_log(const struct disk_file *file)
{
    return file->name != NULL && strstr(file->name, "-wal") != NULL;
}

static bool all_zero(const uint8_t *data, int len)
{
    for (int i = 0; i < len; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}

static int on_write(struct disk_file *file, const void *data, int len, sqlite3_int64 at)
{
    sqlite3_int64 size = 0;
    if (!is_log(file)) {
        return SQLITE_OK;
    }
    if (all_zero(data, len)) {
        disk.zeros++;
        return disk.full ? SQLITE_FULL : SQLITE_OK;
    }
    assert_int_equal(file->real->pMethods->xFileSize(file->real, &size), SQLITE_OK);
    disk.grown += at + len > size ? 1 : 0;
    return SQLITE_OK;
}

static int on_sync(struct disk_file *file)
{
    return disk.dying && is_log(file) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_size(struct disk_file *file)
{
    return disk.blind && is_log(file) ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static off_t log_size(const struct fixture *fix)
{
    char *path = path_join(fix->folder, "store.db-wal");
    struct stat info;
    off_t size = stat(path, &info) == 0 ? info.st_size : -1;
    free(path);
    return size;
}

static enum err open_with(struct fixture *fix, uint64_t reserve, uint64_t room)
{
    const struct store_options options = {
        .folder = fix->folder, .reserve_bytes = reserve, .log_bytes = room};
    return fix->engine->open(&options, &fix->store, NULL);
}

static void commit_some(struct fixture *fix, const char *prefix)
{
    char id[32];
    for (int i = 0; i < COMMITS; i++) {
        (void)snprintf(id, sizeof id, "%s-%d", prefix, i);
        put_request(fix, id);
    }
}

static int new_disk(void **state)
{
    memset(&disk, 0, sizeof disk);
    *state = fixture_new(&store_sqlite);
    return 0;
}

static void commits_stay_inside_the_room(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(open_with(fix, 0, ROOM), ERR_OK);
    assert_int_equal(log_size(fix), ROOM);
    commit_some(fix, "a");
    (void)fix->engine->idle(fix->store);
    commit_some(fix, "b");
    assert_int_equal(disk.grown, 0);
    assert_int_equal(log_size(fix), ROOM);
    fix->engine->close(&fix->store);
    assert_int_equal(log_size(fix), -1); /* what was stopped in order is one file */
    assert_int_equal(open_with(fix, 0, ROOM), ERR_OK);
    assert_int_equal(state_of(fix, "b-19"), STATE_ACCEPTED);
}

static void copy_file(const char *from, const char *to, const char *name)
{
    char *source = path_join(from, name);
    char *target = path_join(to, name);
    struct buf bytes;
    buf_init(&bytes, (size_t)64 << 20);
    assert_int_equal(path_read(source, &bytes, NULL), ERR_OK);
    FILE *file = fopen(target, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    buf_fini(&bytes);
    free(source);
    free(target);
}

static void a_log_that_is_there_is_only_made_longer(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(open_with(fix, 0, ROOM / 4), ERR_OK);
    commit_some(fix, "a");
    /* The files as a kill would leave them. */
    struct fixture *copy = fixture_new(&store_sqlite);
    copy_file(fix->folder, copy->folder, "store.db");
    copy_file(fix->folder, copy->folder, "store.db-wal");
    assert_int_equal(log_size(copy), ROOM / 4);
    disk.zeros = 0;
    assert_int_equal(open_with(copy, 0, ROOM), ERR_OK);
    assert_int_equal(disk.zeros, (ROOM - ROOM / 4 + 127719) / 127720);
    assert_int_equal(log_size(copy), ROOM);
    assert_int_equal(state_of(copy, "a-19"), STATE_ACCEPTED);
    fixture_free(copy);
}

static void without_room_on_the_disk_the_log_grows(void **state)
{
    struct fixture *fix = *state;
    disk.full = true;
    assert_int_equal(open_with(fix, 0, ROOM), ERR_OK);
    assert_int_equal(disk.zeros, 1);
    commit_some(fix, "a");
    assert_true(disk.grown > 0);
    assert_true(log_size(fix) < ROOM);
    fixture_reopen(fix);
    assert_int_equal(state_of(fix, "a-19"), STATE_ACCEPTED);
}

static void little_free_space_is_left_alone(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(open_with(fix, UINT64_MAX / 2, ROOM), ERR_OK);
    assert_int_equal(disk.zeros, 0);
}

static void room_that_cannot_be_synced_is_an_error(void **state)
{
    struct fixture *fix = *state;
    disk.dying = true;
    assert_int_equal(open_with(fix, 0, ROOM), ERR_STORAGE);
    assert_null(fix->store);
    disk.dying = false;
    assert_int_equal(open_with(fix, 0, ROOM), ERR_OK);
    commit_some(fix, "a");
}

/* What a killed broker left in its log is there when the disk answers again. */
static void a_log_whose_length_is_not_known_is_left_alone(void **state)
{
    struct fixture *fix = *state;
    struct fixture *late = fixture_new(&store_sqlite);
    assert_int_equal(open_with(fix, 0, ROOM), ERR_OK);
    commit_some(fix, "a");
    copy_file(fix->folder, late->folder, "store.db");
    copy_file(fix->folder, late->folder, "store.db-wal");
    disk.blind = true;
    assert_int_equal(open_with(late, 0, ROOM), ERR_STORAGE);
    disk.blind = false;
    assert_int_equal(open_with(late, 0, ROOM), ERR_OK);
    assert_int_equal(state_of(late, "a-19"), STATE_ACCEPTED);
    fixture_teardown((void **)&late);
}

int main(void)
{
    sqlite3_vfs shim;
    disk_hooks = (struct disk_hooks){.write = on_write, .sync = on_sync, .size = on_size};
    if (disk_shim_register(&shim, "tpn-room") != SQLITE_OK) {
        return 1;
    }
#define ROOM_TEST(test) cmocka_unit_test_setup_teardown(test, new_disk, fixture_teardown)
    const struct CMUnitTest tests[] = {
        ROOM_TEST(commits_stay_inside_the_room),
        ROOM_TEST(a_log_that_is_there_is_only_made_longer),
        ROOM_TEST(without_room_on_the_disk_the_log_grows),
        ROOM_TEST(little_free_space_is_left_alone),
        ROOM_TEST(room_that_cannot_be_synced_is_an_error),
        ROOM_TEST(a_log_whose_length_is_not_known_is_left_alone),
    };
    int failed = cmocka_run_group_tests_name("store-room", tests, NULL, NULL);
    (void)sqlite3_vfs_unregister(&shim);
    return failed;
}
