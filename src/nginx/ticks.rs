//! What workers do by themselves, twice a second: look at key files, and drive policies. nginx calls in as processes begin
//! and end.

use nginx_sys::*;

use super::guard::guard;
use super::shim::canary_every;
use super::{driver, key_files, put_in_force};

/// Milliseconds between two ticks. A verdict is to follow the evidence within a second.
const INTERVAL: ngx_msec_t = 500;

/// Called in the master, and by `nginx -t`, once the configuration is complete.
pub extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard((), || key_files::warn(cycle));
    // What cannot be put in force leaves what the file says, which is as good.
    guard((), || put_in_force::run(cycle));
    NGX_OK as ngx_int_t
}

/// Called in each process that serves requests, once it has its rights.
pub extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        // SAFETY: set before a process begins its work. Those that tend caches serve no requests.
        if unsafe { ngx_process } == NGX_PROCESS_HELPER as ngx_uint_t {
            return NGX_OK as ngx_int_t;
        }
        let is_watching = key_files::start(cycle);
        if driver::start(cycle) || is_watching {
            // SAFETY: nginx has set up its events by now; `tick` is there as long as the module.
            unsafe { canary_every(INTERVAL, Some(tick)) };
        }
        NGX_OK as ngx_int_t
    })
}

extern "C" fn tick() {
    // One that panics must not keep the other from its work.
    guard((), key_files::tick);
    guard((), driver::tick);
}

/// Called as a process that served requests ends.
pub extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    guard((), || driver::end(cycle));
}
