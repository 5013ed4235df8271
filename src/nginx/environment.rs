//! What a policy borrows from nginx while it is read: regular expressions, variables and files.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use nginx_sys::*;

use super::conf::MainConf;
use super::ext::{ConfExt, NO_MEMORY, bytes, ngx_str};
use super::key_files::{self, Stamp};
use super::shim::{canary_regex_compile, canary_regex_exec};
use super::{context_index, variables};
use crate::config::{ConfigError, Environment, KeyFile, Pattern, Place, VariableId, quote};

pub struct NginxEnvironment<'a> {
    pub cf: &'a mut ngx_conf_t,
    /// The states of the key files that were read, by path.
    pub stamps: &'a mut Vec<(String, Stamp)>,
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
        let name = self.cf.full_name(path)?;
        std::fs::read(&name).map_err(|error| format!("cannot read file \"{name}\": {error}"))
    }

    fn read_key(&mut self, path: &[u8]) -> Result<(KeyFile, Vec<u8>), String> {
        let path = self.cf.full_name(path)?;
        let (text, stamp, mode) =
            key_files::read(&path).map_err(|error| format!("cannot read key file \"{path}\": {error}"))?;
        self.stamps.push((path.clone(), stamp));
        Ok((KeyFile { path, open: mode & 0o004 != 0, place: self.cf.place() }, text))
    }

    fn environment_variable(&mut self, name: &[u8]) -> Result<Vec<u8>, String> {
        if name.is_empty() || name.contains(&b'=') {
            return Err(format!("invalid name {} after \"env:\"", quote(name)));
        }
        let value = std::env::var_os(OsStr::from_bytes(name)).ok_or_else(|| {
            format!(
                "environment variable {} is not set where nginx starts: set it there (for systemd: \"Environment=\" or \"EnvironmentFile=\"), or write \"secret=file\"",
                quote(name)
            )
        })?;
        self.keep_in_environment(name).ok_or(NO_MEMORY)?;
        Ok(value.into_vec())
    }

    fn random_key(&mut self) -> Result<[u8; 32], String> {
        // Stays the same over reloads, which read the configuration in the same process.
        static KEY: OnceLock<[u8; 32]> = OnceLock::new();
        if let Some(key) = KEY.get() {
            return Ok(*key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| format!("no random number for a key: {error}"))?;
        Ok(*KEY.get_or_init(|| key))
    }

    fn claim_variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
        let main: &mut MainConf = self.cf.http_main_conf(context_index());
        let name = name.to_ascii_lowercase().into_boxed_slice();
        if let Some(index) = main.claim_variables.iter().position(|known| *known == name) {
            return Ok(VariableId(index));
        }
        let index = main.claim_variables.len();
        // nginx would say so as well, in a line of its own.
        if is_variable(self.cf, &name) || !variables::register_claim(self.cf, &name, index) {
            return Err(format!(
                "variable \"${}\" exists already: choose another name",
                String::from_utf8_lossy(&name)
            ));
        }
        main.claim_variables.push(name);
        Ok(VariableId(index))
    }

    fn warn(&mut self, message: &str) {
        self.cf.warn_at(&ConfigError::from(message.to_owned()));
    }
}

impl NginxEnvironment<'_> {
    /// As nginx's own `env NAME;` does: without it workers, and the binary after an upgrade, would not have it.
    fn keep_in_environment(&mut self, name: &[u8]) -> Option<()> {
        let copy = self.cf.copy(name)?;
        // SAFETY: the core module has made its configuration, whose `env` is an array of ngx_str_t; the copy lives as
        // long as it and ends with a zero byte, which nginx looks for.
        unsafe {
            let core = *(*self.cf.cycle).conf_ctx.add(ngx_core_module.index).cast::<*mut ngx_core_conf_t>();
            let place = ngx_array_push(&raw mut (*core).env).cast::<ngx_str_t>();
            place.as_mut().map(|place| *place = copy)
        }
    }
}

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
    for (name, place) in variables {
        if !is_variable(cf, name) && !is_prefixed_variable(cf, name) {
            let message = format!("unknown variable \"${}\"", String::from_utf8_lossy(name));
            return Err(ConfigError::at(place, message));
        }
    }
    Ok(())
}

/// Whether a variable of this name, in lower case, has been declared so far.
fn is_variable(cf: &ngx_conf_t, name: &[u8]) -> bool {
    // SAFETY: the array is built by ngx_http_add_variable, with these elements, whose names live as long as the
    // configuration.
    unsafe {
        let keys = &(*core_conf(cf).variables_keys).keys;
        let keys = core::slice::from_raw_parts(keys.elts.cast::<ngx_hash_key_t>(), keys.nelts);
        keys.iter().any(|key| bytes(key.key) == name)
    }
}

/// Whether it is one of a family, such as `$http_…`.
fn is_prefixed_variable(cf: &ngx_conf_t, name: &[u8]) -> bool {
    // SAFETY: as in is_variable.
    unsafe {
        let prefixes = &core_conf(cf).prefix_variables;
        let prefixes =
            core::slice::from_raw_parts(prefixes.elts.cast::<ngx_http_variable_t>(), prefixes.nelts);
        prefixes.iter().any(|prefix| name.starts_with(bytes(prefix.name)))
    }
}

fn core_conf<'a>(cf: &ngx_conf_t) -> &'a ngx_http_core_main_conf_t {
    // SAFETY: the core module's context index is fixed by now.
    cf.http_main_conf(unsafe { ngx_http_core_module.ctx_index })
}
