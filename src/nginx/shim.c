/*
 * The C side of the glue: see shim.h.
 */

#include "shim.h"


ngx_uint_t
canary_request_cached(ngx_http_request_t *r)
{
#if (NGX_HTTP_CACHE)
    return r->cached;
#else
    return 0;
#endif
}


ngx_array_t *
canary_cache_keys(ngx_http_request_t *r)
{
#if (NGX_HTTP_CACHE)
    return r->cache ? &r->cache->keys : NULL;
#else
    return NULL;
#endif
}


ngx_uint_t
canary_target_is_plain_path(ngx_http_request_t *r)
{
    return !r->complex_uri && !r->quoted_uri && r->args_start == NULL;
}


ngx_uint_t
canary_header_is_sent(ngx_http_request_t *r)
{
    return r->header_sent;
}


/* what may last long: WebSockets, server-sent events, whatever is not buffered */

ngx_uint_t
canary_answer_is_stream(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL || u->peer.connection == NULL) {
        return 0;
    }

    return u->upgrade
           || !u->buffering
           || (r->headers_out.content_type.len >= sizeof("text/event-stream") - 1
               && ngx_strncasecmp(r->headers_out.content_type.data,
                                  (u_char *) "text/event-stream",
                                  sizeof("text/event-stream") - 1)
                  == 0);
}


ngx_uint_t
canary_answer_was_cut(ngx_http_request_t *r)
{
    ngx_event_pipe_t     *p;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL) {
        return 0;
    }

    if (!u->buffering) {

        /*
         * u->length is what is left, -1 until the end of the connection; either
         * side may have left
         */

        return !u->upgrade
               && !r->header_only
               && u->length != 0
               && u->length != -1
               && !r->connection->error
               && !r->connection->timedout;
    }

    p = u->pipe;

    return p != NULL
           && (p->upstream_error
               || (p->upstream_eof && !p->upstream_done && p->length != -1));
}


ngx_uint_t
canary_answer_is_whole(ngx_http_request_t *r)
{
    return r->header_sent && !canary_answer_was_cut(r);
}


ngx_uint_t
canary_peer_is_stale(ngx_http_upstream_t *u)
{
    ngx_connection_t  *c;

    c = u->peer.connection;

    /* an application that does not answer in time has not closed anything */

    return u->peer.cached
           && c != NULL
           && !c->read->timedout
           && !c->write->timedout
           && u->state->bytes_received == 0;
}


void
canary_keep_nothing(ngx_http_upstream_t *u)
{
    u->cacheable = 0;
    u->store = 0;
}


ngx_uint_t
canary_connection_is_tls(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    return c->ssl != NULL;
#else
    return 0;
#endif
}


void *
canary_regex_compile(ngx_pool_t *pool, ngx_str_t pattern, ngx_uint_t caseless,
    ngx_str_t *err)
{
#if (NGX_PCRE)
    ngx_regex_compile_t  rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = pattern;
    rc.pool = pool;
    rc.options = caseless ? NGX_REGEX_CASELESS : 0;
    rc.err = *err;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        *err = rc.err;
        return NULL;
    }

    return rc.regex;
#else
    err->len = ngx_sprintf(err->data, "this nginx was built without PCRE")
               - err->data;
    return NULL;
#endif
}


ngx_int_t
canary_regex_exec(void *re, ngx_str_t *text)
{
#if (NGX_PCRE)
    ngx_int_t  rc;

    rc = ngx_regex_exec(re, text, NULL, 0);

    if (rc == NGX_REGEX_NO_MATCHED) {
        return 0;
    }

    return rc >= 0 ? 1 : -1;
#else
    return -1;
#endif
}
