//! nginx's request as the decision core sees it.

use nginx_sys::*;

use super::ext::bytes;
use crate::config::VariableId;
use crate::inputs::Request;

/// The main request of a client, for as long as a decision or a filter looks at it.
pub struct View<'r> {
    main: *mut ngx_http_request_t,
    lifetime: core::marker::PhantomData<&'r ngx_http_request_t>,
}

impl View<'_> {
    /// # Safety
    /// `main` must be a main request that outlives the view.
    pub unsafe fn new(main: *mut ngx_http_request_t) -> Self {
        View { main, lifetime: core::marker::PhantomData }
    }

    pub fn is_get(&self) -> bool {
        // SAFETY: the request outlives the view.
        unsafe { (*self.main).method == NGX_HTTP_GET as ngx_uint_t }
    }
}

impl Request for View<'_> {
    fn for_each_header<'r>(&'r self, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        // SAFETY: header lines live in the request's pool and buffers.
        for line in unsafe { lines(&raw const (*self.main).headers_in.headers) } {
            // SAFETY: as above.
            unsafe { visit(bytes((*line).key), bytes((*line).value)) };
        }
    }

    fn query(&self) -> &[u8] {
        // The request line as the client sent it: rewrites change `uri` and `args`, but not this.
        // SAFETY: it lives in the request's buffers.
        let uri = unsafe { bytes((*self.main).unparsed_uri) };
        let uri = &uri[..memchr::memchr(b'#', uri).unwrap_or(uri.len())];
        memchr::memchr(b'?', uri).map_or(&[], |mark| &uri[mark + 1..])
    }

    fn variable(&self, id: VariableId) -> &[u8] {
        // SAFETY: the index is one that nginx gave out; values live in the request's pool.
        unsafe {
            match ngx_http_get_flushed_variable(self.main, id.0).as_ref() {
                Some(value) if value.not_found() == 0 => {
                    bytes(ngx_str_t { len: value.len() as usize, data: value.data })
                }
                _ => &[],
            }
        }
    }
}

/// The lines of a header list, in order, without the ones that nginx or a module has deleted.
///
/// # Safety
/// `list` must be a live list of ngx_table_elt_t that nothing is added to meanwhile.
pub unsafe fn lines(list: *const ngx_list_t) -> impl Iterator<Item = *mut ngx_table_elt_t> {
    // SAFETY: the caller's word; each part holds nelts elements, and the last one's next is null.
    let first = unsafe { &raw const (*list).part };
    core::iter::successors(Some(first), |&part| {
        // SAFETY: as above.
        let next = unsafe { (*part).next };
        (!next.is_null()).then_some(next.cast_const())
    })
    .flat_map(|part| {
        // SAFETY: as above.
        let (elements, count) = unsafe { ((*part).elts.cast::<ngx_table_elt_t>(), (*part).nelts) };
        // SAFETY: offsets stay within the part.
        (0..count).map(move |index| unsafe { elements.add(index) })
    })
    // SAFETY: as above.
    .filter(|&line| unsafe { (*line).hash } != 0)
}
