//! A name server that gives every name one IPv4 address, which a test may change.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub struct NameServer {
    pub port: u16,
    address: Arc<AtomicU32>,
}

impl NameServer {
    /// Answers until the last handle to it is gone.
    pub fn start(address: Ipv4Addr) -> NameServer {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let address = Arc::new(AtomicU32::new(address.to_bits()));
        let shared = Arc::downgrade(&address);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Some(address) = shared.upgrade() {
                if let Ok((length, client)) = socket.recv_from(&mut query) {
                    let address = Ipv4Addr::from_bits(address.load(Ordering::SeqCst));
                    let _ = socket.send_to(&answer(&query[..length], address), client);
                }
            }
        });
        NameServer { port, address }
    }

    pub fn set(&self, address: Ipv4Addr) {
        self.address.store(address.to_bits(), Ordering::SeqCst);
    }
}

/// RFC 1035 section 4.1: the query's id and question, then one A record that lives a second.
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    const HEADER: usize = 12;
    let name = query[HEADER..].iter().position(|&b| b == 0).unwrap_or(0);
    let question = &query[HEADER..HEADER + name + 5];
    let is_a = question[name + 1..name + 3] == [0, 1];
    let mut message = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], question].concat();
    if is_a {
        message.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        message.extend(address.octets());
    }
    message
}
