//! `lobechat_canary_use`, and the question which policy is in force where: nginx's own inheritance from http
//! to server to location.

use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::*;

use super::conf::{InForce, LevelConf, MainConf, PolicyConf, Use};
use super::ext::{ConfExt, bytes};
use super::guard::guard;
use super::{NGX_CONF_ERROR, NGX_CONF_OK, context_index, upstream};
use crate::config::{ConfigError, Place};

/// Handles `lobechat_canary_use name|off;`.
pub extern "C" fn directive(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes the configuration that it is reading, and this level's LevelConf.
        let (cf, level) = unsafe { (&mut *cf, &mut *conf.cast::<LevelConf>()) };
        if level.used.is_some() {
            return c"is duplicate".as_ptr().cast_mut();
        }
        // SAFETY: the words live while the directive is handled.
        let name = unsafe { bytes(cf.words()[1]) };
        let used = match name {
            b"off" => Use::Off,
            _ => Use::Policy(String::from_utf8_lossy(name).into_owned()),
        };
        level.used = Some((used, cf.place()));
        NGX_CONF_OK
    })
}

/// Settles a level and the one above it, and checks that a level that passes to us has a policy.
pub fn merge(cf: &mut ngx_conf_t, prev: &mut LevelConf, conf: &mut LevelConf) -> Result<(), ConfigError> {
    let main: &MainConf = cf.http_main_conf(context_index());
    settle(main, prev)?;
    settle(main, conf)?;
    if let InForce::Inherited = conf.in_force {
        conf.in_force = prev.in_force;
    }
    let passes = || upstream::is_passed_to(cf, main.upstream);
    match conf.in_force.policy() {
        Some(policy) => {
            policy.used.set(true);
            if policy.policy.pin.is_some() && passes() {
                warn_of_two(cf, policy);
            }
        }
        None if passes() => return Err(no_policy(cf)),
        None => {}
    }
    Ok(())
}

/// Pages, files and API of one front end belong together, so one policy should decide them all.
fn warn_of_two(cf: &mut ngx_conf_t, policy: &PolicyConf) {
    let server = server_of(cf);
    let main: &mut MainConf = cf.http_main_conf(context_index());
    let known = main.pinning.iter().filter(|(known, _)| *known == server).map(|(_, other)| *other);
    let known: Vec<_> = known.collect();
    if known.contains(&ptr::from_ref(policy)) {
        return;
    }
    main.pinning.push((server, policy));
    if let Some(&other) = known.first() {
        // SAFETY: policies live as long as the configuration.
        let (name, other) = (&policy.policy.name, unsafe { &(*other).policy.name });
        let message = format!(
            "policies \"{other}\" and \"{name}\" both pin pages in one server: let one policy decide the pages, files and API of a front end, or write \"pin off;\" in the policy that has no pages"
        );
        cf.warn_at(&ConfigError::at(&policy.place, message));
    }
}

/// The server of the location that is being merged.
fn server_of(cf: &ngx_conf_t) -> *const ngx_http_core_srv_conf_t {
    // SAFETY: while nginx merges a location, ctx holds the confs of that location and of its server.
    unsafe {
        let ctx = &*cf.ctx.cast::<ngx_http_conf_ctx_t>();
        (*ctx.srv_conf.add(ngx_http_core_module.ctx_index)).cast()
    }
}

fn settle(main: &MainConf, level: &mut LevelConf) -> Result<(), ConfigError> {
    level.in_force = match (level.in_force, &level.used, level.declared.as_slice()) {
        (settled @ (InForce::Off | InForce::Policy(_)), ..) => settled,
        (_, Some((Use::Off, _)), _) => InForce::Off,
        (_, Some((Use::Policy(name), place)), _) => find(main, name, place)?,
        (_, None, []) => InForce::Inherited,
        (_, None, [policy]) => InForce::Policy(*policy),
        (_, None, [first, second, ..]) => {
            // SAFETY: policies live as long as the configuration.
            let (first, second) = unsafe { (&**first, &**second) };
            let message = format!(
                "policies \"{}\" and \"{}\" are declared at one level: say which is in force here with \"lobechat_canary_use {};\"",
                first.policy.name, second.policy.name, second.policy.name
            );
            return Err(ConfigError::at(&second.place, message));
        }
    };
    Ok(())
}

fn find(main: &MainConf, name: &str, place: &Place) -> Result<InForce, ConfigError> {
    if let Some(conf) = main.find(name.as_bytes()) {
        return Ok(InForce::Policy(conf));
    }
    let known: Vec<_> = main.policies().map(|conf| conf.policy.name.as_str()).collect();
    let hint = match known.is_empty() {
        true => format!("declare it with \"lobechat_canary {name} {{ ... }}\""),
        false => format!("the configuration has {}", known.join(", ")),
    };
    Err(ConfigError::at(
        place,
        format!("unknown policy \"{name}\" in \"lobechat_canary_use\" directive: {hint}"),
    ))
}

/// The location has no line of its own by now; its server has.
fn no_policy(cf: &mut ngx_conf_t) -> ConfigError {
    // SAFETY: while nginx merges a location, ctx holds the confs of that location and of its server.
    let (location, server) = unsafe {
        let ctx = &*cf.ctx.cast::<ngx_http_conf_ctx_t>();
        let index = ngx_http_core_module.ctx_index;
        let location = &*(*ctx.loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>();
        (bytes(location.name), &*server_of(cf))
    };
    // SAFETY: file_name is a null-terminated name in the configuration's pool.
    let file = unsafe { core::ffi::CStr::from_ptr(server.file_name.cast()) };
    let place = Place { file: file.to_string_lossy().into_owned(), line: server.line };
    let message = format!(
        "location \"{}\" passes to \"{}\", but no policy is in force there: declare a \"lobechat_canary {{ ... }}\" block there or above, or name one with \"lobechat_canary_use\"; the server of that location stands",
        String::from_utf8_lossy(location),
        upstream::NAME
    );
    ConfigError::at(&place, message)
}

/// Settles the http level, for a configuration without servers, and reports what only the whole shows.
pub fn report(cf: &mut ngx_conf_t) -> Result<(), ConfigError> {
    let main: &MainConf = cf.http_main_conf(context_index());
    // SAFETY: ctx holds the confs of the http level by now.
    settle(main, unsafe {
        &mut *(*(*cf.ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf.add(context_index())).cast()
    })?;
    for conf in main.policies().filter(|conf| !conf.used.get()) {
        let name = &conf.policy.name;
        let message = format!(
            "policy \"{name}\" is in force nowhere: name it with \"lobechat_canary_use {name};\" or remove it"
        );
        cf.warn_at(&ConfigError::at(&conf.place, message));
    }
    super::environment::check_variables(cf, &main.variables)
}
