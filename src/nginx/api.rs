//! The `lobechat_canary_api` directive and its content handler: reads a request and its body, lets the API answer, and
//! waits a moment for changes to be on disk. The event loop never waits.

mod waiting;

use core::ffi::{c_char, c_void};

use nginx_sys::*;

use self::waiting::wait_for;
use super::conf::{LevelConf, MainConf};
use super::ext::{ConfExt, bytes, ngx_str, pool_copy};
use super::guard::guard;
use super::request::View;
use super::runtime::SharedRuntime;
use super::shim::{canary_is_local, canary_keep_body_in_one_piece, canary_send, canary_serve_prefix};
use super::{NGX_CONF_ERROR, NGX_CONF_OK, context_index};
use crate::api::{self, Access, Answer, Call, MAX_BODY};
use crate::config::{VariableId, arity, quote};
use crate::inputs::{Lengths, Request};

/// Handles `lobechat_canary_api [write | write=any]`.
pub extern "C" fn directive(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes the configuration that it is reading, and this level's LevelConf.
        let (cf, level) = unsafe { (&mut *cf, &mut *conf.cast::<LevelConf>()) };
        match read(cf, level) {
            Ok(()) => NGX_CONF_OK,
            Err(message) => {
                cf.emerg(&message);
                NGX_CONF_ERROR
            }
        }
    })
}

fn read(cf: &mut ngx_conf_t, level: &mut LevelConf) -> Result<(), String> {
    // SAFETY: the words live while the directive is handled.
    let words: Vec<&[u8]> = cf.words().iter().map(|&word| unsafe { bytes(word) }).collect();
    let access = match words[1..] {
        [] => Access::ReadOnly,
        [b"write"] => Access::Local,
        [b"write=any"] => Access::Any,
        [other] => {
            return Err(format!(
                "invalid parameter {} in \"lobechat_canary_api\" directive: write \"write\" for changes from this machine, \"write=any\" for whom the location lets in, or nothing",
                quote(other)
            ));
        }
        _ => return Err(arity("lobechat_canary_api", "lobechat_canary_api [write | write=any]")),
    };
    if level.api.replace(access).is_some() {
        return Err("\"lobechat_canary_api\" directive is duplicate".to_owned());
    }
    let main: &mut MainConf = cf.http_main_conf(context_index());
    if main.remote_user.is_none() {
        let mut name = ngx_str(b"remote_user");
        // SAFETY: the name is static.
        let index = unsafe { ngx_http_get_variable_index(cf, &raw mut name) };
        main.remote_user = usize::try_from(index).ok().map(VariableId);
    }
    // SAFETY: ctx holds the confs of the location that is being read.
    let served = unsafe {
        let location = *(*cf.ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf.add(ngx_http_core_module.ctx_index);
        canary_serve_prefix(location.cast(), Some(handler))
    };
    match served == NGX_OK as ngx_int_t {
        true => Ok(()),
        false => Err(
            "\"lobechat_canary_api\" stands in a plain location only, e.g. \"location /canary/ { lobechat_canary_api; }\""
                .to_owned(),
        ),
    }
}

unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes a live request.
        let request = unsafe { &*r };
        let length = request.headers_in.content_length_n;
        let is_read = request.method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as ngx_uint_t != 0;
        // What is too large is refused by its head, or once it is there.
        if is_read || length > MAX_BODY as off_t {
            // SAFETY: as above.
            let result = unsafe { ngx_http_discard_request_body(r) };
            if result != NGX_OK as ngx_int_t {
                return result;
            }
            let too_large = vec![0; if is_read { 0 } else { MAX_BODY + 1 }];
            let Some(answer) = call(request, &too_large) else {
                return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
            };
            return send(r, &answer);
        }
        // SAFETY: as above; nginx calls body_is_read once the body is there.
        unsafe {
            canary_keep_body_in_one_piece(r);
            let result = ngx_http_read_client_request_body(r, Some(body_is_read));
            if result >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t { result } else { NGX_DONE as ngx_int_t }
        }
    })
}

unsafe extern "C" fn body_is_read(r: *mut ngx_http_request_t) {
    let result = guard(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes a live request.
        let request = unsafe { &*r };
        let answer = body_of(request).and_then(|body| call(request, &body));
        match answer {
            None => NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t,
            Some(Answer { wait_for: Some(wait), .. }) if wait_for(request, wait.clone()) => {
                NGX_AGAIN as ngx_int_t
            }
            Some(answer) => send(r, &answer),
        }
    });
    if result != NGX_AGAIN as ngx_int_t {
        // SAFETY: as above; the count of the request was raised when its body was asked for.
        unsafe { ngx_http_finalize_request(r, result) };
    }
}

/// The body, from memory or from the file that nginx has put it into; at most one byte more than is allowed.
fn body_of(r: &ngx_http_request_t) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    // SAFETY: the buffers live as long as the request; a buffer in memory has its text between pos and last, one in a
    // file lies between file_pos and file_last.
    unsafe {
        let mut link = r.request_body.as_ref()?.bufs;
        while let Some(ngx_chain_t { buf, next }) = link.as_ref() {
            let buf = &**buf;
            if buf.in_file() != 0 && !buf.file.is_null() {
                let length = usize::try_from(buf.file_last - buf.file_pos).ok()?.min(MAX_BODY + 1);
                let start = body.len();
                body.resize(start + length, 0);
                let read = ngx_read_file(buf.file, body[start..].as_mut_ptr(), length, buf.file_pos);
                body.truncate(start + usize::try_from(read).ok()?);
            } else {
                let length = buf.last.offset_from(buf.pos);
                body.extend_from_slice(core::slice::from_raw_parts(buf.pos, usize::try_from(length).ok()?));
            }
            link = *next;
        }
    }
    body.truncate(MAX_BODY + 1);
    Some(body)
}

/// Lets the API answer.
fn call(r: &ngx_http_request_t, body: &[u8]) -> Option<Answer> {
    let mut runtime = SharedRuntime::of(r)?;
    // SAFETY: the handler runs for main requests and for subrequests; headers are those of the client.
    let view = unsafe { View::new(r.main) };
    let mut headers: [(&str, Option<&[u8]>); 4] =
        [("content-type", None), ("origin", None), ("host", None), ("sec-fetch-site", None)];
    let mut forwarded = false;
    view.for_each_header(Lengths::ALL, |name, value| {
        for (wanted, slot) in &mut headers {
            if name.eq_ignore_ascii_case(wanted.as_bytes()) {
                slot.get_or_insert(value);
            }
        }
        let lower = name.to_ascii_lowercase();
        forwarded |=
            lower.starts_with(b"forwarded") || lower.starts_with(b"x-forwarded") || lower == b"x-real-ip";
    });
    // Bytes that are no text can be no valid value; none of them is a reason for an error of its own.
    let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
    let [content_type, origin, host, sec_fetch_site] = headers.map(|(_, value)| text(value));
    let (method, path, query, by) = (method(r), path(r), text(Some(view.query()))?, asker(r, &view));
    Some(api::handle(
        &Call {
            method: &method,
            path: &path,
            query: &query,
            content_type: content_type.as_deref(),
            origin: origin.as_deref(),
            host: host.as_deref(),
            sec_fetch_site: sec_fetch_site.as_deref(),
            body,
            by: &by,
            // SAFETY: a request has a connection with an address.
            local: unsafe { canary_is_local(r.connection) != 0 },
            forwarded,
            access: level(r).api.unwrap_or_default(),
        },
        &mut runtime,
    ))
}

fn level(r: &ngx_http_request_t) -> &LevelConf {
    // SAFETY: loc_conf has a slot for every HTTP module, ours filled by create_loc_conf.
    unsafe { &*(*r.loc_conf.add(context_index())).cast::<LevelConf>() }
}

fn method(r: &ngx_http_request_t) -> String {
    // SAFETY: the name lies in the request's buffers.
    String::from_utf8_lossy(unsafe { bytes(r.method_name) }).into_owned()
}

/// What follows the location's name, without a slash in front.
fn path(r: &ngx_http_request_t) -> String {
    // SAFETY: the path lies in the request's memory, the location's name in the configuration.
    let (uri, location) = unsafe {
        let index = ngx_http_core_module.ctx_index;
        (bytes(r.uri), bytes((*(*r.loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>()).name))
    };
    let rest = uri.get(location.len()..).unwrap_or_default();
    String::from_utf8_lossy(rest.strip_prefix(b"/").unwrap_or(rest)).into_owned()
}

/// Who asks. The user is whoever `auth_basic` has let in, but what the client says where there is none: so the address
/// stands beside it.
fn asker(r: &ngx_http_request_t, view: &View<'_>) -> String {
    // SAFETY: a request has a connection with an address as text.
    let address = String::from_utf8_lossy(unsafe { bytes((*r.connection).addr_text) }).into_owned();
    let user = super::conf::main_conf_of(r).remote_user.map_or(&[][..], |id| view.variable(id));
    match String::from_utf8_lossy(user) {
        user if user.is_empty() => address,
        user => format!("{user} ({address})"),
    }
}

fn send(r: *mut ngx_http_request_t, answer: &Answer) -> ngx_int_t {
    // SAFETY: the request is live; texts are copied into its pool.
    unsafe {
        let pool = (*r).pool;
        for (name, value) in &answer.headers {
            if super::header_filter::push_header(&mut *r, name, value.as_bytes()).is_none() {
                return NGX_ERROR as ngx_int_t;
            }
        }
        let (Some(mut content_type), Some(mut body)) =
            (pool_copy(pool, answer.content_type.as_bytes()), pool_copy(pool, &answer.body))
        else {
            return NGX_ERROR as ngx_int_t;
        };
        canary_send(
            r,
            answer.status.into(),
            &raw mut content_type,
            &raw mut body,
            answer.content_length as off_t,
        )
    }
}
