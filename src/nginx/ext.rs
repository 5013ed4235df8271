//! What nginx's own structures lack for use from Rust: methods on them, instead of wrapper types.

use core::ffi::c_void;
use core::{mem, ptr, slice};

use nginx_sys::*;

use crate::config::{ConfigError, Place};

/// The bytes of an nginx string.
///
/// # Safety
/// `text` must point to memory that outlives `'a`: strings of the configuration live as long as its cycle,
/// strings of a request as long as its pool.
pub unsafe fn bytes<'a>(text: ngx_str_t) -> &'a [u8] {
    if text.len == 0 {
        return &[];
    }
    // SAFETY: nginx keeps len bytes at data; the lifetime is the caller's word.
    unsafe { slice::from_raw_parts(text.data, text.len) }
}

/// An nginx string over borrowed bytes. nginx does not write through the strings it is given this way.
pub fn ngx_str(text: &[u8]) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

pub trait ConfExt {
    /// The words of the directive that is being read.
    fn words<'a>(&self) -> &'a [ngx_str_t];
    /// Where the directive that is being read stands.
    fn place(&self) -> Place;
    /// Logs at `emerg`, with the place of the directive that is being read.
    fn emerg(&self, message: &str);
    /// Logs at `emerg`, with the error's own place if it has one.
    fn emerg_at(&self, error: &ConfigError);
    fn warn_at(&self, error: &ConfigError);
    /// Moves `value` into the configuration's pool, which drops it at its end. Null when memory is short.
    fn allocate<T>(&mut self, value: T) -> *mut T;
    /// A copy of `text` in the configuration's pool, with a zero byte behind it, as nginx's own words have one.
    fn copy(&mut self, text: &[u8]) -> Option<ngx_str_t>;
    /// A path, relative to the directory of the configuration.
    fn full_name(&mut self, path: &[u8]) -> Result<String, String>;
    /// The main configuration of the HTTP module with this index.
    fn http_main_conf<'a, T>(&self, index: usize) -> &'a mut T;
}

pub const NO_MEMORY: &str = "out of memory";

impl ConfExt for ngx_conf_t {
    fn words<'a>(&self) -> &'a [ngx_str_t] {
        // SAFETY: args is an array of ngx_str_t in the pool of the configuration.
        unsafe { slice::from_raw_parts((*self.args).elts.cast(), (*self.args).nelts) }
    }

    fn place(&self) -> Place {
        // SAFETY: conf_file is null only for directives of `-g`, which come from no file.
        let Some(file) = (unsafe { self.conf_file.as_ref() }) else {
            return Place::default();
        };
        // SAFETY: the name lives while the file is being read.
        let name = unsafe { bytes(file.file.name) };
        Place { file: String::from_utf8_lossy(name).into_owned(), line: file.line }
    }

    fn emerg(&self, message: &str) {
        let (level, cf) = (NGX_LOG_EMERG as ngx_uint_t, ptr::from_ref(self).cast_mut());
        let message = one_line(message);
        let message = ngx_str(message.as_bytes());
        // SAFETY: "%V" takes one ngx_str_t.
        unsafe { ngx_conf_log_error(level, cf, 0, c"%V".as_ptr(), &raw const message) };
    }

    fn emerg_at(&self, error: &ConfigError) {
        match &error.place {
            None => self.emerg(&error.message),
            Some(place) => log_at(self.log, NGX_LOG_EMERG, &error.message, place),
        }
    }

    fn warn_at(&self, error: &ConfigError) {
        log_at(self.log, NGX_LOG_WARN, &error.message, error.place.as_ref().unwrap_or(&self.place()));
    }

    fn allocate<T>(&mut self, value: T) -> *mut T {
        const { assert!(align_of::<T>() <= NGX_ALIGNMENT) }
        // SAFETY: the pool is the configuration's own, and aligns memory to NGX_ALIGNMENT.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(self.pool, size_of::<T>());
            if cleanup.is_null() {
                return ptr::null_mut();
            }
            let place = (*cleanup).data.cast::<T>();
            place.write(value);
            (*cleanup).handler = Some(drop_in_pool::<T>);
            place
        }
    }

    fn copy(&mut self, text: &[u8]) -> Option<ngx_str_t> {
        let copy = pool_copy(self.pool, &[text, b"\0"].concat())?;
        Some(ngx_str_t { len: text.len(), ..copy })
    }

    fn full_name(&mut self, path: &[u8]) -> Result<String, String> {
        let mut name = self.copy(path).ok_or(NO_MEMORY)?;
        // SAFETY: the name is null-terminated, as ngx_conf_full_name wants it.
        if unsafe { ngx_conf_full_name(self.cycle, &raw mut name, 1) } != NGX_OK as ngx_int_t {
            return Err(NO_MEMORY.to_owned());
        }
        // SAFETY: ngx_conf_full_name leaves a name in the configuration's pool.
        Ok(String::from_utf8_lossy(unsafe { bytes(name) }).into_owned())
    }

    fn http_main_conf<'a, T>(&self, index: usize) -> &'a mut T {
        // SAFETY: inside http {} ctx is the HTTP context, and the caller names the type its module made.
        unsafe { &mut *(*(*self.ctx.cast::<ngx_http_conf_ctx_t>()).main_conf.add(index)).cast() }
    }
}

extern "C" fn drop_in_pool<T>(data: *mut c_void) {
    // SAFETY: allocate put a T there, and a pool runs each cleanup once.
    super::guard::guard((), || unsafe { ptr::drop_in_place(data.cast::<T>()) });
}

/// A copy of `text` in `pool`; `None` when memory is short.
pub fn pool_copy(pool: *mut ngx_pool_t, text: &[u8]) -> Option<ngx_str_t> {
    // SAFETY: the pool is live; the copy goes to text.len() fresh bytes.
    unsafe {
        let data = ngx_pnalloc(pool, text.len().max(1)).cast::<u8>();
        if data.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping(text.as_ptr(), data, text.len());
        Some(ngx_str_t { len: text.len(), data })
    }
}

/// Logs a message of the configuration that belongs to a line read earlier, as ngx_conf_log_error would have.
pub fn log_at(log: *mut ngx_log_t, level: u32, message: &str, place: &Place) {
    write_log(log, level, &format!("{message} in {}:{}", place.file, place.line));
}

/// Messages quote what others have written, key files for one: a newline in it must not begin a line of its own.
fn one_line(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes to an nginx log if it takes this level.
pub fn write_log(log: *mut ngx_log_t, level: u32, message: &str) {
    // SAFETY: "%V" takes one ngx_str_t; the log is live.
    unsafe {
        if (*log).log_level >= level as ngx_uint_t {
            let message = one_line(message);
            let message = ngx_str(message.as_bytes());
            ngx_log_error_core(level as ngx_uint_t, log, 0, c"%V".as_ptr(), &raw const message);
        }
    }
}

/// The same, to the log of a request, with what nginx adds to say which.
pub fn log_request(r: &ngx_http_request_t, level: u32, message: &str) {
    // SAFETY: a request has a connection, and that a log.
    write_log(unsafe { (*r.connection).log }, level, message);
}

const _: () = assert!(mem::align_of::<ngx_str_t>() == NGX_ALIGNMENT);
