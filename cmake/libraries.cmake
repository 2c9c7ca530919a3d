# One home for each library: the table says which folder may see it. gRPC is linked by path:
# pkg-config and find_package(gRPC) would put OpenSSL on the line, and a call to a function that
# BoringSSL lacks would then link silently.
find_package(Threads REQUIRED)
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/deps.sh ${POSTERN_DEPS_DIR} boringssl openssh
    libssh2
    COMMAND_ERROR_IS_FATAL ANY)

add_library(bssl_crypto STATIC IMPORTED)
set_target_properties(bssl_crypto PROPERTIES
    IMPORTED_LOCATION ${POSTERN_DEPS_DIR}/boringssl/lib/libbssl_crypto.a
    INTERFACE_INCLUDE_DIRECTORIES ${POSTERN_DEPS_DIR}/boringssl/include
    INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libbssl_crypto.a:libbssl_ssl.a"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
add_library(bssl_ssl STATIC IMPORTED)
set_target_properties(bssl_ssl PROPERTIES
    IMPORTED_LOCATION ${POSTERN_DEPS_DIR}/boringssl/lib/libbssl_ssl.a
    INTERFACE_LINK_LIBRARIES bssl_crypto)

add_library(lib_ssh2 STATIC IMPORTED)
set_target_properties(lib_ssh2 PROPERTIES
    IMPORTED_LOCATION ${POSTERN_DEPS_DIR}/libssh2/lib/libssh2.a
    INTERFACE_INCLUDE_DIRECTORIES ${POSTERN_DEPS_DIR}/libssh2/include
    INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libssh2.a"
    INTERFACE_LINK_LIBRARIES bssl_crypto)

# The ML-KEM header of OpenSSH: seen by common/crypto alone.
add_library(openssh_mlkem INTERFACE)
target_include_directories(openssh_mlkem SYSTEM INTERFACE ${POSTERN_DEPS_DIR}/openssh)

function(postern_system_library name)
    find_library(${name}_path NAMES ${ARGN} REQUIRED)
    add_library(${name} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${${name}_path})
endfunction()
postern_system_library(lib_uv uv)
postern_system_library(lib_grpc grpc)
postern_system_library(lib_gpr gpr)
postern_system_library(lib_protobuf_c protobuf-c)
postern_system_library(lib_sqlite3 sqlite3)
postern_system_library(lib_yaml yaml)
postern_system_library(lib_curl curl-gnutls)
postern_system_library(lib_jansson jansson)
postern_system_library(lib_nghttp2 nghttp2)
postern_system_library(lib_cmocka cmocka)

set(postern_libraries_common_crypto bssl_crypto openssh_mlkem)
set(postern_libraries_common_http lib_nghttp2)
set(postern_libraries_common_json lib_jansson)
set(postern_libraries_common_config lib_yaml)
set(postern_libraries_common_io bssl_ssl bssl_crypto lib_uv lib_curl)
set(postern_libraries_common_rpc lib_grpc lib_gpr lib_uv lib_protobuf_c)
set(postern_libraries_common_daemon lib_uv)
set(postern_libraries_proxy_probe lib_ssh2)
set(postern_libraries_databroker_store lib_sqlite3)
foreach(daemon authenticate authorize proxy proxy_supervisor databroker cli)
    set(postern_libraries_${daemon} lib_uv lib_protobuf_c)
endforeach()
