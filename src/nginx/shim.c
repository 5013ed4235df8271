/*
 * The C side of the glue: see shim.h.
 */

#include "shim.h"
#include <ngx_event.h>
#include <ngx_channel.h>

#if (NGX_LINUX)
#include <sys/timerfd.h>
#endif


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
canary_answer_was_cut(ngx_http_upstream_t *u)
{
    ngx_event_pipe_t  *p;

    if (u == NULL || u->pipe == NULL) {
        return 0;
    }

    p = u->pipe;

    return p->upstream_error
           || (p->upstream_eof && !p->upstream_done && p->length != -1);
}


ngx_uint_t
canary_answer_is_whole(ngx_http_request_t *r)
{
    return r->header_sent && !canary_answer_was_cut(r->upstream);
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


#if (NGX_LINUX)

static ngx_socket_t        canary_clock = (ngx_socket_t) -1;


static void
canary_clock_ticks(ngx_event_t *ev)
{
    uint64_t           ticks;
    ngx_connection_t  *c;

    c = ev->data;

    if (read(c->fd, &ticks, sizeof(uint64_t)) == (ssize_t) sizeof(uint64_t)) {
        canary_timer_handler();
    }
}


/* a node in nginx's tree of timers costs every request some ninety instructions, a descriptor none */

static ngx_int_t
canary_clock_start(void)
{
    struct itimerspec  its;

    if (canary_clock != (ngx_socket_t) -1) {
        (void) close(canary_clock);
    }

    canary_clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
    if (canary_clock == (ngx_socket_t) -1) {
        return NGX_ERROR;
    }

    its.it_interval.tv_sec = canary_timer_interval / 1000;
    its.it_interval.tv_nsec = canary_timer_interval % 1000 * 1000000;
    its.it_value = its.it_interval;

    /* a channel is what a worker may leave open when it exits */

    if (timerfd_settime(canary_clock, 0, &its, NULL) == -1
        || ngx_add_channel_event((ngx_cycle_t *) ngx_cycle, canary_clock,
                                 NGX_READ_EVENT, canary_clock_ticks)
           != NGX_OK)
    {
        (void) close(canary_clock);
        canary_clock = (ngx_socket_t) -1;
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


void
canary_every(ngx_msec_t interval, void (*handler)(void))
{
    canary_timer_interval = interval;
    canary_timer_handler = handler;

#if (NGX_LINUX)
    if (canary_clock_start() == NGX_OK) {
        return;
    }
#endif

    canary_timer_connection.fd = (ngx_socket_t) -1;

    canary_timer.handler = canary_timer_expired;
    canary_timer.data = &canary_timer_connection;
    canary_timer.log = &canary_timer_log;
    canary_timer.cancelable = 1;

    ngx_add_timer(&canary_timer, interval);
}


#if (NGX_THREADS)

static ngx_thread_task_t  *canary_task;
static void              (*canary_task_work)(void *data);
static void              (*canary_task_done)(void *data);


static void
canary_task_run(void *data, ngx_log_t *log)
{
    canary_task_work(*(void **) data);
}


static void
canary_task_finished(ngx_event_t *ev)
{
    canary_task_done(ev->data);
}

#endif


ngx_int_t
canary_in_thread(void *pool, void *data, void (*work)(void *data),
    void (*done)(void *data))
{
#if (NGX_THREADS)
    if (canary_task == NULL) {
        canary_task = ngx_thread_task_alloc(ngx_cycle->pool, sizeof(void *));
        if (canary_task == NULL) {
            return NGX_ERROR;
        }
    }

    canary_task_work = work;
    canary_task_done = done;

    *(void **) canary_task->ctx = data;
    canary_task->handler = canary_task_run;
    canary_task->event.data = data;
    canary_task->event.handler = canary_task_finished;

    return ngx_thread_task_post(pool, canary_task);
#else
    work(data);
    done(data);
    return NGX_OK;
#endif
}


void *
canary_thread_pool(ngx_conf_t *cf)
{
#if (NGX_THREADS)
    return ngx_thread_pool_add(cf, NULL);
#else
    return cf;
#endif
}


ngx_int_t
canary_serve_prefix(ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt handler)
{
    if (clcf->noname || clcf->named || clcf->lmt_excpt || clcf->exact_match
#if (NGX_PCRE)
        || clcf->regex
#endif
        || clcf->name.len == 0)
    {
        return NGX_DECLINED;
    }

    clcf->handler = handler;

    if (clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    return NGX_OK;
}


void
canary_keep_body_in_one_piece(ngx_http_request_t *r)
{
    r->request_body_in_single_buf = 1;
}


ngx_int_t
canary_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *content_type,
    ngx_str_t *body, off_t length)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = length;
    r->headers_out.content_type = *content_type;
    r->headers_out.content_type_len = content_type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = body->len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


typedef struct {
    ngx_event_t           event;
    ngx_connection_t      connection;
    ngx_http_request_t   *request;
    ngx_msec_t            interval;
    void                 *data;
    ngx_uint_t          (*handler)(void *data);
    void                (*cleanup)(void *data);
} canary_delay_t;


static void
canary_delay_expired(ngx_event_t *ev)
{
    canary_delay_t    *delay;
    ngx_connection_t  *c;

    delay = (canary_delay_t *) ((u_char *) ev
                                - offsetof(canary_delay_t, event));
    c = delay->request->connection;

    if (delay->handler(delay->data)) {
        ngx_add_timer(ev, delay->interval);
        return;
    }

    ngx_http_run_posted_requests(c);
}


static void
canary_delay_cleanup(void *data)
{
    canary_delay_t  *delay = data;

    if (delay->event.timer_set) {
        ngx_del_timer(&delay->event);
    }

    delay->cleanup(delay->data);
}


ngx_int_t
canary_after(ngx_http_request_t *r, ngx_msec_t interval, void *data,
    ngx_uint_t (*handler)(void *data), void (*cleanup)(void *data))
{
    canary_delay_t      *delay;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(canary_delay_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    delay = cln->data;
    ngx_memzero(delay, sizeof(canary_delay_t));

    cln->handler = canary_delay_cleanup;

    delay->connection.fd = (ngx_socket_t) -1;
    delay->event.handler = canary_delay_expired;
    delay->event.data = &delay->connection;
    delay->event.log = r->connection->log;
    delay->request = r;
    delay->interval = interval;
    delay->data = data;
    delay->handler = handler;
    delay->cleanup = cleanup;

    ngx_add_timer(&delay->event, interval);

    return NGX_OK;
}


static ngx_uint_t
canary_sockaddr_is_local(struct sockaddr *sockaddr)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;

        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)
                   && sin6->sin6_addr.s6_addr[12] == 127);
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

    default:
        return 0;
    }
}


/*
 * The address of a connection may be what a header says (ngx_http_realip_module), or that of a local proxy, so both it
 * and the peer must be this machine, without a proxy in between.
 */

ngx_uint_t
canary_is_local(ngx_connection_t *c)
{
    socklen_t       len;
    ngx_sockaddr_t  peer;

    len = sizeof(ngx_sockaddr_t);

    return c->proxy_protocol == NULL
           && canary_sockaddr_is_local(c->sockaddr)
           && getpeername(c->fd, &peer.sockaddr, &len) == 0
           && canary_sockaddr_is_local(&peer.sockaddr);
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
