//! The memory of a zone: laid out once, then looked at through references to its parts. Part of the glue's zone.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::{ptr, slice};

use nginx_sys::*;

use crate::zone::{EVENTS, EventSlot, GenerationSlot, Header, LAYOUT, Layout, PolicySlot, Zone};

/// Lays a zone out in what nginx's allocator has. False: it has less.
pub fn lay_out(pool: &mut ngx_slab_pool_t, layout: Layout) -> bool {
    // SAFETY: the memory comes zeroed, on a page of its own, and stays as long as the zone.
    unsafe {
        let header = ngx_slab_calloc(pool, layout.bytes()).cast::<Header>();
        let Some(header) = header.as_ref() else {
            return false;
        };
        header.policies.store(layout.policies as u64, Relaxed);
        header.generations.store(layout.generations as u64, Relaxed);
        header.layout.store(LAYOUT, Release);
        pool.data = ptr::from_ref(header).cast_mut().cast();
    }
    true
}

/// The zone in a piece of shared memory, if it is one of ours.
///
/// # Safety
/// The memory must be mapped, and stay so for `'z`.
pub unsafe fn view<'z>(shm: &ngx_shm_t) -> Option<Zone<'z>> {
    // SAFETY: nginx puts its allocator at the start of each zone. A foreign one may have anything as its data, so
    // look only at what lies inside.
    unsafe {
        let pool = shm.addr.cast::<ngx_slab_pool_t>().as_ref()?;
        let (start, at) = (shm.addr as usize, pool.data as usize);
        let inside =
            at > start && at + size_of::<Header>() <= start + shm.size && at % align_of::<Header>() == 0;
        let header: &Header = if inside { &*pool.data.cast() } else { return None };
        let counts = [&header.policies, &header.generations].map(|n| n.load(Relaxed) as usize);
        let [policies, generations] = counts;
        let ours = header.layout.load(Acquire) == LAYOUT
            && policies < shm.size
            && generations < shm.size
            && at + (Layout { policies, generations }).bytes() <= start + shm.size;
        ours.then(|| parts(header))
    }
}

/// The parts behind a header, whose layout has been checked.
pub fn parts<'z>(header: &'z Header) -> Zone<'z> {
    let count = |number: &AtomicU64| number.load(Relaxed) as usize;
    // SAFETY: the parts stand one after the other, each aligned as the sizes of those before are multiples of 64; all
    // zero is a good value for atomics.
    unsafe {
        let policies = ptr::from_ref(header).add(1).cast::<PolicySlot>();
        let policies = slice::from_raw_parts(policies, count(&header.policies));
        let generations = slice::from_raw_parts(
            policies.as_ptr_range().end.cast::<GenerationSlot>(),
            count(&header.generations),
        );
        let events = slice::from_raw_parts(generations.as_ptr_range().end.cast::<EventSlot>(), EVENTS);
        Zone { header, policies, generations, events }
    }
}

/// The zone of the configuration that is in force while another is read; null for none of this layout.
pub fn before() -> *const Header {
    // SAFETY: at start nginx has a cycle without zones; later, the one in force, whose zones are mapped.
    unsafe {
        let mut part = &raw const (*ngx_cycle).shared_memory.part;
        while let Some(zones) = part.as_ref() {
            let zones_here = match zones.nelts {
                0 => &[],
                count => slice::from_raw_parts(zones.elts.cast::<ngx_shm_zone_t>(), count),
            };
            let ours =
                zones_here.iter().filter(|zone| !zone.shm.addr.is_null()).find_map(|zone| view(&zone.shm));
            if let Some(zone) = ours {
                return zone.header;
            }
            part = zones.next;
        }
    }
    ptr::null()
}

const _: () = assert!(size_of::<Header>().is_multiple_of(64) && size_of::<PolicySlot>().is_multiple_of(64));
