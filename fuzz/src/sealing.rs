//! Tokens, sessions and cookies around any content, signed and sealed as their makers do it, so that a fuzzer gets past
//! the cryptography.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lobechat_canary::cookie_keys::{CookieKeys, hkdf_sha256};
use lobechat_canary::mac::{Digest, MacKey};
use openssl::symm::{Cipher, encrypt, encrypt_aead};

/// Of the recorded tokens by HS256.
pub const TOKEN_SECRET: &str = "b95678261626f7c3b54f15a7620a9b43";
/// Of the recorded sessions.
pub const SESSION_SECRET: &str = "a-secret-of-the-recording-0123456789abcdef";
pub const COOKIE_KEYS: &str =
    "the-first-cookie-key-0123456789abcdef\nthe-second-cookie-key-0123456789abcdef\n";

pub const BETTER_AUTH: &str = "better-auth.session_data";
pub const AUTHJS: &str = "authjs.session-token";

fn sign(secret: &[u8], parts: &[&[u8]]) -> String {
    URL_SAFE_NO_PAD.encode(MacKey::new(Digest::Sha256, secret).sign(parts))
}

/// A JWT by HS256, whatever its header says.
pub fn jwt(secret: &str, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let code = sign(secret.as_bytes(), &[signed.as_bytes()]);
    format!("{signed}.{code}")
}

/// better-auth's strategy `compact`: `session` is an object.
pub fn compact(session: &[u8], expires: &[u8]) -> String {
    let open = session.strip_suffix(b"}").unwrap_or(session);
    let code = sign(SESSION_SECRET.as_bytes(), &[open, b",\"expiresAt\":", expires, b"}"]);
    let text = [
        b"{\"session\":",
        session,
        b",\"expiresAt\":",
        expires,
        b",\"signature\":\"",
        code.as_bytes(),
        b"\"}",
    ];
    URL_SAFE_NO_PAD.encode(text.concat())
}

fn jwe(header: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> String {
    let [header, iv, ciphertext, tag] =
        [header, iv, ciphertext, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{iv}.{ciphertext}.{tag}")
}

fn derive(salt: &str, info: &str, size: usize) -> Vec<u8> {
    hkdf_sha256(SESSION_SECRET.as_bytes(), salt.as_bytes(), info.as_bytes(), size).expect("HKDF")
}

/// better-auth's strategy `jwe` (A256CBC-HS512).
pub fn better_auth_jwe(header: &[u8], plaintext: &[u8]) -> String {
    let key = derive("better-auth-session", "BetterAuth.js Generated Encryption Key", 64);
    let (mac, cipher) = key.split_at(32);
    let iv = [3; 16];
    let ciphertext = encrypt(Cipher::aes_256_cbc(), cipher, Some(&iv), plaintext).expect("AES");
    let header_text = URL_SAFE_NO_PAD.encode(header);
    let bits = (header_text.len() as u64 * 8).to_be_bytes();
    let code = MacKey::new(Digest::Sha512, mac).sign(&[header_text.as_bytes(), &iv, &ciphertext, &bits]);
    jwe(header, &iv, &ciphertext, &code[..32])
}

/// An Auth.js session (A256GCM) for the cookie of this name.
pub fn authjs(cookie: &str, header: &[u8], plaintext: &[u8]) -> String {
    let key = derive(cookie, &format!("Auth.js Generated Encryption Key ({cookie})"), 32);
    let (iv, mut tag) = ([3; 12], [0; 16]);
    let context = URL_SAFE_NO_PAD.encode(header);
    let ciphertext =
        encrypt_aead(Cipher::aes_256_gcm(), &key, Some(&iv), context.as_bytes(), plaintext, &mut tag)
            .expect("AES");
    jwe(header, &iv, &ciphertext, &tag)
}

/// A keep cookie by the second of the keys; `context` is the policy's name and the claim.
pub fn keep(context: &[u8], plaintext: &[u8]) -> String {
    let keys = CookieKeys::parse(COOKIE_KEYS.as_bytes()).expect("fixed keys");
    let key = keys.iter().nth(1).expect("two keys");
    let (nonce, mut tag) = ([5; 12], [0; 16]);
    let ciphertext =
        encrypt_aead(Cipher::aes_256_gcm(), &key.keep, Some(&nonce), context, plaintext, &mut tag)
            .expect("AES");
    URL_SAFE_NO_PAD.encode([&nonce[..], &ciphertext, &tag].concat())
}

/// A remember cookie by the first of the keys, for a route's text.
pub fn remember(policy: &str, route: &str, value: &[u8], issued: u64) -> Vec<u8> {
    let keys = CookieKeys::parse(COOKIE_KEYS.as_bytes()).expect("fixed keys");
    let key = keys.first().expect("two keys");
    let code = key.remember.sign(&[policy.as_bytes(), b"\0", &issued.to_be_bytes(), route.as_bytes()]);
    [value, b".", URL_SAFE_NO_PAD.encode(code).as_bytes()].concat()
}
