/*
 * The C side of the glue: ticks, threads and delays. See shim.h.
 */

#include "shim.h"
#include <ngx_event.h>
#include <ngx_channel.h>

#if (NGX_LINUX)
#include <sys/timerfd.h>
#endif


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
