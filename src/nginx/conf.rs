//! What the module keeps in nginx's configuration: the policies, and for each level which one is in force.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use nginx_sys::*;

use super::context_index;
use super::ext::bytes;
use super::key_files::Watched;
use super::shared::Shared;
use super::zone::{ZoneConf, slot_name};
use crate::api::Access;
use crate::config::{Place, VariableId};
use crate::control::State;
use crate::generation::Generation;
use crate::policy::Policy;

/// The policies of one configuration, and the upstream name by which locations pass to them.
pub struct MainConf {
    /// In the configuration's pool, as levels and requests keep their addresses.
    policies: Vec<*const PolicyConf>,
    /// The upstream `lobechat_canary`.
    pub upstream: *mut ngx_http_upstream_srv_conf_t,
    /// Variables that policies read, with the place that names them: nginx looks them up at the very end.
    pub variables: Vec<(Box<[u8]>, Place)>,
    /// The variables that `claim` lines declare, whatever the policy.
    pub claim_variables: Vec<Box<[u8]>>,
    /// The variable `$remote_user`, where there is an API.
    pub remote_user: Option<VariableId>,
    /// `None`: there are no policies.
    pub zone: Option<ZoneConf>,
    /// The policies that pin pages, with the servers where locations pass to them.
    pub pinning: Vec<(*const ngx_http_core_srv_conf_t, *const PolicyConf)>,
}

impl Default for MainConf {
    fn default() -> Self {
        MainConf {
            policies: Vec::new(),
            upstream: ptr::null_mut(),
            variables: Vec::new(),
            claim_variables: Vec::new(),
            remote_user: None,
            zone: None,
            pinning: Vec::new(),
        }
    }
}

impl MainConf {
    pub fn add(&mut self, policy: *const PolicyConf) {
        self.policies.push(policy);
    }

    pub fn policies(&self) -> impl Iterator<Item = &PolicyConf> {
        // SAFETY: policies live as long as the configuration, as this does.
        self.policies.iter().map(|&policy| unsafe { &*policy })
    }

    /// The names of the slots that the policies need, and the generations of all releases.
    pub fn slots_wanted(&self) -> (Vec<u64>, Vec<Generation>) {
        let names = self.policies().map(|conf| slot_name(&conf.policy.name)).collect();
        (names, self.policies().flat_map(|conf| conf.policy.generations()).collect())
    }

    pub fn find(&self, name: &[u8]) -> Option<&PolicyConf> {
        self.policies().find(|conf| conf.policy.name.as_bytes() == name)
    }
}

/// A policy with nginx's side of it.
pub struct PolicyConf {
    pub policy: Policy,
    pub place: Place,
    /// The upstream of each release, in the order of `policy.releases`.
    pub upstreams: Vec<*mut ngx_http_upstream_srv_conf_t>,
    /// The `Server-Timing` value of each release.
    pub server_timings: Vec<String>,
    /// Whether answers may get header lines of ours.
    pub adds_headers: bool,
    pub watched: Vec<Watched>,
    pub shared: Shared,
    /// Whether a server or location has it in force.
    pub used: Cell<bool>,
}

impl PolicyConf {
    /// The line of the file that the name of a release stands for now.
    #[inline]
    pub fn line_of(&self, release: usize) -> usize {
        self.shared.in_force().line_of(release)
    }

    /// The release whose name stands for a line of the file now.
    pub fn release_of(&self, line: usize) -> usize {
        self.shared.in_force().release_of(line)
    }

    /// The release that may take over from the decided one now, and its place in the list of those: as [`Fallback::next`]
    /// has it. One that is down may still have files, while it answers.
    #[inline]
    pub fn next(&self, is_asset: bool, place: usize, decided: usize) -> Option<(usize, usize)> {
        let in_force = self.shared.in_force();
        self.policy.fallback.next(is_asset, place, decided, |release| match in_force.roles.get(release) {
            Some(role) if role.state == State::Down => is_asset && self.seems_alive(role.line),
            role => role.is_some(),
        })
    }

    #[cold]
    fn seems_alive(&self, line: usize) -> bool {
        let slot = self.shared.generation(line);
        slot.is_some_and(|slot| slot.connect_failures.load(Relaxed) == 0)
    }
}

/// What one level (http, server, location) says.
#[derive(Default)]
pub struct LevelConf {
    /// The policies declared right here.
    pub declared: Vec<*const PolicyConf>,
    /// `lobechat_canary_use`, and where it stands.
    pub used: Option<(Use, Place)>,
    pub in_force: InForce,
    /// `lobechat_canary_api`, right here.
    pub api: Option<Access>,
    /// What this worker has said of the location's pages and of its cache's key.
    pub told_private: Cell<bool>,
    pub knows_key: Cell<bool>,
}

pub enum Use {
    Off,
    Policy(String),
}

/// Which policy decides the requests of a level.
#[derive(Clone, Copy, Default)]
pub enum InForce {
    /// Nothing said here, so far: the level above decides.
    #[default]
    Inherited,
    Off,
    Policy(*const PolicyConf),
}

impl InForce {
    pub fn policy<'a>(self) -> Option<&'a PolicyConf> {
        match self {
            // SAFETY: policies live as long as their cycle's configuration, hence as its requests.
            InForce::Policy(conf) => Some(unsafe { &*conf }),
            InForce::Inherited | InForce::Off => None,
        }
    }
}

/// What the location that a request is in says.
pub fn level_of<'a>(r: &ngx_http_request_t) -> &'a LevelConf {
    // SAFETY: loc_conf has a slot for every HTTP module, ours filled by create_loc_conf.
    unsafe { &*(*r.loc_conf.add(context_index())).cast::<LevelConf>() }
}

/// The policy in force at the location that a request is in.
pub fn policy_of<'a>(r: &ngx_http_request_t) -> Option<&'a PolicyConf> {
    level_of(r).in_force.policy()
}

/// The main configuration a request was accepted under.
pub fn main_conf_of<'a>(r: &ngx_http_request_t) -> &'a MainConf {
    // SAFETY: main_conf has a slot for every HTTP module, ours filled by create_main_conf.
    unsafe { &*(*r.main_conf.add(context_index())).cast() }
}

/// The host of an upstream: the name of its block, or the host of `host:port`.
pub fn host_of<'a>(upstream: *const ngx_http_upstream_srv_conf_t) -> &'a [u8] {
    // SAFETY: upstreams and their names live as long as their cycle's configuration.
    unsafe { bytes((*upstream).host) }
}

/// `None` for a configuration without an http block.
pub fn main_conf<'a>(cycle: *const ngx_cycle_t) -> Option<&'a MainConf> {
    // SAFETY: a cycle has a slot for each core module; that of http is null without its block, and has else a
    // slot for each HTTP module, which create_main_conf has filled.
    unsafe {
        let http = (*(*cycle).conf_ctx.add(ngx_http_module.index)).cast::<ngx_http_conf_ctx_t>();
        Some(&*(*http.as_ref()?.main_conf.add(context_index())).cast())
    }
}
