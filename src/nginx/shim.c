/*
 * The C side of the glue: see shim.h.
 */

#include "shim.h"
#include <ngx_event.h>


ngx_uint_t
canary_request_cached(ngx_http_request_t *r)
{
#if (NGX_HTTP_CACHE)
    return r->cached;
#else
    return 0;
#endif
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


static ngx_event_t         canary_timer;
/* what a debugging nginx looks at when it names a timer; silent, and there after a reload */
static ngx_connection_t    canary_timer_connection;
static ngx_log_t           canary_timer_log;
static ngx_msec_t          canary_timer_interval;
static void              (*canary_timer_handler)(void);


static void
canary_timer_expired(ngx_event_t *ev)
{
    if (ngx_terminate || ngx_quit || ngx_exiting) {
        return;
    }

    canary_timer_handler();

    ngx_add_timer(ev, canary_timer_interval);
}


void
canary_every(ngx_msec_t interval, void (*handler)(void))
{
    canary_timer_interval = interval;
    canary_timer_handler = handler;

    canary_timer_connection.fd = (ngx_socket_t) -1;

    canary_timer.handler = canary_timer_expired;
    canary_timer.data = &canary_timer_connection;
    canary_timer.log = &canary_timer_log;
    canary_timer.cancelable = 1;

    ngx_add_timer(&canary_timer, interval);
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
