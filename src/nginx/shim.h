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

/* the parts of the request's key in a cache: strings; NULL: it has none */
ngx_array_t *canary_cache_keys(ngx_http_request_t *r);

/* whether nginx has seen no query, code, fragment, "//" and "/." in the target */
ngx_uint_t canary_target_is_plain_path(ngx_http_request_t *r);

ngx_uint_t canary_header_is_sent(ngx_http_request_t *r);

/* whether the answer that is about to begin may last long */
ngx_uint_t canary_answer_is_stream(ngx_http_request_t *r);

/* whether the client has been sent all that there was to send */
ngx_uint_t canary_answer_is_whole(ngx_http_request_t *r);

/* whether the answer broke off after it had begun */
ngx_uint_t canary_answer_was_cut(ngx_http_request_t *r);

/* whether an attempt failed because its kept connection was closed before */
ngx_uint_t canary_peer_is_stale(ngx_http_upstream_t *u);

/* the answer goes into no cache, and proxy_store writes no file of it */
void canary_keep_nothing(ngx_http_upstream_t *u);

ngx_uint_t canary_connection_is_tls(ngx_connection_t *c);

/* whether the peer is this machine: loopback or a unix socket */
ngx_uint_t canary_is_local(ngx_connection_t *c);

/* NGX_DECLINED: the location is no plain prefix */
ngx_int_t canary_serve_prefix(ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt handler);

/* before ngx_http_read_client_request_body() */
void canary_keep_body_in_one_piece(ngx_http_request_t *r);

/* a whole answer, of that length with its body; texts live as long as r */
ngx_int_t canary_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *content_type, ngx_str_t *body, off_t length);

/*
 * calls the handler every so many milliseconds until it returns 0, and cleanup
 * as the request ends
 */
ngx_int_t canary_after(ngx_http_request_t *r, ngx_msec_t interval, void *data,
    ngx_uint_t (*handler)(void *data), void (*cleanup)(void *data));

/* returns NULL and sets err, which must have room for NGX_MAX_CONF_ERRSTR bytes */
void *canary_regex_compile(ngx_pool_t *pool, ngx_str_t pattern,
    ngx_uint_t caseless, ngx_str_t *err);

/* calls the handler every so many milliseconds while this process serves */
void canary_every(ngx_msec_t interval, void (*handler)(void));

/* the pool of threads for canary_in_thread(); NULL: nginx has logged why not */
void *canary_thread_pool(ngx_conf_t *cf);

/*
 * runs work in a thread, then done in the event loop; one at a time. NGX_ERROR: neither will run.
 */
ngx_int_t canary_in_thread(void *pool, void *data, void (*work)(void *data),
    void (*done)(void *data));

/* returns 1 for a match, 0 for none, -1 when the engine gave up */
ngx_int_t canary_regex_exec(void *re, ngx_str_t *text);


#endif /* LOBECHAT_CANARY_SHIM_H */
