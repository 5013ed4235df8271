//! The glue between nginx and the decision core. nginx calls in through the tables of this file; every entry
//! is an `extern "C"` function behind [`guard`], since a panic must not cross into C.

mod api;
mod block;
mod conf;
mod count;
mod driver;
mod environment;
mod ext;
mod guard;
mod header_filter;
mod in_force;
mod key_files;
mod layout;
mod peer;
mod put_in_force;
mod record;
mod request;
mod runtime;
mod saving;
mod shared;
mod shim;
mod ticks;
mod upstream;
mod variables;
mod worker;
mod zone;

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use nginx_sys::*;

use self::conf::{LevelConf, MainConf};
use self::ext::ConfExt;
use self::guard::guard;

const NGX_CONF_OK: *mut c_char = ptr::null_mut();
const NGX_CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;

// What nginx looks for in a dynamic module; `ngx::ngx_modules!` cannot give an order. A module that comes
// before another in nginx's list installs its filter earlier, so that it runs later: ours must see, and make
// private, what `expires` and `add_header` in the headers filter say to caches.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_modules: [*const ngx_module_t; 2] =
    [&raw const ngx_http_lobechat_canary_module, ptr::null()];
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_module_names: [*const c_char; 2] = [NAME.as_ptr(), ptr::null()];
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_module_order: [*const c_char; 3] =
    [NAME.as_ptr(), c"ngx_http_headers_filter_module".as_ptr(), ptr::null()];

const NAME: &CStr = c"ngx_http_lobechat_canary_module";

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_http_lobechat_canary_module: ngx_module_t = ngx_module_t {
    ctx: &raw const CONTEXT as *mut c_void,
    commands: &raw mut COMMANDS as *mut ngx_command_t,
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(ticks::init_module),
    init_process: Some(ticks::init_process),
    exit_process: Some(ticks::exit_process),
    ..ngx_module_t::default()
};

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(preconfiguration),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(create_main_conf),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(create_loc_conf),
    merge_loc_conf: Some(merge_loc_conf),
};

const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

static mut COMMANDS: [ngx_command_t; 5] = [
    ngx_command_t {
        name: ngx::ngx_string!("lobechat_canary"),
        type_: (ANYWHERE | NGX_CONF_BLOCK | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(block::directive),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx::ngx_string!("lobechat_canary_use"),
        type_: (ANYWHERE | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(in_force::directive),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx::ngx_string!("lobechat_canary_zone"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12) as ngx_uint_t,
        set: Some(zone::directive),
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx::ngx_string!("lobechat_canary_api"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(api::directive),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t::empty(),
];

/// This module's index among the HTTP modules, which nginx assigns when it loads the module.
fn context_index() -> usize {
    // SAFETY: written once, while nginx reads its configuration; requests come after that.
    unsafe { ngx_http_lobechat_canary_module.ctx_index }
}

extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx passes the configuration that it is reading.
    let cf = unsafe { &mut *cf };
    guard(NGX_ERROR as ngx_int_t, || {
        if let Some(sentence) = layout::mismatch() {
            cf.emerg(&sentence);
            return NGX_ERROR as ngx_int_t;
        }
        let mut register = || {
            variables::register(cf)?;
            record::register(cf)?;
            upstream::register(cf)
        };
        match register() {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: as in preconfiguration.
    let cf = unsafe { &mut *cf };
    guard(NGX_ERROR as ngx_int_t, || {
        match in_force::report(cf).and_then(|()| zone::check(cf)) {
            Ok(()) => {}
            Err(error) => {
                cf.emerg_at(&error);
                return NGX_ERROR as ngx_int_t;
            }
        }
        header_filter::install();
        match zone::add_default(cf).and_then(|()| count::install(cf)) {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: as in preconfiguration.
    guard(ptr::null_mut(), || unsafe { &mut *cf }.allocate(MainConf::default()).cast())
}

extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: as in preconfiguration.
    guard(ptr::null_mut(), || unsafe { &mut *cf }.allocate(LevelConf::default()).cast())
}

extern "C" fn merge_loc_conf(cf: *mut ngx_conf_t, prev: *mut c_void, conf: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes what create_loc_conf made for two nested levels, hence two objects.
        let (cf, prev, conf) =
            unsafe { (&mut *cf, &mut *prev.cast::<LevelConf>(), &mut *conf.cast::<LevelConf>()) };
        match in_force::merge(cf, prev, conf) {
            Ok(()) => NGX_CONF_OK,
            Err(error) => {
                cf.emerg_at(&error);
                NGX_CONF_ERROR
            }
        }
    })
}
