//! The driver: one worker at a time, by a lease in the zone, judges releases, moves ramps on and saves the state. What all
//! workers do is to look whether it is their turn.

use core::cell::RefCell;

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf, main_conf};
use super::request::now;
use super::runtime::{change, control_of, keep};
use super::saving::Saving;
use super::zone::ZoneConf;
use crate::control::Control;
use crate::court::{Bench, Court, Sentence};
use crate::duration::Seconds;
use crate::events::{Event, Kind};
use crate::judge::Evidence;
use crate::rollback::Rollback;

/// What the driving worker remembers; the rest is in the zone.
#[derive(Default)]
struct Driver {
    /// In the order of the policies of the file.
    courts: Vec<Court>,
    sat: Seconds,
}

/// Seconds after which what a driver has gathered is too old.
const ADJOURNED: Seconds = 3;

thread_local! {
    // A worker has one thread that serves.
    static DRIVER: RefCell<Driver> = RefCell::default();
    static SAVING: Saving = Saving::default();
}

/// Called as a process begins. Whether there is something to drive.
pub fn start(cycle: *mut ngx_cycle_t) -> bool {
    with_zone(cycle).is_some()
}

fn with_zone<'a>(cycle: *const ngx_cycle_t) -> Option<(&'a MainConf, &'a ZoneConf)> {
    let main = main_conf(cycle)?;
    Some((main, main.zone.as_ref()?))
}

pub fn tick() {
    // SAFETY: ngx_cycle is the cycle that this process serves; the others are set by nginx in this process.
    let (cycle, pid, is_leaving) =
        unsafe { (ngx_cycle, pid(), ngx_exiting != 0 || ngx_quit != 0 || ngx_terminate != 0) };
    let Some((main, conf)) = with_zone(cycle) else {
        return;
    };
    let Some(zone) = conf.zone() else {
        return;
    };
    if is_leaving {
        zone.header.lease.give_up(pid);
        return;
    }
    if !zone.header.lease.take(pid, milliseconds()) {
        return;
    }
    DRIVER.with_borrow_mut(|driver| driver.drive(main, conf));
    SAVING.with(|saving| saving.save(main, conf, &zone));
}

/// Called as a process ends.
pub fn end(cycle: *mut ngx_cycle_t) {
    let Some((main, conf)) = with_zone(cycle) else {
        return;
    };
    // After a reload somebody else has the lease by now. As nginx ends nobody has: each worker that leaves saves, the
    // last one all of it.
    if let Some(zone) = conf.zone()
        && zone.header.lease.take(pid(), milliseconds())
    {
        SAVING.with(|saving| saving.save_now(main, conf, &zone));
        zone.header.lease.give_up(pid());
    }
}

fn pid() -> u32 {
    // SAFETY: set as the process begins.
    u32::try_from(unsafe { ngx_pid }).unwrap_or_default()
}

/// Since 1970-01-01 UTC.
fn milliseconds() -> u64 {
    // SAFETY: nginx keeps what the pointer points to valid.
    let time = unsafe { &*ngx_cached_time };
    u64::try_from(time.sec).unwrap_or_default() * 1000 + time.msec as u64
}

impl Driver {
    /// Once in each second.
    fn drive(&mut self, main: &MainConf, conf: &ZoneConf) {
        let now = now();
        if now == self.sat {
            return;
        }
        // Another worker has driven meanwhile, or the clock was set: what is open here compares times far apart.
        if now < self.sat || now > self.sat + ADJOURNED {
            self.courts.iter_mut().for_each(Court::adjourn);
        }
        self.sat = now;
        for (index, policy) in main.policies().enumerate() {
            if self.courts.len() <= index {
                self.courts.push(Court::default());
            }
            if policy.policy.is_judged() {
                hold_court(&mut self.courts[index], conf, policy, now);
            }
        }
    }
}

fn hold_court(court: &mut Court, conf: &ZoneConf, policy: &PolicyConf, now: Seconds) {
    let Some(control) = control_of(policy) else {
        return; // a newer configuration has its own workers
    };
    let generations =
        (0..policy.policy.releases.len()).map_while(|line| policy.shared.generation(line)).collect();
    let Some(slot) = policy.shared.policy() else {
        return;
    };
    let bench = Bench { policy: slot, generations };
    let default = Rollback::default();
    let rollback = policy.policy.rollback.as_ref();
    let sentences = court.sit(&policy.policy, rollback.unwrap_or(&default), &control, &bench, now);
    if rollback.is_some() {
        sentences.iter().for_each(|sentence| pronounce(conf, policy, &control, sentence));
    }
    for ramp in &policy.policy.ramps {
        move_ramp(conf, policy, &control, ramp.release, &bench, now);
    }
}

fn pronounce(conf: &ZoneConf, policy: &PolicyConf, control: &Control, sentence: &Sentence) {
    let name = &policy.policy.releases[sentence.release].name;
    match sentence.action {
        Ok(()) => {
            let result = change(conf, policy, &mut |policy, control| {
                control.convict(policy, name, sentence.verdict.clone(), sentence.numbers.clone())
            });
            if let Err(error) = result {
                conf.log(NGX_LOG_ERR, &format!("release \"{name}\" could not be taken down: {error:?}"));
            }
        }
        Err(why) => report(conf, policy, control, sentence, why),
    }
}

/// Says what would have been done.
fn report(conf: &ZoneConf, policy: &PolicyConf, control: &Control, sentence: &Sentence, why: &str) {
    let name = &policy.policy.releases[sentence.release].name;
    let standing = control.declared().get(control.line_of(sentence.release));
    let event = Event {
        at: sentence.verdict.at,
        policy: policy.policy.name.clone(),
        release: Some(name.clone()),
        version: standing.and_then(|standing| standing.version.clone()),
        kind: Kind::Verdict,
        by: sentence.verdict.by.clone(),
        text: format!("\"{name}\" is only reported: {why}"),
        reason: Some(sentence.verdict.reason.clone()),
        numbers: Some(sentence.numbers.clone()),
        ..Event::default()
    };
    if let Some(zone) = conf.zone() {
        conf.locked(|| keep(&zone, &event));
    }
    let message = format!("policy \"{}\": {}: {}", event.policy, event.text, sentence.verdict.reason);
    conf.log(NGX_LOG_ERR, &message);
}

fn move_ramp(
    conf: &ZoneConf,
    policy: &PolicyConf,
    control: &Control,
    line: usize,
    bench: &Bench<'_>,
    now: Seconds,
) {
    let release = control.line_of(line);
    let (Some(slot), Some(name)) = (bench.generations.get(line), policy.policy.releases.get(release)) else {
        return;
    };
    let (name, judged) = (&name.name, slot.judged_in_step());
    let evidence = Evidence::from_words(&slot.evidence.load()).map_or(0.0, |evidence| evidence.total());
    // Most often there is nothing to do, which a copy can tell.
    if control.clone().ramp_tick(&policy.policy, name, judged, evidence, now).is_none() {
        return;
    }
    let _ = change(conf, policy, &mut |policy, control| {
        Ok(control.ramp_tick(policy, name, judged, evidence, now).unwrap_or_default())
    });
}
