//! The shared zone as the API and the driver see it: policies as they stand, and changes to them.

use core::sync::atomic::Ordering::Relaxed;

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf, main_conf_of};
use super::put_in_force::is_persisted;
use super::request::{View, now};
use super::zone::{SavedTo, ZoneConf};
use crate::api::Runtime;
use crate::api::command::NotChanged;
use crate::api::view::{Evidence as EvidenceView, PolicyView};
use crate::control::{Change, Control, Refused};
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::events::{Event, Kind as EventKind};
use crate::explain::{self, ExplainQuery, Explanation};
use crate::failure::Failure;
use crate::identity::Kind;
use crate::judge::Evidence;
use crate::policy::Policy;
use crate::zone::{Zone, events};

/// What a request to the API reads and changes.
pub struct SharedRuntime<'r> {
    request: &'r ngx_http_request_t,
    main: &'r MainConf,
    conf: &'r ZoneConf,
    zone: Zone<'r>,
}

impl<'r> SharedRuntime<'r> {
    /// `None`: there is no zone of this layout.
    pub fn of(r: &'r ngx_http_request_t) -> Option<SharedRuntime<'r>> {
        let main = main_conf_of(r);
        let conf = main.zone.as_ref()?;
        Some(SharedRuntime { request: r, main, conf, zone: conf.zone()? })
    }

    /// Whether the state file has what was put in force with this epoch.
    pub fn is_persisted(&self, policy: &str, epoch: u64) -> bool {
        self.main.find(policy.as_bytes()).is_none_or(|conf| is_persisted(conf, epoch))
    }

    fn view(&self, conf: &'r PolicyConf) -> Option<PolicyView<'r>> {
        let (policy, slot) = (&conf.policy, conf.shared.policy()?);
        let control = control_of(conf)?;
        let slots: Vec<_> =
            (0..policy.releases.len()).map_while(|line| conf.shared.generation(line)).collect();
        let line = |index: usize| slots.iter().position(|slot| self.zone.index_of(slot) == Some(index));
        let fallbacks =
            slot.fallbacks().filter_map(|(from, to, count)| Some((line(from)?, line(to)?, count)));
        let stable = control.line_of(STABLE);
        let failures = Kind::ALL.into_iter().flat_map(|kind| Failure::ALL.map(|failure| (kind, failure)));
        let failures = failures.map(|(kind, failure)| (kind, failure, slot.identity_failures(kind, failure)));
        Some(PolicyView {
            in_force: control.in_force(policy),
            persisted: matches!(self.conf.saved_to, SavedTo::File(_))
                .then(|| is_persisted(conf, control.epoch)),
            counts: slots.iter().map(|slot| slot.counts()).collect(),
            fallbacks: fallbacks.collect(),
            evidence: (0..slots.len())
                .map(|line| evidence(policy, &slots[line].evidence.load()).filter(|_| line != stable))
                .collect(),
            judged: slots.iter().map(|slot| slot.judged_in_step()).collect(),
            identity_failures: failures.filter(|(.., count)| *count > 0).collect(),
            now: now(),
            policy,
            control,
        })
    }
}

/// What is in force, if it belongs to the file of this worker.
pub fn control_of(conf: &PolicyConf) -> Option<Control> {
    let (_, text) = conf.shared.policy()?.control()?;
    let control = Control::from_bytes(&text).ok()?;
    let lines = control.declared().iter().map(|standing| standing.generation);
    lines.eq(conf.policy.generations()).then_some(control)
}

fn evidence(policy: &Policy, words: &[u64; Evidence::WORDS]) -> Option<EvidenceView> {
    let rollback = policy.rollback.as_ref()?;
    let evidence = Evidence::from_words(words)?;
    Some(EvidenceView {
        total: evidence.total(),
        fail: evidence.fail.e(),
        p50: evidence.p50.e(),
        p90: evidence.p90.e(),
        threshold: rollback.evidence_needed(policy.releases.len()),
        blocks: evidence.blocks,
    })
}

/// Changes the control of a policy, and puts it in force if that has changed anything.
pub fn change(
    conf: &ZoneConf,
    policy: &PolicyConf,
    apply: &mut dyn FnMut(&Policy, &mut Control) -> Result<Change, Refused>,
) -> Result<(), NotChanged> {
    let failed = |why: &str| NotChanged::Failed(why.to_owned());
    let zone = conf.zone().ok_or_else(|| failed("the shared zone is not there"))?;
    let change = conf.locked(|| {
        let old = || failed("this worker still has the configuration before the last reload: ask again");
        let mut control = control_of(policy).ok_or_else(old)?;
        let change = apply(&policy.policy, &mut control).map_err(NotChanged::Refused)?;
        if change.events.is_empty() {
            return Ok(change);
        }
        let slot = policy.shared.policy().ok_or_else(old)?;
        zone.publish(slot, &control).map_err(NotChanged::Failed)?;
        if let Some(slot) = change.cleared.and_then(|generation| zone.generation(generation)) {
            slot.forget(control.epoch);
        }
        if let Some(slot) = change.rolled_back.and_then(|generation| zone.generation(generation)) {
            slot.rollbacks.fetch_add(1, Relaxed);
        }
        if let Some(slot) = change.step_began.and_then(|generation| zone.generation(generation)) {
            slot.begin_step();
        }
        change.events.iter().for_each(|event| keep(&zone, event));
        Ok(change)
    })?;
    change.events.iter().for_each(|event| log(conf, event));
    Ok(())
}

/// Under the lock.
pub fn keep(zone: &Zone<'_>, event: &Event) {
    zone.add_event(|seq| Event { seq, ..event.clone() }.to_json(events::LONGEST).unwrap_or_default());
}

fn log(conf: &ZoneConf, event: &Event) {
    let level = match event.kind {
        EventKind::Rollback | EventKind::Verdict => NGX_LOG_ERR,
        _ => NGX_LOG_NOTICE,
    };
    let reason = event.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    conf.log(level, &format!("policy \"{}\": {}, by {}{reason}", event.policy, event.text, event.by));
}

impl Runtime for SharedRuntime<'_> {
    fn policies(&self) -> Vec<PolicyView<'_>> {
        self.main.policies().filter_map(|conf| self.view(conf)).collect()
    }

    fn policy(&self, name: &str) -> Option<PolicyView<'_>> {
        self.view(self.main.find(name.as_bytes())?)
    }

    fn change(
        &mut self,
        policy: &str,
        apply: &mut dyn FnMut(&Policy, &mut Control) -> Result<Change, Refused>,
    ) -> Result<(), NotChanged> {
        let unknown = || NotChanged::Refused(Refused::Unknown(format!("unknown policy \"{policy}\"")));
        change(self.conf, self.main.find(policy.as_bytes()).ok_or_else(unknown)?, apply)
    }

    fn events(&self, after: u64) -> (Vec<Event>, u64) {
        self.conf.locked(|| {
            let events = self.zone.events_after(after).into_iter();
            let events = events.filter_map(|(_, text)| Event::from_json(&text)).collect();
            (events, self.zone.header.last_event.load(Relaxed))
        })
    }

    fn explain(&self, policy: &str, query: &ExplainQuery) -> Option<Explanation> {
        let conf = self.main.find(policy.as_bytes())?;
        // A copy: a variable that is read may have the policy decide, and look for changes.
        let in_force = conf.shared.refreshed(&conf.policy).clone();
        // SAFETY: the main request outlives the view.
        explain::explain(&conf.policy, &in_force, query, &unsafe { View::new(self.request.main) })
    }

    fn now(&self) -> Seconds {
        now()
    }
}
