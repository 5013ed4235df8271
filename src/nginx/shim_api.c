/*
 * The C side of the glue: serving the API. See shim.h.
 */

#include "shim.h"


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
