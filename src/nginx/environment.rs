//! What a policy borrows from nginx while it is read: regular expressions, variables and files.

use nginx_sys::*;

use super::conf::MainConf;
use super::context_index;
use super::ext::{ConfExt, bytes, ngx_str};
use super::shim::{canary_regex_compile, canary_regex_exec};
use crate::config::{ConfigError, Environment, Pattern, Place, VariableId, quote};

pub struct NginxEnvironment<'a> {
    pub cf: &'a mut ngx_conf_t,
}

impl Environment for NginxEnvironment<'_> {
    fn regex(&mut self, pattern: &[u8], caseless: bool) -> Result<Box<dyn Pattern>, String> {
        let copy = self.cf.copy(pattern).ok_or(NO_MEMORY)?;
        let mut buffer = [0u8; NGX_MAX_CONF_ERRSTR as usize];
        let mut error = ngx_str_t { len: buffer.len(), data: buffer.as_mut_ptr() };
        // SAFETY: pattern and pool live as long as the configuration; nginx writes its sentence to `error`.
        let regex = unsafe { canary_regex_compile(self.cf.pool, copy, caseless.into(), &raw mut error) };
        if regex.is_null() {
            // SAFETY: nginx has set the length to what it wrote.
            let reason = String::from_utf8_lossy(unsafe { bytes(error) });
            return Err(format!("invalid regular expression {}: {reason}", quote(pattern)));
        }
        Ok(Box::new(Regex(regex)))
    }

    fn variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
        let mut copy = self.cf.copy(name).ok_or(NO_MEMORY)?;
        // SAFETY: nginx keeps the name, which lives as long as the configuration.
        let index = unsafe { ngx_http_get_variable_index(self.cf, &raw mut copy) };
        let index = usize::try_from(index)
            .map_err(|_| format!("invalid variable \"${}\"", String::from_utf8_lossy(name)))?;
        let main: &mut MainConf = self.cf.http_main_conf(context_index());
        main.variables.push((name.to_ascii_lowercase().into(), self.cf.place()));
        Ok(VariableId(index))
    }

    fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, String> {
        let mut name = self.cf.copy(path).ok_or(NO_MEMORY)?;
        // SAFETY: the name is null-terminated, as ngx_conf_full_name wants it.
        if unsafe { ngx_conf_full_name(self.cf.cycle, &raw mut name, 1) } != NGX_OK as ngx_int_t {
            return Err(NO_MEMORY.to_owned());
        }
        // SAFETY: ngx_conf_full_name leaves a name in the configuration's pool.
        let name = String::from_utf8_lossy(unsafe { bytes(name) }).into_owned();
        std::fs::read(&name).map_err(|error| format!("cannot read file \"{name}\": {error}"))
    }
}

const NO_MEMORY: &str = "out of memory";

/// A regular expression of nginx's. Matching leaves the captures of requests alone.
#[derive(Debug)]
struct Regex(*mut core::ffi::c_void);

impl Pattern for Regex {
    fn is_match(&self, text: &[u8]) -> Option<bool> {
        let mut text = ngx_str(text);
        // SAFETY: the regex lives as long as the configuration; nginx only reads the text.
        match unsafe { canary_regex_exec(self.0, &raw mut text) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// nginx itself reports an unknown variable without a line, after the modules are done; so look first.
pub fn check_variables(cf: &ngx_conf_t, variables: &[(Box<[u8]>, Place)]) -> Result<(), ConfigError> {
    // SAFETY: the core module's context index is fixed by now.
    let core = unsafe { ngx_http_core_module.ctx_index };
    let core: &ngx_http_core_main_conf_t = cf.http_main_conf(core);
    // SAFETY: both arrays are built by ngx_http_add_variable, with these elements.
    let (keys, prefixes) = unsafe {
        let keys = &(*core.variables_keys).keys;
        (
            core::slice::from_raw_parts(keys.elts.cast::<ngx_hash_key_t>(), keys.nelts),
            core::slice::from_raw_parts(
                core.prefix_variables.elts.cast::<ngx_http_variable_t>(),
                core.prefix_variables.nelts,
            ),
        )
    };
    for (name, place) in variables {
        // SAFETY: names of variables live as long as the configuration.
        let known = keys.iter().any(|key| unsafe { bytes(key.key) } == &**name)
            || prefixes.iter().any(|prefix| name.starts_with(unsafe { bytes(prefix.name) }));
        if !known {
            let message = format!("unknown variable \"${}\"", String::from_utf8_lossy(name));
            return Err(ConfigError::at(place, message));
        }
    }
    Ok(())
}
