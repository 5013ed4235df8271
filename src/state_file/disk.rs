//! The state file on disk: read by whoever starts, written by one nginx at a time, whole or not at all.

use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{StateFile, Writer};
use crate::duration::Seconds;
use crate::regular_file;

/// Some kilobytes for each release are usual; MiB.
const LARGEST: u64 = 64;

/// What there is at the path of a state file.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Good(Box<StateFile>),
    /// A sentence.
    Damaged(String),
}

pub fn read(path: &Path) -> Found {
    // The directory is a worker's, who may have put anything there.
    match regular_file::read(path, LARGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) => Found::Damaged(format!("it cannot be read: {error}")),
        Ok((text, _)) => match StateFile::parse(&text) {
            Ok(state) => Found::Good(Box::new(state)),
            Err(why) => Found::Damaged(why),
        },
    }
}

/// Whether `me` may overwrite what `other` wrote: during a binary upgrade only the newer nginx writes, and when it is gone
/// the older one goes on.
pub fn may_write(other: Writer, me: Writer, is_alive: impl Fn(u32) -> bool) -> bool {
    // Who had the same number is gone, whatever clock it went by: in a container every nginx is process 1.
    other.pid == me.pid || other.started < me.started || !is_alive(other.pid)
}

/// Whether a process is there. It may be another user's.
pub fn is_alive(pid: u32) -> bool {
    Path::new("/proc/self").exists() && Path::new(&format!("/proc/{pid}")).exists()
}

/// Where a damaged file goes, so that nothing is lost.
pub fn aside(path: &Path, now: Seconds) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{now}"));
    name.into()
}

/// Why a state was not saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSaved {
    pub sentence: String,
    /// False: another nginx is to write.
    pub is_fault: bool,
}

/// Puts a state in place of the file. Policies that only the file has stay there, as they may come back.
pub fn save(path: &Path, mut state: StateFile) -> Result<(), NotSaved> {
    let shown = path.display();
    let fault = |what: &str, error: io::Error| NotSaved {
        sentence: format!(
            "cannot {what} the state file \"{shown}\": {error}; weights and verdicts stay in force until nginx stops"
        ),
        is_fault: true,
    };
    match read(path) {
        Found::Nothing => {}
        Found::Damaged(_) => {
            fs::rename(path, aside(path, state.written)).map_err(|error| fault("set aside", error))?
        }
        Found::Good(found) => {
            if !may_write(found.writer, state.writer, is_alive) {
                return Err(NotSaved {
                    sentence: format!(
                        "the state file \"{shown}\" is left to the newer nginx with process {}",
                        found.writer.pid
                    ),
                    is_fault: false,
                });
            }
            state.sequence = found.sequence + 1;
            for (name, saved) in found.policies {
                match state.policies.entry(name) {
                    Entry::Vacant(entry) => drop(entry.insert(saved)),
                    Entry::Occupied(entry) => entry.into_mut().keep_retired(saved),
                }
            }
        }
    }
    let text = state.to_json().map_err(|error| fault("write", error))?;
    write(path, &text).map_err(|error| fault("write", error))
}

/// Puts `text` in place of the file, whole or not at all.
pub fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let result = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
        return result;
    }
    // The name, too, has to be on disk.
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link that somebody has put there must not lead elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::{SavedGeneration, SavedPolicy};
    use super::*;
    use crate::control::Control;
    use crate::generation::Generation;

    #[test]
    fn what_is_written_is_read() {
        let directory = std::env::temp_dir().join(format!("canary-state-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("state.json");
        assert!(matches!(read(&path), Found::Nothing));
        let state = StateFile::new(Writer { started: 7, pid: 1 }, 99);
        for _ in 0..2 {
            write(&path, &state.to_json().unwrap()).unwrap();
            assert!(matches!(read(&path), Found::Good(found) if *found == state));
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left over");
        for (text, why) in
            [("", "no state file"), ("{\"format\":2}", "format 2"), ("{\"format\":1}", "damaged")]
        {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(&path), Found::Damaged(said) if said.contains(why)), "{text}");
        }
        assert!(write(&directory.join("none/state.json"), b"x").is_err());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn saving_loses_nothing_of_others() {
        let directory = std::env::temp_dir().join(format!("canary-save-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("state.json");
        let me = Writer { started: 7, pid: std::process::id() };
        let saved = |text: &str| serde_json::from_str::<SavedPolicy>(text).unwrap();
        let control = r#"{"control":{"epoch":3,"stable":"00000000000000aa","lines":1,"dealt":1,"later":true,"generations":[
            {"generation":"00000000000000aa","name":"stable","upstream":"a","file":{}}]}}"#;
        let with = |name: &str, now| {
            let mut state = StateFile::new(me, now);
            state.policies.insert(name.to_owned(), saved(control));
            state
        };
        let found = || match read(&path) {
            Found::Good(state) => state,
            other => panic!("{other:?}"),
        };
        save(&path, with("chat", 10)).unwrap();
        save(&path, with("files", 11)).unwrap();
        assert_eq!((found().sequence, found().written), (2, 11));
        assert_eq!(found().policies.keys().collect::<Vec<_>>(), ["chat", "files"]);
        assert_eq!(found().policies["chat"].control.epoch, 3);

        fs::write(&path, "{\"format\":1,").unwrap();
        save(&path, with("chat", 12)).unwrap();
        assert_eq!(fs::read(aside(&path, 12)).unwrap(), b"{\"format\":1,");
        assert_eq!(found().sequence, 1);

        // The one whose process is there and who began later goes first.
        let newer = Writer { started: 8, pid: 1 };
        save(&path, StateFile { writer: newer, ..with("chat", 13) }).unwrap();
        let refused = save(&path, with("chat", 14)).unwrap_err();
        assert!(!refused.is_fault && refused.sentence.contains("newer nginx with process 1"), "{refused:?}");
        assert_eq!((found().writer, found().written), (newer, 13));

        let unwritable = save(&path.join("state.json"), with("chat", 15)).unwrap_err();
        assert!(unwritable.is_fault && unwritable.sentence.contains("stay in force"), "{unwritable:?}");
        let missing = save(&directory.join("none/state.json"), with("chat", 15)).unwrap_err();
        assert!(missing.is_fault && missing.sentence.contains("cannot write"), "{missing:?}");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn builds_that_the_zone_has_no_place_for_keep_their_counters() {
        let directory = std::env::temp_dir().join(format!("canary-retired-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("state.json");
        let [stable, retired, forgotten] = [7, 8, 9].map(|word| Generation::from_word(word).unwrap());
        let standing = |generation: Generation| serde_json::json!({"generation": generation, "name": "r", "upstream": "u", "weight": "0%", "file": {}});
        let control = serde_json::json!({
            "epoch": 3, "stable": stable, "lines": 1, "dealt": 0,
            "generations": [standing(stable), standing(retired)],
        });
        let control: Control = serde_json::from_value(control).unwrap();
        let saved = |generations: &[Generation]| SavedPolicy {
            control: control.clone(),
            generations: generations
                .iter()
                .map(|generation| (*generation, SavedGeneration::default()))
                .collect(),
            fallbacks: Vec::new(),
        };
        for generations in [&[stable, retired, forgotten][..], &[stable]] {
            let mut state = StateFile::new(Writer { started: 7, pid: 1 }, 99);
            state.policies.insert("chat".to_owned(), saved(generations));
            save(&path, state).unwrap();
        }
        let Found::Good(found) = read(&path) else { panic!("a good file") };
        assert_eq!((&found.policies["chat"], found.sequence), (&saved(&[stable, retired]), 2));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_newer_nginx_writes() {
        let (old, new) = (Writer { started: 1, pid: 10 }, Writer { started: 2, pid: 20 });
        let both = |_| true;
        assert!(may_write(old, old, both) && may_write(old, new, both) && !may_write(new, old, both));
        assert!(may_write(new, old, |pid| pid == 10), "the newer one is gone");
        let (before, now) = (Writer { started: 99, pid: 1 }, Writer { started: 2, pid: 1 });
        assert!(may_write(before, now, both), "another clock, and the same number in a new container");
    }
}
