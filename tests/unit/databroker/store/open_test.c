/* Which files are opened, which are refused and with what sentence. */
#include "tests/unit/databroker/store/temp.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "databroker/store/history.h"

#define FILE_NAME "databroker.sqlite3"

static enum err try_open(const char *dir, const char *sentence)
{
    struct history *h = NULL;
    char *why = NULL;
    enum err e = history_sqlite_open(dir, 7, &h, &why);
    if (e == OK) {
        h->ops->free(h);
        assert_null(sentence);
        return OK;
    }
    assert_non_null(why);
    if (!strstr(why, dir) || !sentence || !strstr(why, sentence))
        fail_msg("\"%s\" does not name %s and \"%s\"", why, dir, sentence ? sentence : "nothing");
    mem_free(why);
    return e;
}

static void run_sql(const char *dir, const char *sql)
{
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static unsigned mode_of(const char *dir, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int setup(void **state)
{
    *state = temp_new();
    return 0;
}

static int teardown(void **state)
{
    temp_free(*state);
    return 0;
}

static void test_new(void **state)
{
    const char *dir = *state;
    AUTO_FREE char *below = mem_printf("%s/sub", dir);
    CHECK_OK(try_open(below, NULL));
    assert_int_equal(mode_of(below, ""), 0700);
    assert_int_equal(mode_of(below, FILE_NAME), 0600);
    CHECK_OK(try_open(below, NULL));
    temp_free(mem_strdup(below));
    AUTO_FREE char *deep = mem_printf("%s/no/such", dir);
    CHECK_ERR(try_open(deep, "cannot be made"), ERR_IO);
}

static void test_modes(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    chmod(path, 0644);
    CHECK_OK(try_open(dir, NULL));
    assert_int_equal(mode_of(dir, FILE_NAME), 0600);
}

static void test_symlink(void **state)
{
    const char *dir = *state;
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    AUTO_FREE char *other = mem_printf("%s/other", dir);
    assert_int_equal(symlink(other, path), 0);
    CHECK_ERR(try_open(dir, FILE_NAME), ERR_IO);
}

static void test_not_a_directory(void **state)
{
    const char *dir = *state;
    temp_write(dir, "file", "", 0);
    AUTO_FREE char *file = mem_printf("%s/file", dir);
    CHECK_ERR(try_open(file, "is not a directory"), ERR_IO);
}

static void test_other_programs_store(void **state)
{
    const char *dir = *state;
    temp_write(dir, "CURRENT", "MANIFEST-000001\n", 16);
    temp_write(dir, "MANIFEST-000001", "x", 1);
    CHECK_ERR(try_open(dir, "belongs to another program's store"), ERR_VERSION);
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_other_file(void **state)
{
    const char *dir = *state;
    temp_write(dir, FILE_NAME, "this is no database, however long it may be", 43);
    CHECK_ERR(try_open(dir, "is not a store of Postern"), ERR_VERSION);
    temp_write(dir, FILE_NAME, "SQ", 2);
    CHECK_ERR(try_open(dir, "is not a store of Postern"), ERR_VERSION);
}

static void test_other_sqlite_file(void **state)
{
    const char *dir = *state;
    run_sql(dir, "CREATE TABLE bookmarks(url TEXT)");
    CHECK_ERR(try_open(dir, "is a SQLite file of another program"), ERR_VERSION);
}

/* Killed between the making of the file and the making of the tables. */
static void test_unfinished(void **state)
{
    const char *dir = *state;
    temp_write(dir, FILE_NAME, "", 0);
    CHECK_OK(try_open(dir, NULL));
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    assert_int_equal(unlink(path), 0);
    run_sql(dir, "PRAGMA journal_mode=WAL; VACUUM");
    CHECK_OK(try_open(dir, NULL));
}

static void test_newer(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    run_sql(dir, "PRAGMA user_version=2");
    CHECK_ERR(try_open(dir, "was written by a newer Postern (schema 2"), ERR_VERSION);
}

static void test_missing_table(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    run_sql(dir, "DROP TABLE options");
    CHECK_ERR(try_open(dir, "no such table: options"), ERR_VERSION);
}

static void test_versions_do_not_fit(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    run_sql(dir, "INSERT INTO records VALUES(9, 't', 'i', 1, 0, x'')");
    CHECK_ERR(try_open(dir, "is damaged"), ERR_DAMAGED);
}

static void test_damaged(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    run_sql(dir, "UPDATE meta SET value = 500 WHERE name = 'record_version';"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                 "INSERT INTO records SELECT i, 't', 'id' || i, 1, 0, zeroblob(300) FROM n;"
                 "PRAGMA wal_checkpoint(TRUNCATE)");
    CHECK_OK(try_open(dir, NULL));
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    int fd = open(path, O_RDWR);
    char noise[4096];
    memset(noise, 0xa5, sizeof(noise));
    for (off_t page = 8; page < 20; page++)
        assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096), sizeof(noise));
    close(fd);
    CHECK_ERR(try_open(dir, "is damaged"), ERR_DAMAGED);
}

static void test_truncated(void **state)
{
    const char *dir = *state;
    CHECK_OK(try_open(dir, NULL));
    AUTO_FREE char *path = mem_printf("%s/" FILE_NAME, dir);
    assert_int_equal(truncate(path, 8192), 0);
    CHECK_ERR(try_open(dir, "is damaged"), ERR_DAMAGED);
}

static void test_in_use(void **state)
{
    const char *dir = *state;
    struct history *h = NULL;
    char *why = NULL;
    CHECK_OK(history_sqlite_open(dir, 7, &h, &why));
    CHECK_ERR(try_open(dir, "in use by another process"), ERR_BUSY);
    h->ops->free(h);
    CHECK_OK(try_open(dir, NULL));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_new),
        T(test_modes),
        T(test_symlink),
        T(test_not_a_directory),
        T(test_other_programs_store),
        T(test_other_file),
        T(test_other_sqlite_file),
        T(test_unfinished),
        T(test_newer),
        T(test_missing_table),
        T(test_versions_do_not_fit),
        T(test_damaged),
        T(test_truncated),
        T(test_in_use),
    };
    return RUN(tests);
}
