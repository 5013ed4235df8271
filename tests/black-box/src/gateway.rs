//! The smallest applications behind FastCGI, SCGI and uwsgi: each answers every request with `body` and the
//! request's `REQUEST_URI`.

use crate::backend::Backend;

/// FastCGI (specification 1.0): answers once the empty STDIN record has come.
pub fn fastcgi(body: &'static str) -> Backend {
    const END_REQUEST: u8 = 3;
    const PARAMS: u8 = 4;
    const STDIN: u8 = 5;
    const STDOUT: u8 = 6;
    Backend::start(move |mut peer| {
        let mut params = Vec::new();
        // version, type, request id (2), content length (2), padding length, reserved
        while let Ok(head) = peer.read(8) {
            let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
            let Ok(content) = peer.read(length + usize::from(head[6])) else { return };
            match head[1] {
                PARAMS => params.extend_from_slice(&content[..length]),
                STDIN if length == 0 => break,
                _ => {}
            }
        }
        let text = cgi_answer(body, &fastcgi_uri(&params));
        let record = |kind: u8, content: &[u8]| {
            let length = (content.len() as u16).to_be_bytes();
            [&[1, kind, 0, 1, length[0], length[1], 0, 0], content].concat()
        };
        peer.write(
            [record(STDOUT, text.as_bytes()), record(STDOUT, b""), record(END_REQUEST, &[0; 8])].concat(),
        );
    })
}

/// SCGI: a netstring of names and values, each ended by NUL.
pub fn scgi(body: &'static str) -> Backend {
    Backend::start(move |mut peer| {
        let mut length = 0;
        while let Ok([digit @ b'0'..=b'9']) = peer.read(1).as_deref() {
            length = length * 10 + usize::from(digit - b'0');
        }
        let Ok(content) = peer.read(length) else { return };
        let words: Vec<&[u8]> = content.split(|&b| b == 0).collect();
        peer.write(cgi_answer(body, &uri(&words)));
    })
}

/// uwsgi: a head of four bytes, then names and values with little-endian lengths.
pub fn uwsgi(body: &'static str) -> Backend {
    Backend::start(move |mut peer| {
        let Ok(head) = peer.read(4) else { return };
        let Ok(content) = peer.read(usize::from(u16::from_le_bytes([head[1], head[2]]))) else { return };
        let (mut words, mut rest) = (Vec::new(), &content[..]);
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (word, tail) = after.split_at(usize::from(u16::from_le_bytes(*length)));
            words.push(word);
            rest = tail;
        }
        peer.write(format!("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{body} {}\n", uri(&words)));
    })
}

fn cgi_answer(body: &str, uri: &str) -> String {
    format!("Status: 200 OK\r\nContent-Type: text/html\r\n\r\n{body} {uri}\n")
}

/// The value of `REQUEST_URI` among names and values that take turns.
fn uri(words: &[&[u8]]) -> String {
    let (pairs, _) = words.as_chunks::<2>();
    let value = pairs.iter().find(|[name, _]| *name == b"REQUEST_URI").map(|[_, value]| *value);
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// FastCGI has both lengths before both texts; a length above 127 takes four bytes.
fn fastcgi_uri(mut rest: &[u8]) -> String {
    fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
        match bytes {
            [short @ 0..=127, rest @ ..] => Some((usize::from(*short), rest)),
            [a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([a & 127, *b, *c, *d]) as usize, rest)),
            _ => None,
        }
    }
    let mut words = Vec::new();
    while let Some((name, after)) = length(rest) {
        let Some((value, after)) = length(after) else { break };
        let (text, tail) = after.split_at(name + value);
        words.extend([&text[..name], &text[name..]]);
        rest = tail;
    }
    uri(&words)
}
