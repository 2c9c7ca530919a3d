#include "common/base/check.h"
#include "common/io/stream_parts.h"

const char *stream_peer_uri(const struct stream *s)
{
    return s->tls ? tls_session_peer_uri(s->tls) : NULL;
}

const char *stream_server_name(const struct stream *s)
{
    return s->tls ? tls_session_server_name(s->tls) : NULL;
}

const char *stream_alpn(const struct stream *s)
{
    return s->tls ? tls_session_alpn(s->tls) : "";
}

struct tls_client_certificate stream_client_certificate(const struct stream *s)
{
    return s->tls ? tls_session_client_certificate(s->tls)
                  : (struct tls_client_certificate){.error = ""};
}

const char *stream_why(const struct stream *s)
{
    return s->why;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

void stream_set_read_max(struct stream *s, size_t max)
{
    CHECK(max >= LOOP_SCRATCH && max <= LOOP_READ_MAX);
    s->read_max = max;
}

bool stream_is_paced(const struct stream *s)
{
    return tick_is_set(&s->tick);
}

struct loop *stream_loop(const struct stream *s)
{
    return s->loop;
}
