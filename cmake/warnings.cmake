add_compile_options(-Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes
    -Wswitch-enum -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wconversion
    -Wno-sign-conversion -fno-strict-aliasing -fstack-protector-strong
    "-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=")
add_compile_definitions(_GNU_SOURCE)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-D_FORTIFY_SOURCE=2)
endif()
add_compile_options(-fPIE)
add_link_options(-pie -Wl,-z,relro,-z,now)
if(POSTERN_SANITIZE)
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
    # A test build overwrites what an event's view pointed at once its life is over.
    add_compile_definitions(POSTERN_POISON=1)
endif()
if(POSTERN_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
