/*
 * Inside of common/rpc: protobuf-c messages to byte buffers and back. Nesting is checked before
 * anything is decoded: protobuf-c follows it on the stack, without a limit.
 */
#ifndef COMMON_RPC_CODEC_H
#define COMMON_RPC_CODEC_H

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

#include "common/base/err.h"
#include "common/base/view.h"

enum { CODEC_DEPTH_MAX = 64 };

/* ERR_LIMIT above RPC_MESSAGE_MAX. The caller destroys the buffer. */
enum err codec_pack(const ProtobufCMessage *message, grpc_byte_buffer **out);

/* NULL when malformed or nested too deeply. Free with protobuf_c_message_free_unpacked. */
ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *descriptor,
                               grpc_byte_buffer *buffer);

/* The same from plain bytes. */
ProtobufCMessage *codec_unpack_view(const ProtobufCMessageDescriptor *descriptor,
                                    struct view bytes);

/* "/package.Service/Method" */
char *codec_path(const ProtobufCServiceDescriptor *service, const char *method);

#endif
