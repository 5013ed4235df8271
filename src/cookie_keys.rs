//! The keys of the module's own cookies: `cookie_key file;`, one key a line. The first seals, all open, so that
//! keys can be changed without anybody losing his cookies. Used by the remember, keep and pin cookies.

use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;

use crate::mac::{Digest, MacKey};

/// The shortest key in bytes.
const SHORTEST: usize = 32;

/// All keys of one file.
#[derive(Debug, Default)]
pub struct CookieKeys(Vec<CookieKey>);

/// One line, as a key for each purpose.
pub struct CookieKey {
    pub remember: MacKey,
    pub pin: MacKey,
    /// AES-256-GCM.
    pub keep: [u8; 32],
}

impl CookieKeys {
    /// Reads a file. Empty lines are passed over. The error is a sentence.
    pub fn parse(text: &[u8]) -> Result<CookieKeys, String> {
        let lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).enumerate();
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            if line.len() < SHORTEST {
                return Err(format!(
                    "its line {} has {} bytes, a key needs {SHORTEST}: make one with \"openssl rand -base64 48\"",
                    number + 1,
                    line.len()
                ));
            }
            keys.push(CookieKey::new(line)?);
        }
        match keys.is_empty() {
            true => {
                Err("it holds no key: write one a line, \"openssl rand -base64 48\" makes one".to_owned())
            }
            false => Ok(CookieKeys(keys)),
        }
    }

    /// One key of random bytes.
    pub fn random(key: &[u8; 32]) -> Result<CookieKeys, String> {
        Ok(CookieKeys(vec![CookieKey::new(key)?]))
    }

    /// The key that seals.
    pub fn first(&self) -> Option<&CookieKey> {
        self.0.first()
    }

    pub fn iter(&self) -> impl Iterator<Item = &CookieKey> {
        self.0.iter()
    }
}

impl CookieKey {
    fn new(key: &[u8]) -> Result<CookieKey, String> {
        let derive = |purpose: &str| {
            hkdf_sha256(key, b"", purpose.as_bytes(), 32)
                .map_err(|error| format!("libcrypto has no HKDF: {error}"))
        };
        let keep = derive("lobechat-canary keep")?;
        Ok(CookieKey {
            remember: MacKey::new(Digest::Sha256, &derive("lobechat-canary remember")?),
            pin: MacKey::new(Digest::Sha256, &derive("lobechat-canary pin")?),
            keep: keep.try_into().map_err(|_| "a derived key has another length".to_owned())?,
        })
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey(secret)")
    }
}

/// HKDF with SHA-256 (RFC 5869).
pub fn hkdf_sha256(key: &[u8], salt: &[u8], info: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let mut context = PkeyCtx::new_id(Id::HKDF)?;
    context.derive_init()?;
    context.set_hkdf_md(Md::sha256())?;
    context.set_hkdf_key(key)?;
    context.set_hkdf_salt(salt)?;
    context.add_hkdf_info(info)?;
    let mut derived = vec![0; length];
    context.derive(Some(&mut derived))?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 appendix A.1.
    #[test]
    fn rfc_5869() {
        let (salt, info): (Vec<u8>, Vec<u8>) = ((0..=0x0c).collect(), (0xf0..=0xf9).collect());
        let derived = hkdf_sha256(&[0x0b; 22], &salt, &info, 42).unwrap();
        let hex: String = derived.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    #[test]
    fn one_key_a_line() {
        let (a, b) = ("a".repeat(32), "b".repeat(64));
        let keys = CookieKeys::parse(format!("{a}\r\n\n  {b}\n").as_bytes()).unwrap();
        assert_eq!(keys.iter().count(), 2);
        let alone = CookieKeys::parse(b.as_bytes()).unwrap();
        assert_eq!(keys.iter().nth(1).unwrap().keep, alone.first().unwrap().keep);
        assert_ne!(keys.first().unwrap().keep, alone.first().unwrap().keep);
        for (text, hint) in
            [("", "holds no key"), ("\n \n", "holds no key"), ("short\n", "line 1 has 5 bytes")]
        {
            assert!(CookieKeys::parse(text.as_bytes()).unwrap_err().contains(hint), "{text}");
        }
        assert!(
            CookieKeys::parse(format!("{a}\nshort").as_bytes()).unwrap_err().contains("line 2 has 5 bytes")
        );
    }
}
