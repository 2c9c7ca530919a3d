#include "proxy/memory_limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/view.h"
#include "tests/support/test.h"

enum { MIB = 1024 * 1024 };

static char root[] = "/tmp/postern-memory-XXXXXX";

static uint64_t machine(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Makes the folders above it too. */
static void write_file(const char *name, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s%s", root, name);
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    AUTO_FREE char *command = mem_printf("rm -rf %s", root);
    return system(command);
}

static void test_without_groups_the_machine_is_the_limit(void **state)
{
    (void)state;
    assert_int_equal(memory_limit_read(root), machine());
    write_file("/proc/self/cgroup", "0::/\n");
    assert_int_equal(memory_limit_read(root), machine());
    write_file("/sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(memory_limit_read(root), machine());
    /* A limit above what the machine has is none. */
    write_file("/sys/fs/cgroup/memory.max", "18446744073709551615\n");
    assert_int_equal(memory_limit_read(root), machine());
}

static void test_a_containers_own_root_is_read(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/sys/fs/cgroup/memory.max", "268435456\n");
    assert_int_equal(memory_limit_read(root), 256 * MIB);
    /* The host's path, of which the container's mount knows nothing. */
    write_file("/proc/self/cgroup", "0::/docker/0123\n");
    assert_int_equal(memory_limit_read(root), 256 * MIB);
}

static void test_the_least_of_a_unit_and_its_slices_counts(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "0::/system.slice/postern-proxy.service\n");
    write_file("/sys/fs/cgroup/system.slice/postern-proxy.service/memory.max", "67108864\n");
    write_file("/sys/fs/cgroup/system.slice/memory.max", "134217728\n");
    assert_int_equal(memory_limit_read(root), 64 * MIB);
    write_file("/sys/fs/cgroup/system.slice/postern-proxy.service/memory.max", "max\n");
    assert_int_equal(memory_limit_read(root), 128 * MIB);
    write_file("/sys/fs/cgroup/system.slice/memory.max", "max\n");
    assert_int_equal(memory_limit_read(root), machine());
    /* Another unit's limit is not ours. */
    write_file("/sys/fs/cgroup/system.slice/other.service/memory.max", "4096\n");
    assert_int_equal(memory_limit_read(root), machine());
}

static void test_version_1_is_read(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "9:name=systemd:/docker/1\n4:memory:/docker/1\n0::/\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    assert_int_equal(memory_limit_read(root), 256 * MIB);
    write_file("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "134217728\n");
    assert_int_equal(memory_limit_read(root), 128 * MIB);
}

static void test_strange_files_set_no_limit(void **state)
{
    static const char *const texts[] = {
        "", "\n", "0", "0:", "0::", "::::\n", "0::relative\n", "4:memory\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file("/proc/self/cgroup", texts[i]);
        assert_int_equal(memory_limit_read(root), machine());
    }
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/sys/fs/cgroup/memory.max", "12 MiB\n");
    assert_int_equal(memory_limit_read(root), machine());
}

static void test_a_limit_of_the_process_counts(void **state)
{
    (void)state;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_DATA, &old), 0);
    struct rlimit low = {.rlim_cur = 64 * MIB, .rlim_max = old.rlim_max};
    /* What reading allocates has been allocated once before the limit is there. */
    assert_int_equal(memory_limit_read(root), machine());
    assert_int_equal(setrlimit(RLIMIT_DATA, &low), 0);
    uint64_t limit = memory_limit_read(root);
    assert_int_equal(setrlimit(RLIMIT_DATA, &old), 0);
    assert_int_equal(limit, 64 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_groups_the_machine_is_the_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_containers_own_root_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_least_of_a_unit_and_its_slices_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_version_1_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_files_set_no_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_limit_of_the_process_counts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
