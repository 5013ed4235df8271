/*
 * What Rust cannot reach in nginx's headers by itself: bitfields (bindgen misplaces those of
 * ngx_http_request_t from nginx 1.29.3 on), macros and inline functions. build.rs compiles shim.c and
 * declares every function here whose name begins with canary_ to Rust.
 */

#ifndef LOBECHAT_CANARY_SHIM_H
#define LOBECHAT_CANARY_SHIM_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* whether the answer comes from a cache */
ngx_uint_t canary_request_cached(ngx_http_request_t *r);

/* whether an attempt failed because its kept connection was closed before */
ngx_uint_t canary_peer_is_stale(ngx_http_upstream_t *u);

/* the answer goes into no cache, and proxy_store writes no file of it */
void canary_keep_nothing(ngx_http_upstream_t *u);

ngx_uint_t canary_connection_is_tls(ngx_connection_t *c);

/* returns NULL and sets err, which must have room for NGX_MAX_CONF_ERRSTR bytes */
void *canary_regex_compile(ngx_pool_t *pool, ngx_str_t pattern,
    ngx_uint_t caseless, ngx_str_t *err);

/* calls the handler every so many milliseconds while this process serves */
void canary_every(ngx_msec_t interval, void (*handler)(void));

/* returns 1 for a match, 0 for none, -1 when the engine gave up */
ngx_int_t canary_regex_exec(void *re, ngx_str_t *text);


#endif /* LOBECHAT_CANARY_SHIM_H */
