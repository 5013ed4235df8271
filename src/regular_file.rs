//! Reads files that others may change or put in place: keys and the state. Neither a pipe nor endless content holds
//! up whoever reads.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `O_NONBLOCK` of Linux: opening a pipe does not wait for whoever writes there.
const NONBLOCK: i32 = 0o4000;

/// The content of a file of at most so many MiB, and what it was like when it was opened.
pub fn read(path: &Path, mebibytes: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut text = Vec::new();
    let largest = mebibytes << 20;
    file.take(largest + 1).read_to_end(&mut text)?;
    match text.len() as u64 <= largest {
        true => Ok((text, metadata)),
        false => Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {mebibytes} MiB"))),
    }
}
