#include "common/daemon/watch.h"

#include "common/io/timer.h"
#include "tests/unit/common/daemon/folder.h"

enum { DELAY_MS = 1, PATIENCE_MS = 30000, QUIET_MS = 100 };

struct world {
    struct folder folder;
    struct loop loop;
    struct watch *watch;
    struct timer timer;
    char *paths[1];
    unsigned changes;
    bool late;
};

static void on_change(void *ctx)
{
    struct world *w = ctx;
    w->changes++;
    uv_stop(&w->loop.uv);
}

static void on_timer(void *ctx)
{
    struct world *w = ctx;
    w->late = true;
    uv_stop(&w->loop.uv);
}

/* Runs until a change is told or the time is over. */
static bool changed(struct world *w, uint64_t within_ms)
{
    unsigned before = w->changes;
    w->late = false;
    timer_after(&w->timer, within_ms);
    while (w->changes == before && !w->late)
        (void)uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    timer_clear(&w->timer);
    return w->changes != before;
}

static void world_init(struct world *w)
{
    *w = (struct world){.folder = folder_new()};
    loop_init(&w->loop);
    timer_init(&w->timer, &w->loop, on_timer, w);
    w->watch = watch_open(&w->loop, DELAY_MS, on_change, w);
    assert_non_null(w->watch);
    w->paths[0] = folder_path(&w->folder, "f");
}

static void world_fini(struct world *w)
{
    watch_close(w->watch);
    timer_fini(&w->timer);
    loop_fini(&w->loop);
    mem_free(w->paths[0]);
    folder_remove(&w->folder);
}

static void test_changes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    folder_write(&w.folder, "f", 0600, "1");
    watch_set(w.watch, w.paths, 1);
    /* A new directory may have changed before it was watched. */
    assert_true(changed(&w, PATIENCE_MS));
    watch_set(w.watch, w.paths, 1);
    folder_write(&w.folder, "other", 0600, "noise");
    assert_false(changed(&w, QUIET_MS));
    folder_write(&w.folder, "f", 0600, "2");
    assert_true(changed(&w, PATIENCE_MS));
    folder_replace(&w.folder, "f", "3");
    assert_true(changed(&w, PATIENCE_MS));
    assert_int_equal(unlink(w.paths[0]), 0);
    assert_true(changed(&w, PATIENCE_MS));
    folder_write(&w.folder, "f", 0600, "4");
    assert_true(changed(&w, PATIENCE_MS));
    assert_int_equal(chmod(w.paths[0], 0644), 0);
    assert_true(changed(&w, PATIENCE_MS));
    /* Not watched any more. */
    watch_set(w.watch, NULL, 0);
    folder_write(&w.folder, "f", 0600, "5");
    assert_false(changed(&w, QUIET_MS));
    world_fini(&w);
}

/* As Kubernetes mounts a volume: f -> ..data/f, ..data -> version, swapped by a rename. */
static void test_swapped_links(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct folder one = folder_new(), two = folder_new();
    folder_write(&one, "f", 0600, "1");
    folder_write(&two, "f", 0600, "2");
    AUTO_FREE char *data = folder_path(&w.folder, "..data");
    AUTO_FREE char *fresh = folder_path(&w.folder, "..fresh");
    assert_int_equal(symlink(one.path, data), 0);
    assert_int_equal(symlink("..data/f", w.paths[0]), 0);
    watch_set(w.watch, w.paths, 1);
    assert_true(changed(&w, PATIENCE_MS));
    assert_int_equal(symlink(two.path, fresh), 0);
    assert_int_equal(rename(fresh, data), 0);
    assert_true(changed(&w, PATIENCE_MS));
    watch_set(w.watch, w.paths, 1);
    assert_true(changed(&w, PATIENCE_MS));
    /* What the link leads to now is watched too. */
    folder_write(&two, "f", 0600, "3");
    assert_true(changed(&w, PATIENCE_MS));
    world_fini(&w);
    folder_remove(&one);
    folder_remove(&two);
}

static void test_missing_directory(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    char *paths[] = {(char *)"/nowhere/at/all"};
    watch_set(w.watch, paths, 1);
    assert_false(changed(&w, QUIET_MS));
    world_fini(&w);
    watch_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_swapped_links),
        cmocka_unit_test(test_missing_directory),
    };
    return RUN(tests);
}
