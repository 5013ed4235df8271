//! Who may change things: the access that the directive gives, and browsers only from pages of ours.

use super::problem::Problem;
use super::{Access, Call};

impl Call<'_> {
    /// Whether this caller may change things, as far as the API knows; browsers have rules of their own.
    pub fn may_write(&self) -> bool {
        match self.access {
            Access::ReadOnly => false,
            Access::Local => self.local && !self.forwarded,
            Access::Any => true,
        }
    }
}

/// Refuses a change that the caller may not make.
pub fn check(call: &Call<'_>) -> Result<(), Problem> {
    if !call.may_write() {
        return Err(Problem::forbidden(refusal(call)));
    }
    let foreign = match call.sec_fetch_site {
        Some(site) if !site.eq_ignore_ascii_case("same-origin") && !site.eq_ignore_ascii_case("none") => {
            Some(format!("\"Sec-Fetch-Site: {site}\""))
        }
        _ => match call.origin {
            Some(origin) if !is_same_origin(origin, call.host.unwrap_or_default()) => Some(format!(
                "\"Origin: {origin}\" does not match \"Host: {}\"",
                call.host.unwrap_or_default()
            )),
            _ => None,
        },
    };
    match foreign {
        None => Ok(()),
        Some(why) => Err(Problem::forbidden(format!(
            "a browser may change things only from a page of the same origin, and {why}: open the dashboard at the address \
             that the browser shows, and pass its Host on where a proxy stands before nginx"
        ))),
    }
}

fn refusal(call: &Call<'_>) -> &'static str {
    match call.access {
        Access::ReadOnly => {
            "this location is read-only: write \"lobechat_canary_api write;\" to allow changes from this machine, or \
             \"lobechat_canary_api write=any;\" beside rules such as auth_basic or allow"
        }
        _ if !call.local => {
            "changes are taken from this machine only: ask from there, over loopback or a unix socket, or write \
             \"lobechat_canary_api write=any;\" beside rules such as auth_basic or allow"
        }
        _ => {
            "changes are taken from this machine only, and this request has come through a proxy, as its Forwarded or \
             X-Forwarded-* header says: ask without the proxy, or write \"lobechat_canary_api write=any;\" beside rules such \
             as auth_basic or allow"
        }
    }
}

/// Whether the host and port of an origin are those of a `Host`. The scheme cannot be compared: TLS may end before nginx.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    // Browsers leave the scheme's own port out, in both.
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (origin, host, same) in [
            ("http://a.example", "a.example", true),
            ("https://a.example", "a.example", true),
            ("https://A.example", "a.EXAMPLE:443", true),
            ("https://a.example:8443", "a.example:8443", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://a.example:8080", "a.example", false),
            ("http://a.example", "a.example:443", false),
            ("http://b.example", "a.example", false),
            ("http://a.example.evil", "a.example", false),
            ("null", "a.example", false),
            ("null", "", false),
            ("http://", "", false),
            ("chrome-extension://a.example", "a.example", false),
        ] {
            assert_eq!(is_same_origin(origin, host), same, "{origin} {host}");
        }
    }
}
