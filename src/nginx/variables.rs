//! The `$lobechat_canary_…` variables: each reads the decision, and has it taken if nothing has before.
//! `$lobechat_canary_served` also reads what became of the request, so its value may change; who sent the request is found
//! when asked for where a decision did not depend on it.

use nginx_sys::*;

use super::conf::PolicyConf;
use super::ext::{ngx_str, pool_copy};
use super::guard::guard;
use super::record::{Decided, Sender, decision};
use super::upstream::answering;
use crate::identity::Outcome;

/// A value that lives in the configuration, or was just made for a request.
enum Value<'a> {
    Kept(&'a [u8]),
    Made(String),
}

type Read = for<'a> fn(&'a PolicyConf, &'a Decided) -> Option<Value<'a>>;

const VARIABLES: [(&str, Read); 6] = [
    ("lobechat_canary_release", |conf, decided| {
        Some(Value::Kept(conf.policy.releases[decided.release].name.as_bytes()))
    }),
    ("lobechat_canary_version", |conf, decided| {
        conf.policy.releases[decided.line].version.as_deref().map(|version| Value::Kept(version.as_bytes()))
    }),
    ("lobechat_canary_upstream", |conf, decided| {
        Some(Value::Kept(&conf.policy.releases[decided.line].upstream))
    }),
    ("lobechat_canary_reason", |_, decided| Some(Value::Kept(decided.reason.name().as_bytes()))),
    ("lobechat_canary_rule", |conf, decided| {
        decided.reason.route().map(|index| Value::Kept(&conf.policy.routes[index].text))
    }),
    ("lobechat_canary_epoch", |_, decided| Some(Value::Made(decided.epoch.to_string()))),
];

/// Those that depend on more than the decision.
const OTHERS: [(&str, Get); 4] = [
    ("lobechat_canary_served", get_served),
    ("lobechat_canary_bucket", get_bucket),
    ("lobechat_canary_user", get_user),
    ("lobechat_canary_identity", get_identity),
];

type Get = extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_variable_value_t, usize) -> ngx_int_t;

/// Registers the variables. They are not cacheable: a cacheable one that is read at server level, before
/// a policy is in force, would stay empty. `None`: nginx has logged why not.
pub fn register(cf: &mut ngx_conf_t) -> Option<()> {
    for (index, (name, _)) in VARIABLES.iter().enumerate() {
        let mut name = ngx_str(name.as_bytes());
        // SAFETY: nginx copies the name.
        let variable = unsafe {
            ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t).as_mut()
        }?;
        variable.get_handler = Some(get);
        variable.data = index;
    }
    for (name, get) in OTHERS {
        let mut name = ngx_str(name.as_bytes());
        // SAFETY: nginx copies the name.
        unsafe {
            ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t).as_mut()
        }?
        .get_handler = Some(get);
    }
    Some(())
}

/// Registers the variable of a claim, by its index in [`MainConf::claim_variables`]. False: nginx has logged why not.
pub fn register_claim(cf: &mut ngx_conf_t, name: &[u8], index: usize) -> bool {
    let mut name = ngx_str(name);
    // SAFETY: nginx copies the name.
    let variable =
        unsafe { ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t).as_mut() };
    if let Some(variable) = variable {
        variable.get_handler = Some(get_claim);
        variable.data = index;
        return true;
    }
    false
}

extern "C" fn get(r: *mut ngx_http_request_t, v: *mut ngx_http_variable_value_t, data: usize) -> ngx_int_t {
    answer(r, v, |conf, decided| VARIABLES[data].1(conf, decided))
}

extern "C" fn get_claim(
    r: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    answer(r, v, |conf, decided| {
        let index = conf.policy.claim_variables.iter().position(|(variable, _)| variable.0 == data)?;
        let sender = asked(r, conf, decided);
        let claim = sender.claim(index);
        (!claim.is_empty()).then_some(Value::Kept(claim))
    })
}

extern "C" fn get_served(
    r: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    _: usize,
) -> ngx_int_t {
    let result = answer(r, v, |conf, decided| {
        // SAFETY: nginx passes a live request, which has a main request.
        let release = conf.release_of(answering(unsafe { &*(*r).main }, decided));
        Some(Value::Kept(conf.policy.releases[release].name.as_bytes()))
    });
    // SAFETY: nginx passes the value to fill. A log takes a valid one as it is, though a script has read it before the
    // release was asked.
    unsafe { (*v).set_valid(0) };
    result
}

extern "C" fn get_bucket(
    r: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    _: usize,
) -> ngx_int_t {
    answer(r, v, |conf, decided| asked(r, conf, decided).bucket.map(|bucket| Value::Made(bucket.to_string())))
}

extern "C" fn get_user(r: *mut ngx_http_request_t, v: *mut ngx_http_variable_value_t, _: usize) -> ngx_int_t {
    answer(r, v, |conf, decided| {
        let id = asked(r, conf, decided).id();
        (!id.is_empty()).then(|| Value::Made(format!("{:016x}", conf.policy.salt.pseudonym(id))))
    })
}

extern "C" fn get_identity(
    r: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    _: usize,
) -> ngx_int_t {
    answer(r, v, |conf, decided| {
        asked(r, conf, decided).identity.map(|Outcome { kind, failure }| match failure {
            None => Value::Kept(kind.name().as_bytes()),
            Some(failure) => Value::Made(format!("{}:{}", kind.name(), failure.name())),
        })
    })
}

/// Who sent the request, also where the decision has not asked.
fn asked<'a>(r: *mut ngx_http_request_t, conf: &PolicyConf, decided: &'a Decided) -> &'a Sender {
    // SAFETY: nginx passes a live request, which has a main request.
    unsafe { decided.sender.ask((*r).main, conf) }
}

fn answer<'a>(
    r: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    read: impl Fn(&'a PolicyConf, &'a Decided) -> Option<Value<'a>>,
) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes a live request and the value to fill, which is no part of it.
        let (r, v) = unsafe { (&*r, &mut *v) };
        v.set_not_found(1);
        let decision = decision(r).filter(|(_, decided)| !decided.sender.is_being_asked());
        let Some(value) = decision.and_then(|(conf, decided)| read(conf, decided)) else {
            return NGX_OK as ngx_int_t;
        };
        let text = match &value {
            Value::Kept(text) => ngx_str(text),
            Value::Made(text) => match pool_copy(r.pool, text.as_bytes()) {
                Some(text) => text,
                None => return NGX_ERROR as ngx_int_t,
            },
        };
        v.set_not_found(0);
        v.set_valid(1);
        v.set_no_cacheable(0);
        v.set_len(text.len as u32);
        v.data = text.data;
        NGX_OK as ngx_int_t
    })
}
