/* What a peer sends: first byte the kind of message, then its bytes. */
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/codec.h"
#include "proto/databroker/databroker.pb-c.h"
#include "proto/postern/decide.pb-c.h"
#include "proto/session/session.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &databroker__query_request__descriptor,  &databroker__put_request__descriptor,
        &databroker__sync_response__descriptor,  &postern__worker_message__descriptor,
        &postern__authorize_message__descriptor, &session__session__descriptor,
    };
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *d = kinds[data[0] % ARRAY_LEN(kinds)];
    ProtobufCMessage *m = codec_unpack_view(d, view_of(data + 1, size - 1));
    if (!m)
        return 0;
    /* What was read can be written, and read again. */
    size_t len = protobuf_c_message_get_packed_size(m);
    AUTO_FREE uint8_t *packed = mem_zalloc(len);
    CHECK(protobuf_c_message_pack(m, packed) == len);
    ProtobufCMessage *again = codec_unpack_view(d, view_of(packed, len));
    CHECK(again);
    CHECK(protobuf_c_message_get_packed_size(again) == len);
    protobuf_c_message_free_unpacked(again, NULL);
    protobuf_c_message_free_unpacked(m, NULL);
    return 0;
}
