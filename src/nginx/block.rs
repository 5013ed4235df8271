//! The `lobechat_canary` block: hands its directives to the policy builder, and asks nginx for the upstreams
//! that its releases name.

use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::*;

use super::conf::{LevelConf, MainConf, PolicyConf};
use super::environment::NginxEnvironment;
use super::ext::{ConfExt, bytes};
use super::guard::guard;
use super::key_files::{Stamp, Watched};
use super::shared::Shared;
use super::{NGX_CONF_ERROR, NGX_CONF_OK, context_index, upstream};
use crate::config::ConfigError;
use crate::policy::PolicyBuilder;

/// A block while it is being read.
struct Block {
    builder: PolicyBuilder,
    upstreams: Vec<*mut ngx_http_upstream_srv_conf_t>,
    /// The states of the key files that were read, by path.
    stamps: Vec<(String, Stamp)>,
}

/// Handles `lobechat_canary [name] { … }`.
pub extern "C" fn directive(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes the configuration that it is reading, and this level's LevelConf.
        let (cf, level) = unsafe { (&mut *cf, &mut *conf.cast::<LevelConf>()) };
        match read(cf) {
            Ok(Some(policy)) => {
                level.declared.push(policy);
                NGX_CONF_OK
            }
            // nginx has logged an error of its own.
            Ok(None) => NGX_CONF_ERROR,
            Err(error) => {
                cf.emerg_at(&error);
                NGX_CONF_ERROR
            }
        }
    })
}

fn read(cf: &mut ngx_conf_t) -> Result<Option<*const PolicyConf>, ConfigError> {
    let main: &MainConf = cf.http_main_conf(context_index());
    // SAFETY: the words live while the directive is handled.
    let name = cf.words().get(1).map_or(&b"default"[..], |&name| unsafe { bytes(name) });
    let place = cf.place();
    let builder = PolicyBuilder::new(name, place.clone())?;
    if let Some(other) = main.find(name) {
        let name = String::from_utf8_lossy(name);
        return Err(ConfigError::from(format!(
            "duplicate policy \"{name}\", it stands already in {}:{}: declare it once at http level, then write \"lobechat_canary_use {name};\"",
            other.place.file, other.place.line
        )));
    }
    let mut block = Block { builder, upstreams: Vec::new(), stamps: Vec::new() };
    if !read_lines(cf, &mut block) {
        return Ok(None);
    }
    let policy = block.builder.finish(&mut NginxEnvironment { cf, stamps: &mut block.stamps })?;
    let watched = policy.key_files.iter().filter_map(|(file, user)| {
        let (_, stamp) = block.stamps.iter().find(|(path, _)| *path == file.path)?;
        Some(Watched::new(file.clone(), *user, *stamp))
    });
    let conf = cf.allocate(PolicyConf {
        watched: watched.collect(),
        server_timings: policy.releases.iter().map(|r| format!("release;desc=\"{}\"", r.label())).collect(),
        upstreams: block.upstreams,
        adds_headers: policy.expose
            || policy.users.has_visitors()
            || policy.users.keep().is_some()
            || policy.remember.is_some()
            || policy.pin.is_some(),
        used: Cell::new(false),
        shared: Shared::new(&policy),
        policy,
        place,
    });
    if conf.is_null() {
        return Err(ConfigError::from("out of memory".to_owned()));
    }
    cf.http_main_conf::<MainConf>(context_index()).add(conf);
    Ok(Some(conf))
}

/// Lets nginx read the lines of the block, as the core does for `types { … }`. False: an error was logged.
fn read_lines(cf: &mut ngx_conf_t, block: &mut Block) -> bool {
    let (handler, handler_conf) = (cf.handler, cf.handler_conf);
    cf.handler = Some(line);
    cf.handler_conf = ptr::from_mut(block).cast();
    // SAFETY: nginx calls `line` with `block` until the block ends, and not after that.
    let result = unsafe { ngx_conf_parse(cf, ptr::null_mut()) };
    cf.handler = handler;
    cf.handler_conf = handler_conf;
    result == NGX_CONF_OK
}

extern "C" fn line(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes the configuration that it is reading, and what read_lines set.
        let (cf, block) = unsafe { (&mut *cf, &mut *conf.cast::<Block>()) };
        // SAFETY: the words live while the line is handled.
        let words: Vec<&[u8]> = cf.words().iter().map(|&word| unsafe { bytes(word) }).collect();
        if let [b"include", _] = words[..] {
            // SAFETY: nginx's own handler; it reads the file with the handler that is set, hence with us.
            return unsafe { ngx_conf_include(cf, command, conf) };
        }
        let place = cf.place();
        let result =
            block.builder.directive(&words, &place, &mut NginxEnvironment { cf, stamps: &mut block.stamps });
        if let Err(message) = result {
            cf.emerg(&message);
            return NGX_CONF_ERROR;
        }
        if words[0] != b"release" {
            return NGX_CONF_OK;
        }
        match add_upstream(cf, block) {
            Ok(true) => NGX_CONF_OK,
            Ok(false) => NGX_CONF_ERROR,
            Err(message) => {
                cf.emerg(&message);
                NGX_CONF_ERROR
            }
        }
    })
}

fn add_upstream(cf: &mut ngx_conf_t, block: &mut Block) -> Result<bool, String> {
    let Some(release) = block.builder.last_release() else {
        return Ok(true);
    };
    let Some(upstream) = upstream::of_release(cf, &release.upstream, &release.name)? else {
        return Ok(false);
    };
    block.upstreams.push(upstream);
    Ok(true)
}
